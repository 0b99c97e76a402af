"""BatchNormLSTMCell and BatchNormRNN: NumPy, training and inference, masks, lengths, mutants."""

import cell_testing as t
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils.cells import LSTMCell, batch_norm, check_cell
from course_utils.cells.batch_norm import BatchNormLSTMCell, BatchNormRNN

STEPS, MOMENTUM = 4, 0.7  # fewer steps than t.LENGTH = 6: the last row is shared
RIGHT = np.arange(t.LENGTH) < np.array([[6], [6], [3], [2]])  # padding on the right


@keras.saving.register_keras_serializable(package="tests")
class ValidWeights(BatchNormLSTMCell):
    """`cell_testing` fills every weight from N(0, 1): variances must be positive, `seen` whole."""

    def set_weights(self, weights):
        *weights, seen = weights
        for k in (-1, -3):
            weights[k] = 0.2 + np.abs(weights[k])
        super().set_weights([*weights, np.clip(np.round(2 + seen), 1, self.steps)])


class AlwaysTraining(ValidWeights):
    def call(self, inputs, states, training=False):
        return super().call(inputs, states, training=True)


def make(cls=ValidWeights, steps=STEPS, **options):
    return cls(t.UNITS, steps, momentum=MOMENTUM, **options)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Numpy:
    """The equations, one example and one row of statistics at a time, on the weights of a cell."""

    def __init__(self, cell):
        names = [w.name for w in cell.weights]
        self.w = dict(zip(names, map(np.array, cell.get_weights()), strict=True))
        self.steps = cell.steps

    def normalize(self, name, z, k, real, training):
        means, variances = self.w[f"{name}_mean"], self.w[f"{name}_variance"]
        out = np.zeros_like(z)
        if training:
            mean, variance = z[real].mean(axis=0), z[real].var(axis=0)
            for row in {min(number, self.steps - 1) for number in k[real]}:
                stays = MOMENTUM if row < self.w["seen"] else 0.0
                means[row] = stays * means[row] + (1 - stays) * mean
                variances[row] = stays * variances[row] + (1 - stays) * variance
        for example in range(len(z)):
            if not training:
                row = min(k[example], self.steps - 1, max(int(self.w["seen"]) - 1, 0))
                mean, variance = means[row], variances[row]
            out[example] = (z[example] - mean) / np.sqrt(variance + 1e-3)
        return out * self.w[f"{name}_gain"]

    def step(self, x, h, c, k, real, training):
        products = np.concatenate([x @ self.w["kernel"], h @ self.w["recurrent_kernel"]], axis=1)
        both = self.normalize("gates", products, k, real, training)
        a = both[:, : 4 * t.UNITS] + both[:, 4 * t.UNITS :] + self.w["bias"]
        i, f, g, o = np.split(a, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        shown = self.normalize("state", c, k, real, training) + self.w["state_bias"]
        if training:
            self.w["seen"] = max(self.w["seen"], min(k[real].max() + 1, self.steps))
        return sigmoid(o) * np.tanh(shown), c

    def run(self, x, mask=None, training=False, start=None):
        """Outputs (batch, time, units), zeros at masked steps, and the last states."""
        batch, length = x.shape[:2]
        mask = np.ones((batch, length), bool) if mask is None else mask
        h, c = start or (np.zeros((batch, t.UNITS)), np.zeros((batch, t.UNITS)))
        k, outputs = np.zeros(batch, int), np.zeros((batch, length, t.UNITS))
        for step in range(length):
            real = mask[:, step]
            if not real.any():
                continue
            new_h, new_c = self.step(x[:, step], h, c, k, real, training)
            h, c = np.where(real[:, None], new_h, h), np.where(real[:, None], new_c, c)
            k = k + real
            outputs[:, step] = np.where(real[:, None], h, 0)
        return outputs, h, c, k


def layer_of(module=batch_norm, steps=STEPS, **options):
    """A float64 layer in which every weight, statistics too, is random."""
    cell = module.BatchNormLSTMCell(t.UNITS, steps, momentum=MOMENTUM, dtype="float64")
    kept = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}
    layer = module.BatchNormRNN(cell, dtype="float64", **kept, **options)
    layer.build((None, None, t.FEATURES))
    rng = np.random.default_rng(0)
    values = [rng.normal(size=w.shape) for w in cell.weights[:-1]]
    values = [
        0.2 + abs(v) if "variance" in w.name else v
        for v, w in zip(values, cell.weights, strict=False)
    ]
    cell.set_weights([*values, np.array(0.0)])
    return layer


