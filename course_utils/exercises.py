"""Exercises that check themselves, and say which mistake was made.

An exercise is data: a reference solution, inputs, and the mistakes that people make, each with the
sentence a good teacher would say. An answer is run on the inputs; its outcomes are then compared,
as plain arrays, with the right ones and with those of every known mistake. Learners hold a record
of the inputs and outcomes of seed 0 instead of the solutions.
"""

import contextlib
import copy
import functools
import importlib.util
import inspect
import io
import json
import pathlib
import pickle
import re
import signal
import textwrap
import threading
import traceback
import warnings
from typing import NamedTuple

import numpy as np

__all__ = ["Exercise", "ExerciseError", "Mistake", "load", "load_file", "record"]

RELEASED_SEED = 0
COURSE = pathlib.Path(__file__).parents[1] / "notebooks" / "exercises"


class ExerciseError(AssertionError):
    """An answer that is not right yet. Jupyter shows its message alone, without a stack trace."""

    def _render_traceback_(self):
        return [str(self)]


class Mistake(NamedTuple):
    """A wrong answer that people give, and what a good teacher would say to it."""

    answer: object
    sentence: str


class Result(NamedTuple):
    """What became of an answer: `mistake` is the number of the known mistake, or None."""

    passed: bool
    message: str
    mistake: int | None = None


class Outcome(NamedTuple):
    """What one call returned, or the error it ended with; `blame` says what else went wrong."""

    value: object = None
    error: str | None = None
    blame: str | None = None


class Cases(NamedTuple):
    """Argument tuples, and the outcomes of the reference and of each known mistake on them."""

    inputs: list
    right: list
    wrong: list


