"""Exercises of lesson 11: right solutions, and the mistakes that people make.

z is (B, M): examples in rows; sequences are (B, T, M), and a mask is (B, T), True where a step is
real. Steps are counted from 0.
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 11.1 Predict: times s ------------------------------------------------------------------------

NORMS = ("none", "batch norm", "layer norm", "weight norm")
ASKED = ("output", "gradient of x", "gradient of W")


def factor(norm, scaled, asked, s):
    return factor_with(norm, scaled, asked, s)


def factor_with(norm, scaled, asked, s, *, blind=("batch norm", "layer norm"), change=None):
    """`blind`: norms of the values; `change`: power of s by what is scaled and asked, for these."""
    plain = {("x", "output"): 1, ("x", "gradient of x"): 0, ("x", "gradient of W"): 1}
    plain |= {("W", "output"): 1, ("W", "gradient of x"): 1, ("W", "gradient of W"): 0}
    normed = {("x", "output"): 0, ("x", "gradient of x"): -1, ("x", "gradient of W"): 0}
    normed |= {("W", "output"): 0, ("W", "gradient of x"): 0, ("W", "gradient of W"): -1}
    normed |= change or {}
    key = (scaled, asked)
    if norm in blind:
        return float(s) ** normed[key]
    if norm == "weight norm" and scaled == "W":
        return float(s) ** normed[key]
    return float(s) ** plain[key]


def inputs_1(rng):
    cases = [(n, w, a, 10.0) for n in NORMS for w in ("x", "W") for a in ASKED]
    s = float(rng.uniform(2, 9))
    return cases + [(n, w, a, 1 / s) for n in NORMS for w in ("x", "W") for a in ASKED]


factor_mistakes = [
    Mistake(
        lambda *a: factor_with(*a, blind=()),
        "You let the outputs of a batch norm and a layer norm grow with x. Mean and deviation grow "
        "by the same factor.",
    ),
    Mistake(
        lambda *a: factor_with(*a, blind=("batch norm", "layer norm", "weight norm")),
        "You let weight norm hide the size of x. It looks at the matrix only: what does it know of "
        "the input?",
    ),
    Mistake(
        lambda *a: factor_with(*a, change={("W", "gradient of W"): 0}),
        "You leave the gradient of W as it is when W is scaled behind a norm. The gradient at z is "
        "divided by the deviation, which has grown; then it only meets x.",
    ),
    Mistake(
        lambda *a: factor_with(*a, change={("W", "gradient of W"): 1, ("x", "gradient of x"): 1}),
        "Your gradients grow where they shrink. A norm divides the gradient by what it divided "
        "the values by.",
    ),
    Mistake(
        lambda *a: factor_with(*a, change={("W", "gradient of x"): 1}),
        "You multiply the gradient of x by the larger W and forget that the norm has divided it by "
        "a deviation that is larger, too.",
    ),
    Mistake(
        lambda *a: factor_with(*a, change={("W", "gradient of x"): -1, ("x", "gradient of W"): -1}),
        "You divide by the larger deviation and forget the last product: the gradient of x meets "
        "the scaled W, and the gradient of W meets the scaled x.",
    ),
]

# --- 11.2 Predict: which row ----------------------------------------------------------------------


def row(training, step, steps, seen):
    return -1 if training else min(step, steps - 1, seen - 1)


def inputs_2(rng):
    cases = [
        (False, 0, 5, 5),
        (False, 4, 5, 5),
        (False, 5, 5, 5),
        (False, 3, 5, 2),
        (True, 3, 5, 5),
    ]
    cases += [(False, 7, 1, 1), (True, 0, 1, 1), (False, 1, 5, 2), (False, 2, 8, 2)]
    for _ in range(6):
        steps = int(rng.integers(3, 60))
        seen = int(rng.integers(1, steps + 1))
        cases.append((False, int(rng.integers(0, 80)), steps, seen))
    return cases


row_mistakes = [
    Mistake(
        lambda training, step, steps, seen: min(step, steps - 1, seen - 1),
        "You use stored statistics in training, too. There a batch norm takes those of the batch.",
    ),
    Mistake(
        lambda training, step, steps, seen: -1 if training else min(step, steps - 1),
        "You read rows that training has never filled: they still hold mean 0 and variance 1. Stop "
        "at the last row that was seen.",
    ),
    Mistake(
        lambda training, step, steps, seen: -1 if training else min(step, seen),
        "You count the rows from 1 at the end: `seen` rows are the rows 0 to seen - 1.",
    ),
    Mistake(
        lambda training, step, steps, seen: -1 if training or step >= seen else step,
        "You go back to the batch's statistics beyond the last row. In use there may be no batch: "
        "the last row serves all later steps.",
    ),
    Mistake(
        lambda training, step, steps, seen: -1 if training else step % seen,
        "You start again at row 0. The beginning is the one part of a sequence that is unlike the "
        "rest.",
    ),
]

# --- 11.3 Modify: from batch norm to layer norm, gate by gate -------------------------------------


def layer_norm(z, gain, bias, groups, epsilon):
    return layer_norm_with(z, gain, bias, groups, epsilon)


def layer_norm_with(
    z, gain, bias, groups, epsilon, *, axis=2, ddof=0, outside=False, woven=False, early=False,
    one=False, raw=False,
):  # fmt: skip
    B, M = z.shape
    shaped = z * gain if early else z
    if woven:
        blocks = shaped.reshape(B, M // groups, groups).swapaxes(1, 2)
    else:
        blocks = shaped.reshape(B, groups, M // groups)
    variance = blocks.var(axis=axis, keepdims=True, ddof=ddof)
    deviation = np.sqrt(variance) + epsilon if outside else np.sqrt(variance + epsilon)
    if raw:
        deviation = variance + epsilon
    blocks = (blocks - blocks.mean(axis=axis, keepdims=True)) / deviation
    result = blocks.swapaxes(1, 2).reshape(B, M) if woven else blocks.reshape(B, M)
    if one:
        gain, bias = (np.tile(p[: M // groups], groups) for p in (gain, bias))
    return result + bias if early else result * gain + bias


def layer_norm_by_parts(z, gain, bias, groups, epsilon):
    parts = np.split(z, groups, axis=1)
    normed = [(p.T - p.mean(1)).T / np.sqrt(p.var(1) + epsilon)[:, None] for p in parts]
    return np.concatenate(normed, axis=1) * gain + bias


def layer_norm_one_by_one(z, gain, bias, groups, epsilon):
    result, width = np.zeros(z.shape), z.shape[1] // groups
    for b in range(len(z)):
        for k in range(0, z.shape[1], width):
            part = z[b, k : k + width]
            centred = part - part.sum() / width
            result[b, k : k + width] = centred / (centred @ centred / width + epsilon) ** 0.5
    return bias + gain * result


def inputs_3(rng):
    def case(B, M, groups, epsilon, scale=1.0):
        z = rng.normal(rng.normal(size=M), rng.uniform(0.5, 3, M), (B, M)) * scale
        return z, rng.uniform(0.5, 2, M), rng.normal(size=M), groups, epsilon

    return [
        case(3, 8, 4, 1e-3),
        case(5, 12, 4, 0.1, 0.3),
        case(4, 6, 1, 1e-3),
        case(1, 8, 2, 0.01),
        case(8, 8, 4, 1.0),
    ]


layer_norm_mistakes = [
    Mistake(
        lambda z, gain, bias, groups, epsilon: (
            (z - z.mean(0)) / np.sqrt(z.var(0) + epsilon) * gain + bias
        ),
        "This is still the batch norm: mean and variance go down the columns. A layer norm takes "
        "them along the row of each example.",
    ),
    Mistake(
        lambda z, gain, bias, groups, epsilon: layer_norm(z, gain, bias, 1, epsilon),
        "You normalize the whole row at once. Each of the `groups` blocks gets its own mean and "
        "variance.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, woven=True),
        "Your blocks are made of every so many-th column. A block is a run of neighbouring "
        "columns, as the gates lie in Keras.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, axis=(0, 2)),
        "Your blocks are right, but mean and variance run over the batch as well.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, ddof=1),
        "Your variance divides by the number of columns minus one. A norm divides by the number.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, outside=True),
        "Your epsilon stands outside the root. It is added to the variance.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, raw=True),
        "You divide by the variance. Divide by its root.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, early=True),
        "You multiply by the gain before you normalize, so the norm takes part of it away again. "
        "The gain comes after.",
    ),
    Mistake(
        lambda *a: layer_norm_with(*a, one=True),
        "All blocks get the first block's gain and bias. There is one of each for every column.",
    ),
]

# --- 11.4 Build: the way back ---------------------------------------------------------------------


def backward(g, z, gain, epsilon):
    return backward_with(g, z, gain, epsilon)


def backward_with(
    g, z, gain, epsilon, *, early=True, mean=True, scale=True, axis=1, total=False, late=False,
    divide=True, squared=False, raw=False,
):  # fmt: skip
    g = g * gain if early else g
    keep = {"axis": axis, "keepdims": True}
    deviation = np.sqrt(z.var(**keep) + epsilon)
    z_hat = (z - z.mean(**keep)) / deviation
    average = np.sum if total else np.mean
    seen = g - average(g, **keep) if mean else g
    if scale:
        seen = seen - (z if raw else z_hat) * average(g * z_hat, **keep)
    seen = seen / (deviation**2 if squared else deviation) if divide else seen
    return seen * gain if late else seen


def backward_by_jacobian(g, z, gain, epsilon):
    result, M = [], z.shape[1]
    for one, row_ in zip(g * gain, z, strict=True):
        s = np.sqrt(row_.var() + epsilon)
        hat = (row_ - row_.mean()) / s
        jacobian = (np.eye(M) - 1 / M - np.outer(hat, hat) / M) / s
        result.append(jacobian @ one)
    return np.array(result)


def backward_in_steps(g, z, gain, epsilon):
    """By the chain rule, one operation at a time."""
    M = z.shape[1]
    centred = z - z.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True) + epsilon
    d_hat = g * gain
    d_variance = (d_hat * centred).sum(axis=1, keepdims=True) * -0.5 * variance**-1.5
    d_centred = d_hat * variance**-0.5 + d_variance * 2 * centred / M
    return d_centred - d_centred.sum(axis=1, keepdims=True) / M


def backward_transposed(g, z, gain, epsilon):
    g, z = (g * gain).T, z.T
    c = z - z.mean(0)
    v = np.mean(c * c, axis=0) + epsilon
    return ((g - g.mean(0) - c * np.mean(g * c, axis=0) / v) / v**0.5).T


def inputs_4(rng):
    def case(B, M, epsilon, scale=1.0):
        z = rng.normal(rng.normal(), scale, (B, M))
        return rng.normal(0.5, 1, (B, M)), z, rng.uniform(0.3, 2, M), epsilon

    return [case(4, 6, 1e-3), case(2, 5, 0.5), case(5, 3, 1e-3, 0.05), case(1, 8, 0.01, 3.0)]


backward_mistakes = [
    Mistake(
        lambda *a: backward_with(*a, mean=False, scale=False),
        "You treat mean and deviation as constants. They depend on z too: that makes the two other "
        "terms of equation (2).",
    ),
    Mistake(
        lambda *a: backward_with(*a, scale=False),
        "The part along z-hat is missing: a norm does not see the scale of z, so no gradient may "
        "ask for a change of it.",
    ),
    Mistake(
        lambda *a: backward_with(*a, mean=False),
        "The mean of g is still there: a norm does not see a shift of z, so the gradient must add "
        "up to zero.",
    ),
    Mistake(
        lambda *a: backward_with(*a, early=False),
        "The gain is missing: what arrives at z-hat is `g * gain`.",
    ),
    Mistake(
        lambda *a: backward_with(*a, early=False, late=True),
        "You multiply by the gain at the end. Coming back, the gain is met first, before the means "
        "are taken.",
    ),
    Mistake(
        lambda *a: backward_with(*a, axis=0),
        "Your means run over the batch: that is the way back through a batch norm.",
    ),
    Mistake(
        lambda *a: backward_with(*a, total=True),
        "You subtract sums. Both terms have means.",
    ),
    Mistake(
        lambda *a: backward_with(*a, divide=False),
        "The division by the deviation is missing. A norm divides the gradient by what it divided "
        "the values by.",
    ),
    Mistake(
        lambda *a: backward_with(*a, squared=True),
        "You divide by the variance. It is its root.",
    ),
    Mistake(
        lambda *a: backward_with(*a, raw=True),
        "The last term has z where z-hat belongs.",
    ),
    Mistake(
        lambda g, z, gain, epsilon: backward_with(g, z, gain, 0.0),
        "You leave epsilon out of the deviation. It counts wherever the variance is small.",
    ),
]

# --- 11.5 Build: a batch norm that knows padding --------------------------------------------------


def masked_norm(z, mask, epsilon):
    return masked_norm_with(z, mask, epsilon)


def masked_norm_with(
    z, mask, epsilon, *, weight=None, axes=0, count=None, ddof=0, blank=True, origin=False
):
    """`weight`: which steps count; `count`: of what number the mean is."""
    real = mask if weight is None else weight
    real = np.broadcast_to(real[..., None], z.shape)
    values = np.where(real, z, 0.0)
    number = real.sum(axis=axes, keepdims=True) if count is None else count
    mean = values.sum(axis=axes, keepdims=True) / np.maximum(number, 1)
    centred = np.where(real, z - mean, 0.0)
    if origin:
        centred = values
    variance = (centred**2).sum(axis=axes, keepdims=True) / np.maximum(number - ddof, 1)
    result = (z - mean) / np.sqrt(variance + epsilon)
    return np.where(mask[..., None], result, 0.0) if blank else result


def masked_by_steps(z, mask, epsilon):
    result = np.zeros_like(z)
    for t in range(z.shape[1]):
        there = z[mask[:, t], t]
        if len(there):
            result[mask[:, t], t] = (there - there.mean(0)) / np.sqrt(there.var(0) + epsilon)
    return result


def masked_by_nan(z, mask, epsilon):
    holes = np.where(mask[:, :, None], z, np.nan)
    alive = mask.any(axis=0)
    mean, variance = np.zeros((2, *z.shape[1:]))
    mean[alive] = np.nanmean(holes[:, alive], axis=0)
    variance[alive] = np.nanvar(holes[:, alive], axis=0)
    return np.nan_to_num((holes - mean) / np.sqrt(variance + epsilon))


def masked_by_moments(z, mask, epsilon):
    m = mask[:, :, None].astype(float)
    clean = np.where(m > 0, z, 0)
    n = np.clip(m.sum(0), 1, None)
    first, second = clean.sum(0) / n, (clean**2).sum(0) / n
    return m * (clean - first) * (second - first**2 + epsilon) ** -0.5


def masked_by_product(z, mask, epsilon):
    """Right until a padded place holds nan."""
    m = mask[:, :, None].astype(float)
    n = np.maximum(m.sum(axis=0), 1)
    mean = (z * m).sum(axis=0) / n
    variance = ((z - mean) ** 2 * m).sum(axis=0) / n
    return (z - mean) / np.sqrt(variance + epsilon) * m


def inputs_5(rng):
    def case(B, T, M, epsilon, filler):
        z, lengths = rng.normal(rng.normal(size=M), 1.5, (B, T, M)), rng.integers(1, T + 1, B)
        lengths[:2] = 1, T
        mask = np.arange(T) < lengths[:, None]
        return np.where(mask[..., None], z, filler), mask, epsilon

    z, mask, epsilon = case(4, 5, 2, 1e-2, 0.0)
    mask = mask & (np.arange(5) < 3)  # nobody is there at the last two steps
    return [
        case(6, 4, 3, 1e-3, 0.0),
        case(5, 6, 2, 0.1, 7.0),
        case(7, 3, 2, 1e-3, np.nan),
        (np.where(mask[..., None], z, 0.0), mask, epsilon),
    ]


masked_mistakes = [
    Mistake(
        lambda z, mask, epsilon: masked_norm_with(z, mask, epsilon, weight=np.ones_like(mask)),
        "The padding is in your mean and variance. Only examples that are real at this step count.",
    ),
    Mistake(
        lambda z, mask, epsilon: masked_norm_with(z, mask, epsilon, axes=(0, 1)),
        "You share one mean and variance over all steps. Here each step has its own.",
    ),
    Mistake(
        lambda z, mask, epsilon: masked_norm_with(z, mask, epsilon, count=len(z)),
        "You add up real examples only, but divide by the size of the whole batch.",
    ),
    Mistake(
        lambda z, mask, epsilon: masked_norm_with(z, mask, epsilon, ddof=1),
        "Your variance divides by the number of examples minus one. A norm divides by the number.",
    ),
    Mistake(
        lambda z, mask, epsilon: masked_norm_with(z, mask, epsilon, blank=False),
        "Padded places must be 0 in the result.",
    ),
    Mistake(
        lambda z, mask, epsilon: masked_norm_with(z, mask, epsilon, origin=True),
        "Your variance is the mean square of z. Subtract the mean first.",
    ),
    Mistake(
        masked_by_product,
        "You multiply padding by 0 to get rid of it. 0 times nan is nan, and who knows what stands "
        "in a padded place: choose with `np.where`.",
    ),
]

# --- 11.6 Build: statistics step by step ----------------------------------------------------------


def store(batches, steps, momentum):
    return store_with(batches, steps, momentum)


def store_with(
    batches, steps, momentum, *, first=True, swap=False, late=True, ddof=0, about=False,
    recent=False, whole=False,
):  # fmt: skip
    """`about`: the variance is taken around the running mean."""
    M = batches[0].shape[2]
    mean, variance, seen = np.zeros((steps, M)), np.ones((steps, M)), 0
    for z in batches:
        before = seen
        for t in range(z.shape[1]):
            k = min(t, steps - 1)
            if t >= steps and not late:
                break
            now = z[:, t]
            if whole and t >= steps - 1:
                now = z[:, steps - 1 :].reshape(-1, M)
            fresh = first and k >= seen
            share = 1.0 if fresh else momentum if swap else 1 - momentum
            found = now.var(axis=0, ddof=ddof)
            if about:
                found = ((now - (now.mean(axis=0) if fresh else mean[k])) ** 2).mean(axis=0)
            mean[k] = mean[k] + share * (now.mean(axis=0) - mean[k])
            variance[k] = variance[k] + share * (found - variance[k])
            seen = max(seen, k + 1)
            if whole and t >= steps - 1:
                break
        seen = min(z.shape[1], steps) if recent else max(seen, before)
    return mean, variance, seen


def store_by_dictionary(batches, steps, momentum):
    rows = {}
    for z in batches:
        for t, now in enumerate(np.moveaxis(z, 1, 0)):
            k, new = min(t, steps - 1), np.stack([now.mean(0), now.var(0)])
            rows[k] = momentum * rows[k] + (1 - momentum) * new if k in rows else new
    blank = np.stack([np.zeros(z.shape[2]), np.ones(z.shape[2])])
    table = np.stack([rows.get(k, blank) for k in range(steps)])
    return table[:, 0], table[:, 1], len(rows)


class Statistics:
    def __init__(self, steps, width, momentum):
        self.mean, self.variance = np.zeros((steps, width)), np.ones((steps, width))
        self.filled, self.momentum = np.zeros(steps, bool), momentum

    def see(self, k, z):
        m = self.momentum if self.filled[k] else 0
        self.mean[k] = m * self.mean[k] + (1 - m) * z.mean(axis=0)
        self.variance[k] = m * self.variance[k] + (1 - m) * z.var(axis=0)
        self.filled[k] = True


def store_by_object(batches, steps, momentum):
    kept = Statistics(steps, batches[0].shape[2], momentum)
    for z in batches:
        for t in range(z.shape[1]):
            kept.see(t if t < steps else steps - 1, z[:, t])
    return kept.mean, kept.variance, kept.filled.sum()


def store_row_by_row(batches, steps, momentum):
    """For each row, all that it ever sees, in order."""
    mean, variance = np.zeros((steps, batches[0].shape[2])), np.ones((steps, batches[0].shape[2]))
    for k in range(steps):
        end = k + 1 if k < steps - 1 else None
        told = [now for z in batches for now in z[:, k:end].swapaxes(0, 1)]
        for n, now in enumerate(told):
            share = (1 - momentum) if n else 1
            mean[k] += share * (now.mean(axis=0) - mean[k])
            variance[k] += share * (now.var(axis=0) - variance[k])
    return mean, variance, min(steps, max(z.shape[1] for z in batches))


def inputs_6(rng):
    def batches(lengths, M=2, B=4):
        return [rng.normal(rng.normal(), rng.uniform(0.5, 2), (B, T, M)) for T in lengths]

    return [
        (batches((3, 3)), 3, 0.9),
        (batches((2, 4, 3)), 6, 0.7),
        (batches((5, 2, 6)), 3, 0.8),
        (batches((4, 1, 2)), 1, 0.6),
        (batches((6, 3), M=3, B=7), 8, 0.5),
    ]


store_mistakes = [
    Mistake(
        lambda *a: store_with(*a, first=False),
        "Your rows start from mean 0 and variance 1 and are still on their way. The first batch "
        "that reaches a row sets it.",
    ),
    Mistake(
        lambda *a: store_with(*a, swap=True),
        "`momentum` is what stays of the old statistics. Yours is the share of the new ones.",
    ),
    Mistake(
        lambda *a: store_with(*a, late=False),
        "You drop the steps beyond the last row. They belong to it: all later steps share the last "
        "row.",
    ),
    Mistake(
        lambda *a: store_with(*a, whole=True),
        "You take all late steps of a batch together. Each of them moves the last row once, in the "
        "order of time.",
    ),
    Mistake(
        lambda *a: store_with(*a, ddof=1),
        "Your variance divides by the number of examples minus one. A norm divides by the number.",
    ),
    Mistake(
        lambda *a: store_with(*a, about=True),
        "Your variance is taken around the running mean. Each batch's variance is around its own.",
    ),
    Mistake(
        lambda *a: store_with(*a, recent=True),
        "`seen` forgets: after a short batch the rows of an earlier, longer one are still filled, "
        "and a row must not be set anew.",
    ),
]

# --- 11.7 Find the bug: one example, three answers ------------------------------------------------


def normalize(train, test, momentum, epsilon):
    return normalize_with(train, test, momentum, epsilon)


def normalize_with(
    train, test, momentum, epsilon, *, learn=False, own=False, after=False, plain=False, root=False,
    swap=False, outside=False, pooled=False,
):  # fmt: skip
    """`learn`: test batches move the statistics; `own`: each is normalized by its own."""
    mean, variance = train[0].mean(axis=0), train[0].var(axis=0)
    if root:
        variance = np.sqrt(variance)
    share = momentum if swap else 1 - momentum

    def moved(mean, variance, z):
        found = np.sqrt(z.var(axis=0)) if root else z.var(axis=0)
        return mean + share * (z.mean(axis=0) - mean), variance + share * (found - variance)

    for z in train[1:]:
        mean, variance = (z.mean(axis=0), z.var(axis=0)) if plain else moved(mean, variance, z)
    if pooled:
        mean, variance = (f(np.concatenate(test), axis=0) for f in (np.mean, np.var))
    outputs = []
    for z in test:
        if learn and not after:
            mean, variance = moved(mean, variance, z)
        m, v = (z.mean(axis=0), z.var(axis=0)) if own else (mean, variance)
        deviation = v + epsilon if root else np.sqrt(v + epsilon)
        if outside:
            deviation = np.sqrt(v) + epsilon
        outputs.append((z - m) / deviation)
        if after:
            mean, variance = moved(mean, variance, z)
    return np.concatenate(outputs)


def normalize_at_once(train, test, momentum, epsilon):
    weights = np.array(
        [momentum ** (len(train) - 1 - k) * (1 - momentum) for k in range(len(train))]
    )
    weights[0] /= 1 - momentum
    mean = sum(w * z.mean(axis=0) for w, z in zip(weights, train, strict=True))
    variance = sum(w * z.var(axis=0) for w, z in zip(weights, train, strict=True))
    return (np.concatenate(test) - mean) / np.sqrt(variance + epsilon)


def inputs_7(rng):
    def batches(count, sizes, M, drift=0.0):
        return [
            rng.normal(drift + rng.normal(size=M), rng.uniform(0.5, 2, M), (int(B), M))
            for B in np.resize(sizes, count)
        ]

    return [
        (batches(5, (8,), 3), batches(3, (4, 1, 6), 3), 0.9, 1e-3),
        (batches(2, (6,), 2), batches(2, (5, 3), 2, 2.0), 0.6, 0.1),
        (batches(1, (9,), 4), batches(3, (2, 2), 4), 0.8, 0.01),
        (batches(4, (5, 7), 2), batches(1, (1,), 2), 0.7, 1e-3),
    ]


normalize_mistakes = [
    Mistake(
        lambda *a: normalize_with(*a, learn=True, own=True),
        "This is the code as it was given. Ask of every line of the second loop whether the answer "
        "for one example may depend on its companions.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, learn=True),
        "The outputs now use the stored statistics, but every test batch still moves these first: "
        "the answer depends on what was asked before.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, after=True),
        "Each test batch still moves the statistics for the next one. After training they are "
        "frozen.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, pooled=True),
        "You take the statistics of the whole test set. It is better than those of a batch, and "
        "still no answer for an example that comes alone; use what training stored.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, plain=True),
        "Your statistics are the last training batch's. They should be running ones.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, root=True),
        "You keep a running mean of the deviations. The running mean is one of the variances.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, swap=True),
        "`momentum` is what stays of the old statistics. Yours is the share of the new ones.",
    ),
    Mistake(
        lambda *a: normalize_with(*a, outside=True),
        "Your epsilon stands outside the root. It is added to the variance.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "11.1",
        factor,
        inputs_1,
        factor_mistakes,
        [
            "Follow s forwards to z and to y. Where does it disappear?",
            "Backwards: dL/dz is what arrives at y, over the deviation of z. Then dL/dx = dL/dz "
            "times W, and dL/dW = x times dL/dz: which of the three holds an s?",
        ],
    ),
    Exercise(
        "11.2",
        row,
        inputs_2,
        row_mistakes,
        [
            "Which of the arguments can be the smallest, and in what situation?",
            "In use there are three limits to the row: the step itself, the last row there is, and "
            "the last row that training has filled.",
        ],
    ),
    Exercise(
        "11.3",
        layer_norm,
        inputs_3,
        layer_norm_mistakes,
        [
            "Solve it for groups = 1 first: which axis?",
            "`z.reshape(B, groups, -1)` makes the blocks an axis of their own; reshape back before "
            "gain and bias.",
        ],
        points=2,
    ),
    Exercise(
        "11.4",
        backward,
        inputs_4,
        backward_mistakes,
        [
            "Equation (2) of the lesson begins at z-hat. What arrives there, when g arrives at y?",
            "Four lines: g times gain; the deviation; z-hat; equation (2). All means along axis 1.",
        ],
        points=3,
    ),
    Exercise(
        "11.5",
        masked_norm,
        inputs_5,
        masked_mistakes,
        [
            "How many examples are real at each step? Mean and variance are sums over these, "
            "divided by that number; what if it is 0?",
            "Put zeros into padded places with `np.where`, before you sum z, and again before you "
            "sum the squares of the differences.",
        ],
        points=3,
    ),
    Exercise(
        "11.6",
        store,
        inputs_6,
        store_mistakes,
        [
            "Two loops: over the batches, and over the steps of a batch. Which row does step t "
            "belong to?",
            "Keep `seen`: a row at or beyond it has no statistics yet and is set; a row below it "
            "is moved.",
        ],
        points=3,
    ),
    Exercise(
        "11.7",
        normalize,
        inputs_7,
        normalize_mistakes,
        [
            "What would the function have to know to answer for a single example, alone?",
            "After the first loop, mean and variance are done. How many lines of the second loop "
            "may still touch them?",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "11.3": [layer_norm_by_parts, layer_norm_one_by_one],
    "11.4": [backward_by_jacobian, backward_in_steps, backward_transposed],
    "11.5": [masked_by_steps, masked_by_nan, masked_by_moments],
    "11.6": [store_by_dictionary, store_by_object, store_row_by_row],
    "11.7": [normalize_at_once],
}