def equals_numpy(module=batch_norm, mask=None, batches=3, steps=STEPS, seen=0.0):
    """Some batches of training, then inference: outputs, states and statistics."""
    layer = layer_of(module, steps)
    layer.cell.seen.assign(seen)
    reference = Numpy(layer.cell)
    for seed in range(batches + 1):
        x, training = t.sequences(seed), seed < batches
        wanted, *states = reference.run(x, mask, training)
        found, *last = layer(tf.constant(x), mask=mask, training=training)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11)
        for state, like in zip(last, states, strict=True):
            np.testing.assert_allclose(np.squeeze(state), np.squeeze(like), rtol=0, atol=1e-11)
        for weight in layer.cell.weights:
            like = reference.w[weight.name]
            np.testing.assert_allclose(weight, like, rtol=0, atol=1e-11, err_msg=weight.name)


@pytest.mark.parametrize("mask", [None, RIGHT, t.MASK], ids=["no mask", "right", "anywhere"])
@pytest.mark.parametrize("steps", [1, STEPS, 9])
def test_equals_numpy_in_training_and_at_inference(mask, steps):
    equals_numpy(mask=mask, steps=steps)


def test_rows_that_hold_statistics_are_moved_not_set():
    equals_numpy(seen=2.0, batches=1)


def test_with_neutral_statistics_and_gains_it_is_the_lstm():
    cell = make(BatchNormLSTMCell, gain=1.0, dtype="float64")
    cell.build((t.BATCH, t.FEATURES))
    plain = t.with_random_weights(LSTMCell(t.UNITS, dtype="float64"))
    for w in cell.weights[:3]:
        w.assign(plain.get_weights()[[v.name for v in plain.weights].index(w.name)])
    for variance in (cell.gates_variance, cell.state_variance):
        variance.assign(np.full(variance.shape, 1 - 1e-3))
    x = tf.constant(t.sequences())
    ours, theirs = (layers.RNN(c, return_sequences=True, dtype="float64")(x) for c in (cell, plain))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_one_step_is_keras_batch_normalization():
    """The input's part at h = 0, training and inference: values, statistics and gradients."""
    cell = make(BatchNormLSTMCell, dtype="float64", gain=0.8)
    cell.build((t.BATCH, t.FEATURES))
    theirs = layers.BatchNormalization(dtype="float64", momentum=0.0, center=False)
    z = tf.Variable(np.random.default_rng(0).normal(size=(t.BATCH, 8 * t.UNITS)))
    theirs.build(z.shape)
    theirs.gamma.assign(np.full(8 * t.UNITS, 0.8))
    row, real = tf.zeros(t.BATCH, "int32"), tf.ones((t.BATCH, 1), "float64")
    for training in (True, False):
        with tf.GradientTape(persistent=True) as tape:
            pair = (
                cell.normalized("gates", z, row, real, training, training),
                theirs(z, training=training),
            )
            losses = [tf.reduce_sum(tf.sin(p)) for p in pair]
        np.testing.assert_allclose(*pair, rtol=1e-6)  # Keras' epsilon is float32's
        gradients = [tape.gradient(loss, z) for loss in losses]
        np.testing.assert_allclose(*gradients, rtol=0, atol=1e-6)
        assert np.abs(gradients[0]).max() > 1e-3
    np.testing.assert_allclose(cell.gates_mean[0], theirs.moving_mean, atol=1e-12)
    np.testing.assert_allclose(cell.gates_variance[0], theirs.moving_variance, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [ValidWeights, AlwaysTraining], ids=["inference", "training"])
def test_gradients_equal_finite_differences(cls):
    t.assert_gradients_equal_finite_differences(CountsNotWatched(cls))


