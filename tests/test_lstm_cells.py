"""The LSTM cells against Keras' to the last bit, against NumPy, PyTorch's and ONNX' equations."""

import inspect
import itertools
import textwrap

import cell_testing as t
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils.cells import check_cell, lstm
from course_utils.cells.lstm import (
    LayerNormLSTMCell,
    LSTMCell,
    PeepholeLSTMCell,
    layer_norm,
    unit_forget_bias,
)

VARIANTS = [PeepholeLSTMCell, LayerNormLSTMCell]
CELLS = [LSTMCell, *VARIANTS]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def columns(matrix):
    """The gates' blocks of an array whose last axis is i, f, g, o."""
    return [matrix[..., k * t.UNITS : (k + 1) * t.UNITS] for k in range(4)]


def lstm_reference(weights, x, states):
    (Wi, Wf, Wg, Wo), (Ui, Uf, Ug, Uo), (bi, bf, bg, bo) = map(columns, weights)
    h, c = states
    i, f = sigmoid(x @ Wi + h @ Ui + bi), sigmoid(x @ Wf + h @ Uf + bf)
    g, o = np.tanh(x @ Wg + h @ Ug + bg), sigmoid(x @ Wo + h @ Uo + bo)
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, [h, c]


def peephole_reference(weights, x, states):
    (Wi, Wf, Wg, Wo), (Ui, Uf, Ug, Uo), (bi, bf, bg, bo) = map(columns, weights[:3])
    pi, pf, po = weights[3].reshape(3, t.UNITS)
    h, old = states
    new = sigmoid(x @ Wf + h @ Uf + bf + pf * old) * old
    new += sigmoid(x @ Wi + h @ Ui + bi + pi * old) * np.tanh(x @ Wg + h @ Ug + bg)
    h = sigmoid(x @ Wo + h @ Uo + bo + po * new) * np.tanh(new)
    return h, [h, new]


def layer_norm_reference(weights, x, states):
    W, U, b, k, r, s, s_b = weights
    h, c = states

    def norm(z, gain):
        return np.stack([(row - row.mean()) / (row.var() + 0.001) ** 0.5 * gain for row in z])

    i, f, g, o = columns(norm(x @ W, k) + norm(h @ U, r) + b)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(norm(c, s) + s_b)
    return h, [h, c]


REFERENCES = {
    "LSTMCell": lstm_reference,
    "PeepholeLSTMCell": peephole_reference,
    "LayerNormLSTMCell": layer_norm_reference,
}


def equals_numpy(module, name):
    kind = getattr(module, name)
    t.assert_equals_numpy(kind(t.UNITS, dtype="float64"), REFERENCES[name])


@pytest.mark.parametrize("name", REFERENCES)
def test_equals_numpy(name):
    equals_numpy(lstm, name)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_equal_finite_differences(kind):
    t.assert_gradients_equal_finite_differences(kind(t.UNITS, dtype="float64"))


