"""The learner's copy: lessons and blank exercises in `workspace/`, with nothing overwritten.

A file counts as *edited* when its cell sources differ from what was delivered; outputs and
execution counts do not count. The manifest `workspace/.manifest.json` remembers what was delivered,
`workspace/.progress.json` which lessons and tasks were ever done.
"""

import contextlib
import datetime
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["blank", "course_root", "done", "lab", "progress", "task_states", "update"]

CODE_STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]
TEXT_STUB = ["YOUR ANSWER HERE"]
MANIFEST = ".manifest.json"
DONE = ".progress.json"
START = "00_start_here.ipynb"
LESSONS = "[0-9][0-9]_*.ipynb"
# What JupyterLab would ask the network for: news, updates of itself, extensions.
OFF = ["@jupyterlab/apputils-extension:announcements", "@jupyterlab/extensionmanager-extension"]


def course_root() -> Path:
    """Returns the checkout that holds `course_utils/` and `notebooks/`."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "notebooks").is_dir():
        raise FileNotFoundError(
            "The course's `notebooks/` folder was not found beside `course_utils/`. Install the "
            f"course from its checkout, with `make lab`. Looked in: {root}"
        )
    return root


# --- blank copies -------------------------------------------------------------------------------


def _clear_outputs(notebook: dict) -> dict:
    """Returns a copy of `notebook` without outputs and execution counts."""
    notebook = json.loads(json.dumps(notebook))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def blank(notebook: dict) -> dict:
    """Returns what learners get of an nbgrader source notebook.

    Solutions become stubs, hidden tests and mark schemes go, outputs are cleared. The cell sources
    are those that nbgrader's own preprocessors produce.

    Args:
        notebook: the notebook as its JSON says; it is not changed.

    Example:

    >>> source = "def double(x):\\n    ### BEGIN SOLUTION\\n    return 2 * x\\n    ### END SOLUTION"
    >>> cell = {"cell_type": "code", "source": source, "metadata": {"nbgrader": {"solution": True}}}
    >>> print("".join(blank({"cells": [cell], "metadata": {}})["cells"][0]["source"]))
    def double(x):
        # YOUR CODE HERE
        raise NotImplementedError()
    """
    notebook = _clear_outputs(notebook)
    for cell in notebook["cells"]:
        cell["source"] = _blank_source(cell).splitlines(keepends=True)
    return notebook


def _blank_source(cell: dict) -> str:
    source, stub = _source(cell), CODE_STUB if cell["cell_type"] == "code" else TEXT_STUB
    solution = cell["metadata"].get("nbgrader", {}).get("solution")
    if solution and "BEGIN SOLUTION" not in source:
        return "\n".join(stub)
    source = _cut(source, "SOLUTION", stub)
    return _cut(_cut(source, "HIDDEN TESTS", []), "MARK SCHEME", [])


def _cut(source: str, region: str, stub: list[str]) -> str:
    kept, inside = [], False
    for line in source.split("\n"):
        if f"BEGIN {region}" in line:
            inside = True
            indent = re.match(r"\s*", line).group()
            kept += [indent + text for text in stub]
        elif f"END {region}" in line:
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError(f"`BEGIN {region}` has no `END {region}`.")
    return "\n".join(kept)


def _source(cell: dict) -> str:
    return "".join(cell["source"])  # a string, or a list of lines


# --- bringing the copy up to date ---------------------------------------------------------------


class Change(NamedTuple):
    """One thing that `update` did or found: what kind, to which file, and why."""

    kind: str  # new, restored, updated, beside, recorded or problem
    name: str
    note: str = ""

    def __str__(self):
        return f"{self.kind:<9} {self.name}" + (f": {self.note}" if self.note else "")


def update(source: Path, target: Path) -> list:
    """Brings the learner's copy up to date and returns the list of `Change`s.

    New and unedited notebooks get the course's version. An edited one is left alone; if the course
    changed it since, the new version is put beside it as `NN_topic.new.ipynb`, once a version.
    Every file is written to a temporary name and renamed, the manifest last, so a run that was
    killed is completed by the next one.

    Args:
        source: the checkout, which holds `notebooks/`.
        target: the learner's folder; made if it does not exist.
    """
    wanted = _deliveries(source / "notebooks")  # everything is read before anything is written
    target.mkdir(parents=True, exist_ok=True)
    done(target)  # a new version of a lesson comes without outputs
    manifest, changes = _read(target / MANIFEST, "what differs from the course's counts as edited")
    for name, content in wanted.items():
        try:
            changes += _deliver(target, name, content, manifest.setdefault(name, {}))
        except ValueError as error:
            changes.append(Change("problem", name, str(error)))
    for checks in sorted((source / "notebooks" / "exercises").glob("*/checks.py")):
        name = f"exercises/{checks.parent.name}/recorded.npz"
        changes += _record(checks, target, name, manifest.setdefault(name, {}))
    _write(target / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return changes


def _deliveries(notebooks: Path) -> dict[str, bytes]:
    wanted = {}
    paths = [*notebooks.glob(LESSONS), *notebooks.glob("exercises/[0-9][0-9]_*/*")]
    for path in sorted(paths):
        name = path.relative_to(notebooks).as_posix()
        if path.suffix == ".ipynb":
            wanted[name] = _copy_of(path, _clear_outputs if path.parent == notebooks else blank)
        elif path.is_file() and path.suffix not in (".py", ".npz"):
            wanted[name] = path.read_bytes()
    return wanted


def _copy_of(path: Path, cut: Callable[[dict], dict]) -> bytes:
    try:
        notebook = cut(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"No learner's copy can be made of {path}: {error}") from error
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    return (text + "\n").encode()


def _fingerprint(name: str, content: bytes) -> str:
    """Returns a hash of the cell sources, or of all bytes if `name` is no notebook's.

    Empty cells at the end do not count: JupyterLab adds one when the last cell is run.
    """
    if name.endswith(".ipynb"):
        sources = [_source(cell) for cell in _cells(name, content)]
        while sources and not sources[-1].strip():
            sources.pop()
        content = json.dumps(sources).encode()
    return hashlib.sha256(content).hexdigest()


def _cells(name: str, content: bytes) -> list[dict]:
    try:
        cells = json.loads(content)["cells"]
        for cell in cells:
            _source(cell), cell["cell_type"]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"{name} is no notebook any more; rename it, then run `make lab`"
        raise ValueError(message) from None
    return cells


def _deliver(target: Path, name: str, content: bytes, entry: dict) -> list:
    """Brings one file; `entry`, its part of the manifest, says what was delivered and offered."""
    path, wanted = target / name, _fingerprint(name, content)
    delivered, offered = entry.get("delivered"), entry.get("offered")
    found = _fingerprint(path.name, path.read_bytes()) if path.exists() else None
    if found == wanted:
        entry["delivered"] = wanted
        return []
    if found in (None, delivered):
        _write(path, content)
        entry["delivered"] = wanted
        return [Change("updated" if found else "restored" if delivered else "new", name)]
    if wanted in (delivered, offered):
        return []
    beside, number = path.with_suffix(f".new{path.suffix}"), 1
    ours = (wanted, offered)
    while beside.exists() and _fingerprint(beside.name, beside.read_bytes()) not in ours:
        number += 1  # the learner began to work in that file
        beside = path.with_suffix(f".new{number}{path.suffix}")
    _write(beside, content)
    entry["offered"] = wanted
    note = f"you changed it; the course's version is beside it as {beside.name}"
    return [Change("beside", name, note)]


def _record(checks: Path, target: Path, name: str, entry: dict) -> list:
    """Writes one exercise's recorded data, unless its checks are as when last recorded."""
    code = checks.read_bytes() + Path(__file__).with_name("exercises.py").read_bytes()
    cause = hashlib.sha256(code).hexdigest()
    if (target / name).exists() and entry.get("cause") == cause:
        return []
    from course_utils import exercises

    print(f"Recording the checks of {checks.parent.name} ...", flush=True)
    content = io.BytesIO()
    try:
        exercises.record(checks, content)
    except Exception as error:  # whatever a reference solution raises: the rest must still come
        return [Change("problem", name, f"not recorded: {type(error).__name__}: {error}")]
    _write(target / name, content.getvalue())
    entry["cause"] = cause
    return [Change("recorded", name)]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _read(path: Path, note: str) -> tuple[dict, list]:
    """Returns what a file of ours says of each name; a damaged one is kept aside, and named."""
    if not path.exists():
        return {}, []
    try:
        return {name: dict(entry) for name, entry in json.loads(path.read_bytes()).items()}, []
    except (ValueError, TypeError, AttributeError):
        aside = path.with_suffix(".damaged.json")
        os.replace(path, aside)
        return {}, [Change("problem", path.name, f"damaged, kept as {aside.name}; {note}")]


