"""Runs notebooks in the real JupyterLab in headless Chromium, as a learner would see them.

    python tests/browser.py [--out DIR] [--timeout SECONDS] [NOTEBOOK ...]

NOTEBOOK is a path in the learner's copy, such as 03_gradients.ipynb or
exercises/03_gradients/03_gradients.ipynb; without one, all lessons are run. Lessons must run
without an error and show all their figures; the check cells of a blank exercise must say
"not done yet" without a stack trace. Screenshots go to DIR.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    "--headless",
    "--no-sandbox",  # it opens our own pages on loopback only; containers have no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STARTED = re.compile(r"(http://(?:127\.0\.0\.1|localhost):\d+)/lab\S*\?token=(\w+)")

# What the page itself knows, through the application object that --expose-app-in-browser shows.
PANEL = "const panel = window.jupyterapp?.shell?.currentWidget; const content = panel?.content;"
KERNEL_IDLE = f"""() => {{ {PANEL}
  const status = panel?.sessionContext?.session?.kernel?.status;
  return status === 'idle' && content?.widgets?.length > 0; }}"""
# An exercise is run cell by cell, as with Shift-Enter: Run All stops at the first error.
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
RUN_EACH = f"""() => {{ {PANEL} window.ranEach = false;
  (async () => {{
    for (let i = 0; i < content.widgets.length; i++) {{
      content.activeCellIndex = i;
      await window.jupyterapp.commands.execute('notebook:run-cell');
    }}
    window.ranEach = true;
  }})(); }}"""
CELLS = f"""() => {{ {PANEL}
  return content.widgets.map((cell, index) => ({{
    index,
    type: cell.model.type,
    source: cell.model.sharedModel.source,
    grade: cell.model.metadata?.nbgrader?.grade ?? false,
    solution: cell.model.metadata?.nbgrader?.solution ?? false,
    count: cell.model.executionCount ?? null,
    state: cell.model.executionState ?? 'idle',
    outputs: cell.model.type === 'code' ? cell.model.outputs.toJSON() : [],
  }})); }}"""
SHOW = f"""async (index) => {{ {PANEL}
  content.activeCellIndex = index;
  await content.scrollToItem(index, 'start').catch(() => null);
  content.widgets[index].node.setAttribute('data-shown', index); }}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "browser", metavar="DIR")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one notebook")
    parser.add_argument("--chromium", default=next(filter(None, map(shutil.which, BROWSERS)), None))
    options = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return refuse("playwright is missing: run `make browser-test`, which installs it")
    if not options.chromium or not Path(options.chromium).exists():
        return refuse("chromium is missing: apt-get install chromium, or --chromium PATH")
    lessons = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    notebooks = options.notebooks or lessons
    if not notebooks:
        return refuse("there are no lessons in notebooks/")
    options.out.mkdir(parents=True, exist_ok=True)
    failures = 0
    with tempfile.TemporaryDirectory() as scratch, server(Path(scratch)) as (address, token):
        missing = [name for name in notebooks if not (Path(scratch) / "workspace" / name).exists()]
        if missing:
            return refuse(f"not in the learner's copy: {', '.join(missing)}")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=options.chromium, args=FLAGS, timeout=120_000
            )
            for name in notebooks:
                failures += not try_notebook(browser, address, token, name, options)
            browser.close()
    print(f"{len(notebooks) - failures} of {len(notebooks)} notebooks are right.")
    return 1 if failures else 0


def refuse(message: str) -> int:
    print(f"browser test: {message}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def server(scratch: Path):
    """Starts the learner's own command on a fresh copy; yields its address and token."""
    port = free_port()
    log = scratch / "lab.log"
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_WORKSPACES_DIR": "layouts",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "IPYTHONDIR": "ipython",
    }
    environment = os.environ | {name: str(scratch / at) for name, at in folders.items()}
    command = [sys.executable, "-m", "course_utils", "lab", "--workspace", scratch / "workspace"]
    command += ["--no-browser", "--port", str(port), "--expose-app-in-browser"]
    with log.open("w") as output:
        lab = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=environment)
    try:
        yield wait_for_server(lab, log)
    finally:
        lab.send_signal(signal.SIGTERM)
        try:
            lab.wait(30)
        except subprocess.TimeoutExpired:
            lab.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_server(lab: subprocess.Popen, log: Path, seconds: float = 600) -> tuple[str, str]:
    end = time.monotonic() + seconds  # the first start records the exercises' checks
    while time.monotonic() < end and lab.poll() is None:
        if found := STARTED.search(log.read_text()):
            return found.groups()
        time.sleep(0.3)
    raise SystemExit(f"browser test: JupyterLab did not start.\n{log.read_text()[-3000:]}")


