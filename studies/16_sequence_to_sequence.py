"""What does a fixed-size bottleneck cost an encoder-decoder, and what does reversing the source do?

Lesson 16 reads the results. An encoder-decoder with 128 GRU units on each side translates English
number names to German: names of up to nine digits with three budgets of training and two rates,
names of up to four digits with the source as it is, reversed, and with a smaller budget. The loss,
the schedule and greedy decoding are shared with the study of lesson 17, which adds attention.
"""

import collections

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from course_utils.datasets import load_number_names

UNITS, WIDTH, BATCH, RATE = 128, 64, 64, 2e-3
PAD, START, END = 0, 1, 2
WIDTHS, SENTENCES = (1, 2, 4, 8), 300  # of beams; they decode the first test sentences
ROWS = [(4, 1500, 5e-3, 20, False), (4, 1500, 5e-3, 20, True), (4, 1500, 5e-3, 12, False)]
ROWS += [(9, 5000, 5e-3, 8, False), (9, 5000, 5e-3, 24, False)]
ROWS += [(9, 5000, RATE, 8, False), (9, 5000, RATE, 24, False), (9, 5000, RATE, 72, False)]
KEYS = ("digits", "train", "rate", "epochs", "reverse", "seed")
SETTINGS = [
    dict(zip(KEYS, (*row, seed), strict=True))
    for row in ROWS
    for seed in range(5 if row[3] == 20 else 3)
]


def vocabulary(sentences):
    """Token to number, the three special tokens first."""
    words = sorted({word for sentence in sentences for word in sentence})
    return {word: k for k, word in enumerate(["<pad>", "<s>", "</s>", *words])}


def encode(sentences, words, length, *, reverse=False, marks=False):
    """Padded numbers (sentences, length), with <s> and </s> around them if `marks`."""
    rows = np.zeros((len(sentences), length), dtype="int32")
    for row, sentence in zip(rows, sentences, strict=True):
        numbers = [words[word] for word in sentence][:: -1 if reverse else 1]
        numbers = [START, *numbers, END] if marks else numbers
        row[: len(numbers)] = numbers
    return rows


def load(digits, train=5000, *, reverse=False):
    """The data as numbers: `((source, target), test pairs), vocabularies`; one split."""
    parts = load_number_names(digits, train=train)
    words = [vocabulary(pair[k] for pair in parts[0]) for k in (1, 2)]
    lengths = [max(len(pair[k]) for part in parts for pair in part) for k in (1, 2)]
    return [
        (
            encode([pair[1] for pair in part], words[0], lengths[0], reverse=reverse),
            encode([pair[2] for pair in part], words[1], lengths[1] + 2, marks=True),
        )
        for part in parts
    ], words


def plain(source, target, words):
    """The encoder's last state is all that the decoder gets."""
    x = keras.Input(source.shape[1:], dtype="int32", name="source")
    y = keras.Input((target.shape[1] - 1,), dtype="int32", name="prefix")
    embedded = layers.Embedding(len(words[0]), WIDTH, mask_zero=True)(x)
    state = layers.GRU(UNITS)(embedded)
    embedded = layers.Embedding(len(words[1]), WIDTH)(y)
    outputs = layers.GRU(UNITS, return_sequences=True)(embedded, initial_state=state)
    return keras.Model([x, y], layers.Dense(len(words[1]))(outputs))


def fit(model, source, target, epochs, *, rate=RATE):
    """Teacher forcing: the right prefix in, the next token out; padding does not count."""
    steps = epochs * -(-len(source) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PAD)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), loss)
    inputs = [source, target[:, :-1]]
    return model.fit(inputs, target[:, 1:], batch_size=BATCH, epochs=epochs, verbose=0).history


def greedy(model, source, length):
    """The most probable token at each step, fed back: (sentences, length), zeros after </s>."""
    step = tf.function(lambda x, y: model([x, y]), reduce_retracing=True, autograph=False)
    prefix = np.full((len(source), length + 1), PAD, dtype="int32")
    prefix[:, 0] = START
    running = np.ones(len(source), dtype=bool)
    for t in range(length):
        token = step(source, prefix[:, :-1]).numpy()[:, t].argmax(-1)
        prefix[:, t + 1] = np.where(running, token, PAD)
        running &= token != END
    return prefix[:, 1:]


def log_probabilities(model):
    """A function of sources and prefixes: log p of every next token, (sentences, steps, tokens)."""
    options = {"reduce_retracing": True, "autograph": False}
    return tf.function(lambda x, y: tf.nn.log_softmax(model([x, y])), **options)


def beam_search(model, source, length, width):
    """The `width` best prefixes of every sentence survive each step, finished ones among them.

    Returns tokens (sentences, width, length), zeros after </s>, and log-probabilities (sentences,
    width), the greatest first.
    """
    step, n = log_probabilities(model), len(source)
    prefix = np.full((n, width, length + 1), PAD, dtype="int32")
    prefix[:, :, 0] = START
    scores = np.where(np.arange(width) == 0, 0.0, -np.inf) + np.zeros((n, 1))
    sources = np.repeat(source, width, axis=0)
    for t in range(length):
        flat = prefix.reshape(n * width, -1)
        logp = step(sources, flat[:, :-1]).numpy()[:, t].astype("float64").reshape(n, width, -1)
        logp[:, :, PAD] = -np.inf
        finished = (prefix == END).any(-1)
        logp[finished] = -np.inf
        logp[finished, PAD] = 0.0
        total = (scores[..., None] + logp).reshape(n, -1)
        best = np.argsort(-total, axis=1, kind="stable")[:, :width]
        scores = np.take_along_axis(total, best, axis=1)
        parent, token = np.divmod(best, logp.shape[-1])
        prefix = np.take_along_axis(prefix, parent[..., None], axis=1)
        prefix[:, :, t + 1] = token
    return prefix[:, :, 1:], scores


