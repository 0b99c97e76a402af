"""Exercises of lesson 15: right solutions, and the mistakes that people make.

A window's start is the index of its first target. Windows are in the order of time, one a row.
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 15.1 Predict: how wrong a naive forecast is --------------------------------------------------


def naive_rmse(series, forecast, h, sigma, drift):
    return naive_with(series, forecast, h, sigma, drift)


def naive_with(
    series, forecast, h, sigma, drift, *, walk=np.sqrt, noise=2**0.5, grows=False, add=None
):
    """`walk`: spread after h steps; `noise`: of a difference of two values, in sigmas."""
    if series == "noise":
        factor = 1.0 if forecast == "mean" else noise
        return factor * sigma * (walk(h) if grows else 1)
    spread, off = sigma * walk(h), 0.0 if forecast == "drift" else h * drift
    return add(spread, off) if add else np.sqrt(spread**2 + off**2)


def inputs_1(rng):
    sigma, drift = (float(v) for v in rng.uniform(0.5, 3, 2))
    cases = [("noise", name, h, sigma, 0.0) for name in ("mean", "persistence") for h in (1, 9)]
    steps = (1, 4, 12)
    cases += [("walk", "persistence", h, sigma, 0.0) for h in steps]
    cases += [("walk", name, h, sigma, drift) for name in ("persistence", "drift") for h in steps]
    return [*cases, ("walk", "persistence", 7, sigma, -drift)]


naive_mistakes = [
    Mistake(
        lambda *a: naive_with(*a, walk=lambda h: h),
        "You let the spread of a random walk grow with h. The steps are independent, so their "
        "variances add up, not their standard deviations.",
    ),
    Mistake(
        lambda *a: naive_with(*a, walk=lambda h: 1.0),
        "Your random walk is as easy 12 steps ahead as one step ahead. How many steps are unknown?",
    ),
    Mistake(
        lambda *a: naive_with(*a, noise=1.0),
        "On noise you let persistence be as good as the mean. Both the forecast and the value that "
        "comes are noisy: their difference has the variances of both.",
    ),
    Mistake(
        lambda *a: naive_with(*a, noise=2.0),
        "On noise you add two standard deviations. Variances add up: take the root of their sum.",
    ),
    Mistake(
        lambda *a: naive_with(*a, grows=True),
        "You let noise get harder with h. Each value is drawn anew, so the next one is as far away "
        "as the one after nine steps.",
    ),
    Mistake(
        lambda *a: naive_with(*a, add=lambda spread, off: spread + abs(off)),
        "You add the mean error to the spread. The RMSE squares first: spread² + mean², then root.",
    ),
    Mistake(
        lambda *a: naive_with(*a, add=lambda spread, off: spread),
        "You forget that persistence knows nothing of the drift: it is off by h times the drift on "
        "average, whatever the noise.",
    ),
]

# --- 15.2 Predict: which windows may be used ------------------------------------------------------


def count_windows(n, lags, horizon, cut):
    return count_with(n, lags, horizon, cut)


def count_with(n, lags, horizon, cut, *, train=None, test=None, every=None):
    every = n - lags - horizon + 1 if every is None else every(n, lags, horizon)
    train = train(lags, horizon, cut) if train else cut - lags - horizon + 1
    test = test(n, lags, horizon, cut) if test else n - horizon - cut + 1
    return train, every - train - test, test


def inputs_2(rng):
    cases = [(309, 24, 11, 220), (100, 5, 1, 80), (60, 10, 3, 40)]
    for _ in range(4):
        lags, horizon = int(rng.integers(2, 20)), int(rng.integers(2, 14))
        cut = lags + horizon + int(rng.integers(10, 60))
        cases.append((cut + horizon + int(rng.integers(8, 50)), lags, horizon, cut))
    return cases


count_mistakes = [
    Mistake(
        lambda *a: count_with(*a, train=lambda lags, horizon, cut: cut - lags),
        "You train on windows whose *first* target is before the cut. Their last targets lie after "
        "it, among those that you test on.",
    ),
    Mistake(
        lambda *a: count_with(*a, train=lambda lags, horizon, cut: cut - lags - horizon),
        "You lose a training window: the one whose last target has the index cut - 1 is allowed.",
    ),
    Mistake(
        lambda *a: count_with(*a, test=lambda n, lags, horizon, cut: n - cut - horizon),
        "You lose a test window: the last one has its last target at index n - 1.",
    ),
    Mistake(
        lambda *a: count_with(*a, test=lambda n, lags, horizon, cut: n - cut),
        "Your last test windows ask for values that are not there yet. All targets must exist.",
    ),
    Mistake(
        lambda *a: count_with(
            *a, test=lambda n, lags, horizon, cut: max(0, n - cut - lags - horizon + 1)
        ),
        "You begin the test windows' *inputs* at the cut. Inputs may lie before it: they are known "
        "when the forecast is made.",
    ),
    Mistake(
        lambda *a: count_with(*a, every=lambda n, lags, horizon: n - lags),
        "There are fewer windows in all: each takes `lags + horizon` values in a row.",
    ),
]

# --- 15.3 Modify: from direct to recursive --------------------------------------------------------


def recursive(x, w, c, horizon):
    return recursive_with(x, w, c, horizon)


def recursive_with(x, w, c, horizon, *, drop=True, feed=None, order=1, turn=False):
    """`feed`: what joins the inputs in place of the forecast."""
    known, steps = x, []
    for _ in range(horizon):
        step = known @ w + c
        steps.append(step)
        new = step if feed is None else feed(x, known, step)
        if drop:
            known = np.concatenate([known[:, 1:], new[:, None]], axis=1)
        elif turn:
            known = np.concatenate([new[:, None], known[:, :-1]], axis=1)
        else:
            known = np.concatenate([new[:, None], known[:, 1:]], axis=1)
    return np.stack(steps[::order], axis=1)


def recursive_power(x, w, c, horizon):
    powers = np.array([w**k for k in range(1, horizon + 1)])
    return np.stack([x @ p + c for p in powers], axis=1)


def recursive_no_intercept(x, w, c, horizon):
    first = x @ w + c
    rest = recursive(np.concatenate([x[:, 1:], first[:, None]], axis=1), w, 0.0, horizon)
    return np.concatenate([first[:, None], rest[:, : horizon - 1]], axis=1)


def inputs_3(rng):
    cases = []
    for count, lags, horizon in ((4, 3, 5), (1, 1, 4), (6, 4, 2), (3, 5, 8), (2, 2, 1)):
        w = rng.uniform(-0.6, 0.6, lags)
        cases.append((rng.normal(size=(count, lags)), w, float(rng.normal()), horizon))
    return cases


recursive_mistakes = [
    Mistake(
        lambda *a: recursive_with(*a, feed=lambda x, known, step: x[:, -1]),
        "You feed the last *known* value again and again. The forecast itself becomes the newest "
        "input.",
    ),
    Mistake(
        lambda x, w, c, horizon: np.repeat((x @ w + c)[:, None], horizon, axis=1),
        "You forecast one step and repeat it. Each further step needs inputs that have moved on.",
    ),
    Mistake(
        lambda *a: recursive_with(*a, drop=False),
        "You overwrite the *oldest* input and leave the order as it was. The newest value belongs "
        "at the end: the weights count lags from there.",
    ),
    Mistake(
        lambda *a: recursive_with(*a, drop=False, turn=True),
        "You put the forecast in front and drop the newest value. Time runs from left to right: "
        "drop the first, append at the end.",
    ),
    Mistake(
        lambda *a: recursive_with(*a, order=-1),
        "Your columns run backwards: column 0 is the nearest step.",
    ),
    Mistake(
        recursive_no_intercept,
        "You add c in the first step only. The same model is used at every step, with all of it.",
    ),
    Mistake(
        recursive_power,
        "You raise each weight to a power. With more than one lag that is not what applying the "
        "model twice does: the second step reads the first forecast *and* the older values.",
    ),
]

# --- 15.4 Build: pinball loss and its gradient ----------------------------------------------------


def pinball(y, q, levels):
    return pinball_with(y, q, levels)


def pinball_with(y, q, levels, *, loss=None, slope=None, mean=True, per=False):
    """`loss`: of error and level; `slope`: derivative by q of the loss, of error and level."""
    error = y[:, None] - q
    if loss is None:
        value = np.maximum(levels * error, (levels - 1) * error)
    else:
        value = loss(error, levels)
    if slope is None:
        gradient = np.where(error > 0, -levels, 1 - levels)
        gradient = np.where(error == 0, 0.0, gradient)
    else:
        gradient = slope(error, levels)
    if per:
        return value.mean(axis=0), gradient / len(y)
    return (value.mean(), gradient / q.size) if mean else (value.sum(), gradient)


def pinball_by_parts(y, q, levels):
    under, over = np.maximum(y[:, None] - q, 0), np.maximum(q - y[:, None], 0)
    loss = (levels * under + (1 - levels) * over).mean()
    return loss, ((1 - levels) * (over > 0) - levels * (under > 0)) / q.size


def pinball_by_absolute(y, q, levels):
    e = y.reshape(-1, 1) - q
    value = 0.5 * np.abs(e) + (levels - 0.5) * e
    return float(np.mean(value)), -(0.5 * np.sign(e) + (levels - 0.5) * (e != 0)) / e.size


def pinball_one_by_one(y, q, levels):
    total, gradient = 0.0, np.zeros_like(q)
    for i, j in np.ndindex(q.shape):
        e = y[i] - q[i, j]
        if e > 0:
            total, gradient[i, j] = total + levels[j] * e, -levels[j]
        elif e < 0:
            total, gradient[i, j] = total - (1 - levels[j]) * e, 1 - levels[j]
    return total / q.size, gradient / q.size


def inputs_4(rng):
    cases = []
    for n, levels in ((7, [0.1, 0.5, 0.9]), (1, [0.25]), (12, [0.05, 0.8]), (5, [0.5, 0.7])):
        y, q = rng.normal(size=n), rng.normal(size=(n, len(levels)))
        q[0, 0] = y[0]  # an error of exactly 0
        cases.append((y, q, np.array(levels)))
    return cases


pinball_mistakes = [
    Mistake(
        lambda y, q, levels: pinball_with(y, q, 1 - levels),
        "The levels are the wrong way round. For the level 0.9 a forecast that is too *low* must "
        "cost nine times as much as one that is too high.",
    ),
    Mistake(
        lambda y, q, levels: (lambda loss, g: (loss, -g))(*pinball(y, q, levels)),
        "Your gradient has the wrong sign: where q is too low, raising it lowers the loss.",
    ),
    Mistake(
        lambda *a: pinball_with(*a, mean=False),
        "You return the sum over all elements. The mean is wanted, and its gradient.",
    ),
    Mistake(
        lambda *a: (pinball(*a)[0], pinball_with(*a, mean=False)[1]),
        "Your loss is a mean, your gradient that of the sum: divide by the number of elements.",
    ),
    Mistake(
        lambda *a: pinball_with(*a, per=True),
        "You average over the examples only. One number for all levels together is wanted.",
    ),
    Mistake(
        lambda *a: pinball_with(
            *a, loss=lambda e, _: np.abs(e), slope=lambda e, _: -np.sign(e) + 0.0
        ),
        "That is the mean absolute error, which is the same on both sides: it asks for the median "
        "at every level.",
    ),
    Mistake(
        lambda *a: pinball_with(
            *a, loss=lambda e, t: np.minimum(t * e, (t - 1) * e), slope=lambda e, t: 0 * e + t
        ),
        "You take the smaller of the two lines, which is never positive. The loss is the larger.",
    ),
    Mistake(
        lambda *a: pinball_with(*a, slope=lambda e, t: np.where(e > 0, -t, 1 - t)),
        "Where the error is exactly 0 the loss has a corner; the task says which value to return "
        "there.",
    ),
]

# --- 15.5 Build: a moving-block interval ----------------------------------------------------------


def block_interval(d, starts, length, level):
    return block_with(d, starts, length, level)


def block_with(d, starts, length, level, *, tail=None, cut=True, means=np.mean, step=1):
    samples = []
    for row in starts:
        sample = np.concatenate([d[s : s + length * step : step] for s in row])
        samples.append(means(sample[: len(d)] if cut else sample))
    tail = (1 - level) / 2 if tail is None else tail(level)
    return np.quantile(samples, [tail, 1 - tail])


def block_by_indices(d, starts, length, level):
    places = (starts[:, :, None] + np.arange(length)).reshape(len(starts), -1)[:, : d.size]
    return np.percentile(d[places].mean(axis=1), [50 * (1 - level), 50 * (1 + level)])


def block_by_sums(d, starts, length, level):
    blocks = np.lib.stride_tricks.sliding_window_view(d, length)
    means = []
    for row in starts:
        means.append(blocks[row].ravel()[: len(d)].sum() / len(d))
    means = np.sort(means)
    place = np.array([(1 - level) / 2, (1 + level) / 2]) * (len(means) - 1)
    return tuple(np.interp(place, np.arange(len(means)), means))


def block_one_by_one(d, starts, length, level):
    means = np.zeros(len(starts))
    for b in range(len(starts)):
        taken = [d[s + k] for s in starts[b] for k in range(length)]
        means[b] = np.sum(taken[: len(d)]) / len(d)
    half = (1 - level) / 2
    return [np.quantile(means, half), np.quantile(means, 1 - half)]


def inputs_5(rng):
    cases = []
    for n, length, level in ((20, 4, 0.9), (23, 5, 0.8), (15, 1, 0.95), (31, 11, 0.9)):
        d = np.cumsum(rng.normal(size=n)) * 0.5 + rng.normal()
        starts = rng.integers(0, n - length + 1, size=(60, -(-n // length)))
        cases.append((d, starts, length, level))
    return cases


block_mistakes = [
    Mistake(
        lambda d, starts, length, level: block_with(d, starts, 1, level),
        "You take one value at each start. A block is `length` values in a row.",
    ),
    Mistake(
        lambda *a: block_with(*a, cut=False),
        "Your samples are longer than the series when `length` does not divide n. Cut each to n.",
    ),
    Mistake(
        lambda *a: block_with(*a, tail=lambda level: 1 - level),
        "You leave 1 - level on *each* side. It is half of that, or your interval holds less than "
        "`level`.",
    ),
    Mistake(
        lambda d, starts, length, level: (
            d.mean() + (block_interval(d, starts, length, level) - d.mean()) / np.sqrt(len(d))
        ),
        "You divide by the root of n once more. The means of the samples are already as spread as "
        "the mean is uncertain.",
    ),
    Mistake(
        lambda *a: block_with(*a, means=np.median),
        "You take the median of each sample. The interval is wanted for the *mean* difference.",
    ),
    Mistake(
        lambda d, starts, length, level: (
            2 * d.mean() - block_interval(d, starts, length, level)[::-1]
        ),
        "You mirror the interval at the mean. That is another kind (the basic bootstrap); here the "
        "quantiles of the samples' means are wanted as they are.",
    ),
    Mistake(
        lambda d, starts, length, level: block_with(np.sort(d), starts, length, level),
        "You sort the values first. What makes blocks necessary is their order in time.",
    ),
]

# --- 15.6 Build: a small walk-forward test --------------------------------------------------------


def backtest(values, season, horizon, first, step, lags):
    return backtest_with(values, season, horizon, first, step, lags)


def forecast_line(known, lags, horizon, leak=0, values=None, center=True):
    """Least squares on all windows of `known`, relative to each window's last input."""
    known = known if not leak else values[: len(known) + leak]
    view = np.lib.stride_tricks.sliding_window_view(known, lags + horizon)
    last = view[:, lags - 1 : lags] if center else 0.0
    x = np.column_stack([view[:, :lags] - last, np.ones(len(view))])
    w = np.linalg.lstsq(x, view[:, lags:] - last, rcond=None)[0]
    inputs = values[len(known) - leak - lags : len(known) - leak]
    last = inputs[-1] if center else 0.0
    return last + np.append(inputs - last, 1.0) @ w


