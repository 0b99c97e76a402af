"""Truncation length against learnable lag, with and without a carried state.

The task: name the input of `lag` steps ago, x_t = -1 or 1 at random. 64 streams are cut into
windows. The network reads a window and answers at its last step; then its weights are updated.
Every window is new, so that the error before the update is a test error.
"""

import keras
import numpy as np

STREAMS, UNITS, UPDATES, CHUNK = 64, 32, 600, 50
LAGS, WINDOWS, SEEDS = (2, 4, 8), (1, 2, 3, 4, 5, 8, 9, 12), (0, 1, 2)


def grid(mode, lags, windows, rate=0.005):
    return [
        {"mode": mode, "lag": lag, "window": window, "rate": rate, "seed": seed}
        for lag in lags
        for window in windows
        for seed in SEEDS
    ]


SETTINGS = [
    *grid("shuffled", LAGS, WINDOWS),
    *grid("carried", LAGS, WINDOWS),
    *grid("frozen", LAGS, (1,)),
    *grid("carried", (8,), WINDOWS, rate=0.001),
]


def run(*, mode, lag, window, rate, seed):
    # shuffled: every window starts from zeros. carried: from the state after the window before.
    # frozen: carried, but only the readout is trained.
    keras.utils.set_random_seed(seed)
    layer = keras.layers.SimpleRNN(UNITS, stateful=mode != "shuffled", unroll=True)
    layer.trainable = mode != "frozen"
    inputs = keras.Input(batch_shape=(STREAMS, window, 1))
    model = keras.Sequential([inputs, layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse", jit_compile=True)

    x = np.random.default_rng(seed).choice([-1.0, 1.0], size=(STREAMS, lag + UPDATES * window))
    windows = x[:, lag:].reshape(STREAMS, UPDATES, window, 1)
    targets = x[:, window - 1 :: window][:, :UPDATES]  # `lag` steps before each window's last step
    curve = []
    for first in range(0, UPDATES, CHUNK):
        now = slice(first, first + CHUNK)
        history = model.fit(
            windows[:, now].swapaxes(0, 1).reshape(-1, window, 1),  # a batch: one window per stream
            targets[:, now].T.reshape(-1, 1),
            batch_size=STREAMS,
            shuffle=mode == "shuffled",
            verbose=0,
        )
        curve.append(round(history.history["loss"][0], 5))
    eigenvalues = np.linalg.eigvals(np.asarray(layer.cell.recurrent_kernel))
    return {"error": curve[-1], "curve": curve, "radius": round(float(abs(eigenvalues).max()), 3)}
