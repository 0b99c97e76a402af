"""The page on Keras 2 and Keras 3: every failure in it fails as quoted, every remedy works."""

import ast
import json
import pathlib
import re
import shutil

import h5py
import keras
import pytest
from keras import layers

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "keras2_to_keras3.md"
ENTRY = re.compile(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

TEXT = PAGE.read_text(encoding="utf-8")
ENTRIES = {title: body for title, body in ENTRY.findall(TEXT)}


def blocks(body):
    """The fenced blocks of an entry: a list of (information string, code)."""
    return [match.groups() for match in BLOCK.finditer(body)]


CASES = [
    pytest.param(title, number, id=f"{title.split('.')[0]}-{number}-{kind.split()[-1]}")
    for title, body in ENTRIES.items()
    for number, (kind, _) in enumerate(blocks(body))
    if kind.startswith("python")
]


def anchor(title):
    """The anchor that GitHub makes of a heading."""
    return "#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def plain(message):
    """A message without colours, its white space reduced to single spaces."""
    return " ".join(re.sub(r"\x1b\[\d*m", "", message).split())


def assert_quoted(quotation, message):
    """The parts of the quotation between "..." stand in the message, in this order."""
    rest, parts = plain(message), [part.strip() for part in plain(quotation).split("...")]
    assert rest.startswith(parts[0]), message
    for part in parts:
        assert part in rest, f"not in the message: {part!r}\n{message}"
        rest = rest[rest.index(part) + len(part) :]
    assert not rest.strip() or quotation.rstrip().endswith("..."), f"not quoted: {rest}"


@pytest.fixture(scope="module")
def keras2_file(tmp_path_factory):
    """A model as Keras 2 wrote it: HDF5, with `time_major` in the layer's config."""
    path = tmp_path_factory.mktemp("keras2") / "old.h5"
    model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(8)])
    model.save(path)
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        settings = config["config"]["layers"][1]["config"]
        config["config"]["layers"][1]["config"] = {"time_major": False, **settings}
        file.attrs["model_config"] = json.dumps(config)
    return path


@pytest.fixture
def namespace(keras2_file, tmp_path, monkeypatch):
    """What the page's first block defines; its classes are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(keras2_file, "old.h5")
    before = dict(keras.saving.get_custom_objects())
    keras.utils.set_random_seed(0)
    names = {"__name__": "tutorial"}
    exec(blocks(TEXT)[0][1], names)
    yield names
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)


def run(statements, namespace):
    exec(compile(ast.Module(statements, []), "page", "exec"), namespace)


@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore:`build\(\)` was called:UserWarning")  # entry 16
@pytest.mark.parametrize("title, number", CASES)
def test_the_block_does_what_the_page_says(title, number, namespace):
    kind, code = blocks(ENTRIES[title])[number]
    *statements, last = ast.parse(code).body
    if kind != "python fails":
        run([*statements, last], namespace)
        return
    run(statements, namespace)  # only the last statement fails
    _, quotation = blocks(ENTRIES[title])[number + 1]
    if quotation.startswith("UserWarning: "):
        with pytest.warns(UserWarning) as caught:
            run([last], namespace)
        assert_quoted(quotation, "\n".join(f"UserWarning: {w.message}" for w in caught))
        return
    with pytest.raises(
        (ArithmeticError, AttributeError, ImportError, TypeError, ValueError)
    ) as raised:
        run([last], namespace)
    assert_quoted(quotation, f"{raised.type.__name__}: {raised.value}")


@pytest.mark.parametrize("title", ENTRIES, ids=lambda title: title.split(".")[0])
def test_the_entry_is_complete(title):
    """What fails, with the message (or what goes wrong silently, shown); the cause; what works."""
    kinds = [kind for kind, _ in blocks(ENTRIES[title])]
    assert set(kinds) <= {"python fails", "text error", "python silent", "python works"}
    for kind, following in zip(kinds, [*kinds[1:], ""], strict=True):
        assert (kind == "python fails") == (following == "text error")
    assert kinds[0] in {"python fails", "python silent"}
    assert kinds[-1] == "python works"
    for kind, code in blocks(ENTRIES[title]):
        assert kind != "python silent" or "assert " in code
        assert code.strip()
    silent = "**No error: " in ENTRIES[title]
    assert silent == ("python silent" in kinds), "a silent entry says so, and only a silent one"
    cause = BLOCK.sub("", ENTRIES[title])
    assert len(cause.split()) >= 12, "the cause is missing"


def test_the_table_leads_to_every_entry():
    assert len(ENTRIES) >= 14
    assert re.findall(r"\]\((#[^)]+)\)", TEXT.split("\n## ")[0]) == [anchor(t) for t in ENTRIES]
    assert [title.split(".")[0] for title in ENTRIES] == [
        str(number) for number in range(1, len(ENTRIES) + 1)
    ]


def test_the_links_lead_to_what_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert links and all((PAGE.parent / link).exists() for link in links)


@pytest.mark.parametrize(
    "quotation, message",
    [
        ("ValueError: a ... c", "ValueError: a b d"),  # a part is not in it
        ("ValueError: b ... a ...", "ValueError: a b"),  # not where it stands
        ("ValueError: a", "ValueError: a, and more"),  # cut off, and the page does not say so
        ("TypeError: a", "ValueError: a"),
    ],
)
def test_a_wrong_quotation_is_noticed(quotation, message):
    with pytest.raises(AssertionError):
        assert_quoted(quotation, message)
