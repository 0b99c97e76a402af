"""What does depth buy at equal parameters? Digits read pixel by pixel, two pixels a step.

Lesson 08 reads the results: stacks of one to four GRU layers with about 8,000 weights each, plain
and with residual connections, and as a control one layer as narrow as those of the stack of four.
Same data, updates and learning rate for all. Digits are 32 steps of two neighbouring pixels.
"""

import keras
import numpy as np

from course_utils.datasets import load_digit_sequences

WEIGHTS, FEATURES, CLASSES, BATCH, STEPS, PARTS = 8000, 2, 10, 64, 600, 6
RUNS = [(depth, residual) for residual in (False, True) for depth in (1, 2, 3, 4)]
RUNS.remove((1, True))  # the same as (1, False)


def count(units, depth):
    """Weights of a stack of GRU layers and a Dense readout."""
    layers = [3 * units * (size + units + 2) for size in (FEATURES, *[units] * (depth - 1))]
    return sum(layers) + (units + 1) * CLASSES


def nearest(depth):
    """The units that bring the number of weights nearest to WEIGHTS."""
    return min(range(1, 100), key=lambda units: abs(count(units, depth) - WEIGHTS))


SETTINGS = [
    {"depth": depth, "residual": residual, "units": units, "seed": seed}
    for depth, residual, units in [*((d, r, nearest(d)) for d, r in RUNS), (1, False, nearest(4))]
    for seed in (0, 1, 2)
]


def run(depth, residual, units, seed):
    """Train; return test accuracy and cross-entropy, and the training loss along the way."""
    keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = load_digit_sequences("pixel")
    x, x_test = (a.reshape(len(a), -1, FEATURES) for a in (x, x_test))
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(x)) for _ in range(BATCH * STEPS // len(x) + 1)])
    order = order[: BATCH * STEPS].reshape(PARTS, -1)

    stream = inputs = keras.Input(x.shape[1:])
    for layer in range(depth):
        states = keras.layers.GRU(units, return_sequences=True)(stream)
        stream = stream + states if residual and layer > 0 else states
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(stream[:, -1]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(5e-3, global_clipnorm=1.0)
    model.compile(optimizer, loss, jit_compile=True, steps_per_execution=25)
    curve = []
    for part in order:
        history = model.fit(x[part], y[part], batch_size=BATCH, shuffle=False, verbose=0)
        curve.append(round(history.history["loss"][0], 4))
    answers = np.asarray(model(x_test))
    return {
        "parameters": model.count_params(),
        "accuracy": round(float(np.mean(answers.argmax(axis=1) == y_test)), 4),
        "test_loss": round(float(loss(y_test, answers)), 4),
        "train_loss": curve,
    }
