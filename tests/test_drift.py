"""The tests of the tests: each way in which a notebook can drift turns the suite red.

A small lesson is executed as the course's are. Copies of it, changed in one way each, go
through the checks of form and, all in one run, through `pytest --nbval` as `make test` does it.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parents[1]


def load_form():
    spec = importlib.util.spec_from_file_location("form", ROOT / "tests" / "test_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


form = load_form()

HEADER = """# A small lesson
It shows that ten to the third is a thousand. You will be able to: count. About 1 minute.
Back to [this page](03_lesson.ipynb) or [the end](#Further-reading).

**Predict:** how large is it?"""
TAIL = """## On trial
## Where it breaks
## Summary
## Exercises
## Further reading
[A source](https://example.org/page)"""
FIGURE = "fig, ax = plt.subplots()\nax.plot([1, 2])\nplt.show()"
LESSON = [
    "import matplotlib.pyplot as plt\n\nfrom course_utils.claims import claim",
    "print('a number:', 10**3)",
    "growth = [11.31, 12.17]\nclaim('03.1', 'Right: it grows', growth, '>', 10, trial='C01')",
    "claim('03.2', 'It grows', 11.31, '>', 10)",
    "claim('03.3', 'It grows', 11.31, '>', 10)",
    "claim('03.4', 'It grows', 11.31, '>', 10)",
    "claim('03.5', 'It grows', 11.31, '>', 10)",
    "claim('03.6', 'It is a thousand', 10**3, '==', 1000)",
    "claim('03.7', 'It is a thousand', 10**3, '==', 1000)",
    "print(10**3)",
    FIGURE,
    FIGURE,
    FIGURE,
    "2 + 2",
]


# --- what is changed --------------------------------------------------------------------------


def sources(old, new, *, executed=True):
    """A change of the source; with `executed` the stored hash pretends that it was executed."""

    def edit(notebook, cell):
        assert old in cell["source"]
        cell["source"] = cell["source"].replace(old, new)
        if executed:
            hash = form.tool.sources_hash(notebook)
            notebook["metadata"]["through_time"] = {"sources": hash}

    return edit


def outputs(old, new):
    def edit(notebook, cell):
        (output,) = cell["outputs"]
        assert old in output["text"]
        output["text"] = output["text"].replace(old, new)

    return edit


def outputs_dropped(notebook, cell):
    cell["outputs"] = []


def picture_dropped(notebook, cell):
    (output,) = cell["outputs"]
    del output["data"]["image/png"]


def semicolon_added(notebook, cell):
    sources("2 + 2", "2 + 2;")(notebook, cell)
    cell["outputs"] = []


def stripped(notebook, cell=None):
    """As nbstripout leaves it."""
    for each in form.tool.code_cells(notebook):
        each["outputs"], each["execution_count"] = [], None


def tagged(tag):
    def edit(notebook, cell):
        cell["metadata"]["tags"] = [tag]

    return edit


# name: (code cell, change, whether nbval fails there, the checks of form that fail)
CHANGES = {
    "printed-number": (1, outputs("1000", "1001"), True, []),
    "measured-value-within-bound": (2, outputs("11.3", "10.7"), False, []),
    "measured-value-beyond-bound": (3, outputs("11.3", "9.7"), False, ["claims_hold"]),
    "bound-in-output": (4, outputs("> 10 ", "> 9 "), True, []),
    "bound-in-source": (5, sources("10)", "11)"), True, []),
    "claim-made-false": (6, sources("11.31", "9.31"), True, []),
    "sentence-in-output": (7, outputs("a thousand", "a million"), True, []),
    "claim-line-dropped": (8, outputs_dropped, True, ["claims_are_printed"]),
    "not-executed": (9, sources("10**3", "1000", executed=False), False, ["executed_as_it_is"]),
    "figure-dropped": (10, outputs_dropped, True, ["plots_have_figures"]),
    "picture-dropped": (11, picture_dropped, False, ["plots_have_figures"]),
    "plot-call-removed": (12, sources(FIGURE, "fig = None"), True, []),
    "semicolon-added": (13, semicolon_added, False, ["no_semicolons"]),
}
# What nbval does not see at all.
FORM_ONLY = {
    "untouched": (0, lambda notebook, cell: None, False, []),
    "claim-not-compared": (2, tagged("nbval-ignore-output"), False, ["claims_are_compared"]),
    "cell-skipped": (1, tagged("nbval-skip"), False, ["nothing_skipped"]),
    "stripped": (
        0,
        stripped,
        False,
        ["executed_in_order", "has_outputs", "claims_are_printed", "plots_have_figures"],
    ),
}


# --- running ----------------------------------------------------------------------------------


def run(*arguments, cwd, **env):
    """Run Python as on a developer's machine: no setting of the outer pytest is inherited."""
    inherited = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST_")}
    inherited |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "Agg"} | env
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=inherited,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=200,
    )


