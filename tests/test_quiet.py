"""Loading Keras in silence, without hiding anything else."""

import os
import subprocess
import sys

import pytest


def stderr_of(code, path=""):
    environment = os.environ | {"PYTHONPATH": str(path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stderr


@pytest.mark.slow
def test_nothing_is_written_at_the_start():
    assert stderr_of("import course_utils.quiet, keras; keras.ops.ones(3)") == ""


def test_other_messages_are_passed_on(tmp_path):
    lines = r"cudart_stub: none found\na real problem\n"
    (tmp_path / "keras.py").write_text(f"import os\nos.write(2, b'{lines}')\n", encoding="utf-8")
    assert stderr_of("import course_utils.quiet", tmp_path) == "a real problem\n"
