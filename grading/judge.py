"""What a submission's answers are worth: asked in the sandbox, compared here.

Two rounds. First each answer is called on the inputs that students hold; what it says then may be
shown to its author. Then it is called on hidden inputs, and from that moment no text of the
submission is passed on: feedback says which known mistake it is, or what kind of difference.
"""

import builtins
import re
import threading
import time
from typing import NamedTuple

import numpy as np

from course_utils import exercises
from grading import sandbox
from grading.runner import decode, encode

__all__ = [
    "STOP",
    "NotStartedError",
    "StoppedError",
    "Verdict",
    "follow_ons",
    "judge",
    "plain",
]

STOP = threading.Event()  # set when the grader was interrupted
GRACE = 2  # seconds that a process gets to end by itself what took too long


class StoppedError(Exception):
    """The grader was interrupted: nothing is to be concluded from what a process did since."""


class NotStartedError(Exception):
    """The machine's fault, not the submission's: it is to be graded another time."""


class Verdict(NamedTuple):
    """What became of one task; `mistake` is the sentence of a known one."""

    passed: bool
    message: str
    mistake: str | None = None


class Attempt:
    """The processes in which one submission runs: a new one after each that it ended."""

    def __init__(self, lesson, cells, files, isolated):
        self.cells, self.files, self.isolated = cells, files, isolated
        self.limits, self.session = lesson.limits, None
        self.fatal, self.errors, self.open = {}, {}, True
        self.end = time.monotonic() + lesson.limits["seconds"]

    def ask(self, request, seconds):
        """The answer to a request; raises `GoneError` if there is none."""
        while self.session is None:
            self._start()
        return self._ask(request, seconds)

    def _left(self):
        """Seconds that are left for the whole submission."""
        if STOP.is_set():
            raise StoppedError
        left = self.end - time.monotonic()
        if left <= 0:
            whole = self.limits["seconds"]
            raise sandbox.GoneError(f"it was not run: the {whole:g} s for all tasks were used up")
        return left

    def _ask(self, request, seconds):
        left = self._left()
        try:
            return self.session.ask(request | {"seconds": seconds}, min(seconds + GRACE, left))
        except sandbox.GoneError:
            self.close()
            if STOP.is_set():
                raise StoppedError from None
            raise

    def _start(self):
        """A new process, in which the cells ran that did not end one before."""
        for wait in (1, 5, None):  # the machine may be short of memory for a moment
            self._left()
            try:
                self.session = sandbox.Session(self.files, self.limits, isolated=self.isolated)
                break
            except (sandbox.GoneError, OSError) as error:
                self._left()
                if wait is None:
                    raise NotStartedError(f"no process could be started: {error}") from error
                time.sleep(wait)
        for number, source in enumerate(self.cells, 1):
            if number in self.fatal:
                continue
            try:
                request = {"cell": source, "number": number}
                reply = self._ask(request, self.limits["cell_seconds"])
            except sandbox.GoneError as gone:
                self._left()
                self.fatal[number] = str(gone)
                if self.open:
                    self.errors[number] = str(gone)
                return
            if self.open and reply.get("error"):
                self.errors[number] = str(reply["error"])

    def close(self):
        """End the process, if there is one."""
        if self.session is not None:
            self.session.close()
            self.session = None


def judge(lesson, cells, files, *, isolated=True):
    """{task id: Verdict} for the code cells of a submission.

    Args:
        lesson: the `Lesson`.
        cells: sources of code cells, in order.
        files: folder with what students were given.
        isolated: False runs the code as an ordinary process.
    """
    attempt, verdicts = Attempt(lesson, cells, files, isolated), {}
    try:
        for id, exercise in lesson.exercises.items():
            cases = exercise.cases()
            verdicts[id] = _task(attempt, lesson.answers[id], exercise, cases, hidden=False)
        attempt.open = False
        for id, exercise in lesson.exercises.items():
            for cases in lesson.hidden[id]:
                if verdicts[id].passed:
                    name = lesson.answers[id]
                    verdicts[id] = _task(attempt, name, exercise, cases, hidden=True)
    finally:
        attempt.close()
    return {id: one._replace(message=plain(one.message)) for id, one in verdicts.items()}


