"""What holds for every exercise of every lesson: the checks, and the notebook that uses them."""

import contextlib
import functools
import inspect
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from course_utils import exercises, workspace

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "exercises"
LESSONS = sorted(path.parent.name for path in FOLDER.glob("*/checks.py"))
SEEDS = (0, 1, 2)
TIERS = ("Predict", "Modify", "Build", "Find the bug", "Open")


# --- reading a lesson's exercises -----------------------------------------------------------------


@functools.cache
def checks(lesson):
    """The module `checks.py` of a lesson."""
    return exercises._module(FOLDER / lesson / "checks.py")


@functools.cache
def notebook(lesson):
    """The lesson's exercise notebook, as its JSON says, with sources as text."""
    content = json.loads((FOLDER / lesson / f"{lesson}.ipynb").read_text(encoding="utf-8"))
    return with_text(content)


def with_text(content):
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"])
    return content


def tiers(lesson):
    """{id: tier}, from headings such as `## 01.4 Build: the forward pass`."""
    found = {}
    for cell in notebook(lesson)["cells"]:
        if cell["cell_type"] == "markdown":
            for heading in re.findall(r"(?m)^## (\d\d\.\d+ .+)$", cell["source"]):
                id, _, title = heading.partition(" ")
                assert id not in found, f"two headings for {id}"
                found[id] = title.partition(":")[0]
    return found


def graded(lesson, prefix):
    """{id: cell} of the cells whose grade_id is `prefix`-NN-K."""
    cells = {}
    for cell in notebook(lesson)["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if grade_id.startswith(f"{prefix}-"):
            id = ".".join(grade_id.split("-")[1:])
            assert id not in cells, f"two cells {grade_id}"
            cells[id] = cell
    return cells


def sentences(exercise):
    return [mistake.sentence for mistake in exercise.mistakes]


def differs(exercise, one, other, seed=0):
    """Whether two lists of outcomes differ, as the check sees it."""
    return exercise._difference(one, other, exercise.cases(seed), None) is not None


TASKS = [
    pytest.param(lesson, exercise, id=exercise.id)
    for lesson in LESSONS
    for exercise in checks(lesson).EXERCISES
]
# The released seed in `make check`, the others in `make test` only.
each_seed = pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])]
)
each_lesson = pytest.mark.parametrize("lesson", LESSONS)
each_task = pytest.mark.parametrize(("lesson", "exercise"), TASKS)


# --- the lesson -----------------------------------------------------------------------------------


@each_lesson
def test_ids_are_the_lessons_own(lesson):
    ids = [exercise.id for exercise in checks(lesson).EXERCISES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"{lesson[:2]}\.[1-9]\d*", id) for id in ids)
    assert set(checks(lesson).ALTERNATIVES) <= set(ids)


@each_lesson
def test_tiers(lesson):
    found = tiers(lesson)
    assert set(found.values()) <= set(TIERS)
    assert set(TIERS[:3]) <= set(found.values())
    numbers = [int(id.partition(".")[2]) for id in found]
    assert numbers == list(range(1, len(numbers) + 1))
    automatic = [id for id, tier in found.items() if tier != "Open"]
    assert automatic == [exercise.id for exercise in checks(lesson).EXERCISES]
    assert len(automatic) >= 4


@each_lesson
def test_an_open_question_with_its_rubric(lesson):
    wanted = [id for id, tier in tiers(lesson).items() if tier == "Open"]
    found = {id: cell for id, cell in graded(lesson, "open").items() if id in wanted}
    assert wanted and list(found) == wanted
    questions = [c["source"] for c in notebook(lesson)["cells"] if c["cell_type"] == "markdown"]
    for id, cell in found.items():
        question = next(text for text in questions if text.startswith(f"## {id} "))
        assert "rubric" in question.lower()
        assert cell["cell_type"] == "markdown"
        role = cell["metadata"]["nbgrader"]
        assert role["grade"] and role["solution"]
        rows = re.findall(r"(?m)^\|.*\|$", question)
        points = [re.search(r"^\|\s*(\d+)\s*\||\|\s*(\d+)\s*\|$", row) for row in rows]
        assert sum(int(found[1] or found[2]) for found in points if found) == role["points"] > 0