def save(path, cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_markdown_cell(HEADER), *map(new_code_cell, cells), new_markdown_cell(TAIL)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def messy(path):
    """A notebook with what an editor and a run leave behind."""
    save(path, ["print('\\x1b[1mbold\\x1b[0m')", ""])
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"] = {"kernelspec": {"name": "mine", "display_name": "Mine"}, "vscode": {}}
    notebook["cells"][1]["metadata"] = {"execution": {"a": "b"}, "scrolled": True, "tags": ["x"]}
    path.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """The lesson, executed and normalized by tools/notebooks.py."""
    path = save(tmp_path_factory.mktemp("lesson") / "03_lesson.ipynb", LESSON)
    done = run(ROOT / "tools" / "notebooks.py", ".", cwd=path.parent)
    assert done.returncode == 0, done.stdout
    return path


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A folder with notebooks that went through tools/notebooks.py, and what that printed."""
    folder = tmp_path_factory.mktemp("executed")
    save(folder / "again" / "03_lesson.ipynb", LESSON)
    save(folder / "fails" / "03_fails.ipynb", ["print('begun')", "1 / 0"])
    save(folder / "stderr" / "03_stderr.ipynb", ["import sys\nprint('oh', file=sys.stderr)"])
    messy(folder / "messy" / "03_messy.ipynb")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run(ROOT / "tools" / "notebooks.py", ".", cwd=folder)
    return folder, before, done


@pytest.fixture(scope="module")
def nbval(lesson, tmp_path_factory):
    """{notebook: {failed code cell: message}} from one run of nbval.

    nbval judges each cell by itself, so one copy of the lesson carries all CHANGES, each in a cell
    of its own.
    """
    folder = tmp_path_factory.mktemp("drift")
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "notebooks").mkdir()
    names = ("untouched", "changed", "stripped", "dead", "endless")
    notebooks = {name: form.tool.read(lesson) for name in names}
    for number, change, _, _ in CHANGES.values():
        change(notebooks["changed"], form.tool.code_cells(notebooks["changed"])[number])
    stripped(notebooks["stripped"])
    for name, source, tags in (
        ("dead", "import os\nos._exit(1)", []),
        ("endless", "while True:\n    pass", ["timeout-1"]),
    ):
        cell = new_code_cell(source, execution_count=1, metadata={"tags": tags})
        notebooks[name]["cells"] = [cell]
    for name, notebook in notebooks.items():
        text = form.tool.serialized(notebook)
        (folder / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    done = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", "report.xml"),
        *("--nbval", "--nbval-current-env", "--nbval-cell-timeout", "60", "--rootdir", "."),
        *("--nbval-sanitize-with", ROOT / "tests" / "nbval_sanitize.cfg", "notebooks"),
        cwd=folder,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    result = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        failed = result.setdefault(case.get("classname").split(".")[-2], {})
        if len(case):
            failed[int(case.get("name").removeprefix("Cell "))] = case[0].get("message")
    assert sorted(result) == sorted(names), done.stdout
    return result


@pytest.mark.slow
def test_an_untouched_lesson_is_green(nbval):
    assert nbval["untouched"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_nbval_sees_the_change(name, nbval):
    number, _, red, _ = CHANGES[name]
    assert (number in nbval["changed"]) == red, nbval["changed"].get(number)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES | FORM_ONLY)
def test_the_form_shows_the_change(name, lesson, tmp_path):
    number, change, _, expected = (CHANGES | FORM_ONLY)[name]
    notebook = form.tool.read(lesson)
    change(notebook, form.tool.code_cells(notebook)[number])
    path = tmp_path / "03_lesson.ipynb"
    path.write_text(form.tool.serialized(notebook), encoding="utf-8")
    found = form.faults(form.load(path), path)
    assert sorted(found) == sorted(expected), found


def test_every_harmful_change_turns_something_red():
    for name, (_, _, red, faults) in CHANGES.items():
        assert (red or bool(faults)) == (name != "measured-value-within-bound")


@pytest.mark.slow
def test_nbval_lets_a_stripped_notebook_pass(nbval):
    assert nbval["stripped"] == {}  # when this fails, the form need not look any more


@pytest.mark.slow
def test_nbval_says_why(nbval):
    assert "execution caused an exception" in nbval["changed"][6]
    assert "outputs differ" in nbval["changed"][1]
    assert "The kernel died" in nbval["dead"][0]
    assert "Timeout of 1 seconds" in nbval["endless"][0]


# --- what nbval may not see -------------------------------------------------------------------

CLAIM = "✓ 03.1 [C01] Right: it grows | > 10 | measured 11.3 to 12.2"


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (CLAIM, CLAIM.replace("11.3 to 12.2", "10.8"), True),
        (f"{CLAIM}\nnext 1", f"{CLAIM}\nnext 2", False),
        (CLAIM, CLAIM.replace("> 10", "> 11"), False),
        (CLAIM, CLAIM.replace("> 10", ">= 10"), False),
        (CLAIM, CLAIM.replace("grows", "grew"), False),
        (CLAIM, CLAIM.replace("C01", "C02"), False),
        (CLAIM, CLAIM.partition(" | measured")[0], False),
        ("loss 0.1 | measured 11", "loss 0.1 | measured 12", False),
        ("✓ 03.1 passed", "✓ 03.2 passed", False),
        ("3ms/step, 12s", "4ms/step, 15.2s", True),
        ("12 steps", "13 steps", False),
        ("\x1b[1mbold\x1b[0m", "bold", True),
        ("line  \nnext", "line\nnext ", True),
        ("<object at 0x7f01234567>", "<object at 0x7f89abcdef>", True),
        ("bits 0x7f800000", "bits 0x7f800001", False),
    ],
)
def test_the_sanitizer_hides_only_what_varies(left, right, same):
    text = (ROOT / "tests" / "nbval_sanitize.cfg").read_text(encoding="utf-8")
    patterns = get_sanitize_patterns(text)
    assert len(patterns) == text.count("\nregex: ")
    for regex, replace in patterns:
        left, right = re.sub(regex, replace, left), re.sub(regex, replace, right)
    assert (left == right) == same


# --- exercises --------------------------------------------------------------------------------


def exercise():
    """The smallest notebook that the checks of nbgrader's metadata accept."""

    def cell(make, source, id, **kind):
        flags = {"grade": False, "solution": False, "locked": False, "task": False}
        nbgrader = flags | {"schema_version": 3, "grade_id": id} | kind
        return make(source, metadata={"nbgrader": nbgrader})

    cells = []
    for number in range(1, 5):
        answer = f"### BEGIN SOLUTION\nx = {number}\n### END SOLUTION"
        check = f"assert x\n### BEGIN HIDDEN TESTS\nassert x == {number}\n### END HIDDEN TESTS"
        cells.append(cell(new_code_cell, answer, f"answer-{number}", solution=True))
        graded = {"grade": True, "locked": True, "points": 1}
        cells.append(cell(new_code_cell, check, f"check-{number}", **graded))
    cells.append(new_markdown_cell("Why? Rubric: one point for a reason."))
    cells.append(cell(new_markdown_cell, "Because.", "open", grade=True, solution=True, points=1))
    return new_notebook(cells=cells)


def meta(number, **changes):
    return lambda cells: cells[number]["metadata"]["nbgrader"].update(changes)


def text(number, old, new):
    return lambda cells: cells[number].update(source=cells[number]["source"].replace(old, new))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda cells: None, []),
        (meta(3, grade_id="check-1"), ["nbgrader_metadata"]),
        (meta(1, points=None), ["nbgrader_metadata"]),
        (meta(1, points=0), ["nbgrader_metadata"]),
        (meta(9, points="1"), ["nbgrader_metadata"]),
        (meta(0, schema_version=2), ["nbgrader_metadata"]),
        (meta(1, locked=False), ["nbgrader_metadata"]),
        (text(0, "### END SOLUTION", ""), ["markers_balanced"]),
        (text(1, "### END HIDDEN TESTS", "### BEGIN HIDDEN TESTS"), ["markers_balanced"]),
        (text(0, "### BEGIN", "# BEGIN"), ["markers_balanced"]),
        (text(1, "HIDDEN TESTS", "TESTS"), ["checks_have_hidden_tests"]),
        (meta(0, solution=False), ["solutions_are_cut"]),
        (text(0, "SOLUTION", "ANSWER"), ["solutions_are_cut"]),
        (lambda cells: cells.pop(1), ["enough_tasks"]),
        (text(8, "Rubric", "Points"), ["enough_tasks"]),
        (lambda cells: cells.pop(9), ["enough_tasks"]),
    ],
)
def test_a_faulty_exercise_is_seen(change, expected):
    notebook = exercise()
    change(notebook["cells"])
    path = Path("notebooks/exercises/03_drift/03_drift.ipynb")
    found = {check.__name__: check(notebook, path) for check in form.EXERCISE}
    assert sorted(name for name, faults in found.items() if faults) == expected, found