def follow_ons(lesson, cells, verdicts):
    """Sentences for the grader: tasks that may have failed because an earlier answer is wrong."""
    failed, notes = [id for id in verdicts if not verdicts[id].passed], []
    for id in failed:
        own = [cell for cell in cells if f"def {lesson.answers[id]}(" in cell]
        for other in failed:
            called = re.search(rf"\b{lesson.answers[other]}\(", " ".join(own))
            if called and other != id and not re.search(rf"def {lesson.answers[other]}\(", own[0]):
                notes.append(f"{id} calls {lesson.answers[other]}, which failed {other}")
    return notes


def _task(attempt, name, exercise, cases, *, hidden):
    seconds = min(exercise.seconds, attempt.limits["task_seconds"])
    try:
        reply = attempt.ask({"call": name, "inputs": encode(cases.inputs)}, seconds)
    except sandbox.GoneError as gone:
        where = "On other inputs" if hidden else f"When `{name}` was called"
        return Verdict(False, f"{where} {gone}.")
    if "outcomes" not in reply:
        return _no_function(attempt, name, reply, hidden)
    try:
        outcomes = [_outcome(*told) for told in reply["outcomes"]]
        verdict = _verdict(exercise, cases, outcomes, hidden=hidden)
    except Exception:  # whatever a forged reply leads to
        return Verdict(False, f"What `{name}` returned cannot be read.")
    printed = str(reply.get("printed", ""))[:500]
    if printed and not verdict.passed and not hidden:
        verdict = verdict._replace(message=f"{verdict.message}\nIt printed: {printed}")
    return verdict


def _outcome(value, error, blame):
    """An outcome as told; an error whose name is none, which might equal no error, is renamed."""
    if error is not None and not str(error).split(":")[0].isidentifier():
        error = f"Error: {error}"
    blame = None if blame is None else str(blame)
    return exercises.Outcome(decode(value), error and str(error), blame)


def plain(text, length=2000):
    """A text without what no file or page can hold, and not too long."""
    shown = "".join(c if c.isprintable() or c == "\n" else " " for c in text[:length])
    return shown + (" ..." if len(text) > length else "")


def _no_function(attempt, name, reply, hidden):
    if hidden:
        return Verdict(False, f"On other inputs `{name}` was no function any more.")
    if "kind" in reply:
        return Verdict(False, f"`{name}` must be a function. Received: {reply['kind']}")
    errors = [
        error for number, error in attempt.errors.items() if name in attempt.cells[number - 1]
    ]
    errors += attempt.errors.values()
    why = f" A cell did not end well: {errors[0]}" if errors else ""
    return Verdict(False, f"`{name}` is not defined.{why}")


def _verdict(exercise, cases, outcomes, *, hidden):
    """Compare outcomes with the right ones and with those of the known mistakes."""
    whole = len(outcomes) == len(cases.right) or (outcomes and outcomes[-1].error)
    if not whole or len(outcomes) > len(cases.right):
        return Verdict(False, "Its results did not arrive whole.")
    result = exercise._compare(cases, outcomes, exercise.reference)
    if result.passed:
        return Verdict(True, "passed")
    mistake = None if result.mistake is None else exercise.mistakes[result.mistake].sentence
    if hidden:
        message = mistake or _kind_of_difference(exercise, cases, outcomes)
        return Verdict(False, f"On other inputs: {message}", mistake)
    return Verdict(False, result.message, mistake)


def _kind_of_difference(exercise, cases, outcomes):
    """What differs first, without a value, a shape, or a word that the submission chose."""
    for outcome, right, arguments in zip(outcomes, cases.right, cases.inputs, strict=False):
        one = exercises.Cases([arguments], [right], [])
        if exercise._difference([outcome], one.right, one, None) is None:
            continue
        if outcome.error:
            name = outcome.error.split(":")[0]
            if name == "_OutOfTime":
                return "it took too long."
            return f"it raised {name if hasattr(builtins, name) else 'an error'}."
        if right.error:
            return "it returned a result where it must refuse."
        if outcome.blame:
            return "it changes an argument in place."
        text = exercises._value_difference(outcome.value, right.value, _any_values)
        if text and " has shape " in text:
            return "the result has another shape than is right."
        if text and (" must be " in text or " is None" in text):
            return "the result is of another kind than is right."
        break
    return "some values are wrong."


def _any_values(got, right):
    return np.ones(got.shape, bool)
