"""Measure the studies whose scripts changed: `python -m studies [NAME ...] [--all]`.

A study is `studies/NN_topic.py` with two names: SETTINGS, a list of dicts, and `run(**setting)`,
which returns a dict of numbers or lists of numbers. Its table goes to
`datasets/studies/NN_topic.json` with the script's hash; rows that were measured before an
interruption are kept under `build/`.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import time

import course_utils  # noqa: F401  It sets TensorFlow's environment.
from studies.results import source

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "datasets" / "studies"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def is_current(script):
    result = RESULTS / f"{script.stem}.json"
    if not result.exists():
        return False
    about = json.loads(result.read_text(encoding="utf-8"))["about"]
    return about["script_sha256"] == hashlib.sha256(source(script)).hexdigest()


def measure(script):
    spec = importlib.util.spec_from_file_location(f"study_{script.stem}", script)
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    sha = hashlib.sha256(source(script)).hexdigest()
    partial = ROOT / "build" / "studies" / f"{script.stem}.{sha[:12]}.json"
    rows = json.loads(partial.read_text(encoding="utf-8")) if partial.exists() else []
    done = [{key: row[key] for key in study.SETTINGS[0]} for row in rows]
    for number, setting in enumerate(study.SETTINGS, 1):
        if setting in done:
            continue
        start = time.perf_counter()
        rows.append({**setting, **study.run(**setting)})
        write(partial, rows)
        seconds = time.perf_counter() - start
        print(f"{script.stem} {number}/{len(study.SETTINGS)} {setting} {seconds:.1f} s", flush=True)
    versions = {name: importlib.metadata.version(name) for name in ("keras", "numpy", "tensorflow")}
    about = {
        "script_sha256": sha,
        "rows_sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "versions": versions,
    }
    write(RESULTS / f"{script.stem}.json", {"about": about, "rows": rows})
    partial.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="NN_topic; all that changed if none is given")
    parser.add_argument("--all", action="store_true", help="also those that are up to date")
    options = parser.parse_args()
    for script in sorted((ROOT / "studies").glob("[0-9]*.py")):
        if options.names and script.stem not in options.names:
            continue
        if options.all or options.names or not is_current(script):
            measure(script)


if __name__ == "__main__":
    main()
