"""The data of the course: what ships with it, with its dependencies, or with Python.

Nothing here touches the network. Files under `datasets/` are checked against the SHA-256 in their
card before they are read.
"""

import hashlib
import pathlib
import re
import runpy

import numpy as np

__all__ = [
    "load_digit_sequences",
    "load_number_names",
    "load_python_docs",
    "load_sentiment",
    "load_series",
    "load_study",
    "verify",
]

ROOT = pathlib.Path(__file__).parents[1]
SERIES = ("sunspots", "co2")


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


def load_series(name):
    """A real time series that ships: "sunspots" (yearly) or "co2" (monthly).

    Args:
        name: "sunspots", yearly sunspot numbers from 1700 to 2008, or "co2", carbon dioxide in the
            air at Mauna Loa in ppm, from March 1958 to December 2001; each has a card in
            `datasets/`.

    Returns:
        `times` and `values`, float64 arrays of one length; times in years, a month at its middle.

    Raises:
        ValueError: if there is no such series, or its file is damaged.
        FileNotFoundError: if the file is missing.

    Example:
        >>> times, values = load_series("co2")
        >>> len(values), round(float(times[0]), 3), float(values[0])
        (526, 1958.208, 316.1)

    First used in lesson 15.
    """
    if name not in SERIES:
        raise ValueError(f"`name` must be one of {list(SERIES)}. Received: name={name!r}")
    columns = np.loadtxt(_verified(name).splitlines(), delimiter=",", skiprows=1, unpack=True)
    if name == "co2":
        return columns[0] + (columns[1] - 0.5) / 12, columns[2]
    return columns


def _verified(name):
    """The text of a file whose SHA-256 stands in the card beside it, checked."""
    file, card = (ROOT / "datasets" / f"{name}.{kind}" for kind in ("csv", "md"))
    restore = f"Restore it with `git checkout datasets/{name}.csv datasets/{name}.md`."
    for path in (file, card):
        if not path.exists():
            raise FileNotFoundError(f"{path.name} is missing. {restore}")
    expected = re.findall(r"SHA-256: `(\w+)`", card.read_text(encoding="utf-8"))
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if expected != [found]:
        difference = f"expected SHA-256 {', '.join(expected) or 'missing'}, found {found}"
        raise ValueError(f"{file.name} is damaged: {difference}. {restore}")
    return file.read_text(encoding="utf-8")


def load_number_names(digits=9, *, train=5000, test=1000, seed=0):
    """Numbers named in English and in German, to translate: `datasets/number_names.py`.

    Args:
        digits: the largest number of digits, 1 to 9.
        train, test: how many numbers in each part; no number is in both.
        seed: integer that decides which numbers.

    Returns:
        `train` and `test`: lists of (number, English words, German pieces of words).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> train, _ = load_number_names(9, train=20, test=1)
        >>> number, english, german = max(train)
        >>> number, " ".join(english[-4:]), " ".join(german[-4:])
        (756546904, 'nine hundred and four', 'tausend neun hundert vier')

    First used in lesson 16.
    """
    return _script("datasets/number_names.py")["generate"](
        digits, train=train, test=test, seed=seed
    )


def load_sentiment(seed=0):
    """Synthetic sentences about films, positive or negative: see `datasets/sentiment.py`.

    Args:
        seed: integer that decides which sentences.

    Returns:
        A dict of lists of (sentence, label), the label 0 (negative) or 1: "train", "validation",
        "same" (test, from the same grammar), "unseen_pairs" and "unseen_adjectives"; and
        "unlabelled", a list of reviews without one.

    Example:
        >>> parts = load_sentiment()
        >>> sorted(parts)
        ['same', 'train', 'unlabelled', 'unseen_adjectives', 'unseen_pairs', 'validation']

    First used in lesson 14.
    """
    return _script("datasets/sentiment.py")["generate"](seed=seed)


def _script(path):
    """What a script of the course defines, by name."""
    return runpy.run_path(str(pathlib.Path(__file__).parents[1] / path))


def load_study(name):
    """A study: its shipped results and the function that measures one row again.

    Args:
        name: "NN_topic", for `studies/NN_topic.py` and `datasets/studies/NN_topic.json`.

    Returns:
        A `Study`, as `studies/results.py` defines it: `rows`, a list of dicts, one per run;
        `values(name, **setting)`, a column of the rows that match; `run(**setting)`, which measures
        one row anew; and `about`.

    Raises:
        FileNotFoundError: if the script or its results are missing.
        ValueError: if the results are damaged, or older than the script.

    Example:
        >>> study = load_study("02_truncation")
        >>> len(study.rows) > 3, callable(study.run)
        (True, True)

    First used in lesson 02.
    """
    return _script("studies/results.py")["load"](name, ROOT)


def verify():
    """Check every data file that ships: a list of problems, empty when all is well."""
    problems = _script("studies/results.py")["problems"](ROOT)
    for name in SERIES:
        try:
            _verified(name)
        except (OSError, ValueError) as error:
            problems.append(str(error))
    return problems
