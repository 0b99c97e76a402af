"""Loading Keras in silence, without hiding anything else."""

import subprocess
import sys


def stderr_of(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stderr


def test_nothing_is_written_at_the_start():
    assert stderr_of("import course_utils.quiet, keras; keras.ops.ones(3)") == ""


def test_other_messages_are_passed_on():
    fake = (
        "import os, sys, types\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'keras':\n"
        "            os.write(2, b'cudart_stub: none found\\na real problem\\n')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import course_utils.quiet\n"
    )
    assert stderr_of(fake).splitlines() == ["a real problem"]