class Exercise:
    """One task: how its answer is checked, and what its known mistakes are told.

    Args:
        id: "NN.K", lesson and number.
        reference: the solution, a function; None for an exercise loaded from a record.
        inputs: function of a `numpy.random.Generator` to a list of argument tuples. Arguments and
            results are arrays, numbers, strings, None, or tuples, lists and dicts of them.
        mistakes: list of `Mistake`.
        hints: list of sentences, the most general first.
        points: what the task is worth.
        rtol, atol: tolerances, as in `numpy.isclose`.
        seconds: how long the answer may run for all inputs together (where the platform has
            timers and the check runs in the main thread).

    Example:
        >>> double = Exercise(
        ...     "99.1", lambda x: 2 * x, lambda rng: [(rng.normal(size=3),)],
        ...     [Mistake(lambda x: x**2, "You squared x; 2 x is wanted.")], ["Add x to itself."])
        >>> double.check(lambda x: x + x)
        ✓ 99.1 passed
        >>> double.evaluate(lambda x: x * x).message
        'You squared x; 2 x is wanted.'
        >>> double.evaluate(lambda x: x[:2]).message
        'For the arguments (x: shape (3,)) the result has shape (2,) where (3,) is right.'
    """

    def __init__(
        self, id, reference, inputs, mistakes, hints, *, points=1, rtol=1e-5, atol=1e-8, seconds=10
    ):
        self.id, self.reference, self.inputs = id, reference, inputs
        self.mistakes, self.hints = list(mistakes), list(hints)
        self.points, self.rtol, self.atol, self.seconds = points, rtol, atol, seconds
        self._cases, self._hints_shown, self._passed = {}, 0, False

    def cases(self, seed=RELEASED_SEED):
        """Inputs, right outcomes and the mistakes' outcomes for a seed."""
        if seed not in self._cases:
            if self.reference is None:
                raise ValueError(
                    f"`seed` must be {RELEASED_SEED} for an exercise loaded from a record. "
                    f"Received: seed={seed}"
                )
            inputs = self.inputs(np.random.default_rng(seed))
            right = run(self.reference, inputs)
            wrong = [run(mistake.answer, inputs) for mistake in self.mistakes]
            self._cases[seed] = Cases(inputs, right, wrong)
        return self._cases[seed]

    def evaluate(self, answer, *, seed=RELEASED_SEED):
        """Run an answer and compare: a `Result` with `passed`, `message` and `mistake`."""
        cases = self.cases(seed)
        if not callable(answer):
            return Result(False, f"The answer must be a function. Received: {_kind(answer)}")
        printed = io.StringIO()
        outcomes = run(answer, cases.inputs, self.seconds, printed)
        result = self._compare(cases, outcomes, answer)
        printed = printed.getvalue().rstrip()
        if printed and not result.passed:
            shown = printed[:500] + (" ..." if len(printed) > 500 else "")
            result = result._replace(message=f"{result.message}\nIt printed: {shown}")
        return result

    def check(self, answer, *, seed=RELEASED_SEED):
        """Print one line if the answer is right, or raise `ExerciseError` with the reason."""
        result = self.evaluate(answer, seed=seed)
        if not result.passed:
            stuck = f'\n  Stuck? tasks["{self.id}"].hint()' if self.hints else ""
            raise ExerciseError(f"✗ {self.id}: {result.message}{stuck}") from None
        self._passed = True
        ours = self.reference is None and _published_answer(self.id)
        more = f'; tasks["{self.id}"].solution() shows ours' if ours else ""
        print(f"✓ {self.id} passed" + (more if seed == RELEASED_SEED else " on other inputs"))

    def hint(self, number=None):
        """Print hint `number`, counted from 1; without one, the next, and after the last the first.

        Raises:
            ValueError: if there is no such hint.
        """
        if number is None and self.hints:
            number = self._hints_shown % len(self.hints) + 1
        if number not in range(1, len(self.hints) + 1):
            rule = f"`number` must be from 1 to {len(self.hints)}."
            raise ValueError(f"{rule} Received: number={number!r}")
        self._hints_shown = number
        print(f"Hint {number} of {len(self.hints)}: {self.hints[number - 1]}")

    def solution(self):
        """Print the course's answer, and what it does better, once an answer has passed.

        Raises:
            ExerciseError: if no answer has passed since this exercise was loaded.
        """
        if not self._passed:
            raise ExerciseError(f"✗ {self.id}: first pass the check in this session: run its cell.")
        print(_published_answer(self.id) or "The course publishes no answer to this task.")

    def _compare(self, cases, outcomes, answer):
        """Equal to the reference, to a known mistake, or else what differs first."""
        difference = self._difference(outcomes, cases.right, cases, answer)
        if difference is None:
            return Result(True, "passed")
        if "not done yet" not in difference:
            for k, wrong in enumerate(cases.wrong):
                if self._difference(outcomes, wrong, cases, answer) is None:
                    return Result(False, self.mistakes[k].sentence, k)
        return Result(False, difference)

    def _difference(self, outcomes, right, cases, answer):
        """None if two lists of outcomes are equal, else a sentence about the first difference."""
        close = functools.partial(np.isclose, rtol=self.rtol, atol=self.atol, equal_nan=True)
        for outcome, expected, arguments in zip(outcomes, right, cases.inputs, strict=False):
            call = _describe_call(answer, arguments)
            if outcome.error or expected.error:
                errors = [outcome.error or "", expected.error or ""]
                if right is cases.right:  # a mistake's error counts to the letter
                    errors = [error.split(":")[0] for error in errors]
                if outcome.error and expected.error and errors[0] == errors[1]:
                    continue
                return outcome.blame or outcome.error or f"{call} it must end with {expected.error}"
            if outcome.blame:
                return outcome.blame
            difference = _value_difference(outcome.value, expected.value, close)
            if difference:
                return f"{call} {difference}."
        return None


def run(function, inputs, seconds=None, printed=None):
    """Call a function on every argument tuple; a list of `Outcome`, up to the first error."""
    outcomes = []
    try:
        with (
            _time_limit(seconds),
            warnings.catch_warnings(action="ignore"),
            np.errstate(all="ignore"),
            contextlib.redirect_stdout(printed or io.StringIO()),
        ):
            for arguments in inputs:
                given = copy.deepcopy(arguments)
                before = [pickle.dumps(argument) for argument in given]
                value = _plain(function(*given))
                changed = [k for k, one in enumerate(before) if pickle.dumps(given[k]) != one]
                outcomes.append(Outcome(value, blame=_blame_change(function, changed)))
    except (Exception, SystemExit, _OutOfTime) as error:
        outcomes.append(_failure(function, error, seconds))
    return outcomes


class _OutOfTime(BaseException):
    """Raised in an answer that takes too long; no `except Exception` catches it."""


