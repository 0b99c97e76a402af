"""Builds `sunspots.csv` and `co2.csv`, and writes their SHA-256 into the cards.

    python datasets/build_series.py

Both come from data sets inside statsmodels, which belongs to the development environment only.
"""

import hashlib
import pathlib
import re

import statsmodels.api as sm

FOLDER = pathlib.Path(__file__).parent


def sunspots():
    """Yearly means, as they are."""
    table = sm.datasets.sunspots.load_pandas().data
    rows = zip(table["YEAR"], table["SUNACTIVITY"], strict=True)
    return "year,sunspots\n" + "".join(f"{year:.0f},{count:.1f}\n" for year, count in rows)


def co2():
    """Means of the weeks that begin in a month; months without one lie on a straight line."""
    weekly = sm.datasets.co2.load_pandas().data["co2"]
    months = weekly.resample("MS")
    rows = zip(months.mean().interpolate().items(), months.count(), strict=True)
    lines = [f"{day.year},{day.month},{ppm:.2f},{weeks}\n" for (day, ppm), weeks in rows]
    return "year,month,co2_ppm,weeks\n" + "".join(lines)


def build(folder=FOLDER):
    """Writes each file, and its SHA-256 into the card beside it."""
    for name, content in (("sunspots", sunspots()), ("co2", co2())):
        (folder / f"{name}.csv").write_bytes(content.encode())
        card = folder / f"{name}.md"
        line = f"SHA-256: `{hashlib.sha256(content.encode()).hexdigest()}`"
        text = card.read_text(encoding="utf-8")
        card.write_text(re.sub(r"SHA-256: `\w*`", line, text), encoding="utf-8")


if __name__ == "__main__":
    build()
