"""Who reads a small grammar of praise and blame rightly, and what does text without labels buy?

Lesson 14 reads the results; `datasets/sentiment.py` makes the sentences. Part "model": a network
learns from 6,000 labelled sentences, with a mask for the padding. Part "padding": the same without
a mask. Part "transfer": a network learns from 200, 500 or 2,000 labels, from scratch, from parts of
a language model that has read 12,000 unlabelled reviews, or with next-word prediction as a second
loss. The seed decides the sentences, what is held out, and the weights. In all of the measurements,
a list of accuracies is [same, unseen_pairs, unseen_adjectives].
"""

import functools
import math
import runpy
import zlib

import keras
import numpy as np
from keras import layers, ops

from course_utils import datasets

LENGTH, LONGER, TEXT = 32, 64, 48  # of the padded sentences and reviews
TESTS = ("same", "unseen_pairs", "unseen_adjectives")
MODELS = ("average", "SimpleRNN", "GRU", "LSTM", "BiLSTM")
UNMASKED = ("average right", "SimpleRNN right", "SimpleRNN left", "LSTM right", "LSTM left")
LABELS, STEPS, LM_STEPS, BATCH = (200, 500, 2000), 450, 750, 32
SETTINGS = [
    {"part": part, "variant": variant, "seed": seed}
    for part, variants in (
        ("model", MODELS),
        ("padding", UNMASKED),
        ("transfer", ("lists", "few lists")),
    )
    for variant in variants
    for seed in (0, 1, 2)
]


@functools.cache
def corpus(seed, lists=0.65):
    """The sentences, and the number of each word; 0 is the padding."""
    generator = runpy.run_path(str(datasets.ROOT / "datasets" / "sentiment.py"))
    parts = generator["generate"](seed, lists=lists)
    texts = [text if isinstance(text, str) else text[0] for part in parts.values() for text in part]
    words = sorted({word for text in texts for word in text.split()})
    return parts, {word: number for number, word in enumerate(words, 1)}


def encode(sentences, numbers, length, side="right"):
    """Word numbers (sentences, length), with zeros after (right) or before (left) the sentence."""
    rows = np.zeros((len(sentences), length), "int32")
    for row, sentence in zip(rows, sentences, strict=True):
        found = [numbers[word] for word in sentence.split()]
        row[slice(len(found)) if side == "right" else slice(-len(found), None)] = found
    return rows


def labelled(parts, name):
    """The sentences and the labels, float32, of a part."""
    sentences, labels = zip(*parts[name], strict=True)
    return list(sentences), np.array(labels, "float32")


def network(kind, words, masked=True):
    """Word numbers in, one logit out; all have the same embedding and about 64 units."""
    middle = {
        "average": [layers.GlobalAveragePooling1D(), layers.Dense(64, activation="relu")],
        "SimpleRNN": [layers.SimpleRNN(64)],
        "GRU": [layers.GRU(64)],
        "LSTM": [layers.LSTM(64)],
        "BiLSTM": [layers.Bidirectional(layers.LSTM(32))],
    }[kind]
    start = [keras.Input((None,), dtype="int32"), layers.Embedding(words + 1, 48, mask_zero=masked)]
    return keras.Sequential([*start, *middle, layers.Dense(1)])


def accuracy(model, rows, labels):
    logits = model.predict(rows, batch_size=500, verbose=0)
    return float(np.mean((logits[:, 0] > 0) == (labels > 0.5)))


def train(kind, seed, masked=True, side="right", epochs=5):
    """A network that has learned from the 6,000 sentences, and its history."""
    parts, numbers = corpus(seed)
    keras.utils.set_random_seed(seed)
    model = network(kind, len(numbers), masked)
    sentences, labels = labelled(parts, "train")
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * math.ceil(len(labels) / 64))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=True)
    rows = encode(sentences, numbers, LENGTH, side)
    return model, model.fit(rows, labels[:, None], batch_size=64, epochs=epochs, verbose=0)


def run_model(kind, seed, masked=True, side="right"):
    """Accuracies; also with shuffled words, and of "same" with twice the padding."""
    parts, numbers = corpus(seed)
    model, history = train(kind, seed, masked, side)
    result = {"losses": history.history["loss"], "tests": []}
    result["weights"] = model.count_params()
    for name in TESTS:
        sentences, labels = labelled(parts, name)
        found = accuracy(model, encode(sentences, numbers, LENGTH, side), labels)
        result["tests"].append(found)
    sentences, labels = labelled(parts, "same")
    longer = encode(sentences, numbers, LONGER, side)
    result["longer"] = accuracy(model, longer, labels)
    rng = np.random.default_rng(seed)
    mixed = [" ".join(rng.permutation(sentence.split())) for sentence in sentences]
    result["shuffled"] = accuracy(model, encode(mixed, numbers, LENGTH, side), labels)
    data = "\n".join(sentence for name in TESTS for sentence in labelled(parts, name)[0])
    return result | {"data": zlib.crc32(data.encode())}