@each_lesson
def test_an_answer_and_a_check_for_every_task(lesson):
    answers, found = graded(lesson, "answer"), graded(lesson, "check")
    ids = [exercise.id for exercise in checks(lesson).EXERCISES]
    assert list(answers) == list(found) == ids
    for exercise in checks(lesson).EXERCISES:
        role = answers[exercise.id]["metadata"]["nbgrader"]
        assert role["solution"] and not role["grade"] and not role["locked"]
        assert "### BEGIN SOLUTION" in answers[exercise.id]["source"]
        shown = exercises._published_answer(exercise.id)  # to whoever passed the check
        assert "###" not in shown and "raise NotImplementedError" not in shown
        assert re.search(r"\n\nWhat it does better: [^ ].{30}", shown), exercise.id
        assert "# Better" not in shown and len(shown.splitlines()) >= 4
        role = found[exercise.id]["metadata"]["nbgrader"]
        assert role["grade"] and role["locked"] and not role["solution"]
        assert role["points"] == exercise.points > 0
        assert re.fullmatch(
            rf'tasks\["{re.escape(exercise.id)}"\]\.check\((\w+)\)\n'
            r"### BEGIN HIDDEN TESTS\n"
            rf'(tasks\["{re.escape(exercise.id)}"\]\.check\(\1, seed=[1-9]\d*\)\n)+'
            r"### END HIDDEN TESTS",
            found[exercise.id]["source"].strip(),
        )


# --- one exercise ---------------------------------------------------------------------------------


@each_task
def test_hints_and_mistakes(lesson, exercise):
    assert len(exercise.hints) >= 2
    assert len(set(exercise.hints)) == len(exercise.hints)
    assert len(exercise.mistakes) >= (2 if tiers(lesson)[exercise.id] == "Predict" else 4)
    assert len(set(sentences(exercise))) == len(exercise.mistakes)
    for text in [*exercise.hints, *sentences(exercise)]:
        assert text == " ".join(text.split())
        assert text[-1] in ".?!"


@each_seed
@each_task
def test_the_reference_passes_and_leaves_its_inputs_alone(lesson, exercise, seed):
    assert exercise.evaluate(exercise.reference, seed=seed).passed
    assert len(exercise.cases(seed).inputs) >= 3
    assert all(outcome.blame is None for outcome in exercise.cases(seed).right)


@each_seed
@each_task
def test_every_mistake_is_told_its_own_sentence(lesson, exercise, seed):
    for number, (answer, sentence) in enumerate(exercise.mistakes):
        result = exercise.evaluate(answer, seed=seed)
        assert not result.passed, sentence
        assert result.mistake == number, sentence
        assert result.message.startswith(sentence)


@each_task
def test_outcomes_are_distinct(lesson, exercise):
    cases = exercise.cases()
    for k, one in enumerate(cases.wrong):
        assert differs(exercise, one, cases.right)
        for other in cases.wrong[:k]:
            assert differs(exercise, one, other)
            assert differs(exercise, other, one)


@each_task
def test_other_seeds_give_other_inputs(lesson, exercise):
    texts = [texts_of(exercise.cases(seed).inputs) for seed in SEEDS]
    assert len(set(texts)) == len(SEEDS)


