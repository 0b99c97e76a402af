"""Hand out a lesson's exercises, grade them safely, list the questions that a person grades."""

import argparse
import os
import sys

from grading import sandbox
from grading.lesson import Places, load
from grading.rubrics import rubrics

WITHOUT = """\
WITHOUT A SANDBOX. Submissions run as ordinary processes, with your rights. Each has limits of time
and (on Linux) of memory. Nothing keeps them from reading your files (solutions, hidden checks,
other submissions), from changing them (the grade book), or from using the network."""


def main(arguments=None):
    """Parse the command line and do what it says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("assignment", help="make what students get")
    two = commands.add_parser("grade", help="grade a folder of submissions")
    three = commands.add_parser("rubrics", help="print the questions that a person grades")
    for command in (one, two, three):
        command.add_argument("lesson", help="number of a lesson, for example 06")
        command.add_argument("--config", help="settings instead of grading/course.toml")
    two.add_argument("submissions", help="a folder with a notebook or a folder for each student")
    two.add_argument("--workers", type=int, help="how many at once (the number of cores)")
    two.add_argument("--no-sandbox", action="store_true", help="only for submissions you trust")
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except (ValueError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it was.", file=sys.stderr)
        return 130


def _do(given):
    if os.name == "nt":
        raise ValueError("On Windows the instructors' kit runs in WSL 2: see docs/instructors.md.")
    isolated = not getattr(given, "no_sandbox", False)
    if given.command == "grade" and isolated and sandbox.why_unavailable():
        raise ValueError(
            f"Submissions are graded in a sandbox. {sandbox.why_unavailable()}\n"
            "`--no-sandbox` grades without it; docs/instructors.md says what that means."
        )
    lesson = load(given.lesson, Places(), given.config)
    if given.command == "rubrics":
        print(rubrics(lesson))
        return 0
    if given.command == "assignment":
        from grading.release import release

        print(f"What students get: {os.path.relpath(release(lesson, Places()))}")
        return 0
    from grading.grade import grade

    if not isolated:
        print(WITHOUT, file=sys.stderr)
    folder = given.submissions
    done = grade(lesson, Places(), folder, isolated=isolated, workers=given.workers)
    print(f"Grades, feedback and summary: {os.path.relpath(done)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
