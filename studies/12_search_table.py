"""Accuracy over hidden size, depth, batch and learning rate: a table in which searches can search.

Lesson 12 reads the results. A GRU reads the digits of lesson 01 row by row; a dense layer names the
digit. Of the 1,437 digits of the training part 300 are held out for validation, the same in all
runs; the others are seen for 8 epochs in batches, with Adam at a constant rate, gradients clipped
to global norm 1. A seed decides the initial weights and the order of the examples.
"""

import base64
import functools
import itertools

import keras
import numpy as np
import tensorflow as tf

from course_utils.datasets import load_digit_sequences

UNITS, DEPTHS, BATCHES = (4, 8, 16, 32, 64), (1, 2), (16, 64)
RATES = tuple(float(f"{1e-4 * 10 ** (k / 3):.3g}") for k in range(11))  # three per decade
KEYS = ("units", "depth", "batch", "rate", "seed")
GRID = itertools.product(UNITS, DEPTHS, BATCHES, RATES, (0, 1, 2))
SETTINGS = [dict(zip(KEYS, values, strict=True)) for values in GRID]
LOOKS = (1, 2, 4, 8)  # epochs after which the held-out digits are read


@functools.cache
def digits():
    """Three pairs of sequences and labels: training, held out, test."""
    (x, y), test = load_digit_sequences("row")
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order[300:]], y[order[300:]]), (x[order[:300]], y[order[:300]]), test


@functools.cache
def network(units, depth):
    """A model, its optimizer, and two compiled functions: an epoch of training, and the answers."""
    layers = [keras.layers.GRU(units, return_sequences=k < depth - 1) for k in range(depth)]
    model = keras.Sequential([keras.Input((8, 8)), *layers, keras.layers.Dense(10)])
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(jit_compile=True)
    def epoch(inputs, labels):
        for k in tf.range(len(inputs)):
            with tf.GradientTape() as tape:
                loss = loss_of(labels[k], model(inputs[k]))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)

    @tf.function(jit_compile=True)
    def answers(inputs):
        return tf.argmax(model(inputs), axis=1, output_type="int32")

    return model, optimizer, epoch, answers


def run(units, depth, batch, rate, seed):
    """Train once, and count right answers: of 300 held-out digits per look, of 360 test digits.

    `mask` says which held-out digits were named rightly at the end: 300 bits in base 64.
    """
    model, optimizer, epoch, answers = network(units, depth)
    (x, y), (x_held, y_held), (x_test, y_test) = digits()
    keras.utils.set_random_seed(seed)
    model.set_weights(keras.models.clone_model(model).get_weights())
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    optimizer.learning_rate.assign(rate)
    shuffled, right = np.random.default_rng(seed), []
    for number in range(1, LOOKS[-1] + 1):
        order = shuffled.permutation(len(x))[: len(x) // batch * batch].reshape(-1, batch)
        epoch(x[order], y[order])
        if number in LOOKS:
            hits = answers(x_held).numpy() == y_held
            right.append(int(hits.sum()))
    mask = base64.b64encode(np.packbits(hits).tobytes()).decode()
    return {"right": right, "mask": mask, "test": int((answers(x_test).numpy() == y_test).sum())}
