"""Load Keras and TensorFlow without the messages that they print at their start.

`import course_utils.quiet` first in a notebook, and the first cell stays clean. Without a GPU
TensorFlow writes that it found none straight to the process' standard error, past every setting;
Jupyter would show that in red. Anything else that is written meanwhile is passed on.
"""

import os
import re
import sys
import tempfile

__all__ = []

_KNOWN = re.compile(r"cudart_stub|before absl::InitializeLog")


def _load():
    saved = os.dup(2)
    with tempfile.TemporaryFile() as written:
        try:
            os.dup2(written.fileno(), 2)
            import keras  # noqa: F401
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            written.seek(0)
            lines = written.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if not _KNOWN.search(line)))


_load()