# One line changed, shapes kept; at least one per weight and gate. The three cells have lines in
# common, so a mutant is made in the source of its own class (or function).
SPLIT = "i, f, g, o = ops.split"
STEP = "c = f * c + i * self.activation(g)"
GATES = "map(self.recurrent_activation, (i, f, o))"
LSTM_MUTANTS = {
    "input ignored": ("matmul(inputs, self.kernel)", "matmul(0 * inputs, self.kernel)"),
    "kernel upside down": ("self.kernel)", "ops.flip(self.kernel, 0))"),
    "state ignored": ("matmul(h, self", "matmul(0 * h, self"),
    "recurrent kernel upside down": (
        "self.recurrent_kernel)",
        "ops.flip(self.recurrent_kernel, 0))",
    ),
    "difference for sum": ("a = ops.add(", "a = ops.subtract("),
    "no bias": ("if self.use_bias", "if False"),
    "bias reversed": ("ops.add(a, self.bias)", "ops.add(a, ops.flip(self.bias))"),
    "bias twice": ("ops.add(a, self.bias)", "ops.add(a, 2 * self.bias)"),
    "i and f swapped": (SPLIT, "f, i, g, o = ops.split"),
    "g and o swapped": (SPLIT, "i, f, o, g = ops.split"),
    "i and o swapped": (SPLIT, "o, f, g, i = ops.split"),
    "ONNX order": (SPLIT, "i, o, f, g = ops.split"),
    "states swapped": ("h, c = self.check_states", "c, h = self.check_states"),
    "i without its sigmoid": (GATES, "(i, *map(self.recurrent_activation, (f, o)))"),
    "f without its sigmoid": (
        GATES,
        "(self.recurrent_activation(i), f, self.recurrent_activation(o))",
    ),
    "o without its sigmoid": (GATES, "(*map(self.recurrent_activation, (i, f)), o)"),
    "tanh for the gates": (GATES, "map(self.activation, (i, f, o))"),
    "i dropped": (STEP, "c = f * c + self.activation(g)"),
    "f dropped": (STEP, "c = c + i * self.activation(g)"),
    "f coupled to i": (STEP, "c = (1 - i) * c + i * self.activation(g)"),
    "sigmoid for g": (STEP, "c = f * c + i * self.recurrent_activation(g)"),
    "g without its tanh": (STEP, "c = f * c + i * g"),
    "o dropped": ("h = o * self", "h = self"),
    "c shown without tanh": ("h = o * self.activation(c)", "h = o * c"),
    "tanh of c carried": ("return h, [h, c]", "return h, [h, self.activation(c)]"),
    "states returned in the wrong order": ("return h, [h, c]", "return h, [c, h]"),
    "old c carried": ("return h, [h, c]", "return h, [h, states[1]]"),
    "old h carried": ("return h, [h, c]", "return h, [states[0], c]"),
    "c for the output": ("return h, [h, c]", "return c, [h, c]"),
}
PEEPHOLE_MUTANTS = {
    "i's peephole dropped": ("(i + p_i * c)", "(i)"),
    "f's peephole dropped": ("(f + p_f * c)", "(f)"),
    "o's peephole dropped": ("(o + p_o * c)", "(o)"),
    "i and f's peepholes swapped": ("p_i, p_f, p_o = ", "p_f, p_i, p_o = "),
    "f and o's peepholes swapped": ("p_i, p_f, p_o = ", "p_i, p_o, p_f = "),
    "peepholes reversed": ("split(self.peephole_kernel", "split(ops.flip(self.peephole_kernel)"),
    "i sees h": ("p_i * c)", "p_i * h)"),
    "f sees h": ("p_f * c)", "p_f * h)"),
    "o sees h": ("p_o * c)", "p_o * h)"),
    "o sees the old c": ("p_o * c)", "p_o * states[1])"),
    "o sees tanh of c": ("p_o * c)", "p_o * self.activation(c))"),
    "g sees c": ("self.activation(g)", "self.activation(g + p_i * c)"),
    "a full matrix's row sum": ("p_i * c)", "p_i * ops.sum(c, -1, keepdims=True))"),
    "peephole after the sigmoid": ("(f + p_f * c)", "(f) + p_f * c"),
    "f for o": ("o = self.recurrent_activation(o + p_o", "o = self.recurrent_activation(f + p_o"),
    "i and f swapped": (SPLIT, "f, i, g, o = ops.split"),
    "g and o swapped": (SPLIT, "i, f, o, g = ops.split"),
    "states swapped": ("h, c = self.check_states", "c, h = self.check_states"),
    "i dropped": (STEP, "c = f * c + self.activation(g)"),
    "f dropped": (STEP, "c = c + i * self.activation(g)"),
    "o dropped": ("h = o * self", "h = self"),
    "c shown without tanh": ("h = o * self.activation(c)", "h = o * c"),
    "old c carried": ("return h, [h, c]", "return h, [h, states[1]]"),
    "old h carried": ("return h, [h, c]", "return h, [states[0], c]"),
}
INPUT_PART = "layer_norm(ops.matmul(inputs, self.kernel), self.kernel_gain)"
STATE_PART = "layer_norm(ops.matmul(h, self.recurrent_kernel), self.recurrent_gain)"
SHOWN = "layer_norm(c, self.state_gain) + self.state_bias"
LAYER_NORM_MUTANTS = {
    "input part not normalized": (
        INPUT_PART,
        "ops.matmul(inputs, self.kernel) * self.kernel_gain",
    ),
    "state part not normalized": (
        STATE_PART,
        "ops.matmul(h, self.recurrent_kernel) * self.recurrent_gain",
    ),
    "kernel's gain forgotten": (", self.kernel_gain)", ", ops.ones_like(self.kernel_gain))"),
    "recurrent gain forgotten": (
        ", self.recurrent_gain)",
        ", ops.ones_like(self.recurrent_gain))",
    ),
    "state's gain forgotten": ("(c, self.state_gain)", "(c, ops.ones_like(self.state_gain))"),
    "state's bias forgotten": (SHOWN, "layer_norm(c, self.state_gain)"),
    "gains swapped": (", self.kernel_gain)", ", self.recurrent_gain)"),
    "kernel's gain reversed": (", self.kernel_gain)", ", ops.flip(self.kernel_gain))"),
    "state's bias twice": ("+ self.state_bias", "+ 2 * self.state_bias"),
    "the sum normalized": ("a = x + h + self.bias", "a = layer_norm(x + h, 1.0) + self.bias"),
    "the bias normalized too": ("a = x + h + self.bias", "a = x + layer_norm(h + self.bias, 1.0)"),
    "gates normalized one by one": (
        INPUT_PART,
        "ops.reshape(layer_norm(ops.reshape(ops.matmul(inputs, self.kernel), (-1, 4, self.units)),"
        " ops.reshape(self.kernel_gain, (4, -1))), (-1, 4 * self.units))",
    ),
    "normalized over the batch": (
        STATE_PART,
        "ops.transpose(layer_norm(ops.transpose(ops.matmul(h, self.recurrent_kernel)), 1.0))"
        " * self.recurrent_gain",
    ),
    "inputs normalized instead": (
        INPUT_PART,
        "ops.matmul(layer_norm(inputs, 1.0), self.kernel) * self.kernel_gain",
    ),
    "normalized state carried": ("return h, [h, c]", f"return h, [h, {SHOWN}]"),
    "state not normalized": (SHOWN, "c * self.state_gain + self.state_bias"),
    "norm outside the tanh": (
        f"self.activation({SHOWN})",
        "layer_norm(self.activation(c), self.state_gain) + self.state_bias",
    ),
    "old c shown": (SHOWN, "layer_norm(states[1], self.state_gain) + self.state_bias"),
    "no bias": ("if self.use_bias", "if False"),
    "i and f swapped": (SPLIT, "f, i, g, o = ops.split"),
    "g and o swapped": (SPLIT, "i, f, o, g = ops.split"),
    "states swapped": ("h, c = self.check_states", "c, h = self.check_states"),
    "i dropped": (STEP, "c = f * c + self.activation(g)"),
    "f dropped": (STEP, "c = c + i * self.activation(g)"),
    "o dropped": ("h = o * self", "h = self"),
    "old c carried": ("return h, [h, c]", "return h, [h, states[1]]"),
    "old h carried": ("return h, [h, c]", "return h, [states[0], c]"),
}
NORM_MUTANTS = {
    "another epsilon": ("epsilon=1e-3):", "epsilon=1e-5):"),
    "no epsilon": ("(variance + epsilon)", "(variance)"),
    "epsilon outside the root": ("ops.sqrt(variance + epsilon)", "(ops.sqrt(variance) + epsilon)"),
    "mean left in": ("(wide - mean)", "wide"),
    "variance for deviation": ("ops.sqrt(variance + epsilon)", "(variance + epsilon)"),
    "root of the mean square": (
        "ops.sqrt(variance + epsilon)",
        "ops.sqrt(variance + mean**2 + epsilon)",
    ),
    "sample variance": ("(variance + epsilon)", "(variance * 16 / 15 + epsilon)"),
    "no gain": ("z.dtype) * gain", "z.dtype)"),
    "over the batch": ("axes=-1", "axes=0"),
}
MUTANTS = [
    *[("LSTMCell", "LSTMCell", name, *m) for name, m in LSTM_MUTANTS.items()],
    *[("PeepholeLSTMCell", "PeepholeLSTMCell", name, *m) for name, m in PEEPHOLE_MUTANTS.items()],
    *[("LayerNormLSTMCell", "LayerNormLSTMCell", n, *m) for n, m in LAYER_NORM_MUTANTS.items()],
    *[("LayerNormLSTMCell", "layer_norm", name, *m) for name, m in NORM_MUTANTS.items()],
]