class CountsNotWatched:
    """The cell with h and c as its states: there is no derivative to a step counter."""

    def __init__(self, cls):
        self.cell = make(cls, dtype="float64")
        self.state_size, self.compute_dtype = [t.UNITS, t.UNITS], "float64"
        self.built, self.build, self.k = False, self.cell.build, tf.ones((t.BATCH, 1), "float64")

    def __getattr__(self, name):
        return getattr(self.cell, name)

    def __call__(self, x, states):
        output, (h, c, _) = self.cell(x, [*states, self.k])
        return output, [h, c]


@pytest.mark.slow
@pytest.mark.parametrize("way", t.WAYS)
def test_runs_every_way_alike(way):
    t.assert_runs_every_way_alike(make, way)


@pytest.mark.slow
def test_bidirectional_stacked_and_mixed():
    t.assert_bidirectional_stacked_and_mixed(make)


@pytest.mark.slow
def test_training_compiled_and_not_moves_the_statistics_alike():
    x, found = t.sequences().astype("float32"), []
    for options in ({}, {"jit_compile": True}):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([BatchNormRNN(make(BatchNormLSTMCell)), layers.Dense(1)])
        model.compile("sgd", "mse", **options)
        model.fit(x, x[:, 0, :1], epochs=2, verbose=0)
        found.append([w.numpy() for w in model.weights])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert found[0][-3] == STEPS  # `seen`, before the two weights of Dense


@pytest.mark.slow
@pytest.mark.parametrize("layer", [layers.RNN, BatchNormRNN])
def test_survives_training_and_saving(layer, tmp_path):
    x = t.sequences().astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layer(make(BatchNormLSTMCell)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, 0, :1], epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert type(loaded.layers[0]) is layer
    assert loaded.layers[0].cell.get_config() == model.layers[0].cell.get_config()


@pytest.mark.slow
def test_keeps_the_contract():
    report = check_cell(BatchNormLSTMCell(4, steps=3))
    assert report.ok, report


# --- what masks, lengths and batches do -------------------------------------------------------