# --- lessons ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("# A small", "A small", ["recipe_followed"]),
        ("You will be able to", "It is nice to", ["recipe_followed"]),
        ("1 minute", "short", ["recipe_followed"]),
        ("**Predict:**", "Guess", ["recipe_followed"]),
        ("## On trial", "## Trial", ["recipe_followed"]),
        ("## Summary", "Summary", ["recipe_followed"]),
        ("(03_lesson.ipynb)", "(04_lesson.ipynb)", ["links_resolve"]),
        ("#Further-reading", "#Nowhere", ["links_resolve"]),
        ("https://example", "http://example", ["links_resolve"]),
    ],
)
def test_a_faulty_page_is_seen(old, new, expected, lesson, tmp_path):
    path = tmp_path / lesson.name
    text = lesson.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert sorted(form.faults(form.load(path), path)) == expected


# --- make notebooks ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_tool_says_what_it_did(executed):
    _, _, done = executed
    assert done.returncode == 1
    assert "cell 2 fails\n1 / 0\n" in done.stdout
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert "cell 1 writes to stderr:\noh" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.endswith(" s")]) == 2


@pytest.mark.slow
def test_a_notebook_that_must_not_be_committed_is_left_as_it_was(executed):
    folder, before, _ = executed
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files == set(before)
    same = {path.stem for path in files if path.read_bytes() == before[path]}
    assert same == {"03_fails", "03_stderr"}


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(executed, lesson):
    again = executed[0] / "again" / lesson.name
    assert again.read_bytes() == lesson.read_bytes()