def mutant(owner, old, new):
    """The module with one piece of `owner`'s source replaced, which must occur there once."""
    source = inspect.getsource(getattr(lstm, owner))
    assert source.count(old) == 1, f"{old!r} must occur once in {owner}"
    return t.mutant(lstm, source, source.replace(old, new))


@pytest.mark.parametrize(
    ("name", "owner", "old", "new"),
    [pytest.param(name, owner, *change, id=f"{owner}: {what}")
     for name, owner, what, *change in MUTANTS],
)  # fmt: skip
def test_mutants_are_caught(name, owner, old, new):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        equals_numpy(mutant(owner, old, new), name)


def often(values, quick):
    """All `values` as parameters; those that are not `quick` run in the full suite only."""
    tuples = [v if isinstance(v, tuple) else (v,) for v in values]
    slow = [pytest.mark.slow]
    return [pytest.param(*v, marks=() if quick(*v) else slow) for v in tuples]


DTYPES = ["float32", "float64", "mixed_float16"]
QUICK = [*[(way, "float32") for way in ("loop", "masked")], ("loop", "mixed_float16")]


@pytest.mark.parametrize(
    ("way", "dtype"), often(itertools.product(t.WAYS, DTYPES), lambda *case: case in QUICK)
)
def test_lstm_equals_keras_gradients_included(way, dtype):
    kinds = (LSTMCell, layers.LSTMCell)
    t.assert_equals_keras(*[kind(t.UNITS, dtype=dtype) for kind in kinds], way, dtype)


