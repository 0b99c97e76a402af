"""What students handed in: found, read without trust, and brought into the form of the source."""

import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import re
import stat
import unicodedata
from typing import NamedTuple

import nbformat

from course_utils import workspace
from grading.lesson import role

__all__ = ["Submission", "find", "known", "restored"]

CELLS = 2000  # more of them are no homework
SHOWN = 20_000  # characters of a cell that graders see; what is cut is run all the same
SHOWN_TOGETHER = 100_000  # of all cells: made-up text may take minutes to show


# What nbgrader's exchange puts beside a notebook: by these it gives feedback to the right student.
RECEIPT = {
    "timestamp.txt": r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ UTC\s*",
    "submission_secret.txt": r"[0-9a-f]{32,256}\s*",
}


class Submission(NamedTuple):
    """One student's: the name as found, a name safe for files, the notebook or what is wrong.

    `receipt` holds the texts of the exchange's files, by name; none if it came another way.
    """

    name: str
    id: str
    content: bytes = b""
    problem: str | None = None
    receipt: dict = {}


def find(folder, lesson):
    """The submissions in a folder with one notebook, or one sub-folder, for each student.

    Links are not followed. Raises `ValueError` if there is nothing to grade.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"`SUBMISSIONS` must be a folder. Received: {folder}")
    found, taken = [], set()
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name.startswith((".", "__")):
            continue
        name = entry.name
        if entry.suffix == ".ipynb" and not entry.is_dir():
            name = re.sub(rf"[_ -]*{lesson.name}$", "", entry.stem) or entry.stem
        elif not entry.is_dir() and not entry.is_symlink():
            continue  # a list of names, a README
        id, name = _safe(name, taken), name.encode("utf-8", "replace").decode()
        try:
            path = _notebook(entry, lesson)
            found.append(Submission(name, id, _bytes(path, lesson), receipt=_receipt(path, lesson)))
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            found.append(Submission(name, id, problem=problem))
    if not found:
        raise ValueError(f"`SUBMISSIONS` must hold notebooks or folders. Received: {folder}")
    return found


def _safe(name, taken):
    """A name of ASCII letters, digits, `_` and `-` that no other student has."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:40]
    if safe != name or safe.lower() in taken:
        code = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]
        safe = f"{safe or 'student'}-{code}"
    taken.add(safe.lower())
    return safe


def _notebook(entry, lesson):
    if entry.is_symlink():
        raise ValueError("it is a link, which is not followed")
    if not entry.is_dir():
        return entry
    notebooks = []
    for place, folders, files in os.walk(entry):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        paths = [pathlib.Path(place, name) for name in files]
        notebooks += [path for path in paths if path.suffix == ".ipynb"]
    named = [path for path in notebooks if path.stem == lesson.name]
    if len(named or notebooks) != 1:
        count = len(named or notebooks)
        raise ValueError(f"the folder must hold one notebook {lesson.name}.ipynb; it has {count}")
    return (named or notebooks)[0]


def _receipt(notebook, lesson):
    """What the exchange put beside a notebook, as far as it has the exchange's form."""
    found = {}
    for name, form in RECEIPT.items():
        with contextlib.suppress(OSError, ValueError):
            text = _bytes(notebook.with_name(name), lesson).decode()
            if re.fullmatch(form, text, re.ASCII):
                found[name] = text
    with contextlib.suppress(KeyError, ValueError):  # nbgrader stops at the 99th of a month
        datetime.datetime.fromisoformat(found["timestamp.txt"].split(" UTC")[0])
        return found if len(found) == len(RECEIPT) else {}
    return {}


