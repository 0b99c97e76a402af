"""Runs inside the sandbox: executes a submission's cells and calls its answers.

It reads requests, one line of JSON each, and answers each with a line. Nothing that it says is
believed: the code of a submission shares its process, and may say what it likes in its place. The
right outcomes are not here, so a lie can only be wrong. See `judge` for what is made of it.
"""

import ast
import base64
import contextlib
import io
import json
import linecache
import os
import re
import resource
import shutil
import socket
import sys
import types
import warnings

import numpy as np

from course_utils import exercises

__all__ = ["decode", "encode"]

DTYPES = {np.dtype(code).str for code in "?bhilqBHILQefdFD"}
TEXT = 2000  # characters of an error or of what was printed


# --- values as JSON, without pickle ---------------------------------------------------------------


def encode(value):
    """Nested tuples, lists and dicts of arrays, numbers, strings and None, as what JSON can hold.

    Example:
        >>> decode(encode({"a": (1.5, None, [True])}))
        {'a': (1.5, None, [True])}
        >>> decode(encode(np.eye(2)))
        array([[1., 0.],
               [0., 1.]])
    """
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype == np.longdouble:
            array = array.astype(float)
        if array.dtype.str in DTYPES:
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            return {"array": [array.dtype.str, list(array.shape), data]}
        return encode(array.tolist())
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [encode(item) for item in value]}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, complex):
        return encode(np.asarray(value))
    return f"an object of type {type(value).__name__}"


def decode(stored):
    """The value that `encode` wrote. Raises `ValueError` for anything else."""
    if stored is None or type(stored) in (bool, int, float, str):
        return stored
    if not isinstance(stored, dict) or len(stored) != 1:
        raise ValueError("a value must be a number, a text, or a dict with one entry")
    ((kind, content),) = stored.items()
    if not isinstance(content, list):
        raise ValueError(f"`{kind}` must hold a list")
    if kind == "array":
        return _array(*content)
    if kind == "dict":
        return {_key(decode(key)): decode(item) for key, item in content}
    if kind not in ("tuple", "list"):
        raise ValueError("a value must be an array, a dict, a tuple or a list")
    items = [decode(item) for item in content]
    return tuple(items) if kind == "tuple" else items


def _key(key):
    return key.item() if isinstance(key, np.ndarray) else key  # an array cannot be hashed


def _array(dtype, shape, data):
    if dtype not in DTYPES or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("an array must hold numbers and have a shape")
    flat = np.frombuffer(base64.b64decode(data), dtype)
    return flat.reshape(shape).copy()


# --- the submission's code ------------------------------------------------------------------------


class Tail(io.TextIOBase):
    """A stream that keeps the first characters written to it, and drops the rest."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        """Keep what fits."""
        self.text += text[: TEXT - len(self.text)]
        return len(text)


def run_cell(source, number, seconds, module):
    """Execute a cell; the error it ended with as text, or None."""
    file = f"cell {number}"
    try:
        source = without_magics(source)
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        with (
            exercises._time_limit(seconds),
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(Tail()),
            contextlib.redirect_stderr(Tail()),
        ):
            exec(compile(source, file, "exec"), module.__dict__)
    except exercises._OutOfTime:
        return f"it ran longer than {seconds:g} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:TEXT]
    return None


def without_magics(source):
    """A cell's source without the lines that only IPython understands."""
    with contextlib.suppress(SyntaxError):
        ast.parse(source)
        return source
    if source.lstrip().startswith("%%") and not re.match(r"\s*%%(time|capture|prun)\b", source):
        return ""
    return re.sub(r"(?m)^(\s*)[%!].*$|^(\s*)\?*[\w.]+\?{1,2}\s*$", r"\1\2pass", source)


def call(name, inputs, seconds, module):
    """Call an answer on all inputs; what there is to tell, as JSON can hold it."""
    if name not in module.__dict__:
        return {"missing": True}
    answer, printed = module.__dict__[name], Tail()
    if not callable(answer):
        return {"kind": exercises._kind(answer)[:TEXT]}
    try:
        outcomes = exercises.run(answer, inputs, seconds, printed)
    except BaseException as error:  # `run` lets KeyboardInterrupt and the like pass
        outcomes = [exercises.Outcome(error=type(error).__name__, blame=f"It raised {error!r}")]
    told = [[encode(o.value), _cut(o.error), _cut(o.blame)] for o in outcomes]
    return {"outcomes": told, "printed": printed.text.rstrip()}


def _cut(text):
    return text and str(text)[:TEXT]


# --- the process ----------------------------------------------------------------------------------


def confine(limits):
    """Give up rights that only administrators have, and set limits that cannot be raised again."""
    if limits.get("user") is not None:
        os.setgroups([])
        os.setresgid(*[limits["user"]] * 3)
        os.setresuid(*[limits["user"]] * 3)
    for name, bound in limits["resources"].items():
        try:
            resource.setrlimit(getattr(resource, name), (bound, bound))
        except (ValueError, OSError):  # macOS has no limit of memory
            if sys.platform == "linux":
                raise


def take_channel():
    """The socket that came as standard input; the standard streams then lead nowhere."""
    descriptor, nowhere = os.dup(0), os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return socket.socket(fileno=descriptor)


def main(limits):
    """Answer requests until there are no more."""
    channel = take_channel()
    confine(limits)
    work = shutil.copytree(limits["files"], limits["work"])
    os.chdir(work)
    sys.path[0] = str(work)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    for line in channel.makefile("rb"):
        request = json.loads(line)
        if "cell" in request:
            error = run_cell(request["cell"], request["number"], request["seconds"], module)
            reply = {"error": error}
        elif "call" in request:
            inputs = decode(request["inputs"])
            reply = call(request["call"], inputs, request["seconds"], module)
        else:
            reply = {}
        reply["step"] = request["step"]
        channel.sendall(json.dumps(reply).encode() + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