def seasonal(known, season, horizon):
    return known[len(known) - season + np.arange(horizon) % season]


def backtest_with(
    values, season, horizon, first, step, lags, *, naive=seasonal, leak=0, refit=True, last=1,
    center=True, score=None,
):  # fmt: skip
    """`last`: added to the end of the origins; `score`: from errors (origins, horizon)."""
    errors = {"persistence": [], "seasonal": [], "linear": []}
    for t in range(first, len(values) - horizon + last, step):
        known, truth = values[:t], values[t : t + horizon]
        fitted = forecast_line(known, lags, horizon, leak, values, center)
        if not refit:
            fitted = frozen(values, first, t, lags, horizon)
        errors["persistence"].append(known[-1] - truth)
        errors["seasonal"].append(naive(known, season, horizon) - truth)
        errors["linear"].append(fitted - truth)
    score = score or (lambda e: np.sqrt(np.mean(e**2, axis=0)))
    return {name: score(np.array(e)) for name, e in errors.items()}


def frozen(values, first, t, lags, horizon):
    """Fitted on what was known at the first origin only."""
    view = np.lib.stride_tricks.sliding_window_view(values[:first], lags + horizon)
    last = view[:, lags - 1 : lags]
    x = np.column_stack([view[:, :lags] - last, np.ones(len(view))])
    w = np.linalg.lstsq(x, view[:, lags:] - last, rcond=None)[0]
    return values[t - 1] + np.append(values[t - lags : t] - values[t - 1], 1.0) @ w


