"""VanillaRNNCell against Keras' cell, to the last bit, and against NumPy; and mutants of it."""

import cell_testing as t
import numpy as np
import pytest
from keras import layers

from course_utils.cells import vanilla
from course_utils.cells.vanilla import VanillaRNNCell


def reference(weights, x, states):
    W, U, b = weights
    h = np.tanh(x @ W + states[0] @ U + b)
    return h, [h]


def equals_numpy(kind):
    t.assert_equals_numpy(kind(t.UNITS, dtype="float64"), reference)


def test_equals_numpy():
    equals_numpy(VanillaRNNCell)


def test_gradients_equal_finite_differences():
    t.assert_gradients_equal_finite_differences(VanillaRNNCell(t.UNITS, dtype="float64"))


# One line of the cell changed, shapes kept; at least one per weight.
MUTANTS = {
    "input ignored": ("matmul(inputs, self.kernel)", "matmul(0 * inputs, self.kernel)"),
    "kernel upside down": ("self.kernel)", "ops.flip(self.kernel, 0))"),
    "recurrent kernel transposed": (
        "self.recurrent_kernel)",
        "ops.transpose(self.recurrent_kernel))",
    ),
    "recurrent kernel's diagonal only": (
        "self.recurrent_kernel)",
        "self.recurrent_kernel * ops.eye(self.units, dtype=h.dtype))",
    ),
    "no bias": ("if self.use_bias:", "if False:"),
    "bias twice": ("ops.add(a, self.bias)", "ops.add(a, 2 * self.bias)"),
    "bias reversed": ("ops.add(a, self.bias)", "ops.add(a, ops.flip(self.bias))"),
    "state forgotten": ("(h,) = self.check_states(states)", "h = 0 * states[0]"),
    "no activation": ("h = self.activation(a)", "h = a"),
    "activation twice": ("self.activation(a)", "self.activation(self.activation(a))"),
    "state before the activation": ("return h, [h]", "return h, [a]"),
    "old state handed on": ("return h, [h]", "return h, list(states)"),
    "output before the activation": ("return h, [h]", "return a, [h]"),
    "difference for sum": ("ops.add(a, ops.matmul(h", "ops.subtract(a, ops.matmul(h"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name):
    with pytest.raises(AssertionError):
        equals_numpy(t.mutant(vanilla, *MUTANTS[name]).VanillaRNNCell)


QUICK = [("loop", "float32"), ("masked", "float32"), ("loop", "mixed_float16")]
COMBINATIONS = [
    pytest.param(way, dtype, marks=[pytest.mark.slow] * ((way, dtype) not in QUICK))
    for way in t.WAYS
    for dtype in ("float32", "float64", "mixed_float16")
]


@pytest.mark.parametrize(("way", "dtype"), COMBINATIONS)
def test_equals_keras_in_a_layer_gradients_included(way, dtype):
    kinds = (VanillaRNNCell, layers.SimpleRNNCell)
    t.assert_equals_keras(*[kind(t.UNITS, dtype=dtype) for kind in kinds], way, dtype)


@pytest.mark.parametrize(
    "options", [{"use_bias": False}, {"activation": "relu"}, {"activation": None}]
)
def test_options_equal_keras(options):
    kinds = (VanillaRNNCell, layers.SimpleRNNCell)
    t.assert_equals_keras(*[kind(t.UNITS, **options) for kind in kinds], "loop", "float32")


def test_bidirectional_stacked_and_mixed():
    t.assert_bidirectional_stacked_and_mixed(lambda **kw: VanillaRNNCell(t.UNITS, **kw))


def test_trained_saved_and_loaded(tmp_path):
    t.assert_survives_training_and_saving(lambda: VanillaRNNCell(t.UNITS), tmp_path)


@pytest.mark.parametrize("way", t.WAYS)
def test_every_way_equals_the_loop_by_hand(way):
    t.assert_runs_every_way_alike(lambda **kw: VanillaRNNCell(t.UNITS, **kw), way)


def test_configuration_survives():
    cell = VanillaRNNCell(
        3,
        activation="relu",
        use_bias=False,
        kernel_initializer="zeros",
        recurrent_initializer="identity",
        bias_initializer="ones",
        name="mine",
        dtype="float64",
    )
    copy = VanillaRNNCell.from_config(cell.get_config())
    assert copy.get_config() == cell.get_config()
    assert (copy.units, copy.use_bias, copy.name, copy.compute_dtype) == (
        3, False, "mine", "float64",
    )  # fmt: skip


@pytest.mark.parametrize("units", [0, -1, 2.0, "8", True, None])
def test_units_are_checked(units):
    with pytest.raises(ValueError, match=r"`units` must be a positive integer. Received: units="):
        VanillaRNNCell(units)
