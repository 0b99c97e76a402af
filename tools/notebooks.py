"""Execute the notebooks that changed and store them in one normal form.

    python tools/notebooks.py [--check] [--all] [PATH...]

Without arguments: the notebooks under notebooks/ whose code changed since it was last executed.
With --all: every notebook there. With paths (notebooks or folders): those, changed or not.
--check changes nothing, lists what is out of date, and exits with 1 when there is something.

A notebook that fails, writes to stderr, prints a path of this machine or grows too large is left as
it was, and the reason is printed.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
MAX_BYTES = 400_000
CELL_SECONDS = 240
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
RUN_METADATA = ("execution", "ExecuteTime", "collapsed", "scrolled", "trusted")
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FOREIGN_PATH = re.compile(
    r"(?<![\w.~/])/(?:home|root|Users|tmp|var|private|usr|opt|mnt|srv|work)/[\w.-]+"
    r"|\b[A-Za-z]:\\\\?[\w.-]+\\"
)


def find(paths=()):
    """The notebooks in `paths` (files or folders), without checkpoints, in order."""
    found = set()
    for path in map(Path, paths or [NOTEBOOKS]):
        found.update(path.rglob("*.ipynb") if path.is_dir() else [path])
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def code_cells(notebook):
    """The code cells that hold code."""
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"].strip()]


def sources_hash(notebook):
    """SHA-256 of what a run depends on: the code cells' sources, in order."""
    sources = [cell["source"] for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def stored_hash(notebook):
    """The hash of the sources that the stored outputs came from, or `None`."""
    return notebook["metadata"].get("through_time", {}).get("sources")


def is_executed(notebook):
    """Whether the stored outputs come from one run, top to bottom, of the present sources."""
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    current = stored_hash(notebook) == sources_hash(notebook)
    return current and counts == list(range(1, len(counts) + 1))


def output_texts(output):
    """Every text in an output that a reader sees; pictures are not text."""
    if output["output_type"] == "stream":
        return [output["text"]]
    if output["output_type"] == "error":
        return [*output["traceback"], output["evalue"]]
    return [text for kind, text in output["data"].items() if kind.startswith("text/")]


def foreign_paths(text):
    """Absolute paths in `text`, which are right on one machine only."""
    here = [str(ROOT), str(Path.home()), sys.prefix, tempfile.gettempdir()]
    known = [path for path in here if len(Path(path).parts) > 2 and path in text]
    return known + [match[0] for match in FOREIGN_PATH.finditer(text)]


def problems(notebook):
    """Why the outputs cannot be committed, one sentence each."""
    found = []
    for number, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                found.append(f"cell {number} holds an error: {output['ename']}: {output['evalue']}")
            if output.get("name") == "stderr":
                found.append(f"cell {number} writes to stderr:\n{output['text']}")
            for path in {p for text in output_texts(output) for p in foreign_paths(text)}:
                found.append(f"cell {number} shows an absolute path: {path}")
    size = len(serialized(notebook).encode())
    if size > MAX_BYTES:
        found.append(f"the file has {size // 1000} kB, the limit is {MAX_BYTES // 1000} kB")
    return found


def small_png(encoded):
    """A figure in 256 colours, which look the same in a plot and need a third of the bytes."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if picture.mode == "P":
        return encoded
    smaller = io.BytesIO()
    colours = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)  # rare ones too
    colours.save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()


def normalize(notebook):
    """Bring metadata and stored outputs into the form that is committed, in place."""
    stored = stored_hash(notebook)
    notebook["metadata"] = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    if stored:
        notebook["metadata"]["through_time"] = {"sources": stored}
    for cell in notebook["cells"]:
        for name in RUN_METADATA:
            cell["metadata"].pop(name, None)
        if cell["cell_type"] == "code" and not cell["source"].strip():
            cell["outputs"], cell["execution_count"] = [], None
        for output in cell.get("outputs", []):
            holder = output if output["output_type"] == "stream" else output.get("data", {})
            for kind, text in holder.items():
                if kind.startswith("text"):
                    holder[kind] = COLOUR.sub("", text)
                elif kind == "image/png":
                    holder[kind] = small_png(text)
    return nbformat.from_dict(notebook)


def serialized(notebook):
    """The notebook's file, as text."""
    return nbformat.v4.writes(nbformat.from_dict(notebook)) + "\n"


def read(path):
    """Read a notebook; cells without an id, or with one that is taken, get a new one."""
    notebook = nbformat.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    if notebook.get("nbformat") != 4:
        raise ValueError(f"{path}: nbformat must be 4. Received: {notebook.get('nbformat')}")
    notebook["nbformat_minor"] = max(5, notebook["nbformat_minor"])
    return nbformat.v4.reads(json.dumps(nbformat.validator.normalize(notebook)[1]))


def write(path, text):
    """Replace the file in one step, so that an interrupt leaves the old or the new one."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def cell_seconds(cell):
    """The cell's time limit: its tag `timeout-300`, or the one that all cells have."""
    tags = cell["metadata"].get("tags", [])
    limits = [float(tag.removeprefix("timeout-")) for tag in tags if tag.startswith("timeout-")]
    return limits[0] if limits else CELL_SECONDS


def execute(notebook, folder):
    """Run the notebook in `folder`, in place. Return what failed, in words, or `None`."""
    import nbclient
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(AsyncKernelManager):
        """Without kernel folders there is one kernel: the interpreter that runs this."""

        def __init__(self, **options):
            super().__init__(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), **options)

    for cell in code_cells(notebook):
        cell["outputs"], cell["execution_count"] = [], None
    started = []
    client = nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=ThisInterpreter,
        timeout_func=cell_seconds,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    failures = (
        nbclient.exceptions.CellExecutionError,
        nbclient.exceptions.CellTimeoutError,
        nbclient.exceptions.DeadKernelError,
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # A private profile, and figures in the page whatever the caller's backend.
        env = os.environ | {"IPYTHONDIR": profile}
        env.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        env.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
        env.pop("MPLBACKEND", None)
        env.pop("PYTEST_CURRENT_TEST", None)  # ipykernel does not capture C++ output under it
        try:
            client.execute(env=env, stderr=subprocess.DEVNULL)  # the kernel's own, not the cells'
        except failures as error:
            source = notebook["cells"][started[-1]]["source"] if started else ""
            reason = COLOUR.sub("", str(error)).strip()
            return f"cell {started[-1] if started else 0} fails\n{source}\n\n{reason}"
    notebook["metadata"]["through_time"] = {"sources": sources_hash(notebook)}
    return None


def refresh(path, *, force=False):
    """Execute the notebook if it needs it, normalize, write. Return the faults found."""
    before = path.read_text(encoding="utf-8")
    notebook = read(path)
    start = time.monotonic()
    ran = force or not is_executed(notebook)
    if ran:
        failure = execute(notebook, path.resolve().parent)
        if failure:
            return [failure]
    notebook = normalize(notebook)
    faults = problems(notebook)
    if faults:
        return faults
    text = serialized(notebook)
    if text != before:
        write(path, text)
    if ran:
        print(f"{shown(path)}  {time.monotonic() - start:.0f} s", flush=True)
    elif text != before:
        print(f"{shown(path)}  normalized", flush=True)
    return []


def outdated(path):
    """What `refresh` would change or refuse, without changing it."""
    notebook = read(path)
    faults = [] if is_executed(notebook) else ["the code changed since it was executed"]
    faults += problems(notebook)
    if serialized(normalize(notebook)) != path.read_text(encoding="utf-8"):
        faults.append("it is not in normal form")
    return faults


def shown(path):
    path = path.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="list what is out of date, exit 1")
    parser.add_argument("--all", action="store_true", help="execute every notebook")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="notebooks or folders")
    options = parser.parse_args(arguments)
    missing = [path for path in options.paths if not Path(path).exists()]
    if missing:
        parser.error(f"no such notebook or folder: {', '.join(missing)}")
    status = 0
    for path in find(options.paths):
        force = options.all or bool(options.paths)
        try:
            faults = outdated(path) if options.check else refresh(path, force=force)
        except (ValueError, KeyError, nbformat.ValidationError) as error:
            faults = [f"it is not a notebook: {error!r}"]
        for fault in faults:
            status = 1
            print(f"{shown(path)}: {fault}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
