"""The instructor's week on a small assignment: release, five students, grades, feedback."""

import csv
import json
import os
import re
import shutil

import grading_testing as students
import nbformat
import pytest
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import default as exchange
from traitlets.config import PyFileConfigLoader

from grading import sandbox
from grading.__main__ import main
from grading.grade import grade
from grading.gradebook import Book, configuration
from grading.judge import judge
from grading.lesson import ROOT, Places, column, load, role
from grading.release import leaks, lint, release
from grading.rubrics import rubrics
from grading.runner import decode, encode
from grading.submissions import find, restored

needs_sandbox = pytest.mark.skipif(
    not sandbox.available(), reason=f"no sandbox: {sandbox.why_unavailable()}"
)
SETTINGS = """
[limits]
cell_seconds = 5
[lesson.01]
tasks = ["01.1", "01.3", "01.4", "01.12"]
points = {"01.4" = 5}
hidden_seeds = [77, 78]
"""
OTHERWISE = """
def rnn_forward(x, W_x, W_h, b, h0):
    h = np.array(h0)
    out = np.empty((x.shape[0], x.shape[1], h.shape[1]))
    for t, x_t in enumerate(np.moveaxis(x, 1, 0)):
        h = np.tanh(np.einsum("bd,dn->bn", x_t, W_x) + np.einsum("bm,mn->bn", h, W_h) + b)
        out[:, t] = h
    return [out, out[:, -1]]
"""
WITHOUT_BIAS = """
def rnn_forward(x, W_x, W_h, b, h0):
    states = []
    for t in range(x.shape[1]):
        h0 = np.tanh(x[:, t] @ W_x + h0 @ W_h)
        states.append(h0)
    return np.stack(states, axis=1), h0
"""
SCRIPT = "<script>alert(1)</script>"
HOSTILE = """
import os
from course_utils import exercises
exercises.Exercise._compare = lambda *a: exercises.Result(True, "passed")
np.isclose = np.allclose = lambda *a, **k: True
def all_states(*arguments):
    os._exit(0)
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return Places(tmp_path_factory.mktemp("course") / "build")


@pytest.fixture(scope="module")
def lesson(places):
    places.build.mkdir(exist_ok=True)
    config = places.build / "course.toml"
    config.write_text(SETTINGS)
    return load("01", places, config)


@pytest.fixture(scope="module")
def files(lesson, places):
    released = release(lesson, places)
    shutil.copy(places.nbgrader / "gradebook.db", places.build / "no_submissions.db")
    return released


@pytest.fixture
def elsewhere(places, files, tmp_path):
    """Other places, with a grade book, which takes seconds to make."""
    (tmp_path / "build" / "nbgrader").mkdir(parents=True)
    shutil.copy(
        places.build / "no_submissions.db", tmp_path / "build" / "nbgrader" / "gradebook.db"
    )
    return Places(tmp_path / "build")


@pytest.fixture(scope="module")
def week(lesson, places, files, tmp_path_factory):
    """Five students and some accidents, graded: (folder of outcomes, submissions, lines said)."""
    folder, right = tmp_path_factory.mktemp("handed in"), students.solved(lesson)
    essay = {"open-01-12": f"Because {SCRIPT} of the mask, $a<b$, [x](javascript:alert(1))."}
    students.hand_in(folder, "Ann Right", students.filled(files, right, essay), lesson)
    other = students.filled(files, right | {"01.4": OTHERWISE})
    students.hand_in(folder, "=Zoë, Other/ways".replace("/", "⁄"), other, lesson)
    partly = right | {"01.3": f"raise ValueError('{SCRIPT}')", "01.4": WITHOUT_BIAS}
    students.hand_in(folder, "Pat Partly", students.filled(files, partly), lesson)
    students.hand_in(folder, "blank", students.filled(files, {}), lesson)
    hostile = students.filled(files, right | {"01.3": HOSTILE})
    students.hand_in(folder, "hostile", hostile, lesson)
    students.hand_in(folder, "broken", b'{"cells": [', lesson)
    (folder / "nothing").mkdir()
    flat = folder / f"doe_jane_17_{lesson.name}.ipynb"
    flat.write_bytes(students.content(students.filled(files, students.solved(lesson, "01.1"))))
    (folder / "participants.csv").write_text("not a submission")
    said = []
    return grade(lesson, places, folder, log=said.append), folder, said


def table(target):
    text = (target / "grades.csv").read_text("utf-8-sig")
    return {row["student"]: row for row in csv.DictReader(text.splitlines())}


# --- release --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_settings_choose_tasks_and_points(lesson, files):
    assert list(lesson.exercises) == ["01.1", "01.3", "01.4"]
    notebook = json.loads((files / f"{lesson.name}.ipynb").read_text("utf-8"))
    roles = {role(cell)["grade_id"]: role(cell) for cell in notebook["cells"] if role(cell)}
    assert roles["check-01-4"]["points"] == 5
    assert "check-01-2" not in roles and "open-01-12" in roles


@pytest.mark.slow
def test_students_get_a_notebook_and_a_record(lesson, files):
    assert sorted(os.listdir(files)) == [f"{lesson.name}.ipynb", "recorded.npz"]
    nbformat.validate(nbformat.read(files / f"{lesson.name}.ipynb", as_version=4))
    assert leaks(lesson, files) == []


@pytest.mark.slow
def test_leaks_are_found(lesson, files, tmp_path):
    notebook = students.filled(files, students.solved(lesson, "01.4"))
    (tmp_path / "a.ipynb").write_bytes(students.content(notebook))
    assert any("holds a line of answer-01-4: " in fault for fault in leaks(lesson, tmp_path))
    (tmp_path / "a.ipynb").write_bytes(students.content(lesson.notebook))
    faults = "\n".join(leaks(lesson, tmp_path))
    assert "check-01-4: tasks" in faults and "holds a marker" in faults
    (tmp_path / "a.ipynb").unlink()
    (tmp_path / "a.txt").write_bytes(lesson.checks[0].read_bytes())
    assert any("a.txt: holds a line of checks.py" in fault for fault in leaks(lesson, tmp_path))
    (tmp_path / "a.txt").rename(tmp_path / "checks.py")
    assert any("not handed out" in fault for fault in leaks(lesson, tmp_path))


def _with(lesson, id, **changes):
    notebook = json.loads(json.dumps(lesson.notebook))
    for cell in notebook["cells"]:
        if role(cell).get("grade_id") == id:
            cell["source"] = changes.get("source", cell["source"])
            role(cell).update(changes.get("role", {}))
    return notebook


@pytest.mark.parametrize(
    ("id", "changes", "fault"),
    [
        ("check-01-4", {"role": {"points": 0}}, "needs points"),
        ("check-01-4", {"role": {"grade_id": "check-01-3"}}, "same grade_id"),
        ("answer-01-4", {"source": "def rnn_forward(): ..."}, "needs its markers"),
        ("answer-01-4", {"source": "### BEGIN SOLUTION\n"}, "do not match"),
        ("answer-01-4", {"role": {"solution": False}}, "where nbgrader would leave it"),
        ("check-01-4", {"source": 'tasks["01.4"].check(f, seed=1)'}, "outside HIDDEN TESTS"),
    ],
)
def test_metadata_are_linted(lesson, id, changes, fault):
    assert lint(lesson.notebook) == []
    assert any(fault in found for found in lint(_with(lesson, id, **changes)))


@pytest.mark.slow
def test_a_task_that_needs_a_dropped_one_is_refused(elsewhere, tmp_path):
    config = tmp_path / "course.toml"
    config.write_text('[lesson.06]\ntasks = ["06.5"]\n')
    with pytest.raises(ValueError, match=r"06\.5: the solution is graded False: .*lstm_step"):
        release(load("06", elsewhere, config), elsewhere)
    assert not (elsewhere.nbgrader / "release" / "06_lstm").exists()
    whole = load("06", elsewhere)
    given = release(whole, elsewhere)
    before = {path: path.read_bytes() for path in given.iterdir()}
    with pytest.raises(ValueError, match="has faults"):
        release(load("06", elsewhere, config), elsewhere)
    assert {path: path.read_bytes() for path in given.iterdir()} == before  # handed out already
    assert release(whole, elsewhere) == given and len(list(given.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[lesson.01]\ntasks = ["01.99"]', "`tasks` must be tasks"),
        ('[lesson.01]\npoints = {"01.12" = 3}', "`points` must be positive numbers"),
        ('[lesson.01]\npoints = {"01.1" = -3}', r"01\.1 = -3"),
        ("[lesson.01]\nseed = 3", "no setting has this name. Received: seed"),
        ("[limit]\nseconds = 3", "no setting has this name. Received: limit"),
        ("[limits]\n[limits]", r"course\.toml: Cannot declare"),
    ],
)
def test_settings_that_do_not_fit_are_refused(places, tmp_path, text, fault):
    config = tmp_path / "course.toml"
    config.write_text(text)
    with pytest.raises(ValueError, match=fault):
        load("01", places, config)


@pytest.mark.slow
def test_own_tasks_and_hidden_checks(elsewhere, tmp_path):
    own = tmp_path / "private" / "01_vanilla_rnn"
    own.mkdir(parents=True)
    (own / "checks.py").write_text(OWN_CHECKS)
    cells = [
        nbformat.v4.new_markdown_cell("## 01.20 Build: the sum over time"),
        nbformat.v4.new_code_cell(
            "def total(x):\n    ### BEGIN SOLUTION\n    return x.sum(axis=1)\n    ### END SOLUTION",
            metadata=_role("answer-01-20", solution=True),
        ),
        nbformat.v4.new_code_cell(
            'tasks["01.20"].check(total)\n### BEGIN HIDDEN TESTS\n'
            'tasks["01.20"].check(total, seed=5)\n### END HIDDEN TESTS',
            metadata=_role("check-01-20", grade=True, locked=True, points=2),
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), own / "01_vanilla_rnn.ipynb")
    (tmp_path / "course.toml").write_text('[lesson.01]\ntasks = ["01.3", "01.20", "01.1"]\n')
    adapted = load("01", elsewhere, tmp_path / "course.toml")
    assert list(adapted.exercises) == ["01.3", "01.20", "01.1"]
    assert adapted.hidden["01.1"][0].inputs == [(1, 1, 2, 3), (50, 60, 7, 9)]
    given = release(adapted, elsewhere)
    notebook = students.filled(given, students.solved(adapted))
    text = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"])
    own_first, public = text.index("## 01.20 Build: the sum"), text.index('tasks["01.3"].check(')
    assert public < own_first < text.index("def total") < text.index("## 01.1 ")
    assert "## 01.2 " not in text and "## 01.4 " not in text
    _, code = restored(students.content(notebook), adapted)
    verdicts = judge(adapted, code, given, isolated=False)
    assert all(verdict.passed for verdict in verdicts.values())


def _role(id, **changes):
    plain = {"grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": plain | {"grade_id": id, "schema_version": 3} | changes}


OWN_CHECKS = """
import numpy as np
from course_utils.exercises import Exercise, Mistake

