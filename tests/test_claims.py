import numpy as np
import pytest

from course_utils.claims import RELATIONS, ClaimError, claim, parse


def printed(capsys, *arguments, **options):
    assert claim(*arguments, **options) is None
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("measured", "relation", "bound", "shown"),
    [
        (11.26, ">", 10, "> 10 | measured 11.3"),
        ([12.17, 11.26], ">", 10, "> 10 | measured 11.3 to 12.2"),
        ([[11.26], [11.26]], ">=", 11.26, ">= 11.26 | measured 11.3"),
        (np.float32(0.0104), "<", 5e-2, "< 0.05 | measured 0.0104"),
        (0.99996, "<", 1, "< 1 | measured 0.99996"),
        (10.0400001, ">", 10, "> 10 | measured 10.04"),
        ([10.04, 10.6], ">", 10, "> 10 | measured 10.04 to 10.6"),
        (1234, "==", 1234, "== 1234 | measured 1234"),
        (1234.5, ">", 1e3, "> 1000 | measured 1230"),
        (2.344e22, ">", 1e6, "> 1e6 | measured 2.34e22"),
        (1.5e-30, "<", 2e-5, "< 2e-5 | measured 1.5e-30"),
        (-3.14159, "<", -1, "< -1 | measured -3.14"),
        (-0.0, "<=", 0, "<= 0 | measured 0"),
        (float("inf"), ">", 1, "> 1 | measured inf"),
        (True, "==", True, "== True | measured True"),
        (np.array([True, True]), "==", True, "== True | measured True"),
    ],
)
def test_the_line_of_a_true_claim(measured, relation, bound, shown, capsys):
    line = printed(capsys, "03.2", "It is so", measured, relation, bound)
    assert line == f"✓ 03.2 It is so | {shown}\n"
    record = parse(line)
    assert record["bound"] == bound
    assert all(RELATIONS[relation](value, bound) for value in record["measured"])


def test_what_is_shown_satisfies_the_bound(capsys):
    rng = np.random.default_rng(0)
    for _ in range(500):
        bound = float(f"{rng.normal() * 10.0 ** rng.integers(-8, 9):.{rng.integers(1, 6)}g}")
        away = abs(bound) * 10.0 ** rng.uniform(-12, 1, size=3) * rng.choice([1, -1])
        for relation, measured in ((">" if away[0] > 0 else "<", bound + away), ("==", bound)):
            record = parse(printed(capsys, "03.2", "It is so", measured, relation, bound))
            low, high = record["measured"]
            assert record["bound"] == bound
            assert low <= high
            assert RELATIONS[relation](low, bound)
            assert RELATIONS[relation](high, bound)
            assert np.isclose(low, np.min(measured), rtol=6e-3, atol=0)
            assert np.isclose(high, np.max(measured), rtol=6e-3, atol=0)


@pytest.mark.parametrize("verdict", ["Right", "Half right", "Wrong"])
def test_a_trial_is_named_and_parsed(verdict, capsys):
    line = printed(capsys, "06.12", f"{verdict}: so", 2, ">", 1, trial="C02")
    assert line == f"✓ 06.12 [C02] {verdict}: so | > 1 | measured 2\n"
    assert parse(line) == {
        "id": "06.12",
        "trial": "C02",
        "sentence": f"{verdict}: so",
        "relation": ">",
        "bound": 1.0,
        "measured": (2.0, 2.0),
    }


@pytest.mark.parametrize(
    ("measured", "relation", "bound", "found"),
    [
        (9.4, ">", 10, r"Claimed: > 10\. Measured: 9\.4\."),
        ([11, 9.4, 9.9], ">", 10, r"Measured: 9\.4 at index 1 of 3 values\."),
        ([[0.1, 0.2], [0.7, 0.6]], "<", 0.5, r"Measured: 0\.7 at index 1, 0 of 4 values\."),
        (1.00004, "<=", 1, r"Measured: 1\.00004\."),
        ([1, 2, 5], "==", 2, r"Measured: 5 at index 2 of 3 values\."),
        ([1, np.nan, 0], ">", 0.5, r"Measured: nan at index 1 of 3 values\."),
        ([np.nan, np.inf], "<", 1, r"Measured: nan at index 0 of 2 values\."),
        (np.nan, "==", 1, r"Measured: nan\."),
        (np.empty((0, 3)), ">", 1, r"Measured: nothing, the array is empty\."),
        (False, "==", True, r"Claimed: == True\. Measured: False\."),
        ([True, False], "==", True, r"Measured: False at index 1 of 2 values\."),
        (1234, "==", 1235, r"Claimed: == 1235\. Measured: 1234\."),
    ],
)
def test_a_false_claim_says_what_was_measured(measured, relation, bound, found, capsys):
    with pytest.raises(ClaimError, match=r'Claim 03\.2 does not hold: "It is so"\..*' + found):
        claim("03.2", "It is so", measured, relation, bound)
    assert capsys.readouterr().out == ""
    assert issubclass(ClaimError, AssertionError)


