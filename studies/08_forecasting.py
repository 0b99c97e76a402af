"""What is the error of a bidirectional forecaster, as it is trained and as it is used?

Lesson 08 reads the results. The series is x_{t+1} = 0.8 x_t + 0.6 e_t with normal e_t. A network
predicts x_{t+1} at every step t. "shifted": it reads x_1 … x_20. "dropped": it reads x_1 … x_21
and its last output is dropped. In use it gets x_1 … x_t and its last output counts.
"""

import keras
import numpy as np
from keras import ops

BATCH, STEPS, PREFIXES = 64, 400, (2, 5, 10, 15, 20)
SETTINGS = [
    {"bidirectional": bidirectional, "cut": cut, "seed": seed}
    for bidirectional, cut in ((False, "shifted"), (True, "shifted"), (True, "dropped"))
    for seed in (0, 1, 2)
]


def series(examples, seed, length=21):
    """The series, started in its stationary distribution, (examples, length, 1)."""
    noise = np.random.default_rng(seed).normal(size=(length, examples, 1)).astype("float32")
    x = [noise[0]]
    for e in noise[1:]:
        x.append(0.8 * x[-1] + 0.6 * e)
    return np.stack(x, axis=1)


def run(bidirectional, cut, seed):
    """Train on fresh series; return the test errors step by step, and in use by steps given."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.GRU(16, return_sequences=True)
    layer = keras.layers.Bidirectional(layer) if bidirectional else layer
    model = keras.Sequential([keras.Input((None, 1)), layer, keras.layers.Dense(1)])
    read = 20 if cut == "shifted" else 21

    def error(targets, answers):
        return ops.mean((targets - answers[:, :20]) ** 2)

    x, test = series(BATCH * STEPS, seed), series(2000, 10_000 + seed)
    optimizer = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)
    model.compile(optimizer, error, jit_compile=True, steps_per_execution=20)
    model.fit(x[:, :read], x[:, 1:], batch_size=BATCH, shuffle=False, verbose=0)
    squares = (np.asarray(model(test[:, :read]))[:, :20] - test[:, 1:]) ** 2
    last = [np.asarray(model(test[:, :t]))[:, -1] for t in PREFIXES]
    in_use = [np.mean((a - test[:, t]) ** 2) for a, t in zip(last, PREFIXES, strict=True)]
    return {
        "parameters": model.count_params(),
        "as_trained": [round(float(e), 6) for e in squares.mean(axis=(0, 2))],
        "in_use": [round(float(e), 4) for e in in_use],
        "floor": round(float(np.mean((0.8 * test[:, :-1] - test[:, 1:]) ** 2)), 4),
        "persistence": round(float(np.mean((test[:, :-1] - test[:, 1:]) ** 2)), 4),
    }
