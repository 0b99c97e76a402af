"""What does attention add to an encoder-decoder, and what do its weights say?

Lesson 17 reads the results. Data, loss, schedule and greedy decoding are those of lesson 16: number
names, 5,000 of them for 8 epochs, unless a row says otherwise.
"""

import pathlib
import runpy

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from course_utils.attention import BahdanauAttention, LuongAttention

BASE = runpy.run_path(str(pathlib.Path(__file__).with_name("16_sequence_to_sequence.py")))
UNITS, WIDTH, PAD = BASE["UNITS"], BASE["WIDTH"], BASE["PAD"]
SHORT = 9  # words: the longest source of the rows trained on "short" numbers

WORD = dict(  # each German piece and the English word that it translates; "und" has none
    ein="one", eins="one", eine="one", zwei="two", drei="three", vier="four", fünf="five",
    sechs="six", sieben="seven", acht="eight", neun="nine", zehn="ten", elf="eleven",
    zwölf="twelve", dreizehn="thirteen", vierzehn="fourteen", fünfzehn="fifteen",
    sechzehn="sixteen", siebzehn="seventeen", achtzehn="eighteen", neunzehn="nineteen",
    zwanzig="twenty", dreißig="thirty", vierzig="forty", fünfzig="fifty", sechzig="sixty",
    siebzig="seventy", achtzig="eighty", neunzig="ninety", hundert="hundred", tausend="thousand",
    million="million", millionen="million",
)  # fmt: skip
DIGITS = list(WORD)[3:11]  # zwei to neun


def known_alignment(english, german):
    """For each German piece the position of the English word that it translates; -1 for "und"."""
    places, start = [], 0
    for piece in german:
        word = WORD.get(piece)
        places.append(-1 if word is None else english.index(word, start))
        if word in ("hundred", "thousand", "million"):  # what follows stands behind it
            start = places[-1] + 1
    return places