# --- opening it ---------------------------------------------------------------------------------


def lab(arguments: Sequence[str] = (), target: Path | None = None) -> int:
    """Updates the workspace, says what changed, and starts JupyterLab in it.

    Args:
        arguments: handed on to JupyterLab, for example `["--no-browser", "--port", "8899"]`.
        target: the learner's folder; `workspace/` in the checkout if not given.
    """
    root = course_root()
    target = Path(target or root / "workspace").resolve()
    changes = update(root, target)
    print(*changes or [f"{target.name}/ is up to date."], sep="\n", flush=True)
    command, environment = _lab_command(arguments, target), _quiet_environment(target)
    if os.name == "nt":  # there, exec would detach JupyterLab from its terminal
        return subprocess.call(command, cwd=target, env=environment)
    os.chdir(target)
    os.execve(command[0], command, environment)


def _quiet_environment(target: Path) -> dict[str, str]:
    """Returns an environment in which JupyterLab asks for no news; no own settings change."""
    settings = {"disabledExtensions": dict.fromkeys(OFF, True)}
    _write(target / ".jupyter/labconfig/page_config.json", json.dumps(settings).encode())
    first = {"JUPYTER_CONFIG_PATH": target / ".jupyter", "PATH": Path(sys.executable).parent}
    return os.environ | {
        name: f"{path}{os.pathsep}{os.environ.get(name, '')}".rstrip(os.pathsep)
        for name, path in first.items()
    }