@pytest.mark.parametrize("id", ["3.2", "03", "03.", "03.02", "03.0", "003.1", " 03.1", "a3.1", 3.2])
def test_a_wrong_id_is_refused(id):
    with pytest.raises(ValueError, match="`id` must be the lesson's two digits"):
        claim(id, "It is so", 2, ">", 1)


@pytest.mark.parametrize("sentence", ["", " ", "a\nb", "a | b", "so ", "[C01] so", None, 3])
def test_a_wrong_sentence_is_refused(sentence):
    with pytest.raises(ValueError, match="`sentence` must be one line"):
        claim("03.2", sentence, 2, ">", 1)


@pytest.mark.parametrize("relation", ["!=", "=", "is", "", None, [">"]])
def test_an_unknown_relation_is_refused(relation):
    with pytest.raises(ValueError, match="`relation` must be one of >, >=, <, <=, =="):
        claim("03.2", "It is so", 2, relation, 1)


@pytest.mark.parametrize("trial", ["C1", "01", "C001", 1, ""])
def test_a_wrong_trial_is_refused(trial):
    with pytest.raises(ValueError, match="`trial` must be C and two digits"):
        claim("03.2", "Right: so", 2, ">", 1, trial=trial)


@pytest.mark.parametrize("sentence", ["It is so", "right: so", "Right so", "Right:so"])
def test_a_trial_needs_a_verdict(sentence):
    with pytest.raises(ValueError, match="must begin with its verdict"):
        claim("03.2", sentence, 2, ">", 1, trial="C01")


@pytest.mark.parametrize(
    "measured",
    ["2", ["2"], [[1], [2, 3]], None, {"a": 2}, 2j, [2, "3"], [object()], b"2", range, 2**99],
)
def test_what_is_no_number_is_refused(measured):
    with pytest.raises(TypeError, match="`measured` must be a number or an array"):
        claim("03.2", "It is so", measured, ">", 1)


@pytest.mark.parametrize(
    ("measured", "relation", "bound"),
    [(True, ">", 0), (True, "==", 1), (True, "==", False), (True, ">=", True), (1, "==", True)],
)
def test_truth_values_compare_with_true_only(measured, relation, bound):
    with pytest.raises(TypeError, match="Truth values are compared by `relation` '=='"):
        claim("03.2", "It is so", measured, relation, bound)


@pytest.mark.parametrize("bound", ["1", None, [1], 1j])
def test_a_bound_is_a_number(bound):
    with pytest.raises(TypeError, match="`bound` must be a number"):
        claim("03.2", "It is so", 2, ">", bound)


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), -float("inf")])
def test_a_bound_is_finite(bound):
    with pytest.raises(ValueError, match="`bound` must be finite"):
        claim("03.2", "It is so", 2, ">", bound)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "✓ 03.2 It is so",
        "✓ 03.2 It is so | > 10",
        "✓ 03.2 It is so | > ten | measured 11",
        "✓ 03.2 It is so | > 10 | measured 11 to",
        "✓ 03.2 It is so | != 10 | measured 11",
        "✓ 3.2 It is so | > 10 | measured 11",
        "✓ 03.2 It | is so | > 10 | measured 11",
        "03.2 It is so | > 10 | measured 11",
        "see ✓ 03.2 It is so | > 10 | measured 11",
        "✓ 03.2 It is so | > 10 | measured 11 to 12 to 13",
    ],
)
def test_other_lines_are_no_claims(line):
    assert parse(line) is None
