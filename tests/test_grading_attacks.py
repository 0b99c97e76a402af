"""A table of attacks: none stops the run, gains points, or reaches what it should not.

The attacked submission has right answers to the tasks beside the one where the attack stands: they
must keep their points, unless the attack itself destroys them.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import grading_testing as students
import pytest

from grading import sandbox
from grading.grade import grade
from grading.judge import judge
from grading.lesson import ROOT, Places, load
from grading.release import release
from grading.submissions import restored

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sandbox.available(), reason=f"no sandbox: {sandbox.why_unavailable()}"),
]
SETTINGS = """
[limits]
seconds = 40
cell_seconds = 2
task_seconds = 2
memory_mb = 1000
result_mb = 5
[lesson.01]
tasks = ["01.1", "01.3", "01.4"]
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return Places(tmp_path_factory.mktemp("course") / "build")


@pytest.fixture(scope="module")
def lesson(places):
    places.build.mkdir()
    config = places.build / "course.toml"
    config.write_text(SETTINGS)
    return load("01", places, config)


@pytest.fixture(scope="module")
def files(lesson, places):
    return release(lesson, places)


def attacked(lesson, files, code, **options):
    """The verdicts on a submission whose answer to 01.3 is an attack."""
    notebook = students.filled(files, students.solved(lesson) | {"01.3": code})
    _, cells = restored(students.content(notebook), lesson)
    return judge(lesson, cells, files, **options)


SWALLOW = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
IGNORE = "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True:\n    pass"
EAT = "kept = []\nwhile True:\n    kept.append(bytearray(10**8))"
FILL = """
import itertools
for folder in ("/tmp", "/dev/shm", "/dev", "/", "/var/tmp"):
    for k in range(30):
        try:
            with open(f"{folder}/{k}", "wb") as file:
                for _ in range(100):
                    file.write(bytes(10**7))
        except OSError:
            pass
"""
FORK = "import os\nwhile True:\n    os.fork()"
FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
THREADS = """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(99,)).start()
"""
CRASH = "import ctypes\nctypes.string_at(0)"
KILL = "import os\nos.kill(os.getpid(), 9)"
KILL_ALL = "import os\nos.kill(-1, 9)"
RECURSE = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"
LIMITS = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))"
ROOT_USER = "import os\nos.setuid(0)\nraise RuntimeError('became root')"
CLOSE = "import os\nos.closerange(0, 1000)"
ENDS = {
    "sys.exit": "import sys\nsys.exit(0)",
    "os._exit": "import os\nos._exit(0)",
    "crash": CRASH,
    "kill": KILL,
    "kill all": KILL_ALL,
    "close all files": CLOSE,
    "endless recursion": RECURSE,
    "loop": "while True:\n    pass",
    "loop that swallows": SWALLOW,
    "loop without timer": IGNORE,
    "eat memory": EAT,
    "fill the disk": FILL,
    "fork bomb": FORK,
    "stubborn fork bomb": FORKS,
    "threads": THREADS,
    "endless printing": "while True:\n    print('x' * 10**6)",
    "endless errors": "import sys\nwhile True:\n    sys.__stderr__.write('x' * 10**6)",
    "raise the limits": LIMITS,
    "become root": ROOT_USER,
}


def indented(code):
    return "def all_states(*arguments):\n" + "".join(f"    {x}\n" for x in code.splitlines())


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("where", ["cell", "answer"])
def test_what_ends_or_blocks_a_process_costs_only_its_own_task(lesson, files, code, where):
    start = time.monotonic()
    verdicts = attacked(lesson, files, code if where == "cell" else indented(code))
    assert not verdicts["01.3"].passed
    assert verdicts["01.1"].passed and verdicts["01.4"].passed, verdicts
    assert time.monotonic() - start < lesson.limits["seconds"]


