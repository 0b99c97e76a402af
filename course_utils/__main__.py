"""The command line: `python -m course_utils lab | progress | claims | doctor`."""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from course_utils import workspace

__all__ = ["committed_claims", "doctor", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, 1 for a problem, 2 for a wrong command."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "lab":  # what `lab` does not know is JupyterLab's
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return options.action(options, rest) or 0
    except (ValueError, OSError) as error:
        print(f"course_utils {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m course_utils", description="Through Time's commands.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, action: Callable, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        sub.set_defaults(action=action)
        return sub

    lab = command("lab", _lab, "bring workspace/ up to date and open it in JupyterLab")
    lab.epilog = "Other arguments are handed on to JupyterLab: --no-browser --port 8899"
    progress = command("progress", _progress, "say which exercise tasks pass")
    progress.add_argument("--run", action="store_true", help="execute the exercises first")
    for sub in (lab, progress):
        sub.add_argument("--workspace", type=Path, metavar="DIR", help="default: workspace/")
    claims = command("claims", _claims, "list the claims that the committed notebooks show")
    claims.add_argument("--trial", action="store_true", help="only claims on trial, grouped")
    command("doctor", _doctor, "check the installation and say what to do")
    return parser


def _lab(options: argparse.Namespace, rest: list[str]) -> int:
    return workspace.lab(rest, options.workspace)


def _progress(options: argparse.Namespace, rest: list[str]) -> None:
    target = options.workspace or workspace.course_root() / "workspace"
    workspace.progress(target, run=options.run)


# --- claims -------------------------------------------------------------------------------------


def _claims(options: argparse.Namespace, rest: list[str]) -> None:
    found = list(committed_claims(workspace.course_root() / "notebooks"))
    if options.trial:
        found = sorted((one for one in found if one["trial"]), key=lambda one: one["trial"])
    trial = None
    for one in found:
        if options.trial and one["trial"] != trial:
            trial = one["trial"]
            print(trial)
        mark = f" [{one['trial']}]" if one["trial"] and not options.trial else ""
        print(f"{'  ' * options.trial}{one['id']}{mark} {one['sentence']}")
        measured = " to ".join(dict.fromkeys(f"{value:g}" for value in one["measured"]))
        print(
            f"{'  ' * options.trial}      {one['relation']} {one['bound']:g}, measured {measured}"
        )
    print(f"{len(found)} claims." if found else "No claims in the committed notebooks.")


def committed_claims(notebooks: Path) -> Iterator[dict]:
    """Yields every claim that the committed outputs of the notebooks show, in course order."""
    from course_utils import claims

    for path in sorted(notebooks.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        try:
            cells = json.loads(path.read_bytes())["cells"]
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path} is not a notebook: {error}") from error
        for output in (output for cell in cells for output in cell.get("outputs", [])):
            for line in "".join(output.get("text", "")).splitlines():
                if claim := claims.parse(line):
                    yield claim


# --- doctor -------------------------------------------------------------------------------------


def _doctor(options: argparse.Namespace, rest: list[str]) -> int:
    problems = 0
    for fine, what, advice in doctor(workspace.course_root()):
        problems += not fine
        print(f"{'ok' if fine else 'problem':<8} {what}" + (f" -> {advice}" if not fine else ""))
        sys.stdout.flush()  # the next line may take seconds
    print(f"{problems} problem(s)." if problems else "Everything is in order.")
    return 1 if problems else 0


def doctor(root: Path) -> Iterator[tuple[bool, str, str]]:
    """Yields (in order?, what was found, what to do if not) for each part of the installation."""
    yield _python(root)
    for package in ("tensorflow", "keras", "jupyterlab"):
        yield _version(package, root)
    yield True, f"{os.cpu_count()} CPU cores", ""
    yield _keras()
    yield _writable(root / "workspace")
    yield _datasets()


def _python(root: Path) -> tuple[bool, str, str]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    least, below = (
        tuple(int(part) for part in version.split("."))
        for version in re.findall(r"[\d.]+", project["requires-python"])
    )
    what = f"Python {platform.python_version()} (needed: {project['requires-python']})"
    return least <= sys.version_info[:2] < below, what, "make lab PYTHON=python3.12"


def _version(package: str, root: Path) -> tuple[bool, str, str]:
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(rf"^{package}==([^\s;\\]+)", lock, flags=re.MULTILINE)
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        installed = "not installed"
    what = f"{package} {installed} (pinned: {' or '.join(pins) or 'not'})"
    return installed in pins, what, "run `make lab`: it installs the pinned versions"


def _keras() -> tuple[bool, str, str]:
    """Runs one step of a tiny network on the backend that Keras chose."""
    try:
        importlib.import_module("course_utils.quiet")  # before Keras: no start-up messages
        import keras

        backend = keras.backend.backend()
        keras.layers.SimpleRNN(2)(keras.ops.ones((1, 3, 1)))
        devices = ", ".join(keras.distribution.list_devices())
    except Exception as error:  # a broken installation raises anything
        return False, f"Keras does not run: {type(error).__name__}: {error}", "run `make lab`"
    advice = "remove KERAS_BACKEND and the backend in ~/.keras/keras.json: the course needs it"
    return backend == "tensorflow", f"Keras runs on {backend}; devices: {devices}", advice


def _writable(target: Path) -> tuple[bool, str, str]:
    existing = next(path for path in (target, *target.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return False, f"workspace/ cannot be written: {error}", "change its owner or permissions"
    return True, "workspace/ can be written", ""


def _datasets() -> tuple[bool, str, str]:
    try:
        from course_utils import datasets

        problems = datasets.verify()
    except Exception as error:  # a broken installation raises anything
        problems = [f"{type(error).__name__}: {error}"]
    what = "; ".join(problems) or "as published"
    return not problems, f"data sets: {what}", "restore them: git checkout -- datasets"


if __name__ == "__main__":
    sys.exit(main())
