"""The GRU cells against Keras, to the last bit, against NumPy, PyTorch and ONNX; and mutants."""

import functools
import inspect
import re
import textwrap

import cell_testing as t
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils import diagnostics
from course_utils.cells import check_cell, gru
from course_utils.cells.gru import GRUCell, MinGRUCell, ResetAfterGRUCell

KINDS = [GRUCell, ResetAfterGRUCell, MinGRUCell]


def slow_for(*kinds):
    return [pytest.param(k, marks=[pytest.mark.slow] * (k in kinds)) for k in KINDS]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_reference(weights, x, states):
    (W_z, W_r, W_h), (U_z, U_r, U_h), (b_z, b_r, b_h) = [np.split(w, 3, axis=-1) for w in weights]
    (h,) = states
    z = sigmoid(x @ W_z + h @ U_z + b_z)
    r = sigmoid(x @ W_r + h @ U_r + b_r)
    n = np.tanh(x @ W_h + (r * h) @ U_h + b_h)
    h = n + z * (h - n)
    return h, [h]


def reset_after_reference(weights, x, states):
    W, U, (b, c) = weights
    (W_z, W_r, W_h), (U_z, U_r, U_h), (b_z, b_r, b_h), (c_z, c_r, c_h) = [
        np.split(w, 3, axis=-1) for w in (W, U, b, c)
    ]
    (h,) = states
    z = sigmoid(x @ W_z + h @ U_z + b_z + c_z)
    r = sigmoid(x @ W_r + h @ U_r + b_r + c_r)
    n = np.tanh(x @ W_h + b_h + r * (h @ U_h + c_h))
    h = n + z * (h - n)
    return h, [h]


def min_gru_reference(weights, x, states):
    (W_z, W_h), (b_z, b_h) = [np.split(w, 2, axis=-1) for w in weights]
    (h,) = states
    z, n = sigmoid(x @ W_z + b_z), x @ W_h + b_h
    h = n + z * (h - n)
    return h, [h]


REFERENCES = {
    "GRUCell": gru_reference,
    "ResetAfterGRUCell": reset_after_reference,
    "MinGRUCell": min_gru_reference,
}


def equals_numpy(kind):
    t.assert_equals_numpy(kind(t.UNITS, dtype="float64"), REFERENCES[kind.__name__])