HONEST = """
def all_states(x, W_x, W_h, b):
    return np.zeros((len(x), x.shape[1], len(b)))
"""
FORGE = """
import gc, json, socket
for found in gc.get_objects():
    if isinstance(found, socket.socket):
        for step in range(200):
            for reply in REPLIES:
                found.sendall(json.dumps(reply | {"step": step}).encode() + b"\\n")
"""
PRETEND = """
import numpy as np
class Everything(np.ndarray):
    def __eq__(self, other): return True
    def __array__(self, *a, **k): raise SystemExit
def all_states(x, W_x, W_h, b):
    return np.zeros((len(x), x.shape[1], len(b))).view(Everything)
"""
DEEP = """
def all_states(*arguments):
    x = []
    for _ in range(10**5):
        x = [x]
    return x
"""
FLOOD = "os.write(3, b'[' * 10**5 + b'\\n')\n    "
RECORDED = """
def all_states(*arguments):
    return tasks["01.3"]._cases[0].right[0].value
"""
GAINS = {
    "patched NumPy": HONEST + "np.isclose = np.allclose = np.array_equal = lambda *a, **k: True",
    "patched comparison": HONEST
    + "exercises.Exercise._compare = lambda *a: exercises.Result(True, 'passed')\n"
    + "exercises.Exercise._difference = lambda *a: None\n"
    + "exercises._value_difference = lambda *a: None",
    "patched check": HONEST + "exercises.Exercise.check = lambda *a, **k: print('✓ 01.3 passed')",
    "no outcomes": HONEST + "exercises.run = lambda *a: []",
    "too many outcomes": HONEST + "exercises.run = lambda *a: [exercises.Outcome()] * 99",
    "an empty error": HONEST + "exercises.run = lambda *a: [exercises.Outcome(error='')] * 4",
    "forged: empty": FORGE.replace("REPLIES", "[{'outcomes': []}]") + HONEST,
    "forged: passed": FORGE.replace("REPLIES", "[{'passed': True, 'error': None}]") + HONEST,
    "forged: nonsense": FORGE.replace("REPLIES", "[{'outcomes': [[{'array': ['O', [], '']}]]}]")
    + HONEST,
    "forged: huge": FORGE.replace("REPLIES", "[{'outcomes': 'x' * 10**6}]") + HONEST,
    "forged: no JSON": "import os\n" + HONEST.replace("return", FLOOD + "return"),
    "pretending": PRETEND,
    "a nameless error": "def all_states(*a):\n    raise type('', (Exception,), {})()",
    "an error named :": "def all_states(*a):\n    raise type(':', (Exception,), {})()",
    "nameless errors": HONEST + "exercises.run = lambda *a: [exercises.Outcome(error=':')] * 4",
    "recorded outcomes": RECORDED,
    "a huge result": "def all_states(*a):\n    return np.zeros(10**8)",
    "a deep result": DEEP,
    "an endless list": "import itertools\ndef all_states(*a):\n    return [*itertools.count()]",
    "no function": "all_states = 3",
    "deleted": "",
}  # fmt: skip


@pytest.mark.parametrize("code", GAINS.values(), ids=GAINS)
def test_no_trick_gains_points(lesson, files, code):
    assert not attacked(lesson, files, code)["01.3"].passed


# --- what it can see ------------------------------------------------------------------------------


def seen(files, lesson, code):
    """What code in the sandbox found out: the value of `found`, as JSON."""
    session = sandbox.Session(files, lesson.limits)
    try:
        code += "\nimport json\nraise ValueError(json.dumps(found))"
        reply = session.ask({"cell": code, "number": 1, "seconds": 30}, 32)
    finally:
        session.close()
    kind, _, text = reply["error"].partition(": ")
    assert kind == "ValueError", reply
    return json.loads(text)


def test_secrets_are_not_there(lesson, files, places):
    paths = [str(path) for path in ROOT.iterdir() if path.name not in (".venv",)]
    paths += [str(path) for path in ROOT.glob("notebooks/exercises/*/checks.py")]
    paths += [str(places.build), str(places.nbgrader / "gradebook.db"), str(lesson.checks[0])]
    paths += [str(path) for path in (ROOT.parent, ROOT.home()) if path != ROOT]
    code = f"import os\npaths = {paths}\n" + (
        "found = [p for p in paths if os.path.isfile(p)]\n"
        "found += [os.path.join(p, f) for p in paths if os.path.isdir(p) for f in os.listdir(p)]"
    )
    left = seen(files, lesson, code)
    shown = [folder for given in sandbox._python_folders() for folder in (given, *_above(given))]
    shown.append(f"/tmp/{files.name}")  # its own work: the sandbox's `/tmp`, not the system's
    assert [path for path in left if path not in shown] == []


def _above(path):
    return [str(folder) for folder in pathlib.Path(path).parents]


def test_no_file_in_the_sandbox_holds_a_solution(lesson, files):
    code = """
import os
names = ("checks.py", "gradebook.db", "hidden_seed", "course.toml", "grades.csv", ".git")
found = []
for folder, folders, files in os.walk("/"):
    if folder.startswith(("/proc", "/usr")) or folder.endswith("site-packages/nbgrader"):
        folders[:] = []
        continue
    found += [os.path.join(folder, name) for name in (*files, *folders) if name in names]
    for name in files:
        if name.endswith((".ipynb", ".npz")) and folder.startswith(("/course", "/tmp")):
            with open(os.path.join(folder, name), "rb") as file:
                if b"BEGIN SOLUTION" in file.read():
                    found.append(name)
"""
    assert seen(files, lesson, code) == []


def test_no_process_file_or_variable_of_the_grader_is_in_reach(lesson, files, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "1")
    code = """
import os
found = [k for k in os.environ if "SECRET" in k]
found += [p for p in os.listdir("/proc") if p.isdigit() and int(p) > 9]
for fd in os.listdir("/proc/self/fd"):
    try:
        path = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        continue
    if not path.startswith(("/dev/null", "socket:", "/proc")):
        found.append(path)
"""
    assert seen(files, lesson, code) == []


