import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils import workspace

ROOT = Path(workspace.__file__).parents[1]

CHECKS = """
from course_utils.exercises import Exercise, Mistake

EXERCISES = [
    Exercise(
        "01.1",
        lambda x: 2 * x,
        lambda rng: [(float(rng.normal()),)],
        [Mistake(lambda x: x * x, "You squared x.")],
        ["Add x to itself."],
        points=2,
    ),
    Exercise("01.2", lambda x: -x, lambda rng: [(float(rng.normal()),)], [], []),
    Exercise("01.3", lambda x: x, lambda rng: [(float(rng.normal()),)], [], []),
]
"""


def role(**given):
    names = {"solution": False, "grade": False, "task": False, "locked": False}
    return {"nbgrader": {"schema_version": 3, "grade_id": "the_cell", "points": 1} | names | given}


def code(source, **given):
    return new_code_cell(source, metadata=role(**given) if given else {})


def write(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    nbformat.write(new_notebook(cells=list(cells), metadata={"kernelspec": kernel}), path)


def lesson(path, text):
    cell = new_code_cell(f"print('{text}')", execution_count=1)
    cell["outputs"] = [new_output("stream", name="stdout", text=text)]
    write(path, new_markdown_cell("# Größe"), cell)


def exercise(path):
    solution = "### BEGIN SOLUTION\n    return {}\n    ### END SOLUTION"
    write(
        path,
        code("from course_utils import exercises\n\ntasks = exercises.load('01_first')"),
        code(f"def double(x):\n    {solution.format('2 * x')}", solution=True),
        code('tasks["01.1"].check(double)', grade=True),
        code(f"def negate(x):\n    {solution.format('-x')}", solution=True),
        code(
            'tasks["01.2"].check(negate)\n### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS',
            grade=True,
        ),
        code("same = lambda x: x"),
        code('tasks["01.3"].check(same)', grade=True),
    )


@pytest.fixture
def course(tmp_path):
    root = tmp_path / "course"
    lesson(root / "notebooks/00_start_here.ipynb", "hello")
    lesson(root / "notebooks/01_first.ipynb", "first")
    folder = root / "notebooks/exercises/01_first"
    exercise(folder / "01_first.ipynb")
    (folder / "checks.py").write_text(CHECKS)
    (folder / "data.csv").write_text("1,2\n")
    return root


@pytest.fixture
def target(tmp_path):
    return tmp_path / "workspace"


def said(changes):
    return [(change.kind, change.name) for change in changes]


def edit(path, source, cell=1):
    notebook = json.loads(path.read_bytes())
    notebook["cells"][cell]["source"] = source
    path.write_text(json.dumps(notebook))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".npz" and path.name != ".manifest.json"
    }


# --- blank copies -------------------------------------------------------------------------------

NOTEBOOKS = {
    "several regions, nested indentation": [
        code(
            "class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n"
            "        ### END SOLUTION\n\n    def g(self):\n        x = 1\n"
            "        ### BEGIN SOLUTION\n        if x:\n            x = 2\n"
            "        ### END SOLUTION\n        return x",
            solution=True,
        )
    ],
    "solution cell without a region": [code("answer = 42", solution=True)],
    "tab and trailing text": [
        code("if 1:\n\t# BEGIN SOLUTION here\n\tx = 1\n\t# END SOLUTION\n", solution=True)
    ],
    "lonely END": [code("x = 1\n### END SOLUTION\ny = 1", solution=True)],
    "graded and solved by hand": [code("proof = 1", solution=True, grade=True)],
    "empty solution": [code("", solution=True)],
    "markdown answers": [
        new_markdown_cell("The answer.", metadata=role(solution=True, grade=True)),
        new_markdown_cell(
            "Why?\n\n  ### BEGIN SOLUTION\n  so\n  ### END SOLUTION\n\nEnd.",
            metadata=role(solution=True, grade=True),
        ),
    ],
    "hidden tests": [
        code(
            "check(f)\n### BEGIN HIDDEN TESTS\ncheck(f, seed=1)\n### END HIDDEN TESTS\n"
            "x = 1\n### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS",
            grade=True,
        )
    ],
    "solution and hidden tests in one cell": [
        code(
            "### BEGIN SOLUTION\nx\n### END SOLUTION\n### BEGIN HIDDEN TESTS\n1\n"
            "### END HIDDEN TESTS",
            solution=True,
            grade=True,
        )
    ],
    "mark scheme": [
        new_markdown_cell(
            "Discuss.\n=== BEGIN MARK SCHEME ===\n2 points\n=== END MARK SCHEME ===",
            metadata=role(task=True),
        )
    ],
    "plain cells": [code("x = 1"), code("y = 2\n", locked=True), new_markdown_cell("Text\n")],
}
BROKEN = {
    "no `END SOLUTION`": code("### BEGIN SOLUTION\nx = 1", solution=True),
    "no `END HIDDEN TESTS`": code("### BEGIN HIDDEN TESTS\nx = 1", grade=True),
    "no `END MARK SCHEME`": new_markdown_cell("BEGIN MARK SCHEME", metadata=role(task=True)),
}


