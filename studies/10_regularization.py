"""What keeps a small character language model from overfitting, and by how much?

Lesson 10 reads the results. An LSTM reads 64 characters of Python's documentation and predicts each
next one: 15 kB to train on, 16 kB to choose the stopping point and the strength on, another 16 kB
to report on. Every method gets the same 600 steps and three strengths, and two more seeds at the
strength that was chosen. Then, without any of them: more text, other widths, other learning rates.
Last, another excerpt of the documentation.
"""

import functools
import re

import keras
import numpy as np
from keras import layers, ops

from course_utils.cells import LSTMCell, ZoneoutCell
from course_utils.datasets import load_python_docs

LENGTH, BATCH, STEPS, EVERY = 64, 32, 600, 50  # EVERY: steps between two measurements
STRENGTHS = {
    "L1": (1e-5, 3e-5, 1e-4),
    "L2": (1e-4, 3e-4, 1e-3),
    "weight decay": (0.3, 1.0, 3.0),
    "input dropout": (0.1, 0.25, 0.5),
    "output dropout": (0.25, 0.5, 0.75),
    "recurrent dropout, new mask": (0.25, 0.5, 0.75),
    "recurrent dropout, same mask": (0.25, 0.5, 0.75),
    "zoneout": (0.1, 0.25, 0.5),
    "AR": (0.3, 1.0, 3.0),
    "TAR": (0.3, 1.0, 3.0),
}
KEYS = ("method", "strength", "units", "kilobytes", "rate", "excerpt", "seed")
PLAIN = ("none", 0.0, 128, 15, 1e-2, 0)
ROWS = [PLAIN]
ROWS += [(name, s, *PLAIN[2:]) for name, found in STRENGTHS.items() for s in found]
ROWS += [(*PLAIN[:3], size, *PLAIN[4:]) for size in (30, 60)]
ROWS += [(*PLAIN[:2], units, *PLAIN[3:]) for units in (32, 64)]
ROWS += [(*PLAIN[:4], rate, 0) for rate in (3e-3, 3e-2)]
OTHER = [("none", 0.0), ("output dropout", 0.5)]
ROWS += [(*pair, *PLAIN[2:5], 1) for pair in OTHER]
CHOSEN = [  # of each method the strength with the lowest mean validation value on seeds 0 to 2
    *(("none", 0.0), ("weight decay", 1.0), ("zoneout", 0.1), ("output dropout", 0.5)),
    *(("recurrent dropout, same mask", 0.5), ("recurrent dropout, new mask", 0.25)),
    *(("input dropout", 0.25), ("L2", 3e-4), ("L1", 3e-5), ("AR", 3.0), ("TAR", 1.0)),
]
PLAN = [(row, seed) for row in ROWS for seed in (0, 1, 2)]
PLAN += [((*pair, *PLAIN[2:]), seed) for pair in CHOSEN for seed in (3, 4)]
SETTINGS = [dict(zip(KEYS, (*row, seed), strict=True)) for row, seed in PLAN]


@functools.cache
def corpus(excerpt):
    """All paragraphs, shuffled and joined, as numbers: the text to cut from, and its characters."""
    paragraphs = [p for part in load_python_docs().values() for p in re.split(r"\n{2,}", part)]
    paragraphs = [p for p in paragraphs if len(p) > 40]
    np.random.default_rng(excerpt).shuffle(paragraphs)
    characters, numbers = np.unique(list("\n\n".join(paragraphs)), return_inverse=True)
    return numbers.astype("int32"), characters


def windows(numbers, starts):
    """The characters from each start on, and the ones that follow them: two (count, LENGTH)."""
    both = numbers[np.asarray(starts)[:, None] + np.arange(LENGTH + 1)]
    return both[:, :-1], both[:, 1:]


def whole(numbers):
    """The text cut into windows that do not overlap."""
    return windows(numbers, np.arange(0, len(numbers) - LENGTH, LENGTH))