def test_nothing_outside_its_memory_can_be_written(lesson, files, places):
    code = f"""
import os
found = []
python = os.path.dirname(os.path.dirname(os.__file__))
for folder in ("/", "/usr", "/bin", "/dev", "/course", "/course/files", "/course/course_utils",
               "/course/datasets", "/proc", python, {str(places.build)!r}, {str(ROOT)!r}):
    try:
        open(os.path.join(folder, "x"), "w")
        found.append(folder)
    except OSError:
        pass
for change in (os.remove, lambda p: os.chmod(p, 0o777), lambda p: open(p, "a")):
    try:
        change("/course/course_utils/exercises.py")
        found.append("changed")
    except OSError:
        pass
"""
    assert seen(files, lesson, code) == []
    assert not (places.build / "x").exists()


def test_there_is_no_network(lesson, files):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import socket
found = []
for address in (("127.0.0.1", {port}), ("1.1.1.1", 53), ("192.168.0.1", 80)):
    try:
        socket.create_connection(address, 1)
        found.append(address)
    except OSError:
        pass
"""
        assert seen(files, lesson, code) == []


TELL = """
import builtins
class Told(Exception): pass
def all_states(x, W_x, W_h, b):
    if not any(np.array_equal(x, c[0]) for c in tasks["01.3"].cases().inputs):
        print("SECRET", x)
        raise KIND
    h, states = 0 * b, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
        states.append(h)
    return np.stack(states, axis=1)
"""
KINDS = [
    "ValueError('SECRET' + str(x))",
    "type('SECRET' + str(x.sum()), (Exception,), {})()",
    "SystemExit('SECRET')",
    "type('SECRET', (BaseException,), {})()",
]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_inputs_do_not_reach_the_feedback(lesson, files, kind):
    verdict = attacked(lesson, files, TELL.replace("KIND", kind))["01.3"]
    assert not verdict.passed and "On other inputs" in verdict.message
    assert "SECRET" not in verdict.message


def test_differences_on_hidden_inputs_are_named_by_kind(lesson, files):
    told = {}
    for name, end in {
        "value": "x[0, 0, 0] + 0 * y",
        "shape": "y[:, :-1]",
        "kind": "{'y': y}",
        "none": "None",
        "place": "(x.fill(0), y)[1]",
    }.items():
        start, _, rest = TELL.partition("        print(")
        code = start + "        other = True\n    else:\n        other = False\n"
        code += rest.partition("\n        raise KIND\n")[2].replace(
            "return np.stack(states, axis=1)",
            f"y = np.stack(states, axis=1)\n    return ({end}) if other else y",
        )
        told[name] = attacked(lesson, files, code)["01.3"].message
    assert told == {
        "value": "On other inputs: some values are wrong.",
        "shape": "On other inputs: the result has another shape than is right.",
        "kind": "On other inputs: the result is of another kind than is right.",
        "none": "On other inputs: the result is of another kind than is right.",
        "place": "On other inputs: it changes an argument in place.",
    }


# --- the whole run --------------------------------------------------------------------------------


def test_a_hostile_class_changes_nobody_elses_grade(lesson, files, places, tmp_path):
    right = students.solved(lesson)
    bad = {
        "exit": KILL_ALL,
        "loop": SWALLOW,
        "fork": FORKS,
        "forge": FORGE.replace("REPLIES", "[{}]"),
    }
    for name, code in bad.items():
        students.hand_in(tmp_path, name, students.filled(files, right | {"01.3": code}), lesson)
    for name in ("a", "m", "z"):
        students.hand_in(tmp_path, name, students.filled(files, right), lesson)
    database = places.nbgrader / "gradebook.db"
    target = grade(lesson, places, tmp_path, log=str)
    rows = dict(line.split(",", 1) for line in (target / "grades.csv").read_text().splitlines()[1:])
    assert all(rows[name].startswith(f"{name},1,2,3,6,6,0,") for name in ("a", "m", "z"))
    assert all(rows[name].split(",")[2] == "0" for name in bad)
    assert database.exists()


def test_an_interrupted_grader_leaves_no_process(lesson, files):
    code = (
        "import sys, pathlib, json\n"
        "from grading import sandbox\n"
        "session = sandbox.Session(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]))\n"
        "print('ready', flush=True)\n"
        "session.ask({'cell': 'while True: pass', 'number': 1, 'seconds': 99}, 99)\n"
    )
    arguments = [str(files), json.dumps(lesson.limits)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while _left(str(files)) and time.monotonic() < end:
        time.sleep(0.1)
    assert _left(str(files)) == []


def _left(text):
    """Processes whose command line holds a text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if text.encode() in file.read() and int(pid) != os.getpid():
                    found.append(pid)
        except OSError:
            pass
    return found
