"""What every test run shares, and the adjustments that nbval needs."""

import os
import re
import shutil
import tempfile
import time
from queue import Empty

# Before anything imports TensorFlow: a quiet start, and the same results on any number of cores.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import pytest
from nbval.kernel import RunningKernel

ACCELERATOR = re.compile(r"\b(accelerator|GPU|TPU)s?\b", re.IGNORECASE)


# --- nbval ------------------------------------------------------------------------------------
# nbval has no hooks for these two, so its class is patched.


def _execute_cell_input(self, cell_input, allow_stdin=None):
    # nbval runs cells with store_history=False; IPython then ignores a trailing ';' (nbval issue
    # 194), and a cell would show more here than in JupyterLab.
    return self.kc.execute(
        cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
    )


_get_message = RunningKernel.get_message


def _get_message_while_alive(self, stream, timeout=None):
    # nbval waits out the cell's whole time limit when the kernel's process is gone.
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        step = 1.0 if end is None else min(1.0, max(0.0, end - time.monotonic()))
        try:
            return _get_message(self, stream, timeout=step)
        except Empty:
            if not self.km.is_alive():
                raise RuntimeError("The kernel died while it ran this cell.") from None
            if end is not None and time.monotonic() >= end:
                raise


RunningKernel.execute_cell_input = _execute_cell_input
RunningKernel.get_message = _get_message_while_alive


def _cell_seconds(item):
    """The time limit in a notebook cell's tag `timeout-300`, or `None`."""
    cell = getattr(item, "cell", None)
    for tag in cell.metadata.get("tags", []) if cell is not None else []:
        if tag.startswith("timeout-"):
            return float(tag.removeprefix("timeout-"))
    return None


def pytest_configure(config):
    # Kernels get a profile of their own: the user's settings must not change a test.
    profile = tempfile.mkdtemp(prefix="ipython-")
    config.add_cleanup(lambda: shutil.rmtree(profile, ignore_errors=True))
    os.environ["IPYTHONDIR"] = profile
    if config.getoption("nbval", default=False):
        os.environ.pop("MPLBACKEND", None)  # Figures belong in the page.


def pytest_itemcollected(item):
    seconds = _cell_seconds(item)
    if seconds is not None:
        item.add_marker(pytest.mark.timeout(seconds + 60))  # pytest-timeout, for the whole test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    seconds = _cell_seconds(item)
    if seconds is None:
        return (yield)
    option = item.config.option
    usual, option.nbval_cell_timeout = option.nbval_cell_timeout, seconds
    try:
        return (yield)
    finally:
        option.nbval_cell_timeout = usual


# --- skipped tests ----------------------------------------------------------------------------


def _refuse(report, reason):
    """Turn a report of a skipped test into a failure, unless an accelerator is missing."""
    if os.environ.get("CI", "").lower() not in ("true", "1") or ACCELERATOR.search(reason):
        return
    report.outcome = "failed"
    report.longrepr = (
        "With CI=true a test may be skipped only where an accelerator is missing, "
        f"and the reason must name it. Received: {reason or 'no reason'}"
    )


def _reason(report):
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if not report.skipped:
        return report
    if not hasattr(report, "wasxfail"):
        _refuse(report, _reason(report))
    elif isinstance(call.excinfo.value, pytest.xfail.Exception):
        # pytest.xfail() and xfail(run=False): the test did not run, a skip by another name.
        reason = report.wasxfail
        _refuse(report, reason)
        if report.failed:
            del report.wasxfail
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.skipped:  # a whole module: importorskip, skip(allow_module_level=True)
        _refuse(report, _reason(report))
    return report