def ignores_what_is_masked(module=batch_norm):
    """Any numbers in the padding: the same outputs, statistics and derivatives."""
    results = []
    for padding in (0.0, 1e3):
        layer = layer_of(module)
        x = np.where(RIGHT[:, :, None], t.sequences(), padding)
        with tf.GradientTape() as tape:
            output, *states = layer(tf.constant(x), mask=RIGHT, training=True)
            loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(tf.sin(states[0]))
        variables = layer.trainable_variables
        gradients = tape.gradient(
            loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        results.append([output, *states, *layer.cell.get_weights(), *gradients])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_masked_steps_stay_out():
    ignores_what_is_masked()
    keep = layer_of()
    keep(tf.constant(t.sequences()), mask=RIGHT, training=True)
    counted = layer_of()
    layers.RNN(counted.cell, dtype="float64")(tf.constant(t.sequences()), mask=RIGHT, training=True)
    assert np.abs(keep.cell.gates_mean - counted.cell.gates_mean).max() > 0.01  # as documented


def masked_for_all_changes_nothing(module=batch_norm):
    layer = layer_of(module)
    before = layer.cell.get_weights()
    layer(tf.constant(t.sequences()), mask=np.zeros((t.BATCH, t.LENGTH), bool), training=True)
    for old, new in zip(before, layer.cell.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_step_that_is_masked_for_all_changes_nothing():
    masked_for_all_changes_nothing()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing_at_inference(side):
    layer = layer_of(steps=9)
    layer(tf.constant(t.sequences()), training=True)
    short = t.sequences(5)[:, :3]
    widths = [(0, 0), (3, 0) if side == "left" else (0, 3), (0, 0)]
    padded = np.pad(short, widths, constant_values=7.0)
    mask = np.pad(np.ones((t.BATCH, 3), bool), widths[:2])
    _, *alone = layer(tf.constant(short))
    _, *found = layer(tf.constant(padded), mask=mask)
    for a, b in zip(found, alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def beyond_the_trained_length_the_last_row_serves(module=batch_norm):
    layer = layer_of(module, steps=20)
    for seed in range(3):
        layer(tf.constant(t.sequences(seed)[:, :4]), training=True)
    assert float(layer.cell.seen) == 4
    reference, x = Numpy(layer.cell), np.concatenate([t.sequences(7), t.sequences(8)], axis=1)
    before = layer(tf.constant(x))[0]
    np.testing.assert_allclose(before, reference.run(x)[0], rtol=0, atol=1e-11)
    for statistics in (layer.cell.gates_mean, layer.cell.state_variance):
        changed = statistics.numpy()
        changed[4:] = 50.0  # rows that training never reached are not read
        statistics.assign(changed)
    np.testing.assert_array_equal(layer(tf.constant(x))[0], before)


def test_beyond_the_trained_length_the_last_row_serves():
    beyond_the_trained_length_the_last_row_serves()


def test_one_example_is_judged_alone_at_inference_and_with_its_batch_in_training():
    layer, x = layer_of(), tf.constant(t.sequences())
    layer(x, training=True)
    alone, together = layer(x[:1])[0], layer(x)[0][:1]
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)
    other = tf.concat([x[:1], x[1:] + 3.0], axis=0)
    pair = layer(x, training=True)[0][:1], layer(other, training=True)[0][:1]
    assert np.abs(pair[0] - pair[1]).max() > 0.01


def test_inference_moves_no_statistics():
    layer = layer_of()
    layer(tf.constant(t.sequences()), training=True)
    before = layer.cell.get_weights()
    layer(tf.constant(t.sequences(3)), training=False)
    for old, new in zip(before, layer.cell.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_running_statistics_approach_those_of_the_data():
    """Many batches of one distribution: the input's part, which no weight changes here."""
    rng = np.random.default_rng(0)
    cell = BatchNormLSTMCell(3, steps=2, momentum=0.99, dtype="float64")
    cell.build((None, 2))
    for _ in range(500):
        states = cell.get_initial_state(16)
        for _ in range(2):
            _, states = cell(tf.constant(rng.normal(2.0, 3.0, size=(16, 2))), states, training=True)
    kernel = cell.kernel.numpy()
    mean, variance = 2.0 * kernel.sum(axis=0), 9.0 * (kernel**2).sum(axis=0)
    for row in range(2):
        error = cell.gates_mean[row, :12] - mean
        assert np.abs(error / np.sqrt(variance)).max() < 0.1
        ratio = cell.gates_variance[row, :12] / variance  # the batch's own is 15/16 of it
        np.testing.assert_allclose(ratio, 15 / 16, atol=0.08)


def test_scaling_the_products_changes_little_in_training():
    """The reason for it: 10 times the kernels, the same function but for epsilon."""
    layer = layer_of()
    x = tf.constant(100 * t.sequences())
    before = layer(x, training=True)[0]
    for kernel in layer.cell.weights[:2]:
        kernel.assign(10 * kernel)
    np.testing.assert_allclose(layer(x, training=True)[0], before, atol=0.02)


def test_statistics_stay_in_float32_under_mixed_precision():
    keras.utils.set_random_seed(0)
    cell = make(BatchNormLSTMCell, dtype="mixed_float16")
    layer = BatchNormRNN(cell, dtype="mixed_float16")
    output = layer(1000 * t.sequences().astype("float32"), training=True)
    assert output.dtype == "float16" and np.isfinite(output).all()
    assert {w.dtype for w in cell.weights} == {"float32"}
    assert np.isfinite(cell.gates_variance).all() and np.max(cell.gates_variance) > 65504


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, None])
def test_refuses_steps(steps):
    with pytest.raises(ValueError, match=r"`steps` must be a positive integer. Received: steps="):
        BatchNormLSTMCell(4, steps)


@pytest.mark.parametrize("momentum", [1.0, -0.1, "0.9"])
def test_refuses_momentum(momentum):
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\). Received: momentum="):
        BatchNormLSTMCell(4, 3, momentum=momentum)


def test_refuses_states_without_a_counter():
    cell = make(BatchNormLSTMCell)
    with pytest.raises(ValueError, match=r"`states` must be a list of shapes .*\(batch, 1\)"):
        cell(tf.zeros((2, 3)), [tf.zeros((2, 4)), tf.zeros((2, 4))])


@pytest.mark.parametrize("cell", [LSTMCell(4), [BatchNormLSTMCell(4, 2), LSTMCell(4)]])
def test_the_layer_refuses_other_cells(cell):
    with pytest.raises(TypeError, match=r"`cell` must be a `BatchNormLSTMCell`. Received: cell="):
        BatchNormRNN(cell)


