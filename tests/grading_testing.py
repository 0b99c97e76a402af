"""Submissions as students make them: the released notebook with cells filled in."""

import json
import re

from grading.lesson import role


def solution(lesson, id):
    """The source's own answer to a task."""
    for cell in lesson.notebook["cells"]:
        if role(cell).get("grade_id") == grade_id(id):
            return re.sub(r"(?m)^ *### (BEGIN|END) SOLUTION\n?", "", cell["source"])
    raise KeyError(id)


def solved(lesson, *ids):
    """{task id: the source's own answer}, of all tasks or of those named."""
    return {id: solution(lesson, id) for id in ids or lesson.exercises}


def grade_id(id, prefix="answer"):
    return f"{prefix}-{id.replace('.', '-')}"


def filled(files, answers, essays=None):
    """The released notebook, as its JSON says, with answers {task id: code} in it."""
    (path,) = files.glob("*.ipynb")
    notebook = json.loads(path.read_text("utf-8"))
    texts = {grade_id(id): code for id, code in answers.items()} | (essays or {})
    for cell in notebook["cells"]:
        if role(cell).get("grade_id") in texts:
            cell["source"] = texts[role(cell)["grade_id"]]
    return notebook


def content(notebook):
    return json.dumps(notebook).encode()


def hand_in(folder, name, notebook, lesson):
    """Put a submission where a learning platform exports it to."""
    path = folder / name / f"{lesson.name}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(notebook if isinstance(notebook, bytes) else content(notebook))
    return path
