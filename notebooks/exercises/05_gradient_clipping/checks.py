"""Exercises of lesson 05: right solutions, and the mistakes that people make.

A gradient is a list with one array per variable; None where a variable has none. In 05.5 the
gradient of an embedding is a tuple (rows, values) with rows (K,) and values (K, E).
"""

import math

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def flat(gradients):
    """All gradients as one vector; None is left out."""
    return np.concatenate([np.ravel(g) for g in gradients if g is not None])


def norm_of(gradients):
    return np.linalg.norm(flat(gradients))


def random_gradients(rng, shapes, scale=1.0):
    return [scale * rng.normal(size=shape) for shape in shapes]


SHAPES = ((2, 3), (3, 3), (3,))

# --- 05.1 Predict: which gradients pass unchanged -------------------------------------------------


def passes(gradients, how, c):
    if how == "global":
        return [bool(norm_of(gradients) <= c)] * len(gradients)
    size = {"value": lambda g: np.abs(g).max(), "variable": np.linalg.norm}[how]
    return [bool(size(g) <= c) for g in gradients]


def passes_with(changes):
    """`passes` with other functions of the gradients and c for some `how`."""

    def answer(gradients, how, c):
        change = changes.get(how, lambda gradients, c: passes(gradients, how, c))
        return [bool(passed) for passed in change(gradients, c)]

    return answer


def by_norm(gradients, c):
    return [np.linalg.norm(g) <= c for g in gradients]


def by_largest(gradients, c):
    return [np.abs(g).max() <= c for g in gradients]


def passes_strictly(gradients, how, c):
    if how == "global":
        return [bool(norm_of(gradients) < c)] * len(gradients)
    size = {"value": lambda g: np.abs(g).max(), "variable": np.linalg.norm}[how]
    return [bool(size(g) < c) for g in gradients]


def inputs_1(rng):
    sign = rng.choice([-1.0, 1.0], 8)
    a, b, d = [3.0, 4 * sign[0]], [-5.0, 0.0, 2.0 * sign[1]], [sign[2], 2 * sign[3], 2.0]
    small = [0.5 * sign[4], 0.5]
    gradients = [np.array(g) for g in (a, b, d, small)]
    gradients = [gradients[k] for k in rng.permutation(4)]
    pair = [np.array([3 * sign[5], 0.0]), np.array([0.0, 4 * sign[6]])]  # norms 3, 4; global 5
    cases = [(gradients, how, c) for how in ("value", "variable") for c in (2.0, 4.0, 5.0)]
    cases += [
        (pair, "global", 3.5),
        (pair, "global", 4.5),
        (pair, "global", 5.0),
        (pair, "global", 6.0),
    ]
    return [*cases, (pair, "value", 3.0), (pair, "variable", 3.0), (gradients, "global", 7.5)]


pass_mistakes = [
    Mistake(
        passes_strictly,
        "At the threshold itself nothing is changed: a norm of c is not above c.",
    ),
    Mistake(
        passes_with({"value": by_norm}),
        'For "value" you look at norms. There each entry is judged by itself: 4 and 4 pass a '
        "threshold of 4.5 together.",
    ),
    Mistake(
        passes_with({"value": lambda gs, c: [np.max(g) <= c for g in gs]}),
        'For "value" you forget the other sign: an entry of -5 is cut to -c.',
    ),
    Mistake(
        passes_with(
            {"value": lambda gs, c: [max(np.abs(g).max() for g in gs) <= c] * len(gs)},
        ),
        'For "value" one large entry changes all variables in your answer. Only "global" ties the '
        "variables together.",
    ),
    Mistake(
        passes_with({"variable": by_largest}),
        'For "variable" you look at the largest entry. It is the norm that is compared: 3 and 4 '
        "have 5.",
    ),
    Mistake(
        passes_with({"variable": lambda gs, c: [norm_of(gs) <= c] * len(gs)}),
        'For "variable" you take the norm of all together. There every variable has a threshold '
        "of its own.",
    ),
    Mistake(
        passes_with({"global": by_norm}),
        'For "global" you look at each variable by itself. One factor for all: if one is scaled, '
        "so are the others.",
    ),
    Mistake(
        passes_with({"global": lambda gs, c: [sum(map(np.linalg.norm, gs)) <= c] * len(gs)}),
        'For "global" you add the norms. The squares are added: 3 and 4 make 5.',
    ),
    Mistake(
        passes_with({"global": lambda gs, c: [max(map(np.linalg.norm, gs)) <= c] * len(gs)}),
        'For "global" you compare the largest of the norms. Two variables of norm 3 and 4 have 5 '
        "together.",
    ),
]

# --- 05.2 Predict: by how much it turns -----------------------------------------------------------


def degrees(a, b):
    return math.degrees(math.atan2(b, a))


def cut(value, c):
    return max(-c, min(c, value))


def turned(a, b, c, how):
    return abs(degrees(a, b) - degrees(cut(a, c), cut(b, c))) if how == "value" else 0.0