# --- mutants ------------------------------------------------------------------------------------

MUTANTS = {
    "i and f swapped": ("i, f, g, o = ops.split", "f, i, g, o = ops.split"),
    "g and o swapped": ("i, f, g, o = ops.split", "i, f, o, g = ops.split"),
    "states swapped": ("h, c, k = self.check_states", "c, h, k = self.check_states"),
    "i dropped": ("c = f * c + i * self", "c = f * c + self"),
    "f dropped": ("c = f * c + i", "c = c + i"),
    "o dropped": ("h = o * self", "h = self"),
    "old c carried": ("return h, [h, c, k + 1]", "return h, [h, states[1], k + 1]"),
    "normalized state carried": ("return h, [h, c, k + 1]", "return h, [h, shown, k + 1]"),
    "steps not counted": ("return h, [h, c, k + 1]", "return h, [h, c, k]"),
    "old c shown": ('("state", c, row', '("state", states[1], row'),
    "state's bias forgotten": (" + self.state_bias", ""),
    "no bias": ("if self.use_bias", "if False"),
    "input's part forgotten": ("a[:, : 4 * self.units] + a[:, 4 *", "2 * a[:, 4 *"),
    "state's part forgotten": ("+ a[:, 4 * self.units :]", "+ a[:, : 4 * self.units]"),
    "no gain": (' * getattr(self, f"{name}_gain")', ""),
    "mean left in": ("(wide - mean) /", "wide /"),
    "variance for deviation": ("ops.sqrt(variance + 1e-3)", "(variance + 1e-3)"),
    "another epsilon": ("variance + 1e-3", "variance + 1e-5"),
    "mean and variance swapped": ("(mean, variance), strict", "(variance, mean), strict"),
    "mean not taken off the variance": ("ops.square(wide - mean)", "ops.square(wide)"),
    "divided by the whole batch": ("ops.maximum(ops.sum(weight), 1)", "real.shape[0]"),
    "padding counted": ("weight = ops.cast(real, wide", "weight = ops.cast(real * 0 + 1, wide"),
    "padding moves rows": (" & (real[:, 0] > 0)", ""),
    "momentum the other way": ("((1 - stays) *", "(stays *"),
    "first batch only moves": ("self.momentum * ops", "self.momentum + 0 * ops"),
    "later batches set": ("rows < ops", "rows < 0 * ops"),
    "all rows moved": ("ops.cast(hit, wide", "ops.cast(hit | True, wide"),
    "one row for all at inference": ("ops.take(running, row", "ops.take(running, 0 * row"),
    "row not held at the last": ("0, self.steps - 1)", "0, self.steps)"),
    "rows never seen are used": ("row = ops.minimum(row, ops", "row = ops.maximum(row, 0 * ops"),
    "row behind the last seen": ('"int32") - 1, 0)', '"int32"), 0)'),
    "batch statistics at inference": (
        "if training:\n            weight",
        "if 1:\n            weight",
    ),
    "running statistics in training": (
        "variance = ops.sum(weight * ops.square(wide - mean), axis=0)",
        "mean, variance = (ops.take(s, row, axis=0) for s in statistics)",
    ),
    "the mask not handed on": ("if mask is not None", "if False"),
    "the mask turned round": ("ops.cast(mask,", "ops.cast(~mask,"),
    "seen counts padding": ("ops.where(real[:, 0] > 0, row + 1, 0)", "row + 1"),
    "seen one too few": ("row + 1, 0)", "row, 0)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught(name):
    module = t.mutant(batch_norm, *MUTANTS[name])
    caught = 0
    for test in (
        lambda: equals_numpy(module),
        lambda: equals_numpy(module, mask=RIGHT),
        lambda: equals_numpy(module, mask=t.MASK, steps=9),
        lambda: equals_numpy(module, seen=2.0, batches=1),
        lambda: beyond_the_trained_length_the_last_row_serves(module),
        lambda: ignores_what_is_masked(module),
        lambda: masked_for_all_changes_nothing(module),
    ):
        try:
            test()
        except (AssertionError, AttributeError, tf.errors.OpError, ValueError):
            caught += 1
    assert caught >= 1