def _bytes(path, lesson):
    """A regular file's content; neither a link's nor a pipe's."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise ValueError("the notebook is a link, which is not followed")
    descriptor = os.open(path, os.O_RDONLY | flags)
    with open(descriptor, "rb") as file:
        found, bound = os.fstat(descriptor), lesson.limits["notebook_mb"]
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("the notebook is not a file")
        if found.st_size > bound * 1_000_000:
            raise ValueError(f"the notebook is larger than {bound} MB")
        return file.read()


# --- the source's form ----------------------------------------------------------------------------


def restored(content, lesson):
    """A submission with the source's check cells: the notebook, and the code that is to be run.

    Only the text of cells is taken over. Metadata come from the source; check cells are the
    source's own, whatever became of them; what is missing is put back, blank.

    Raises:
        ValueError: if the content is no notebook.
    """
    cells = [_plain(cell) for cell in _cells(content)]
    source = workspace.blank(lesson.notebook)["cells"]
    roles = {role(cell)["grade_id"]: cell for cell in source if role(cell)}
    blank = {id: "".join(cell["source"]) for id, cell in roles.items()}
    given = {"".join(cell["source"]) for cell in source}
    place = _places(cells, roles, blank)
    kept, code, shown = [], [], 0
    for number, cell in enumerate(cells):
        id = place.get(number)
        if cell["id"] in roles and role(roles[cell["id"]])["locked"]:
            continue  # a check cell: the source's own comes below
        if cell["kind"] == "code":
            code.append(cell["source"])
        text = cell["source"]
        if text not in given:
            text, shown = _shown(text, shown), shown + len(text)
            text = _harmless(text) if cell["kind"] == "markdown" else text
        kept.append((id, _new(cell["kind"], text, roles.get(id))))
    originals = {role(cell)["grade_id"]: cell for cell in lesson.notebook["cells"] if role(cell)}
    at = 0
    for id, cell in roles.items():
        where = [number for number, (own, _) in enumerate(kept) if own == id]
        if where:
            at = where[0] + 1
            continue
        locked = role(cell)["locked"]  # with its hidden checks, as nbgrader's own grading has it
        text = "".join(originals[id]["source"]) if locked else blank[id]
        kept.insert(at, (id, _new(cell["cell_type"], text, cell)))
        at += 1
    notebook = nbformat.v4.new_notebook(cells=[cell for _, cell in kept])
    return notebook, code


def known(content, lesson):
    """Whether any cell of a submission is one that students of this lesson were given."""
    given = {role(cell).get("grade_id") for cell in lesson.notebook["cells"]} - {None}
    return any(_plain(cell)["id"] in given for cell in _cells(content))


def _cells(content):
    try:
        notebook = json.loads(content)
        if isinstance(notebook, dict) and notebook.get("nbformat", 4) < 4:
            notebook = nbformat.convert(nbformat.from_dict(notebook), 4)
        cells = notebook["cells"]
    except RecursionError:
        raise ValueError("the notebook is nested too deeply") from None
    except Exception as error:  # whatever broken files lead to
        raise ValueError(f"the file is no notebook ({type(error).__name__})") from None
    if not isinstance(cells, list) or len(cells) > CELLS:
        raise ValueError(f"the notebook must have at most {CELLS} cells")
    return [cell for cell in cells if isinstance(cell, dict)]


def _plain(cell):
    text = cell.get("source", "")
    text = "".join(map(str, text)) if isinstance(text, list) else str(text)
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    kind = "code" if cell.get("cell_type") == "code" else "markdown"
    id = role(cell).get("grade_id")
    return {"kind": kind, "source": text, "id": id if isinstance(id, str) else None}


def _shown(text, before):
    most = max(0, min(SHOWN, SHOWN_TOGETHER - before))
    text = text if len(text) <= most else f"{text[:most]}\n\n(Cut: {len(text)} characters.)"
    return text.replace("HIDDEN TESTS", "hidden tests")  # nbgrader takes it for its own marker


def _harmless(text):
    """Markdown without HTML, links and pictures: graders look at it in their browsers."""
    text = re.sub(r"<(?=[a-zA-Z/!?])", "< ", text)
    return re.sub(r"\](?=[(:\[])", "] ", text).replace("\\href", "\\text")


def _places(cells, roles, blank):
    """{number of a cell: grade id}: of several cells with one id the last that is not blank."""
    chosen = {}
    for number, cell in enumerate(cells):
        id = cell["id"]
        if id not in roles or role(roles[id])["locked"] or cell["kind"] != roles[id]["cell_type"]:
            continue
        empty = cell["source"].strip() in ("", blank[id].strip())
        if id not in chosen or not empty:
            chosen[id] = number
    return {number: id for id, number in chosen.items()}


def _new(kind, text, original):
    make = getattr(nbformat.v4, f"new_{kind}_cell")
    return make(text, metadata={"nbgrader": dict(role(original))} if original else {})
