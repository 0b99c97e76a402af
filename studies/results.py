"""The results of the studies: `datasets/studies/NN_topic.json`, checked against their scripts."""

import dataclasses
import hashlib
import json
import re
import runpy

import numpy as np


@dataclasses.dataclass(frozen=True)
class Study:
    """A measured table that ships, and the function that measured it.

    `rows` is a list of dicts, one per run: its setting and what came of it. `run(**setting)`
    measures one row anew. `about` holds the settings, library versions and hash of the script.
    """

    rows: list
    run: object
    about: dict

    def values(self, name, **setting):
        """The column `name` of all rows that match `setting`, as an array."""
        rows = [r for r in self.rows if all(r[key] == value for key, value in setting.items())]
        if not rows:
            raise ValueError(f"`setting` matches no row of the study. Received: {setting}")
        return np.array([row[name] for row in rows])


def load(name, root):
    """What `course_utils.datasets.load_study` returns, for the checkout at `root`."""
    rows, about = results(name, root)
    return Study(rows, runpy.run_path(str(root / "studies" / f"{name}.py"))["run"], about)


def problems(root):
    """What is wrong with the results that ship: a list of sentences, empty when all is well."""
    found = []
    for script in sorted((root / "studies").glob("[0-9]*.py")):
        try:
            results(script.stem, root)
        except (OSError, ValueError) as error:
            found.append(str(error))
    return found


def source(script):
    """The bytes of a study's script and of the scripts beside it that it names, "NN_topic.py"."""
    source = script.read_bytes()
    named = sorted(set(re.findall(rb'"(\d\d_\w+\.py)"', source)))
    return source + b"".join(script.with_name(name.decode()).read_bytes() for name in named)


def results(name, root):
    """The rows of a study and what is said about them, checked."""
    script = root / "studies" / f"{name}.py"
    file = root / "datasets" / "studies" / f"{name}.json"
    for path in (script, file):
        if not path.exists():
            raise FileNotFoundError(
                f"`name` must be a study of the course; {path.name} is missing. "
                f"Restore it with `git checkout {path.relative_to(root)}`. Received: name={name!r}"
            )
    restore = f"Restore it with `git checkout {file.relative_to(root)}`."
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        rows, about = stored["rows"], stored["about"]
        hashes = about["rows_sha256"], about["script_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name} is damaged ({error!r}). {restore}") from error
    other = f"was measured by another version of {script.name} or of a study that it names"
    for expected, content, problem, mend in (
        (hashes[0], json.dumps(rows).encode(), "is damaged", restore),
        (hashes[1], source(script), other, "Rebuild it with `make studies`."),
    ):
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            difference = f"expected SHA-256 {expected}, found {found}"
            raise ValueError(f"{file.name} {problem}: {difference}. {mend}")
    return rows, about
