"""Which hidden size do three tasks want, and is it the mean of the input and output sizes?

Lesson 12 reads the results. A GRU and a dense layer, Adam, batches of 32, gradients clipped to
global norm 1, the same number of steps for every size; each size at three rates. "digits": 8 rows
of 8 pixels, 10 classes (the mean is 9). "adding": the adding problem of length 30, 2 inputs, 1
output (1.5). "marker": 30 symbols out of 64; which of two of them came last? 64 inputs, 2 outputs
(33). The digits are seen for 8 epochs; the other two tasks make fresh data.
"""

import functools
import time

import keras
import numpy as np
import tensorflow as tf

from course_utils.datasets import load_digit_sequences
from course_utils.tasks import adding_problem

BATCH, LENGTH, SYMBOLS = 32, 30, 64
SHAPES = {"digits": (8, 8, 10), "adding": (LENGTH, 2, 1), "marker": (LENGTH, SYMBOLS, 2)}
SIZES = {
    "digits": (2, 4, 9, 16, 32, 64, 128),
    "adding": (1, 2, 4, 8, 16, 32, 64),
    "marker": (1, 2, 4, 8, 16, 33, 64),
}
STEPS = {"digits": 280, "adding": 500, "marker": 500}
KEYS = ("task", "units", "rate", "seed")
ROWS = [(task, n, rate) for task in SIZES for n in SIZES[task] for rate in (3e-3, 1e-2, 3e-2)]
SETTINGS = [dict(zip(KEYS, (*row, seed), strict=True)) for row in ROWS for seed in (0, 1, 2)]


def last_marker(examples, seed):
    """Sequences of symbols 0 to 63, one-hot; 0 and 1 are the markers, each step one in 8 times."""
    rng = np.random.default_rng(seed)
    symbols = rng.integers(2, SYMBOLS, (examples, LENGTH))
    marked = rng.random((examples, LENGTH)) < 1 / 8
    marked[np.arange(examples), rng.integers(0, LENGTH, examples)] = True  # at least one
    symbols[marked] = rng.integers(0, 2, marked.sum())
    last = LENGTH - 1 - np.argmax(symbols[:, ::-1] < 2, axis=1)
    labels = symbols[np.arange(examples), last]
    return np.eye(SYMBOLS, dtype="float32")[symbols], labels.astype("int32")


@functools.cache
def digits():
    """Three pairs of sequences and labels: training, validation, test."""
    (x, y), test = load_digit_sequences("row")
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order[300:]], y[order[300:]]), (x[order[:300]], y[order[:300]]), test


def data(task, seed):
    """The batches of training, and two pairs (inputs, targets): validation and test."""
    steps = STEPS[task]
    if task == "digits":
        (x, y), *held_out = digits()
        shuffled = np.random.default_rng(seed)
        epochs = [shuffled.permutation(len(x))[: len(x) // BATCH * BATCH] for _ in range(8)]
        order = np.concatenate(epochs).reshape(steps, BATCH)
        return x[order], y[order], *held_out
    make = {"marker": last_marker, "adding": lambda n, seed: adding_problem(n, LENGTH, seed=seed)}
    x, y = make[task](steps * BATCH, seed)
    held_out = [make[task](1000, start + seed) for start in (10_000, 20_000)]
    return *(a.reshape(steps, BATCH, *a.shape[1:]) for a in (x, y)), *held_out


@functools.cache
def network(task, units):
    """A model, its optimizer, and two compiled functions: some steps of training, and the error."""
    *shape, outputs = SHAPES[task]
    layers = [keras.layers.GRU(units), keras.layers.Dense(outputs)]
    model = keras.Sequential([keras.Input(shape), *layers])
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss_of = keras.losses.MeanSquaredError() if task == "adding" else entropy

    @tf.function(jit_compile=True)
    def train(inputs, targets):
        for k in tf.range(len(inputs)):
            with tf.GradientTape() as tape:
                loss = loss_of(targets[k], model(inputs[k]))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)

    @tf.function(jit_compile=True)
    def error(inputs, targets):
        if task == "adding":
            return loss_of(targets, model(inputs))
        wrong = targets != tf.argmax(model(inputs), axis=1, output_type="int32")
        return tf.reduce_mean(tf.cast(wrong, "float32"))

    return model, optimizer, train, error


def run(task, units, rate, seed):
    """Train once: errors on validation and test data, numbers of weights, milliseconds a step.

    The error is the share of wrong answers, or the mean squared error of the adding problem.
    """
    model, optimizer, train, error = network(task, units)
    inputs, targets, validation, test = data(task, seed)
    keras.utils.set_random_seed(seed)
    model.set_weights(keras.models.clone_model(model).get_weights())
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    optimizer.learning_rate.assign(rate)
    half = len(inputs) // 2
    train(inputs[:half], targets[:half])  # compiles, so only the second half is timed
    start = time.perf_counter()
    train(inputs[half:], targets[half:])
    seconds = time.perf_counter() - start
    return {
        "validation": float(error(*validation)),
        "test": float(error(*test)),
        "weights": model.count_params(),
        "step_ms": round(1000 * seconds / half, 3),
    }
