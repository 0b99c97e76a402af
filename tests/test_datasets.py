"""Data that ships: splits, checksums, and what a missing or damaged file says."""

import json
import runpy
import shutil

import numpy as np
import pytest

from course_utils import datasets


@pytest.mark.parametrize(("by", "shape"), [("row", (8, 8)), ("pixel", (64, 1))])
def test_digits_are_the_images_in_order(by, shape):
    from sklearn.datasets import load_digits

    (x, y), (x_test, y_test) = datasets.load_digit_sequences(by)
    assert x.shape[1:] == shape and x.dtype == np.float32 and y.dtype == np.int32
    assert len(x) + len(x_test) == len(y) + len(y_test) == 1797
    images = {
        (image / 16).astype("float32").tobytes(): t
        for image, t in zip(*load_digits(return_X_y=True), strict=True)
    }
    assert all(images[a.ravel().tobytes()] == t for a, t in zip(x_test, y_test, strict=True))
    shares = np.bincount(y_test) / np.bincount(np.concatenate([y, y_test]))
    assert shares.min() > 0.18 and shares.max() < 0.22


def test_the_seed_decides_the_split():
    splits = [datasets.load_digit_sequences(seed=s)[1][1] for s in (0, 0, 1)]
    np.testing.assert_array_equal(splits[0], splits[1])
    assert (splits[0] != splits[2]).any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`by` must be one of \['row', 'pixel'\].*by='column'"):
        datasets.load_digit_sequences("column")


