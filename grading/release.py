"""What students get: made with nbgrader, checked against leaks, and tried out."""

import io
import json
import pathlib
import re
import shutil

import numpy as np

from course_utils import exercises
from grading.gradebook import Book
from grading.judge import judge
from grading.lesson import ROOT, role, write
from grading.submissions import restored

__all__ = ["leaks", "lint", "release"]

REGIONS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")


def release(lesson, places):
    """Make what students get, in nbgrader's release folder, and return that folder.

    Raises:
        ValueError: if the source breaks a rule, or what was made leaks or does not work.
    """
    target = places.nbgrader / "release" / lesson.name
    stamp = places.nbgrader / "source" / f"{lesson.name}.released"
    book, kept = Book(places, lesson), target.with_name(f".{lesson.name}.before")
    current = stamp.exists() and stamp.read_text() == lesson.fingerprint
    if current and target.is_dir() and book.knows():
        return target
    refuse("The source of the assignment", lint(lesson.notebook))
    source = places.nbgrader / "source" / lesson.name
    shutil.rmtree(source, ignore_errors=True)
    write(source / f"{lesson.name}.ipynb", json.dumps(lesson.notebook, indent=1))
    record = io.BytesIO()
    exercises.record(lesson.exercises, record)
    write(source / "recorded.npz", record.getvalue())
    public = ROOT / "notebooks" / "exercises" / lesson.name
    for path in public.iterdir():
        if path.is_file() and path.suffix not in (".py", ".npz", ".ipynb"):
            shutil.copy(path, source)
    stamp.unlink(missing_ok=True)
    if target.is_dir():
        shutil.rmtree(kept, ignore_errors=True)
        target.rename(kept)
    try:
        book.generate()
        refuse("What students would get", leaks(lesson, target) or _trial(lesson, target))
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if kept.is_dir():  # what was handed out stays
            kept.rename(target)
        raise
    shutil.rmtree(kept, ignore_errors=True)
    write(stamp, lesson.fingerprint)
    return target


def refuse(what, faults):
    """Raise if there are faults, with all of them."""
    if faults:
        raise ValueError(f"{what} has faults:\n  " + "\n  ".join(faults))


def _trial(lesson, target):
    """The solutions must earn every point, and a blank copy none. Own code: needs no sandbox."""
    faults = []
    blank = (target / f"{lesson.name}.ipynb").read_bytes()
    solved = json.dumps(lesson.notebook).encode()
    for content, wanted in ((solved, True), (blank, False)):
        verdicts = judge(lesson, restored(content, lesson)[1], target, isolated=False)
        for id, verdict in verdicts.items():
            if verdict.passed is not wanted:
                what = "the solution" if wanted else "a blank copy"
                faults.append(f"{id}: {what} is graded {verdict.passed}: {verdict.message}")
    return faults


# --- rules for the source -------------------------------------------------------------------------


def lint(notebook):
    """Faults in nbgrader's metadata and markers, as sentences."""
    faults, seen = [], set()
    for number, cell in enumerate(notebook["cells"], 1):
        own, source = role(cell), "".join(cell["source"])
        where = f"cell {number} ({own.get('grade_id', 'ordinary')})"
        if own.get("grade_id") in seen:
            faults.append(f"{where}: another cell has the same grade_id")
        seen |= {own["grade_id"]} if own else set()
        if own.get("grade") and not own.get("points", 0) > 0:
            faults.append(f"{where}: a graded cell needs points")
        for region in REGIONS:
            marks = re.findall(rf"### (BEGIN|END) {region}\b", source)
            if marks != ["BEGIN", "END"] * (len(marks) // 2):
                faults.append(f"{where}: BEGIN {region} and END {region} do not match")
            allowed = own.get("grade") and not own.get("solution")
            allowed = own.get("solution") if region != "HIDDEN TESTS" else allowed
            if marks and not allowed:
                faults.append(f"{where}: {region} stands where nbgrader would leave it")
        if "seed=" in source and own.get("grade") and "seed=" in _without(source):
            faults.append(f"{where}: a check with a seed stands outside HIDDEN TESTS")
        if own.get("solution") and cell["cell_type"] == "code" and "BEGIN SOLUTION" not in source:
            faults.append(f"{where}: a solution needs its markers")
    return faults


def _without(source):
    """A cell's source without what its regions hold."""
    for region in REGIONS:
        source = re.sub(rf"(?s)### BEGIN {region}.*?### END {region}", "", source)
    return source


# --- leaks ----------------------------------------------------------------------------------------


def leaks(lesson, folder):
    """Lines of solutions, hidden checks and references that a folder holds, as sentences."""
    faults, secret = [], _secret_lines(lesson)
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_dir():
            continue
        if path.suffix not in (".ipynb", ".npz", ".csv", ".txt", ".json", ".png", ".md"):
            faults.append(f"{path.name}: a file of this kind is not handed out")
        for line in _lines(path):
            if line in secret:
                faults.append(f"{path.name}: holds a line of {secret[line]}: {line}")
            if re.search(rf"(BEGIN|END) ({'|'.join(REGIONS)})", line):
                faults.append(f"{path.name}: holds a marker: {line}")
    return faults


def _lines(path):
    """All text in a file, in lines without blanks at their ends."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text("utf-8"))["cells"]
        if any(cell.get("outputs") for cell in cells):
            yield "### BEGIN SOLUTION (an output, which may show one)"
        text = "\n".join("".join(cell["source"]) for cell in cells)
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            texts = [str(arrays[k]) for k in arrays.files if arrays[k].dtype.kind not in "biufc"]
        text = "\n".join(texts).replace("\\n", "\n").replace('", "', "\n")
    else:
        text = path.read_text("utf-8", "replace")
    yield from (line.strip() for line in text.split("\n"))


def _secret_lines(lesson):
    """{line: where it stands}, without lines that the public part of the notebook has too."""
    secret, public = {}, set()
    for cell in lesson.notebook["cells"]:
        source, own = "".join(cell["source"]), role(cell)
        hidden = source if own.get("solution") and cell["cell_type"] != "code" else ""
        for region in REGIONS:
            found = re.findall(rf"(?s)### BEGIN {region}\n(.*?)### END {region}", source)
            hidden += "\n".join(found)
        secret |= dict.fromkeys(_telling(hidden), own.get("grade_id"))
        public |= set(_telling("" if hidden == source else _without(source)))
    for path in lesson.checks:
        code = path.read_text("utf-8").split("\nEXERCISES")[0]
        code = re.sub(r'(?m)^\s*"(?:[^"\\]|\\.)*",?$', "", code)  # sentences: these are handed out
        secret = dict.fromkeys(_telling(code), path.name) | secret
    return {line: where for line, where in secret.items() if line not in public}


def _telling(text):
    """Lines that say something: not `else:`, not `return x`."""
    return [line.strip() for line in text.split("\n") if len(line.strip()) >= 16]