class InputFeedingDecoder(layers.Layer):
    """Bahdanau's decoder: the previous state asks, and the context enters the next step."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.cell = layers.GRUCell(units)
        self.attention = BahdanauAttention(units)

    def build(self, embedded_shape, values_shape, state_shape):
        self.cell.build((None, embedded_shape[2] + values_shape[2]))
        self.attention.build(state_shape, values_shape)

    def call(self, embedded, values, state, values_mask=None):
        outputs, maps, mine = [], [], self.attention
        keys = ops.matmul(values, mine.key_kernel)  # once for all steps; else as in its `call`
        hidden = ops.where(values_mask, 0.0, -1e9)
        for t in range(embedded.shape[1]):
            query = ops.expand_dims(ops.matmul(state, mine.query_kernel), 1)
            scores = ops.sum(mine.score_vector * ops.tanh(query + keys), axis=-1)
            weights = ops.softmax(scores + hidden, axis=-1)  # (batch, words)
            context = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), values), 1)
            state, _ = self.cell(ops.concatenate([embedded[:, t], context], -1), [state])
            outputs.append(ops.concatenate([context, state], -1))
            maps.append(weights)
        return ops.stack(outputs, 1), ops.stack(maps, 1)

    def compute_mask(self, *args, **kwargs):
        return None, None


def attentive(source, target, words, score):
    """The model, and its attention weights as a second model (None for "mean")."""
    x = keras.Input(source.shape[1:], dtype="int32", name="source")
    y = keras.Input((target.shape[1] - 1,), dtype="int32", name="prefix")
    embedded = layers.Embedding(len(words[0]), WIDTH, mask_zero=True, name="words")(x)
    states, last = layers.GRU(UNITS, return_sequences=True, return_state=True)(embedded)
    embedded, weights = layers.Embedding(len(words[1]), WIDTH)(y), None
    if score == "bahdanau":
        both, weights = InputFeedingDecoder(UNITS)(embedded, states, last)
    else:
        outputs = layers.GRU(UNITS, return_sequences=True)(embedded, initial_state=last)
        if score == "mean":  # the control: every word weighs the same
            mean = layers.GlobalAveragePooling1D()(states)
            context = layers.RepeatVector(target.shape[1] - 1)(mean)
        else:
            units = UNITS if score == "concat" else None
            context, weights = LuongAttention(score, units)(outputs, states)
        both = layers.Concatenate(name="both")([context, outputs])
    combined = layers.Dense(UNITS, activation="tanh")(both)
    model = keras.Model([x, y], layers.Dense(len(words[1]))(combined))
    if weights is None:
        return model, None
    return model, keras.Model([x, y], [weights, states, both, model.output])


def positions(length, width):
    """Sines and cosines of the step, (length, width): wavelengths from 2 pi to 20,000 pi."""
    angles = np.arange(length)[:, None] / 1e4 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, width).astype("float32")


def transformer(source, target, words, *, width=64, heads=4, blocks=2):
    """A small Transformer, encoder and decoder; normalized before each part, not after."""
    x = keras.Input(source.shape[1:], dtype="int32", name="source")
    y = keras.Input((target.shape[1] - 1,), dtype="int32", name="prefix")
    real = ops.expand_dims(ops.not_equal(x, PAD), 1)

    def part(inputs, layer, *more, **options):  # residual: the input plus what the part adds
        return inputs + layer(layers.LayerNormalization()(inputs), *more, **options)

    def heads_of(h, memory=None, **options):
        layer = layers.MultiHeadAttention(heads, width // heads)
        call = lambda z, **o: layer(z, z if memory is None else memory, **o)  # noqa: E731
        return part(h, call, **options)

    def forward(h):
        wide, narrow = layers.Dense(2 * width, activation="relu"), layers.Dense(width)
        return part(h, lambda z: narrow(wide(z)))

    h = layers.Embedding(len(words[0]), width)(x) + positions(x.shape[1], width)
    for _ in range(blocks):
        h = forward(heads_of(h, attention_mask=real))
    memory = layers.LayerNormalization()(h)
    h = layers.Embedding(len(words[1]), width)(y) + positions(y.shape[1], width)
    for _ in range(blocks):
        h = forward(heads_of(heads_of(h, use_causal_mask=True), memory, attention_mask=real))
    return keras.Model([x, y], layers.Dense(len(words[1]))(layers.LayerNormalization()(h)))


def saliency(model, source, prefix, steps):
    """How long the top logit's gradient is at each source word: (numbers, steps, words)."""
    table = model.get_layer("words").embeddings.value

    @tf.function(reduce_retracing=True)
    def at(t):
        with tf.GradientTape() as tape:
            top = tf.reduce_sum(tf.reduce_max(model([source, prefix])[:, t], -1))
        return tape.gradient(top, table).values  # one row per word read, before they are added up

    shape = (*source.shape, WIDTH)
    lengths = [
        np.linalg.norm(at(tf.constant(t)).numpy().reshape(shape), axis=-1) for t in range(steps)
    ]
    return np.stack(lengths, 1)


def permuted(weights, real, rng):
    """Each row of weights shuffled among its real words."""
    keys = np.where(real[:, None], rng.random(weights.shape), 2)  # padding stays last
    order = np.argsort(np.argsort(keys, -1), -1)
    packed = np.take_along_axis(weights, np.argsort(~real, -1, kind="stable")[:, None], -1)
    return np.take_along_axis(packed, order, -1) * real[:, None]


def reread(model, parts, weights):
    """Logits of a Luong model if its attention had had these weights."""
    _, states, both, _ = parts
    both = np.concatenate([weights @ states, both[..., UNITS:]], -1)
    combine, out = model.layers[-2:]
    return out(combine(both)).numpy()


