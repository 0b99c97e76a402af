"""A class graded in sandboxes, against plain nbgrader: `python -m benchmarks.grading`.

Both enter the grades of lesson 01 and make feedback, in the same run; nbgrader takes one submission
after the other, on a sample. The promise: 100 submissions on two cores in at most 5 minutes.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from grading.grade import grade
from grading.lesson import ROOT, Places, load, role
from grading.release import release

LESSON, PROMISE = "01", 300


def answers(lesson, number):
    """{task id: code}: solutions, every third task blank, broken or returning nothing."""
    found = {}
    for cell in lesson.notebook["cells"]:
        id = role(cell).get("grade_id", "")
        if id.startswith("answer-"):
            code = re.sub(r"(?m)^ *### (BEGIN|END) SOLUTION\n?", "", cell["source"])
            head = code[: code.index("\n") + 1]
            wrong = [head + "    return None", head + "    raise ValueError", head + "    (", ""]
            kind = (number * 7 + len(found) * 3) % 12
            found[id] = code if kind > 3 or number % 4 == 0 else wrong[kind]
    return found


def hand_in(folder, files, lesson, count):
    blank = json.loads((files / f"{lesson.name}.ipynb").read_text("utf-8"))
    for number in range(count):
        given = answers(lesson, number)
        for cell in blank["cells"]:
            cell["source"] = given.get(role(cell).get("grade_id"), cell["source"])
        path = folder / f"student{number:03}" / f"{lesson.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(blank), encoding="utf-8")


def plain(lesson, folder, scratch, sample):
    """Seconds that plain nbgrader needs for a submission: execution, grades, feedback."""
    beside = str(pathlib.Path(sys.executable).parent)  # nbgrader calls `alembic` by name
    os.environ["PATH"] = os.pathsep.join((beside, os.environ.get("PATH", os.defpath)))
    config = Config()
    config.CourseDirectory.root = str(scratch)
    source = scratch / "source" / lesson.name
    shutil.copytree(ROOT / "notebooks" / "exercises" / lesson.name, source)
    api = NbGraderAPI(config=config)
    assert api.generate_assignment(lesson.name)["success"]
    seconds, points = [], {}
    for student in sample:
        place = scratch / "submitted" / student / lesson.name
        shutil.copytree(folder / student, place)
        start = time.perf_counter()
        done = api.autograde(lesson.name, student)
        assert done["success"], done
        assert api.generate_feedback(lesson.name, student)["success"]
        seconds.append(time.perf_counter() - start)
        points[student] = api.get_submission(lesson.name, student)["score"]
        print(f"plain nbgrader: {student} in {seconds[-1]:.1f} s", flush=True)
    return sum(seconds) / len(seconds), points


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--sample", type=int, default=5)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        places = Places(scratch / "build")
        lesson = load(LESSON, places)
        files = release(lesson, places)
        hand_in(scratch / "in", files, lesson, given.count)
        start = time.perf_counter()
        target = grade(lesson, places, scratch / "in", workers=given.workers)
        whole = time.perf_counter() - start
        rows = (target / "grades.csv").read_text("utf-8-sig").splitlines()[1:]
        ours = {row.split(",")[0]: float(row.split(",")[-4]) for row in rows}
        step = max(1, given.count // given.sample)
        sample = sorted(ours)[::step][: given.sample]
        each, points = plain(lesson, scratch / "in", scratch / "plain", sample)
    assert points == {student: ours[student] for student in sample}, "the grades differ"
    ok = whole / given.count * 100 <= PROMISE
    print(
        f"{'ok  ' if ok else 'OVER'} grading: {given.count} submissions in {whole:.0f} s, "
        f"{whole / given.count:.2f} s each (promised for 100: at most {PROMISE} s); "
        f"plain nbgrader, one at a time: {each:.2f} s each, {each * given.count / whole:.1f} times "
        f"as long; the same grades"
    )


if __name__ == "__main__":
    main()