def test_no_paragraph_of_the_documentation_leaks():
    docs = datasets.load_python_docs()
    assert list(docs) == ["train", "validation", "test"]
    sizes = {part: len(text) for part, text in docs.items()}
    assert sizes["train"] > 0.7 * sum(sizes.values())
    assert min(sizes.values()) > 0.05 * sum(sizes.values())
    parts = [
        {" ".join(p.split()) for p in text.split("\n\n") if p.strip()} for text in docs.values()
    ]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert datasets.load_python_docs(seed=0) == docs != datasets.load_python_docs(seed=1)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of two rows in a folder of its own."""
    import hashlib

    (tmp_path / "studies").mkdir()
    (tmp_path / "datasets" / "studies").mkdir(parents=True)
    for path in (datasets.ROOT / "datasets").glob("[sc]*.[cm]*"):
        shutil.copy(path, tmp_path / "datasets")
    script = tmp_path / "studies" / "98_square.py"
    script.write_text("def run(x):\n    return {'y': x * x}\n")
    rows = [{"x": 2, "y": 4}, {"x": 3, "y": 9}]
    about = {
        "script_sha256": hashlib.sha256(script.read_bytes()).hexdigest(),
        "rows_sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
    }
    file = tmp_path / "datasets" / "studies" / "98_square.json"
    file.write_text(json.dumps({"about": about, "rows": rows}))
    monkeypatch.setattr(datasets, "ROOT", tmp_path)
    return script, file


def test_a_study_is_a_table_and_its_function(study):
    loaded = datasets.load_study("98_square")
    np.testing.assert_array_equal(loaded.values("y"), [4, 9])
    np.testing.assert_array_equal(loaded.values("y", x=3), [9])
    assert loaded.run(x=3) == {"y": 9}
    assert datasets.verify() == []
    with pytest.raises(ValueError, match=r"`setting` matches no row.*'x': 5"):
        loaded.values("y", x=5)


def test_a_changed_script_is_noticed(study):
    study[0].write_text("def run(x):\n    return {'y': x ** 3}\n")
    with pytest.raises(
        ValueError, match=r"98_square.json was measured by another version.*make studies"
    ):
        datasets.load_study("98_square")
    assert len(datasets.verify()) == 1


def test_a_changed_number_is_noticed(study):
    study[1].write_text(study[1].read_text().replace("9", "8"))
    with pytest.raises(ValueError, match=r"98_square.json is damaged: expected SHA-256 .*found"):
        datasets.load_study("98_square")


def test_half_a_file_is_noticed(study):
    study[1].write_text(study[1].read_text()[:40])
    with pytest.raises(ValueError, match=r"98_square.json is damaged.*git checkout"):
        datasets.load_study("98_square")


def test_a_missing_file_is_named(study):
    study[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"98_square.json is missing.*git checkout"):
        datasets.load_study("98_square")
    shutil.rmtree(study[0].parent)
    with pytest.raises(FileNotFoundError, match=r"98_square.py is missing"):
        datasets.load_study("98_square")


def test_what_ships_is_current():
    assert datasets.verify() == []


@pytest.mark.parametrize(("name", "step", "size"), [("sunspots", 1, 309), ("co2", 1 / 12, 526)])
def test_a_series_is_regular_and_whole(name, step, size):
    times, values = datasets.load_series(name)
    assert times.shape == values.shape == (size,) and values.dtype == np.float64
    np.testing.assert_allclose(np.diff(times), step, rtol=1e-9)
    assert np.isfinite(values).all() and (values >= 0).all()


@pytest.mark.slow
def test_the_series_are_rebuilt_as_they_ship(tmp_path):
    for name in datasets.SERIES:
        shutil.copy(datasets.ROOT / "datasets" / f"{name}.md", tmp_path)
    runpy.run_path(str(datasets.ROOT / "datasets" / "build_series.py"))["build"](tmp_path)
    for name in datasets.SERIES:
        for file in (f"{name}.csv", f"{name}.md"):
            shipped = (datasets.ROOT / "datasets" / file).read_bytes()
            assert (tmp_path / file).read_bytes() == shipped, file


def test_a_damaged_or_missing_series_is_named(study):
    folder = study[1].parents[1]
    with pytest.raises(ValueError, match=r"`name` must be one of .*'sunspots'.*name='stocks'"):
        datasets.load_series("stocks")
    (folder / "sunspots.csv").write_bytes((folder / "sunspots.csv").read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"sunspots.csv is damaged: expected SHA-256 .*checkout"):
        datasets.load_series("sunspots")
    (folder / "co2.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"co2.md is missing.*git checkout"):
        datasets.load_series("co2")
    (folder / "co2.md").write_text("no hash")
    assert len(datasets.verify()) == 2


def test_number_names_are_right_and_split():
    train, test = datasets.load_number_names(9, train=300, test=100, seed=1)
    assert len(train) == 300 and len(test) == 100
    assert not {pair[0] for pair in train} & {pair[0] for pair in test}
    by_hand = {
        21: ("twenty one", "ein und zwanzig"),
        101: ("one hundred and one", "ein hundert eins"),
        1000: ("one thousand", "ein tausend"),
        1000017: ("one million and seventeen", "eine million siebzehn"),
    }
    names = runpy.run_path(str(datasets.ROOT / "datasets" / "number_names.py"))
    for number, (english, german) in by_hand.items():
        assert " ".join(names["english"](number)) == english
        assert " ".join(names["german"](number)) == german
    again, _ = datasets.load_number_names(9, train=300, test=100, seed=1)
    assert again == train != datasets.load_number_names(9, train=300, test=100, seed=2)[0]
    assert {len(str(number)) for number, _, _ in train} == set(range(1, 10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"digits": 10}, "`digits` must be an integer from 1 to 9.*digits=10"),
        ({"train": 0}, "`train` must be a positive integer.*train=0"),
        ({"digits": 3}, "`train` . `test` must be at most a quarter.*train=5000, test=1000"),
    ],
)
def test_number_names_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.load_number_names(**arguments)


def test_sentiment_holds_out_what_it_says():
    parts = datasets.load_sentiment(seed=1)
    grammar = runpy.run_path(str(datasets.ROOT / "datasets" / "sentiment.py"))
    labelled = {name: part for name, part in parts.items() if name != "unlabelled"}
    sentences = [sentence for part in labelled.values() for sentence, _ in part]
    assert len(set(sentences)) == len(sentences)  # so none of a test is in train
    for part in labelled.values():
        assert np.mean([label for _, label in part]) == 0.5
    adjectives = set(grammar["POSITIVE"] + grammar["NEGATIVE"])
    used = {
        name: {w for sentence, _ in part for w in sentence.split()} & adjectives
        for name, part in labelled.items()
    }
    assert len(used["train"]) == 40 and len(used["unseen_adjectives"]) == 20
    assert not used["train"] & used["unseen_adjectives"]
    assert used["same"] == used["unseen_pairs"] == used["train"]
    assert adjectives <= {w for review in parts["unlabelled"] for w in review.split()}
    pairs = {  # the words before an adjective, in sentences of one plain clause
        name: {
            (*words[2:k], word)
            for sentence, _ in part
            for words in [sentence.split()]
            for k, word in enumerate(words)
            if word in adjectives and len(words) < 6
        }
        for name, part in labelled.items()
    }
    assert len(pairs["train"] & pairs["same"]) > 50
    assert not pairs["train"] & pairs["unseen_pairs"]


def test_no_word_of_the_sentiment_corpus_tells_the_verdict():
    train = datasets.load_sentiment()["train"]
    labels = {}
    for sentence, label in train:
        for word in set(sentence.split()):
            labels.setdefault(word, []).append(label)
    shares = {word: np.mean(found) for word, found in labels.items() if len(found) > 100}
    assert len(shares) > 60
    assert 0.4 < min(shares.values()) and max(shares.values()) < 0.6
    again = datasets.load_sentiment()["train"]
    assert again == train != datasets.load_sentiment(seed=1)["train"]
