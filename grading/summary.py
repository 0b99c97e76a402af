"""One page for the instructor: how it went, which tasks were hard, which mistakes were common."""

import collections
import statistics

__all__ = ["summary"]


def summary(lesson, rows, results):
    """The page, in Markdown."""
    points = [float(row["total"]) for row in rows]
    most, waiting = float(rows[0]["maximum"]), sum(r["waiting for a person"] != "0" for r in rows)
    problems = [result for result in results if result["problem"]]
    lines = [
        f"# {lesson.name}: {len(rows)} submissions",
        "",
        f"Points: median {statistics.median(points):g}, mean {statistics.mean(points):.1f}, "
        f"from {min(points):g} to {max(points):g}, of {most:g}.",
    ]
    if waiting:
        lines.append(f"{waiting} of them still wait for points that a person gives.")
    lines += ["", "## Distribution", "", "```", *_histogram(points, most), "```", ""]
    lines += ["## Tasks", "", "| task | passed | not begun | known mistake | other |"]
    lines += ["|---|---|---|---|---|", *_tasks(lesson, results), ""]
    lines += ["## Common mistakes", "", *_mistakes(lesson, results), ""]
    if problems:
        lines += ["## Not graded", ""]
        lines += [f"- {_code(result['name'])}: {result['problem']}" for result in problems]
    return "\n".join(lines).rstrip() + "\n"


def _code(name):
    return f"`{name.replace('`', ' ')}`"


def _histogram(points, most, bins=10):
    counts = collections.Counter(min(int(bins * value / most), bins - 1) for value in points)
    widest = max(counts.values())
    for k in range(bins):
        bar = "█" * round(40 * counts[k] / widest)
        yield f"{most * k / bins:5.1f} to {most * (k + 1) / bins:5.1f}  {bar} {counts[k]}"


def _tasks(lesson, results):
    for id in lesson.exercises:
        kinds = collections.Counter(_kind(result["verdicts"][id]) for result in results)
        shares = [f"{100 * kinds[kind] / len(results):.0f} %" for kind in KINDS]
        yield f"| {id} | {' | '.join(shares)} |"


KINDS = ("passed", "not begun", "known mistake", "other")


def _kind(verdict):
    if verdict["passed"]:
        return "passed"
    if "not done yet" in verdict["message"]:
        return "not begun"
    return "known mistake" if verdict["mistake"] else "other"


def _mistakes(lesson, results, number=10):
    counts = collections.Counter(
        (id, verdict["mistake"])
        for result in results
        for id, verdict in result["verdicts"].items()
        if verdict["mistake"]
    )
    found = [f"- {count} × {id}: {text}" for (id, text), count in counts.most_common(number)]
    return found or ["None of the known ones."]