@contextlib.contextmanager
def _time_limit(seconds):
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not usable:
        yield
        return

    def stop(signum, frame):
        raise _OutOfTime

    handler = signal.signal(signal.SIGALRM, stop)
    # Again every second, should it be swallowed.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)  # a timer that ran already goes on
        signal.signal(signal.SIGALRM, handler)


def _blame_change(function, changed):
    if not changed:
        return None
    return (
        f"It changes its argument `{_argument_names(function, changed[0] + 1)[changed[0]]}` in "
        "place. Work on a copy: whoever calls it still needs the original."
    )


def _failure(function, error, seconds):
    """The `Outcome` of a call that ended with an error, at the answer's own line."""
    name = type(error).__name__
    if isinstance(error, NotImplementedError):
        blame = "not done yet. Put your code in the place of `raise NotImplementedError()`."
        return Outcome(error=name, blame=blame)
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file and f.line]
    where = f"\n  line {own[-1].lineno}: {own[-1].line}" if own else ""
    if isinstance(error, _OutOfTime):
        return Outcome(error=name, blame=f"It ran longer than {seconds} s and was stopped.{where}")
    return Outcome(error=f"{name}: {error}", blame=f"It raised {name}: {error}{where}")


def _argument_names(function, count):
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    return names + [f"number {k + 1}" for k in range(len(names), count)]


def _describe_call(answer, arguments):
    parts = []
    for name, value in zip(_argument_names(answer, len(arguments)), arguments, strict=False):
        array = isinstance(value, np.ndarray) and value.ndim
        parts.append(f"{name}: shape {value.shape}" if array else f"{name}={_short(value)}")
    return f"For the arguments ({', '.join(parts)})"


def _short(value):
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return textwrap.shorten(repr(value), 60, placeholder=" ...")


def _kind(value):
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    if isinstance(value, dict):
        return f"a dict with the keys {list(value)}"
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    value = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return f"{type(value).__name__} {_short(value)}"