def by_nbgrader(notebook):
    from nbgrader import preprocessors

    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for name in ("ClearSolutions", "ClearOutput", "ClearHiddenTests", "ClearMarkScheme"):
        notebook, _ = getattr(preprocessors, name)().preprocess(notebook, {})
    return notebook


def assert_as_nbgrader(notebook):
    ours = nbformat.reads(json.dumps(workspace.blank(notebook)), as_version=4)
    assert ours == by_nbgrader(notebook)


@pytest.mark.parametrize("cells", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_blank_is_what_nbgrader_makes(cells):
    notebook = new_notebook(cells=json.loads(json.dumps(cells)), metadata={})
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [new_output("stream", text="secret")]
            cell["execution_count"] = 7
    before = json.dumps(notebook)
    assert_as_nbgrader(nbformat.from_dict(notebook))
    assert json.dumps(notebook) == before


def test_blank_is_what_nbgrader_makes_of_the_course():
    for path in (ROOT / "notebooks").glob("exercises/*/*.ipynb"):
        assert_as_nbgrader(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("rule", BROKEN)
def test_blank_refuses_a_region_without_an_end(rule):
    notebook = nbformat.from_dict(new_notebook(cells=[code("x = 1"), BROKEN[rule]]))
    with pytest.raises(RuntimeError):
        by_nbgrader(notebook)
    with pytest.raises(ValueError, match=rule):
        workspace.blank(notebook)


# --- update -------------------------------------------------------------------------------------


def test_first_update_brings_lessons_blank_exercises_and_records(course, target):
    changes = workspace.update(course, target)
    assert said(changes) == [
        ("new", "00_start_here.ipynb"),
        ("new", "01_first.ipynb"),
        ("new", "exercises/01_first/01_first.ipynb"),
        ("new", "exercises/01_first/data.csv"),
        ("recorded", "exercises/01_first/recorded.npz"),
    ]
    start = nbformat.read(target / "00_start_here.ipynb", as_version=4)
    assert [cell["source"] for cell in start["cells"]] == ["# Größe", "print('hello')"]
    assert start["cells"][1]["outputs"] == [] and start["cells"][1]["execution_count"] is None
    folder = target / "exercises/01_first"
    assert sorted(path.name for path in folder.iterdir()) == [
        "01_first.ipynb",
        "data.csv",
        "recorded.npz",
    ]
    text = (folder / "01_first.ipynb").read_text(encoding="utf-8")
    assert "raise NotImplementedError()" in text and "SOLUTION" not in text
    assert "HIDDEN" not in text and "2 * x" not in text


def test_notebooks_are_written_as_nbformat_writes_them(course, target):
    source = course / "notebooks/01_first.ipynb"
    source.write_text(json.dumps(dict(reversed(json.loads(source.read_bytes()).items()))))
    workspace.update(course, target)
    for path in target.rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


def test_second_update_touches_nothing(course, target):
    workspace.update(course, target)
    files = [path for path in target.rglob("*") if path.name != ".manifest.json"]
    before = [path.stat().st_mtime_ns for path in files]
    assert workspace.update(course, target) == []
    assert [path.stat().st_mtime_ns for path in files] == before


def test_unedited_notebooks_follow_the_course(course, target):
    workspace.update(course, target)
    lesson(course / "notebooks/01_first.ipynb", "second")
    (course / "notebooks/exercises/01_first/data.csv").write_text("3,4\n")
    run = json.loads((target / "01_first.ipynb").read_bytes())  # outputs are no edit
    run["cells"][1] |= {"execution_count": 3, "outputs": [new_output("stream", text="first")]}
    run["cells"].append(new_code_cell(""))  # nor is the empty cell that JupyterLab adds
    (target / "01_first.ipynb").write_text(json.dumps(run))
    assert said(workspace.update(course, target)) == [
        ("updated", "01_first.ipynb"),
        ("updated", "exercises/01_first/data.csv"),
    ]
    assert "second" in (target / "01_first.ipynb").read_text()


def test_outputs_are_kept_when_the_course_did_not_change(course, target):
    workspace.update(course, target)
    run = json.loads((target / "01_first.ipynb").read_bytes())
    run["cells"][1]["execution_count"] = 3
    (target / "01_first.ipynb").write_text(json.dumps(run))
    assert workspace.update(course, target) == []
    assert (target / "01_first.ipynb").read_text() == json.dumps(run)


def test_edited_notebooks_are_left_and_new_versions_put_beside(course, target):
    path, beside = target / "01_first.ipynb", target / "01_first.new.ipynb"
    workspace.update(course, target)
    edit(path, "mine")
    mine = path.read_bytes()
    assert workspace.update(course, target) == [] and not beside.exists()
    lesson(course / "notebooks/01_first.ipynb", "second")
    changes = workspace.update(course, target)
    assert said(changes) == [("beside", "01_first.ipynb")]
    assert "you changed it" in str(changes[0]) and "01_first.new.ipynb" in str(changes[0])
    assert "second" in beside.read_text()
    assert workspace.update(course, target) == []  # once for each version
    lesson(course / "notebooks/01_first.ipynb", "third")
    assert said(workspace.update(course, target)) == [("beside", "01_first.ipynb")]
    assert "third" in beside.read_text() and path.read_bytes() == mine
    beside.unlink()
    assert workspace.update(course, target) == [] and not beside.exists()


def test_work_in_the_version_beside_is_not_lost(course, target):
    path, beside = target / "01_first.ipynb", target / "01_first.new.ipynb"
    workspace.update(course, target)
    edit(path, "mine")
    lesson(course / "notebooks/01_first.ipynb", "second")
    workspace.update(course, target)
    edit(beside, "mine too")
    lesson(course / "notebooks/01_first.ipynb", "third")
    assert "01_first.new2.ipynb" in str(workspace.update(course, target)[0])
    assert "mine too" in beside.read_text()
    assert "third" in (target / "01_first.new2.ipynb").read_text()


def test_taking_the_new_version_makes_it_up_to_date(course, target):
    path, beside = target / "01_first.ipynb", target / "01_first.new.ipynb"
    workspace.update(course, target)
    edit(path, "mine")
    lesson(course / "notebooks/01_first.ipynb", "second")
    workspace.update(course, target)
    beside.replace(path)
    assert workspace.update(course, target) == []
    lesson(course / "notebooks/01_first.ipynb", "third")
    assert said(workspace.update(course, target)) == [("updated", "01_first.ipynb")]


def test_a_deleted_notebook_is_brought_back(course, target):
    workspace.update(course, target)
    (target / "01_first.ipynb").unlink()
    assert said(workspace.update(course, target)) == [("restored", "01_first.ipynb")]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"01_first.ipynb": 1}'])
def test_a_damaged_manifest_loses_nothing(course, target, damage):
    workspace.update(course, target)
    edit(target / "01_first.ipynb", "mine")
    mine = (target / "01_first.ipynb").read_bytes()
    (target / ".manifest.json").write_text(damage)
    changes = workspace.update(course, target)
    assert said(changes)[:2] == [("problem", ".manifest.json"), ("beside", "01_first.ipynb")]
    assert "damaged" in str(changes[0])
    assert (target / "01_first.ipynb").read_bytes() == mine
    assert workspace.update(course, target) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"cells": 1}', b"\xff\xfe"])