@pytest.mark.parametrize(
    "options",
    [
        {"use_bias": False, "activation": "relu"},
        {"recurrent_activation": "hard_sigmoid", "activation": None},
    ],
)
def test_lstm_options_equal_keras(options):
    kinds = (LSTMCell, layers.LSTMCell)
    t.assert_equals_keras(*[kind(t.UNITS, **options) for kind in kinds], "loop", "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lstm_equals_keras_own_layer_and_weights_move_both_ways(dtype):
    ours = layers.RNN(LSTMCell(t.UNITS, dtype=dtype), return_state=True, dtype=dtype)
    theirs = layers.LSTM(t.UNITS, return_state=True, use_cudnn=False, dtype=dtype)
    x = tf.constant(t.sequences().astype(dtype))
    theirs(x), ours(x)
    theirs.set_weights(t.with_random_weights(ours.cell).get_weights())
    initial = [tf.constant(s.astype(dtype)) for s in t.states_of(ours.cell)]
    for a, b in zip(ours(x, initial_state=initial), theirs(x, initial_state=initial), strict=True):
        np.testing.assert_array_equal(a, b)
    back = LSTMCell(t.UNITS, dtype=dtype)
    back.build((None, t.FEATURES))
    back.set_weights(theirs.get_weights())
    for a, b in zip(back.get_weights(), ours.cell.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_default_bias_is_keras_default():
    ours, theirs = LSTMCell(t.UNITS), layers.LSTMCell(t.UNITS)
    ours.build((None, t.FEATURES)), theirs.build((None, t.FEATURES))
    np.testing.assert_array_equal(ours.bias, theirs.bias)
    np.testing.assert_array_equal(ours.bias, [0] * 4 + [1] * 4 + [0] * 8)
    assert unit_forget_bias((4,)).dtype == "float32"
    assert unit_forget_bias((4,), dtype="float64").dtype == "float64"


@pytest.mark.parametrize("kind", CELLS)
def test_a_bias_initializer_fills_the_whole_bias(kind):
    for name, value in (("zeros", 0), ("ones", 1), (keras.initializers.Constant(5.0), 5)):
        cell = kind.from_config(kind(t.UNITS, bias_initializer=name).get_config())
        cell.build((None, t.FEATURES))
        np.testing.assert_array_equal(cell.bias, [value] * 4 * t.UNITS)


@pytest.mark.parametrize(
    ("kind", "way"),
    often(itertools.product(VARIANTS, t.WAYS), lambda kind, way: way == "masked"),
)
def test_every_way_equals_the_loop_by_hand(kind, way):
    t.assert_runs_every_way_alike(lambda **kw: kind(t.UNITS, **kw), way)


@pytest.mark.parametrize("kind", CELLS)
def test_bidirectional_stacked_and_mixed(kind):
    t.assert_bidirectional_stacked_and_mixed(lambda **kw: kind(t.UNITS, **kw))


@pytest.mark.parametrize("kind", often(CELLS, lambda kind: False))
def test_trained_saved_and_loaded(kind, tmp_path):
    t.assert_survives_training_and_saving(lambda: kind(t.UNITS), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CELLS)
def test_keeps_the_cell_contract(kind):
    report = check_cell(kind(t.UNITS))
    assert report.ok, report


@pytest.mark.parametrize("kind", CELLS)
def test_configuration_survives(kind):
    options = {
        "activation": "relu",
        "recurrent_activation": "hard_sigmoid",
        "use_bias": False,
        "bias_initializer": "ones",
        "name": "mine",
        "dtype": "float64",
    }
    if kind is PeepholeLSTMCell:
        options["peephole_initializer"] = "ones"
    cell = kind(3, **options)
    copy = kind.from_config(cell.get_config())
    config = copy.get_config()
    assert config == cell.get_config()
    plain = {k: v["class_name"].lower() if isinstance(v, dict) else v for k, v in config.items()}
    assert (copy.compute_dtype, plain) == ("float64", {**plain, **options, "dtype": plain["dtype"]})
    copy.build((None, t.FEATURES))
    assert copy.bias is None
    if kind is PeepholeLSTMCell:
        np.testing.assert_array_equal(copy.peephole_kernel, np.ones(9))


def outputs(cell, seed=0):
    """Outputs of all steps from a random state, float64, with the cell's present weights."""
    states = [tf.constant(s) for s in t.states_of(cell)]
    run = layers.RNN(cell, return_sequences=True, dtype="float64")
    return run(tf.constant(t.sequences(seed)), initial_state=states).numpy()


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("options", [{"use_bias": False}, {"activation": "relu"}])
def test_options_of_the_variants(kind, options):
    """Without a bias: like a zero bias. With ReLU: unlike tanh, and equal to it by hand."""
    cell, plain = [
        t.with_random_weights(kind(t.UNITS, dtype="float64", **o)) for o in (options, {})
    ]
    if "use_bias" in options:
        weights = cell.get_weights()
        plain.set_weights([*weights[:2], np.zeros(4 * t.UNITS), *weights[2:]])
    else:
        plain.activation = keras.activations.relu
        assert np.abs(outputs(cell)).max() > 1
    np.testing.assert_array_equal(outputs(cell), outputs(plain))


def test_without_peepholes_it_is_the_lstm():
    plain = t.with_random_weights(LSTMCell(t.UNITS, dtype="float64"))
    cell = PeepholeLSTMCell(t.UNITS, dtype="float64")
    cell.build((None, t.FEATURES))
    np.testing.assert_array_equal(cell.peephole_kernel, np.zeros(3 * t.UNITS))
    cell.set_weights([*plain.get_weights(), np.zeros(3 * t.UNITS)])
    np.testing.assert_array_equal(outputs(cell), outputs(plain))
    cell.set_weights([*plain.get_weights(), np.ones(3 * t.UNITS)])
    assert np.abs(outputs(cell) - outputs(plain)).max() > 0.1


def test_layer_norm_is_keras_layer_normalization():
    rng = np.random.default_rng(0)
    z, gain = 0.05 * rng.normal(size=(4, 16)), rng.normal(size=16)  # 0.05**2 is near epsilon
    theirs = layers.LayerNormalization(dtype="float64", center=False)
    theirs.build(z.shape)
    theirs.set_weights([gain])
    np.testing.assert_allclose(layer_norm(tf.constant(z), gain), theirs(z), rtol=0, atol=1e-12)


def test_layer_norm_survives_half_precision():
    z = np.array([[500.0, -500.0, 300.0, -300.0]])  # 500**2 is infinite in float16
    half = layer_norm(tf.constant(z, "float16"), tf.ones(4, "float16"))
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, layer_norm(tf.constant(z), np.ones(4)), atol=1e-3)


@pytest.mark.parametrize("index", [0, 1], ids=["kernel", "recurrent kernel"])
def test_layer_norm_lstm_ignores_the_scale_of_its_kernels(index):
    change = {}
    for kind in (LSTMCell, LayerNormLSTMCell):
        cell = t.with_random_weights(kind(t.UNITS, dtype="float64"))
        before, weights = outputs(cell), cell.get_weights()
        weights[index] *= 100
        cell.set_weights(weights)
        change[kind] = np.abs(outputs(cell) - before).max()
    assert change[LayerNormLSTMCell] < 5e-3 < 0.5 < change[LSTMCell]


def recipe(kind, peer, **arrays):
    """Run the lines that `kind`'s docstring gives for moving weights from `peer`."""
    text = inspect.getdoc(kind).split(f"From {peer}", 1)[1].split(":\n\n", 1)[1]
    lines = []
    for line in text.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line)
    names = {"np": np, **arrays}
    exec(textwrap.dedent("\n".join(lines)), names)
    return names


