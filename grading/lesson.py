"""An assignment: a lesson's exercises as the instructor's settings adapt them."""

import functools
import hashlib
import json
import os
import pathlib
import re
import secrets
import tomllib
from typing import NamedTuple

from course_utils import exercises

__all__ = [
    "ROOT",
    "Lesson",
    "Places",
    "column",
    "load",
    "role",
    "sections",
    "settings",
    "write",
]

ROOT = pathlib.Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "grading" / "course.toml"
HEADING = re.compile(r"## (\d\d\.\d+) ")
CHECK = re.compile(r'tasks\["([\d.]+)"\]\.check\((\w+)\)')


class Places(NamedTuple):
    """Where things are written: everything below one folder."""

    build: pathlib.Path = ROOT / "build"

    @property
    def nbgrader(self):
        """nbgrader's folders and its grade book."""
        return self.build / "nbgrader"

    def grades(self, number):
        """The outcome of grading one lesson."""
        return self.build / "grades" / number


class Lesson(NamedTuple):
    """What is needed to hand out and grade a lesson's exercises.

    Args:
        name: "06_lstm".
        notebook: the source, with solutions, as its JSON says.
        exercises: {id: Exercise}.
        hidden: {id: list of Cases}, the inputs that no student sees.
        answers: {id: name of the function that a student writes}.
        limits: see `course.toml`.
        checks: the files `checks.py`, public and private.
        fingerprint: changes when anything changes that a grade depends on.
    """

    name: str
    notebook: dict
    exercises: dict
    hidden: dict
    answers: dict
    limits: dict
    checks: list
    fingerprint: str

    @property
    def number(self):
        """The lesson's number, two digits."""
        return self.name[:2]

    @property
    def graded(self):
        """{grade id: cell} of all cells that give points."""
        cells = {role(cell).get("grade_id"): cell for cell in self.notebook["cells"]}
        return {id: cell for id, cell in cells.items() if role(cell).get("grade")}


def role(cell):
    """What nbgrader's metadata say about a cell, a dict; empty for an ordinary one."""
    metadata = cell.get("metadata")
    found = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def write(path, content):
    """Write bytes or text to a temporary name and rename it: a file is whole, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(partial, path)


def _toml(path):
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from None


def settings(path=None):
    """The settings in a file; what it does not say is as in `course.toml`."""
    path, given = pathlib.Path(path or SETTINGS), _toml(SETTINGS)
    if path != SETTINGS:
        own = _toml(path)
        limits = given["limits"] | own.get("limits", {})
        given |= own | {"limits": limits}
        given["private"] = str(path.parent / given["private"])
    for key in set(given) - {"private", "limits", "lesson"}:
        raise ValueError(f"{path.name}: no setting has this name. Received: {key}")
    return given


def load(number, places, config=None):
    """The assignment of a lesson, given by its number ("06") or name.

    Raises:
        ValueError: if there is no such lesson, or a setting does not fit it.
    """
    folders = sorted((ROOT / "notebooks" / "exercises").glob(f"{str(number)[:2]}_*/checks.py"))
    if not re.fullmatch(r"\d\d(_\w+)?", str(number)) or len(folders) != 1:
        raise ValueError(f"`LESSON` must be the number of a lesson. Received: {number!r}")
    name = folders[0].parent.name
    options, given = settings(config), {}
    given = options.get("lesson", {}).get(name[:2], {})
    for key in set(given) - {"tasks", "points", "hidden_seeds", "limits"}:
        raise ValueError(f"[lesson.{name[:2]}]: no setting has this name. Received: {key}")
    own = ROOT / options["private"] / name
    checks = [path for path in (folders[0], own / "checks.py") if path.exists()]
    notebooks = [folders[0].with_name(f"{name}.ipynb"), own / f"{name}.ipynb"]
    notebook = _arranged([_read(path) for path in notebooks if path.exists()], given)
    limits = options["limits"] | given.get("limits", {})
    seeds = given.get("hidden_seeds") or [_own_seed(places)]
    found = _exercises(checks, given.get("points", {}))
    answers = dict(_answers(notebook))
    for id in answers.keys() - found.keys():
        raise ValueError(f"The notebook checks a task that no checks.py has. Received: {id}")
    _set_points(notebook, found)
    code = [pathlib.Path(exercises.__file__), *pathlib.Path(__file__).parent.glob("*.py"), *checks]
    parts = [path.read_bytes() for path in sorted(code)]
    parts.append(json.dumps([notebook, limits, seeds], sort_keys=True).encode())
    return Lesson(
        name,
        notebook,
        {id: found[id] for id in answers},
        {id: _hidden(found[id], checks[1:], seeds) for id in answers},
        answers,
        limits,
        checks,
        hashlib.sha256(b"\0".join(parts)).hexdigest(),
    )


def _read(path):
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def _answers(notebook):
    for cell in notebook["cells"]:
        if role(cell).get("grade") and cell["cell_type"] == "code":
            yield CHECK.search(cell["source"]).groups()


def column(grade_id):
    """What a graded cell is called: "check-06-4" is 06.4, "open-06-7-why" is 06.7 why."""
    _, lesson, number, *rest = grade_id.split("-")
    return " ".join([f"{lesson}.{number}", *rest])


def sections(notebook):
    """{task id: cells}, in order; None for what stands before the first."""
    parts, id = {}, None
    for cell in notebook["cells"]:
        found = HEADING.match(cell["source"]) if cell["cell_type"] == "markdown" else None
        id = found[1] if found else id
        parts.setdefault(id, []).append(cell)
    return parts


def _arranged(notebooks, given):
    """The public notebook, with the private one's tasks, of these the wanted, in that order."""
    public, parts = notebooks[0], sections(notebooks[0])
    for private in notebooks[1:]:
        parts |= {id: cells for id, cells in sections(private).items() if id is not None}
    wanted = given.get("tasks") or [id for id in parts if id is not None]
    for id in wanted:
        if id not in parts:
            raise ValueError(f"`tasks` must be tasks of the lesson. Received: {id!r}")
    cells = [cell for id in (None, *wanted) for cell in parts.get(id, [])]
    return public | {"cells": cells}


@functools.cache
def _module(path):
    return exercises._module(path)


def _exercises(checks, points):
    found = {exercise.id: exercise for path in checks for exercise in _module(path).EXERCISES}
    for id, value in points.items():
        if id not in found or type(value) not in (int, float) or value <= 0:
            rule = "`points` must be positive numbers for tasks that check themselves."
            raise ValueError(f"{rule} Received: {id} = {value!r}")
        found[id] = _changed(found[id], points=value)
    return found


def _changed(exercise, **changes):
    names = ("id", "reference", "inputs", "mistakes", "hints", "points", "rtol", "atol", "seconds")
    return exercises.Exercise(**{name: getattr(exercise, name) for name in names} | changes)


def _set_points(notebook, found):
    for cell in notebook["cells"]:
        if role(cell).get("grade") and cell["cell_type"] == "code":
            role(cell)["points"] = found[CHECK.search(cell["source"])[1]].points


def _hidden(exercise, private, seeds):
    """Cases for inputs that no student sees: by seed, or from a private HIDDEN."""
    inputs = exercise.inputs
    for path in private:
        inputs = getattr(_module(path), "HIDDEN", {}).get(exercise.id, inputs)
    return [_changed(exercise, inputs=inputs).cases(seed) for seed in seeds]


def _own_seed(places):
    """A seed of this installation's own, made once: the course's are public."""
    path = places.nbgrader / "hidden_seed"
    if not path.exists():
        write(path, f"{secrets.randbelow(2**31)}\n")
    return int(path.read_text())
