"""The form of lessons and exercises: what nbval does not look at.

Each check takes a notebook and its path and returns what is wrong, one sentence each.
"""

import ast
import functools
import importlib.util
import json
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from course_utils import claims

ROOT = Path(__file__).resolve().parents[1]


def load_tool():
    """tools/ is a folder of scripts, not a package."""
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()
PATHS = tool.find()


@functools.cache
def load(path):
    """The notebook as it lies on disk: nothing repaired."""
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


# --- reading a notebook -----------------------------------------------------------------------


def is_exercise(path):
    return path.parent.parent.name == "exercises"


def markdown(notebook):
    return "\n\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")


def prose(notebook):
    """The markdown without code and formulas, where brackets are no links."""
    text = re.sub(r"(?ms)^(```|~~~).*?^\1|\$\$.*?\$\$", "", markdown(notebook))
    return re.sub(r"`[^`\n]*`|\$[^$\n]*\$", "", text)


def printed(cell):
    outputs = (o for o in cell["outputs"] if o.get("name") == "stdout")
    return [line for o in outputs for line in o["text"].splitlines()]


def claim_lines(cell):
    """What `claim` printed, or what looks like it."""
    return [line for line in printed(cell) if re.match(r"✓ .* \| ", line) or "| measured" in line]


def tree(cell):
    """The cell's syntax tree; magics are turned into calls first."""
    return ast.parse(TransformerManager().transform_cell(cell["source"]))