def try_notebook(browser, address: str, token: str, name: str, options) -> bool:
    """Opens and runs one notebook in a fresh context, prints one line, says whether it is right."""
    from playwright.sync_api import Error

    began = time.monotonic()
    exercise = name.startswith("exercises/")
    picture = options.out / ("exercise-" * exercise + Path(name).stem)
    problems, outside, cells, figures = [], set(), [], 0
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    context.set_default_timeout(options.timeout * 1000)
    ours = (address, address.replace("http", "ws"), "data:", "blob:", "about:")
    page = context.new_page()
    watch = lambda seen: seen.url.startswith(ours) or outside.add(seen.url)  # noqa: E731
    context.on("request", watch)
    page.on("websocket", watch)
    page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
    try:
        page.goto(f"{address}/lab/tree/{name}?reset&token={token}")
        page.wait_for_function(KERNEL_IDLE)
        page.evaluate(RUN_EACH if exercise else RUN_ALL)
        if exercise:
            page.wait_for_function("() => window.ranEach")
        cells = wait_until_run(page, options.timeout, exercise)
        problems += exercise_problems(cells) if exercise else lesson_problems(cells)
        figures, missing = show_figures(page, cells, picture)
        problems += missing
        if not exercise and figures < (promised := committed_figures(name)):
            problems.append(f"{figures} figures, the committed lesson has {promised}")
        page.evaluate(SHOW, 0)
        page.screenshot(path=f"{picture}.png")
    except (Error, TimeoutError) as error:
        problems.append(str(error).splitlines()[0])
    finally:
        with contextlib.suppress(Error):
            page.screenshot(path=f"{picture}-end.png")
        context.close()
    problems += [f"request to {url}" for url in sorted(outside)]
    checks = sum(is_check(cell) for cell in cells)
    seen = f"{checks} checks" if exercise else f"{figures} figures"
    print(
        f"{'FAIL' if problems else 'ok':<5} {name}  {time.monotonic() - began:.0f} s, "
        f"{len(cells)} cells, {seen}",
        *problems,
        sep="\n      ",
        flush=True,
    )
    return not problems


def wait_until_run(page, seconds: float, exercise: bool) -> list[dict]:
    """Returns the cells when the kernel is idle and every cell with code has run or one failed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        cells = page.evaluate(CELLS)
        code = [cell for cell in cells if cell["type"] == "code" and cell["source"].strip()]
        ran = all(cell["count"] is not None and cell["state"] != "running" for cell in code)
        stopped = not exercise and any(errors(cell) for cell in code)
        if page.evaluate(KERNEL_IDLE) and (ran or stopped):
            page.wait_for_timeout(500)  # the last output may still be on its way
            return page.evaluate(CELLS)
        page.wait_for_timeout(200)
    raise TimeoutError(f"not every cell ran within {seconds:.0f} s")


def errors(cell: dict) -> list[dict]:
    return [output for output in cell["outputs"] if output["output_type"] == "error"]


def is_check(cell: dict) -> bool:
    return cell["type"] == "code" and cell["grade"] and not cell["solution"]


def lesson_problems(cells: list[dict]) -> list[str]:
    return [
        f"cell {cell['index']}: {error['ename']}: {error['evalue']}"
        for cell in cells
        for error in errors(cell)
    ]


def exercise_problems(cells: list[dict]) -> list[str]:
    """A blank copy's check cells say "not done yet", and show no stack trace."""
    checks = [cell for cell in cells if is_check(cell)]
    problems = [] if checks else ["no check cells"]
    for cell in checks:
        text = json.dumps(cell["outputs"], ensure_ascii=False)
        if "not done yet" not in text:
            problems.append(f'cell {cell["index"]} does not say "not done yet": {text[:300]}')
        if "Traceback" in text:
            problems.append(f"cell {cell['index']} shows a stack trace")
    return problems


def show_figures(page, cells: list[dict], picture: Path) -> tuple[int, list[str]]:
    """Scrolls to every figure (cells out of sight are not in the page) and takes its picture."""
    figures, problems = 0, []
    for cell in cells:
        promised = sum("image/png" in output.get("data", {}) for output in cell["outputs"])
        if not promised:
            continue
        page.evaluate(SHOW, cell["index"])
        images = page.locator(f"[data-shown='{cell['index']}'] .jp-OutputArea-output img")
        images.first.wait_for(state="visible", timeout=20_000)
        if images.count() < promised:
            problems.append(f"cell {cell['index']} shows {images.count()} of {promised} figures")
        for image in images.all():
            image.scroll_into_view_if_needed(timeout=20_000)
            if not image.evaluate("async (i) => (await i.decode(), i.naturalWidth > 0)"):
                problems.append(f"cell {cell['index']} has an empty figure")
            figures += 1
            image.screenshot(path=f"{picture}-figure-{figures:02d}.png")
    return figures, problems


def committed_figures(name: str) -> int:
    cells = json.loads((ROOT / "notebooks" / name).read_bytes())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


if __name__ == "__main__":
    sys.exit(main())