def bleu(hypotheses, references, longest=4):
    """Corpus BLEU in percent: clipped n-gram counts, summed before dividing; brevity penalty."""
    right, total = np.zeros(longest), np.zeros(longest)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        for n in range(longest):
            have, want = (
                collections.Counter(zip(*(words[k:] for k in range(n + 1)), strict=False))
                for words in (hypothesis, reference)
            )
            right[n] += (have & want).total()
            total[n] += have.total()
    if not right.all():
        return 0.0
    shortness = sum(map(len, references)) / sum(map(len, hypotheses))
    return float(100 * np.exp(min(0.0, 1 - shortness) + np.log(right / total).mean()))


def sentences(tokens):
    """Rows of numbers without padding and </s>."""
    return [[int(token) for token in row if token > END] for row in tokens]


def decoding(model, source, right, greedy_tokens):
    """What beams of several widths find, and whether their search or the model is wrong."""
    source, right, length = source[:SENTENCES], right[:SENTENCES], right.shape[1]
    step = log_probabilities(model)

    def score(tokens):
        prefix = np.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=START)
        logp = np.take_along_axis(step(source, prefix).numpy(), tokens[..., None], -1)[..., 0]
        return (logp.astype("float64") * (tokens != PAD)).sum(1)

    by_width = [beam_search(model, source, length, width) for width in WIDTHS]
    firsts = [tokens[:, 0] for tokens, _ in by_width]
    wrong = ~(firsts[-1] == right).all(1)
    better = score(right) > by_width[-1][1][:, 0] + 1e-4
    normed = []  # the best of the beam by log-probability per token
    for tokens, scores in by_width:
        best = np.argmax(scores / (tokens != PAD).sum(-1), axis=1)
        normed.append(tokens[np.arange(len(tokens)), best])
    return {
        "greedy_same": float((firsts[0] == greedy_tokens[:SENTENCES]).all(1).mean()),
        "beam_exact": [float((first == right).all(1).mean()) for first in firsts],
        "beam_exact_normed": [float((first == right).all(1).mean()) for first in normed],
        "beam_bleu": [bleu(sentences(first), sentences(right)) for first in firsts],
        "beam_score": [float(scores[:, 0].mean()) for _, scores in by_width],
        "in_beam": [float((t == right[:, None]).all(2).any(1).mean()) for t, _ in by_width],
        "search_errors": float((wrong & better).mean()),
        "model_errors": float((wrong & ~better).mean()),
    }


def free_running(model, source, target, own):
    """Next-token accuracy after right and after own prefixes, and what follows a first error."""
    right = target[:, 1:]
    forced = log_probabilities(model)(source, target[:, :-1]).numpy().argmax(-1)
    real = right != PAD
    ok_forced, ok_own = forced == right, own == right
    wrong = (~ok_own & real).any(1)
    first = (~ok_own & real).argmax(1)
    behind = np.arange(right.shape[1]) - first[:, None]  # steps since the first error
    followers = [wrong[:, None] & real & (behind == k) for k in range(1, 7)]
    counts = [int(f.sum()) for f in followers]
    return {
        "forced_accuracy": float(ok_forced[real].mean()),
        "own_accuracy": float(ok_own[real].mean()),
        "forced_at": [float(ok_forced[:, t][real[:, t]].mean()) for t in range(right.shape[1])],
        "own_at": [float(ok_own[:, t][real[:, t]].mean()) for t in range(right.shape[1])],
        "first_error_at": np.bincount(first[wrong], minlength=right.shape[1]).tolist(),
        "after_error_counts": counts,
        "after_error_forced": [float(ok_forced[f].mean()) if f.any() else 0.0 for f in followers],
        "after_error_own": [float(ok_own[f].mean()) if f.any() else 0.0 for f in followers],
    }


def run(digits, train, rate, epochs, reverse, seed):
    """Train once: loss, exact match by number of digits, BLEU, token accuracies, beams."""
    (training, test), words = load(digits, train, reverse=reverse)
    lengths = np.array([len(str(pair[0])) for pair in load_number_names(digits, train=train)[1]])
    keras.utils.set_random_seed(seed)
    model = plain(*training, words)
    loss = fit(model, *training, epochs, rate=rate)["loss"]
    right = test[1][:, 1:]
    own = greedy(model, test[0], right.shape[1])
    exact = (own == right).all(1)
    result = {
        "loss": [float(value) for value in loss],
        "exact": float(exact.mean()),
        "right_by_digits": np.bincount(lengths[exact], minlength=digits + 1).tolist(),
        "count_by_digits": np.bincount(lengths, minlength=digits + 1).tolist(),
        "bleu": bleu(sentences(own), sentences(right)),
        "parameters": model.count_params(),
    }
    result |= free_running(model, test[0], test[1], own)
    return result | decoding(model, test[0], right, own)