def turned_with(by_value, by_norm=lambda a, b, c: 0.0):
    return lambda a, b, c, how: by_value(a, b, c) if how == "value" else by_norm(a, b, c)


def value(a, b, c):
    return turned(a, b, c, "value")


def inputs_2(rng):
    a, b = np.round(rng.uniform([4, 0.5], [20, 1.5], (2, 2)), 2).T
    cases = [(float(a[0]), float(b[0])), (float(b[1]), float(-a[1])), (-10.0, 1.0), (0.3, 0.4)]
    return [(*case, 2.0, how) for case in cases for how in ("value", "norm")] + [
        (6.0, 5.0, 1.0, "value"),
        (5.0, 0.0, 1.0, "value"),
    ]


turn_mistakes = [
    Mistake(
        turned_with(value, value),
        'You let "norm" turn the gradient too. It multiplies both entries by the same number.',
    ),
    Mistake(
        turned_with(lambda a, b, c: abs(degrees(cut(a, c), cut(b, c)))),
        "This is where the gradient points after clipping. By how much has it turned?",
    ),
    Mistake(
        turned_with(lambda a, b, c: math.radians(value(a, b, c))),
        "Radians. Degrees are asked for.",
    ),
    Mistake(
        turned_with(lambda a, b, c: 0.0),
        'You let "value" keep the direction. It cuts the large entry and leaves the small one.',
    ),
    Mistake(
        turned_with(lambda a, b, c: abs(degrees(abs(a), abs(b)) - 45) if value(a, b, c) else 0.0),
        "You end on the diagonal every time. That is so where *both* entries are beyond c, and "
        "elsewhere the small one stays as it was.",
    ),
    Mistake(
        turned_with(lambda a, b, c: abs(degrees(a, b) - degrees(min(a, c), min(b, c)))),
        "You cut at +c only. An entry of -10 is cut to -c.",
    ),
]

# --- 05.3 Modify: from each variable to all together ----------------------------------------------


def clip_each(gradients, c):
    return [g * min(1.0, c / np.linalg.norm(g)) for g in gradients]


def clip_by(gradients, c, norm, always=False):
    factor = c / norm if always else min(1.0, c / norm)
    return [factor * g for g in gradients]


def clip_together(gradients, c):
    return clip_by(gradients, c, norm_of(gradients))


def inputs_3(rng):
    cases = [(random_gradients(rng, SHAPES, scale), 1.0) for scale in (3.0, 0.05, 0.3)]
    uneven = random_gradients(rng, SHAPES)
    uneven[int(rng.integers(3))] *= 40
    return [*cases, (uneven, 2.5), ([np.array([3.0]), np.array([[4.0]])], 5.0)]


together_mistakes = [
    Mistake(
        clip_each,
        "This is the function as it was given: each variable by its own norm. It bends the "
        "direction wherever the factors differ.",
    ),
    Mistake(
        lambda gradients, c: clip_by(gradients, c, norm_of(gradients), always=True),
        "You bring every gradient to the norm c, the small ones too. That is normalizing; a "
        "gradient within the threshold must pass as it is.",
    ),
    Mistake(
        lambda gradients, c: clip_by(gradients, c, sum(map(np.linalg.norm, gradients))),
        "You add the norms. The norm of all together is the root of the sum of *squares*.",
    ),
    Mistake(
        lambda gradients, c: clip_by(gradients, c, max(map(np.linalg.norm, gradients))),
        "You go by the largest of the norms. All together are longer than that.",
    ),
    Mistake(
        lambda gradients, c: clip_by(gradients, c, norm_of(gradients) ** 2),
        "You compare the square of the norm with c. A root is missing.",
    ),
    Mistake(
        lambda gradients, c: clip_by(gradients, c / len(gradients), norm_of(gradients)),
        "You share the threshold among the variables. It holds for all of them together.",
    ),
    Mistake(
        lambda gradients, c: [np.clip(g, -c, c) for g in gradients],
        "You cut every entry. One factor for all of them is wanted.",
    ),
    Mistake(
        lambda gradients, c: clip_by(clip_each(gradients, c), c, norm_of(clip_each(gradients, c))),
        "You clip each variable first and all together afterwards. The direction is already bent "
        "by then.",
    ),
    Mistake(
        lambda gradients, c: clip_by(
            gradients, c, np.sqrt(np.mean(np.concatenate([g.ravel() ** 2 for g in gradients])))
        ),
        "You take the root of the *mean* square. The norm adds up, however many entries there are.",
    ),
]

# --- 05.4 Build: the angle between two gradients --------------------------------------------------


def unit(gradients):
    """The direction as one vector, None if there is none; safe from over- and underflow."""
    v = flat(gradients)
    top = np.abs(v).max()
    return None if top == 0 else v / top / np.linalg.norm(v / top)