def what_the_weights_say(model, probe, score, source, target, words, seed):
    """Alignment, saliency, other weights, other words: a dict, measured on the test numbers."""
    names = [{number: word for word, number in side.items()} for side in words]
    real, y = source != PAD, target[:, 1:]
    parts = [
        np.asarray(a) for a in probe.predict([source, target[:, :-1]], batch_size=250, verbose=0)
    ]
    weights, logits = parts[0], parts[3]
    known, role = np.full(y.shape, -1), np.zeros(y.shape, dtype=int)
    for k in range(len(y)):
        english = [names[0][w] for w in source[k] if w != PAD]
        german = [names[1][w] for w in y[k] if w > BASE["END"]]
        known[k, : len(german)] = known_alignment(english, german)
        for t, piece in enumerate(german):  # 1 unit, 2 ten, 3 digit of hundreds, 4 hundert, 5 scale
            after, before = [*german, ""][t + 1], german[t - 1] if t else ""
            scale = piece in ("tausend", "million", "millionen")
            flags = [after == "und", before == "und", after == "hundert", piece == "hundert", scale]
            role[k, t] = flags.index(True) + 1 if any(flags) else 0
    counted, focus = known >= 0, weights.argmax(-1)
    off = (focus - known)[counted]
    result = {"aligned": np.mean(off == 0), "within_one": np.mean(np.abs(off) <= 1)}
    result["aligned_by_role"] = [np.mean((focus == known)[counted & (role == n)]) for n in range(6)]
    result["offsets"] = [np.mean(off == n) for n in (-2, -1, 0, 1, 2)]
    result["largest_weight"] = np.mean(weights.max(-1)[counted])
    units, tens = (focus == known) & (role == 1), (focus == known) & (role == 2)
    result["swaps"] = np.mean((units[:, :-2] & tens[:, 2:])[role[:, :-2] == 1])
    points = saliency(model, source, target[:, :-1], y.shape[1]).argmax(-1)
    result["saliency_aligned"] = np.mean((points == known)[counted])
    result["saliency_is_focus"] = np.mean((points == focus)[counted])
    # another digit before "hundred": does the German digit follow?
    rows, steps = np.nonzero((role == 3) & np.isin(y, [words[1][d] for d in DIGITS]))
    fresh = np.array(
        [words[1][DIGITS[(DIGITS.index(names[1][d]) + 1) % 8]] for d in y[rows, steps]]
    )
    changed = source[rows].copy()
    changed[np.arange(len(rows)), known[rows, steps]] = [words[0][WORD[names[1][d]]] for d in fresh]
    outcome = probe.predict([changed, target[rows, :-1]], batch_size=250, verbose=0)
    result["digit_follows"] = np.mean(outcome[3][np.arange(len(rows)), steps].argmax(-1) == fresh)
    result["looks_at_digit"] = np.mean(focus[rows, steps] == known[rows, steps])
    result["looks_at_hundred"] = np.mean(focus[rows, steps] == known[rows, steps] + 1)
    tokens = y != PAD
    result["token"] = np.mean((logits.argmax(-1) == y)[tokens])
    if score != "bahdanau":
        assert np.abs(reread(model, parts, weights) - logits).max() < 1e-3
        flat = np.repeat((real / real.sum(1, keepdims=True))[:, None], y.shape[1], 1)
        one = np.eye(source.shape[1])[focus]
        shuffled = permuted(weights, real, np.random.default_rng(seed))
        for name, other in (("even", flat), ("permuted", shuffled), ("hard", one)):
            best = reread(model, parts, other.astype("float32")).argmax(-1)
            result[f"token_{name}"] = np.mean((best == y)[tokens])
            result[f"changed_{name}"] = np.mean((best != logits.argmax(-1))[tokens])
    return result


def run(score, trained_on, epochs, seed):
    """Train one model: exact match on 1,000 other numbers, and what its weights say."""
    (train, test), words = BASE["load"](9, train=5000 if trained_on == "all" else 10_000)
    if trained_on == "short":
        short = (train[0] != PAD).sum(1) <= SHORT
        train = [side[short][:5000] for side in train]
    keras.utils.set_random_seed(seed)
    if score == "transformer":
        model, probe = transformer(*train, words), None
    else:
        model, probe = attentive(*train, words, score)
    history = BASE["fit"](model, *train, epochs)
    answers = BASE["greedy"](model, test[0], test[1].shape[1] - 1)
    right, length = (answers == test[1][:, 1:]).all(1), (test[0] != PAD).sum(1)
    result = {
        "parameters": model.count_params(),
        "losses": history["loss"],
        "examples": len(train[0]),
    }
    result["exact"] = np.mean(right)
    lengths = range(1, test[0].shape[1] + 1)
    result["numbers_by_length"] = [int(np.sum(length == n)) for n in lengths]
    result["right_by_length"] = [int(np.sum(right[length == n])) for n in lengths]
    if probe is not None:
        result |= what_the_weights_say(model, probe, score, *test, words, seed)
    return {key: np.asarray(value).tolist() for key, value in result.items()}


MODELS = [
    (score, "all") for score in ("general", "bahdanau", "mean", "dot", "concat", "transformer")
]
MODELS.insert(2, ("general", "short"))
SETTINGS = [
    {"score": score, "trained_on": part, "epochs": 8, "seed": seed}
    for seed in (0, 1, 2)
    for score, part in MODELS
]