def texts_of(value):
    """A text that tells nested values apart."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{value.tolist()}"
    if isinstance(value, dict):
        return str({key: texts_of(item) for key, item in value.items()})
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}{[texts_of(item) for item in value]}"
    return repr(value)


@each_seed
@each_task
def test_answers_written_in_other_ways_pass(lesson, exercise, seed):
    for number, answer in enumerate(checks(lesson).ALTERNATIVES.get(exercise.id, []), 1):
        result = exercise.evaluate(answer, seed=seed)
        assert result.passed, f"way {number}: {result.message}"


@each_lesson
def test_three_other_ways_for_every_build_task(lesson):
    for id in (id for id, tier in tiers(lesson).items() if tier == "Build"):
        ways = checks(lesson).ALTERNATIVES.get(id, [])
        codes = {way.__code__.co_code for way in ways}
        assert len(codes) == len(ways) >= 3, id


@each_task
def test_a_blank_answer_is_not_done_yet(lesson, exercise):
    def blank(*arguments, **options):
        raise NotImplementedError

    result = exercise.evaluate(blank)
    assert result.message.startswith("not done yet")
    assert result.mistake is None


# --- the record -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")

    @functools.cache
    def record(lesson):
        path = folder / f"{lesson}.npz"
        exercises.record(FOLDER / lesson / "checks.py", path)
        return path, exercises.load_file(path)

    return record


@pytest.mark.slow
@each_task
def test_the_record_judges_as_its_source_does(lesson, exercise, records):
    recorded = records(lesson)[1][exercise.id]
    assert recorded.reference is None
    assert (recorded.points, recorded.hints) == (exercise.points, exercise.hints)
    ways = checks(lesson).ALTERNATIVES.get(exercise.id, [])
    for answer in [exercise.reference, *ways, lambda *arguments: None]:
        assert recorded.evaluate(answer) == exercise.evaluate(answer)
    for number, mistake in enumerate(exercise.mistakes):
        assert recorded.evaluate(mistake.answer).mistake == number


@each_lesson
def test_the_record_holds_no_source_code(lesson, records):
    with np.load(records(lesson)[0]) as arrays:
        structure = json.loads(str(arrays["structure"]))
        held = json.dumps(structure) + "".join(
            str(arrays[name]) for name in arrays.files if arrays[name].dtype.kind not in "biufc"
        )
    for line in inspect.getsource(checks(lesson)).splitlines():
        code = line.strip()
        if re.match(r"def |return |import |from \w+ import |for .*:$|[\w, ]+ = ", code):
            assert code not in held


# --- the notebook, run ----------------------------------------------------------------------------


def run(cells):
    """Execute code cells one after the other; yields each with what it printed and its error."""
    namespace = {"__name__": "__main__"}
    for cell in cells:
        printed, error = io.StringIO(), None
        try:
            with contextlib.redirect_stdout(printed):
                exec(cell["source"], namespace)
        except Exception as raised:
            error = raised
        yield cell, printed.getvalue(), error


def code_cells(content):
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def is_check(cell):
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "").startswith("check-")


@each_lesson
def test_the_solved_notebook_passes_its_checks(lesson):
    for cell, printed, error in run(code_cells(notebook(lesson))):
        assert error is None, f"{cell['source']}\n{error}"
        if is_check(cell):
            assert re.fullmatch(r"✓ \S+ passed\n(✓ \S+ passed on other inputs\n)+", printed)


@each_lesson
def test_every_check_of_a_blank_copy_says_not_done_yet(lesson):
    blank = with_text(workspace.blank(notebook(lesson)))
    checked = 0
    for cell, printed, error in run(code_cells(blank)):
        if is_check(cell):
            checked += 1
            assert isinstance(error, exercises.ExerciseError), error
            assert re.match(r"✗ \S+: not done yet\. ", str(error))
            assert error._render_traceback_() == [str(error)]
            assert printed == ""
        else:
            assert error is None, f"{cell['source']}\n{error}"
    assert checked == len(checks(lesson).EXERCISES)


@each_lesson
def test_a_blank_copy_holds_no_solution(lesson):
    blank = with_text(workspace.blank(notebook(lesson)))
    for cell, source in zip(blank["cells"], notebook(lesson)["cells"], strict=True):
        role = source["metadata"].get("nbgrader", {})
        if role.get("solution") and cell["cell_type"] == "code":
            solution = re.search(
                r"(?s)### BEGIN SOLUTION\n(.*?)\n *### END SOLUTION", source["source"]
            )
            assert "raise NotImplementedError()" in cell["source"]
            assert solution[1] not in cell["source"]
        elif role.get("solution"):
            assert cell["source"] == "YOUR ANSWER HERE"
        assert "HIDDEN" not in cell["source"]