def filled(first, second):
    """Zeros in the place of None."""
    pairs = list(zip(first, second, strict=True))
    one = [np.zeros(np.shape(b)) if a is None else a for a, b in pairs]
    other = [np.zeros(np.shape(a)) if b is None else b for a, b in pairs]
    return one, other


def angle(first, second):
    u, v = (unit(g) for g in filled(first, second))
    if u is None or v is None:
        return None
    return np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))


def angle_from_cosine(first, second, *, plain=False, final=lambda c: np.degrees(np.arccos(c))):
    one, other = filled(first, second)
    if unit(one) is None or unit(other) is None:
        return None
    if plain:
        a, b = flat(one), flat(other)
        cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    else:
        cosine = unit(one) @ unit(other)
    return final(np.clip(cosine, -1, 1))


def angle_per_variable(first, second):
    pairs = zip(*filled(first, second), strict=True)
    found = [angle([a], [b]) for a, b in pairs if np.any(a) and np.any(b)]
    return np.mean(found) if found else None


def angle_of_common(first, second):
    """Only the variables that have a gradient in both."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not (a is None or b is None)]
    return angle(*map(list, zip(*pairs, strict=True)))


def zero_is_parallel(first, second):
    found = angle(first, second)
    return 0.0 if found is None else found


def inputs_4(rng):
    one, other = random_gradients(rng, SHAPES), random_gradients(rng, SHAPES)
    near = [g + 1e-7 * rng.normal(size=g.shape) for g in one]
    some = [one[0], None, one[2]]
    return [
        (one, other),
        (one, [np.clip(g, -0.3, 0.3) for g in one]),
        (one, [-2 * g for g in one]),
        (some, other),
        ([1e-250 * g for g in one], [1e200 * g for g in other]),
        ([0 * g for g in one], other),
        (one, near),
        (one, [0.3 * g for g in one]),
    ]


angle_mistakes = [
    Mistake(
        lambda first, second: angle_from_cosine(first, second, final=lambda cosine: cosine),
        "This is the cosine. The angle is wanted, in degrees.",
    ),
    Mistake(
        lambda *a: None if angle(*a) is None else np.radians(angle(*a)),
        "Radians. Degrees are wanted.",
    ),
    Mistake(
        angle_per_variable,
        "You average the angles of the variables. The whole list is *one* vector: its variables "
        "count by their size.",
    ),
    Mistake(
        angle_of_common,
        "You leave out a variable where one of the two has None. None says that this part is zero, "
        "and the other gradient points there all the same.",
    ),
    Mistake(
        zero_is_parallel,
        "For a gradient of zero you give an angle of 0. It has no direction: the answer is None.",
    ),
    Mistake(
        lambda first, second: angle_from_cosine(first, second, plain=True),
        "Right for ordinary sizes. Gradients may be tiny or huge, and then the squares in a norm "
        "under- or overflow: divide by the largest entry first.",
    ),
    Mistake(
        angle_from_cosine,
        "Right for large angles. Near 0 the cosine is flat, and the arccos of a rounded cosine is "
        "rough: look at the second hint.",
    ),
    Mistake(
        lambda first, second: (
            None
            if angle(first, second) is None
            else min(angle(first, second), 180 - angle(first, second))
        ),
        "You treat a gradient and its opposite as parallel. Opposite is 180 degrees.",
    ),
]


def angle_by_part_across(first, second):
    """atan2 of the part across and the part along."""
    size = [max([0.0] + [np.abs(g).max() for g in gs if g is not None]) for gs in (first, second)]
    if min(size) == 0:
        return None
    along = squares = 0.0
    u, v = [], []
    for a, b in zip(first, second, strict=True):
        shape = np.shape(b) if a is None else np.shape(a)
        u.append(np.ravel(np.zeros(shape) if a is None else a / size[0]))
        v.append(np.ravel(np.zeros(shape) if b is None else b / size[1]))
        along += u[-1] @ v[-1]
        squares += v[-1] @ v[-1]
    across = sum(np.sum((p - along / squares * q) ** 2) for p, q in zip(u, v, strict=True))
    return math.degrees(math.atan2(math.sqrt(across), along / math.sqrt(squares)))


def angle_by_chord(first, second):
    one, other = filled(first, second)
    if not (np.any(flat(one)) and np.any(flat(other))):
        return None
    one, other = ([g / np.abs(flat(gs)).max() for g in gs] for gs in (one, other))
    one, other = (flat(gs) / norm_of(gs) for gs in (one, other))
    chord, sum_ = math.dist(one, other), math.dist(one, -other)
    if chord < sum_:
        return 2 * math.degrees(math.asin(chord / 2))
    return 180 - 2 * math.degrees(math.asin(sum_ / 2))


def angle_by_halves(first, second):
    u, v = map(unit, filled(first, second))
    if u is None or v is None:
        return None
    middle = np.arctan2(np.hypot.reduce(u - v), np.hypot.reduce(v + u))
    return float(middle * 360 / math.pi)


# --- 05.5 Build: the norm, with an embedding ------------------------------------------------------


def dense_rows(rows, values):
    """One row per row of the table that occurs, summed."""
    kinds, place = np.unique(rows, return_inverse=True)
    total = np.zeros((len(kinds), values.shape[1]))
    np.add.at(total, place.ravel(), values)
    return total


def norm_with(gradients, *, sparse=dense_rows, combine=lambda n: np.sqrt(np.sum(np.square(n)))):
    parts = [
        sparse(*g) if isinstance(g, tuple) else np.asarray(g) for g in gradients if g is not None
    ]
    return combine(np.array([np.linalg.norm(part) for part in parts])) if parts else 0.0


def global_norm(gradients):
    return norm_with(gradients)


def last_row_wins(rows, values):
    table = np.zeros((max(rows) + 1, values.shape[1]))
    table[rows] = values
    return table


def mean_of_rows(rows, values):
    counts = np.bincount(rows)
    total = dense_rows(rows, values)
    return total / counts[counts > 0][:, None]


def inputs_5(rng):
    cases = []
    for table, count, width in ((5, 8, 3), (3, 7, 2), (50, 6, 4)):
        rows = rng.integers(0, table, count)
        rows[-2:] = rows[0], int(rng.integers(0, table))
        embedding = (rows, rng.normal(size=(count, width)) + 0.5)
        others = random_gradients(rng, SHAPES, 0.5)
        cases.append(([embedding, others[0], None, others[1]],))
    opposite = (np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [-1.0, -2.0]]))
    return [*cases, ([opposite],), ([None, None],)]


norm_mistakes = [
    Mistake(
        lambda gradients: norm_with(gradients, sparse=lambda rows, values: values),
        "You take the norm of the values as they stand. A row that occurs twice is *one* row of "
        "the variable: first add what belongs to it. Keras' global_clipnorm makes this mistake.",
    ),
    Mistake(
        lambda gradients: norm_with(gradients, sparse=last_row_wins),
        "Of a row that occurs several times only the last part is left. `table[rows] = values` "
        "overwrites, and so does `table[rows] += values`.",
    ),
    Mistake(
        lambda gradients: norm_with(gradients, sparse=mean_of_rows),
        "You average what belongs to one row. Every occurrence adds to the derivative: take the "
        "sum.",
    ),
    Mistake(
        lambda gradients: norm_with(gradients, combine=np.sum),
        "You add the norms of the variables. Their squares are added, then comes the root.",
    ),
    Mistake(
        lambda gradients: norm_with(gradients, combine=lambda n: np.sum(n**2)),
        "The root is missing.",
    ),
    Mistake(
        lambda gradients: norm_with([g for g in gradients if not isinstance(g, tuple)]),
        "The embedding is left out. Its gradient is part of the vector like all others.",
    ),
    Mistake(
        lambda gradients: norm_with(gradients, combine=lambda n: max(n, default=0.0)),
        "You return the largest norm of a variable. All of them together are one vector.",
    ),
]


def norm_by_dict(gradients):
    total = 0.0
    for g in gradients:
        if isinstance(g, tuple):
            found = {}
            for row, values in zip(g[0].tolist(), g[1], strict=True):
                found[row] = found.get(row, 0) + values
            total += sum(float(v @ v) for v in found.values())
        elif g is not None:
            total += float(np.sum(g * g))
    return math.sqrt(total)


def norm_by_one_hot(gradients):
    squares = [0.0]
    for g in gradients:
        if g is None:
            continue
        if isinstance(g, tuple):
            rows, values = g
            hot = (rows[:, None] == np.arange(rows.max(initial=0) + 1)).astype(float)
            g = hot.T @ values
        squares.append(np.linalg.norm(g) ** 2)
    return np.sqrt(math.fsum(squares))


def norm_by_pairs(gradients):
    """Without summing rows: inner products of all pairs of values that share a row."""
    total = 0.0
    for g in gradients:
        if isinstance(g, tuple):
            total = total + np.sum((g[1] @ g[1].T)[np.equal.outer(g[0], g[0])])
        elif g is not None:
            total = total + np.vdot(g, g)
    return total**0.5


# --- 05.6 Build: clipping that knows when to stop -------------------------------------------------


def clip_or_skip(gradients, c):
    norm = norm_of(gradients)
    if not np.isfinite(norm):
        return None
    factor = c / norm if norm > c else 1.0
    return [None if g is None else factor * g for g in gradients]


def scaled(gradients, factor):
    return [None if g is None else factor * g for g in gradients]


def clip_ungated(gradients, c):
    return scaled(gradients, min(1.0, c / max(norm_of(gradients), 1e-300)))


def clip_without_guard(gradients, c):
    norm = norm_of(gradients)
    return scaled(gradients, c / np.maximum(norm, c)) if np.isfinite(norm) else scaled(gradients, 0)


def clip_cleaned(gradients, c):
    clean = [None if g is None else np.where(np.isfinite(g), g, 0) for g in gradients]
    return clip_or_skip(clean, c)


def clip_nan_only(gradients, c):
    norm = norm_of(gradients)
    if np.isnan(norm):
        return None
    return scaled(gradients, c / norm if norm > c else 1.0)


def clip_drop_variable(gradients, c):
    kept = [g if g is None or np.isfinite(g).all() else None for g in gradients]
    return clip_or_skip(kept, c)


def clip_normalized(gradients, c):
    norm = norm_of(gradients)
    if not np.isfinite(norm):
        return None
    return scaled(gradients, np.divide(c, norm))


def clip_none_as_zero(gradients, c):
    found = clip_or_skip(gradients, c)
    return None if found is None else [0.0 if g is None else g for g in found]


def clip_variables(gradients, c):
    if not np.isfinite(norm_of(gradients)):
        return None
    return [
        None if g is None else g * (c / np.linalg.norm(g) if np.linalg.norm(g) > c else 1.0)
        for g in gradients
    ]


def clip_dropping_none(gradients, c):
    found = clip_or_skip(gradients, c)
    return None if found is None else [g for g in found if g is not None]


def clip_strict(gradients, c):
    return None if norm_of(gradients) > c else clip_or_skip(gradients, c)


def inputs_6(rng):
    large, small = random_gradients(rng, SHAPES, 5.0), random_gradients(rng, SHAPES, 0.01)
    nan, infinite = random_gradients(rng, SHAPES), random_gradients(rng, SHAPES)
    nan[1][0, int(rng.integers(3))] = np.nan
    infinite[0][1, int(rng.integers(3))] = -np.inf
    return [
        (large, 1.0),
        (small, 1.0),
        ([large[0], None, large[2]], 2.0),
        ([0 * g for g in small], 0.5),
        (nan, 1.0),
        (infinite, 1.0),
    ]


skip_mistakes = [
    Mistake(
        clip_ungated,
        "There is no gate. With a norm of NaN or infinity every product is NaN or 0, and c / inf "
        "times an infinite entry is NaN: the step must be left out.",
    ),
    Mistake(
        clip_without_guard,
        "In a bad step you return gradients of 0. An optimizer with momentum, Adam among them, "
        "moves on with them; None says that there is no step.",
    ),
    Mistake(
        clip_cleaned,
        "You put 0 in the place of NaN and infinity. The rest of such a gradient comes from the "
        "same broken computation: leave the step out.",
    ),
    Mistake(
        clip_nan_only,
        "NaN is caught, infinity is not: c / inf is 0, and 0 times an infinite entry is NaN.",
    ),
    Mistake(
        clip_drop_variable,
        "You take out the variable that is not finite and update the others. One bad variable "
        "spoils the step for all.",
    ),
    Mistake(
        clip_normalized,
        "Every gradient gets the norm c, a small one too, and zeros become 0 / 0. Scale only what "
        "is above the threshold.",
    ),
    Mistake(
        clip_none_as_zero,
        "None has become 0. A variable without gradient is to keep its None: 0 would make an "
        "optimizer with momentum or weight decay touch it.",
    ),
    Mistake(
        clip_dropping_none,
        "The None entries are gone, and with them the places of the variables behind.",
    ),
    Mistake(
        clip_variables,
        "The gate is right. But each variable is clipped by its own norm: one factor for all.",
    ),
    Mistake(
        clip_strict,
        "You leave out every step above the threshold. A large finite gradient is scaled; only one "
        "that is not finite is dropped.",
    ),
]


def clip_by_maximum(gradients, c):
    squares = [np.sum(np.square(g)) for g in gradients if g is not None]
    total = np.sqrt(np.sum(squares))
    if np.isnan(total) or np.isinf(total):
        return None
    return [g if g is None else g * (c / np.maximum(total, c)) for g in gradients]


def clip_as_keras(gradients, c):
    finite = all(np.all(np.isfinite(g)) for g in gradients if g is not None)
    with np.errstate(divide="ignore"):
        factor = c * np.minimum(1 / norm_of(gradients), 1 / c)
    out = []
    for g in gradients:
        out.append(None if g is None else factor * g)
    return tuple(out) if finite else None


def clip_in_pieces(gradients, c):
    v = flat(gradients)
    size = math.sqrt(float(v @ v)) if np.isfinite(v).all() else math.inf
    if size == math.inf:
        return
    if size > c:
        v = v / size * c
    pieces, start = [], 0
    for g in gradients:
        pieces.append(None)
        if g is not None:
            pieces[-1] = v[start : start + g.size].reshape(g.shape)
            start += g.size
    return pieces


# --- 05.7 Build: a threshold that follows the norms -----------------------------------------------


def thresholds(norms, percentile, cap, warmup):
    history, found = [], []
    for norm in norms:
        ready = len(history) >= max(warmup, 1)
        found.append(min(np.percentile(history, percentile), cap) if ready else cap)
        if np.isfinite(norm):
            history.append(norm)
    return np.array(found)


def thresholds_with(
    norms,
    percentile,
    cap,
    warmup,
    *,
    now=False,
    infinite=False,
    keep=lambda norm, c: norm,
    counted=None,
    limit=min,
    early=None,
    window=None,
    rank=np.percentile,
):
    """`thresholds` with one thing changed."""
    history, found = [], []
    for t, norm in enumerate(norms):
        past = [*history, norm] if now and np.isfinite(norm) else history
        ready = (len(past) if counted is None else counted(t)) >= max(warmup, 1) and past
        if ready:
            found.append(limit(rank(past[-window:] if window else past, percentile), cap))
        else:
            found.append(cap if early is None else early)
        if infinite or np.isfinite(norm):
            history.append(keep(norm, found[-1]))
    return np.array(found)


def inputs_7(rng):
    cases = []
    for length, percentile, warmup in ((30, 50, 5), (25, 10, 0), (60, 90, 12)):
        norms = np.exp(0.5 * rng.normal(size=length)) * np.linspace(0.3, 3, length)
        cap = 0.7 * float(np.percentile(norms, percentile))  # it holds towards the end
        if warmup:
            norms[rng.permutation(10)[:2]] = np.inf, np.nan
            norms[-10] = 1e6
        cases.append((norms, percentile, cap, warmup))
    return [*cases, (np.exp(rng.normal(size=4)), 10, 5.0, 20)]


threshold_mistakes = [
    Mistake(
        lambda *a: thresholds_with(*a, now=True),
        "The threshold of a step already counts the step's own norm. Here only the steps before it "
        "have a say.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, infinite=True),
        "NaN and infinity are in your history: from then on the percentile may be neither. Leave "
        "them out.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, infinite=True, limit=lambda c, cap: min(cap, c)),
        "NaN and infinity are in your history, and min(cap, nan) hides it, since it is cap. Leave "
        "them out.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, counted=lambda t: t),
        "Your warm-up counts steps. It counts the finite norms that have been seen: a step that "
        "gave none teaches nothing about usual norms.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, limit=lambda c, cap: c),
        "The cap is missing after the warm-up. A history that starts with an explosion would let "
        "the next one pass.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, limit=max),
        "You take the larger of percentile and cap. A cap is an upper limit.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, keep=min),
        "Your history holds the norms *after* clipping. 05.8 shows what becomes of that: such a "
        "threshold can fall, and never rises again.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, keep=lambda norm, c: min(norm, a[2])),
        "You put norms into the history that are cut at the cap. It is to hold them as they came.",
    ),
    Mistake(
        lambda norms, percentile, cap, warmup: thresholds(norms, percentile, cap, warmup + 1),
        "Your warm-up is one norm too long: when `warmup` of them have been seen, the percentile "
        "is used.",
    ),
    Mistake(
        lambda norms, percentile, cap, warmup: thresholds(norms, percentile, cap, 0),
        "There is no warm-up: the first few norms decide all by themselves.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, early=np.inf),
        "During the warm-up nothing is clipped at all. It is then that explosions are likely: the "
        "cap holds from the first step.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, rank=lambda past, p: np.percentile(past, p / 100)),
        "You divide the percentile by 100. `np.percentile` wants a number up to 100, "
        "`np.quantile` one up to 1.",
    ),
    Mistake(
        lambda *a: thresholds_with(*a, rank=lambda past, p: np.percentile(past, 100 - p)),
        "Your percentile counts from the other end: 10 is to mean that a tenth of the norms are "
        "smaller.",
    ),
]


def thresholds_by_slices(norms, percentile, cap, warmup):
    found = np.full(len(norms), float(cap))
    for t in range(len(norms)):
        seen = norms[:t][np.isfinite(norms[:t])]
        if seen.size >= warmup and seen.size:
            found[t] = np.minimum(np.quantile(seen, percentile / 100), cap)
    return found


def thresholds_by_sorting(norms, percentile, cap, warmup):
    ordered, found = [], []
    for norm in norms.tolist():
        c = cap
        if len(ordered) >= max(1, warmup):
            place = (len(ordered) - 1) * percentile / 100
            low = math.floor(place)
            high = min(low + 1, len(ordered) - 1)
            c = min(cap, ordered[low] + (place - low) * (ordered[high] - ordered[low]))
        found.append(c)
        if math.isfinite(norm):
            ordered = sorted([*ordered, norm])
    return found


def thresholds_masked(norms, percentile, cap, warmup):
    padded = np.where(np.isfinite(norms), norms, np.nan)
    out = []
    for t in range(len(padded)):
        count = int(np.sum(~np.isnan(padded[:t])))
        value = cap if count == 0 or count < warmup else np.nanpercentile(padded[:t], percentile)
        out.append(value if value < cap else cap)
    return np.array(out)


# --- 05.8 Find the bug: AutoClip that feeds on itself ---------------------------------------------


def autoclip(gradients, percentile):
    history, applied = [], []
    for g in gradients:
        norm = np.linalg.norm(g)
        history.append(norm)
        c = np.percentile(history, percentile)
        applied.append(g * c / norm if norm > c else g)
    return np.array(applied)


def autoclip_with(gradients, percentile, *, keep=lambda norm, c: norm, now=True, rank=None):
    rank = rank or (lambda history, norm: np.percentile(history, percentile))
    history, applied = [], []
    for g in gradients:
        norm = np.linalg.norm(g)
        seen = [*history, norm] if now or not history else history
        c = rank(seen, norm)
        applied.append(g * c / norm if norm > c else g)
        history.append(keep(norm, c))
    return np.array(applied)


def autoclip_always(gradients, percentile):
    norms = np.linalg.norm(gradients, axis=1)
    c = np.array([np.percentile(norms[: t + 1], percentile) for t in range(len(norms))])
    return gradients * (c / norms)[:, None]


def inputs_8(rng):
    cases = []
    for length, width, percentile in ((30, 3, 50), (20, 2, 10), (40, 4, 90)):
        size = np.exp(rng.normal(size=(length, 1)) + np.linspace(-1, 1, length)[:, None])
        cases.append((size * rng.normal(size=(length, width)), percentile))
    return cases


autoclip_mistakes = [
    Mistake(
        lambda *a: autoclip_with(*a, keep=min),
        "This is the code as it was given. Which number goes into the history, and what has "
        "happened to the gradient by then?",
    ),
    Mistake(
        lambda *a: autoclip_with(*a, now=False),
        "The history is mended. But the threshold now looks at earlier steps only; AutoClip counts "
        "the current norm too.",
    ),
    Mistake(
        lambda gradients, percentile: autoclip_with(
            gradients,
            percentile,
            rank=lambda history, norm: np.percentile(history[-10:], percentile),
        ),
        "You forget norms that are older than ten steps. A window would let the threshold rise "
        "again, but the feedback is mended more simply.",
    ),
    Mistake(
        autoclip_always,
        "The history is mended. But now every gradient is brought to the threshold, the small ones "
        "too.",
    ),
    Mistake(
        lambda gradients, percentile: (
            gradients
            * np.minimum(
                1,
                np.percentile(np.linalg.norm(gradients, axis=1), percentile)
                / np.linalg.norm(gradients, axis=1),
            )[:, None]
        ),
        "You take the percentile of all steps, those to come included. During training they are "
        "not known yet.",
    ),
    Mistake(
        lambda *a: autoclip_with(*a, keep=max),
        "You put the larger of norm and threshold into the history. Now it feeds on itself "
        "upwards.",
    ),
]

# --- 05.9 Find the bug: clipping in the wrong place -----------------------------------------------


def clipped(g, c):
    norm = np.linalg.norm(g)
    return g * (c / norm) if norm > c else g


def train(w, gradients, rate, momentum, c):
    path, v = [w], np.zeros_like(w)
    for g in gradients:
        v = momentum * v + clipped(g, c)
        path.append(path[-1] - rate * v)
    return np.array(path)


def normalized(g, c):
    return g * (c / np.linalg.norm(g))


def train_with(w, gradients, rate, momentum, c, *, before=clipped, after=None, both=False):
    """Clip the gradient by `before`, and the velocity by `after` (kept so with `both`)."""
    path, v = [w], np.zeros_like(w)
    for g in gradients:
        v = momentum * v + (before(g, c) if before else g)
        step = after(v, c) if after else v
        v = step if both else v
        path.append(path[-1] - rate * step)
    return np.array(path)


def train_averaged(w, gradients, rate, momentum, c):
    path, v = [w], np.zeros_like(w)
    for g in gradients:
        v = momentum * v + (1 - momentum) * clipped(g, c)
        path.append(path[-1] - rate * v)
    return np.array(path)


def train_skipping(w, gradients, rate, momentum, c):
    kept = [g if np.linalg.norm(g) <= c else 0 * g for g in gradients]
    return train(w, np.array(kept), rate, momentum, c)


def inputs_9(rng):
    cases = []
    for length, width, c in ((12, 2, 1.0), (8, 3, 0.5), (20, 1, 2.0)):
        gradients = c * rng.normal(size=(length, width)) / 2
        gradients[int(rng.integers(2, 5))] *= 1e3
        gradients[-3:] *= 1e-2
        w = rng.normal(size=width)
        cases.append((w, gradients, round(rng.uniform(0.05, 0.2), 3), 0.9, c))
    return cases


train_mistakes = [
    Mistake(
        lambda *a: train_with(*a, before=None, after=normalized),
        "This is the code as it was given. Write down v for the five steps after the burst.",
    ),
    Mistake(
        lambda *a: train_with(*a, before=None, after=clipped),
        "Small steps stay small now. The second fault is left: the velocity still takes in the "
        "whole burst, and points its way for many steps.",
    ),
    Mistake(
        lambda *a: train_with(*a, before=normalized),
        "The burst no longer gets into the velocity. The second fault is left: a gradient below "
        "the threshold is blown up to it.",
    ),
    Mistake(
        lambda *a: train_with(*a, after=clipped),
        "The gradient is clipped before it enters the velocity, and then the velocity is clipped "
        "once more. With momentum 0.9 it may rightly be ten times a gradient.",
    ),
    Mistake(
        lambda *a: train_with(*a, before=None, after=clipped, both=True),
        "You clip the velocity and keep it so. A burst still puts its own direction in the place "
        "of all that was collected before: clip what comes in.",
    ),
    Mistake(
        lambda *a: train_with(*a, after=clipped, both=True),
        "You clip the gradient and then the velocity, which is kept so: momentum cannot build up "
        "any more. Only the gradient is to be clipped.",
    ),
    Mistake(
        train_averaged,
        "You weigh the gradient by 1 - momentum. That is another kind of momentum, with steps ten "
        "times as small; the given one adds the gradient whole.",
    ),
    Mistake(
        train_skipping,
        "You leave out the gradients above the threshold. They are to be scaled down to it.",
    ),
    Mistake(
        lambda w, gradients, rate, momentum, c: train_with(
            w, gradients, rate, momentum, c, before=lambda g, c: np.clip(g, -c, c)
        ),
        "You cut each entry, which bends the direction. Scale the whole gradient.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "05.1",
        passes,
        inputs_1,
        pass_mistakes,
        [
            "For each of the three, ask which number is compared with c: one per entry, one per "
            "variable, or one for all.",
            "With one number for all, either everything passes or nothing does.",
        ],
    ),
    Exercise(
        "05.2",
        turned,
        inputs_2,
        turn_mistakes,
        [
            "Draw the arrow (10, 1) and the square of side 2 c around the origin. Where does the "
            "arrow's tip go?",
            "`np.arctan2(b, a)` is the direction of (a, b) in radians. Neither way of clipping "
            "changes the sign of an entry.",
        ],
    ),
    Exercise(
        "05.3",
        clip_together,
        inputs_3,
        together_mistakes,
        [
            "Compute one norm before the loop over the variables.",
            "The squared norm of all together is the sum of the squared norms.",
        ],
        points=2,
    ),
    Exercise(
        "05.4",
        angle,
        inputs_4,
        angle_mistakes,
        [
            "Make one long vector of each list, divide it by its largest entry, and then by its "
            "norm.",
            "Draw two unit vectors u and v. u - v and u + v are at right angles; half of the angle "
            "you want lies between u and u + v. `np.arctan2` of two lengths gives it.",
        ],
        points=3,
        atol=1e-12,
    ),
    Exercise(
        "05.5",
        global_norm,
        inputs_5,
        norm_mistakes,
        [
            "Handle the three kinds one after the other; what each contributes is a sum of "
            "squares.",
            "For (rows, values): make an array with one row for every row number that occurs, and "
            "add each of the values to its own. `np.add.at` adds repeated rows; `+=` does not.",
        ],
        points=2,
    ),
    Exercise(
        "05.6",
        clip_or_skip,
        inputs_6,
        skip_mistakes,
        [
            "First the norm, then the question whether it is finite, then the factor.",
            "`np.isfinite` is False for NaN and for both infinities. Where the norm is at most c, "
            "no division is needed at all.",
        ],
        points=2,
    ),
    Exercise(
        "05.7",
        thresholds,
        inputs_7,
        threshold_mistakes,
        [
            "One loop over the steps with a list of the norms seen so far. What is done first in a "
            "step: choosing the threshold or adding to the list?",
            "A percentile of an empty list is not defined: with `warmup=0`, too, the first step "
            "has the cap.",
        ],
        points=3,
    ),
    Exercise(
        "05.8",
        autoclip,
        inputs_8,
        autoclip_mistakes,
        [
            "Say in words what the history is to hold. Then follow the variable `g` through one "
            "turn of the loop.",
            "A percentile of clipped norms is a percentile of its own earlier answers.",
        ],
        points=2,
    ),
    Exercise(
        "05.9",
        train,
        inputs_9,
        train_mistakes,
        [
            "Two lines are wrong. One is in the wrong place, one lacks a case.",
            "What is the velocity made of? Make sure that nothing too large gets in.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "05.3": [
        lambda gradients, c: clip_by_maximum(gradients, c),
        lambda gradients, c: clip_in_pieces(gradients, c),
    ],
    "05.4": [angle_by_part_across, angle_by_chord, angle_by_halves],
    "05.5": [norm_by_dict, norm_by_one_hot, norm_by_pairs],
    "05.6": [clip_by_maximum, clip_as_keras, clip_in_pieces],
    "05.7": [thresholds_by_slices, thresholds_by_sorting, thresholds_masked],
    "05.8": [autoclip_with],
    "05.9": [train_with],
}