class ForgetfulLSTMCell(LSTMCell):
    """Dropout on the state that enters the gates, with a new mask at every step."""

    def __init__(self, units, rate, **kwargs):
        super().__init__(units, **kwargs)
        self.rate, self.seed_generator = rate, keras.random.SeedGenerator()

    def call(self, inputs, states, training=False):
        h, c = states
        if training:
            h = keras.random.dropout(h, self.rate, seed=self.seed_generator)
        return super().call(inputs, [h, c], training)


class ActivityPenalty(layers.Layer):
    """AR: alpha mean(h_t^2), and TAR: beta mean((h_t - h_{t-1})^2), added to the loss."""

    def __init__(self, alpha, beta):
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def call(self, h):
        changes = h[:, 1:] - h[:, :-1]
        self.add_loss(self.alpha * ops.mean(h**2) + self.beta * ops.mean(changes**2))
        return h


def network(method, strength, units, vocabulary):
    """Embedding, LSTM, softmax layer, and the method's own layers or arguments."""
    shared = {"units": units, "return_sequences": True}
    penalty = {"L1": keras.regularizers.L1, "L2": keras.regularizers.L2}.get(method)
    penalty = penalty and penalty(strength)
    recurrent = layers.LSTM(kernel_regularizer=penalty, recurrent_regularizer=penalty, **shared)
    before, after = [], []
    if method == "input dropout":
        before = [layers.Dropout(strength)]
    elif method == "output dropout":
        after = [layers.Dropout(strength)]
    elif method == "recurrent dropout, new mask":
        recurrent = layers.RNN(ForgetfulLSTMCell(units, strength), return_sequences=True)
    elif method == "recurrent dropout, same mask":
        recurrent = layers.LSTM(recurrent_dropout=strength, **shared)
    elif method == "zoneout":  # of h and of c
        recurrent = layers.RNN(ZoneoutCell(LSTMCell(units), strength), return_sequences=True)
    elif method in ("AR", "TAR"):
        after = [ActivityPenalty(*((strength, 0.0) if method == "AR" else (0.0, strength)))]
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(vocabulary, 32),
            *before,
            recurrent,
            *after,
            layers.Dense(vocabulary, kernel_regularizer=penalty),
        ]
    )


def run(method, strength, units, kilobytes, rate, excerpt, seed):
    """Train for 600 steps; every 50, bits per character on the three texts, nothing dropped.

    After the last step: how many kernel weights are exactly 0, and a histogram of log10 |w|.
    """
    keras.utils.set_random_seed(seed)
    numbers, characters = corpus(excerpt)
    validation, test, train = numbers[:16000], numbers[16000:32000], numbers[32000:]
    train = train[: 1000 * kilobytes]

    model = network(method, strength, units, len(characters))
    decay = strength if method == "weight decay" else 0.0
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "embeddings"])  # as L1 and L2 do
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    texts = {"train": train[:8000], "validation": validation, "test": test}
    parts = {name: whole(text) for name, text in texts.items()}
    inputs, targets = (np.concatenate(both) for both in zip(*parts.values(), strict=True))
    curves, rng = {name: [] for name in texts}, np.random.default_rng(seed)
    for _ in range(0, STEPS, EVERY):
        starts = rng.integers(0, len(train) - LENGTH, EVERY * BATCH)
        model.fit(*windows(train, starts), batch_size=BATCH, shuffle=False, verbose=0)
        logits = model.predict(inputs, batch_size=256, verbose=0)
        nats = np.asarray(
            keras.ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        )
        ends = np.cumsum([len(x) for x, _ in parts.values()])
        for name, found in zip(texts, np.split(nats.mean(axis=1), ends[:-1]), strict=True):
            curves[name].append(round(float(found.mean() / np.log(2)), 4))

    kernels = [w for w in model.trainable_variables if w.name.endswith("kernel")]
    sizes = np.abs(np.concatenate([keras.ops.convert_to_numpy(w).ravel() for w in kernels]))
    zeros, sizes = np.mean(sizes == 0), np.log10(np.maximum(sizes, 1e-9))
    counts = np.histogram(sizes, bins=np.arange(-9.0, 2.5, 0.5))[0]
    return {**curves, "zeros": float(zeros), "sizes": counts.tolist(), "weights": len(sizes)}
