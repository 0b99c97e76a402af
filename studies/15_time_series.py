"""Networks on three series: sunspots (11 years ahead), carbon dioxide (12 months), random walks.

`part` says what a row is for: "tune" (trained before the validation years, scored on them), "test"
(trained before the cut, scored after it), "leak" (windows split at random), "scale" (scaled by the
whole series), "interval" (three quantiles in place of one forecast). Everything that a forecast
needs is known before its first target; windows are trained on only if their last target is, too.
"""

import course_utils.quiet  # noqa: F401, I001  before Keras
import keras
import numpy as np
from keras import ops

from course_utils.datasets import load_series

HORIZON = {"sunspots": 11, "co2": 12, "walk": 1}
CUTS = {"sunspots": (140, 220), "co2": (324, 394), "walk": (800, 1000)}  # validation, test
UNITS = {"sunspots": 16, "co2": 24, "walk": 16}
LAYERS = {"GRU": keras.layers.GRU, "LSTM": keras.layers.LSTM, "RNN": keras.layers.SimpleRNN}
LEVELS = np.array([0.1, 0.5, 0.9])
BATCH, RATE = 32, 5e-3
ORIGINS = [10, 34, 58]  # of the intervals that are kept


def setting(part, series, model, target, lags, epochs, form="direct", seeds=5):
    row = {"part": part, "series": series, "model": model, "target": target}
    return [row | {"lags": lags, "epochs": epochs, "form": form, "seed": s} for s in range(seeds)]


SETTINGS = []
for target, grid in (
    ("raw", ((9, 30), (9, 60), (9, 120), (24, 30))),
    ("sqrt", ((9, 30), (9, 60), (9, 120), (24, 15), (24, 30), (24, 60))),
):
    for lags, epochs in grid:
        SETTINGS += setting("tune", "sunspots", "GRU", target, lags, epochs, seeds=3)
for target in ("levels", "relative"):
    for epochs in (20, 40, 80, 160, 320):
        SETTINGS += setting("tune", "co2", "GRU", target, 36, epochs, seeds=3)
for epochs in (30, 60, 120):
    SETTINGS += setting("tune", "sunspots", "GRU", "sqrt", 9, epochs, "recursive", seeds=3)
SETTINGS += setting("test", "sunspots", "GRU", "sqrt", 9, 60)
SETTINGS += setting("test", "sunspots", "GRU", "sqrt", 24, 30)
SETTINGS += setting("test", "sunspots", "GRU", "sqrt", 9, 60, "recursive")
SETTINGS += setting("test", "sunspots", "GRU", "raw", 9, 60, seeds=3)
SETTINGS += setting("test", "sunspots", "LSTM", "sqrt", 9, 60, seeds=3)
SETTINGS += setting("test", "sunspots", "RNN", "sqrt", 9, 60, seeds=3)
SETTINGS += setting("leak", "sunspots", "GRU", "sqrt", 9, 60, seeds=3)
SETTINGS += setting("interval", "sunspots", "GRU", "sqrt", 9, 60)
SETTINGS += setting("test", "walk", "GRU", "relative", 20, 20, seeds=3)
SETTINGS += setting("test", "walk", "GRU", "levels", 20, 20, seeds=3)
SETTINGS += setting("test", "co2", "GRU", "levels", 36, 320)
SETTINGS += setting("test", "co2", "GRU", "relative", 36, 320)
SETTINGS += setting("leak", "co2", "GRU", "levels", 36, 320, seeds=3)
SETTINGS += setting("scale", "co2", "GRU", "levels", 36, 320, seeds=3)
SETTINGS += setting("interval", "co2", "GRU", "relative", 36, 320, seeds=3)


def series_values(series, seed):
    if series == "walk":
        return np.cumsum(np.random.default_rng(1000 + seed).normal(size=1300))
    return load_series(series)[1]


def windows(values, lags, horizon):
    """Inputs (N, lags), targets (N, horizon), and the index of each window's first target."""
    view = np.lib.stride_tricks.sliding_window_view(values, lags + horizon)
    return view[:, :lags], view[:, lags:], np.arange(len(view)) + lags


class Scaling:
    """To the network's scale and back, with statistics of `known` values only."""

    def __init__(self, target, known):
        self.target = target
        known = np.sqrt(known) if target == "sqrt" else known
        self.mean, self.deviation = known.mean(), known.std()
        if target == "relative":
            self.deviation = np.diff(known).std()

    def __call__(self, x, last):
        """`last` (N, 1): the last known value of each window."""
        if self.target == "relative":
            return (x - last) / self.deviation
        return ((np.sqrt(x) if self.target == "sqrt" else x) - self.mean) / self.deviation

    def back(self, z, last):
        if self.target == "relative":
            return last + self.deviation * z
        x = self.mean + self.deviation * z
        return np.maximum(x, 0) ** 2 if self.target == "sqrt" else x


