"""What `course_utils.exercises` says to every kind of answer, and what it leaves behind."""

import json
import linecache
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from course_utils import exercises
from course_utils.exercises import Exercise, ExerciseError, Mistake


def scale(x, factor):
    return factor * x


def scale_inputs(rng):
    return [(rng.normal(size=(2, 3)), 2.0), (rng.normal(size=(1, 3)), -1.0)]


def exercise(reference=scale, inputs=scale_inputs, mistakes=(), hints=("One.", "Two."), **options):
    return Exercise("99.1", reference, inputs, mistakes, hints, **options)


def message(answer, *arguments, **options):
    result = exercise(*arguments, **options).evaluate(answer)
    assert not result.passed
    return result.message


def typed(source):
    """A function whose source is known, as one that was typed into a notebook."""
    source = textwrap.dedent(source)
    name = f"<typed {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace = {"np": np}
    exec(compile(source, name, "exec"), namespace)
    return next(value for value in namespace.values() if hasattr(value, "__code__"))


# --- answers --------------------------------------------------------------------------------------


def test_a_right_answer_prints_one_line(capsys):
    exercise().check(lambda x, factor: x * factor)
    exercise().check(lambda x, factor: x * factor, seed=1)
    assert capsys.readouterr().out == "✓ 99.1 passed\n✓ 99.1 passed on other inputs\n"


def test_a_wrong_answer_raises_with_its_reason_and_names_the_hints():
    with pytest.raises(ExerciseError, match=r"^✗ 99\.1: You added\.\n") as caught:
        task = exercise(mistakes=[Mistake(lambda x, factor: x + factor, "You added.")])
        task.check(lambda a, b: b + a)
    assert str(caught.value).endswith('Stuck? tasks["99.1"].hint()')
    assert caught.value.__cause__ is None
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("answer", [None, 3, "scale", np.zeros(2), [scale]])
def test_an_answer_that_is_no_function(answer):
    assert re.match(r"The answer must be a function\. Received: \w+ ", message(answer))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x, f: None, "the result is None: the function must return it."),
        (lambda x, f: "no", "must be one array of numbers, of shape (2, 3). Received: str 'no'."),
        (lambda x, f: (f * x)[0], "the result has shape (3,) where (2, 3) is right."),
        (lambda x, f: (f * x).T, "the result has shape (3, 2) where (2, 3) is right: transposed."),
        (lambda x, f: (f * x, 1), "one array of numbers, of shape (2, 3). Received: 2 values."),
        (lambda x, f: [[1, 2], [3]], "one array of numbers, of shape (2, 3). Received: 2 values."),
        (lambda x, f: {"a": 1.5}, "of shape (2, 3). Received: a dict with the keys ['a']."),
        (lambda x, f: f * x + [1, 0, 0], "elements differ."),
        (lambda x, f: x * np.nan, "the result at [0, 0] is nan where "),
        (lambda x, f: x > 0, "(its dtype bool cuts fractions off)."),
        (lambda x, f: (f * x).astype(int), "(its dtype int64 cuts fractions off)."),
    ],
)
def test_what_differs_is_said(answer, said):
    found = message(answer)
    assert found.startswith("For the arguments (x: shape (2, 3), f=2.0) the result ")
    assert said in found


def test_the_first_wrong_element_is_named():
    task = exercise(lambda x: x, lambda rng: [(np.arange(4.0).reshape(2, 2),)])
    answer = lambda x: x + np.array([[0, 0], [0.5, 0.25]])  # noqa: E731
    assert task.evaluate(answer).message == (
        "For the arguments (x: shape (2, 2)) the result at [1, 0] is 2.5 where 2 is right, "
        "and 2 of 4 elements differ."
    )


def test_truth_values_are_compared():
    task = exercise(lambda x: x > 0, lambda rng: [(np.array([-1.0, 1.0]),)])
    assert task.evaluate(lambda x: [False, True]).passed
    assert "at [0] is True where False is right" in task.evaluate(lambda x: x < 0).message


