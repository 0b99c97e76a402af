"""Claims: sentences of the course that are measured where they are made.

A lesson does not say "much larger", it calls `claim` with the number that it has just measured. A
true claim prints one line, a false one raises, and the tests read every printed line again.
"""

import math
import numbers
import re
from operator import eq, ge, gt, le, lt

import numpy as np

__all__ = ["RELATIONS", "ClaimError", "claim", "parse"]

RELATIONS = {">": gt, ">=": ge, "<": lt, "<=": le, "==": eq}
VERDICTS = ("Right: ", "Half right: ", "Wrong: ")

_NUMBER = r"True|False|-?inf|-?[0-9.]+(?:e-?[0-9]+)?"
_LINE = re.compile(
    r"✓ (?P<id>[0-9]{2}\.[1-9][0-9]*) (?:\[(?P<trial>C[0-9]{2})\] )?(?P<sentence>.+)"
    rf" \| (?P<relation>>=|<=|==|>|<) (?P<bound>{_NUMBER})"
    rf" \| measured (?P<low>{_NUMBER})(?: to (?P<high>{_NUMBER}))?"
)
_WORDS = {  # what an argument must be: as a regular expression, and in words
    "id": (r"[0-9]{2}\.[1-9][0-9]*", "the lesson's two digits, a point, a number, as in '03.2'"),
    "sentence": (
        r"(?!\[|.* \| )\S(.*\S)?",
        "one line, no blank at its ends, no ' | ', no '[' first",
    ),
    "relation": ("|".join(RELATIONS), f"one of {', '.join(RELATIONS)}"),
    "trial": (r"C[0-9]{2}", "C and two digits, such as 'C01'"),
}


class ClaimError(AssertionError):
    """A claim that its own measurement does not support."""


def claim(id, sentence, measured, relation, bound, *, trial=None):
    """Print the claim with what was measured, or raise `ClaimError` when it is false.

    The printed value has three significant digits, or as many more as it needs to stand on the
    right side of the bound.

    Args:
        id: lesson and number, such as `"03.2"`; unique in the course.
        sentence: what is claimed, in one line. With `trial` it begins with the verdict: "Right: ",
            "Half right: " or "Wrong: ".
        measured: a number or an array of numbers, which must hold everywhere. Empty arrays and NaN
            never hold. Truth values go with `"=="` and `True`.
        relation: one of `">"`, `">="`, `"<"`, `"<="`, `"=="`.
        bound: the finite number that `measured` is compared with.
        trial: the claim on trial that this one decides, such as `"C01"`.

    Example:

    >>> claim("03.2", "The gradient grows", [11.31, 12.17, 11.9], ">", 10)
    ✓ 03.2 The gradient grows | > 10 | measured 11.3 to 12.2
    >>> claim("03.3", "Right: the slope is the exponent", 0.0104, "<", 0.05, trial="C01")
    ✓ 03.3 [C01] Right: the slope is the exponent | < 0.05 | measured 0.0104
    >>> claim("03.4", "It stays below one", 0.99996, "<", 1)
    ✓ 03.4 It stays below one | < 1 | measured 0.99996
    >>> claim("03.2", "The gradient grows", [11.31, 9.4], ">", 10)
    Traceback (most recent call last):
        ...
    course_utils.claims.ClaimError: Claim 03.2 does not hold: "The gradient grows". \
Claimed: > 10. Measured: 9.4 at index 1 of 2 values.
    """
    words = {"id": id, "sentence": sentence, "relation": relation}
    if trial is not None:
        words["trial"] = trial
    for name, value in words.items():
        pattern, rule = _WORDS[name]
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    if trial and not sentence.startswith(VERDICTS):
        raise ValueError(
            "`sentence` of a claim on trial must begin with its verdict, one of "
            f"{', '.join(map(repr, VERDICTS))}. Received: {sentence=}"
        )
    values = _values(measured)
    _check_bound(values, relation, bound)
    holds = RELATIONS[relation]
    bound_text = _text(bound, 1, lambda shown: shown == float(bound))
    if values.size == 0 or not np.all(holds(values, bound)):
        found = _worst(values, relation, bound)
        raise ClaimError(
            f'Claim {id} does not hold: "{sentence}". '
            f"Claimed: {relation} {bound_text}. Measured: {found}."
        )
    ends = [_text(end, 3, lambda seen: holds(seen, bound)) for end in (values.min(), values.max())]
    shown = " to ".join(dict.fromkeys(ends))
    label = f"[{trial}] " if trial else ""
    print(f"✓ {id} {label}{sentence} | {relation} {bound_text} | measured {shown}")