def test_what_is_no_notebook_any_more_is_left_and_named(course, target, damage):
    workspace.update(course, target)
    (target / "01_first.ipynb").write_bytes(damage)
    changes = workspace.update(course, target)
    assert said(changes) == [("problem", "01_first.ipynb")]
    assert "no notebook any more; rename it, then run `make lab`" in str(changes[0])
    assert (target / "01_first.ipynb").read_bytes() == damage
    (target / "01_first.ipynb").rename(target / "mine.ipynb")
    assert said(workspace.update(course, target)) == [("restored", "01_first.ipynb")]


def test_a_broken_source_is_named_and_nothing_is_written(course, target):
    path = course / "notebooks/exercises/01_first/01_first.ipynb"
    write(path, code("### BEGIN SOLUTION", solution=True))
    with pytest.raises(ValueError, match=r"01_first.ipynb: .* no `END SOL"):
        workspace.update(course, target)
    assert not target.exists()
    path.write_text("{")
    with pytest.raises(ValueError, match=r"No learner's copy can be made of .*01_first.ipynb"):
        workspace.update(course, target)


# --- interruptions ------------------------------------------------------------------------------


def prepared(course, target):
    """A copy with something of everything to do; returns what a whole run would leave."""
    workspace.update(course, target)
    edit(target / "00_start_here.ipynb", "mine")
    for name in ("00_start_here", "01_first", "02_more"):
        lesson(course / f"notebooks/{name}.ipynb", "changed")
    checks = course / "notebooks/exercises/01_first/checks.py"
    checks.write_text(CHECKS + "\n")
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    workspace.update(course, target)
    whole = contents(target)
    for path in [path for path in target.rglob("*") if path.is_file()]:
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    return whole


