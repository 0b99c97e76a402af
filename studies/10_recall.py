"""Which dropout erodes a memory? One symbol, many distractors, one question at the end.

Lesson 10 reads the results. The first step shows one of 8 symbols, `lag` steps show distractors,
the last step asks for the symbol. An LSTM and a GRU with 32 units, whose gates start with memories
up to the lag (chrono initialization, lesson 06), so that it is not the lag that makes it hard. What
differs is where the masks fall, and whether they are new at every step.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from course_utils.cells import GRUCell, LSTMCell
from course_utils.initializers import ChronoBias

UNITS, SYMBOLS, BATCH, STEPS, EVERY = 32, 8, 32, 300, 50
LAGS = (5, 20, 50, 100)
METHODS = {  # what is masked, and whether the masks are new at every step
    "none": ((), True),
    "inputs and outputs": (("x", "y"), True),
    "gates, new mask": (("h",), True),
    "gates, same mask": (("h",), False),
    "candidate, new mask": (("g",), True),
    "states, new mask": (("h", "c"), True),
    "states, same mask": (("h", "c"), False),
    "zoneout": (("zone h", "zone c"), True),
}
KEYS = ("network", "method", "rate", "lag", "seed")
ROWS = [("LSTM", "none", 0.0)] + [("LSTM", name, 0.25) for name in list(METHODS)[1:]]
ROWS += [("LSTM", "states, new mask", rate) for rate in (0.02, 0.1)]
ROWS += [("GRU", "none", 0.0)] + [("GRU", f"states, {kind} mask", 0.25) for kind in ("new", "same")]
SETTINGS = [
    dict(zip(KEYS, (*row, lag, seed), strict=True))
    for row in ROWS
    for lag in LAGS
    for seed in (0, 1, 2)
]


def recall(examples, lag, *, seed):
    """One-hot inputs (examples, lag + 2, 17), and the symbols to recall (examples,)."""
    rng = np.random.default_rng(seed)
    symbols = rng.integers(0, SYMBOLS, examples)
    numbers = rng.integers(SYMBOLS, 2 * SYMBOLS, (examples, lag + 2))
    numbers[:, 0], numbers[:, -1] = symbols, 2 * SYMBOLS
    return np.eye(2 * SYMBOLS + 1, dtype="float32")[numbers], symbols


class MaskedLSTMCell(LSTMCell):
    """An LSTM that finds its masks, named in `kinds`, beside its inputs: UNITS columns each."""

    def __init__(self, units, kinds, **kwargs):
        super().__init__(units, **kwargs)
        self.kinds = [kind for kind in kinds if kind != "y"]

    def build(self, input_shape):
        super().build((None, self.units))

    def call(self, inputs, states, training=False):
        x, *found = ops.split(inputs, 1 + len(self.kinds), axis=1)
        m, (h, c) = dict(zip(self.kinds, found, strict=True)), states
        h_in = h * m["h"] if "h" in m else h
        x = x * m["x"] if "x" in m else x
        i, f, g, o = ops.split(self.affine(x, h_in), 4, axis=1)
        g = ops.tanh(g) * m["g"] if "g" in m else ops.tanh(g)
        carried = c * m["c"] if "c" in m else c
        c_new = ops.sigmoid(f) * carried + ops.sigmoid(i) * g
        h_new = ops.sigmoid(o) * ops.tanh(c_new)
        if "zone h" in m:
            h_new = m["zone h"] * h + (1 - m["zone h"]) * h_new
            c_new = m["zone c"] * c + (1 - m["zone c"]) * c_new
        return h_new, [h_new, c_new]


class MaskedGRUCell(GRUCell):
    """The same for a GRU: the masked state enters the gates and is what is carried on."""

    def __init__(self, units, kinds, **kwargs):
        super().__init__(units, **kwargs)
        self.kinds = list(kinds)

    def build(self, input_shape):
        super().build((None, self.units))

    def call(self, inputs, states, training=False):
        x, *found = ops.split(inputs, 1 + len(self.kinds), axis=1)
        return super().call(x, [states[0] * found[0] if found else states[0]])


def draw(kinds, method, rate, batch, length, rng):
    """The masks beside the inputs, and the one on the output; `rng` None: those of inference.

    Dropout masks hold 0 and 1 / (1 - rate), zoneout's 1 where the old value stays. The same mask on
    a carried state at every step is not scaled: it would multiply what is kept at every step.
    """
    new = METHODS[method][1]
    found = {"y": np.ones((batch, UNITS), "float32")}
    for kind in kinds:
        shape = (batch, UNITS) if kind == "y" else (batch, length if new else 1, UNITS)
        if rng is None:
            found[kind] = np.full(shape, rate if "zone" in kind else 1, "float32")
            continue
        dropped = rng.random(shape, dtype="float32") < rate
        scale = 1 if method == "states, same mask" else 1 / (1 - rate)
        found[kind] = (dropped if "zone" in kind else scale * ~dropped).astype("float32")
    if "c" in kinds and not new:
        found["c"] = found["h"]  # a unit is there or not
    beside = [np.broadcast_to(found[k], (batch, length, UNITS)) for k in kinds if k != "y"]
    beside = np.concatenate(beside, axis=2) if beside else np.zeros((batch, length, 0), "float32")
    return beside, found["y"]


@functools.cache
def trainer(network, kinds, lag):
    """A model, its optimizer, and two compiled functions: one step of training, and a test."""
    if network == "LSTM":
        cell = MaskedLSTMCell(UNITS, kinds, bias_initializer=ChronoBias(lag))
    else:
        cell = MaskedGRUCell(UNITS, kinds, bias_initializer=chrono_for_gru(lag))
    one_hot = keras.Input((lag + 2, 2 * SYMBOLS + 1))
    masks, out = keras.Input((lag + 2, UNITS * len(cell.kinds))), keras.Input((UNITS,))
    embedded = keras.layers.Dense(UNITS, use_bias=False)(one_hot)
    h = keras.layers.RNN(cell)(ops.concatenate([embedded, masks], axis=2))
    model = keras.Model([one_hot, masks, out], keras.layers.Dense(SYMBOLS)(h * out))
    optimizer = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def train(x, symbols, masks, out):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(symbols, model([x, masks, out]))
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    @tf.function(jit_compile=True)
    def share_right(x, symbols, masks, out):
        right = tf.argmax(model([x, masks, out]), axis=1) == symbols
        return tf.reduce_mean(tf.cast(right, "float32"))

    start = [variable.numpy() for variable in optimizer.variables]
    return model, (optimizer, start), train, share_right


def chrono_for_gru(lag):
    """Update gates that keep over spans up to the lag; the other biases are 0."""

    def bias(shape, dtype=None):
        values = np.zeros(shape)
        values[:UNITS] = np.log(np.random.default_rng(lag).uniform(1, lag - 1, UNITS))
        return ops.convert_to_tensor(values, dtype)

    return bias


def restart(model, state, seed):
    """Weights as a new model has them, and the optimizer as it was."""
    keras.utils.set_random_seed(seed)
    for layer in model.layers:
        owner = getattr(layer, "cell", layer)
        for name in ("kernel", "recurrent_kernel", "bias"):
            variable = getattr(owner, name, None)
            if variable is not None:
                initializer = getattr(owner, f"{name.removesuffix('_kernel')}_initializer")
                clone = getattr(initializer, "clone", lambda same=initializer: same)
                variable.assign(clone()(variable.shape, dtype="float32"))
    for variable, value in zip(state[0].variables, state[1], strict=True):
        variable.assign(value)


def run(network, method, rate, lag, seed):
    """Train for 300 steps; every 50, the share of right answers on 512 sequences, in two modes.

    "right" is measured as the network is used, with nothing dropped; "masked" with fresh masks.
    """
    kinds = METHODS[method][0]
    if network == "GRU":  # which has no c
        kinds = tuple(kind for kind in kinds if kind != "c")
    model, state, train, share_right = trainer(network, kinds, lag)
    restart(model, state, seed)
    rng, result = np.random.default_rng(seed), {"right": [], "masked": []}
    test = recall(512, lag, seed=10_000 + seed)
    for step in range(1, STEPS + 1):
        train(*recall(BATCH, lag, seed=rng), *draw(kinds, method, rate, BATCH, lag + 2, rng))
        if step % EVERY == 0:
            for name, source in (("right", None), ("masked", rng)):
                masks = draw(kinds, method, rate, 512, lag + 2, source)
                result[name].append(round(float(share_right(*test, *masks)), 4))
    return result