@pytest.mark.parametrize("answer", [lambda x, f: scale, lambda x, f: (y for y in x), object])
def test_a_result_of_the_wrong_type(answer):
    if answer is object:
        answer = lambda x, f: object()  # noqa: E731
    found = message(answer)
    assert "the result must be one array of numbers, of shape (2, 3). Received: " in found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            lambda x: {"a": x},
            "be a dict with the keys ['a', 'b']. Received: a dict with the keys ['a']",
        ),
        (lambda x: x, "must be a dict with the keys ['a', 'b']. Received: an array of shape (3,)"),
        (lambda x: None, "the result is None"),
        (lambda x: {"a": x, "b": (x[:2],)}, "the result['b'] must be 2 values. Received: 1 values"),
        (
            lambda x: {"a": x, "b": (x[:2], "no", 3)},
            "the result['b'] must be 2 values. Received: 3 values",
        ),
        (lambda x: {"a": x, "b": (x[:2], "no")}, "the result['b'][1] is 'no'"),
        (lambda x: {"a": x, "b": x}, "the result['b'] must be 2 values. Received: an array of"),
        (lambda x: {"a": x, "b": (x, "yes")}, "the result['b'][0] has shape (3,) where (2,)"),
        (lambda x: {"a": x, "b": (None, "yes")}, "the result['b'][0] is None"),
    ],
)
def test_nested_results(value, said):
    task = exercise(lambda x: {"a": x, "b": (x[:2], "yes")}, lambda rng: [(np.arange(3.0),)])
    assert task.evaluate(lambda x: {"b": [list(x[:2]), "yes"], "a": list(x)}).passed
    result = task.evaluate(value)
    assert not result.passed
    assert said in result.message


def test_one_of_two_arrays_returned():
    task = exercise(lambda x: (x, x[0]), lambda rng: [(np.zeros((2, 3)),)])
    assert "must be 2 values. Received: an array of shape (2, 3)" in task.evaluate(np.copy).message


def test_axes_in_another_order():
    task = exercise(lambda x: x, lambda rng: [(np.zeros((2, 3, 4)),)])
    said = "has shape (3, 2, 4) where (2, 3, 4) is right: the axes are in another order."
    assert said in task.evaluate(lambda x: x.swapaxes(0, 1)).message
    assert "(2, 3) where (2, 3, 4) is right." in task.evaluate(lambda x: x[..., 0]).message


def test_none_and_text_as_results():
    task = exercise(lambda x: None if x else "text", lambda rng: [(0,), (1,)])
    assert task.evaluate(lambda x: "text" if x == 0 else None).passed
    assert task.evaluate(lambda x: np.str_("text") if x == 0 else None).passed
    assert "the result is 1" in task.evaluate(lambda x: "text" if x == 0 else 1).message


# --- answers that fail ----------------------------------------------------------------------------


def test_an_error_is_shown_with_the_learners_own_line():
    answer = typed(
        """
        def answer(x, factor):
            y = factor * x
            return np.reshape(y, (7, 7))
        """
    )
    found = message(answer)
    assert found.startswith("It raised ValueError: ")
    assert found.endswith("\n  line 4: return np.reshape(y, (7, 7))")
    assert "exercises.py" not in found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x, f: 1 // 0, "It raised ZeroDivisionError: "),
        (lambda x, f: sys.exit(1), "It raised SystemExit: 1"),
        (lambda x: x, r"It raised TypeError: .* takes 1 positional argument but 2 were given"),
    ],
)
def test_an_answer_that_raises(answer, said):
    assert re.match(said, message(answer))


def test_an_answer_that_never_stops_growing():
    def answer(x, f):
        return answer(x, f)

    assert message(answer).startswith("It raised RecursionError")


def test_interrupting_the_kernel_gets_through():
    def answer(x, f):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercise().check(answer)


def test_a_blank_answer_is_not_done_yet():
    def answer(x, f):
        raise NotImplementedError

    blank = Mistake(answer, "A blank answer is no mistake.")
    assert message(answer, mistakes=[blank]).startswith("not done yet. Put your code")


def test_an_error_that_the_reference_raises_too():
    def reference(x):
        if x < 0:
            raise ValueError("`x` must not be negative")
        return x

    def answer(x):
        if x < 0:
            raise ValueError("negative")
        return x

    task = exercise(reference, lambda rng: [(1.0,), (-1.0,)])
    assert task.evaluate(answer).passed
    assert "must end with ValueError" in task.evaluate(lambda x: x).message


def test_an_error_without_a_name_is_still_an_error():
    def answer(x, f):
        raise type("", (Exception,), {})()

    assert not exercise().evaluate(answer).passed


