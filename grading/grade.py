"""Grades a folder of submissions: in parallel, in sandboxes, resumably."""

import concurrent.futures
import contextlib
import csv
import hashlib
import io
import json
import os
import sys
import time

from grading import sandbox
from grading.gradebook import Book
from grading.judge import STOP, NotStartedError, Verdict, follow_ons, judge
from grading.lesson import column, write
from grading.release import release
from grading.submissions import find, known, restored
from grading.summary import summary

__all__ = ["grade"]


def grade(lesson, places, folder, *, isolated=True, workers=None, log=print):
    """Grade all submissions in a folder, and write CSV, feedback and summary.

    What did not change since the last time is not graded again. An interrupted run goes on
    where it was.

    Args:
        lesson: the `Lesson`.
        places: the `Places` to write to.
        folder: what a learning platform exports: a notebook or a folder for each student.
        isolated: False runs submissions without a sandbox.
        workers: how many run at once; as many as there are cores if not given.
        log: called with each line of progress.

    Returns:
        The folder with `grades.csv`, `summary.md` and `feedback/`.
    """
    submissions, target = find(folder, lesson), places.grades(lesson.number)
    files = release(lesson, places)
    book, progress = Book(places, lesson), Progress(len(submissions), log)
    workers = workers or _cores()
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        jobs = [pool.submit(_result, one, lesson, files, target, isolated) for one in submissions]
        results, missing = {}, []
        for job in concurrent.futures.as_completed(jobs):
            submission, result, notebook = job.result()
            try:
                if not result:
                    raise RuntimeError("no process could be started; is the memory short?")
                _enter(book, target, submission, result, notebook)
                results[submission.id] = result
            except RuntimeError as error:
                missing.append(f"{submission.name}: {error}")
            progress.step(submission.name)
    except BaseException:
        STOP.set()
        sandbox.close_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        STOP.clear()
    rows = [_row(one, results[one.id], book, lesson) for one in submissions if one.id in results]
    if rows:
        write(target / "grades.csv", _csv(rows))
        write(target / "summary.md", summary(lesson, rows, list(results.values())))
    if missing:
        raise RuntimeError("\n".join(["Run it again: these could not be graded.", *missing]))
    return target


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Progress:
    """One line for each submission, or one line that moves where there is a terminal."""

    def __init__(self, total, log):
        self.total, self.log, self.done, self.start = total, log, 0, time.monotonic()

    def step(self, name):
        """One more is done."""
        self.done += 1
        left = (time.monotonic() - self.start) / self.done * (self.total - self.done)
        bar = "█" * (20 * self.done // self.total)
        text = f"{bar:<20} {self.done} of {self.total}, {left:.0f} s left: {name[:30]}"
        if self.log is print and sys.stdout.isatty():
            end = "\n" if self.done == self.total else "\r"
            print(f"{text:<79}", end=end, flush=True)
        else:
            self.log(text)


def _result(submission, lesson, files, target, isolated):
    """The submission, its result (from last time, if nothing changed), and its notebook.

    The result is None if the machine could not run it.
    """
    settings = repr((lesson.fingerprint, isolated, sorted(submission.receipt.items()))).encode()
    key = hashlib.sha256(b"\0".join((submission.content, settings))).hexdigest()
    problem = submission.problem
    try:
        notebook, code = restored(submission.content, lesson) if not problem else _nothing(lesson)
    except ValueError as error:
        problem = str(error)
        notebook, code = _nothing(lesson)
    path = target / "results" / f"{submission.id}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        old = json.loads(path.read_text("utf-8"))
        if old["key"] == key and old["name"] == submission.name and old["problem"] == problem:
            return submission, old, notebook
    if problem:
        message = f"not graded: {problem}."
        verdicts, notes = dict.fromkeys(lesson.exercises, Verdict(False, message)), [problem]
    else:
        try:
            verdicts = judge(lesson, code, files, isolated=isolated)
        except NotStartedError:
            return submission, None, notebook
        notes = follow_ons(lesson, code, verdicts)
        if not known(submission.content, lesson) and not any(v.passed for v in verdicts.values()):
            notes.append(f"no cell of {lesson.name} is in it: is it another lesson's notebook?")
    told = {id: verdict._asdict() for id, verdict in verdicts.items()}
    result = {"key": key, "name": submission.name, "problem": problem}
    result |= {"verdicts": told, "notes": notes}
    write(path, json.dumps(result, indent=1))
    return submission, result, notebook


def _nothing(lesson):
    return restored(b'{"cells": []}', lesson)


def _enter(book, target, submission, result, notebook):
    """Bring the grade book and the feedback up to date, where they are not."""
    mark = target / "results" / f"{submission.id}.entered"
    entered = mark.read_text().split("\n") if mark.exists() else ["", ""]
    if entered[0] != result["key"] or not book.holds(submission.id, result["verdicts"]):
        book.save(submission.id, notebook, submission.receipt)
        write(mark, f"{result['key']}\n")
    page = target / "feedback" / f"{submission.id}.html"
    scores = json.dumps([result["key"], book.scores(submission.id)], sort_keys=True)
    state = hashlib.sha256(scores.encode()).hexdigest()
    if entered[1:] != [state] or not page.exists():
        write(page, book.feedback(submission.id))
        write(mark, f"{result['key']}\n{state}")


# --- the table ------------------------------------------------------------------------------------


def _row(submission, result, book, lesson):
    """A student's row; points that wait for a person are empty."""
    scores, points, waiting = book.scores(submission.id), {}, 0
    for grade_id in lesson.graded:
        score, most, waits, _ = scores[grade_id]
        waiting += most if waits else 0
        points[column(grade_id)] = "" if waits else f"{score:g}"
    return {
        "student": _cell(submission.name),
        "id": submission.id,
        **points,
        "total": f"{sum(float(value) for value in points.values() if value):g}",
        "maximum": f"{sum(most for _, most, _, _ in scores.values()):g}",
        "waiting for a person": f"{waiting:g}",
        "note": _cell("; ".join(result["notes"])),
    }


def _cell(text):
    """A text that no spreadsheet takes for a formula."""
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return f"'{text}" if text[:1] in "=+-@" and text else text


def _csv(rows):
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return "\ufeff" + table.getvalue()  # the mark by which spreadsheets know UTF-8