def _lab_command(arguments: Sequence[str], target: Path) -> list[str]:
    """Returns the command that starts JupyterLab: on loopback, with its token."""
    defaults = ["--ip=127.0.0.1", "--LabApp.extension_manager=readonly"]
    if getattr(os, "geteuid", lambda: 1)() == 0:
        defaults.append("--allow-root")
    given = {argument.split("=")[0] for argument in arguments}
    options = [option for option in defaults if option.split("=")[0] not in given]
    named = any(argument.endswith(".ipynb") for argument in arguments)
    start = [START] if not named and (target / START).exists() else []
    return [sys.executable, "-m", "jupyter", "lab", *options, *arguments, *start]


# --- progress -----------------------------------------------------------------------------------


class Task(NamedTuple):
    """How one exercise task stands: done, done before, not done yet, or not run."""

    exercise: str
    id: str
    state: str
    points: float


def progress(target: Path | None = None, *, run: bool = False) -> None:
    """Prints which lessons were run to the end and which tasks pass, from the saved notebooks.

    What was done once counts as done, whatever became of the notebook: `.progress.json` keeps it.

    Args:
        target: the learner's folder; if not given, the current one if it is a learner's, or else
            `workspace/` in the checkout.
        run: execute each exercise first, in a temporary copy, instead of reading saved outputs.
    """
    target = _learners_folder(target)
    lessons = [path for path in sorted(target.glob(LESSONS)) if "." not in path.stem]
    if not lessons:
        print(f"There are no lessons in {target.name}/ yet: `make lab` brings them to workspace/.")
        return
    known, tasks = done(target), []
    print(f"{'lesson':<36} {'cells run':<11} {'tasks':<11} points")
    for path in lessons:
        try:
            ran, cells = _cells_run(_cells(path.name, path.read_bytes()))
            folder = target / "exercises" / path.stem
            own = task_states(folder, run=run, done=known) if folder.exists() else []
        except (ValueError, OSError) as error:
            print(f"problem   {path.stem}: {error}")
            continue
        state = "done" if path.stem in known else f"{ran} of {cells}"
        print(f"{path.stem:<36} {state:<11} {_count(own, '{:<11} {}') if own else ''}".rstrip())
        for state in ("done before", "not done yet", "not run"):
            some = [task.id for task in own if task.state == state]
            if some and (state != "not run" or len(some) < len(own)):
                print(f"    {state}: {', '.join(some)}")
        tasks += own
    done(target, {task.id for task in tasks if task.state == "done"})
    finished = sum(path.stem in known for path in lessons)
    print(f"Done: {finished} of {len(lessons)} lessons, {_count(tasks, '{} tasks, {} points')}.")