def parse(line):
    """Read a line that `claim` printed; anything else gives `None`.

    Example:

    >>> record = parse("✓ 03.2 [C01] Right: it grows | > 10 | measured 11.3 to 12.2")
    >>> record["id"], record["trial"], record["sentence"]
    ('03.2', 'C01', 'Right: it grows')
    >>> record["relation"], record["bound"], record["measured"]
    ('>', 10.0, (11.3, 12.2))
    >>> parse("an ordinary line") is None
    True
    """
    match = _LINE.fullmatch(line.rstrip())
    if match is None or " | " in match["sentence"]:
        return None
    record = match.groupdict()
    low, high = record.pop("low"), record.pop("high")
    measured = _number(low), _number(high or low)
    return record | {"bound": _number(record["bound"]), "measured": measured}


def _values(measured):
    """The measured numbers as an array: truth values, whole numbers, or float64."""
    try:
        values = np.asarray(measured)
        if values.dtype.kind in "cOSUmMT":
            raise TypeError
        # bfloat16 too, which NumPy does not count as a float
        return values if values.dtype.kind in "biu" else values.astype(np.float64)
    except (TypeError, ValueError):
        rule = "`measured` must be a number or an array of real numbers."
        raise TypeError(f"{rule} Received: measured={measured!r}") from None


def _check_bound(values, relation, bound):
    if isinstance(bound, (bool, np.bool_)) or values.dtype.kind == "b":
        if values.dtype.kind != "b" or bound is not True or relation != "==":
            raise TypeError(
                "Truth values are compared by `relation` '==' with `bound` True only. "
                f"Received: measured of type {values.dtype}, {relation=}, {bound=}"
            )
    elif not isinstance(bound, numbers.Real):
        raise TypeError(f"`bound` must be a number. Received: {bound=}")
    elif not math.isfinite(bound):
        raise ValueError(f"`bound` must be finite. Received: {bound=}")


def _worst(values, relation, bound):
    """Where the claim fails most, in words."""
    if values.size == 0:
        return "nothing, the array is empty"
    floats = values.astype(float)
    score = {">": -floats, "<": floats}.get(relation[0], np.abs(floats - float(bound)))
    flat = np.argmax(score)  # the first NaN, if there is one
    value = values.flat[flat]
    if relation == "==":
        found = _text(value, 3, lambda shown: shown == value)
    else:
        found = _text(value, 3, lambda shown: not RELATIONS[relation](shown, bound))
    if values.ndim == 0:
        return found
    index = ", ".join(map(str, np.unravel_index(flat, values.shape)))
    return f"{found} at index {index} of {values.size} values"


def _text(value, digits, keep):
    """`value` with `digits` significant digits, or more until `keep` accepts what is shown."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    for count in range(digits, 18):
        rounded = float(f"{float(value):.{count}g}") + 0.0  # + 0.0 turns -0.0 into 0.0
        if keep(rounded):
            break
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e6:
        return np.format_float_positional(rounded, trim="-")
    return np.format_float_scientific(rounded, trim="-", exp_digits=1).replace("+", "")


def _number(text):
    return float(text == "True") if text in ("True", "False") else float(text)