def moved(kind, *weights):
    cell = kind(t.UNITS, dtype="float64")
    cell.build((None, t.FEATURES))
    cell.set_weights(weights)
    return cell


def test_weights_move_from_pytorch_by_the_recipe():
    rng = np.random.default_rng(3)
    N, D = t.UNITS, t.FEATURES
    weight_ih, weight_hh = rng.normal(size=(4 * N, D)), rng.normal(size=(4 * N, N))
    bias_ih, bias_hh = rng.normal(size=(2, 4 * N))
    names = recipe(
        LSTMCell, "PyTorch", weight_ih_l0=weight_ih, weight_hh_l0=weight_hh, bias_ih_l0=bias_ih,
        bias_hh_l0=bias_hh,
    )  # fmt: skip
    cell = moved(LSTMCell, names["kernel"], names["recurrent_kernel"], names["bias"])
    (W_ii, W_if, W_ig, W_io), (W_hi, W_hf, W_hg, W_ho) = (
        np.split(w, 4) for w in (weight_ih, weight_hh)
    )
    (b_ii, b_if, b_ig, b_io), (b_hi, b_hf, b_hg, b_ho) = (
        np.split(b, 4) for b in (bias_ih, bias_hh)
    )
    h, c = (s.T for s in t.states_of(cell))  # columns are examples
    wanted = []
    for x in t.sequences(0).transpose(1, 2, 0):
        i = sigmoid(W_ii @ x + b_ii[:, None] + W_hi @ h + b_hi[:, None])
        f = sigmoid(W_if @ x + b_if[:, None] + W_hf @ h + b_hf[:, None])
        g = np.tanh(W_ig @ x + b_ig[:, None] + W_hg @ h + b_hg[:, None])
        o = sigmoid(W_io @ x + b_io[:, None] + W_ho @ h + b_ho[:, None])
        c = f * c + i * g
        h = o * np.tanh(c)
        wanted.append(h.T)
    np.testing.assert_allclose(outputs(cell), np.stack(wanted, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [LSTMCell, PeepholeLSTMCell])
def test_weights_move_from_onnx_by_the_recipe(kind):
    rng = np.random.default_rng(4)
    N, D = t.UNITS, t.FEATURES
    W, R = rng.normal(size=(1, 4 * N, D)), rng.normal(size=(1, 4 * N, N))
    B, P = rng.normal(size=(1, 8 * N)), rng.normal(size=(1, 3 * N))
    names = recipe(LSTMCell, "the ONNX operator", W=W, R=R, B=B)
    weights = [names["kernel"], names["recurrent_kernel"], names["bias"]]
    if kind is PeepholeLSTMCell:
        weights.append(recipe(kind, "the ONNX operator", P=P)["peephole_kernel"])
    else:
        P = np.zeros_like(P)
    cell = moved(kind, *weights)
    Wi, Wo, Wf, Wc = np.split(W[0], 4)
    Ri, Ro, Rf, Rc = np.split(R[0], 4)
    Wbi, Wbo, Wbf, Wbc, Rbi, Rbo, Rbf, Rbc = np.split(B[0], 8)
    Pi, Po, Pf = np.split(P[0], 3)
    H, C = t.states_of(cell)
    wanted = []
    for X in t.sequences(0).swapaxes(0, 1):
        i = sigmoid(X @ Wi.T + H @ Ri.T + Pi * C + Wbi + Rbi)
        f = sigmoid(X @ Wf.T + H @ Rf.T + Pf * C + Wbf + Rbf)
        c = np.tanh(X @ Wc.T + H @ Rc.T + Wbc + Rbc)
        C = f * C + i * c
        o = sigmoid(X @ Wo.T + H @ Ro.T + Po * C + Wbo + Rbo)
        H = o * np.tanh(C)
        wanted.append(H)
    np.testing.assert_allclose(outputs(cell), np.stack(wanted, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("states", "received"),
    [
        ([(2, 4)], r"\[\(2, 4\)\]"),
        ([(2, 4)] * 3, r"\[\(2, 4\), \(2, 4\), \(2, 4\)\]"),
        ([(2, 4), (2, 5)], r"\[\(2, 4\), \(2, 5\)\]"),
        ([(2, 1), (2, 4)], r"\[\(2, 1\), \(2, 4\)\]"),
        ([(4,), (4,)], r"\[\(4,\), \(4,\)\]"),
    ],
)
def test_states_are_checked(kind, states, received):
    rule = r"`states` must be a list of shapes \[\(batch, 4\), \(batch, 4\)\]. Received: "
    with pytest.raises(ValueError, match=rule + received):
        kind(4)(tf.ones((2, 3)), [tf.ones(shape) for shape in states])


@pytest.mark.parametrize("kind", CELLS)
def test_states_must_be_a_list(kind):
    with pytest.raises(ValueError, match=r"`states` must be a list .* Received: \w*Tensor"):
        kind(4)(tf.ones((2, 3)), tf.ones((2, 4)))


@pytest.mark.parametrize("kind", CELLS)
def test_units_are_checked(kind):
    with pytest.raises(ValueError, match=r"`units` must be a positive integer. Received: units=0"):
        kind(0)
