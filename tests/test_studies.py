"""The runner of the studies: resumed where it was interrupted, current until the script changes."""

import importlib.util
import pathlib

import pytest

from course_utils import datasets

SCRIPT = """
import pathlib
SETTINGS = [{"x": x} for x in (1, 2, 3)]
def run(*, x):
    log = pathlib.Path(__file__).with_name("log.txt")
    log.write_text(log.read_text() + f"{x} " if log.exists() else f"{x} ")
    if x == 3 and log.read_text().count("3") == 1:
        raise KeyboardInterrupt
    return {"y": x * x}
"""


@pytest.fixture
def runner(tmp_path, monkeypatch):
    path = pathlib.Path(__file__).parents[1] / "studies" / "__main__.py"
    spec = importlib.util.spec_from_file_location("studies_main", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "datasets" / "studies")
    monkeypatch.setattr(datasets, "ROOT", tmp_path)
    (tmp_path / "studies").mkdir()
    return module


def test_a_study_is_resumed_and_then_current(runner, tmp_path, capsys):
    script = tmp_path / "studies" / "97_square.py"
    script.write_text(SCRIPT)
    with pytest.raises(KeyboardInterrupt):
        runner.measure(script)
    assert not (tmp_path / "datasets").exists()  # half a table is never shipped
    runner.measure(script)
    assert script.with_name("log.txt").read_text() == "1 2 3 3 "
    assert "97_square 3/3 {'x': 3}" in capsys.readouterr().out
    study = datasets.load_study("97_square")
    assert study.values("y").tolist() == [1, 4, 9]
    assert {"keras", "numpy", "tensorflow"} == study.about["versions"].keys()
    assert not list((tmp_path / "build").rglob("*.json"))
    assert runner.is_current(script)
    script.write_text(SCRIPT + "\n")
    assert not runner.is_current(script)


def test_a_study_is_not_current_when_one_that_it_builds_on_changed(runner, tmp_path):
    base = tmp_path / "studies" / "96_base.py"
    base.write_text("FACTOR = 2\n")
    script = tmp_path / "studies" / "97_square.py"
    script.write_text(
        "import pathlib, runpy\nSETTINGS = [{'x': 1}]\n"
        'BASE = runpy.run_path(str(pathlib.Path(__file__).with_name("96_base.py")))\n'
        "def run(*, x):\n    return {'y': BASE['FACTOR'] * x}\n"
    )
    runner.measure(script)
    assert runner.is_current(script)
    assert datasets.load_study("97_square").values("y").tolist() == [2]
    base.write_text("FACTOR = 3\n")
    assert not runner.is_current(script)
    with pytest.raises(ValueError, match=r"another version of 97_square\.py or of a study"):
        datasets.load_study("97_square")
