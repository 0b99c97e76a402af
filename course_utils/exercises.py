"""Exercises that check themselves, and say which mistake was made.

An exercise is data: a reference solution, inputs, and the mistakes that people make, each with the
sentence a good teacher would say. An answer is run on the inputs; its outcomes are then compared,
as plain arrays, with the right ones and with those of every known mistake. Learners hold a record
of the inputs and outcomes of seed 0 instead of the solutions.
"""

import contextlib
import copy
import dataclasses
import importlib.util
import inspect
import io
import json
import os
import pathlib
import signal
import threading
import time
import traceback
import warnings

import numpy as np

__all__ = ["Exercise", "ExerciseError", "Mistake", "load", "load_file", "record"]

RELEASED_SEED = 0


class ExerciseError(AssertionError):
    """An answer that is not right yet. Jupyter shows its message alone, without a stack trace."""

    def _render_traceback_(self):
        return [str(self)]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, and what a good teacher would say to it."""

    answer: object
    sentence: str


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of an answer: `mistake` is the number of the known mistake, or None."""

    passed: bool
    message: str
    mistake: int | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one call returned, or the error it ended with; `blame` says what else went wrong."""

    value: object = None
    error: str | None = None
    blame: str | None = None


@dataclasses.dataclass(frozen=True)
class Cases:
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
        self,
        id,
        reference,
        inputs,
        mistakes,
        hints,
        *,
        points=1,
        rtol=1e-5,
        atol=1e-8,
        seconds=10,
    ):
        self.id, self.reference, self.inputs = id, reference, inputs
        self.mistakes, self.hints = list(mistakes), list(hints)
        self.points, self.rtol, self.atol, self.seconds = points, rtol, atol, seconds
        self._cases = {}

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
            result = dataclasses.replace(result, message=f"{result.message}\nIt printed: {shown}")
        return result

    def check(self, answer, *, seed=RELEASED_SEED):
        """Print one line if the answer is right, or raise `ExerciseError` with the reason."""
        result = self.evaluate(answer, seed=seed)
        if not result.passed:
            hints = ", ".join(f'tasks["{self.id}"].hint({k + 1})' for k in range(len(self.hints)))
            stuck = f"\n  Stuck? {hints}" if hints else ""
            raise ExerciseError(f"✗ {self.id}: {result.message}{stuck}") from None
        print(f"✓ {self.id} passed" + ("" if seed == RELEASED_SEED else " on other inputs"))

    def hint(self, number=1):
        """Print hint `number`, counted from 1."""
        if number not in range(1, len(self.hints) + 1):
            raise ValueError(
                f"`number` must be from 1 to {len(self.hints)}. Received: number={number!r}"
            )
        print(f"Hint {number} of {len(self.hints)}: {self.hints[number - 1]}")

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
        for outcome, expected, arguments in zip(outcomes, right, cases.inputs, strict=False):
            call = _describe_call(answer, arguments)
            if outcome.error is not None or expected.error is not None:
                if _same_error(outcome.error, expected.error, exactly=right is not cases.right):
                    continue
                return outcome.blame or outcome.error or f"{call} it must end with {expected.error}"
            if outcome.blame:
                return outcome.blame
            difference = _value_difference(outcome.value, expected.value, self.rtol, self.atol)
            if difference:
                return f"{call} {difference}."
        return None if len(outcomes) == len(right) else "It stopped early."


def run(function, inputs, seconds=None, printed=None):
    """Call a function on every argument tuple; a list of `Outcome`, up to the first error."""
    outcomes = []
    printed = io.StringIO() if printed is None else printed
    try:
        with _time_limit(seconds), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for arguments in inputs:
                given = copy.deepcopy(arguments)
                with contextlib.redirect_stdout(printed):
                    value = _plain(function(*given))
                changed = [k for k, a in enumerate(arguments) if _changed(given[k], a)]
                outcomes.append(Outcome(value, blame=_blame_change(function, changed)))
    except (Exception, SystemExit, _OutOfTime) as error:
        outcomes.append(Outcome(*_blame_error(function, error, seconds)))
    return outcomes


def _same_error(one, other, *, exactly):
    """Whether two errors agree: with the reference's in type, with a mistake's to the letter."""
    if one is None or other is None or exactly:
        return one == other
    return one.split(":")[0] == other.split(":")[0]


class _OutOfTime(BaseException):
    """Raised in an answer that takes too long; no `except Exception` catches it."""


class _ResultError(TypeError):
    """A result that is neither an array, a number, a string nor None."""


@contextlib.contextmanager
def _time_limit(seconds):
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not usable:
        yield
        return

    def stop(signum, frame):
        raise _OutOfTime

    previous, start = signal.signal(signal.SIGALRM, stop), time.monotonic()
    # Again every second, should it be swallowed.
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if left:  # a timer ran already: it goes on
            left = max(left - (time.monotonic() - start), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def _blame_change(function, changed):
    if not changed:
        return None
    return (
        f"It changes its argument {_argument_names(function, changed[-1] + 1)[changed[0]]} in "
        "place. Work on a copy: whoever calls it still needs the original."
    )


def _blame_error(function, error, seconds):
    """(value, error, blame) of a call that ended with an error, at the answer's own line."""
    code = getattr(function, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if code is not None and f.filename == code.co_filename]
    where = f"\n  line {own[-1].lineno}: {own[-1].line}" if own and own[-1].line else ""
    name = type(error).__name__
    if isinstance(error, NotImplementedError):
        return (
            None,
            name,
            "not done yet. Put your code in the place of `raise NotImplementedError()`.",
        )
    if isinstance(error, _ResultError):
        return None, f"{name}: {error}", f"{error}"
    if isinstance(error, _OutOfTime):
        return None, name, f"It ran longer than {seconds} s and was stopped.{where}"
    return None, f"{name}: {error}", f"It raised {name}: {error}{where}"