def total(x):
    return x.sum(axis=1)

EXERCISES = [
    Exercise("01.20", total, lambda rng: [(rng.normal(size=(2, 3, 4)),)],
             [Mistake(lambda x: x.sum(axis=0), "You summed over the batch.")], ["An axis."]),
]
HIDDEN = {"01.1": lambda rng: [(1, 1, 2, 3), (50, 60, 7, 9)]}
"""


# --- grades ---------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_sandbox
def test_five_kinds_of_students(week):
    rows = table(week[0])
    assert {name: row["total"] for name, row in rows.items()} == {
        "'=Zoë, Other⁄ways": "8",
        "Ann Right": "8",
        "Pat Partly": "1",
        "blank": "0",
        "broken": "0",
        "doe_jane_17": "1",
        "hostile": "6",
        "nothing": "0",
    }
    row = rows["Ann Right"]
    assert (row["01.1"], row["01.3"], row["01.4"], row["01.12"]) == ("1", "2", "5", "")
    assert row["waiting for a person"] == "4" and row["maximum"] == "12"
    assert rows["blank"]["note"] == "" and rows["blank"]["waiting for a person"] == "0"
    assert "no notebook" in rows["broken"]["note"]
    assert "must hold one notebook" in rows["nothing"]["note"]
    assert len({row["id"] for row in rows.values()}) == len(rows)


@pytest.mark.slow
@needs_sandbox
def test_feedback_names_the_mistake_and_hides_the_check(week, lesson):
    rows = table(week[0])
    pages = {
        name: (week[0] / "feedback" / f"{row['id']}.html").read_text("utf-8")
        for name, row in rows.items()
    }
    bias = next(m for m in lesson.exercises["01.4"].mistakes if "bias" in m.sentence).sentence
    assert bias[:30] in pages["Pat Partly"]
    assert "`all_states` is not defined" in pages["Pat Partly"]
    assert "not done yet" in pages["blank"]
    assert "ended the process" in pages["hostile"]
    assert ">01.4</a> (Score: 0.0 / 5.0)" in pages["Pat Partly"]
    assert ">01.12</a> (Score: 0.0 / 4.0)" in pages["blank"]
    assert "return np.stack(states, axis=1), h\n" not in pages["blank"]
    for page in pages.values():
        assert "seed=" not in page and "HIDDEN" not in page and "SOLUTION" not in page
        assert "<script>alert(1)" not in page and 'href="javascript' not in page


@pytest.mark.slow
@needs_sandbox
def test_the_summary(week):
    text = (week[0] / "summary.md").read_text("utf-8")
    assert text.startswith("# 01_vanilla_rnn: 8 submissions\n")
    assert "1 × 01.4: " in text and "| 01.1 | 62 % |" in text
    assert re.search(r"- `broken`: the file is no notebook", text)


@pytest.mark.slow
@needs_sandbox
def test_again_changes_only_what_changed(week, lesson, places, files, monkeypatch):
    target, folder, said = week
    assert len(said) == 8 and "8 of 8" in said[-1]
    before = (target / "grades.csv").read_bytes()
    pages = {path: path.stat().st_mtime_ns for path in (target / "feedback").iterdir()}
    run = []

    def judged(lesson, code, files, **options):
        run.append(code)
        return judge(lesson, code, files, **options)

    monkeypatch.setattr("grading.grade.judge", judged)
    grade(lesson, places, folder, log=str)
    assert run == [] and (target / "grades.csv").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in (target / "feedback").iterdir()} == pages

    book = Book(places, lesson)
    with book.open() as db:  # a person gives points in the Formgrader
        db.find_grade("open-01-12", lesson.name, lesson.name, "blank").manual_score = 3
        db.db.commit()
    better = students.filled(files, students.solved(lesson, "01.1", "01.3"))
    (folder / "Pat Partly" / f"{lesson.name}.ipynb").write_bytes(students.content(better))
    grade(lesson, places, folder, log=str)
    rows = table(target)
    assert len(run) == 1 and rows["Pat Partly"]["total"] == "3"
    assert rows["blank"]["total"] == "3" and rows["Ann Right"]["total"] == "8"
    changed = {path.stem for path, time in pages.items() if path.stat().st_mtime_ns != time}
    assert changed == {"blank", rows["Pat Partly"]["id"]}


@pytest.mark.slow
@needs_sandbox
def test_points_can_be_changed_after_grading(week, lesson, places, files):
    target, folder, _ = week
    config = places.build / "course.toml"
    config.write_text(SETTINGS.replace('"01.4" = 5', '"01.4" = 9'))
    grade(load("01", places, config), places, folder, log=str)
    row = table(target)["Ann Right"]
    assert (row["01.4"], row["maximum"]) == ("9", "16")


@pytest.mark.slow
def test_points_given_by_hand_stay(lesson, elsewhere, files, tmp_path):
    right, essay = students.solved(lesson), {"open-01-12": "Because of the mask."}
    answers = right | {"01.3": "raise ValueError"}
    path = students.hand_in(tmp_path / "in", "Ann", students.filled(files, answers, essay), lesson)

    def row(lesson, answers, essay):
        path.write_bytes(students.content(students.filled(files, answers, essay)))
        return table(grade(lesson, elsewhere, path.parents[1], isolated=False, log=str))["Ann"]

    assert row(lesson, answers, essay)["waiting for a person"] == "4"
    with Book(elsewhere, lesson).open() as db:  # as the Formgrader does
        for name, points in (("open-01-12", 3), ("check-01-3", 1.5)):
            found = db.find_grade(name, lesson.name, lesson.name, "Ann")
            found.manual_score, found.needs_manual_grade = points, False
        db.db.commit()
    config = tmp_path / "course.toml"
    config.write_text(SETTINGS.replace('"01.4" = 5', '"01.4" = 9'))
    other, new = load("01", elsewhere, config), {"open-01-12": "Because of the padding."}
    for now in (
        row(lesson, answers, essay),
        row(lesson, answers | {"01.4": WITHOUT_BIAS}, essay),  # handed in again
        row(other, answers, essay),  # other points for another task
        row(lesson, answers, essay),
    ):
        assert (now["01.3"], now["01.12"], now["waiting for a person"]) == ("1.5", "3", "0")
    now = row(lesson, answers, new)
    assert (now["01.3"], now["01.12"], now["waiting for a person"]) == ("1.5", "", "4")
    now = row(lesson, right, essay)
    assert (now["01.3"], now["waiting for a person"]) == ("", "6")  # look again: it passes now


@pytest.mark.slow
def test_an_older_grade_book_is_brought_up_to_date(lesson, elsewhere, files, places, tmp_path):
    path = students.hand_in(tmp_path / "in", "Ann", students.filled(files, {}), lesson)
    total = lambda: table(  # noqa: E731
        grade(lesson, elsewhere, path.parents[1], isolated=False, log=str)
    )["Ann"]["total"]
    assert total() == "0"
    book = elsewhere.nbgrader / "gradebook.db"
    shutil.copy(book, tmp_path / "older.db")
    better = students.filled(files, students.solved(lesson, "01.1", "01.3"))
    path.write_bytes(students.content(better))
    assert total() == "3"
    for older in (tmp_path / "older.db", places.build / "no_submissions.db"):
        shutil.copy(older, book)
        assert total() == "3"
    book.unlink()
    assert total() == "3"


@pytest.mark.slow
@needs_sandbox
def test_an_interrupted_run_goes_on(lesson, elsewhere, files, tmp_path, monkeypatch):
    folder = tmp_path / "handed in"
    for number in range(4):
        students.hand_in(folder, f"s{number}", students.filled(files, {}), lesson)
    said, run = [], []

    def interrupt(line):
        said.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(lesson, elsewhere, folder, workers=1, log=interrupt)
    assert not (elsewhere.grades("01") / "grades.csv").exists()
    monkeypatch.setattr("grading.grade.judge", lambda *a, **k: run.append(a) or judge(*a, **k))
    target = grade(lesson, elsewhere, folder, workers=1, log=str)
    assert len(run) < 4 and len(table(target)) == 4
    assert not list(target.rglob("*.partial"))


@pytest.mark.slow
def test_odd_names_and_endless_texts_stop_nothing(lesson, elsewhere, files, tmp_path):
    folder = tmp_path / "handed in"
    endless = students.filled(files, students.solved(lesson))
    for text in ("\\[" * 10**5, "a." * 10**5, " " * 10**5, "<a" * 10**5):
        endless["cells"].append({"cell_type": "markdown", "source": text, "metadata": {}})
        endless["cells"].append({"cell_type": "code", "source": text, "metadata": {}})
    students.hand_in(folder, "endless", endless, lesson)
    code = "raise ValueError('\\ud800 \\x00 \\x1b[31m' + 'x' * 10**6)"
    students.hand_in(folder, "odd", students.filled(files, {"01.3": code}), lesson)
    marked = students.filled(files, students.solved(lesson))
    for mark in ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS", "### BEGIN MARK SCHEME"):
        marked["cells"].insert(3, {"cell_type": "code", "source": mark, "metadata": {}})
        marked["cells"].insert(3, {"cell_type": "markdown", "source": mark, "metadata": {}})
    students.hand_in(folder, "marked", marked, lesson)
    (other,) = ROOT.glob("notebooks/exercises/02_*/*.ipynb")
    students.hand_in(folder, "other", other.read_bytes(), lesson)
    os.mkdir(os.path.join(os.fsencode(folder), b'\xff\n\x1b[31m,"='))
    rows = table(grade(lesson, elsewhere, folder, isolated=False, log=str))
    assert rows["endless"]["total"] == "8"
    assert rows["marked"]["total"] == "8"
    assert "is it another lesson's notebook?" in rows["other"]["note"]
    assert not rows["odd"]["note"]
    assert sorted(row["total"] for row in rows.values()) == ["0", "0", "0", "8", "8"]


@pytest.mark.slow
def test_the_machines_fault_costs_no_points(lesson, elsewhere, files, tmp_path, monkeypatch):
    folder, right = tmp_path / "handed in", students.filled(files, students.solved(lesson))
    for name in ("lucky", "unlucky"):
        students.hand_in(folder, name, right, lesson)
    started, session = [], sandbox.Session

    def start(*arguments, **options):
        started.append(1)
        if len(started) > 1:
            raise OSError("no memory")
        return session(*arguments, **options)

    release(lesson, elsewhere)
    with monkeypatch.context() as patched:
        patched.setattr(sandbox, "Session", start)
        patched.setattr("grading.judge.time.sleep", lambda seconds: None)
        with pytest.raises(RuntimeError, match=r"Run it again: .*\nunlucky: no process"):
            grade(lesson, elsewhere, folder, isolated=False, workers=1, log=str)
    assert list(table(elsewhere.grades("01"))) == ["lucky"]
    rows = table(grade(lesson, elsewhere, folder, isolated=False, log=str))
    assert [row["total"] for row in rows.values()] == ["8", "8"]


@pytest.mark.slow
@needs_sandbox
def test_nbgraders_exchange_carries_it_both_ways(lesson, elsewhere, files, tmp_path, monkeypatch):
    """Released, fetched, submitted, collected, graded, and the feedback fetched, as on a hub."""
    release(lesson, elsewhere)
    config = configuration(elsewhere.build)
    config.Exchange.root, config.Exchange.cache = str(tmp_path / "exchange"), str(tmp_path / "seen")
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange").chmod(0o777)
    student = tmp_path / "student"
    student.mkdir()
    monkeypatch.chdir(student)

    def step(name):
        course = CourseDirectory(config=config, assignment_id=lesson.name)
        options = {"coursedir": course, "authenticator": Authenticator(config=config)}
        app = getattr(exchange, f"Exchange{name}")(config=config, **options)
        app.assignment_dir = str(student)
        app.start()

    step("ReleaseAssignment")
    step("FetchAssignment")
    fetched = student / lesson.name
    answered = students.filled(fetched, students.solved(lesson, "01.1"))
    (fetched / f"{lesson.name}.ipynb").write_bytes(students.content(answered))
    step("Submit")
    step("Collect")
    folder = elsewhere.nbgrader / "submitted"
    students.hand_in(folder, "by mail", students.filled(files, {}), lesson)
    rows = table(grade(lesson, elsewhere, folder, log=str))
    assert sorted(row["total"] for row in rows.values()) == ["0", "1"]
    with Book(elsewhere, lesson).open() as db:  # for a plugin that takes points for late work
        times = [one.timestamp for one in db.assignment_submissions(lesson.name)]
        assert len(times) == 2 and times.count(None) == 1
    step("ReleaseFeedback")
    step("FetchFeedback")
    (page,) = fetched.rglob("feedback/*/*.html")
    assert "✗ 01.4: not done yet" in page.read_text("utf-8")


SECRET, TIME = "0123456789abcdef" * 8, "2026-11-26 19:07:47.812306 UTC"


@pytest.mark.parametrize(
    ("time", "secret", "kept"),
    [
        (TIME, SECRET, True),
        (TIME, "../../../etc/passwd", False),
        ("never", SECRET, False),
        ("9" * 10**6, SECRET, False),
        ("2026-99-99 25:61:61.5 UTC", SECRET, False),
        ("9999-12-31 23:59:59.9 UTC", SECRET, False),
        (TIME.replace("UTC", "XYZ"), SECRET, False),
        (TIME, None, False),
    ],
)
def test_only_the_exchanges_own_files_go_along(lesson, tmp_path, time, secret, kept):
    path = students.hand_in(tmp_path, "student", b"{}", lesson)
    path.with_name("timestamp.txt").write_text(time)
    if secret:
        path.with_name("submission_secret.txt").write_text(secret)
    (found,) = find(tmp_path, lesson)
    both = {"timestamp.txt": time, "submission_secret.txt": secret}
    assert found.problem is None and found.receipt == (both if kept else {})


@pytest.mark.slow
def test_nbgraders_own_autograding_runs_no_submission(lesson, elsewhere, files):
    notebook, _ = restored(b'{"cells": []}', lesson)
    book = Book(elsewhere, lesson)
    book.config.Outcomes.results = configuration().Outcomes.results
    with pytest.raises(RuntimeError, match="by `make grade`, in a sandbox"):
        book.save("nobody", notebook, {})


def test_the_settings_at_the_root():
    config = PyFileConfigLoader("nbgrader_config.py", str(ROOT)).load_config()
    assert config == configuration()
    assert config.CourseDirectory.source_directory == str(ROOT / "notebooks" / "exercises")
    assert not any("Execute" in str(one) for one in config.Autograde.autograde_preprocessors)


LESSONS = sorted(path.parent.name for path in ROOT.glob("notebooks/exercises/*/checks.py"))


@pytest.mark.parametrize("name", LESSONS)
def test_every_source_keeps_the_rules(name):
    notebook = json.loads((ROOT / "notebooks" / "exercises" / name / f"{name}.ipynb").read_text())
    assert lint(notebook) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_can_be_handed_out(name, elsewhere):
    """No leak, all points for the solutions, none for a blank copy: `release` checks it."""
    folder = release(load(name[:2], elsewhere), elsewhere)
    assert f"{name}.ipynb" in os.listdir(folder) and "recorded.npz" in os.listdir(folder)


@pytest.mark.parametrize("name", LESSONS)
def test_rubrics_are_listed(name, places):
    lesson = load(name, places)
    text = rubrics(lesson)
    manual = [id for id, cell in lesson.graded.items() if cell["cell_type"] == "markdown"]
    assert len(re.findall(r"(?m)^# \d\d\.\d+[ :]", text)) == len(manual) >= 1
    assert text.count("**A model answer**") == len(manual)


def test_without_a_sandbox_it_refuses(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sandbox, "why_unavailable", lambda: "bubblewrap is not installed.")
    assert main(["grade", "01", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "bubblewrap is not installed" in said and "--no-sandbox" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["assignment", "77"], "`LESSON` must be the number of a lesson. Received: '77'"),
        (["grade", "01", "nowhere", "--no-sandbox"], "`SUBMISSIONS` must be a folder"),
        (["assignment", "01", "--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments, fault, capsys, monkeypatch, elsewhere):
    monkeypatch.setattr("grading.__main__.Places", lambda: elsewhere)
    assert main(arguments) == 1
    assert fault in capsys.readouterr().err


# --- reading what was handed in -------------------------------------------------------------------


def test_names_are_made_safe_and_unique(lesson, tmp_path):
    names = ["a b", "a_b", "A_B", "ä", "x⁄..", "[*]", "名前", "x" * 200]
    for name in names:
        (tmp_path / name).mkdir()
    found = find(tmp_path, lesson)
    assert sorted(one.name for one in found) == sorted(names)
    ids = [one.id for one in found]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,50}", id) for id in ids)
    assert len({id.lower() for id in ids}) == len(names)


@pytest.mark.slow
def test_links_pipes_and_giants_are_not_read(lesson, tmp_path, files):
    handed, secret = tmp_path / "in", tmp_path / "secret.ipynb"
    secret.write_text("{}")
    for name in ("link", "pipe", "giant", "two"):
        (handed / name).mkdir(parents=True)
    target = f"{lesson.name}.ipynb"
    (handed / "link" / target).symlink_to(secret)
    os.mkfifo(handed / "pipe" / target)
    with open(handed / "giant" / target, "wb") as file:
        file.truncate(10**8)
    for name in ("a.ipynb", "b.ipynb"):
        (handed / "two" / name).write_text("{}")
    (handed / "folder").symlink_to(tmp_path)
    (handed / "flat.ipynb").symlink_to(secret)
    problems = {one.name: one.problem for one in find(handed, lesson)}
    assert all(one.content == b"" for one in find(handed, lesson))
    assert "link" in problems["link"] and "link" in problems["folder"] and problems["flat"]
    assert "not a file" in problems["pipe"] and "larger than" in problems["giant"]
    assert "it has 2" in problems["two"]


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"cells": 3}',
    b'{"nbformat": 4}',
    b'{"nbformat": 3, "worksheets": 1}',
    b"[" * 100_000,
    b'{"cells": ' + b"[" * 100_000,
    b"\xff\xfe\x00",
    json.dumps({"cells": [{}] * 5000}).encode(),
]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_notebook_is_said_to_be_none(lesson, content):
    with pytest.raises(ValueError, match=r"the (notebook|file)"):
        restored(content, lesson)


ODD = [
    {"cell_type": "code", "source": "a = 1", "metadata": []},
    {"cell_type": "code", "source": 7, "metadata": {"nbgrader": 3}},
    {"cell_type": ["code"], "source": None},
    {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": ["x"], "grade": True}}},
    {"cell_type": "markdown", "metadata": {"nbgrader": {"grade_id": "answer-01-3"}}},
    {"cell_type": "code", "source": "\ud800", "metadata": {"nbgrader": {"grade_id": "new"}}},
    {"cell_type": "code", "outputs": "none", "execution_count": {}, "id": "../../x"},
]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ODD, ids=range(len(ODD)))
def test_odd_cells_do_no_harm(lesson, files, cell):
    notebook = students.filled(files, students.solved(lesson))
    notebook["cells"].append(cell)
    found, _ = restored(students.content(notebook), lesson)
    nbformat.validate(found)
    assert _checks(found) == _checks(lesson.notebook)


def _checks(notebook):
    """Sources and metadata of the check cells, in order."""
    cells = [cell for cell in notebook["cells"] if role(cell).get("locked")]
    return [("".join(cell["source"]), dict(role(cell))) for cell in cells]


def _drop(cells):
    return [cell for cell in cells if not role(cell).get("locked")]


def _double(cells):
    return [cell for cell in cells for _ in range(2 if role(cell) else 1)]


def _edit(cells):
    for cell in cells:
        if role(cell).get("locked"):
            cell["source"] = "print('passed')"
            cell["metadata"] = {"nbgrader": role(cell) | {"points": 1000, "locked": False}}
    return cells


def _swap(cells):
    for cell in cells:
        if role(cell).get("locked"):
            cell["cell_type"] = "markdown"
    return cells


def _empty(cells):
    return []


@pytest.mark.slow
@pytest.mark.parametrize("change", [_drop, _double, _edit, _swap, _empty])
def test_check_cells_are_restored(lesson, files, change):
    notebook = students.filled(files, students.solved(lesson))
    notebook["cells"] = change(notebook["cells"])
    found, code = restored(students.content(notebook), lesson)
    assert _checks(found) == _checks(lesson.notebook)
    ids = [role(cell)["grade_id"] for cell in found["cells"] if role(cell)]
    assert len(set(ids)) == len(ids)
    assert not any("tasks[" in source for source in code)
    if change is not _empty:
        verdicts = judge(lesson, code, files, isolated=False)
        assert all(verdict.passed for verdict in verdicts.values())


@pytest.mark.slow
def test_an_answer_moved_to_an_own_cell_counts(lesson, files):
    notebook = students.filled(files, students.solved(lesson))
    for cell in notebook["cells"]:
        cell["metadata"] = {}  # as some editors leave it
    _, code = restored(students.content(notebook), lesson)
    verdicts = judge(lesson, code, files, isolated=False)
    assert all(verdict.passed for verdict in verdicts.values())


@pytest.mark.slow
def test_magics_do_not_cost_points(lesson, files):
    answers = students.solved(lesson)
    answers["01.3"] = "%matplotlib inline\n" + answers["01.3"] + "\n!ls\nall_states?"
    answers["01.4"] = "%%time\n" + answers["01.4"]
    _, code = restored(students.content(students.filled(files, answers)), lesson)
    verdicts = judge(lesson, code, files, isolated=False)
    assert all(verdict.passed for verdict in verdicts.values()), verdicts


# --- the wire -------------------------------------------------------------------------------------

FORGED = [
    {"array": ["O", [1], ""]},
    {"array": ["<f8", [-1], ""]},
    {"array": ["<f8", [10**12], "AAAA"]},
    {"array": ["<f8", [2], "AAAA"]},
    {"array": ["<f8", "2", "AAAA"]},
    {"array": [["<f8"], [], ""]},
    {"array": []},
    {"dict": [[{"list": []}, 1]]},
    {"dict": [1]},
    {"object": ["x"]},
    {"array": 3},
    {},
    [1, 2],
]


@pytest.mark.parametrize("stored", FORGED, ids=range(len(FORGED)))
def test_forged_values_are_refused(stored):
    with pytest.raises((ValueError, TypeError)):
        decode(stored)


def test_values_survive():
    value = {"a": (1, 2.5, None, "x", [True]), 3: {"b": ()}, "nan": float("nan")}
    assert str(decode(json.loads(json.dumps(encode(value))))) == str(value)


# --- the documentation ----------------------------------------------------------------------------


def test_the_table_of_questions_is_current():
    text = (ROOT / "docs" / "instructors.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| (\d\d) \| (.*?) \| (\d+) \| (\d+) \| (.*) \|$", text)
    assert len(rows) >= 12
    for number, plan, tasks, points, by_hand in rows:
        (path,) = ROOT.glob(f"notebooks/exercises/{number}_*/*.ipynb")
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert f"Plan {plan}" in "".join(cells[0]["source"])
        graded = [role(cell) for cell in cells if role(cell).get("grade")]
        own = [one for one in graded if not one["solution"]]
        asked = [one for one in graded if one["solution"]]
        assert (len(own), sum(one["points"] for one in own)) == (int(tasks), int(points))
        wanted = [f"{column(one['grade_id'])} ({one['points']})" for one in asked]
        assert by_hand == ", ".join(wanted)


def test_the_rubric_of_the_documentation(tmp_path):
    text = (ROOT / "docs" / "instructors.md").read_text("utf-8")
    (shown,) = re.findall(r"(?m)^\| rubric \| points \|\n(?:\|.*\n)+", text)
    assert f"\n{shown}" in rubrics(load("06", Places(tmp_path))).partition("# 06.11: 4 points\n")[2]


@pytest.mark.slow
def test_links_and_settings_of_the_documentation(elsewhere, tmp_path):
    text = (ROOT / "docs" / "instructors.md").read_text("utf-8")
    headings = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in section_titles(text)}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in headings
        elif "://" not in link:
            assert (ROOT / "docs" / link).exists()
    examples = re.findall(r"(?s)```toml\n(.*?)```", text)
    for example in examples:
        (tmp_path / "course.toml").write_text(example)
        load("06", elsewhere, tmp_path / "course.toml")
    assert len(examples) == 3


@pytest.mark.slow
def test_the_own_task_of_the_documentation(elsewhere, tmp_path):
    text = (ROOT / "docs" / "instructors.md").read_text("utf-8")
    code = next(c for c in re.findall(r"(?s)```python\n(.*?)```", text) if "HIDDEN = " in c)
    (tmp_path / "private" / "06_lstm").mkdir(parents=True)
    (tmp_path / "private" / "06_lstm" / "checks.py").write_text(code)
    (tmp_path / "course.toml").write_text('[lesson.06]\ntasks = ["06.3"]')
    lesson = load("06", elsewhere, tmp_path / "course.toml")
    assert [len(case[0]) for case in lesson.hidden["06.3"][0].inputs] == [1, 5, 200]
    release(lesson, elsewhere)


def section_titles(text):
    return re.findall(r"(?m)^## (.+)$", text)
