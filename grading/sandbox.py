"""One submission's process: started in a sandbox, asked over a socket, and ended when it must be.

The sandbox is bubblewrap's (`bwrap`, Linux). Inside there are the system's programs, Python with
its packages, `course_utils`, the data sets and what the student was given, all read-only, and a
small `/tmp` in memory. There is no network, no other process, no checkout and no grade book.
"""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import course_utils

__all__ = ["GoneError", "Session", "available", "close_all", "why_unavailable"]

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(course_utils.__file__).parent
START = 60  # seconds until a process must be ready: a loaded machine, a cold disk
USERS = itertools.count(2_000_000_000)  # user ids that nobody has
RUNNING = set()  # sessions that were not closed yet
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class GoneError(Exception):
    """The process ended, was ended, or sent what is no answer; the text says which."""


class Session:
    """A process that executes the code of one submission.

    Args:
        files: folder with what the student was given; copied to where the code runs.
        limits: `memory_mb`, `disk_mb`, `processes`, `result_mb` and `seconds`.
        isolated: False runs it as an ordinary process, with the rights of whoever grades.
    """

    def __init__(self, files, limits, *, isolated=True):
        self.limits, self.step, self.received = limits, 0, b""
        self.scratch = None if isolated else tempfile.mkdtemp(prefix="grading-")
        work = pathlib.PurePosixPath("/tmp") if isolated else pathlib.Path(self.scratch)
        given = {
            "resources": _resources(limits, isolated),
            "user": next(USERS) if isolated and _is_root() else None,
            "files": "/course/files" if isolated else str(files),
            "work": str(work / files.name),
        }
        runner = "/course/grading/runner.py" if isolated else str(HERE / "runner.py")
        command = [sys.executable, "-s", runner, json.dumps(given)]
        if isolated:
            command = [*_bwrap(files, limits["disk_mb"]), *command]
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(work, "/course" if isolated else PACKAGE.parent),
                cwd=None if isolated else self.scratch,
                start_new_session=True,
            )
        RUNNING.add(self)
        try:
            self.ask({}, START)
        except BaseException:
            self.close()
            raise

    def ask(self, request, seconds):
        """Send a request, and return the reply; raises `GoneError` after `seconds` without one."""
        self.step += 1
        end = time.monotonic() + seconds
        content = json.dumps(request | {"step": self.step}).encode() + b"\n"
        try:
            self.socket.settimeout(seconds)
            self.socket.sendall(content)
            while True:
                reply = json.loads(self._line(end))
                if isinstance(reply, dict) and reply.get("step") == self.step:
                    return reply
        except TimeoutError:
            raise GoneError(f"it did not end within {seconds:g} s") from None
        except OSError:
            raise GoneError("it ended the process it ran in") from None
        except (ValueError, RecursionError):
            raise GoneError("it disturbed the process it ran in") from None

    def _line(self, end):
        bound = self.limits["result_mb"] * 1_000_000
        while b"\n" not in self.received[-65536:] and b"\n" not in self.received:
            if len(self.received) > bound:
                raise GoneError(f"its results are larger than {self.limits['result_mb']} MB")
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            part = self.socket.recv(65536)
            if not part:
                raise GoneError("it ended the process it ran in")
            self.received += part
        line, _, self.received = self.received.partition(b"\n")
        return line

    def close(self):
        """End the process and all that it started."""
        RUNNING.discard(self)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.socket.close()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


def _is_root():
    return os.geteuid() == 0


def _resources(limits, isolated):
    """Limits by the names of the module `resource`."""
    bounds = {
        "RLIMIT_AS": limits["memory_mb"] * 1_000_000,
        "RLIMIT_FSIZE": limits["disk_mb"] * 1_000_000,
        "RLIMIT_CPU": int(limits["seconds"]) + 1,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 256,
    }
    if isolated:  # outside a sandbox it would count all processes of the user
        bounds["RLIMIT_NPROC"] = limits["processes"] + (not _is_root())  # bwrap's own one
    return bounds


def _environment(home, course):
    ours = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "PYTHONPATH": str(course),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "agg",
        "KERAS_BACKEND": "tensorflow",
    }
    return ours | dict.fromkeys(THREADS, "1")


# --- bubblewrap -----------------------------------------------------------------------------------


def _bwrap(files, disk_mb):
    """The command in front of the command: what the sandbox shows, and what it may do."""
    memory = ["--perms", "1777", "--size", str(disk_mb * 1_000_000), "--tmpfs"]
    if _is_root():  # the runner changes to a user id that nobody has; then limits count for it
        names = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        names += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        names = ["--unshare-all", *_no_inner_namespaces()]
    shown = {path: path for path in _python_folders()}
    shown |= {
        "/course/course_utils": PACKAGE,
        "/course/grading/runner.py": HERE / "runner.py",
        "/course/files": files.resolve(),
    }
    if (PACKAGE.parent / "datasets").is_dir():
        shown["/course/datasets"] = PACKAGE.parent / "datasets"
    inner = {parent for at in shown for parent in pathlib.PurePosixPath(at).parents}
    folders = [("--perms", "0755", "--dir", str(folder)) for folder in sorted(inner)[1:]]
    binds = [("--ro-bind", str(path), str(at)) for at, path in shown.items()]
    return [
        *(shutil.which("bwrap") or "bwrap", *names, "--die-with-parent", "--new-session"),
        *_system_folders(),
        *("--proc", "/proc", "--dev", "/dev", *memory, "/dev/shm", "--remount-ro", "/dev"),
        *(*memory, "/tmp", *itertools.chain(*folders, *binds)),
        *("--remount-ro", "/", "--chdir", "/tmp", "--"),
    ]


@functools.cache
def _no_inner_namespaces():
    """What forbids to make further name spaces, with which memory could be had (bwrap 0.8)."""
    told = subprocess.run(["bwrap", "--help"], capture_output=True, text=True)
    known = "--disable-userns" in told.stdout + told.stderr
    return ["--unshare-user", "--disable-userns"] if known else []


@functools.cache
def _system_folders():
    parts = []
    for name in ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/nix/store"):
        if os.path.islink(name):
            parts += ["--symlink", os.readlink(name), name]
        elif os.path.exists(name):
            parts += ["--ro-bind", name, name]
    return parts


@functools.cache
def _python_folders():
    """Where Python and its packages are, unless below `/usr`; never a whole home or checkout."""
    folders = {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}
    folders |= {str(pathlib.Path(sys.executable).resolve().parents[1])}
    checkout = PACKAGE.parent.resolve()
    for folder in folders:
        if checkout.is_relative_to(folder):
            raise ValueError(
                "Python must not be installed in a folder that holds the checkout, which would "
                f"show the solutions to submissions. Received: {folder}"
            )
    return sorted(folder for folder in folders if not folder.startswith("/usr"))


@functools.cache
def why_unavailable():
    """What keeps the sandbox from working here, as a sentence; None if it works."""
    if not sys.platform.startswith("linux"):
        return f"bubblewrap exists for Linux only; this is {sys.platform}."
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)."
    with tempfile.TemporaryDirectory() as folder:
        command = [*_bwrap(pathlib.Path(folder), 1), "/usr/bin/env", "true"]
        done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else f"bwrap does not work here: {done.stderr.strip()}"


def close_all():
    """End the processes of all sessions: their threads get `GoneError`."""
    for session in list(RUNNING):
        session.process.kill()


def available():
    """Whether submissions can be run in a sandbox on this machine."""
    return why_unavailable() is None