def _argument_names(function, count):
    try:
        names = [f"`{name}`" for name in inspect.signature(function).parameters]
    except (TypeError, ValueError):
        names = []
    return names + [f"number {k + 1}" for k in range(len(names), count)]


def _describe_call(answer, arguments):
    if not arguments:
        return "Called without arguments,"
    names = [name.strip("`") for name in _argument_names(answer, len(arguments))]
    parts = []
    for name, value in zip(names, arguments, strict=False):
        shape = np.shape(value) if isinstance(value, np.ndarray) else None
        parts.append(f"{name}: shape {shape}" if shape else f"{name}={_short(value)}")
    return f"For the arguments ({', '.join(parts)})"


def _short(value):
    text = " ".join(repr(_simple(value)).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _simple(value):
    """The value with numbers and lists in the place of arrays, for reading."""
    if isinstance(value, dict):
        return {key: _simple(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map(_simple, value))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _kind(value):
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    return f"{type(_simple(value)).__name__} {_short(value)}"


def _plain(value):
    """A result as strings, None, NumPy arrays, and tuples and dicts of them."""
    if value is None:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    array = np.array(value)
    if array.dtype.kind not in "biufcU":
        raise _ResultError(f"The result must be an array or a number. Received: {_kind(value)}")
    return array


def _changed(given, original):
    if isinstance(original, np.ndarray):
        return not np.array_equal(given, original, equal_nan=original.dtype.kind in "fc")
    if isinstance(original, dict):
        return given.keys() != original.keys() or any(
            _changed(given[k], original[k]) for k in original
        )
    if isinstance(original, tuple | list):
        pairs = zip(given, original, strict=False)
        return len(given) != len(original) or any(_changed(g, o) for g, o in pairs)
    return given != original and original == original


def _value_difference(got, right, rtol, atol, name="the result"):
    """None if two plain values are equal, else what differs first."""
    if got is None and right is not None:
        return f"{name} is None" + (": the function must return it" if "[" not in name else "")
    if isinstance(right, dict):
        if not isinstance(got, dict) or got.keys() != right.keys():
            keys = list(got) if isinstance(got, dict) else _kind(got)
            return f"{name} must be a dict with the keys {list(right)}. Received: {keys}"
        parts = [(got[k], right[k], f"{name}[{k!r}]") for k in right]
    elif isinstance(right, tuple) and not isinstance(got, np.ndarray):
        if not isinstance(got, tuple) or len(got) != len(right):
            count = f"{len(got)} values" if isinstance(got, tuple) else _kind(got)
            return f"{name} must be {len(right)} values. Received: {count}"
        parts = [(got[k], right[k], f"{name}[{k}]") for k in range(len(right))]
    else:
        return _leaf_difference(got, right, rtol, atol, name)
    differences = (_value_difference(*part[:2], rtol, atol, part[2]) for part in parts)
    return next((d for d in differences if d), None)


def _leaf_difference(got, right, rtol, atol, name):
    if right is None or isinstance(right, str):
        got = got.item() if isinstance(got, np.ndarray) and got.ndim == 0 else got
        return None if type(got) is type(right) and got == right else f"{name} is {_short(got)}"
    with contextlib.suppress(ValueError):
        right = np.asarray(right)  # a list of numbers is as good as an array
    if not isinstance(right, np.ndarray):
        return f"{name} must be {len(right)} values. Received: {_kind(got)}"
    if isinstance(got, tuple):
        with contextlib.suppress(ValueError):
            got = np.asarray(got)
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "biufc":
        many = isinstance(got, tuple) and f"{len(got)} values that do not form one array"
        return f"{name} must be numbers of shape {right.shape}. Received: {many or _kind(got)}"
    if got.shape != right.shape:
        order = ": the axes are in another order" if got.ndim > 1 else ""
        order = ": transposed" if order and got.T.shape == right.shape else order
        order = order if sorted(got.shape) == sorted(right.shape) else ""
        return f"{name} has shape {got.shape} where {right.shape} is right{order}"
    wrong = ~np.isclose(got, right, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return None
    first = tuple(int(k) for k in np.argwhere(wrong)[0])
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
    course = pathlib.Path(__file__).parents[1] / "notebooks" / "exercises" / name
    here = pathlib.Path.cwd()
    folders = [here, course] if here.name == name else [course, here]
    for folder in folders:
        for file in (folder / "recorded.npz", folder / "checks.py"):
            if file.exists():
                return load_file(file)
    raise FileNotFoundError(f"`name` must be a lesson with exercises. Received: name={name!r}")


def load_file(path):
    """The exercises in a `checks.py` or in a record of one, `{id: Exercise}`."""
    path = pathlib.Path(path)
    if path.suffix == ".py":
        exercises = _module(path).EXERCISES
    else:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                stored = json.loads(str(arrays["structure"]))
                exercises = [_restore(item, arrays) for item in stored]
        except FileNotFoundError:
            raise
        except Exception as error:  # zipfile's, zlib's, json's: whatever the damage leads to
            raise ValueError(
                f"`path` must be a record of exercises; {path.name} is damaged ({error}). "
                "Delete it and run `make lab` to restore it."
            ) from error
    return {exercise.id: exercise for exercise in exercises}


def record(checks_path, npz_path):
    """Write what learners get of a `checks.py`: inputs and outcomes of seed 0, never the code."""
    arrays, stored = {}, []
    for exercise in load_file(checks_path).values():
        cases = exercise.cases(RELEASED_SEED)
        stored.append(
            {
                **{key: getattr(exercise, key) for key in _KEPT},
                "sentences": [mistake.sentence for mistake in exercise.mistakes],
                "inputs": _encode(list(cases.inputs), arrays),
                "right": _encode_outcomes(cases.right, arrays),
                "wrong": [_encode_outcomes(wrong, arrays) for wrong in cases.wrong],
            }
        )
    with open(npz_path, "wb") as file:
        np.savez_compressed(file, structure=np.array(json.dumps(stored)), **arrays)
        file.flush()
        os.fsync(file.fileno())


_KEPT = ("id", "hints", "points", "rtol", "atol", "seconds")


def _encode_outcomes(outcomes, arrays):
    """Values and errors; not the blame, which may quote a line of the solution."""
    return [_encode((outcome.value, outcome.error), arrays) for outcome in outcomes]


def _restore(item, arrays):
    kept = {key: item[key] for key in _KEPT}
    mistakes = [Mistake(None, sentence) for sentence in item["sentences"]]
    exercise = Exercise(reference=None, inputs=None, mistakes=mistakes, **kept)
    exercise._cases[RELEASED_SEED] = Cases(
        _decode(item["inputs"], arrays),
        [Outcome(*_decode(o, arrays)) for o in item["right"]],
        [[Outcome(*_decode(o, arrays)) for o in wrong] for wrong in item["wrong"]],
    )
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
        return ["array", f"a{len(arrays) - 1}"]
    if isinstance(value, tuple | list):
        return [type(value).__name__, [_encode(item, arrays) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[key, _encode(item, arrays)] for key, item in value.items()]]
    return ["plain", value]


def _decode(stored, arrays):
    kind, content = stored
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in content}
    if kind == "plain":
        return content
    return {"tuple": tuple, "list": list}[kind](_decode(item, arrays) for item in content)