@pytest.mark.parametrize("kind", KINDS)
def test_equals_numpy(kind):
    equals_numpy(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_finite_differences(kind):
    t.assert_gradients_equal_finite_differences(kind(t.UNITS, dtype="float64"))


# --- mutants ----------------------------------------------------------------------------------
# One line of a cell changed, shapes kept; at least one per weight and per gate.

KERNEL = {
    "input ignored": ("matmul(inputs, self.kernel)", "matmul(0 * inputs, self.kernel)"),
    "kernel upside down": ("inputs, self.kernel)", "inputs, ops.flip(self.kernel, 0))"),
    "no bias": ("if self.use_bias:\n            x", "if False:\n            x"),
}
ENDS = {
    "z points the other way": (
        "h = z * h + (1 - z) * candidate\n        ",
        "h = (1 - z) * h + z * candidate\n        ",
    ),
    "old state not kept": ("h = z * h + (1", "h = 0 * h + (1"),
    "candidate not scaled": ("(1 - z) * candidate\n        ret", "candidate\n        ret"),
    "difference for sum": ("h = z * h + (1", "h = z * h - (1"),
    "candidate handed on": ("return h, [h]", "return h, [candidate]"),
    "candidate as output": ("return h, [h]", "return candidate, [h]"),
    "old state handed on": ("return h, [h]", "return h, list(states)"),
    "output kept twice": ("return h, [h]", "return z * h, [h]"),
    "candidate without activation": ("candidate = self.activation(", "candidate = ("),
    "candidate through the sigmoid": (
        "candidate = self.activation(",
        "candidate = self.recurrent_activation(",
    ),
    "z without activation": ("z = self.recurrent_activation(", "z = ("),
    "z through tanh": ("z = self.recurrent_activation(", "z = ops.tanh("),
}
GATES = {
    "kernel's z and r swapped": ("x_z, x_r, x_h =", "x_r, x_z, x_h ="),
    "kernel's r and h swapped": ("x_z, x_r, x_h =", "x_z, x_h, x_r ="),
    "kernel's z and h swapped": ("x_z, x_r, x_h =", "x_h, x_r, x_z ="),
    "z without the state": ("(x_z + h_z)", "(x_z)"),
    "z without the input": ("(x_z + h_z)", "(h_z)"),
    "r without the state": ("(x_r + h_r)", "(x_r)"),
    "r without the input": ("(x_r + h_r)", "(h_r)"),
    "r without activation": ("r = self.recurrent_activation(", "r = ("),
    "r through tanh": ("r = self.recurrent_activation(", "r = ops.tanh("),
    "r turned around": ("r = self.recurrent_activation(", "r = 1 - self.recurrent_activation("),
    "r in z's place": ("h = z * h + (1 - z)", "h = r * h + (1 - r)"),
    "reset state kept": ("h = z * h + (1", "h = z * (r * h) + (1"),
}
MUTANTS = {
    GRUCell: {
        **KERNEL,
        **ENDS,
        **GATES,
        "bias twice": ("x = ops.add(x, self.bias)", "x = ops.add(x, 2 * self.bias)"),
        "bias of z and r swapped": (
            "ops.add(x, self.bias)",
            "ops.add(x, ops.take(self.bias, [4, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10, 11]))",
        ),
        "bias of h dropped": (
            "ops.add(x, self.bias)",
            "ops.add(x, self.bias * ([1.0] * 8 + [0.0] * 4))",
        ),
        "recurrent kernel's z and r swapped": ("h_z, h_r =", "h_r, h_z ="),
        "U_z and U_r from U_r and U_h": ("U[:, : 2 * N]", "U[:, N:]"),
        "U_h from U_r": ("U[:, 2 * N :]", "U[:, N : 2 * N]"),
        "U_z and U_r upside down": ("ops.matmul(h, U[", "ops.matmul(ops.flip(h, 1), U["),
        "U_h transposed": (
            "ops.matmul(r * h, U[:, 2 * N :])",
            "ops.matmul(r * h, ops.transpose(U[:, 2 * N :]))",
        ),
        "no reset": ("ops.matmul(r * h, U[:, 2 * N :])", "ops.matmul(h, U[:, 2 * N :])"),
        "reset after the product": (
            "ops.matmul(r * h, U[:, 2 * N :])",
            "r * ops.matmul(h, U[:, 2 * N :])",
        ),
        "reset of the input": (
            "x_h + ops.matmul(r * h, U[:, 2 * N :])",
            "r * x_h + ops.matmul(h, U[:, 2 * N :])",
        ),
        "reset of the whole candidate": (
            "(x_h + ops.matmul(r * h, U[:, 2 * N :]))",
            "(r * (x_h + ops.matmul(h, U[:, 2 * N :])))",
        ),
        "1 - z for the reset gate": (
            "ops.matmul(r * h, U[:, 2 * N :])",
            "ops.matmul((1 - z) * h, U[:, 2 * N :])",
        ),
        "z for the reset gate": (
            "ops.matmul(r * h, U[:, 2 * N :])",
            "ops.matmul(z * h, U[:, 2 * N :])",
        ),
        "candidate without the state": ("x_h + ops.matmul(r * h, U[:, 2 * N :])", "x_h"),
        "candidate without the input": (
            "x_h + ops.matmul(r * h, U[:, 2 * N :])",
            "ops.matmul(r * h, U[:, 2 * N :])",
        ),
    },
    ResetAfterGRUCell: {
        **KERNEL,
        "no bias": ("if self.use_bias:\n            b, c", "if False:\n            b, c"),
        **ENDS,
        **GATES,
        "recurrent kernel's z and r swapped": ("h_z, h_r, h_h =", "h_r, h_z, h_h ="),
        "recurrent kernel's r and h swapped": ("h_z, h_r, h_h =", "h_z, h_h, h_r ="),
        "recurrent kernel upside down": (
            "ops.matmul(h, self.recurrent_kernel)",
            "ops.matmul(h, ops.flip(self.recurrent_kernel, 0))",
        ),
        "input bias dropped": ("ops.add(x, b), u + c", "x, u + c"),
        "recurrent bias dropped": ("ops.add(x, b), u + c", "ops.add(x, b), u"),
        "input bias in both places": ("ops.add(x, b), u + c", "ops.add(x, b), u + b"),
        "biases swapped": ("b, c = ops.unstack", "c, b = ops.unstack"),
        "recurrent bias outside the reset": (
            "(x_h + r * h_h)",
            "(x_h + r * (h_h - c[8:]) + c[8:])",
        ),
        "input bias inside the reset": (
            "(x_h + r * h_h)",
            "(x_h - b[8:] + r * (h_h + b[8:]))",
        ),
        "no reset": ("x_h + r * h_h", "x_h + h_h"),
        "reset before the product": (
            "x_h + r * h_h",
            "x_h + ops.matmul(r * h, self.recurrent_kernel[:, 8:]) + c[8:]",
        ),
        "reset of the input": ("x_h + r * h_h", "r * x_h + h_h"),
        "reset of the whole candidate": ("(x_h + r * h_h)", "(r * (x_h + h_h))"),
        "1 - z for the reset gate": ("x_h + r * h_h", "x_h + (1 - z) * h_h"),
        "z for the reset gate": ("x_h + r * h_h", "x_h + z * h_h"),
        "candidate without the state": ("x_h + r * h_h", "x_h"),
        "candidate without the input": ("x_h + r * h_h", "r * h_h"),
    },
    MinGRUCell: {
        **{name: change for name, change in (KERNEL | ENDS).items() if "activation" not in name},
        "bias twice": ("ops.add(x, self.bias)", "ops.add(x, 2 * self.bias)"),
        "bias reversed": ("ops.add(x, self.bias)", "ops.add(x, ops.flip(self.bias))"),
        "z and h swapped": ("x_z, x_h =", "x_h, x_z ="),
        "z without activation": ("z = self.recurrent_activation(x_z)", "z = x_z"),
        "candidate through tanh": ("self.activation(x_h)", "ops.tanh(x_h)"),
        "z depends on the state": ("activation(x_z)", "activation(x_z + h)"),
        "candidate depends on the state": ("self.activation(x_h)", "self.activation(x_h + h)"),
        "candidate from the gate": ("self.activation(x_h)", "self.activation(x_z)"),
    },
}


def mutant(kind, old, new):
    """The cell with one piece of its own source replaced, which must occur exactly once there."""
    source = inspect.getsource(kind)
    assert source.count(old) == 1, f"{old!r} must occur once in {kind.__name__}"
    changed = t.mutant(gru, source, source.replace(old, new))
    return getattr(changed, kind.__name__)


@pytest.mark.parametrize(
    "kind, name", [(kind, name) for kind, mutants in MUTANTS.items() for name in mutants]
)
def test_mutants_are_caught(kind, name):
    changed = mutant(kind, *MUTANTS[kind][name])
    with pytest.raises(AssertionError):
        equals_numpy(changed)


# --- Keras ------------------------------------------------------------------------------------

PAIRS = {
    GRUCell: functools.partial(layers.GRUCell, reset_after=False),
    ResetAfterGRUCell: layers.GRUCell,
}
QUICK = [("loop", "float32"), ("loop", "mixed_float16"), ("masked", "float32")]
COMBINATIONS = [
    pytest.param(way, dtype, marks=[pytest.mark.slow] * ((way, dtype) not in QUICK))
    for way in t.WAYS
    for dtype in ("float32", "float64", "mixed_float16")
]


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("way, dtype", COMBINATIONS)
def test_equals_keras_in_a_layer_gradients_included(kind, way, dtype):
    ours, theirs = [make(t.UNITS, dtype=dtype) for make in (kind, PAIRS[kind])]
    t.assert_equals_keras(ours, theirs, way, dtype)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(
    "options",
    [
        {"use_bias": False},
        {"activation": "relu"},
        {"activation": None},
        {"recurrent_activation": "hard_sigmoid"},
    ],
)
def test_options_equal_keras(kind, options):
    ours, theirs = [make(t.UNITS, **options) for make in (kind, PAIRS[kind])]
    theirs.build((t.BATCH, t.FEATURES))
    theirs.set_weights(t.with_random_weights(ours).get_weights())
    x, states = t.sequences()[:, 0].astype("float32"), t.states_of(ours)
    states = [tf.constant(s, "float32") for s in states]
    np.testing.assert_array_equal(ours(x, states)[0], theirs(x, states)[0])
    assert np.abs(ours(x, states)[0] - kind(t.UNITS)(x, states)[0]).max() > 1e-3


@pytest.mark.parametrize("kind, reset_after", [(GRUCell, False), (ResetAfterGRUCell, True)])
def test_weights_move_to_and_from_keras_layers(kind, reset_after):
    ours = layers.RNN(kind(t.UNITS), return_sequences=True)
    theirs = layers.GRU(t.UNITS, reset_after=reset_after, return_sequences=True, use_cudnn=False)
    x = t.sequences().astype("float32")
    assert np.abs(ours(x) - theirs(x)).max() > 1e-3
    t.with_random_weights(ours.cell)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_array_equal(ours(x), theirs(x))
    theirs.set_weights([-w for w in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours(x), theirs(x))
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]


# --- the two placements of the reset ----------------------------------------------------------


@pytest.mark.parametrize("saturated", [False, True])
def test_the_place_of_the_reset_matters_unless_it_is_one(saturated):
    before, after = [kind(t.UNITS, dtype="float64") for kind in (GRUCell, ResetAfterGRUCell)]
    W, U, b = t.with_random_weights(before).get_weights()
    if saturated:
        b[t.UNITS : 2 * t.UNITS] = 100.0  # r = 1
    before.set_weights([W, U, b])
    after.build((t.BATCH, t.FEATURES))
    after.set_weights([W, U, np.stack([b, 0 * b])])
    x, states = t.sequences()[:, 0], t.states_of(before)
    difference = np.abs(before(x, states)[0] - after(x, states)[0]).max()
    assert difference < 1e-12 if saturated else difference > 1e-2


# --- other layouts: the recipes in the docstrings ---------------------------------------------


def follow_recipe(cell, after, **weights):
    """Run the lines that the cell's docstring shows after the words `after`."""
    cell.build((t.BATCH, t.FEATURES))
    text = inspect.getdoc(type(cell)).split(after)
    assert len(text) == 2
    lines = re.search(r"(?:^    .+\n\n*)+", text[1], re.MULTILINE).group()
    exec(textwrap.dedent(lines), {"np": np, "cell": cell, "N": t.UNITS, **weights})
    return cell


def assert_steps_equal(cell, step):
    """`step(x_t, h)` in NumPy for t.LENGTH steps from a random state."""
    x, states = t.sequences(), t.states_of(cell)
    (h,) = states
    for time in range(t.LENGTH):
        h = step(x[:, time], h)
        output, states = cell(tf.constant(x[:, time]), states)
        np.testing.assert_allclose(output, h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(states[0], h, rtol=0, atol=1e-12)


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


def test_pytorch_weights_by_the_recipe():
    w_ih, w_hh = normal(12, 3), normal(12, 4)
    b_ih, b_hh = np.split(normal(24), 2)

    def step(x, h):  # the equations of torch.nn.GRU
        W_ir, W_iz, W_in = w_ih[:4], w_ih[4:8], w_ih[8:]
        W_hr, W_hz, W_hn = w_hh[:4], w_hh[4:8], w_hh[8:]
        r = sigmoid(x @ W_ir.T + b_ih[:4] + h @ W_hr.T + b_hh[:4])
        z = sigmoid(x @ W_iz.T + b_ih[4:8] + h @ W_hz.T + b_hh[4:8])
        n = np.tanh(x @ W_in.T + b_ih[8:] + r * (h @ W_hn.T + b_hh[8:]))
        return (1 - z) * n + z * h

    cell = follow_recipe(
        ResetAfterGRUCell(t.UNITS, dtype="float64"),
        "equals PyTorch's `torch.nn.GRU`",
        weight_ih_l0=w_ih,
        weight_hh_l0=w_hh,
        bias_ih_l0=b_ih,
        bias_hh_l0=b_hh,
    )
    assert_steps_equal(cell, step)


@pytest.mark.parametrize("kind, linear_before_reset", [(GRUCell, 0), (ResetAfterGRUCell, 1)])
def test_onnx_weights_by_the_recipe(kind, linear_before_reset):
    W, R, B = normal(1, 12, 3), normal(1, 12, 4), normal(1, 24)

    def step(X, H):  # the equations of ONNX' GRU
        W_z, W_r, W_h = W[0, :4], W[0, 4:8], W[0, 8:]
        R_z, R_r, R_h = R[0, :4], R[0, 4:8], R[0, 8:]
        Wb_z, Wb_r, Wb_h, Rb_z, Rb_r, Rb_h = B[0].reshape(6, 4)
        z = sigmoid(X @ W_z.T + H @ R_z.T + Wb_z + Rb_z)
        r = sigmoid(X @ W_r.T + H @ R_r.T + Wb_r + Rb_r)
        if linear_before_reset:
            h = np.tanh(X @ W_h.T + r * (H @ R_h.T + Rb_h) + Wb_h)
        else:
            h = np.tanh(X @ W_h.T + (r * H) @ R_h.T + Rb_h + Wb_h)
        return (1 - z) * h + z * H

    words = f"with `linear_before_reset={linear_before_reset}`"
    assert_steps_equal(follow_recipe(kind(t.UNITS, dtype="float64"), words, W=W, R=R, B=B), step)


def test_min_gru_weights_of_the_paper_by_the_recipe():
    W_z, W_h = np.split(normal(8, 3), 2)
    b_z, b_h = np.split(normal(8), 2)

    def step(x, h):  # Feng et al.: z = 1 replaces the state
        z = sigmoid(x @ W_z.T + b_z)
        return (1 - z) * h + z * (x @ W_h.T + b_h)

    cell = follow_recipe(
        MinGRUCell(t.UNITS, dtype="float64"),
        "To use its weights",
        W_z=W_z,
        W_h=W_h,
        b_z=b_z,
        b_h=b_h,
    )
    assert_steps_equal(cell, step)


# --- what the minimal GRU's docstring says ----------------------------------------------------


def min_gru_steps():
    """A layer, and the z_t and v_t of its steps h_t = z_t * h_{t-1} + v_t."""
    layer = layers.RNN(
        t.with_random_weights(MinGRUCell(t.UNITS, dtype="float64")),
        return_sequences=True,
        dtype="float64",
    )
    kernel, bias = layer.cell.get_weights()
    a_z, candidate = np.split(t.sequences() @ kernel + bias, 2, axis=-1)
    return layer, sigmoid(a_z), (1 - sigmoid(a_z)) * candidate


def test_min_gru_in_three_rounds_equals_six_steps():
    layer, z, v = min_gru_steps()
    for shift in (1, 2, 4):  # each step is joined with what lies `shift` steps before it
        earlier_z = np.concatenate([np.ones_like(z[:, :shift]), z[:, :-shift]], axis=1)
        earlier_v = np.concatenate([np.zeros_like(v[:, :shift]), v[:, :-shift]], axis=1)
        z, v = z * earlier_z, z * earlier_v + v
    np.testing.assert_allclose(v, layer(t.sequences()), rtol=0, atol=1e-12)


def test_min_gru_jacobian_is_the_diagonal_of_z():
    layer, z, _ = min_gru_steps()
    layer.build((t.BATCH, t.LENGTH, t.FEATURES))
    jacobians = diagnostics.step_jacobians(layer, t.sequences())
    np.testing.assert_allclose(jacobians, z[..., None] * np.eye(t.UNITS), rtol=0, atol=1e-12)


# --- every cell -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, way",
    [
        pytest.param(k, way, marks=[pytest.mark.slow] * ("jit" in way or k is not MinGRUCell))
        for k in KINDS
        for way in t.WAYS
    ],
)
def test_every_way_equals_the_loop_by_hand(kind, way):
    t.assert_runs_every_way_alike(lambda **kw: kind(t.UNITS, **kw), way)


@pytest.mark.parametrize("kind", slow_for(GRUCell))
def test_bidirectional_stacked_and_mixed(kind):
    t.assert_bidirectional_stacked_and_mixed(lambda **kw: kind(t.UNITS, **kw))


@pytest.mark.parametrize("kind", slow_for(GRUCell, ResetAfterGRUCell, MinGRUCell))
def test_trained_saved_and_loaded(kind, tmp_path):
    t.assert_survives_training_and_saving(lambda: kind(t.UNITS), tmp_path)


@pytest.mark.parametrize("kind", slow_for(GRUCell, ResetAfterGRUCell))
def test_keeps_the_cell_contract(kind):
    report = check_cell(kind(t.UNITS))
    assert report.ok, report


@pytest.mark.parametrize("kind", KINDS)
def test_configuration_survives(kind):
    options = {
        "activation": "relu",
        "recurrent_activation": "hard_sigmoid",
        "use_bias": False,
        "kernel_initializer": "zeros",
        "bias_initializer": "ones",
        "name": "mine",
        "dtype": "float64",
    }
    if kind is not MinGRUCell:
        options["recurrent_initializer"] = "identity"
    cell = kind(3, **options)
    copy = kind.from_config(cell.get_config())
    assert copy.get_config() == cell.get_config()
    assert copy.recurrent_activation.__name__ == "hard_sigmoid"
    assert (copy.units, copy.use_bias, copy.name, copy.compute_dtype) == (
        3, False, "mine", "float64",
    )  # fmt: skip
    assert ("recurrent_initializer" in cell.get_config()) == (kind is not MinGRUCell)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_initializers_reach_their_weights(kind, use_bias):
    options = {} if kind is MinGRUCell else {"recurrent_initializer": "ones"}
    cell = kind(
        2, use_bias=use_bias, kernel_initializer="zeros", bias_initializer="ones", **options
    )
    cell.build((None, 3))
    values = {w.name: w.numpy() for w in cell.weights}
    assert np.all(values.pop("kernel") == 0)
    assert all(np.all(v == 1) for v in values.values())
    names = {"bias"} if use_bias else set()
    assert set(values) == names | ({"recurrent_kernel"} if options else set())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("units", [0, -1, 2.0, "8", True, None])
def test_units_are_checked(kind, units):
    with pytest.raises(ValueError, match=r"`units` must be a positive integer. Received: units="):
        kind(units)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("states", [[], [(2, 4), (2, 4)], [(2, 3)]])
def test_states_are_checked(kind, states):
    arrays = [np.ones(shape, "float32") for shape in states]
    with pytest.raises(ValueError, match=r"`states` must be .*\(batch, 4\)"):
        kind(4)(np.ones((2, 3), "float32"), arrays)


def test_min_gru_refuses_a_recurrent_initializer():
    with pytest.raises(ValueError, match=r"`recurrent_initializer` must be left out: .*'zeros'"):
        MinGRUCell(4, recurrent_initializer="zeros")