def calls(node, *, inside=True):
    """The calls in a syntax tree; with `inside=False` none in the bodies of functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, functions) and not inside:
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from calls(child, inside=inside)


def called(call):
    """The called name: `plt.show` for `plt.show()`."""
    return ast.unparse(call.func)


def is_plot(cell):
    names = [called(call) for call in calls(tree(cell), inside=False)]
    return any(n == "plt.show" or n.rpartition(".")[2].startswith("plot_") for n in names)


def claim_calls(cell):
    return [c for c in calls(tree(cell)) if called(c) in ("claim", "claims.claim")]


def tags(cell):
    return cell["metadata"].get("tags", [])


def nbgrader(cell):
    return cell["metadata"].get("nbgrader", {})


# --- every notebook ---------------------------------------------------------------------------


def valid_notebook(notebook, path):
    try:
        nbformat.validate(json.loads(json.dumps(notebook)))
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {error}"]
    ids = [cell.get("id") for cell in notebook["cells"]]
    return [f"cell {n} has no id of its own" for n, i in enumerate(ids) if not i or i in ids[:n]]


def executed_in_order(notebook, path):
    counts = [cell["execution_count"] for cell in tool.code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        return [f"execution counts must be 1 to {len(counts)} in order. Found: {counts}"]
    return []


def executed_as_it_is(notebook, path):
    if tool.stored_hash(notebook) != tool.sources_hash(notebook):
        return ["the code changed since it was executed: run `make notebooks`"]
    return []


def has_outputs(notebook, path):
    kept = any(cell["outputs"] for cell in tool.code_cells(notebook))
    return [] if kept else ["there are no outputs: they are committed"]


def plots_have_figures(notebook, path):
    found = []
    for cell in filter(is_plot, tool.code_cells(notebook)):
        if not any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            found.append(f"a cell that plots has no figure:\n{cell['source']}")
    return found


def clean_outputs(notebook, path):
    """No error, no stderr, no absolute path, not too large."""
    return tool.problems(notebook)


def normal_form(notebook, path):
    text = path.read_text(encoding="utf-8")
    if tool.serialized(tool.normalize(json.loads(json.dumps(notebook)))) != text:
        return ["the file is not in normal form: run `make notebooks`"]
    return []


def no_semicolons(notebook, path):
    ends = [c["source"] for c in tool.code_cells(notebook) if c["source"].rstrip().endswith(";")]
    return [f"a cell ends with ';':\n{source}" for source in ends]


def short_cells(notebook, path):
    limit = 40 if is_exercise(path) else 30
    lengths = [(len(c["source"].splitlines()), c["source"]) for c in tool.code_cells(notebook)]
    return [f"a cell has {n} lines, the limit is {limit}:\n{s}" for n, s in lengths if n > limit]


def nothing_skipped(notebook, path):
    return [
        f"nbval would skip a cell:\n{cell['source']}"
        for cell in tool.code_cells(notebook)
        if "nbval-skip" in tags(cell) or "NBVAL_SKIP" in cell["source"]
    ]


def links_resolve(notebook, path):
    text = prose(notebook)
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    targets += re.findall(r"(?m)^\s*\[[^\]]+\]:\s+(\S+)", text)
    targets += re.findall(r"\b(?:src|href)=[\"']([^\"']+)", text)
    targets += re.findall(r"\bhttp://[^\s)>\"']+", text)
    attached = {name for cell in notebook["cells"] for name in cell.get("attachments", {})}
    anchors = {re.sub(r"\W+", "-", h).strip("-").lower() for h in headings(notebook)}
    found = []
    for target in dict.fromkeys(targets):
        file, _, anchor = unquote(target).partition("#")
        if target.startswith(("https://", "mailto:")):
            continue
        if target.startswith("attachment:"):
            good = target.removeprefix("attachment:") in attached
        elif re.match(r"[a-z]+:|//|/", target):
            good = False
        elif file:
            good = (path.parent / file).exists()
        else:
            good = re.sub(r"\W+", "-", anchor).strip("-").lower() in anchors
        if not good:
            found.append(f"a link must be https or lead to something here. Found: {target}")
    return found


# --- claims -----------------------------------------------------------------------------------


def claims_hold(notebook, path):
    """The stored measurements satisfy the stored bounds: nbval does not compare them."""
    found = []
    for line in (line for cell in tool.code_cells(notebook) for line in claim_lines(cell)):
        record = claims.parse(line)
        if record is None:
            found.append(f"not a claim's line: {line}")
        elif not all(
            claims.RELATIONS[record["relation"]](value, record["bound"])
            for value in record["measured"]
        ):
            found.append(f"a stored claim is false: {line}")
    return found


def claim_ids(notebook):
    """The ids of the claims that the notebook printed, in order."""
    lines = (line for cell in tool.code_cells(notebook) for line in claim_lines(cell))
    return [record["id"] for record in map(claims.parse, lines) if record]


def claims_belong_here(notebook, path):
    ids = claim_ids(notebook)
    found = [f"claim {i} is printed twice" for n, i in enumerate(ids) if i in ids[:n]]
    wrong = [i for i in ids if i.partition(".")[0] != path.name[:2]]
    return found + [f"claim {i} does not begin with the lesson's number" for i in wrong]


def claims_are_printed(notebook, path):
    found, ids = [], claim_ids(notebook)
    for cell in tool.code_cells(notebook):
        for call in claim_calls(cell):
            id = next((k.value for k in call.keywords if k.arg == "id"), (*call.args, None)[0])
            if isinstance(id, ast.Constant) and id.value not in ids:
                found.append(f"claim {id.value} has no printed line")
            elif not isinstance(id, ast.Constant) and not claim_lines(cell):
                found.append(f"a claim has no printed line:\n{ast.unparse(call)}")
    return found


def claims_are_compared(notebook, path):
    """A bound that nbval does not compare could change unseen."""
    return [
        f"a cell with a claim must not be marked nbval-ignore-output:\n{cell['source']}"
        for cell in tool.code_cells(notebook)
        if claim_lines(cell)
        and ("nbval-ignore-output" in tags(cell) or "NBVAL_IGNORE_OUTPUT" in cell["source"])
    ]


# --- lessons ----------------------------------------------------------------------------------


def headings(notebook):
    text = re.sub(r"(?ms)^(```|~~~).*?^\1", "", markdown(notebook))
    return re.findall(r"(?m)^#{1,6}\s+(.+?)\s*#*$", text)


def recipe_followed(notebook, path):
    """The parts that every lesson has; lesson 00 is only a start."""
    header = "\n".join(cell["source"] for cell in notebook["cells"][:3])
    found = [] if header.startswith("# ") else ["the first cell must begin with the title, '# '"]
    if not re.search(r"\b\d+(\.\d+)?( to \d+)?[ -]min(utes?)?\b", header):
        found.append("the header must state the measured minutes")
    if path.name.startswith("00"):
        return found
    if "you will be able to" not in header.lower():
        found.append("the header must say 'You will be able to'")
    if not re.search(r"(?im)^[\W\d]*predict\b", markdown(notebook)):
        found.append("no paragraph or heading begins with 'Predict'")
    wanted = ["Where it breaks", "Summary", "Exercises", "Further reading"]
    lines = [line for cell in tool.code_cells(notebook) for line in claim_lines(cell)]
    if any(record["trial"] for record in map(claims.parse, lines) if record):
        wanted.append("On trial")
    titles = "\n".join(headings(notebook)).lower()
    return found + [f"no heading names '{w}'" for w in wanted if w.lower() not in titles]


def not_too_many_cells(notebook, path):
    count = len(tool.code_cells(notebook))
    return [f"{count} code cells, the limit is 30"] if count > 30 else []


# --- exercises --------------------------------------------------------------------------------


def is_automatic(cell):
    kind = nbgrader(cell)
    return cell["cell_type"] == "code" and bool(kind.get("grade") and not kind.get("solution"))


def is_manual(cell):
    kind = nbgrader(cell)
    return bool(kind.get("task") or (kind.get("grade") and kind.get("solution")))


def nbgrader_metadata(notebook, path):
    found = []
    cells = [cell for cell in notebook["cells"] if nbgrader(cell)]
    ids = [nbgrader(cell).get("grade_id") for cell in cells]
    for number, (cell, id) in enumerate(zip(cells, ids, strict=True)):
        kind = nbgrader(cell)
        if not re.fullmatch(r"[\w-]+", id or ""):
            found.append(f"a grade_id must be letters, digits, '-' and '_'. Found: {id!r}")
        elif id in ids[:number]:
            found.append(f"grade_id {id} is used twice")
        if kind.get("schema_version") != 3:
            found.append(f"{id}: schema_version must be 3. Found: {kind.get('schema_version')}")
        points = kind.get("points")
        graded = kind.get("grade") or kind.get("task")
        if graded and (isinstance(points, bool) or not isinstance(points, int | float)):
            found.append(f"{id}: a graded cell must have points. Found: {points!r}")
        elif graded and points <= 0:
            found.append(f"{id}: points must be positive. Found: {points!r}")
        if is_automatic(cell) and not kind.get("locked"):
            found.append(f"{id}: a check must be locked")
    return found


def markers_balanced(notebook, path):
    found = []
    for cell in notebook["cells"]:
        for name in ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME"):
            order = re.findall(rf"### (BEGIN|END) {name}\b", cell["source"])
            loose = len(re.findall(rf"\b(?:BEGIN|END) {name}\b", cell["source"]))
            if loose != len(order) or order != ["BEGIN", "END"] * (len(order) // 2):
                found.append(f"'### BEGIN {name}' and its END do not pair:\n{cell['source']}")
    return found


def checks_have_hidden_tests(notebook, path):
    return [
        f"{nbgrader(cell).get('grade_id')}: a check must have a BEGIN HIDDEN TESTS region"
        for cell in notebook["cells"]
        if is_automatic(cell) and "BEGIN HIDDEN TESTS" not in cell["source"]
    ]


def solutions_are_cut(notebook, path):
    """What is between markers is only removed from cells of the right kind."""
    found = []
    for cell in notebook["cells"]:
        kind, source = nbgrader(cell), cell["source"]
        marked = "BEGIN SOLUTION" in source
        if marked and not kind.get("solution"):
            found.append(f"a solution in a cell that is not marked solution=true:\n{source}")
        if kind.get("solution") and cell["cell_type"] == "code" and not marked:
            found.append(f"{kind.get('grade_id')}: an answer's solution must be between markers")
        if "BEGIN HIDDEN TESTS" in source and not is_automatic(cell):
            found.append(f"hidden tests in a cell that is not a check:\n{source}")
    return found


def enough_tasks(notebook, path):
    cells = notebook["cells"]
    automatic = sum(map(is_automatic, cells))
    found = [] if automatic >= 4 else [f"{automatic} automatic tasks, at least 4 are wanted"]
    manual = [n for n, cell in enumerate(cells) if is_manual(cell)]
    near = ("\n".join(c["source"] for c in cells[max(0, n - 1) : n + 2]).lower() for n in manual)
    if not any("rubric" in text for text in near):
        found.append("one question must be graded by hand, with its rubric in or beside its cell")
    return found


# --- the tests --------------------------------------------------------------------------------

EVERYWHERE = [
    valid_notebook,
    executed_in_order,
    executed_as_it_is,
    has_outputs,
    plots_have_figures,
    clean_outputs,
    normal_form,
    no_semicolons,
    short_cells,
    nothing_skipped,
    links_resolve,
    claims_hold,
    claims_belong_here,
    claims_are_printed,
    claims_are_compared,
]
LESSON = [recipe_followed, not_too_many_cells]
EXERCISE = [
    nbgrader_metadata,
    markers_balanced,
    checks_have_hidden_tests,
    solutions_are_cut,
    enough_tasks,
]


def faults(notebook, path):
    """All that is wrong with a notebook: {name of the check: sentences}."""
    checks = EVERYWHERE + (EXERCISE if is_exercise(path) else LESSON)
    found = {check.__name__: check(notebook, path) for check in checks}
    return {name: sentences for name, sentences in found.items() if sentences}


CASES = [
    pytest.param(path, check, id=f"{path.parent.name}/{path.name}-{check.__name__}")
    for path in PATHS
    for check in EVERYWHERE + (EXERCISE if is_exercise(path) else LESSON)
]


# Without any notebook there is one empty case: an empty list would be reported as a skipped test.
@pytest.mark.parametrize(("path", "check"), CASES or [(None, None)])
def test_form(path, check):
    found = check(load(path), path) if path else []
    assert not found, "\n".join([path.name, *found])


def test_a_claim_has_its_id_to_itself():
    ids = [(id, path.name) for path in PATHS for id in claim_ids(load(path))]
    seen = {}
    for id, name in ids:
        seen.setdefault(id, []).append(name)
    assert not {id: names for id, names in seen.items() if len(names) > 1}