def _count(tasks: list[Task], form: str) -> str:
    """Returns how many tasks and points of all are done, "3 of 4" each, in the given form."""
    ours = [task for task in tasks if task.state.startswith("done")]
    points, most = (sum(task.points for task in some) for some in (ours, tasks))
    return form.format(f"{len(ours)} of {len(tasks)}", f"{points:g} of {most:g}")


def _learners_folder(target: Path | None) -> Path:
    here = Path.cwd()
    return target or (here if (here / MANIFEST).exists() else course_root() / "workspace")


def done(target: Path | None = None, passed: Iterable[str] = ()) -> set[str]:
    """Returns the lessons and tasks that are, or ever were, done, and writes down which are new.

    Args:
        target: the learner's folder, as in `progress`.
        passed: tasks that are done although the saved notebooks do not show it.
    """
    target = _learners_folder(target)
    found = set(passed)
    for notebook in [*target.glob(LESSONS), *target.glob(f"exercises/*/{LESSONS}")]:
        with contextlib.suppress(ValueError, OSError):  # a damaged one is named where it is used
            cells = _cells(notebook.name, notebook.read_bytes())
            ran, count = _cells_run(cells)
            if notebook.parent != target:
                found |= _passed(cells)
            elif 0 < ran == count:
                found.add(notebook.name.split(".")[0])  # NN_topic.new.ipynb, too
    known, problems = _read(target / DONE, "made anew from the saved notebooks")
    print(*problems, sep="\n", end="\n" * len(problems))
    if new := found - known.keys():
        known |= {name: {"on": datetime.date.today().isoformat()} for name in sorted(new)}
        _write(target / DONE, (json.dumps(known, indent=1) + "\n").encode())
    return set(known)


def _cells_run(cells: list[dict]) -> tuple[int, int]:
    """Returns how many code cells ran without an error, and how many there are."""
    code = [cell for cell in cells if cell["cell_type"] == "code" and _source(cell).strip()]
    kinds = [[output.get("output_type") for output in cell.get("outputs", [])] for cell in code]
    ran = [bool(cell.get("execution_count")) for cell in code]
    return sum(ran[k] and "error" not in kinds[k] for k in range(len(code))), len(code)


def _passed(cells: list[dict]) -> set[str]:
    """Returns the ids of the tasks whose checks passed, by the cells' outputs."""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    text = "\n".join("".join(output.get("text", "")) for output in outputs)
    return set(re.findall(r"(?m)^✓ (\S+) passed", text))


def task_states(folder: Path, *, run: bool = False, done: Iterable[str] = ()) -> list[Task]:
    """Returns how an exercise folder's automatic tasks stand; `done` holds those passed before."""
    from course_utils import exercises

    path = folder / f"{folder.name}.ipynb"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing; `make lab` brings it back")
    known = exercises.load_file(folder / "recorded.npz")
    content = path.read_bytes()
    cells = _cells(path.name, content)
    cells = _execute(folder, json.loads(content)) if run else cells
    return [Task(folder.name, id, _state(id, cells, done), known[id].points) for id in known]


def _state(id: str, cells: list[dict], done: Iterable[str]) -> str:
    if id in _passed(cells):
        return "done"
    if id in done:
        return "done before"
    code = (cell for cell in cells if cell["cell_type"] == "code")
    checks = [cell for cell in code if re.search(rf"""["']{re.escape(id)}["']""", _source(cell))]
    return "not done yet" if any(cell.get("execution_count") for cell in checks) else "not run"


def _execute(folder: Path, notebook: dict) -> list[dict]:
    """Runs all cells in a copy of the folder; a cell that raises does not stop the others."""
    import nbformat
    from nbclient import NotebookClient

    live = nbformat.reads(json.dumps(_clear_outputs(notebook)), as_version=4)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / folder.name))
        where = {"metadata": {"path": str(copy)}}
        options = {"allow_errors": True, "timeout": 120, "interrupt_on_timeout": True}
        try:
            client = NotebookClient(live, kernel_name="python3", resources=where, **options)
            client.execute(stderr=subprocess.DEVNULL)  # the kernel's own log, not the cells' output
        except (RuntimeError, AssertionError) as error:  # AssertionError: no interrupt stops a cell
            why = str(error) or "a cell does not end"  # the cells before it still count
            print(f"problem   {folder.name}: {why}; the cells after it were not run")
    return live["cells"]