@pytest.mark.parametrize("call", range(6))
def test_a_failure_at_any_rename_is_healed_by_the_next_run(course, target, monkeypatch, call):
    whole, replace, left = prepared(course, target), os.replace, call

    def failing(source, destination):
        nonlocal left
        if left == 0:
            raise OSError("no space left")
        left -= 1
        replace(source, destination)

    monkeypatch.setattr(os, "replace", failing)
    try:
        changes = workspace.update(course, target)
        assert "no space left" in str(changes[-1]) or call == 5
    except OSError as error:
        assert "no space left" in str(error)
    monkeypatch.undo()
    assert_whole_notebooks(target)
    workspace.update(course, target)
    assert contents(target) == whole
    assert workspace.update(course, target) == []


def assert_whole_notebooks(folder):
    for path in folder.rglob("*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))


def test_killed_at_any_time_leaves_no_half_written_notebook(course, target, tmp_path):
    for number in range(10, 60):
        cells = [new_markdown_cell("A long text. " * 2000), new_code_cell(f"x = {number}")]
        write(course / f"notebooks/{number}_long.ipynb", *cells)
    workspace.update(course, tmp_path / "whole")
    script = (
        "import sys; from pathlib import Path; from course_utils import exercises, workspace\n"
        "print('ready', flush=True); workspace.update(*map(Path, sys.argv[1:]))"
    )
    chance = random.Random(0)
    for _ in range(3):
        command = [sys.executable, "-c", script, str(course), str(target)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        child.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert_whole_notebooks(target)
    workspace.update(course, target)
    assert contents(target) == contents(tmp_path / "whole")
    assert workspace.update(course, target) == []


# --- recorded checks ----------------------------------------------------------------------------


def test_checks_are_recorded_again_only_when_they_changed(course, target, capsys):
    workspace.update(course, target)
    assert "Recording the checks of 01_first" in capsys.readouterr().out
    workspace.update(course, target)
    assert capsys.readouterr().out == ""
    (course / "notebooks/exercises/01_first/checks.py").write_text(CHECKS + "\n")
    changes = workspace.update(course, target)
    assert said(changes) == [("recorded", "exercises/01_first/recorded.npz")]


def test_a_record_that_was_deleted_is_made_anew(course, target):
    workspace.update(course, target)
    path = target / "exercises/01_first/recorded.npz"
    path.unlink()
    workspace.update(course, target)
    assert len(workspace.task_states(path.parent)) == 3


def test_checks_that_cannot_be_recorded_do_not_hold_up_the_rest(course, target):
    (course / "notebooks/exercises/01_first/checks.py").write_text("1 / 0")
    changes = workspace.update(course, target)
    assert said(changes)[-1] == ("problem", "exercises/01_first/recorded.npz")
    assert "not recorded: ZeroDivisionError: division by zero" in str(changes[-1])
    assert (target / "exercises/01_first/01_first.ipynb").exists()
    assert not list(target.rglob("*.npz"))


# --- lab ----------------------------------------------------------------------------------------


def test_lab_stays_on_loopback_and_keeps_its_token(target, monkeypatch):
    target.mkdir()
    (target / "00_start_here.ipynb").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    command = workspace._lab_command(["--no-browser", "--port", "8899"], target)
    assert command[:4] == [sys.executable, "-m", "jupyter", "lab"]
    assert command[-4:] == ["--no-browser", "--port", "8899", "00_start_here.ipynb"]
    assert "--ip=127.0.0.1" in command and "--allow-root" not in command
    assert not any("token" in part or "password" in part for part in command)
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert "--allow-root" in workspace._lab_command([], target)


def test_lab_arguments_win_over_defaults(target):
    command = workspace._lab_command(["--ip=::1", "01_first.ipynb"], target)
    assert [part for part in command if part.startswith("--ip")] == ["--ip=::1"]
    assert command[-1] == "01_first.ipynb"


def test_lab_updates_and_hands_over_to_jupyter(course, target, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(workspace, "course_root", lambda: course)
    monkeypatch.setattr(os, "execve", lambda *given: called.append(given))
    monkeypatch.chdir(course)
    workspace.lab(["--no-browser"], target)
    assert "new       00_start_here.ipynb" in capsys.readouterr().out
    [(program, command, environment)] = called
    assert program == sys.executable and "--no-browser" in command and Path.cwd() == target
    assert Path(environment["PATH"].split(os.pathsep)[0]) == Path(sys.executable).parent
    folder = Path(environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0])
    assert environment["JUPYTER_CONFIG_PATH"][-1] != os.pathsep
    disabled = json.loads((folder / "labconfig/page_config.json").read_bytes())
    assert "@jupyterlab/apputils-extension:announcements" in disabled["disabledExtensions"]
    workspace.lab([], target)
    assert "workspace/ is up to date" in capsys.readouterr().out


# --- progress -----------------------------------------------------------------------------------


def answered(target):
    """Task 1 solved and run, task 2 blank and run, task 3 not run."""
    path = target / "exercises/01_first/01_first.ipynb"
    edit(path, "def double(x):\n    return x + x")
    notebook = json.loads(path.read_bytes())
    passed = new_output("stream", name="stdout", text="✓ 01.1 passed\n")
    failed = new_output("error", ename="ExerciseError", evalue="not done yet", traceback=[])
    notebook["cells"][2] |= {"execution_count": 1, "outputs": [passed]}
    notebook["cells"][4] |= {"execution_count": 2, "outputs": [failed]}
    path.write_text(json.dumps(notebook))
    return path


def printed_progress(target, capsys, **options):
    """The rows of the table, split into words."""
    capsys.readouterr()
    workspace.progress(target, **options)
    return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]


def run_all(path):
    """Saves a lesson as if all its cells had run."""
    notebook = json.loads(path.read_bytes())
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
    path.write_text(json.dumps(notebook))


def test_progress_reads_the_saved_outputs(course, target, capsys):
    workspace.update(course, target)
    answered(target)
    run_all(target / "00_start_here.ipynb")
    assert printed_progress(target, capsys) == [
        ["00_start_here", "done"],
        ["01_first", *"0 of 1".split(), *"1 of 3".split(), *"2 of 4".split()],
        ["not", "done", "yet:", "01.2"],
        ["not", "run:", "01.3"],
        "Done: 1 of 2 lessons, 1 of 3 tasks, 2 of 4 points.".split(),
    ]


def test_progress_survives_an_update_of_the_course(course, target, capsys):
    workspace.update(course, target)
    path = answered(target)
    run_all(target / "01_first.ipynb")
    lesson(course / "notebooks/01_first.ipynb", "first, but better")
    exercise(course / "notebooks/exercises/01_first/01_first.ipynb")
    assert ("updated", "01_first.ipynb") in said(workspace.update(course, target))
    assert '"execution_count": null' in (target / "01_first.ipynb").read_text()
    path.unlink()  # to start the exercises afresh
    workspace.update(course, target)
    assert printed_progress(target, capsys) == [
        ["00_start_here", *"0 of 1".split()],
        ["01_first", "done", *"1 of 3".split(), *"2 of 4".split()],
        ["done", "before:", "01.1"],
        ["not", "run:", "01.2,", "01.3"],
        "Done: 1 of 2 lessons, 1 of 3 tasks, 2 of 4 points.".split(),
    ]
    kept = json.loads((target / ".progress.json").read_bytes())
    assert list(kept) == ["01.1", "01_first"] and date.fromisoformat(kept["01.1"]["on"])


def test_a_pass_that_running_shows_is_kept(course, target, capsys):
    workspace.update(course, target)
    answered(target)
    assert printed_progress(target, capsys, run=True)[1][2:5] == "of 1 2".split()
    assert printed_progress(target, capsys)[2:4] == [
        ["done", "before:", "01.3"],
        ["not", "done", "yet:", "01.2"],
    ]


def test_work_in_a_copy_put_beside_counts(course, target, capsys):
    workspace.update(course, target)
    path = answered(target)
    path.rename(path.with_name("01_first.new.ipynb"))
    run_all(target / "01_first.ipynb")
    (target / "01_first.ipynb").rename(target / "01_first.new.ipynb")
    workspace.update(course, target)
    assert printed_progress(target, capsys)[1:3] == [
        ["01_first", "done", *"1 of 3".split(), *"2 of 4".split()],
        ["done", "before:", "01.1"],
    ]
    (target / ".progress.json").write_text('{"01.1": {}, "01.2": {}, "01.3": {}}')
    assert printed_progress(target, capsys)[2] == "done before: 01.1, 01.2, 01.3".split()


def test_a_cell_that_fails_is_not_run(course, target, capsys):
    workspace.update(course, target)
    run_all(target / "00_start_here.ipynb")
    notebook = json.loads((target / "00_start_here.ipynb").read_bytes())
    notebook["cells"][1]["outputs"] = [new_output("error", ename="NameError", traceback=[])]
    (target / "00_start_here.ipynb").write_text(json.dumps(notebook))
    assert printed_progress(target, capsys)[0] == ["00_start_here", *"0 of 1".split()]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"01.1": 1}', b"null"])
