"""What does normalization do for the training of an LSTM, and for its overfitting?

Lesson 11 reads the results. Task, text and network are lesson 10's: read 64 characters of Python's
documentation, predict each next one, learn from 15 kB. Seven norms, and two networks without; the
second one's embeddings start large, as a norm would make them. Three learning rates, 300 steps,
three seeds. Afterwards windows of 256 characters: what of a network that has never read beyond its
64th step?
"""

import pathlib
import runpy

import keras
import numpy as np
from keras import layers, ops

from course_utils.cells import BatchNormLSTMCell, LayerNormLSTMCell, LSTMCell, WeightNormCell
from course_utils.cells.lstm import layer_norm

LESSON_10 = runpy.run_path(str(pathlib.Path(__file__).with_name("10_regularization.py")))
corpus, windows, whole = (LESSON_10[name] for name in ("corpus", "windows", "whole"))

UNITS, LENGTH, BATCH, STEPS, EVERY, LONG = 128, 64, 32, 300, 25, 256
METHODS = (
    "none",
    "larger embeddings",
    "batch norm before",
    "batch norm after",
    "batch norm inside, shared",
    "batch norm inside, per step",
    "layer norm of the sum",
    "layer norm of the parts",
    "weight norm",
)
RATES = (3e-3, 1e-2, 3e-2)
SETTINGS = [
    {"method": method, "rate": rate, "seed": seed}
    for method in METHODS
    for rate in RATES
    for seed in (0, 1, 2)
]


class SumNormLSTMCell(LSTMCell):
    """The layer-norm LSTM with one norm around the sum in place of one around each part."""

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight((4 * self.units,), "ones", name="gain")
        self.state_gain = self.add_weight((self.units,), "ones", name="state_gain")
        self.state_bias = self.add_weight((self.units,), "zeros", name="state_bias")

    def call(self, inputs, states, training=False):
        h, c = states
        a = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        i, f, g, o = ops.split(layer_norm(a, self.gain) + self.bias, 4, axis=1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(layer_norm(c, self.state_gain) + self.state_bias)
        return h, [h, c]


def network(method, vocabulary):
    """Embedding, LSTM, softmax layer, with a norm before, after or inside the LSTM."""
    cells = {
        "batch norm inside, shared": lambda: BatchNormLSTMCell(UNITS, steps=1),
        "batch norm inside, per step": lambda: BatchNormLSTMCell(UNITS, steps=LENGTH),
        "layer norm of the sum": lambda: SumNormLSTMCell(UNITS),
        "layer norm of the parts": lambda: LayerNormLSTMCell(UNITS),
        "weight norm": lambda: WeightNormCell(LSTMCell(UNITS)),
    }
    cell = cells.get(method, lambda: LSTMCell(UNITS))()
    start = keras.initializers.RandomNormal(stddev=1.0) if "larger" in method else "uniform"
    norm = [layers.BatchNormalization(momentum=0.9)]  # over the batch and all steps
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(vocabulary, 32, start),
            *(norm if method == "batch norm before" else []),
            layers.RNN(cell, return_sequences=True),
            *(norm if method == "batch norm after" else []),
            layers.Dense(vocabulary),
        ]
    )


def bits(model, inputs, targets):
    """Bits of every character, (windows, time)."""
    logits = model.predict(inputs, batch_size=256, verbose=0)
    nats = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    return ops.convert_to_numpy(nats) / np.log(2)


def stored(model):
    """What a batch-norm cell keeps about each step: mean of its variances, RMS of its means."""
    (cell,) = (layer.cell for layer in model.layers if hasattr(layer, "cell"))
    if not isinstance(cell, BatchNormLSTMCell):
        return {}
    gates = [one.numpy().astype("float64") for one in (cell.gates_mean, cell.gates_variance)]
    state = [one.numpy().astype("float64") for one in (cell.state_mean, cell.state_variance)]
    parts = {"x W": [one[:, : 4 * UNITS] for one in gates], "c": state}
    parts["h U"] = [one[:, 4 * UNITS :] for one in gates]
    kept = {}
    for name, (mean, variance) in parts.items():
        kept[f"mean of {name}"] = np.sqrt((mean**2).mean(axis=1)).round(5).tolist()
        kept[f"variance of {name}"] = variance.mean(axis=1).round(5).tolist()
    return kept


def run(method, rate, seed, steps=STEPS):
    """Train for 300 steps; every 25, bits per character on the three texts, as in use.

    `fit` is the mean over the same 25 steps as training saw them. After the last step: bits on the
    test text against the position in windows of 256 characters, 16 at a time, and what the cell
    has stored about its steps.
    """
    keras.utils.set_random_seed(seed)
    numbers, characters = corpus(0)
    validation, test, train = numbers[:16000], numbers[16000:32000], numbers[32000:47000]
    model = network(method, len(characters))
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    texts = {"train": train[:8000], "validation": validation, "test": test}
    parts = {name: whole(text) for name, text in texts.items()}
    inputs, targets = (np.concatenate(both) for both in zip(*parts.values(), strict=True))
    ends = np.cumsum([len(x) for x, _ in parts.values()])[:-1]
    curves, rng = {name: [] for name in ("fit", *texts)}, np.random.default_rng(seed)
    for _ in range(0, steps, EVERY):
        starts = rng.integers(0, len(train) - LENGTH, EVERY * BATCH)
        history = model.fit(*windows(train, starts), batch_size=BATCH, shuffle=False, verbose=0)
        curves["fit"].append(round(float(history.history["loss"][0] / np.log(2)), 4))
        found = np.split(bits(model, inputs, targets).mean(axis=1), ends)
        for name, values in zip(texts, found, strict=True):
            curves[name].append(round(float(values.mean()), 4))

    rows = test[: len(test) // (LONG + 1) * (LONG + 1)].reshape(-1, LONG + 1)
    by_place = bits(model, rows[:, :-1], rows[:, 1:]).mean(axis=0).reshape(-1, 16).mean(axis=1)
    by_place = [round(float(b), 4) for b in by_place]
    return {**curves, "by_place": by_place, **stored(model)}