def backtest_by_origin(values, season, horizon, first, step, lags):
    origins = np.arange(first, len(values) - horizon + 1, step)
    ahead = np.arange(horizon)
    truth = values[origins[:, None] + ahead]
    table = {
        "persistence": np.repeat(values[origins - 1][:, None], horizon, axis=1),
        "seasonal": values[origins[:, None] - season + ahead % season],
        "linear": np.empty(truth.shape),
    }
    for k, t in enumerate(origins):
        rows = [np.append(values[s - lags : s] - values[s - 1], 1) for s in range(lags, t + 1)]
        rows = np.array(rows)
        usable = t - horizon - lags + 1
        y = np.array([values[s : s + horizon] - values[s - 1] for s in range(lags, lags + usable)])
        table["linear"][k] = values[t - 1] + rows[-1] @ (np.linalg.pinv(rows[:usable]) @ y)
    return {name: np.sqrt(((f - truth) ** 2).mean(axis=0)) for name, f in table.items()}


def backtest_with_lists(values, season, horizon, first, step, lags):
    squares = {"persistence": 0.0, "seasonal": 0.0, "linear": 0.0}
    count, t = 0, first
    while t + horizon <= len(values):
        truth = values[t : t + horizon]
        repeated = np.tile(values[t - season : t], -(-horizon // season))[:horizon]
        forecasts = {
            "persistence": values[t - 1],
            "seasonal": repeated,
            "linear": forecast_line(values[:t], lags, horizon, 0, values),
        }
        for name, forecast in forecasts.items():
            squares[name] = squares[name] + (truth - forecast) ** 2
        count, t = count + 1, t + step
    return {name: np.sqrt(total / count) for name, total in squares.items()}


def backtest_step_by_step(values, season, horizon, first, step, lags):
    """One regression per horizon."""
    origins = range(first, len(values) - horizon + 1, step)
    result = {name: np.zeros(horizon) for name in ("persistence", "seasonal", "linear")}
    for h in range(horizon):
        errors = {name: [] for name in result}
        for t in origins:
            truth, base = values[t + h], values[t - 1]
            ends = np.arange(lags, t - horizon + 1)
            x = np.stack([values[ends - lags + k] - values[ends - 1] for k in range(lags)], axis=1)
            x = np.hstack([x, np.ones((len(ends), 1))])
            w = np.linalg.lstsq(x, values[ends + h] - values[ends - 1], rcond=None)[0]
            now = np.append(values[t - lags : t] - base, 1.0)
            errors["persistence"].append(base - truth)
            errors["seasonal"].append(values[t - season + h % season] - truth)
            errors["linear"].append(base + now @ w - truth)
        for name in result:
            result[name][h] = np.mean(np.square(errors[name])) ** 0.5
    return result


def inputs_6(rng):
    cases = []
    for n, season, horizon, first, step, lags in (
        (90, 12, 6, 60, 4, 3), (70, 5, 8, 50, 1, 2), (64, 7, 1, 45, 3, 4), (80, 4, 9, 55, 8, 5),
    ):  # fmt: skip
        t = np.arange(n)
        values = 0.003 * t**2 + 2 * np.sin(2 * np.pi * t / season) + rng.normal(size=n) * 0.4
        cases.append(
            (values + np.cumsum(rng.normal(size=n) * 0.2), season, horizon, first, step, lags)
        )
    return cases


def seasonal_peeks(values):
    return lambda known, season, horizon: values[
        len(known) - season + np.arange(horizon)
    ]  # reads on past the origin


backtest_mistakes = [
    Mistake(
        lambda values, season, *rest: backtest_with(
            values, season, *rest, naive=seasonal_peeks(values)
        ),
        "Your seasonal forecast peeks: for a horizon beyond one season it reads `season` steps "
        "back from the target, which is after the origin. Repeat the last *known* season.",
    ),
    Mistake(
        lambda *a: backtest_with(*a, naive=lambda known, s, h: np.repeat(known[-s], h)),
        "You repeat one value of the last season. Each step ahead has its own place in the season.",
    ),
    Mistake(
        lambda values, season, horizon, *rest: backtest_with(
            values, season, horizon, *rest, leak=max(horizon - 1, 1)
        ),
        "You fit on windows whose first target is before the origin, but whose last targets are "
        "not. At the origin nobody knows those values.",
    ),
    Mistake(
        lambda *a: backtest_with(*a, refit=False),
        "You fit once, at the first origin. Walking forward means that each origin fits on "
        "everything known by then.",
    ),
    Mistake(
        lambda *a: backtest_with(*a, center=False),
        "Your linear model works on levels. The task wants inputs and targets relative to each "
        "window's last input.",
    ),
    Mistake(
        lambda *a: backtest_with(*a, last=0),
        "You leave out the last origin: the one whose last target is the last value of the series.",
    ),
    Mistake(
        lambda *a: backtest_with(*a, score=lambda e: np.mean(np.abs(e), axis=0)),
        "That is the mean absolute error. Square, average over the origins, take the root.",
    ),
    Mistake(
        lambda *a: backtest_with(*a, score=lambda e: np.sqrt(np.mean(e**2))),
        "You average over the horizons too. One RMSE for each step ahead is wanted.",
    ),
]

# --- 15.7 Find the bug: two leaks in one function -------------------------------------------------


def prepare(values, lags, horizon, cut):
    return prepare_with(values, lags, horizon, cut)


def prepare_with(
    values, lags, horizon, cut, *, known=None, shift=0, start=None, clip=False, back=False
):
    """`shift`: the targets begin that much early; `known`: what the statistics see."""
    known = values[:cut] if known is None else known(values, cut)
    z = (values - known.mean()) / known.std()
    view = np.lib.stride_tricks.sliding_window_view(z, lags + horizon)
    x, y = view[:, :lags], view[:, lags:]
    if shift:
        y = np.lib.stride_tricks.sliding_window_view(z, horizon)[lags - shift :][: len(x)]
    if back:
        x, y = view[:-1, :lags], view[1:, lags:]
    first = np.arange(len(x)) + lags + (1 if back else 0)
    train = start(first, horizon, cut) if start else first + horizon <= cut
    test = first >= cut
    return x[train], y[train], x[test], y[test]


def prepare_faulty(values, lags, horizon, cut):
    return prepare_with(values, lags, horizon, cut, known=lambda v, cut: v, shift=1)


def prepare_scaled_by_windows(values, lags, horizon, cut):
    """Statistics of the training windows' inputs: every value, but weighted."""
    view = np.lib.stride_tricks.sliding_window_view(values[:cut], lags)
    z = (values - view.mean()) / view.std()
    both = np.lib.stride_tricks.sliding_window_view(z, lags + horizon)
    first = np.arange(len(both)) + lags
    train, test = first + horizon <= cut, first >= cut
    return both[train, :lags], both[train, lags:], both[test, :lags], both[test, lags:]


def prepare_by_loop(values, lags, horizon, cut):
    mean, deviation = np.mean(values[:cut]), np.std(values[:cut])
    z = [(v - mean) / deviation for v in values]
    parts = ([], [], [], [])
    for s in range(lags, len(z) - horizon + 1):
        if s + horizon <= cut:
            parts[0].append(z[s - lags : s])
            parts[1].append(z[s : s + horizon])
        elif s >= cut:
            parts[2].append(z[s - lags : s])
            parts[3].append(z[s : s + horizon])
    return tuple(np.array(p) for p in parts)


def inputs_7(rng):
    cases = []
    for n, lags, horizon, cut in ((40, 4, 3, 25), (30, 2, 1, 20), (50, 6, 5, 30)):
        values = 0.1 * np.arange(n) + rng.normal(size=n) + 10 * rng.uniform()
        cases.append((values, lags, horizon, cut))
    return cases


prepare_mistakes = [
    Mistake(
        prepare_faulty,
        "This is the code as it was given. Print the last input of a window beside its first "
        "target, and ask which values the mean and the deviation have seen.",
    ),
    Mistake(
        lambda *a: prepare_with(*a, known=lambda v, cut: v),
        "The windows are right now. But mean and deviation still come from the whole series, the "
        "test years included.",
    ),
    Mistake(
        lambda *a: prepare_with(*a, shift=1),
        "The scaling is right now. But the first target of each window still is its last input.",
    ),
    Mistake(
        lambda *a: prepare_with(*a, back=True),
        "You shifted too far: now there is a gap of one value between a window's last input and "
        "its first target.",
    ),
    Mistake(
        lambda *a: prepare_with(*a, start=lambda first, horizon, cut: first < cut),
        "Both bugs are mended, but you opened a third leak: training targets now reach past the "
        "cut. The line that chooses the training windows was right.",
    ),
    Mistake(
        prepare_scaled_by_windows,
        "Your statistics come from windows, which count the middle values many times and the ends "
        "once. Take them from the values before the cut, each once.",
    ),
    Mistake(
        lambda *a: prepare_with(*a, known=lambda v, cut: v[cut:]),
        "You scale with the *test* years' statistics. The known part is before the cut.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "15.1",
        naive_rmse,
        inputs_1,
        naive_mistakes,
        [
            "Write the error as a sum of what the forecast could not know. Which of the random "
            "parts are independent?",
            "Variances of independent parts add up. The RMSE is the root of variance plus squared "
            "mean error.",
        ],
    ),
    Exercise(
        "15.2",
        count_windows,
        inputs_2,
        count_mistakes,
        [
            "Let s be the index of a window's first target. From where to where may s run in all, "
            "in training, in the test?",
            "In all: lags <= s <= n - horizon. Training: s + horizon <= cut. Test: s >= cut. What "
            "is in neither is lost.",
        ],
    ),
    Exercise(
        "15.3",
        recursive,
        inputs_3,
        recursive_mistakes,
        [
            "Keep an array of the newest `lags` values, known or forecast, and move it on by one "
            "value after each step.",
            "`np.concatenate([known[:, 1:], step[:, None]], axis=1)` drops the oldest and appends "
            "the newest.",
        ],
        points=2,
    ),
    Exercise(
        "15.4",
        pinball,
        inputs_4,
        pinball_mistakes,
        [
            "Broadcast: `y[:, None] - q` has the shape of q, and `levels` fits its last axis.",
            "Where the error is positive the loss is a line of slope -level in q, where it is "
            "negative one of slope 1 - level. Divide by the number of elements.",
        ],
        points=2,
    ),
    Exercise(
        "15.5",
        block_interval,
        inputs_5,
        block_mistakes,
        [
            "For each row of `starts`: join the blocks, cut to n values, take the mean.",
            "`(1 - level) / 2` of the means should lie below the interval, and as many above it.",
        ],
        points=2,
    ),
    Exercise(
        "15.6",
        backtest,
        inputs_6,
        backtest_mistakes,
        [
            "One loop over the origins t. Everything a forecast uses comes from `values[:t]`.",
            "`np.lib.stride_tricks.sliding_window_view(known, lags + horizon)` gives exactly the "
            "windows that may be fitted on. The seasonal forecast of step k, counted from 0, is "
            "`known[len(known) - season + k % season]`.",
        ],
        points=4,
    ),
    Exercise(
        "15.7",
        prepare,
        inputs_7,
        prepare_mistakes,
        [
            "Try it on `np.arange(12.0)` with the scaling taken out: which number is the last "
            "input, and which the first target?",
            "There are two bugs: one in the line that makes y, one in the line that scales.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "15.4": [pinball_by_parts, pinball_by_absolute, pinball_one_by_one],
    "15.5": [block_by_indices, block_by_sums, block_one_by_one],
    "15.6": [backtest_by_origin, backtest_with_lists, backtest_step_by_step],
    "15.7": [prepare_by_loop],
}