def _plain(value):
    """A result as arrays of numbers, what is none, and tuples and dicts of them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    return _numbers(value)


def _numbers(value):
    """The array of numbers that a value or a list of values forms, or else the value."""
    with contextlib.suppress(ValueError):  # rows of several lengths
        array = np.array(value)
        return array if array.dtype.kind in "biufc" else array.tolist()
    return value


def _value_difference(got, right, close, name="the result"):
    """None if two plain values are equal, else what differs first."""
    if got is None and right is not None:
        return f"{name} is None: the function must return it"
    if right is None or isinstance(right, str):
        same = isinstance(got, type(right)) and got == right
        return None if same else f"{name} is {_short(got)}"
    if isinstance(got, np.ndarray) or isinstance(right, np.ndarray):
        got, right = _numbers(got), _numbers(right)  # a list is as good
    if isinstance(got, np.ndarray) and isinstance(right, np.ndarray):
        return _array_difference(got, right, close, name)
    keys = _keys(right)
    if keys is None or keys != _keys(got):
        array = isinstance(right, np.ndarray)
        rule = f"one array of numbers, of shape {right.shape}" if array else _kind(right)
        rule = "a number" if array and not right.ndim else rule
        return f"{name} must be {rule}. Received: {_kind(got)}"
    parts = (_value_difference(got[k], right[k], close, f"{name}[{k!r}]") for k in keys)
    return next(filter(None, parts), None)


def _keys(value):
    """The keys of a dict or the positions in a tuple; None for anything else."""
    value = dict(enumerate(value)) if isinstance(value, tuple) else value
    return value.keys() if isinstance(value, dict) else None


def _array_difference(got, right, close, name):
    if got.shape != right.shape:
        order = ""
        if sorted(got.shape) == sorted(right.shape):
            swapped = got.T.shape == right.shape
            order = ": transposed" if swapped else ": the axes are in another order"
        return f"{name} has shape {got.shape} where {right.shape} is right{order}"
    wrong = ~close(got, right)
    if not wrong.any():
        return None
    first = tuple(np.argwhere(wrong)[0].tolist())
    place = f" at {list(first)}" if first else ""
    share = f", and {wrong.sum()} of {wrong.size} elements differ" if wrong.size > 1 else ""
    cut = got.dtype.kind in "biu" and right.dtype.kind == "f"
    kind = f" (its dtype {got.dtype} cuts fractions off)" if cut else ""
    got, right = (x[first] if x.dtype.kind == "b" else f"{x[first]:.6g}" for x in (got, right))
    return f"{name}{place} is {got} where {right} is right{share}{kind}"


# --- from files -----------------------------------------------------------------------------------


def load(name):
    """The exercises of a lesson, `{id: Exercise}`, for example `load("01_vanilla_rnn")`.

    They come from the notebook's own folder: the record that learners hold (`recorded.npz`), or
    the sources (`checks.py`); failing both, from the course's folder `notebooks/exercises/NAME`.

    Raises:
        FileNotFoundError: if there are no exercises of that name.
        ValueError: if the record is damaged.
    """
    course, here = COURSE / name, pathlib.Path.cwd()
    for folder in [here, course] if here.name == name else [course]:
        for file in (folder / "recorded.npz", folder / "checks.py"):
            if file.exists():
                return load_file(file)
    raise FileNotFoundError(f"`name` must be a lesson with exercises. Received: name={name!r}")


def load_file(path):
    """The exercises in a `checks.py` or in a record of one, `{id: Exercise}`."""
    path = pathlib.Path(path)
    if path.suffix == ".py":
        return {exercise.id: exercise for exercise in _module(path).EXERCISES}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            decode = functools.partial(_decode, arrays)
            stored = json.loads(str(arrays["structure"]), object_hook=decode)
        return {options["id"]: _restore(options, *rest) for options, *rest in stored}
    except Exception as error:  # zipfile's, zlib's, json's: whatever the damage leads to
        raise ValueError(
            f"{path.name} is missing or damaged ({error}). "
            "Delete it and run `make lab` to restore it."
        ) from error


def _published_answer(id):
    """The code of an exercise notebook's answer cell, and below it the comment that it begins with.

    nbgrader's markers are left out. The comment is `# Better: ...`. None if there is no such cell.
    """
    lesson, _, number = id.partition(".")
    for path in COURSE.glob(f"{lesson}_*/{lesson}_*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == f"answer-{lesson}-{number}":
                code = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", "".join(cell["source"]))
                better = re.search(r"(?m)^( *)# Better: (.*\n(\1# .*\n)*)", code)
                if better is None:
                    return code.rstrip()
                note = "What it does better: " + better[2].replace(f"{better[1]}# ", "")
                return f"{code.replace(better[0], '').rstrip()}\n\n{textwrap.fill(note, 79)}"
    return None


def record(checks, npz_path):
    """Write what learners get of a `checks.py`: inputs and outcomes of seed 0, never the code.

    `checks` is its path, or the exercises themselves, `{id: Exercise}`.
    """
    arrays, stored = {}, []
    for exercise in (checks if isinstance(checks, dict) else load_file(checks)).values():
        options = {key: getattr(exercise, key) for key in _KEPT}
        sentences = [mistake.sentence for mistake in exercise.mistakes]
        inputs, right, wrong = exercise.cases(RELEASED_SEED)
        # Values and errors; not the blame, which may quote a line of the solution.
        outcomes = [[(one.value, one.error) for one in all] for all in (right, *wrong)]
        stored.append(_encode([options, sentences, inputs, outcomes], arrays))
    np.savez_compressed(npz_path, structure=np.array(json.dumps(stored)), **arrays)


_KEPT = ("id", "hints", "points", "rtol", "atol", "seconds")


def _restore(options, sentences, inputs, outcomes):
    mistakes = [Mistake(None, sentence) for sentence in sentences]
    exercise = Exercise(reference=None, inputs=None, mistakes=mistakes, **options)
    right, *wrong = [[Outcome(*one) for one in all] for all in outcomes]
    exercise._cases[RELEASED_SEED] = Cases(inputs, right, wrong)
    return exercise


def _module(path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_checks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _encode(value, arrays):
    """JSON for nested values; arrays go to `arrays` under a name."""
    if isinstance(value, np.ndarray | np.generic):
        arrays[f"a{len(arrays)}"] = np.asarray(value)
        return {"array": f"a{len(arrays) - 1}"}
    if isinstance(value, dict):
        return {"dict": [[key, _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, tuple | list):
        items = [_encode(item, arrays) for item in value]
        return {"tuple": items} if isinstance(value, tuple) else items
    return value


def _decode(arrays, stored):
    """The value that `_encode` wrote as an object of JSON."""
    ((kind, content),) = stored.items()
    return {"array": arrays.__getitem__, "dict": dict, "tuple": tuple}[kind](content)
