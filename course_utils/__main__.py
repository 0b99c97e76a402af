"""The command line: `python -m course_utils lab | progress | claims | doctor`."""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
    progress = command("progress", _progress, "say which lessons and tasks are done")
    progress.add_argument("--run", action="store_true", help="execute the exercises first")
    for sub in (lab, progress):
        sub.add_argument("--workspace", type=Path, metavar="DIR", help="default: workspace/")
    claims = command("claims", _claims, "list the claims that the committed notebooks show")
    claims.add_argument("--trial", action="store_true", help="only those on trial, sorted by trial")
    command("doctor", _doctor, "check the installation and say what to do")
    return parser


def _lab(options: argparse.Namespace, rest: list[str]) -> int:
    return workspace.lab(rest, options.workspace)


def _progress(options: argparse.Namespace, rest: list[str]) -> None:
    workspace.progress(options.workspace, run=options.run)


def _claims(options: argparse.Namespace, rest: list[str]) -> None:
    found = list(committed_claims(workspace.course_root() / "notebooks"))
    if options.trial:
        found = sorted((one for one in found if one["trial"]), key=lambda one: one["trial"])
    for one in found:
        mark = f" [{one['trial']}]" if one["trial"] else ""
        measured = " to ".join(dict.fromkeys(f"{value:g}" for value in one["measured"]))
        print(f"{one['id']}{mark} {one['sentence']}")
        print(f"      {one['relation']} {one['bound']:g}, measured {measured}")
    print(f"{len(found)} claims." if found else "No claims in the committed notebooks.")


def committed_claims(notebooks: Path) -> Iterator[dict]:
    """Yields every claim that the committed outputs of the notebooks show, in course order."""
    from course_utils import claims

    for path in sorted(notebooks.glob("*.ipynb")):
        try:
            cells = json.loads(path.read_bytes())["cells"]
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path} is not a notebook: {error}") from error
        for output in (output for cell in cells for output in cell.get("outputs", [])):
            for line in "".join(output.get("text", "")).splitlines():
                if claim := claims.parse(line):
                    yield claim


def _doctor(options: argparse.Namespace, rest: list[str]) -> int:
    problems = 0
    for fine, what, advice in doctor(workspace.course_root()):
        problems += not fine
        print(f"ok       {what}" if fine else f"problem  {what} -> {advice}", flush=True)
    print(f"{problems} problem(s)." if problems else "Everything is in order.")
    return 1 if problems else 0


def doctor(root: Path) -> Iterator[tuple[bool, str, str]]:
    """Yields (in order?, what was found, what to do if not) for each part of the installation."""
    packages = [partial(_version, name, root) for name in ("tensorflow", "keras", "jupyterlab")]
    yield True, f"{os.cpu_count()} CPU cores", ""
    for check in (partial(_python, root), *packages, _keras, _datasets):
        try:
            yield check()
        except Exception as error:  # a broken installation raises anything
            yield False, f"{type(error).__name__}: {error}", "run `make lab`"


def _python(root: Path) -> tuple[bool, str, str]:
    needed = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"]
    least, below = (tuple(map(int, v.split("."))) for v in re.findall(r"[\d.]+", needed))
    what = f"Python {platform.python_version()} (needed: {needed})"
    return least <= sys.version_info[:2] < below, what, "make lab PYTHON=python3.12"


def _version(package: str, root: Path) -> tuple[bool, str, str]:
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(rf"^{package}==([^\s;\\]+)", lock, flags=re.MULTILINE)
    installed = importlib.metadata.version(package)
    what = f"{package} {installed} (pinned: {' or '.join(pins) or 'not'})"
    return installed in pins, what, "run `make lab`: it installs the pinned versions"


def _keras() -> tuple[bool, str, str]:
    """Runs one step of a tiny network on the backend that Keras chose."""
    import course_utils.quiet  # noqa: F401, I001 (before Keras: no start-up messages)
    import keras

    keras.layers.SimpleRNN(2)(keras.ops.ones((1, 3, 1)))
    backend, devices = keras.backend.backend(), ", ".join(keras.distribution.list_devices())
    advice = "remove KERAS_BACKEND and the backend in ~/.keras/keras.json: the course needs it"
    return backend == "tensorflow", f"Keras runs on {backend}; devices: {devices}", advice


def _datasets() -> tuple[bool, str, str]:
    from course_utils import datasets

    problems = datasets.verify()
    what = f"data sets: {'; '.join(problems) or 'as published'}"
    return not problems, what, "restore them: git checkout -- datasets"


if __name__ == "__main__":
    sys.exit(main())