@pytest.mark.slow
def test_normal_form_has_no_trace_of_the_run(executed):
    path = executed[0] / "messy" / "03_messy.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert [cell["id"] for cell in notebook["cells"]] == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert sorted(notebook["metadata"]) == ["kernelspec", "language_info", "through_time"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["cells"][1]["metadata"] == {"tags": ["x"]}
    assert notebook["cells"][1]["outputs"][0]["text"] == ["bold\n"]
    assert notebook["cells"][2]["execution_count"] is None


@pytest.mark.slow
def test_check_lists_what_is_out_of_date(executed):
    folder, _, _ = executed
    before = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    done = run(ROOT / "tools" / "notebooks.py", "--check", ".", cwd=folder)
    assert done.returncode == 1
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == {
        "03_fails.ipynb",
        "03_stderr.ipynb",
    }
    assert "the code changed since it was executed" in done.stdout
    assert before == {path: path.read_bytes() for path in folder.rglob("*.ipynb")}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"in {ROOT / 'tests'}", True),
        ("/" + "home/me/course", True),
        ("File '/usr/lib/python3'", True),
        ("C:\\Users\\me", True),
        ("https://example.org/home/page", False),
        ("dL/dh, 1/2, ../datasets/digits.npz, /gpu:0, and/or", False),
    ],
)
def test_paths_of_this_machine_are_seen(text, shown):
    output = {"output_type": "stream", "name": "stdout", "text": text}
    cell = new_code_cell("print()", outputs=[nbformat.from_dict(output)])
    found = form.tool.problems(new_notebook(cells=[cell]))
    assert any("shows an absolute path" in fault for fault in found) == shown


def test_a_large_notebook_is_refused():
    output = {"output_type": "stream", "name": "stdout", "text": "many words\n" * 50_000}
    cell = new_code_cell("print()", outputs=[nbformat.from_dict(output)])
    (found,) = form.tool.problems(new_notebook(cells=[cell]))
    assert "the limit is 400 kB" in found


# --- skipped tests ----------------------------------------------------------------------------

SKIPPING = """
import pytest

def test_passes():
    pass

def test_skip():
    pytest.skip("not today")

@pytest.mark.skip
def test_mark():
    pass

def test_xfail():
    pytest.xfail("not yet")

@pytest.mark.xfail(run=False)
def test_not_run():
    pass

@pytest.mark.xfail
def test_known_fault():
    assert False

def test_accelerator():
    pytest.skip("needs a GPU")

@pytest.mark.skip(reason="no accelerator found")
def test_accelerator_mark():
    pass
"""


MODULE = "import pytest\npytest.skip({reason!r}, allow_module_level=True)\n"


@pytest.mark.parametrize(
    ("ci", "failing"),
    [
        pytest.param(
            "true",
            ["test_mark", "test_module", "test_not_run", "test_skip", "test_xfail"],
            marks=pytest.mark.slow,
        ),
        pytest.param("false", [], marks=pytest.mark.slow),
    ],
)
def test_in_ci_a_skipped_test_fails(ci, failing, tmp_path):
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(SKIPPING)
    (tmp_path / "test_module.py").write_text(MODULE.format(reason="no such package"))
    (tmp_path / "test_device.py").write_text(MODULE.format(reason="no accelerator here"))
    done = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", "report.xml"),
        *("--continue-on-collection-errors", "--rootdir", "."),
        cwd=tmp_path,
        CI=ci,
    )
    assert done.returncode == (1 if failing else 0), done.stdout + done.stderr
    red = [
        case.get("name")
        for case in ElementTree.parse(tmp_path / "report.xml").iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    assert sorted(red) == failing
    assert ("the reason must name it" in done.stdout) == bool(failing)
