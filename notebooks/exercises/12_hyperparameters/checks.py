"""Exercises of lesson 12: right solutions, and the mistakes that people make.

Accuracies are shares from 0 to 1; more is better. Where two are equal, the earlier one wins.
"""

import math

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 12.1 Predict: how many rates -----------------------------------------------------------------


def rates_tried(kind, trainings, axes, seeds):
    return rates_with(kind, trainings, axes, seeds)


def rates_with(kind, trainings, axes, seeds, *, grid=None, random=None):
    """`grid`, `random`: functions of trainings, axes and seeds that replace the right ones."""
    configurations = trainings // seeds
    if kind == "grid":
        return grid(trainings, axes, seeds) if grid else round(configurations ** (1 / axes))
    return random(trainings, axes, seeds) if random else configurations


def inputs_1(rng):
    cases = []
    for axes, values, seeds in ((2, 4, 1), (4, 2, 3), (1, 5, 2), (3, 3, 1), (2, 3, 4)):
        values += int(rng.integers(0, 3))
        for kind in ("grid", "random"):
            cases.append((kind, values**axes * seeds, axes, seeds))
    return [*cases, ("grid", 64, 3, 1)]  # 64 ** (1 / 3) comes out as a little less than 4


rates_mistakes = [
    Mistake(
        lambda *a: rates_with(*a, grid=lambda n, axes, seeds: n // seeds),
        "You let every point of the grid have a rate of its own. Points of a grid share their "
        "rates: only the other axes differ.",
    ),
    Mistake(
        lambda *a: rates_with(*a, grid=lambda n, axes, seeds: n // seeds / axes),
        "You divide the points by the number of axes. A grid with k values on each of d axes has "
        "k^d points.",
    ),
    Mistake(
        lambda *a: rates_with(*a, grid=lambda n, axes, seeds: n ** (1 / axes)),
        "Your grid forgets the seeds. A configuration that is trained s times costs s trainings.",
    ),
    Mistake(
        lambda *a: rates_with(*a, random=lambda n, axes, seeds: n),
        "Your random search forgets the seeds: the trainings of one configuration have the same "
        "rate.",
    ),
    Mistake(
        lambda *a: rates_with(*a, random=lambda n, axes, seeds: round((n // seeds) ** (1 / axes))),
        "You let random search repeat its rates as a grid does. Every draw from an interval is a "
        "new number.",
    ),
    Mistake(
        lambda *a: rates_with(*a, grid=lambda n, axes, seeds: int((n // seeds) ** (1 / axes))),
        "Your root is cut, not rounded: 64 ** (1 / 3) comes out as 3.9999999999999996, and that is "
        "4 values, not 3.",
    ),
]

# --- 12.2 Predict: how many trials ----------------------------------------------------------------


def trials_needed(share, chance):
    return trials_with(share, chance)


def round_up(exact):
    return math.ceil(exact - 1e-9)  # log(0.9**4) / log(0.9) comes out as a little more than 4


def trials_with(share, chance, *, up=round_up, n=None):
    exact = n(share, chance) if n else math.log(1 - chance) / math.log(1 - share)
    return up(exact)


def inputs_2(rng):
    shares = (0.05, 0.01, float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.1, 0.3)))
    cases = [(share, chance) for share in shares for chance in (0.9, 0.95)]
    return [*cases, (float(rng.uniform(0.31, 0.49)), 0.8), (0.001, 0.5)]


trials_mistakes = [
    Mistake(
        lambda *a: trials_with(*a, n=lambda share, chance: chance / share),
        "You add up chances. Two trials that hit with 5 % each do not hit with 10 %: both may "
        "hit. Ask for the chance that *all* miss.",
    ),
    Mistake(
        lambda *a: trials_with(*a, n=lambda share, chance: 1 / share),
        "That many trials hit once on average; the chance of at least one hit is then only about "
        "63 %.",
    ),
    Mistake(
        lambda *a: trials_with(*a, up=math.floor),
        "You round down: with that number the chance is still a little too small.",
    ),
    Mistake(
        lambda *a: trials_with(*a, n=lambda share, chance: math.log(1 - chance) / math.log(share)),
        "You multiply the chances of hitting, so you ask that all trials hit. All but one may "
        "miss: use 1 - share.",
    ),
    Mistake(
        lambda *a: trials_with(*a, n=lambda share, chance: math.log(chance) / math.log(1 - share)),
        "You let all trials miss with probability `chance`. They may all miss with probability "
        "1 - chance.",
    ),
]

# --- 12.3 Modify: where the draws fall ------------------------------------------------------------


def log_shares(low, high, edges):
    return log_shares_with(low, high, edges)


def log_shares_with(low, high, edges, *, scale=np.log, place=None, inside=True):
    """`place`: a function of low, high and edges, the share of the draws below each edge."""
    edges = np.asarray(edges)
    a, b = scale(low), scale(high)
    below = place(low, high, edges) if place else (scale(edges) - a) / (b - a)
    return np.diff(np.clip(below, 0, 1) if inside else below)


def inputs_3(rng):
    low, high = 10 ** rng.uniform(-5, -3), 10 ** rng.uniform(-1.5, -0.5)
    return [
        (float(low), float(high), np.sort(10 ** rng.uniform(-4.5, -1, 4))),
        (1e-4, 0.1, np.array([1e-4, 1e-3, 1e-2, 0.1])),
        (4.0, 256.0, np.array([1.0, 8.0, 32.0, 1000.0])),  # some edges lie outside
        (1e-7, 10.0, np.array([0.003, 0.06])),
        (0.5, 0.7, np.array([0.1, 0.2, 0.55, 0.6, 0.9])),
    ]


def in_logs(low, high, edges):
    return np.log(edges / low)


log_mistakes = [
    Mistake(
        lambda *a: log_shares_with(*a, scale=lambda x: x),
        "This is the code as it was given, for uniform draws. A log-uniform draw is uniform in its "
        "logarithm.",
    ),
    Mistake(
        lambda *a: log_shares_with(*a, inside=False),
        "You count draws outside of the bounds: below `low` and above `high` nothing is drawn.",
    ),
    Mistake(
        lambda *a: log_shares_with(*a, place=in_logs, inside=False),
        "Your shares do not add up to 1 over the whole interval. Divide by the logarithm of "
        "high / low.",
    ),
    Mistake(
        lambda *a: log_shares_with(*a, place=in_logs),
        "You clip at 1 what is not a share yet. Divide by the logarithm of high / low first.",
    ),
    Mistake(
        lambda low, high, edges: np.clip(np.log(edges / low) / np.log(high / low), 0, 1),
        "You return the share below each edge. Wanted is the share between neighbours.",
    ),
    Mistake(
        lambda low, high, edges: np.full(len(edges) - 1, 1 / (len(edges) - 1)),
        "You give each interval the same share. Equal *factors* get equal shares, and some "
        "intervals span a larger factor than others.",
    ),
    Mistake(
        lambda low, high, edges: (part := log_shares(low, high, edges)) / part.sum(),
        "You make the shares add up to 1. The edges need not cover the whole interval: some draws "
        "may fall into none of the intervals.",
    ),
    Mistake(
        lambda *a: log_shares_with(
            *a, place=lambda low, high, x: np.log10(x / low) / np.log(high / low)
        ),
        "You mix logarithms to base 10 with natural ones. Their ratio is right if both have the "
        "same base.",
    ),
    Mistake(
        lambda *a: log_shares_with(
            *a, place=lambda low, high, x: np.log(high / x) / np.log(high / low)
        ),
        "Your scale runs backwards, so the shares are negative: at `low` it has to be 0, at `high` "
        "1.",
    ),
    Mistake(
        lambda *a: log_shares_with(*a, scale=np.sqrt),
        "You use roots in place of logarithms. They do not give each decade the same share.",
    ),
]

# --- 12.4 Build: a search in a table --------------------------------------------------------------


def best_so_far(rates, accuracies, drawn):
    return best_with(rates, accuracies, drawn)


def by_logarithm(rates, drawn):
    return np.abs(np.log(rates) - np.log(drawn)[:, None]).argmin(axis=1)


def best_with(rates, accuracies, drawn, *, nearest=by_logarithm, so_far=np.maximum.accumulate):
    rates, accuracies, drawn = map(np.asarray, (rates, accuracies, drawn))
    return so_far(accuracies[nearest(rates, drawn)])


def best_one_by_one(rates, accuracies, drawn):
    best, found = -math.inf, []
    for rate in drawn:
        factors = [max(rate / r, r / rate) for r in rates]
        best = max(best, accuracies[factors.index(min(factors))])
        found.append(best)
    return found


def best_by_borders(rates, accuracies, drawn):
    borders = np.sqrt(rates[1:] * rates[:-1])  # halfway between two rates, as a factor
    seen = accuracies[np.searchsorted(borders, drawn)]
    return np.array([seen[: k + 1].max() for k in range(len(seen))])


def best_by_ratio(rates, accuracies, drawn):
    ratio = np.log10(drawn / rates[:, None]) ** 2  # (rates, draws)
    seen = np.take(accuracies, np.argmin(ratio, axis=0))
    return np.tri(len(seen)) @ np.maximum(np.diff(np.fmax.accumulate(seen), prepend=0), 0)


def inputs_4(rng):
    cases = []
    for count, draws in ((5, 12), (11, 20), (3, 1), (7, 15)):
        rates = 10 ** np.sort(rng.choice(np.linspace(-4, -0.5, 24), count, replace=False))
        accuracies = rng.uniform(0.1, 0.95, count)
        cases.append((rates, accuracies, 10 ** rng.uniform(-4, -0.5, draws)))
    tenfold = np.array([0.001, 0.01, 0.1])
    between = np.array([0.004, 0.02, 0.04, 0.0035, 0.006])
    return [*cases, (tenfold, np.array([0.3, 0.6, 0.9]), between)]


def linear(rates, drawn):
    return np.abs(rates - drawn[:, None]).argmin(axis=1)


def above(rates, drawn):
    return np.minimum(np.searchsorted(rates, drawn), len(rates) - 1)


def below(rates, drawn):
    return np.maximum(np.searchsorted(rates, drawn) - 1, 0)


best_mistakes = [
    Mistake(
        lambda *a: best_with(*a, nearest=linear),
        "You look for the nearest rate by difference. Rates live on a logarithmic scale: 0.004 is "
        "nearer to 0.01 than to 0.001, but by difference it is the other way round.",
    ),
    Mistake(
        lambda *a: best_with(*a, nearest=above),
        "You take the next rate above. The nearest one may lie below.",
    ),
    Mistake(
        lambda *a: best_with(*a, nearest=below),
        "You take the next rate below. The nearest one may lie above.",
    ),
    Mistake(
        lambda *a: best_with(*a, so_far=lambda seen: seen),
        "You return what each trial found. Wanted is the best of all trials up to each.",
    ),
    Mistake(
        lambda *a: best_with(*a, so_far=np.max),
        "You return one number, the best of all. Wanted is the whole curve.",
    ),
    Mistake(
        lambda *a: best_with(*a, so_far=np.minimum.accumulate),
        "You keep the worst so far. Accuracy is better when it is higher.",
    ),
    Mistake(
        lambda *a: best_with(*a, so_far=np.sort),
        "You sort the results. The order of the trials matters: a good one that comes late does "
        "not help before.",
    ),
    Mistake(
        lambda *a: best_with(*a, so_far=lambda s: np.cumsum(s) / np.arange(1, len(s) + 1)),
        "You average over the trials. A search keeps its best, so that a bad trial costs nothing "
        "but time.",
    ),
]

# --- 12.5 Build: the median rule ------------------------------------------------------------------


def median_rule(curves, startup):
    return median_with(curves, startup)


def gone_as_far(curves, reached, k, epoch):
    """What the earlier trials had at an epoch (from 0), those that got there."""
    return [curves[j, epoch] for j in range(k) if reached[j] > epoch]


def median_with(
    curves,
    startup,
    *,
    bar=np.median,
    others=gone_as_far,
    below=lambda value, bar: value < bar,
    last=1,
    first=0,
    full=False,
    late=0,
):
    """`last`: epochs at the end without the rule; `late`: epochs not paid when one is stopped."""
    curves = np.asarray(curves)
    epochs = curves.shape[1]
    stopped, reached, spent = [], [], 0
    for k, curve in enumerate(curves):
        paid, stop = epochs, False
        for epoch in range(first, epochs - last if k >= startup else 0):
            earlier = others(curves, reached, k, epoch)
            if len(earlier) and below(curve[epoch], bar(earlier)):
                paid, stop = epoch + 1, True
                break
        stopped.append(stop)
        reached.append(paid)
        spent += epochs if full else paid - late * stop
    return stopped, spent


def median_on_a_board(curves, startup):
    """One list of accuracies for each epoch."""
    board = [[] for _ in curves[0]]
    stopped = np.zeros(len(curves), dtype=bool)
    for k in range(len(curves)):
        for epoch, accuracy in enumerate(curves[k]):
            seen = sorted(board[epoch])
            half = len(seen) // 2
            board[epoch].append(accuracy)
            if k < startup or epoch == len(board) - 1:
                continue
            middle = seen[half] if len(seen) % 2 else (seen[half - 1] + seen[half]) / 2
            if accuracy < middle:
                stopped[k] = True
                break
    return stopped, sum(map(len, board))


def median_with_gaps(curves, startup):
    """What was not trained is NaN."""
    seen = np.array(curves, dtype=float)
    for k in range(startup, len(seen)):
        under = seen[k, :-1] < np.nanmedian(seen[:k, :-1], axis=0)
        if under.any():
            seen[k, under.argmax() + 1 :] = np.nan
    return np.isnan(seen[:, -1]), np.isfinite(seen).sum()


def median_by_lengths(curves, startup):
    lengths, epochs = np.full(len(curves), curves.shape[1]), curves.shape[1]
    for k in range(startup, len(curves)):
        t = 0
        while t < epochs - 1 and curves[k, t] >= np.median(curves[:k, t][lengths[:k] > t]):
            t += 1
        lengths[k] = t + 1
    return (lengths < epochs).tolist(), int(lengths.sum())


def inputs_5(rng):
    cases = []
    for count, epochs, startup in ((12, 5, 3), (20, 8, 4), (9, 4, 1), (15, 3, 2)):
        final = rng.uniform(0.3, 0.95, (count, 1))
        looks = np.arange(1, epochs + 1)
        noise = 0.15 * rng.normal(size=(count, epochs)) / np.sqrt(looks)
        curves = np.clip(final * (1 - 0.5 / np.sqrt(looks)) + noise, 0.01, 0.99)
        cases.append((curves, startup))
    # equal to the median; a late riser; a poor second trial; a poor end; one that falls back
    curves = np.array(
        [
            [0.30, 0.50, 0.70, 0.80],
            [0.20, 0.30, 0.40, 0.50],
            [0.60, 0.70, 0.80, 0.90],
            [0.30, 0.50, 0.70, 0.60],
            [0.10, 0.60, 0.90, 0.95],
            [0.50, 0.60, 0.55, 0.97],
            [0.40, 0.55, 0.75, 0.30],
            [0.31, 0.45, 0.80, 0.85],
        ]
    )
    return [*cases, (curves, 2), (curves, 3), (curves[::-1].copy(), 1)]


median_mistakes = [
    Mistake(
        lambda *a: median_with(*a, below=lambda value, bar: value > bar),
        "You stop what is *above* the median. Accuracy is better when it is higher.",
    ),
    Mistake(
        lambda *a: median_with(*a, below=lambda value, bar: value <= bar),
        "You stop a trial that equals the median. Only one below it is stopped.",
    ),
    Mistake(
        lambda *a: median_with(*a, bar=np.mean),
        "You compare with the mean. One very poor trial pulls a mean down; a median hardly moves.",
    ),
    Mistake(
        lambda *a: median_with(*a, bar=np.max),
        "You compare with the best earlier trial. Then hardly anything but a new best goes on.",
    ),
    Mistake(
        lambda *a: median_with(*a, others=lambda curves, reached, k, epoch: curves[:, epoch]),
        "You compare with all trials. Those that come later have not been trained yet.",
    ),
    Mistake(
        lambda *a: median_with(*a, others=lambda curves, reached, k, epoch: curves[:k, epoch]),
        "You also compare with epochs that were never trained: a trial that was stopped after "
        "epoch 2 has no accuracy at epoch 3.",
    ),
    Mistake(
        lambda *a: median_with(
            *a,
            others=lambda curves, reached, k, epoch: [
                curves[j, epoch] for j in range(k) if reached[j] == curves.shape[1]
            ],
        ),
        "You compare with the trials that were trained to the end. Those that were stopped later "
        "than this epoch count too, and they lower the median.",
    ),
    Mistake(
        lambda *a: median_with(
            *a,
            others=lambda curves, reached, k, epoch: [
                curves[j, -1] for j in range(k) if reached[j] == curves.shape[1]
            ],
        ),
        "You compare with final accuracies. A trial is compared with the others *at the same "
        "epoch*: early on, all are low.",
    ),
    Mistake(
        lambda *a: median_with(
            *a,
            others=lambda curves, reached, k, epoch: [
                *gone_as_far(curves, reached, k, epoch),
                curves[k, epoch],
            ],
        ),
        "You let the trial itself into the median. It is compared with the earlier ones.",
    ),
    Mistake(
        lambda curves, startup: median_with(curves, 1),
        "You forget `startup`: that many trials run to the end, whatever they reach.",
    ),
    Mistake(
        lambda curves, startup: median_with(curves, startup + 1),
        "You start one trial too late. With startup = 2 the third trial can be stopped.",
    ),
    Mistake(
        lambda *a: median_with(*a, last=0),
        "You stop trials after their last epoch. There is nothing left to stop: they are finished.",
    ),
    Mistake(
        lambda *a: median_with(*a, first=1),
        "You do not look after the first epoch. The rule holds from there on.",
    ),
    Mistake(
        lambda *a: median_with(*a, full=True),
        "You pay for every trial as if it had run to the end. A stopped one costs the epochs up to "
        "and with the one after which it was stopped.",
    ),
    Mistake(
        lambda *a: median_with(*a, late=1),
        "You do not pay for the epoch after which a trial is stopped. It was trained: how else "
        "would its accuracy be known?",
    ),
]

# --- 12.6 Build: choose here, report there --------------------------------------------------------


def report(validation, right, draws):
    return report_with(validation, right, draws)


def report_with(validation, right, draws, *, choose=None, limits=(5, 95), spread=None):
    validation, right = np.asarray(validation), np.asarray(right, dtype=float)
    k = int(choose(validation, right) if choose else np.argmax(validation))
    means = right[k][np.asarray(draws)].mean(axis=1)
    low, high = spread(right[k], means) if spread else np.percentile(means, limits)
    return k, float(right[k].mean()), float(low), float(high)


def report_by_counts(validation, right, draws):
    """How often each example is drawn, as a matrix."""
    k, size = int(np.argsort(-validation, kind="stable")[0]), right.shape[1]
    counts = np.stack([np.bincount(row, minlength=size) for row in draws])
    low, high = np.quantile(counts @ right[k] / size, [0.05, 0.95])
    return k, np.count_nonzero(right[k]) / size, low, high


def report_by_lists(validation, right, draws):
    k = list(validation).index(max(validation))
    hits = [bool(hit) for hit in right[k]]
    means = sorted(sum(hits[i] for i in row) / len(row) for row in draws)

    def percentile(p):
        place = p / 100 * (len(means) - 1)
        low = int(place)
        high = min(low + 1, len(means) - 1)
        return means[low] + (place - low) * (means[high] - means[low])

    return k, sum(hits) / len(hits), percentile(5), percentile(95)


def report_by_columns(validation, right, draws):
    (k, *_) = np.flatnonzero(validation == validation.max())
    sampled = np.take(right, draws, axis=1)[k]  # (resamples, examples)
    ends = [np.percentile(np.mean(sampled, axis=-1), p) for p in (5.0, 95.0)]
    return (int(k), np.mean(right, axis=1)[k], *ends)


def inputs_6(rng):
    # chosen by validation: 1; by the sum: 2; by the test set: 0; least validation: 3
    cases = []
    for examples, resamples in ((60, 200), (100, 101), (40, 50)):
        order = rng.permutation(5)
        validation = np.array([0.8, 0.95, 0.93, 0.6, 0.7])[order]
        hits = np.array([0.9, 0.6, 0.8, 0.5, 0.7])[order] * examples + rng.integers(-2, 3)
        right = rng.permuted(np.arange(examples) < np.round(hits)[:, None], axis=1)
        cases.append((validation, right, rng.integers(0, examples, (resamples, examples))))
    return cases


def interval(right, means):
    half = 1.645 * means.std()
    return right.mean() - half, right.mean() + half


report_mistakes = [
    Mistake(
        lambda *a: report_with(*a, choose=lambda validation, right: right.mean(axis=1).argmax()),
        "You choose by the test set. Then its accuracy is the greatest of several noisy numbers, "
        "and no longer an honest estimate.",
    ),
    Mistake(
        lambda *a: report_with(
            *a, choose=lambda validation, right: (validation + right.mean(axis=1)).argmax()
        ),
        "You let the test set have a say in the choice. It has none.",
    ),
    Mistake(
        lambda v, right, draws: (
            (k := int(np.argmax(v))),
            float(v[k]),
            *report_with(v, right, draws)[2:],
        ),
        "You report the validation accuracy by which you chose. Report the accuracy on the test "
        "set.",
    ),
    Mistake(
        lambda *a: report_with(*a, limits=(2.5, 97.5)),
        "Your interval covers 95 % of the resamples. 90 % are wanted: 5 % on each side.",
    ),
    Mistake(
        lambda *a: report_with(*a, limits=(10, 90)),
        "Your interval covers 80 % of the resamples: you leave 10 % on *each* side.",
    ),
    Mistake(
        lambda *a: report_with(*a, spread=interval),
        "You use 1.645 standard deviations. That is close, but the percentiles themselves are "
        "wanted.",
    ),
    Mistake(
        lambda *a: report_with(*a, spread=lambda right, means: (means.min(), means.max())),
        "You return the ends of all resamples. They move further out the more you draw.",
    ),
    Mistake(
        lambda v, right, draws: report(v, right, np.sort(draws, axis=0)[:, :1]),
        "Each of your resamples has one example. A resample is as long as the test set.",
    ),
    Mistake(
        lambda v, right, draws: report(-np.asarray(v), right, draws),
        "You chose the least accuracy on the validation data.",
    ),
]

# --- 12.7 Find the bug: the epoch that knew the answer --------------------------------------------


def tune(validation, test):
    return tune_with(validation, test)


def tune_with(validation, test, *, row=None, epoch=None, value=None):
    """`row`, `epoch`, `value`: functions that replace the choice and the report."""
    k = row(validation, test) if row else validation.max(axis=1).argmax()
    e = epoch(validation[k], test[k]) if epoch else validation[k].argmax()
    return int(k), int(e), float(value(validation, test, k, e) if value else test[k, e])


def tune_flat(validation, test):
    k, e = divmod(int(np.argmax(validation)), validation.shape[1])
    return k, e, test[k, e]


def inputs_7(rng):
    # rows: best validation; best at the end; best mean; best test
    validation = [
        [0.60, 0.70, 0.95, 0.80, 0.70, 0.60],
        [0.50, 0.60, 0.70, 0.90, 0.80, 0.86],
        [0.84, 0.84, 0.85, 0.84, 0.84, 0.80],
        [0.50, 0.60, 0.65, 0.70, 0.75, 0.72],
    ]
    test = [
        [0.60, 0.70, 0.75, 0.80, 0.89, 0.60],
        [0.50, 0.87, 0.70, 0.73, 0.80, 0.77],
        [0.80, 0.81, 0.82, 0.83, 0.79, 0.80],
        [0.60, 0.96, 0.70, 0.74, 0.72, 0.70],
    ]
    cases = []
    for _ in range(3):
        order = rng.permutation(4)
        noise = rng.uniform(-0.004, 0.004, (2, 4, 6))
        cases.append((np.array(validation)[order] + noise[0], np.array(test)[order] + noise[1]))
    return [*cases, tuple(0.5 + 0.05 * rng.normal(size=(9, 7)) for _ in range(2))]


tune_mistakes = [
    Mistake(
        lambda v, t: tune_with(
            v, t, row=lambda v, t: v[:, -1].argmax(), epoch=lambda v, t: t.argmax()
        ),
        "This is the code as it was given. Go through it line by line: which decisions does the "
        "test set take part in?",
    ),
    Mistake(
        lambda v, t: tune_with(v, t, epoch=lambda v, t: t.argmax()),
        "Your configuration is chosen well, but the epoch is still picked on the test curve.",
    ),
    Mistake(
        lambda v, t: tune_with(v, t, row=lambda v, t: v[:, -1].argmax()),
        "You compare configurations at their last epoch, and stop at another one. Compare them at "
        "the epoch at which each would stop.",
    ),
    Mistake(
        lambda v, t: tune_with(
            v, t, row=lambda v, t: v[:, -1].argmax(), epoch=lambda v, t: len(v) - 1
        ),
        "You dropped early stopping. It may stay, if the validation curve decides where.",
    ),
    Mistake(
        lambda v, t: tune_with(v, t, value=lambda v, t, k, e: v[k, e]),
        "You report the greatest of all validation accuracies. It is optimistic for the same "
        "reason: report the test accuracy at that place.",
    ),
    Mistake(
        lambda v, t: tune_with(v, t, value=lambda v, t, k, e: t[k].max()),
        "Your choice is right, but you report the best of the test curve. Report it at the epoch "
        "that you chose.",
    ),
    Mistake(
        lambda v, t: tune_with(
            v, t, row=lambda v, t: t.max(axis=1).argmax(), epoch=lambda v, t: t.argmax()
        ),
        "Now everything is chosen on the test set. Nothing may be.",
    ),
    Mistake(
        lambda v, t: tune_with(v, t, row=lambda v, t: v.mean(axis=1).argmax()),
        "You compare configurations by the mean of their curves, which punishes slow starters. "
        "Compare their best epochs.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "12.1",
        rates_tried,
        inputs_1,
        rates_mistakes,
        [
            "First: how many different configurations do so many trainings pay for?",
            "A grid with k values on each of d axes has k^d points, and k different rates.",
        ],
    ),
    Exercise(
        "12.2",
        trials_needed,
        inputs_2,
        trials_mistakes,
        [
            "What is the chance that one trial misses? That n trials all miss?",
            "Solve (1 - share)^n <= 1 - chance for n, with logarithms, and round to the next "
            "whole number that satisfies it.",
        ],
    ),
    Exercise(
        "12.3",
        log_shares,
        inputs_3,
        log_mistakes,
        [
            "For bounds of 1 and 100: which share of the draws lies below 10?",
            "The given line finds where each edge lies between the bounds. Do the same with the "
            "logarithms of all three.",
        ],
        points=2,
    ),
    Exercise(
        "12.4",
        best_so_far,
        inputs_4,
        best_mistakes,
        [
            "Two steps: for each draw the number of the nearest rate, then a running best.",
            "`np.log(rates) - np.log(drawn)[:, None]` has a row for each draw. "
            "`np.maximum.accumulate` keeps a running best.",
        ],
        points=2,
    ),
    Exercise(
        "12.5",
        median_rule,
        inputs_5,
        median_mistakes,
        [
            "Go through the trials in order, and remember for each how many epochs it was trained.",
            "At epoch e of trial k: the median of `curves[j, e]` over the j < k that were trained "
            "so far. The loop over the epochs ends before the last one.",
        ],
        points=3,
    ),
    Exercise(
        "12.6",
        report,
        inputs_6,
        report_mistakes,
        [
            "The choice needs `validation` only, and all the rest needs the chosen row of `right` "
            "only.",
            "`right[k][draws]` has shape (resamples, examples): one mean per row. "
            "`np.percentile` does the rest.",
        ],
        points=3,
    ),
    Exercise(
        "12.7",
        tune,
        inputs_7,
        tune_mistakes,
        [
            "Two things are decided, the row and the epoch, and one is reported.",
            "Cross out `test` in every line but the one that reports.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "12.4": [best_one_by_one, best_by_borders, best_by_ratio],
    "12.5": [median_on_a_board, median_with_gaps, median_by_lengths],
    "12.6": [report_by_counts, report_by_lists, report_by_columns],
    "12.7": [tune_flat],
}
