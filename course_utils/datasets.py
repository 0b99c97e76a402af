"""The data of the course: what ships with it, with its dependencies, or with Python.

Nothing here touches the network. Files under `datasets/` are checked against the SHA-256 in their
card before they are read.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
import runpy

import numpy as np

__all__ = ["Study", "load_digit_sequences", "load_python_docs", "load_study", "verify"]

ROOT = pathlib.Path(__file__).parents[1]


def load_digit_sequences(by="row", *, seed=0):
    """Handwritten digits as sequences: 8 rows of 8 pixels, or 64 single pixels.

    1,797 real digits, 8 x 8 pixels with 17 grey levels, written by 13 people: the test part of the
    UCI data set, which ships with scikit-learn. One in five is kept for testing: the split is
    random and keeps the classes' shares; it does not keep writers apart.

    Args:
        by: "row" (8 steps of 8 features, from the top) or "pixel" (64 steps of 1 feature).
        seed: integer that decides the split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float32 sequences (examples, time, features) with
        values from 0 to 1, and int32 labels 0 to 9.

    Raises:
        ValueError: if `by` is unknown.

    Example:
        >>> (x, y), (x_test, y_test) = load_digit_sequences("pixel")
        >>> x.shape, x_test.shape, float(x.max())
        ((1437, 64, 1), (360, 64, 1), 1.0)

    Reference: Alpaydin & Kaynak 1998, Optical recognition of handwritten digits, UCI Machine
    Learning Repository. First used in lesson 01.
    """
    shapes = {"row": (8, 8), "pixel": (64, 1)}
    if by not in shapes:
        raise ValueError(f"`by` must be one of {list(shapes)}. Received: by={by!r}")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    sequences = (images / 16).astype("float32").reshape(-1, *shapes[by])
    x, x_test, y, y_test = train_test_split(
        sequences, labels.astype("int32"), test_size=0.2, random_state=seed, stratify=labels
    )
    return (x, y), (x_test, y_test)


def load_python_docs(*, seed=0):
    """The English text of Python's own help, split by topic into train, validation and test.

    `pydoc_data.topics`, some 80 topics that ship with the running Python. Whole paragraphs recur
    across topics, so every paragraph is kept only where it first appears, before the split: it
    could leak otherwise. Long rulers are shortened. The text differs between versions of Python;
    no result that must be exact may depend on it.

    Args:
        seed: integer that decides which topics go where.

    Returns:
        A dict of strings with the keys "train" (about 80 % of the text), "validation" and "test".

    Example:
        >>> docs = load_python_docs()
        >>> len(docs["train"]) > 5 * len(docs["test"]) > 0
        True

    First used in lesson 10.
    """
    from pydoc_data.topics import topics

    seen, texts = set(), []
    for name in sorted(topics):
        kept = []
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            paragraph = re.sub(r"([-=*^~])\1{3,}", r"\1\1\1", paragraph).rstrip()
            key = " ".join(paragraph.split())
            if key and key not in seen:
                seen.add(key)
                kept.append(paragraph)
        if kept:
            texts.append("\n\n".join(kept) + "\n\n")
    order = np.random.default_rng(seed).permutation(len(texts))
    total = sum(map(len, texts))
    parts, done = {"train": "", "validation": "", "test": ""}, 0
    for k in order:
        part = "validation" if done < 0.1 * total else "test" if done < 0.2 * total else "train"
        parts[part] += texts[k]
        done += len(texts[k])
    return parts


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


def load_study(name):
    """A study: its shipped results and the function that measures one row again.

    Args:
        name: "NN_topic", for `studies/NN_topic.py` and `datasets/studies/NN_topic.json`.

    Raises:
        FileNotFoundError: if the script or its results are missing.
        ValueError: if the results are damaged, or older than the script.

    First used in lesson 02.
    """
    rows, about = _results(name)
    script = ROOT / "studies" / f"{name}.py"
    return Study(rows, runpy.run_path(str(script))["run"], about)


def study_source(script):
    """The bytes of a study's script and of the scripts beside it that it names, "NN_topic.py"."""
    source = script.read_bytes()
    named = sorted(set(re.findall(rb'"(\d\d_\w+\.py)"', source)))
    return source + b"".join(script.with_name(name.decode()).read_bytes() for name in named)


def _results(name):
    """The rows of a study and what is said about them, checked."""
    script = ROOT / "studies" / f"{name}.py"
    file = ROOT / "datasets" / "studies" / f"{name}.json"
    for path in (script, file):
        if not path.exists():
            raise FileNotFoundError(
                f"`name` must be a study of the course; {path.name} is missing. "
                f"Restore it with `git checkout {path.relative_to(ROOT)}`. Received: name={name!r}"
            )
    restore = f"Restore it with `git checkout {file.relative_to(ROOT)}`."
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        rows, about = stored["rows"], stored["about"]
        hashes = about["rows_sha256"], about["script_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name} is damaged ({error!r}). {restore}") from error
    other = f"was measured by another version of {script.name} or of a study that it names"
    for expected, content, problem, mend in (
        (hashes[0], json.dumps(rows).encode(), "is damaged", restore),
        (hashes[1], study_source(script), other, "Rebuild it with `make studies`."),
    ):
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            difference = f"expected SHA-256 {expected}, found {found}"
            raise ValueError(f"{file.name} {problem}: {difference}. {mend}")
    return rows, about


def verify():
    """Check every data file that ships: a list of problems, empty when all is well."""
    problems = []
    for script in sorted((ROOT / "studies").glob("[0-9]*.py")):
        try:
            _results(script.stem)
        except (OSError, ValueError) as error:
            problems.append(str(error))
    return problems
