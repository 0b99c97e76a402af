"""Exercises of lesson 09: right solutions, and the mistakes that people make.

A step k is an integer or an array of integers, counted from 0; the gradient of Adam's step k is
counted from 1, as in the lesson. Weights, gradients and running means have one shape.
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 09.1 Predict: a loss times s -----------------------------------------------------------------

ADAPTIVE = ("RMSprop", "Adam")


def factor(optimizer, s, norm, clip):
    return factor_with(optimizer, s, norm, clip)


def factor_with(optimizer, s, norm, clip, *, same=ADAPTIVE, power=1.0, clipped=None):
    """`clipped`: function of s, norm and clip that replaces the right one."""
    if optimizer in same:
        return 1.0
    if optimizer in ADAPTIVE:
        return s**power
    if clip is None:
        return s
    return clipped(s, norm, clip) if clipped else min(s * norm, clip) / min(norm, clip)


def inputs_1(rng):
    s = float(rng.uniform(2, 9))
    names = ("SGD", "momentum", "RMSprop", "Adam")
    cases = [(name, 1000.0, 2.0, None) for name in names] + [(n, 1 / s, 0.5, None) for n in names]
    norms = [(s, 0.5, 1.0), (s, 3.0, 1.0), (1 / s, 1.5, 1.0), (0.9, 2.0, 1.0), (s, 0.01, 1.0)]
    return cases + [("SGD", *one) for one in norms] + [("Adam", *norms[0]), ("momentum", *norms[1])]


factor_mistakes = [
    Mistake(
        lambda *a: factor_with(*a, same=()),
        "You let every optimizer's step grow with the gradient. Two of the four divide the "
        "gradient by its own running size.",
    ),
    Mistake(
        lambda *a: factor_with(*a, same=(*ADAPTIVE, "momentum")),
        "You make momentum blind to the size. It adds up past steps, each as long as its gradient: "
        "what is its first step?",
    ),
    Mistake(
        lambda *a: factor_with(*a, same=("Adam",)),
        "You let RMSprop follow the gradient's size. It divides by the root of a running mean of "
        "squares, as Adam does.",
    ),
    Mistake(
        lambda *a: factor_with(*a, same=("RMSprop",)),
        "You let Adam follow the gradient's size. Its mean of the gradient grows by s, and so does "
        "what it is divided by.",
    ),
    Mistake(
        lambda *a: factor_with(*a, same=(), power=-1.0),
        "You let the adaptive methods shrink when the gradient grows. They divide by its size, "
        "and what they divide has grown as well.",
    ),
    Mistake(
        lambda *a: factor_with(*a, clipped=lambda s, norm, clip: s),
        "You forget the clipping. Compute the length of the clipped gradient in both runs.",
    ),
    Mistake(
        lambda *a: factor_with(*a, clipped=lambda s, norm, clip: 1.0),
        "You let clipping make all gradients equally long. It leaves those alone that are below "
        "the threshold.",
    ),
    Mistake(
        lambda *a: factor_with(*a, clipped=lambda s, norm, clip: min(s * norm, clip) / norm),
        "You clip the second run only. The first one's gradient may be above the threshold, too.",
    ),
]

# --- 09.2 Predict: the rate at a step -------------------------------------------------------------


def rate_at(kind, k, peak, K, E, restart):
    return rate_with(kind, k, peak, K, E, restart)


def rate_with(kind, k, peak, K, E, restart, *, fresh=("object", "callback"), first=0, stairs=None):
    """`fresh`: what counts from 0 again; `stairs`: what acts per epoch; `first` epoch."""
    count = k - restart if k >= restart and kind in fresh else k
    if kind in (("callback",) if stairs is None else stairs):
        count = (count // E + first) * E
    return peak * 0.01 ** (count / K)


def inputs_2(rng):
    E, peak = int(rng.integers(12, 30)), float(rng.uniform(0.05, 0.2))
    cases = []
    for restart, k in ((0, 0), (0, 3 * E - 1), (0, 3 * E), (2 * E, E + 4), (2 * E, 3 * E + 5)):
        cases += [(kind, k, peak, 10 * E, E, restart) for kind in ("object", "callback")]
    return cases


rate_mistakes = [
    Mistake(
        lambda *a: rate_with(*a, stairs=()),
        "You let the callback act at every step. It is called once, at the beginning of an epoch, "
        "and the rate stays as it is until the next.",
    ),
    Mistake(
        lambda *a: rate_with(*a, stairs=("object", "callback")),
        "You give the schedule object stairs. It is evaluated in every step, from the optimizer's "
        "own count.",
    ),
    Mistake(
        lambda *a: rate_with(*a, stairs=("object",)),
        "The two are exchanged: which of them knows the step, and which the epoch only?",
    ),
    Mistake(
        lambda *a: rate_with(*a, first=1),
        "You count epochs from 1. Keras counts from 0, so that the first epoch runs at the peak.",
    ),
    Mistake(
        lambda *a: rate_with(*a, fresh=()),
        "You let the plan go on after the restart. Where are the optimizer's step count and the "
        "epoch number kept, and were they saved?",
    ),
    Mistake(
        lambda *a: rate_with(*a, fresh=("callback",)),
        "You let the optimizer's count survive the restart. It belongs to the optimizer, and only "
        "the weights were saved.",
    ),
    Mistake(
        lambda *a: rate_with(*a, fresh=("object",)),
        "You let the epoch number survive the restart. `fit` begins at epoch 0 unless it is given "
        "`initial_epoch`.",
    ),
    Mistake(
        lambda kind, k, peak, K, E, restart: (
            rate_at(kind, k, peak, K, E, 0) if k < restart else peak
        ),
        "You set the rate back to the peak and leave it there. The plan itself begins anew.",
    ),
]

# --- 09.3 Modify: a staircase ---------------------------------------------------------------------


def staircase(k, peak, factor, every, lowest):
    return staircase_with(k, peak, factor, every, lowest)


def staircase_with(k, peak, factor, every, lowest, *, count=None, floor=np.maximum):
    count = count(k, every) if count else k // every
    rate = peak * factor**count
    return floor(rate, lowest) if floor else rate


def staircase_linear(k, peak, factor, every, lowest):
    return np.maximum(peak * (1 - (1 - factor) * (k // every)), lowest)


def inputs_3(rng):
    peak, share = float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.3, 0.6))
    k = np.arange(60)
    cases = [
        (k, peak, share, 7, peak / 50),
        (k, peak, 0.5, 20, 0.0),
        (k[::3], peak, share, 1, 0.01),
    ]
    return [*cases, (0, peak, share, 5, 0.0), (10, peak, share, 5, 0.0), (9, peak, share, 5, peak)]


staircase_mistakes = [
    Mistake(
        lambda *a: staircase_with(*a, count=lambda k, every: k / every),
        "That is a smooth decay through the corners of the stairs. The number of drops so far is "
        "a whole number.",
    ),
    Mistake(
        lambda *a: staircase_with(*a, count=lambda k, every: np.round(np.divide(k, every))),
        "You round to the nearest number of drops, so that each comes half a stair early.",
    ),
    Mistake(
        lambda *a: staircase_with(*a, count=lambda k, every: k // every + 1),
        "Your rate has dropped before the first step. Steps 0 to every - 1 run at the peak.",
    ),
    Mistake(
        lambda *a: staircase_with(
            *a, count=lambda k, every: np.maximum(np.subtract(k, 1), 0) // every
        ),
        "Your drops come one step late: step `every` already has the lower rate.",
    ),
    Mistake(
        lambda *a: staircase_with(*a, count=lambda k, every: np.ceil(np.divide(k, every))),
        "You round the number of drops up: every step but the first is one stair too low.",
    ),
    Mistake(
        lambda *a: staircase_with(*a, floor=None),
        "You do not use `lowest`: the rate falls below it.",
    ),
    Mistake(
        lambda *a: staircase_with(*a, floor=np.minimum),
        "You take the smaller of rate and `lowest`, which caps the rate from above.",
    ),
    Mistake(
        staircase_linear,
        "You subtract the same amount at each stair. A stair multiplies the rate by `factor`.",
    ),
    Mistake(
        lambda k, peak, factor, every, lowest: (
            lowest + (peak - lowest) * factor ** np.floor_divide(k, every)
        ),
        "You let the rate fall *towards* `lowest`. The stairs are those of a plain decay; "
        "`lowest` only says where they stop.",
    ),
]

# --- 09.4 Build: cosine with warm-up --------------------------------------------------------------


def cosine(k, peak, K, warmup, first, last):
    return cosine_with(k, peak, K, warmup, first, last)


def fall_to(peak, last, p):
    return peak * (last + (1 - last) * (1 + np.cos(np.pi * p)) / 2)


def cosine_with(k, peak, K, warmup, first, last, *, p=None, fall=fall_to, shift=0, clip=True):
    """`p`: progress of the fall as a function of k, K and warmup; `fall`: the rate there."""
    k = np.asarray(k)
    progress = p(k, K, warmup) if p else (k - warmup) / (K - warmup)
    progress = np.clip(progress, 0, 1) if clip else progress
    rising = peak * (first + (1 - first) * (k + shift) / max(warmup, 1))
    return np.where(k < warmup, rising, fall(peak, last, progress))


def cosine_one_by_one(k, peak, K, warmup, first, last):
    def one(k):
        if k < warmup:
            return first * peak + (peak - first * peak) * k / warmup
        if k >= K:
            return last * peak
        half = np.cos(0.5 * np.pi * (k - warmup) / (K - warmup)) ** 2
        return last * peak + (1 - last) * peak * half

    return np.vectorize(one, otypes=[float])(k)


def cosine_by_table(k, peak, K, warmup, first, last):
    up = np.linspace(first, 1, warmup, endpoint=False)
    down = last + (1 - last) * (1 + np.cos(np.linspace(0, np.pi, K - warmup + 1))) / 2
    return peak * np.concatenate([up, down])[np.minimum(k, K)]


def cosine_by_parts(k, peak, K, warmup, first, last):
    k = np.minimum(np.asarray(k, float), K)
    up, down = np.minimum(k, warmup), np.maximum(k - warmup, 0)
    rise = up / warmup if warmup else 1.0
    angle = np.pi * down / (K - warmup)
    return peak * (first + (1 - first) * rise) - peak * (1 - last) * (1 - np.cos(angle)) / 2


def cosine_dividing(k, peak, K, warmup, first, last):
    rising = peak * (first + (1 - first) * k / warmup)
    return np.where(k < warmup, rising, cosine(k, peak, K, warmup, first, last))


def inputs_4(rng):
    cases = []
    for K, warmup, last in ((40, 10, 0.1), (25, 0, 0.0), (30, 29, 0.05), (60, 15, 0.0)):
        peak, first = float(rng.uniform(0.01, 0.3)), float(rng.uniform(0.02, 0.3))
        cases.append((np.arange(K + 12), peak, K, warmup, first, last))
    return [
        *cases,
        (0, 0.1, 20, 5, 0.2, 0.0),
        (5, 0.1, 20, 5, 0.2, 0.1),
        (12, 0.1, 20, 4, 0.2, 0.3),
        (0, 0.1, 20, 0, 0.2, 0.1),
    ]


cosine_mistakes = [
    Mistake(
        lambda *a: cosine_with(*a, clip=False),
        "After step K your rate rises again: the cosine turns round. Training that goes on stays "
        "at the last rate.",
    ),
    Mistake(
        lambda *a: cosine_with(*a, p=lambda k, K, warmup: k / K),
        "Your cosine begins at step 0, so that the rate jumps down at the end of the warm-up. It "
        "begins where the warm-up ends.",
    ),
    Mistake(
        lambda *a: cosine_with(*a, p=lambda k, K, warmup: (k - warmup) / K),
        "Your fall is K steps long, and it has K - warmup: at step K the rate has not arrived.",
    ),
    Mistake(
        lambda k, peak, K, warmup, first, last: cosine(k, peak, K, warmup, 0.0, last),
        "Your warm-up starts at 0. It starts at `first` times the peak.",
    ),
    Mistake(
        lambda k, peak, K, warmup, first, last: cosine(k, peak, K, warmup, first, 0.0),
        "You let the rate fall to 0. It ends at `last` times the peak.",
    ),
    Mistake(
        lambda *a: cosine_with(*a, fall=lambda peak, last, p: last * peak + fall_to(peak, 0, p)),
        "You add the last rate to the whole cosine, so that the fall begins above the peak. What "
        "is left to fall is peak - last * peak.",
    ),
    Mistake(
        lambda *a: cosine_with(
            *a, fall=lambda peak, last, p: np.maximum(last * peak, fall_to(peak, 0, p))
        ),
        "You cut a cosine to 0 off at the last rate, which leaves a corner and a flat end. The "
        "cosine itself ends at the last rate.",
    ),
    Mistake(
        lambda *a: cosine_with(*a, fall=lambda peak, last, p: fall_to(peak, last, 2 * p)),
        "You use a whole period: the rate comes back up to the peak. Half a cosine goes from 1 to "
        "-1.",
    ),
    Mistake(
        lambda *a: cosine_with(
            *a, fall=lambda peak, last, p: peak * (last + (1 - last) * np.cos(np.pi / 2 * p))
        ),
        "You use a quarter of a cosine, which ends at its steepest. Half a cosine, from 1 to -1, "
        "is flat at both ends.",
    ),
    Mistake(
        lambda *a: cosine_with(*a, fall=lambda peak, last, p: peak * (1 - (1 - last) * p)),
        "Your fall is a straight line. Half a cosine is wanted.",
    ),
    Mistake(
        lambda *a: cosine_with(*a, shift=1),
        "Your warm-up is one step ahead: it is above `first` at step 0 and at the peak one step "
        "too early.",
    ),
    Mistake(
        cosine_dividing,
        "You divide by `warmup`, and it may be 0. np.where computes both parts and chooses "
        "afterwards, so the part that is not chosen must not fail either.",
    ),
]

# --- 09.5 Build: Adam -----------------------------------------------------------------------------


def adam_step(w, g, m, v, k, rate, beta_1, beta_2, epsilon):
    return adam_with(w, g, m, v, k, rate, beta_1, beta_2, epsilon)


def keras_length(m, v, c_1, c_2, epsilon):
    return np.sqrt(c_2) / c_1 * m / (np.sqrt(v) + epsilon)


def adam_with(
    w, g, m, v, k, rate, beta_1, beta_2, epsilon, *, u=keras_length, square=True, share=1, late=0
):
    """`u`: the direction from m, v, the two corrections and epsilon."""
    m = beta_1 * m + (1 - beta_1 if share else 1) * g
    v = beta_2 * v + (1 - beta_2 if share else 1) * (g**2 if square else np.abs(g))
    k = k - late
    return w - rate * u(m, v, 1 - beta_1**k, 1 - beta_2**k, epsilon), m, v


def adam_stores_corrected(w, g, m, v, k, rate, beta_1, beta_2, epsilon):
    w, m, v = adam_step(w, g, m, v, k, rate, beta_1, beta_2, epsilon)
    return w, m / (1 - beta_1**k), v / (1 - beta_2**k)


def adam_old_means(w, g, m, v, k, rate, beta_1, beta_2, epsilon):
    _, new_m, new_v = adam_step(w, g, m, v, k, rate, beta_1, beta_2, epsilon)
    u = keras_length(m, v, 1 - beta_1**k, 1 - beta_2**k, epsilon)
    return w - rate * u, new_m, new_v


def adam_by_increments(w, g, m, v, k, rate, beta_1, beta_2, epsilon):
    m = m + (1 - beta_1) * (g - m)
    v = v + (1 - beta_2) * (g * g - v)
    rate = rate * (1 - beta_2**k) ** 0.5 / (1 - beta_1**k)
    return w - rate * m / (v**0.5 + epsilon), m, v


def adam_corrected(w, g, m, v, k, rate, beta_1, beta_2, epsilon):
    m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
    m_hat, v_hat = m / (1 - beta_1**k), v / (1 - beta_2**k)
    return w - rate * m_hat / (np.sqrt(v_hat) + epsilon / np.sqrt(1 - beta_2**k)), m, v


def adam_one_by_one(w, g, m, v, k, rate, beta_1, beta_2, epsilon):
    w, m, v = w.copy(), m.copy(), v.copy()
    for place in np.ndindex(w.shape):
        m[place] = beta_1 * m[place] + g[place] - beta_1 * g[place]
        v[place] = beta_2 * v[place] + g[place] ** 2 - beta_2 * g[place] ** 2
        size = (np.sqrt(v[place]) + epsilon) * (1 - beta_1**k)
        w[place] -= rate * np.sqrt(1 - beta_2**k) * m[place] / size
    return w, m, v


def inputs_5(rng):
    cases = []
    for shape, k, rate, beta_1, beta_2, epsilon in (
        ((3, 2), 1, 0.1, 0.9, 0.999, 1e-7),
        ((4,), 2, 0.05, 0.9, 0.999, 0.01),
        ((2, 2), 7, 0.3, 0.8, 0.95, 0.1),
        ((3,), 500, 1.0, 0.9, 0.99, 1e-3),
    ):
        w, g, m = rng.normal(size=(3, *shape))
        v = rng.uniform(0.1, 2, shape) * (1 - beta_2 ** (k - 1))
        m = m * (1 - beta_1 ** (k - 1))
        cases.append((w, g, m, v, k, rate, beta_1, beta_2, epsilon))
    return cases


adam_mistakes = [
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: m / (np.sqrt(v) + e)),
        "You do not correct for the start at 0: after one step m is a tenth of the gradient, and "
        "the root of v about a thirtieth of its size.",
    ),
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: m / c_1 / (np.sqrt(v) + e)),
        "You correct m and not v. The first steps are much too long, since v starts at 0 as well.",
    ),
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: np.sqrt(c_2) * m / (np.sqrt(v) + e)),
        "You correct v and not m. The first steps are too short, since m starts at 0 as well.",
    ),
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: c_2 / c_1 * m / (np.sqrt(v) + e)),
        "The correction of v stands outside the root in your step. It belongs to v itself.",
    ),
    Mistake(
        lambda *a: adam_with(
            *a, u=lambda m, v, c_1, c_2, e: np.sqrt(c_2) / c_1 * m / np.sqrt(v + e)
        ),
        "Your epsilon is inside the root. That is RMSprop's place in Keras; Adam adds it to the "
        "root.",
    ),
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: m / c_1 / (np.sqrt(v / c_2) + e)),
        "You add epsilon to the root of the *corrected* v. That is the paper's Algorithm 1; here, "
        "as in Keras, it is added to the root of v as it is stored.",
    ),
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: m / c_1 / np.sqrt(v / c_2 + e)),
        "Your epsilon is inside the root, and with the corrected v. It is added outside, to the "
        "root of v as it is stored.",
    ),
    Mistake(
        lambda *a: adam_with(*a, u=lambda m, v, c_1, c_2, e: keras_length(m, v**2, c_1, c_2, e)),
        "You divide by v, not by its root. v has the unit of a gradient squared.",
    ),
    Mistake(
        lambda *a: adam_with(*a, square=False),
        "Your v is a running mean of |g|. It is one of the squares.",
    ),
    Mistake(
        lambda *a: adam_with(*a, share=0),
        "You add the whole gradient to what is left of the mean. A running mean takes the share "
        "1 - beta of the new value.",
    ),
    Mistake(
        lambda *a: adam_with(*a, late=1),
        "Your correction counts one step too few: k includes the present gradient. At k = 1 yours "
        "divides by 0.",
    ),
    Mistake(
        lambda w, g, m, v, k, rate, b_1, b_2, e: adam_step(w, g, m, v, k, rate, b_2, b_1, e),
        "beta_1 and beta_2 are exchanged: the first belongs to m.",
    ),
    Mistake(
        lambda w, g, m, v, k, rate, *b: adam_with(w, g, m, v, k, -rate, *b),
        "Your step goes uphill: look at the sign.",
    ),
    Mistake(
        adam_stores_corrected,
        "You return the corrected means. The next step would correct them again: store m and v as "
        "they are.",
    ),
    Mistake(
        adam_old_means,
        "You move with the old m and v, and update them afterwards. The present gradient counts in "
        "the present step.",
    ),
]

# --- 09.6 Build: reduce on plateau ----------------------------------------------------------------


def plateau(losses, rate, factor, patience, min_delta, lowest):
    """As in Keras, a rate below `lowest` stays as it is."""
    return plateau_with(losses, rate, factor, patience, min_delta, lowest)


def plateau_with(
    losses,
    rate,
    factor,
    patience,
    min_delta,
    lowest,
    *,
    before=True,
    previous=False,
    after_drop=True,
    after_gain=True,
    late=0,
    creep=False,
    forget=False,
    nan=False,
    refuse=False,
    stop=True,
    first_bad=False,
):
    best, wait, rates = losses[0] if first_bad else np.inf, 0, []
    for loss in losses:
        if before:
            rates.append(rate)
        better = loss < best - min_delta or (nan and not loss >= best - min_delta)
        if better:
            wait = 0 if after_gain else wait
        else:
            wait += 1
        if better or previous or creep:
            best = loss if better or previous or not loss >= best else best
        if not better and wait >= patience + late:
            lower = rate * factor
            if refuse:
                rate = rate if lower < lowest else lower
            else:
                rate = max(lower, min(rate, lowest)) if stop else lower
            wait = 0 if after_drop else wait
            best = np.inf if forget else best
        if not before:
            rates.append(rate)
    return np.array(rates)


def plateau_by_last(losses, rate, factor, patience, min_delta, lowest):
    """Remembers the epoch that began the present count."""
    rates, since, best = np.full(len(losses), float(rate)), -1, np.inf
    for j, loss in enumerate(losses):
        if loss < best - min_delta:
            best, since = loss, j
        elif j - since == patience:
            since = j
            rates[j + 1 :] = max(rates[j] * factor, lowest) if rates[j] > lowest else rates[j]
    return rates


def plateau_by_drops(losses, rate, factor, patience, min_delta, lowest):
    drops, best, bad, counts = 0, float("inf"), [], []
    for loss in losses:
        counts.append(drops)
        if best - loss > min_delta:
            best, bad = loss, []
        else:
            bad.append(loss)
            if len(bad) == patience:
                drops, bad = drops + 1, []
    return [max(rate * factor**drops, min(lowest, rate)) for drops in counts]


class Plateau:
    def __init__(self, rate, factor, patience, min_delta, lowest):
        self.rate, self.factor, self.patience = rate, factor, patience
        self.min_delta, self.lowest, self.best, self.left = min_delta, lowest, np.inf, patience

    def see(self, loss):
        used, self.left = self.rate, self.left - 1
        if loss + self.min_delta < self.best:
            self.best, self.left = loss, self.patience
        if self.left == 0:
            lower, self.left = np.maximum(self.rate * self.factor, self.lowest), self.patience
            self.rate = np.minimum(self.rate, lower)
        return used


def plateau_by_object(losses, *options):
    rule = Plateau(*options)
    return np.array([rule.see(loss) for loss in losses])


def raising(answer):
    """Lets a rate that is below `lowest` rise to it where it should drop."""

    def plateau(losses, rate, factor, patience, min_delta, lowest):
        if rate > lowest:
            return answer(losses, rate, factor, patience, min_delta, lowest)
        rates = answer(losses, rate, factor, patience, min_delta, 0.0)
        return np.where(rates < rate, lowest, rate)

    return plateau


def inputs_6(rng):
    def curve(epochs, noise):
        return np.exp(-np.arange(epochs) / 6) + 0.2 + noise * rng.uniform(-1, 1, epochs)

    slow = 1 - 0.02 * np.arange(14) + 0.001 * rng.uniform(-1, 1, 14)
    broken = curve(20, 0.05)
    broken[[6, 7, 13]] = np.nan
    return [
        (slow, 0.1, 0.5, 3, 0.05, 0.001),  # always a little better
        (curve(30, 0.15), 0.1, 0.3, 2, 0.01, 0.0007),
        (curve(25, 0.15), 0.05, 0.5, 3, 0.0, 1e-6),
        (curve(40, 0.02), 0.2, 0.5, 1, 0.02, 0.003),
        (broken, 0.1, 0.5, 2, 0.01, 0.001),
        (np.ones(9), 0.1, 0.1, 4, 0.0, 0.0),
        (np.array([1.0]), 0.1, 0.5, 1, 0.0, 0.0),
        (curve(40, 0.15), 0.01, 0.5, 2, 0.02, 0.03),  # begins below `lowest`
    ]


plateau_mistakes = [
    Mistake(
        lambda *a: plateau_with(*a, before=False),
        "Your list is one epoch ahead. A loss is known at the end of its epoch, so it can change "
        "the rate of the next one only.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, previous=True),
        "You compare with the loss of the epoch before. Compare with the best so far: a loss that "
        "goes up and down would always look like progress.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, after_drop=False),
        "After a drop your count goes on, and the rate drops again in the very next epoch. The new "
        "rate gets the full patience.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, after_gain=False),
        "An improvement does not set your count back to 0: you count bad epochs, and only those in "
        "a row matter.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, late=1),
        "You wait one epoch too long: after `patience` epochs without an improvement the rate "
        "drops.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, creep=True),
        "You lower the best loss even where the gain was too small to count. Many small gains then "
        "never add up to an improvement.",
    ),
    Mistake(
        lambda losses, rate, factor, patience, min_delta, lowest: plateau(
            losses, rate, factor, patience, 0.0, lowest
        ),
        "You do not use `min_delta`: the smallest gain counts as an improvement.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, stop=False),
        "You do not use `lowest`: the rate falls below it.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, refuse=True),
        "You leave the rate alone when the next drop would pass `lowest`. It drops to `lowest`.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, forget=True),
        "You forget the best loss at a drop, so that whatever comes next is an improvement. The "
        "best so far stays.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, nan=True),
        "You take a loss that is not a number for an improvement. Every comparison with nan is "
        "False: ask whether the loss is better, not whether it is worse.",
    ),
    Mistake(
        lambda *a: plateau_with(*a, first_bad=True),
        "You count the first epoch as one without an improvement: it is compared with itself. "
        "Before it there is no best loss.",
    ),
]
# Most wrong answers raise such a rate as well, and should hear of their first mistake first.
raised = (
    "Where the rate is below `lowest` from the start, you raise it. A plateau never raises a rate."
)
plateau_mistakes += [
    Mistake(raising(plateau), raised),
    *(
        Mistake(raising(answer), f"{sentence} Then: {raised}")
        for answer, sentence in plateau_mistakes
        if "`lowest`" not in sentence
    ),
]

# --- 09.7 Find the bug: weight decay inside Adam --------------------------------------------------


def train(w, gradients, rates, weight_decay):
    return train_with(w, gradients, rates, lambda w, rate, start: w - rate * weight_decay * w)


def train_with(w, gradients, rates, decay, *, inside=None, after=False):
    """`decay`: a function of w, the rate and the start; `inside`: what is added to g, for m, v."""
    start = w
    m, v = np.zeros_like(w), np.zeros_like(w)
    for k, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        g_m, g_v = inside(g, w) if inside else (g, g)
        w = w if after else decay(w, rate, start)
        m, v = 0.9 * m + 0.1 * g_m, 0.999 * v + 0.001 * g_v**2
        w = w - rate * np.sqrt(1 - 0.999**k) / (1 - 0.9**k) * m / (np.sqrt(v) + 1e-7)
        w = decay(w, rate, start) if after else w
    return w


def none(w, rate, start):
    return w


def train_by_steps(w, gradients, rates, weight_decay):
    m = v = np.zeros_like(w)
    for k in range(len(rates)):
        shrunk = (1 - rates[k] * weight_decay) * w
        w, m, v = adam_step(shrunk, gradients[k], m, v, k + 1, rates[k], 0.9, 0.999, 1e-7)
    return w


def inputs_7(rng):
    cases = []
    for steps, n, weight_decay in ((12, 4, 0.5), (1, 3, 0.3), (30, 5, 0.1), (6, 2, 0.0)):
        w = rng.normal(size=n)
        gradients = rng.normal(size=(steps, n)) * 10.0 ** rng.integers(-2, 2, n)
        rates = rng.uniform(0.05, 0.2) * np.linspace(1, 0.2, steps)
        cases.append((w, gradients, rates, weight_decay))
    return cases


train_mistakes = [
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, none, inside=lambda g, w: (g + d * w, g + d * w)
        ),
        "This is the code as it was given. Follow the pull `weight_decay * w` to the last line: "
        "what is it divided by?",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, none, inside=lambda g, w: (g + d * w, g)
        ),
        "The pull is out of v, but it still goes through m and is divided by the root of v. It "
        "should not meet either.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(w, gradients, rates, none),
        "There is no decay left. Take it out of the gradient and put it somewhere else.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, lambda w, rate, start: (1 - d) * w
        ),
        "Your weights shrink by 1 - weight_decay at each step. The factor of AdamW has the rate in "
        "it as well.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, lambda w, rate, start: w - rates[0] * d * w
        ),
        "You shrink with the first rate at all steps. When a schedule lowers the rate, it lowers "
        "the decay too.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, lambda w, rate, start: w - rate * d * w, after=True
        ),
        "You shrink after Adam's step, so that the step itself is shrunk. Only the old weights "
        "shrink.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, lambda w, rate, start: w - rate * d * start
        ),
        "You subtract a share of the weights at the start of training. Each step shrinks what is "
        "there now.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, lambda w, rate, start: w + rate * d * w
        ),
        "Your weights grow: look at the sign of the decay.",
    ),
    Mistake(
        lambda w, gradients, rates, d: train_with(
            w, gradients, rates, lambda w, rate, start: w - rate * d * np.sign(w)
        ),
        "You subtract the same amount from every weight. Decay takes a *share* of each.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "09.1",
        factor,
        inputs_1,
        factor_mistakes,
        [
            "Write each optimizer's first step with g, then with s g. Which s cancel?",
            "Clipping acts on the gradient before the optimizer sees it. How long is what it "
            "hands on, in each of the two runs?",
        ],
    ),
    Exercise(
        "09.2",
        rate_at,
        inputs_2,
        rate_mistakes,
        [
            "For each kind say first what it counts, steps or epochs, and where that count is "
            "kept.",
            "With whole division, k // E is the number of the epoch. After the restart, both "
            "counts belong to a new process.",
        ],
    ),
    Exercise(
        "09.3",
        staircase,
        inputs_3,
        staircase_mistakes,
        [
            "How many drops have there been before step k?",
            "`//` works on arrays, too. `np.maximum` compares entry by entry.",
        ],
        points=2,
    ),
    Exercise(
        "09.4",
        cosine,
        inputs_4,
        cosine_mistakes,
        [
            "Write the fall as a function of a progress p from 0, at the end of the warm-up, to 1, "
            "at step K. What is p in terms of k?",
            "`np.where` chooses between the two parts, and `np.clip` keeps p within 0 and 1. Mind "
            "a warm-up of 0 steps.",
        ],
        points=2,
    ),
    Exercise(
        "09.5",
        adam_step,
        inputs_5,
        adam_mistakes,
        [
            "Four lines: m, v, the two corrections as one factor of the rate, the new weights.",
            "After k steps the weights in a running mean with factor beta add up to 1 - beta^k. "
            "Divide m by its sum, and v by its own inside the root.",
        ],
        points=3,
    ),
    Exercise(
        "09.6",
        plateau,
        inputs_6,
        plateau_mistakes,
        [
            "Three things are carried from epoch to epoch: the best loss, the count, the rate.",
            "In each epoch: note the rate, then ask whether the loss is an improvement, and only "
            "if it is not, whether patience has run out.",
        ],
        points=3,
    ),
    Exercise(
        "09.7",
        train,
        inputs_7,
        train_mistakes,
        [
            "The gradient goes into two running means. Which quantities should know nothing of "
            "the decay?",
            "The decay is a line of its own, which acts on w alone. The lesson's table says what "
            "it does and when.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "09.4": [cosine_one_by_one, cosine_by_table, cosine_by_parts],
    "09.5": [adam_by_increments, adam_corrected, adam_one_by_one],
    "09.6": [plateau_by_last, plateau_by_drops, plateau_by_object],
    "09.7": [train_by_steps],
}