def test_a_mistake_that_raises_is_recognized_by_its_message():
    mistake = Mistake(lambda x, f: x @ x, "The shapes do not fit.")
    task = exercise(mistakes=[mistake])
    assert task.evaluate(lambda a, b: a.reshape(7)).message.startswith("It raised ValueError")
    assert task.evaluate(lambda a, b: a @ a).mistake == 0


def test_what_an_answer_prints_is_kept_for_wrong_answers(capsys):
    def answer(x, factor):
        print("here", x.shape)
        return x

    assert message(answer).endswith("\nIt printed: here (2, 3)\nhere (1, 3)")
    assert message(lambda x, f: print("y" * 5000)).endswith("yyyy ...")

    def right(x, factor):
        print("here")
        return factor * x

    exercise().check(right)
    assert capsys.readouterr().out == "✓ 99.1 passed\n"


def test_warnings_of_an_answer_are_not_shown(recwarn):
    assert not exercise().evaluate(lambda x, f: np.log(-np.abs(x)) / 0).passed
    assert not recwarn.list


# --- inputs ---------------------------------------------------------------------------------------


def in_place(x, factor):
    x *= factor
    return x


def test_a_changed_argument_is_named():
    found = message(in_place)
    assert found.startswith("It changes its argument `x` in place. Work on a copy")


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x["a"].fill(7),
        lambda x: x["b"].append(7),
        lambda x: x["b"].__setitem__(0, 7),
        lambda x: x.pop("b"),
    ],
)
def test_a_change_inside_is_noticed(change):
    task = exercise(lambda x: 1, lambda rng: [({"a": rng.normal(size=2), "b": [1, np.nan]},)])
    assert task.evaluate(lambda x: (change(x), 1)[1]).message.startswith("It changes its argument")
    assert task.evaluate(lambda x: 1).passed


def test_nothing_leaks_into_the_next_check():
    kept = []

    def hoards(x, factor):
        kept.append(x)
        x[:] = 7
        return x

    task = exercise()
    before = [np.copy(x) for x, _ in task.cases().inputs]
    assert not task.evaluate(hoards).passed
    for array in kept:
        array[:] = 8
    assert all(np.array_equal(x, b) for (x, _), b in zip(task.cases().inputs, before, strict=True))
    assert task.evaluate(scale).passed


def test_a_result_that_is_changed_later_counts_as_it_was():
    buffer = np.zeros((2, 3))

    def reuses(x, factor):
        result = buffer[: len(x)]
        result[:] = factor * x
        return result

    assert exercise().evaluate(reuses).passed


def test_other_seeds_give_other_inputs():
    first, second = (exercise().cases(seed).inputs[0][0] for seed in (0, 1))
    assert not np.array_equal(first, second)


# --- time -----------------------------------------------------------------------------------------


def forever(x, factor):
    while True:
        pass


def forever_and_deaf(x, factor):
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass


def deaf_once(x, factor):
    try:
        forever(x, factor)
    except BaseException:
        forever(x, factor)


@pytest.mark.parametrize("answer", [forever, forever_and_deaf, deaf_once])
def test_an_answer_that_never_returns(answer):
    found = message(answer, seconds=0.1)
    assert found.startswith("It ran longer than 0.1 s and was stopped.\n  line ")


@pytest.fixture
def no_timer():
    """The test runner's own timer is put aside."""
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    start = time.monotonic()
    yield
    remaining = max(left - (time.monotonic() - start), 1e-3) if left else 0
    signal.setitimer(signal.ITIMER_REAL, remaining, interval)


