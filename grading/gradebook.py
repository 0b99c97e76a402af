"""nbgrader keeps the grades. It never executes a submission here: `judge` has done that before."""

import json
import logging
import os
import pathlib
import re
import shutil
import sys
import warnings
from unittest import mock

from nbformat.v4 import new_output
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode
from traitlets.config import Config

from grading.lesson import ROOT, column, role, write

__all__ = ["Book", "Outcomes", "configuration"]

LOG = logging.getLogger("grading.nbgrader")
LOG.propagate = False


class Heard(logging.Handler):
    """Keeps nbgrader's errors, for the case that it fails."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        """Keep a message."""
        self.lines.append(record.getMessage())


def configuration(
    build=ROOT / "build", source=ROOT / "notebooks" / "exercises", submitted="submitted", results=""
):
    """nbgrader's settings: its folders, no execution, and feedback without hidden checks.

    Without `results`, the folder with what `judge` found, nbgrader refuses to grade.
    """
    c, home = Config(), pathlib.Path(build) / "nbgrader"
    c.CourseDirectory.root, c.CourseDirectory.course_id = str(ROOT), "through-time"
    c.CourseDirectory.source_directory = str(source)
    c.CourseDirectory.submitted_directory = str(home / submitted)
    for name in ("release", "autograded", "feedback"):
        c.CourseDirectory[f"{name}_directory"] = str(home / name)
    c.CourseDirectory.db_url = f"sqlite:///{home / 'gradebook.db'}"
    c.CourseDirectory.ignore = ["checks.py", "__pycache__", ".ipynb_checkpoints", "*.pyc"]
    c.Outcomes.results = str(results)
    c.Autograde.autograde_preprocessors = [
        "grading.gradebook.Outcomes",
        "nbgrader.preprocessors.SaveAutoGrades",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.GenerateFeedback.preprocessors = [
        "nbgrader.preprocessors.GetGrades",
        "nbgrader.preprocessors.ClearHiddenTests",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    return c


class Outcomes(NbGraderPreprocessor):
    """Puts the outcomes of `make grade` where nbgrader looks for them: below the check cells."""

    results = Unicode(help="Folder with the results of a lesson.").tag(config=True)

    def preprocess(self, nb, resources):
        """Fill the outputs of all check cells; refuse where there is no result."""
        own = resources["nbgrader"]
        if not self.results:
            raise ValueError(
                "Submissions are graded by `make grade`, in a sandbox: nbgrader's own autograding "
                "would run them with your rights."
            )
        path = pathlib.Path(self.results) / f"{own['student']}.json"
        verdicts = json.loads(path.read_text("utf-8"))["verdicts"]
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                if role(cell).get("grade"):
                    cell.outputs = [_output(role(cell)["grade_id"], verdicts)]
        return nb, resources


def _output(grade_id, verdicts):
    id = column(grade_id)
    passed, message = verdicts[id]["passed"], verdicts[id]["message"]
    if passed:
        return new_output("stream", name="stdout", text=f"✓ {id} passed, on other inputs too\n")
    text = f"✗ {id}: {message}"
    return new_output("error", ename="ExerciseError", evalue=text, traceback=[text])


class Book:
    """The grade book of one lesson."""

    def __init__(self, places, lesson):
        places.nbgrader.mkdir(parents=True, exist_ok=True)
        self.places, self.lesson = places, lesson
        results = places.grades(lesson.number) / "results"
        source = places.nbgrader / "source"
        self.config = configuration(places.build, source, "restored", results)
        self.course = CourseDirectory(config=self.config)

    def knows(self):
        """Whether the lesson is in the grade book, which may be an older copy of itself."""
        if not (self.places.nbgrader / "gradebook.db").exists():
            return False
        with self.open() as book:
            return self.lesson.name in {assignment.name for assignment in book.assignments}

    def generate(self):
        """Make the release, and enter its cells into the grade book."""
        from nbgrader.converters import GenerateAssignment

        self._run(GenerateAssignment, create_assignment=True)

    def save(self, id, notebook, receipt):
        """Enter a student's notebook; its outcomes are in the folder of results by now.

        `receipt`, {name: text}, goes with it, up to the folder of its feedback. nbgrader would ask
        a person again for all points that were given by hand; they stay where nothing changed that
        they were given for.
        """
        import nbformat
        from nbgrader.converters import Autograde

        with self.open() as book:
            given = self._given(book, id)
            settled = {grade.name: why for grade, why in given if not grade.needs_manual_grade}
        path = self._entered(id).parent
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        for name, text in receipt.items():
            (path / name).write_text(text)
        nbformat.write(notebook, self._entered(id))
        self._run(Autograde, id, create_student=True)
        with self.open() as book:
            for grade, why in self._given(book, id):
                if settled.get(grade.name) == why:
                    grade.needs_manual_grade = False
            book.db.commit()

    def _entered(self, id):
        return (
            self.places.nbgrader / "restored" / id / self.lesson.name / f"{self.lesson.name}.ipynb"
        )

    def _grades(self, book, id):
        try:
            found = book.find_submission(self.lesson.name, id)
        except MissingEntry:
            return []
        return [grade for one in found.notebooks for grade in one.grades]

    def _given(self, book, id):
        """Points given by hand, each with what they are for: answer, automatic points, maximum."""
        if not self._entered(id).exists():
            return
        cells = json.loads(self._entered(id).read_text("utf-8"))["cells"]
        texts = {role(cell).get("grade_id"): cell["source"] for cell in cells}
        for grade in self._grades(book, id):
            if grade.manual_score is not None:
                text = texts.get(grade.name.replace("check-", "answer-"))
                yield grade, (text, grade.auto_score, grade.max_score)

    def holds(self, id, verdicts):
        """Whether the grade book, which may be an older copy of itself, has these outcomes."""
        with self.open() as book:
            grades, graded = self._grades(book, id), self.lesson.graded
            checks = [g for g in grades if graded.get(g.name, {}).get("cell_type") == "code"]
            wanted = [verdicts[column(g.name)]["passed"] * g.max_score for g in checks]
            return bool(grades) and [g.auto_score for g in checks] == wanted

    def feedback(self, id):
        """Make a student's feedback, and return it, a page of HTML."""
        from nbgrader.converters import GenerateFeedback

        self._run(GenerateFeedback, id)
        folder = self.places.nbgrader / "feedback" / id / self.lesson.name
        page = (folder / f"{self.lesson.name}.html").read_text("utf-8")
        # nbgrader's table of contents says "Test cell" for every task.
        entry = r'<a href="#([\w-]+)">(?:Test cell|Written response)</a>'
        page = re.sub(entry, lambda m: f'<a href="#{m[1]}">{column(m[1])}</a>', page)
        write(folder / f"{self.lesson.name}.html", page)
        if not (folder / "timestamp.txt").exists():  # `nbgrader release_feedback` would stop there
            shutil.rmtree(folder)
        return page

    def open(self):
        """nbgrader's grade book, for a `with` statement."""
        return Gradebook(self.course.db_url, self.course.course_id)

    def _run(self, converter, student=None, **options):
        self.course.assignment_id, self.course.student_id = self.lesson.name, student or "."
        app = converter(coursedir=self.course, config=self.config)
        app.log, app.force = LOG, True
        for name, value in options.items():
            setattr(app, name, value)
        LOG.handlers = [heard := Heard()]
        beside = str(pathlib.Path(sys.executable).parent)  # it calls `alembic` by name
        path = os.pathsep.join((beside, os.environ.get("PATH", os.defpath)))
        with warnings.catch_warnings(action="ignore"), mock.patch.dict(os.environ, PATH=path):
            try:
                app.start()
            except NbGraderException as error:
                text = "\n".join(heard.lines) or str(error)
                raise RuntimeError(
                    f"nbgrader failed for {student or self.lesson.name}:\n{text}"
                ) from error

    def scores(self, id):
        """{grade id: (points, maximum, waits for a person, comment)} of a student."""
        with self.open() as book:
            found = book.find_submission(self.lesson.name, id)
            grades = [grade for one in found.notebooks for grade in one.grades]
            comments = {c.name: c.comment for one in found.notebooks for c in one.comments}
            return {
                g.name: (g.score, g.max_score, bool(g.needs_manual_grade), comments.get(g.name))
                for g in grades
            }