@functools.cache
def networks(words):
    """Three models that share an embedding and an LSTM; compiled once, each training restarts one.

    "verdict" reads a sentence and gives a logit, "following" reads a text and gives logits for the
    next word at each place, "both" does both, with the sum of the losses.
    """
    embedding = layers.Embedding(words + 1, 64, mask_zero=True)
    recurrent = layers.LSTM(96, return_sequences=True)
    sentence, text = (keras.Input((None,), dtype="int32") for _ in range(2))
    verdict = layers.Dense(1)(recurrent(embedding(sentence))[:, -1])  # the mask carries it there
    following = layers.Dense(words + 1)(recurrent(embedding(text)))
    right = keras.losses.BinaryCrossentropy(from_logits=True)
    next_word = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    models = {
        "verdict": (keras.Model(sentence, verdict), right, STEPS),
        "following": (keras.Model(text, following), next_word, LM_STEPS),
        "both": (keras.Model([sentence, text], [verdict, following]), [right, next_word], STEPS),
    }
    for model, loss, steps in models.values():
        rate = keras.optimizers.schedules.CosineDecay(4e-3, steps)
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
        model.compile(optimizer, loss, jit_compile=True)
    return {name: model for name, (model, *_) in models.items()}, embedding, recurrent


def restart(model, seed):
    """Fresh weights, and an optimizer that has not made a step."""
    keras.utils.set_random_seed(seed)
    model.set_weights(keras.models.clone_model(model).get_weights())
    for variable in model.optimizer.variables:
        variable.assign(ops.zeros_like(variable))


def pretrain(parts, numbers, seed):
    """The embedding's and the LSTM's weights after learning to predict next words."""
    models, embedding, recurrent = networks(len(numbers))
    restart(models["following"], seed)
    rows = encode(parts["unlabelled"], numbers, TEXT)
    options = {"batch_size": 64, "epochs": 4, "verbose": 0}
    history = models["following"].fit(rows[:, :-1], rows[:, 1:], **options)
    return embedding.get_weights(), recurrent.get_weights(), history.history["loss"]


def same_polarity(table, numbers):
    """Share of adjectives whose nearest adjective, by the cosine, has the same polarity."""
    source = runpy.run_path(str(datasets.ROOT / "datasets" / "sentiment.py"))
    words = source["POSITIVE"] + source["NEGATIVE"]
    vectors = table[[numbers[word] for word in words]]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T - 9 * np.eye(len(words))
    half = len(source["POSITIVE"])
    return float(np.mean((cosines.argmax(axis=1) < half) == (np.arange(len(words)) < half)))


def swapped(weights):
    """The LSTM's gates i, f, g, o in the order i, g, f, o of an older library: all shapes fit."""
    return [np.concatenate([np.split(w, 4, axis=-1)[k] for k in (0, 2, 1, 3)], -1) for w in weights]


def finetune(parts, numbers, count, seed, table=None, weights=None, reads=None):
    """Train on the first `count` labels, from what is given; accuracies on train and on the tests.

    reads: None, or the texts whose next words are predicted as well, in the same steps.
    """
    models, embedding, recurrent = networks(len(numbers))
    model = models["verdict" if reads is None else "both"]
    restart(model, seed)
    if table is not None:
        embedding.set_weights(table)
    if weights is not None:
        recurrent.set_weights(weights)
    sentences, labels = labelled(parts, "train")
    rows, labels = encode(sentences[:count], numbers, LENGTH), labels[:count, None]
    rng = np.random.default_rng(seed)

    def picked(size):
        rounds = math.ceil(STEPS * BATCH / size)
        return np.concatenate([rng.permutation(size) for _ in range(rounds)])[: STEPS * BATCH]

    order = picked(count)
    inputs, targets = rows[order], labels[order]
    if reads is not None:
        texts = encode(reads, numbers, TEXT)[picked(len(reads))]
        inputs, targets = [inputs, texts[:, :-1]], [targets, texts[:, 1:]]
    model.fit(inputs, targets, batch_size=BATCH, shuffle=False, verbose=0)
    found = [accuracy(models["verdict"], rows, labels[:, 0])]
    for name in TESTS:
        sentences, answers = labelled(parts, name)
        found.append(accuracy(models["verdict"], encode(sentences, numbers, LENGTH), answers))
    return found


def run_transfer(corpus_kind, seed):
    """For each way to start and each number of labels: accuracies on [train, *TESTS]."""
    parts, numbers = corpus(seed, 0.65 if corpus_kind == "lists" else 0.1)
    table, weights, losses = pretrain(parts, numbers, seed)
    starts = {"whole": {"table": table, "weights": weights}}
    if corpus_kind == "lists":
        starts |= {
            "scratch": {},
            "embeddings": {"table": table},
            "recurrent": {"weights": weights},
            "swapped": {"table": table, "weights": swapped(weights)},
            "second loss": {"reads": parts["unlabelled"]},
            "second loss, same text": {},
        }
    result = {"losses": losses, "same_polarity": same_polarity(table[0], numbers)}
    for name, start in starts.items():
        result[name] = []
        for count in LABELS:
            if name == "second loss, same text":
                start = {"reads": [sentence for sentence, _ in parts["train"][:count]]}
            result[name].append(finetune(parts, numbers, count, seed, **start))
    return result


def run(part, variant, seed):
    """Train and measure; what comes back depends on the part."""
    if part == "transfer":
        return run_transfer(variant, seed)
    kind, _, side = variant.partition(" ")
    return run_model(kind, seed, masked=not side, side=side or "right")
