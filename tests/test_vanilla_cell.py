"""VanillaRNNCell against Keras' cell, to the last bit, and against NumPy; and mutants of it."""

import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils.cells import vanilla
from course_utils.cells.vanilla import VanillaRNNCell

BATCH, LENGTH, FEATURES, UNITS = 4, 6, 3, 5


def arrays(seed=0):
    """Weights (kernel, recurrent kernel, bias), inputs and a non-zero state, float64."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s) for s in [(FEATURES, UNITS), (UNITS, UNITS), (UNITS,)]]
    return weights, rng.normal(size=(BATCH, LENGTH, FEATURES)), rng.normal(size=(BATCH, UNITS))


def pair(ours=VanillaRNNCell, **options):
    """Our cell and Keras' with the same random weights."""
    cells = [kind(UNITS, **options) for kind in (ours, layers.SimpleRNNCell)]
    weights, _, _ = arrays()
    for cell in cells:
        cell.build((BATCH, FEATURES))
        cell.set_weights(weights if cell.use_bias else weights[:2])
    return cells


def assert_equals_numpy(kind, dtype="float64"):
    (W, U, b), x, h = arrays()
    cell, _ = pair(kind, dtype=dtype)
    states = [tf.constant(h)]
    for t in range(LENGTH):
        h = np.tanh(x[:, t] @ W + h @ U + b)
        output, states = cell(tf.constant(x[:, t]), states)
        assert len(states) == 1
        np.testing.assert_allclose(output, h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(states[0], h, rtol=0, atol=1e-12)


def assert_equals_keras_exactly(kind):
    ours, keras_cell = pair(kind)
    _, x, h = arrays()
    x, states = tf.constant(x, "float32"), [tf.constant(h, "float32")]
    for t in range(LENGTH):
        output, new = ours(x[:, t], states)
        expected, states = keras_cell(x[:, t], states)
        np.testing.assert_array_equal(output, expected)
        np.testing.assert_array_equal(new[0], states[0])


def test_equals_numpy():
    assert_equals_numpy(VanillaRNNCell)


def test_equals_keras_step_by_step():
    assert_equals_keras_exactly(VanillaRNNCell)


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
        "self.recurrent_kernel * ops.eye(self.units))",
    ),
    "no bias": ("if self.use_bias:", "if False:"),
    "bias twice": ("ops.add(a, self.bias)", "ops.add(a, 2 * self.bias)"),
    "bias reversed": ("ops.add(a, self.bias)", "ops.add(a, ops.flip(self.bias))"),
    "state forgotten": ("(h,) = states", "h = 0 * states[0]"),
    "no activation": ("h = self.activation(a)", "h = a"),
    "activation twice": ("self.activation(a)", "self.activation(self.activation(a))"),
    "state before the activation": ("return h, [h]", "return h, [a]"),
    "old state handed on": ("return h, [h]", "return h, list(states)"),
    "output before the activation": ("return h, [h]", "return a, [h]"),
    "difference for sum": ("ops.add(a, ops.matmul(h", "ops.subtract(a, ops.matmul(h"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name):
    old, new = MUTANTS[name]
    source = pathlib.Path(vanilla.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} must occur once in vanilla.py"
    source = source.replace(old, new).replace('package="course_utils"', 'package="mutants"')
    module = types.ModuleType("mutant")
    exec(compile(source, "mutant", "exec"), module.__dict__)
    with pytest.raises(AssertionError):
        assert_equals_numpy(module.VanillaRNNCell)
    with pytest.raises(AssertionError):
        assert_equals_keras_exactly(module.VanillaRNNCell)


def run_both(make, dtype="float32", jit_compile=False, mask=None, options=None):
    """Outputs and gradients of a layer built around our cell and around Keras'."""
    _, x, _ = arrays()
    results = []
    for cell in pair(dtype=dtype, **(options or {})):
        layer = make(cell)
        inputs = tf.constant(x, "float32")

        @tf.function(jit_compile=jit_compile)
        def outputs_and_gradients(inputs, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                output = layer(inputs, mask=mask)
                loss = tf.reduce_sum(tf.sin(tf.cast(output, "float32")))
            return output, tape.gradient(loss, [inputs, *layer.trainable_variables])

        results.append(outputs_and_gradients(inputs))
    return results


def assert_identical(ours, theirs):
    np.testing.assert_array_equal(ours[0], theirs[0])
    assert len(ours[1]) == len(theirs[1]) > 1
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a).max() > 0


MASK = np.array([[1] * 6, [1] * 4 + [0] * 2, [0] * 2 + [1] * 4, [1, 0, 1, 1, 0, 1]], bool)
WAYS = {
    "loop": {},
    "unrolled": {"unroll": True},
    "jit": {"jit_compile": True},
    "masked": {"mask": MASK},
    "masked, unrolled, jit": {"mask": MASK, "unroll": True, "jit_compile": True},
    "backwards": {"go_backwards": True},
    "without bias": {"options": {"use_bias": False}},
    "relu": {"options": {"activation": "relu"}},
    "linear": {"options": {"activation": None}},
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
@pytest.mark.parametrize("way", WAYS)
def test_equals_keras_in_a_layer_gradients_included(way, dtype):
    given = dict(WAYS[way])
    run = {key: given.pop(key) for key in ("jit_compile", "mask", "options") if key in given}
    make = lambda cell: layers.RNN(cell, return_sequences=True, dtype=dtype, **given)  # noqa: E731
    assert_identical(*run_both(make, dtype=dtype, **run))


def test_equals_keras_bidirectional_and_stacked():
    def make(cell):
        return layers.Bidirectional(layers.RNN(cell, return_sequences=True))

    ours, theirs = [make(cell) for cell in pair()]
    _, x, _ = arrays()
    x = x.astype("float32")
    ours(x), theirs(x)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_array_equal(ours(x), theirs(x))
    stacks = []
    for kind in (VanillaRNNCell, layers.SimpleRNNCell):
        stack = layers.RNN([kind(UNITS), kind(2)], return_sequences=True)
        stack.build(x.shape)
        stack.set_weights([np.sin(np.arange(w.size)).reshape(w.shape) for w in stack.get_weights()])
        stacks.append(stack(x))
    np.testing.assert_array_equal(*stacks)


def test_trained_saved_and_loaded(tmp_path):
    _, x, _ = arrays()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.RNN(VanillaRNNCell(UNITS)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, 0, :1], epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert isinstance(loaded.layers[0].cell, VanillaRNNCell)


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
