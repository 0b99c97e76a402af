"""A language model: carried state, budget, tied weights on subwords, an auxiliary objective.

Lesson 13 reads the results. A GRU predicts each next symbol of Python's documentation, split by
topic. Four parts: trained and tested with and without a carried state; two networks and budgets;
tied and untied embeddings on subwords; a second head that predicts the character after the next
one, on 20 kB and on all of the text.
"""

import collections
import functools
import re

import keras
import numpy as np
from keras import layers, ops

from course_utils.datasets import load_python_docs

BATCH, RATE, MERGES = 16, 8e-3, 600  # MERGES: of the byte-pair encoding
KEYS = ("part", "variant", "units", "length", "kilobytes", "epochs", "seed")
ROWS = [("heads", name, 128, 32, 300, 3) for name in ("one", "two")]
ROWS += [("state", name, 96, 16, 300, 2) for name in ("stateful", "shuffled")]
ROWS += [("tying", name, 128, 32, 300, 3) for name in ("tied", "untied")]
ROWS += [("tying", "untied", 92, 32, 300, 3)]  # about as many weights as "tied"
ROWS += [("heads", name, 128, 32, 20, 20) for name in ("one", "two")]
ROWS += [("heads", "one", 192, 32, 300, 5)]
SETTINGS = [dict(zip(KEYS, (*row, seed), strict=True)) for row in ROWS for seed in (0, 1, 2)]


# --- symbols --------------------------------------------------------------------------------------


@functools.cache
def texts(part, kilobytes):
    """The three texts as numbers, the vocabulary, and how many characters each text has."""
    docs = load_python_docs()
    symbols = subwords(docs) if part == "tying" else {name: list(docs[name]) for name in docs}
    ends = np.cumsum([len(symbol) for symbol in symbols["train"]])
    vocabulary = sorted({symbol for text in symbols.values() for symbol in text})
    symbols["train"] = symbols["train"][: np.searchsorted(ends, 1000 * kilobytes)]
    number = {symbol: k for k, symbol in enumerate(vocabulary)}
    numbers = {name: np.array([number[s] for s in text], "int32") for name, text in symbols.items()}
    return numbers, vocabulary, {name: sum(map(len, text)) for name, text in symbols.items()}


def subwords(docs):
    """Byte-pair encoding: each text as a list of subwords, learned on the training text."""
    chunks = {name: re.findall(r" ?\w+| ?[^\w\s]+|\s+", text) for name, text in docs.items()}
    counts = collections.Counter(chunks["train"])
    parts = {chunk: list(chunk) for found in chunks.values() for chunk in found}
    for _ in range(MERGES):
        pairs = collections.Counter()
        for chunk, count in counts.items():
            for pair in zip(parts[chunk], parts[chunk][1:], strict=False):
                pairs[pair] += count
        pair = max(pairs, key=lambda pair: (pairs[pair], pair))
        parts = {chunk: joined(found, pair) for chunk, found in parts.items()}
    return {name: [s for chunk in found for s in parts[chunk]] for name, found in chunks.items()}


def joined(symbols, pair):
    """The symbols with every occurrence of the pair made one, from the left."""
    if pair[0] not in symbols:
        return symbols
    result = []
    for symbol in symbols:
        if result and (result[-1], symbol) == pair:
            result[-1] += symbol
        else:
            result.append(symbol)
    return result


# --- training -------------------------------------------------------------------------------------


def streams(numbers, rows, length, ahead=1):
    """The text in `rows` streams, cut into pieces: the next batch goes on where the last ended.

    Inputs, and a list of targets: the symbols 1 to `ahead` places later. (pieces * rows, length)
    """
    pieces = (len(numbers) - ahead) // (rows * length)
    shifted = [numbers[k : k + pieces * rows * length] for k in range(ahead + 1)]
    cut = [x.reshape(rows, pieces, length).swapaxes(0, 1).reshape(-1, length) for x in shifted]
    return cut[0], cut[1:]


def network(vocabulary, units, *, batch=None, length=None, tied=None, heads=1):
    """Embedding, GRU, readout; with a batch size it carries its state from batch to batch."""
    inputs = keras.Input((length,), batch_size=batch, dtype="int32")
    recurrent = layers.GRU(units, return_sequences=True, stateful=batch is not None)
    if tied is not None:
        embedding = layers.ReversibleEmbedding(vocabulary, units, tie_weights=tied)
        return keras.Model(inputs, embedding(recurrent(embedding(inputs)), reverse=True))
    h = recurrent(layers.Embedding(vocabulary, 32)(inputs))
    return keras.Model(inputs, [layers.Dense(vocabulary)(h) for _ in range(heads)])


def bits(model, numbers, length=None):
    """Bits per symbol: 16 long streams read in one go, or windows of `length` from state 0."""
    rows = 1 if length else 16
    x, (y,) = streams(numbers, rows, length or (len(numbers) - 1) // rows)
    logits = ops.convert_to_tensor(model.predict(x, batch_size=512, verbose=0))
    nats = ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
    return float(ops.mean(nats) / np.log(2))


def run(part, variant, units, length, kilobytes, epochs, seed):
    """Train; at seven looks or fewer, bits per *character* of validation and test, state carried.

    In part "state" also "cold": the test text in windows of `length` that start from state 0.
    """
    keras.utils.set_random_seed(seed)
    numbers, vocabulary, characters = texts(part, kilobytes)
    carried, ahead = variant != "shuffled", 2 if variant == "two" else 1
    options = {"tied": {"tied": True, "untied": False}.get(variant), "heads": ahead}
    batch = BATCH if carried else None
    model = network(len(vocabulary), units, batch=batch, length=length, **options)
    reader = network(len(vocabulary), units, **options)  # any batch size, any length
    main = keras.Model(reader.inputs, reader.outputs[0])

    steps = epochs * ((len(numbers["train"]) - ahead - length) // (BATCH * length))
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps, alpha=0.02)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=1.0),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in range(ahead)],
        loss_weights=[1.0, 0.5][:ahead],
        jit_compile=True,
    )
    recurrent = next(layer for layer in model.layers if isinstance(layer, layers.GRU))
    rng, result = np.random.default_rng(seed), {"validation": [], "test": []}
    for epoch in range(1, epochs + 1):
        x, y = streams(numbers["train"][rng.integers(length) :], BATCH, length, ahead)
        order = np.arange(len(x)) if carried else rng.permutation(len(x))
        if carried:
            recurrent.reset_state()
        y = [targets[order] for targets in y]
        model.fit(x[order], y, batch_size=BATCH, shuffle=False, verbose=0)
        if epoch % max(1, epochs // 6) == 0 or epoch == epochs:
            for ours, w in zip(reader.trainable_variables, model.trainable_variables, strict=True):
                ours.assign(w)
            for name, looks in result.items():
                per_character = len(numbers[name]) / characters[name]
                looks.append(round(bits(main, numbers[name]) * per_character, 4))
    if part == "state":
        result["cold"] = round(bits(main, numbers["test"], length), 4)
    counts = {"parameters": model.count_params(), "vocabulary": len(vocabulary), "steps": steps}
    return {**result, **counts}