def pinball(y, q):
    """Mean quantile loss of q (B, horizon, 3) for targets y (B, horizon)."""
    error = ops.expand_dims(y, -1) - q
    levels = ops.convert_to_tensor(LEVELS, q.dtype)
    return ops.mean(ops.maximum(levels * error, (levels - 1) * error))


def fit_network(x, y, *, model, units, epochs, seed, quantiles=False):
    """Train on windows x (N, lags), y (N, horizon): all epochs end to end, in full batches."""
    keras.utils.set_random_seed(seed)
    head = [keras.layers.Dense(y.shape[1])]
    if quantiles:
        head = [keras.layers.Dense(3 * y.shape[1]), keras.layers.Reshape((y.shape[1], 3))]
    net = keras.Sequential([keras.Input((x.shape[1], 1)), LAYERS[model](units), *head])
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(x)) for _ in range(epochs)])
    steps = len(order) // BATCH
    order = order[: steps * BATCH]
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    loss = pinball if quantiles else "mse"
    net.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss, jit_compile=True)
    x, y = x.astype("float32")[..., None], y.astype("float32")
    net.fit(x[order], y[order], batch_size=BATCH, shuffle=False, verbose=0)
    return net


def forecast(net, x, scaling, horizon, form):
    """Forecasts of every window, (N, horizon) or (N, horizon, 3), in the unit of the series."""
    last = x[:, -1:]
    if form == "direct":
        z = ops.convert_to_numpy(net(scaling(x, last).astype("float32")[..., None]))
        return scaling.back(z, last[..., None] if z.ndim == 3 else last)
    for _ in range(horizon):
        step = forecast(net, x[:, -net.input_shape[1] :], scaling, 1, "direct")
        x = np.concatenate([x, step], axis=1)
    return x[:, -horizon:]


def run(part, series, model, target, lags, epochs, form, seed, *, keep=False):
    """RMSE per horizon and what else the lesson needs; with `keep` the network and forecasts."""
    values, horizon = series_values(series, seed), HORIZON[series]
    cut, end = (*CUTS[series], len(values))[0 if part == "tune" else 1 :][:2]
    scaling = Scaling(target, values if part == "scale" else values[:cut])
    x, y, start = windows(values, lags, horizon)
    train, test = start + horizon <= cut, (start >= cut) & (start + horizon <= end)
    if part == "leak":  # as many test windows as in the honest split
        chosen = np.random.default_rng(seed).permutation(len(x))[: test.sum()]
        test = np.isin(np.arange(len(x)), chosen)
        train = ~test
    x_train, y_train, _ = windows(values, lags, 1) if form == "recursive" else (x, y, start)
    if form == "recursive":
        train = np.arange(len(x_train)) + lags + 1 <= cut
    last = x_train[train][:, -1:]
    net = fit_network(
        scaling(x_train[train], last),
        scaling(y_train[train], last),
        model=model,
        units=UNITS[series],
        epochs=epochs,
        seed=seed,
        quantiles=part == "interval",
    )
    found = forecast(net, x[test], scaling, horizon, form)
    truth = y[test]
    if part == "interval":
        low, middle, high = np.moveaxis(found, -1, 0)
        result = {
            "coverage": np.mean((low <= truth) & (truth <= high), axis=0).round(4).tolist(),
            "below": np.mean(truth < low, axis=0).round(4).tolist(),
            "above": np.mean(truth > high, axis=0).round(4).tolist(),
            "width": np.mean(high - low, axis=0).round(3).tolist(),
            "crossed": float(np.mean((low > middle) | (middle > high))),
            "fan": found[ORIGINS].round(2).tolist(),
        }
    else:
        error = found - truth
        result = {
            "rmse": np.sqrt(np.mean(error**2, axis=0)).round(4).tolist(),
            "total": float(np.sqrt(np.mean(error**2))),
        }
        if part == "test" and series == "co2":
            result["last"] = found[:, -1].round(2).tolist()
        if part == "test" and series == "sunspots" and (model, target) == ("GRU", "sqrt"):
            result["all"] = found.round(1).tolist()
    if keep:
        result |= {"net": net, "found": found, "truth": truth, "scaling": scaling}
    return result