def test_a_damaged_list_of_what_is_done_is_kept_aside(course, target, capsys, content):
    workspace.update(course, target)
    answered(target)
    path = target / ".progress.json"
    path.write_bytes(content)
    workspace.progress(target)
    assert "problem   .progress.json: damaged, kept as" in capsys.readouterr().out
    assert (target / ".progress.damaged.json").read_bytes() == content
    assert list(json.loads(path.read_bytes())) == ["01.1"]


def test_progress_of_the_folder_it_is_called_in(course, target, capsys, monkeypatch):
    workspace.update(course, target)
    monkeypatch.setattr(workspace, "course_root", lambda: course)
    monkeypatch.chdir(target)
    workspace.progress()
    assert "Done: 0 of 2 lessons" in capsys.readouterr().out
    monkeypatch.chdir(course)
    workspace.progress()
    assert "no lessons in workspace/ yet" in capsys.readouterr().out


def test_what_is_done_for_the_map_of_lesson_00(course, target, monkeypatch):
    workspace.update(course, target)
    monkeypatch.setattr(workspace, "course_root", lambda: course)
    monkeypatch.chdir(course / "notebooks")  # executed, but nobody's copy
    assert workspace.done() == set() and not list(course.rglob(".progress.json"))
    run_all(target / "01_first.ipynb")
    answered(target)
    monkeypatch.chdir(target)
    assert workspace.done() == {"01_first", "01.1"}


