import json
import sys
from pathlib import Path

import pytest

from course_utils import __main__ as cli
from course_utils import workspace


@pytest.fixture
def course(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.11,<3.14"\n')
    monkeypatch.setattr(workspace, "course_root", lambda: tmp_path)
    return tmp_path


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    output = {"output_type": "stream", "name": "stdout", "text": [line + "\n" for line in lines]}
    cells = [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "outputs": [output]}]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")


# --- commands -----------------------------------------------------------------------------------


def test_help_has_one_line_for_each_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {"lab", "progress", "claims", "doctor"} <= {line[0] for line in shown if len(line) > 2}


@pytest.mark.parametrize(
    "arguments", [[], ["unknown"], ["progress", "--fast"], ["claims", "extra"], ["doctor", "--tri"]]
)
def test_what_is_not_known_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "passed", "target"),
    [
        ([], [], None),
        (["--no-browser", "--port", "8899"], ["--no-browser", "--port", "8899"], None),
        (["--port=1", "--workspace", "here", "--debug"], ["--port=1", "--debug"], Path("here")),
        (["--workspace=here", "01_first.ipynb"], ["01_first.ipynb"], Path("here")),
        (["--work", "x"], ["--work", "x"], None),
    ],
)
def test_lab_hands_other_arguments_on(arguments, passed, target, monkeypatch):
    given = []
    monkeypatch.setattr(workspace, "lab", lambda *received: given.append(received))
    assert cli.main(["lab", *arguments]) == 0
    assert given == [(passed, target)]


def test_progress_reads_the_workspace_it_is_given(course, capsys):
    assert cli.main(["progress", "--workspace", str(course / "mine")]) == 0
    assert "no lessons in" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "run"), [([], False), (["--run"], True)])
def test_progress_runs_only_when_asked(course, monkeypatch, arguments, run):
    given = []
    monkeypatch.setattr(workspace, "progress", lambda *args, **names: given.append((args, names)))
    assert cli.main(["progress", *arguments]) == 0
    assert given == [((None,), {"run": run})]


def test_an_error_is_one_line_and_ends_with_1(course, capsys):
    (course / "notebooks/01_first.ipynb").write_text("{")
    assert cli.main(["lab", "--workspace", str(course / "mine")]) == 1
    assert "course_utils lab: No learner's copy can be made of" in capsys.readouterr().err


def test_a_workspace_that_is_a_file_is_an_error(course, capsys):
    (course / "mine").touch()
    assert cli.main(["lab", "--workspace", str(course / "mine")]) == 1
    assert "mine" in capsys.readouterr().err


def test_a_package_without_its_notebooks_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "__file__", str(tmp_path / "course_utils/workspace.py"))
    assert cli.main(["claims"]) == 1
    assert "`notebooks/` folder was not found beside `course_utils/`" in capsys.readouterr().err


# --- claims -------------------------------------------------------------------------------------


def test_claims_are_read_from_the_committed_outputs(course, capsys):
    assert cli.main(["claims"]) == 0
    assert capsys.readouterr().out == "No claims in the committed notebooks.\n"
    write(
        course / "notebooks/03_gradients.ipynb",
        "an ordinary line",
        "✓ 03.1 It grows | > 10 | measured 11.3 to 12.2",
        "✓ 03.2 [C30] Right: it vanishes | < 1e-3 | measured 1.5e-07",
    )
    write(course / "notebooks/01_first.ipynb", "✓ 01.1 [C17] Wrong: no | == 4 | measured 4")
    write(course / "notebooks/.ipynb_checkpoints/01_first.ipynb", "✓ 01.9 No | == 4 | measured 4")
    assert cli.main(["claims"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "01.1 [C17] Wrong: no",
        "      == 4, measured 4",
        "03.1 It grows",
        "      > 10, measured 11.3 to 12.2",
        "03.2 [C30] Right: it vanishes",
        "      < 0.001, measured 1.5e-07",
        "3 claims.",
    ]


def test_claims_on_trial_are_sorted(course, capsys):
    write(
        course / "notebooks/03_gradients.ipynb",
        "✓ 03.1 [C30] Right: a | > 10 | measured 11",
        "✓ 03.2 [C01] Right: b | > 10 | measured 11",
        "✓ 03.3 [C30] Right: c | > 10 | measured 11",
        "✓ 03.4 d | > 10 | measured 11",
    )
    assert cli.main(["claims", "--trial"]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if ">" not in line]
    assert shown == [
        "03.2 [C01] Right: b",
        "03.1 [C30] Right: a",
        "03.3 [C30] Right: c",
        "3 claims.",
    ]


def test_claims_name_a_damaged_notebook(course, capsys):
    (course / "notebooks/01_first.ipynb").write_text("{")
    assert cli.main(["claims"]) == 1
    assert "01_first.ipynb is not a notebook" in capsys.readouterr().err


# --- doctor -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("_version", lambda package, root: (False, f"{package} 0.1 (pinned: 2)", "act"), "0.1"),
        ("_keras", lambda: (False, "Keras runs on numpy", "act"), "numpy"),
        ("_datasets", lambda: (False, "data sets: digits.npz is damaged", "act"), "digits"),
    ],
)
def test_doctor_ends_with_1_and_advice_if_there_is_a_problem(
    course, monkeypatch, capsys, name, value, what
):
    for part in ("_keras", "_datasets"):
        monkeypatch.setattr(cli, part, lambda: (True, "fine", ""))
    monkeypatch.setattr(cli, "_version", lambda package, root: (True, package, ""))
    assert cli.main(["doctor"]) == 0
    assert "Everything is in order." in capsys.readouterr().out
    monkeypatch.setattr(cli, name, value)
    assert cli.main(["doctor"]) == 1
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem ")]
    assert shown and all(what in line and line.endswith("-> act") for line in shown)


@pytest.mark.parametrize("pins", ["numpy==0.1 \\\n", "numpyro==2\n", ""])
def test_doctor_compares_versions_with_the_lock_file(course, pins):
    (course / "requirements.lock").write_text(pins)
    assert cli._version("numpy", course)[0] is False
    lock = (
        f"numpy==0.1 ; python_version < '3'\nnumpy=={cli.importlib.metadata.version('numpy')} \\\n"
    )
    (course / "requirements.lock").write_text(lock)
    assert cli._version("numpy", course)[0] is True


@pytest.mark.parametrize(("needed", "fine"), [(">=3.11,<3.99", True), (">=3.98,<3.99", False)])
def test_doctor_compares_python_with_the_project(course, needed, fine):
    (course / "pyproject.toml").write_text(f'[project]\nrequires-python = "{needed}"\n')
    assert cli._python(course)[0] is fine


def test_doctor_runs_keras():
    fine, what, _ = cli._keras()
    assert fine and "tensorflow" in what and "cpu" in what.lower()


def test_doctor_says_what_is_broken(course, monkeypatch):
    (course / "requirements.lock").write_text("")
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setattr(cli, "_datasets", lambda: (True, "fine", ""))
    found = [what for fine, what, _ in cli.doctor(course) if not fine]
    assert any(what.startswith("ModuleNotFoundError: import of keras halted") for what in found)
    monkeypatch.setattr(cli, "_version", lambda package, root: cli.importlib.metadata.version("no"))
    found = [what for fine, what, _ in cli.doctor(course) if not fine]
    assert sum(what.startswith("PackageNotFoundError") for what in found) == 3
