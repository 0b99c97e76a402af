"""How far does a network get that must say whether x_{t-3} + x_{t+3} > 1?

Lesson 08 reads the results: accuracy at each of 30 positions for networks that read forwards
("causal": three widths, and one of them four times as long), backwards, in both directions, and
forwards with the answer due three steps later ("delayed"). Fresh data at every step.
"""

import keras
import numpy as np

LENGTH, SHIFT, BATCH = 30, 3, 64
RUNS = [("causal", 16, 600), ("causal", 32, 600), ("causal", 128, 600), ("causal", 32, 2400)]
RUNS += [("backward", 16, 600), ("bidirectional", 16, 600), ("delayed", 22, 600)]
SETTINGS = [
    {"network": network, "units": units, "steps": steps, "seed": seed}
    for network, units, steps in RUNS
    for seed in (0, 1, 2)
]


def tagging(examples, seed):
    """Numbers x_t from [0, 1) and tags [x_{t-3} + x_{t+3} > 1]; outside, 1/2 stands in."""
    x = np.random.default_rng(seed).random((examples, LENGTH), dtype="float32")
    padded = np.pad(x, ((0, 0), (SHIFT, SHIFT)), constant_values=0.5)
    tags = padded[:, : -2 * SHIFT] + padded[:, 2 * SHIFT :] > 1
    return x[..., None], tags[..., None].astype("float32")


def run(network, units, steps, seed):
    """Train a GRU with a Dense(1) readout; return the accuracy at each position."""
    keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = tagging(BATCH * steps, seed), tagging(2000, 10_000 + seed)
    if network == "backward":  # the same as reading everything in reverse
        x, y, x_test, y_test = (np.flip(array, axis=1) for array in (x, y, x_test, y_test))
    late = SHIFT if network == "delayed" else 0  # three more inputs; the first answers are cut
    x, x_test = (np.pad(a, ((0, 0), (0, late), (0, 0)), constant_values=0.5) for a in (x, x_test))
    recurrent = keras.layers.GRU(units, return_sequences=True)
    if network == "bidirectional":
        recurrent = keras.layers.Bidirectional(recurrent)
    readout = [keras.layers.Dense(1), keras.layers.Cropping1D((late, 0))]
    model = keras.Sequential([keras.Input((LENGTH + late, 1)), recurrent, *readout])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)
    model.compile(optimizer, loss, jit_compile=True, steps_per_execution=20)
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    right = (np.asarray(model(x_test)) > 0) == (y_test > 0.5)
    if network == "backward":
        right = np.flip(right, axis=1)
    accuracy = right.mean(axis=(0, 2))
    return {
        "parameters": model.count_params(),
        "accuracy": [round(float(a), 4) for a in accuracy],
        "inner": round(float(accuracy[SHIFT:-SHIFT].mean()), 4),
    }