@pytest.mark.parametrize("answer", [scale, in_place, forever, lambda x, f: 1 // 0, None])
def test_no_timer_is_left_behind(answer, no_timer):
    handler = signal.getsignal(signal.SIGALRM)
    exercise(seconds=0.1).evaluate(answer)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is handler


def test_a_timer_that_ran_already_goes_on(no_timer):
    signal.setitimer(signal.ITIMER_REAL, 50, 7)
    exercise(seconds=0.1).evaluate(forever)
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0 < left <= 50
    assert interval == 7


def test_in_a_thread_answers_run_without_a_limit():
    results = []
    thread = threading.Thread(target=lambda: results.append(exercise().evaluate(scale)))
    thread.start()
    thread.join()
    assert results[0].passed


# --- hints ----------------------------------------------------------------------------------------


def test_hints_unfold_one_by_one(capsys):
    task = exercise()
    task.hint()
    task.hint()
    task.hint()
    assert capsys.readouterr().out == "Hint 1 of 2: One.\nHint 2 of 2: Two.\nHint 1 of 2: One.\n"
    task.hint(1)
    task.hint()
    assert capsys.readouterr().out == "Hint 1 of 2: One.\nHint 2 of 2: Two.\n"


@pytest.mark.parametrize("number", [0, 3, -1, "1", 1.5])
def test_a_hint_that_is_not_there(number):
    with pytest.raises(ValueError, match=r"`number` must be from 1 to 2\. Received: number="):
        exercise().hint(number)


def test_no_hints():
    with pytest.raises(ValueError, match=r"`number` must be from 1 to 0\. Received: number=None"):
        exercise(hints=()).hint()


# --- the course's own answer ----------------------------------------------------------------------

ANSWER = """\
def scale(x, factor):
    ### BEGIN SOLUTION
    # Better: One product for all, where a loop needs
    # one for each entry.
    return x * factor
    ### END SOLUTION"""


PLAIN = "def plus(n):\n    ### BEGIN SOLUTION\n    return n + 1\n    ### END SOLUTION"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A course whose exercises 99 hold an answer to 99.1 and a check that names it."""
    cells = [
        {"source": ANSWER.splitlines(keepends=True), "grade_id": "answer-99-1"},
        {"source": ['tasks["99.1"].check(scale)'], "grade_id": "check-99-1"},
        {"source": [PLAIN], "grade_id": "answer-99-3"},
    ]
    for cell in cells:
        cell["metadata"] = {"nbgrader": {"grade_id": cell.pop("grade_id")}}
    cells.insert(0, {"source": ["# Exercises 99"], "metadata": {}})
    (tmp_path / "99_scales").mkdir()
    (tmp_path / "99_scales" / "99_scales.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(exercises, "COURSE", tmp_path)


@pytest.mark.usefixtures("published")
def test_the_published_answer_is_shown_once_the_check_has_passed(capsys):
    task = exercise()
    for _ in range(2):
        with pytest.raises(ExerciseError, match=r"99\.1: first pass the check in this session"):
            task.solution()
        with pytest.raises(ExerciseError):
            task.check(lambda x, factor: x)
    task.check(scale)
    assert capsys.readouterr().out == "✓ 99.1 passed\n"
    task.solution()
    assert capsys.readouterr().out == (
        "def scale(x, factor):\n    return x * factor\n\n"
        "What it does better: One product for all, where a loop needs one for each\nentry.\n"
    )


@pytest.mark.usefixtures("published")
def test_learners_are_told_of_it(folder, capsys):
    live, recorded = (exercises.load_file(folder / n) for n in ("checks.py", "recorded.npz"))
    recorded["99.1"].check(live["99.1"].reference)
    assert capsys.readouterr().out == '✓ 99.1 passed; tasks["99.1"].solution() shows ours\n'
    recorded["99.1"].solution()
    assert capsys.readouterr().out.startswith("def scale(x, factor):\n    return")


@pytest.mark.usefixtures("published")
def test_an_answer_without_a_note_and_an_unusual_number():
    assert exercises._published_answer("99.3") == "def plus(n):\n    return n + 1"
    assert exercises._published_answer("extra") is None


@pytest.mark.usefixtures("published")
def test_a_task_of_somebody_elses(folder, capsys):
    task = exercises.load_file(folder / "recorded.npz")["99.2"]
    task.check(lambda n: n + 1)
    task.solution()
    assert capsys.readouterr().out == (
        "✓ 99.2 passed\nThe course publishes no answer to this task.\n"
    )


# --- records --------------------------------------------------------------------------------------

CHECKS = '''
import numpy as np
from course_utils.exercises import Exercise, Mistake

def the_secret_reference(x, how):
    """A docstring that learners must not see."""
    return {"values": x["a"] * 2, "text": (how, None, [1.5])}

def mixed_inputs(rng):
    return [({"a": rng.normal(size=3)}, "fast"), ({"a": np.float32([0.1, np.nan])}, None)]

def negated(x, how):
    result = the_secret_reference(x, how)
    return {**result, "values": -result["values"]}

def raises(x, how):
    return x["not there"]

EXERCISES = [
    Exercise("99.1", the_secret_reference, mixed_inputs,
             [Mistake(negated, "The sign."), Mistake(raises, "The key.")],
             ["One.", "Two."], points=3, rtol=1e-3, atol=1e-6, seconds=5),
    Exercise("99.2", lambda n: n + 1, lambda rng: [(int(rng.integers(99)),)], [], []),
]
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checks.py").write_text(CHECKS, encoding="utf-8")
    exercises.record(tmp_path / "checks.py", tmp_path / "recorded.npz")
    return tmp_path


def test_a_record_judges_as_its_source_does(folder):
    live, recorded = (exercises.load_file(folder / n) for n in ("checks.py", "recorded.npz"))
    assert list(recorded) == ["99.1", "99.2"]
    one, other = live["99.1"], recorded["99.1"]
    for name in ("id", "points", "hints", "rtol", "atol", "seconds"):
        assert getattr(one, name) == getattr(other, name)
    answers = [m.answer for m in one.mistakes]
    answers += [one.reference, lambda x, how: None, lambda x, how: x, lambda x, how: x["a"]]
    for answer in answers:
        assert one.evaluate(answer) == other.evaluate(answer)
    assert other.evaluate(one.reference).passed
    assert recorded["99.2"].evaluate(lambda n: 1 + n).passed


def test_a_record_holds_no_code(folder):
    with np.load(folder / "recorded.npz") as arrays:
        content = b"".join(arrays[name].tobytes() for name in arrays.files)
        content += str(arrays["structure"]).encode()
    for word in (b"secret", b"docstring", b"negated", b"lambda", b"return", b'x["'):
        assert word not in content


def test_a_record_knows_one_seed_only(folder):
    task = exercises.load_file(folder / "recorded.npz")["99.1"]
    with pytest.raises(ValueError, match=r"`seed` must be 0 .* loaded from a record.*seed=1"):
        task.check(lambda x, how: x, seed=1)


def damaged(content, kind):
    middle = len(content) // 2
    if kind == "flipped":
        return content[:200] + bytes(255 - c for c in content[200:260]) + content[260:]
    if kind == "no zip":
        return b"not a zip file at all"
    return {"empty": b"", "cut": content[:middle], "no head": content[middle:]}[kind]


@pytest.mark.parametrize("kind", ["empty", "cut", "no head", "flipped", "no zip"])
def test_a_damaged_record_is_named(folder, kind):
    path = folder / "recorded.npz"
    path.write_bytes(damaged(path.read_bytes(), kind))
    with pytest.raises(ValueError, match=r"recorded\.npz is missing or damaged .* `make lab`"):
        exercises.load_file(path)


@pytest.mark.parametrize("structure", ["", "[]]", "[1]", '[{"id": "99.1"}]', "{}"])
def test_a_record_of_something_else(tmp_path, structure):
    path = tmp_path / "recorded.npz"
    np.savez(path, structure=np.array(structure))
    with pytest.raises(ValueError, match=r"recorded\.npz is missing or damaged"):
        exercises.load_file(path)


def test_exercises_are_found_in_the_notebooks_own_folder(tmp_path, monkeypatch):
    here = tmp_path / "98_somewhere"
    here.mkdir()
    (here / "checks.py").write_text(CHECKS, encoding="utf-8")
    monkeypatch.chdir(here)
    assert exercises.load("98_somewhere")["99.2"].reference is not None
    exercises.record(here / "checks.py", here / "recorded.npz")
    assert exercises.load("98_somewhere")["99.2"].reference is None


def test_a_lesson_without_exercises():
    with pytest.raises(FileNotFoundError, match=r"`name` must be a lesson .* name='97_nowhere'"):
        exercises.load("97_nowhere")


# --- in a notebook --------------------------------------------------------------------------------

CELL = """
from course_utils.exercises import Exercise
task = Exercise("99.1", lambda x: x, lambda rng: [(1.0,)], [], ["One."])
def answer(x):
    return x + 1
"""


def test_jupyter_shows_the_message_alone(tmp_path):
    script = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance(colors='nocolor', history_load_length=0)\n"
        f"shell.run_cell({CELL!r})\n"
        "shell.run_cell('task.check(answer)')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONUTF8": "1"},
    )
    assert (run.stdout + run.stderr).strip() == (
        "✗ 99.1: For the arguments (x=1.0) the result is 2 where 1 is right.\n"
        '  Stuck? tasks["99.1"].hint()'
    )