def test_progress_can_run_the_notebooks_and_leaves_them_alone(course, target):
    workspace.update(course, target)
    path = answered(target)
    before, files = path.read_bytes(), sorted(path.parent.iterdir())
    states = [task.state for task in workspace.task_states(path.parent, run=True)]
    assert states == ["done", "not done yet", "done"]
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == files


@pytest.mark.slow
def test_progress_reports_a_kernel_that_dies(course, target, capsys):
    workspace.update(course, target)
    path = answered(target)
    edit(path, "import os; os._exit(1)", cell=5)
    edit(path, "print('✓ 01.3 passed')", cell=6)
    notebook = json.loads(path.read_bytes())  # what was saved before does not count
    notebook["cells"][6]["outputs"] = [new_output("stream", text="✓ 01.3 passed\n")]
    path.write_text(json.dumps(notebook))
    states = [task.state for task in workspace.task_states(path.parent, run=True)]
    assert states == ["done", "not done yet", "not run"]
    assert "problem   01_first: Kernel died" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("01_first.ipynb", b"{", "01_first.ipynb is no notebook any more"),
        ("01_first.ipynb", None, "01_first.ipynb is missing"),
        ("recorded.npz", None, "recorded.npz is missing or damaged"),
        ("recorded.npz", b"PK\x03\x04", "recorded.npz is missing or damaged"),
        ("recorded.npz", b"", "recorded.npz is missing or damaged"),
    ],
)
def test_progress_names_what_is_damaged(course, target, capsys, name, content, message):
    workspace.update(course, target)
    path = target / "exercises/01_first" / name
    path.unlink() if content is None else path.write_bytes(content)
    workspace.progress(target)
    assert f"problem   01_first: {message}" in capsys.readouterr().out


def test_progress_without_lessons(target, capsys):
    workspace.progress(target)
    assert "no lessons in workspace/ yet" in capsys.readouterr().out
