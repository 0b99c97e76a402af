"""nbgrader's settings for this course: `nbgrader` and JupyterLab's Formgrader read them here.

The sources are `notebooks/exercises/NN_topic/`; all that is made goes below `build/`. Assignments
are made and graded with `make assignment` and `make grade`, which run submissions in a sandbox;
nbgrader's own autograding refuses to run them. See `docs/instructors.md`.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from grading.gradebook import configuration

get_config().merge(configuration())  # noqa: F821
