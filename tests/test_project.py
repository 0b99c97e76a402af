"""The project's own promises: dependencies, import arrows, sizes, what it never touches."""

import ast
import json
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "course_utils").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def imports(path, top_level_only=False):
    """Names of the modules that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def pins(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {m[1]: m[2] for m in re.finditer(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE)}


def test_environment_yml_names_the_same_dependencies():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    entries = [line.strip()[2:] for line in lines if line.strip().startswith("- ")]
    after_pip = entries[entries.index("pip:") + 1 :]
    wanted = set(PROJECT["project"]["dependencies"])
    nbval = {d for d in PROJECT["dependency-groups"]["dev"] if d.startswith("nbval")}
    assert set(after_pip) == wanted | nbval | {"-e ."}
    assert f"python{PROJECT['project']['requires-python']}" in entries
    assert "pip" in entries


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_with_hashes_and_hold_no_address(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text and "index" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(blocks) > 50
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    for marker in ("sys_platform == 'darwin'", "sys_platform != 'win32'", "os_name == 'nt'"):
        assert marker in text  # it was resolved for all platforms


def test_the_development_lock_extends_the_learners():
    learners, developers = pins(LOCKS[0]), pins(LOCKS[1])
    assert learners.items() <= developers.items()
    assert {"nbgrader", "nbval", "pytest", "ruff"} <= developers.keys() - learners.keys()
    named = {re.split(r"[<>=]", d)[0] for d in PROJECT["project"]["dependencies"]}
    assert named <= learners.keys()


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_arrows(path):
    """TensorFlow in three files; cells, initializers and tasks know NumPy and Keras alone."""
    found = {name.split(".")[0] for name in imports(path)}
    name = path.relative_to(ROOT / "course_utils").as_posix()
    if name not in {"gradients.py", "diagnostics.py", "callbacks.py"}:
        assert "tensorflow" not in found
    if name.startswith("cells/") or name in {"initializers.py", "tasks.py", "attention.py"}:
        course = {n for n in imports(path) if n.startswith("course_utils")}
        assert all(n.startswith("course_utils.cells") for n in course)
        third_party = found - set(sys.stdlib_module_names) - {"course_utils"}
        assert third_party <= {"numpy", "keras"}
    if name in {"claims.py", "exercises.py", "plots.py"}:
        loaded = {n.split(".")[0] for n in imports(path, top_level_only=True)}
        assert loaded - set(sys.stdlib_module_names) <= {"numpy"}
        assert "keras" not in found
    assert not any(
        n.startswith("keras.src") or n.startswith("tensorflow.python") for n in imports(path)
    )


def test_importing_the_package_imports_nothing_heavy():
    code = "import course_utils, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    for heavy in ("tensorflow", "keras", "numpy", "sklearn", "matplotlib", "nbgrader"):
        assert f"'{heavy}'" not in loaded


def test_every_module_says_what_it_exports():
    for path in PACKAGE:
        if path.name in {"__init__.py", "__main__.py"} and path.parent.name == "course_utils":
            continue
        assert re.search(r"^__all__ = \[", path.read_text(encoding="utf-8"), re.MULTILINE), path


def code_lines(path):
    """Lines that are neither blank, comment nor docstring."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    documented = set()
    for node in ast.walk(tree):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(t.strip()) and not t.strip().startswith("#") and n not in documented for n, t in lines
    )


def test_the_package_stays_small():
    assert sum(map(code_lines, PACKAGE)) < 2500


def test_no_file_speaks_of_a_machine():
    files = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split("\n")
    paths = "|".join("/" + folder + "/" for folder in ("root", "home", "work"))
    words = rf"(?<![\w.])({paths})\w|py" + r"pi\.org|python" + r"hosted\.org"
    for name in filter(None, files):
        path = ROOT / name
        if path.suffix != ".png" and path.exists():
            found = re.search(words, path.read_text(encoding="utf-8"))
            assert not found, f"{name}: {found[0]}"


LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_course_map_of_the_readme_is_current(path):
    """Every lesson has a row, with the run time that its own header states."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in readme.splitlines() if f"](notebooks/{path.name}) |" in line]
    header = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"][1:3]:
        header += "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
    stated = re.search(r"runs in about ([0-9.]+|a) minute", header)[1].replace("a", "1")
    assert f"| {stated} min |" in row, f"{path.name} states {stated} minutes; README: {row}"
    title = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    assert f"[{title.splitlines()[0].removeprefix('# ')}]" in row


def test_the_readme_links_to_what_exists():
    for name in ("README.md", "docs/contributing.md", "docs/instructors.md"):
        document = ROOT / name
        links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
        assert all((document.parent / link).exists() for link in links), document


@pytest.mark.parametrize(
    "target",
    ["lab", "test", "check", "notebooks", "bench", "progress", "lock", "assignment", "grade"],
)
def test_make_help_lists_every_target(target):
    text = subprocess.check_output(["make", "help"], cwd=ROOT, text=True)
    assert re.search(rf"^{target} ", text, re.MULTILINE)
