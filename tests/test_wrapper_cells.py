"""ZoneoutCell and WeightNormCell around several cells: NumPy, randomness, refusals, mutants."""

import cell_testing as t
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils.cells import VanillaRNNCell, check_cell, wrappers
from course_utils.cells.gru import GRUCell
from course_utils.cells.lstm import LSTMCell, PeepholeLSTMCell
from course_utils.cells.wrappers import WeightNormCell, ZoneoutCell
from course_utils.diagnostics import state_gradients

RATES = [0.15, 0.6]  # of h and c


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def vanilla(weights, x, states):
    W, U, b = weights
    h = np.tanh(x @ W + states[0] @ U + b)
    return h, [h]


def lstm(weights, x, states):
    W, U, b = weights
    i, f, g, o = np.split(x @ W + states[0] @ U + b, 4, axis=1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def gru(weights, x, states):
    (W, U, b), h = weights, states[0]
    (Wz, Wr, Wh), (Uz, Ur, Uh) = np.split(W, 3, axis=1), np.split(U, 3, axis=1)
    bz, br, bh = np.split(b, 3)
    z, r = sigmoid(x @ Wz + h @ Uz + bz), sigmoid(x @ Wr + h @ Ur + br)
    h = z * h + (1 - z) * np.tanh(x @ Wh + (r * h) @ Uh + bh)
    return h, [h]


def keras_gru(units, **options):
    return layers.GRUCell(units, reset_after=False, **options)


INNER = {
    "VanillaRNNCell": (VanillaRNNCell, vanilla),
    "LSTMCell": (LSTMCell, lstm),
    "GRUCell": (GRUCell, gru),
    "Keras' LSTMCell": (layers.LSTMCell, lstm),
    "Keras' GRUCell": (keras_gru, gru),
}


def zoneout(reference):
    def step(weights, x, states):
        _, new = reference(weights, x, states)
        pairs = zip(RATES, states, new, strict=False)
        mixed = [z * old + (1 - z) * s for z, old, s in pairs]
        return mixed[0], mixed

    return step


def weight_norm(reference):
    def step(weights, x, states):
        (g, gr, V, U), rest = weights[:4], weights[4:]
        W, U = (g * V / np.linalg.norm(V, axis=0) for g, V in ((g, V), (gr, U)))
        return reference([W, U, *rest], x, states)

    return step


def zoned(inner=LSTMCell, module=wrappers, **options):
    cell = inner(t.UNITS, **options)
    count = 2 if isinstance(cell.state_size, (list, tuple)) else 1
    return module.ZoneoutCell(cell, RATES[:count], seed=3)


def normed(inner=LSTMCell, module=wrappers, **options):
    return module.WeightNormCell(inner(t.UNITS, **options))


def zoned_normed(inner=LSTMCell, **options):
    return ZoneoutCell(normed(inner, **options), 0.3, seed=3)


def normed_zoned(inner=LSTMCell, **options):
    return WeightNormCell(zoned(inner, **options))


KINDS = [zoned, normed, zoned_normed, normed_zoned]


def zoneout_equals_numpy(module=wrappers, inner="LSTMCell"):
    kind, reference = INNER[inner]
    t.assert_equals_numpy(zoned(kind, module, dtype="float64"), zoneout(reference))


def weight_norm_equals_numpy(module=wrappers, inner="LSTMCell"):
    kind, reference = INNER[inner]
    t.assert_equals_numpy(normed(kind, module, dtype="float64"), weight_norm(reference))


@pytest.mark.parametrize("inner", INNER)
def test_zoneout_at_inference_equals_numpy(inner):
    zoneout_equals_numpy(inner=inner)


@pytest.mark.parametrize("inner", INNER)
def test_weight_norm_with_any_gains_equals_numpy(inner):
    weight_norm_equals_numpy(inner=inner)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-12)])
def test_weight_norm_starts_as_the_inner_cell(inner, dtype, rtol):
    starts_as_the_inner_cell(inner=inner, dtype=dtype, rtol=rtol)


def starts_as_the_inner_cell(module=wrappers, inner="LSTMCell", dtype="float64", rtol=1e-12):
    cell = t.with_random_weights(INNER[inner][0](t.UNITS, dtype=dtype))
    before = cell.get_weights()
    wrapped = module.WeightNormCell(cell)
    wrapped.build((t.BATCH, t.FEATURES))
    x, states = t.sequences()[:, 0], [tf.constant(s, dtype) for s in t.states_of(cell)]
    new, wanted = (c(tf.constant(x, dtype), states)[1] for c in (wrapped, cell))
    for ours, theirs in zip(new, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=10 * rtol, atol=rtol)
    for old, now in zip(before, cell.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    for gain, kernel in zip(wrapped.get_weights()[:2], before[:2], strict=True):
        np.testing.assert_allclose(gain, np.linalg.norm(kernel, axis=0), rtol=rtol)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_finite_differences(kind):
    t.assert_gradients_equal_finite_differences(kind(dtype="float64"))


def test_gains_are_measured_when_a_trace_builds_the_layer():
    """As in `fit` on a model that was not built."""
    layer = layers.RNN(normed())
    tf.function(layer, autograph=False)(t.sequences().astype("float32"))
    gain, recurrent_gain, kernel, recurrent_kernel, _ = layer.get_weights()
    np.testing.assert_allclose(gain, np.linalg.norm(kernel, axis=0), rtol=1e-6)
    np.testing.assert_allclose(recurrent_gain, np.linalg.norm(recurrent_kernel, axis=0), 1e-6)


def column_of_zeros(module=wrappers):
    """It starts as zero, gets a gradient, and moves without a jump."""
    cell = module.WeightNormCell(VanillaRNNCell(t.UNITS, recurrent_initializer="zeros"))
    layer, x = layers.RNN(cell), t.sequences().astype("float32")
    plain = layers.RNN(VanillaRNNCell(t.UNITS))
    plain.build(x.shape)
    layer.build(x.shape)
    plain.set_weights(layer.get_weights()[2:])
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-5, atol=1e-6)
    outputs = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            outputs.append(layer(x))
            loss = tf.reduce_sum(outputs[-1])
        gradients = tape.gradient(loss, layer.trainable_variables)
        assert all(np.isfinite(g).all() for g in gradients)
        for variable, g in zip(layer.trainable_variables, gradients, strict=True):
            if variable.name.startswith("recurrent"):
                variable.assign_sub(1e-3 * g)
    np.testing.assert_array_equal(outputs[1], outputs[0])
    np.testing.assert_allclose(outputs[2], outputs[1], atol=0.1)
    assert np.abs(outputs[2] - outputs[1]).max() > 1e-5


def test_column_of_zeros():
    column_of_zeros()


def test_peepholes_are_not_normalized():
    cell = t.with_random_weights(normed(PeepholeLSTMCell))
    assert [g.name for g in cell.gains] == ["kernel_gain", "recurrent_kernel_gain"]
    assert len(cell.weights) == 6


def test_frozen_inner_cell_is_normalized_and_kept():
    cell = t.with_random_weights(normed(dtype="float64"))
    x, states = tf.constant(t.sequences()[:, 0]), [tf.constant(s) for s in t.states_of(cell)]
    before, weights = cell(x, states)[0], cell.get_weights()
    cell.cell.trainable = False
    np.testing.assert_array_equal(cell(x, states)[0], before)
    assert [w.name for w in cell.trainable_variables] == ["kernel_gain", "recurrent_kernel_gain"]
    for old, new in zip(weights, cell.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# Randomness: 400 examples of a wide LSTM, so that counts of kept components are sharp.
WIDE, EXAMPLES = 16, 400


def wide(module=wrappers, inner=LSTMCell, rates=RATES, seed=5):
    cell = module.ZoneoutCell(inner(WIDE), rates, seed=seed)
    cell.build((None, t.FEATURES))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(EXAMPLES, t.FEATURES)).astype("float32")
    sizes = cell.state_size if isinstance(cell.state_size, list) else [WIDE]
    states = [rng.normal(size=(EXAMPLES, size)).astype("float32") for size in sizes]
    return cell, x, states


def masks(cell, x, states):
    """Of one training step: where each state kept its value; the rest equals the inner cell's."""
    output, new = cell(x, states, training=True)
    _, inner = cell.cell(x, states)
    np.testing.assert_array_equal(output, new[0])
    kept = [np.asarray(s == old) for s, old in zip(new, states, strict=True)]
    for s, wanted, keep in zip(new, inner, kept, strict=True):
        np.testing.assert_array_equal(np.asarray(s)[~keep], np.asarray(wanted)[~keep])
    return kept


def kept_share(module=wrappers):
    """Each state's own rate, within five standard deviations, also in every unit."""
    for keep, rate in zip(masks(*wide(module)), RATES, strict=True):
        deviation = np.sqrt(rate * (1 - rate))
        assert abs(keep.mean() - rate) < 5 * deviation / np.sqrt(keep.size)
        assert np.abs(keep.mean(axis=0) - rate).max() < 5 * deviation / np.sqrt(EXAMPLES)
        assert np.abs(keep.mean(axis=1) - rate).max() < 5.5 * deviation / np.sqrt(WIDE)


def masks_differ(module=wrappers):
    """Between steps, states, examples and units the masks agree as often as chance has it."""
    cell, x, states = wide(module, rates=0.5)
    (h, c), (later, _) = masks(cell, x, states), masks(cell, x, states)
    for a, b in ((h, later), (h, c), (h[1:], h[:-1]), (h[:, 1:], h[:, :-1])):
        assert abs((a == b).mean() - 0.5) < 5 * 0.5 / np.sqrt(a.size)


def test_kept_share_is_the_rate_of_each_state():
    kept_share()


def test_masks_differ_between_steps_states_examples_and_units():
    masks_differ()


def test_same_seed_same_masks():
    first, second, other = (masks(*wide(seed=seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first[0] != other[0]).any()


def test_inference_is_the_mean_of_training():
    cell, x, states = wide()
    draws, total = 2000, 0.0
    x, states = x[:3], [s[:3] for s in states]
    step = tf.function(lambda: cell(x, states, training=True)[1], autograph=False)
    for _ in range(draws):
        total = total + np.stack(step())
    _, expected = cell(x, states)
    _, inner = cell.cell(x, states)
    for k, rate in enumerate(RATES):
        spread = np.abs(states[k] - inner[k]) * np.sqrt(rate * (1 - rate) / draws)
        assert (np.abs(total[k] / draws - expected[k]) < 5 * spread + 1e-5).all()


def test_rate_zero_is_the_inner_cell():
    cell, x, states = wide(rates=0)
    assert cell.rates == [0, 0]
    wanted = cell.cell(x, states)
    for training in (False, True):
        for ours, theirs in zip(cell(x, states, training=training)[1], wanted[1], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@keras.saving.register_keras_serializable(package="test_wrapper_cells")
class Readout(layers.Layer):
    """A custom cell: no `get_initial_state`, no `training`, an output that is not its state."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.output_size = 2

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        h = keras.ops.tanh(keras.ops.matmul(inputs, self.kernel) + states[0])
        return 2 * h[:, :2], [h]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_other_outputs_are_passed_on():
    for kind in (ZoneoutCell(Readout(3), 0.5), WeightNormCell(Readout(3))):
        x, h = tf.ones((2, 4)), tf.ones((2, 3))
        output, (new,) = kind(x, [h])
        np.testing.assert_allclose(output, kind.cell(x, [h])[0], rtol=1e-6)
        assert new.shape == (2, 3)
        assert layers.RNN(kind)(tf.ones((2, 5, 4))).shape == (2, 2)


JIT = pytest.param(True, marks=pytest.mark.slow)


@pytest.mark.parametrize("options", [{}, {"unroll": True}], ids=["loop", "unrolled"])
@pytest.mark.parametrize("jit_compile", [False, JIT], ids=["graph", "jit"])
@pytest.mark.parametrize("kind", [zoned, normed_zoned])
def test_training_in_a_layer_draws_new_masks(kind, jit_compile, options):
    """After the first step, with inputs 0 and one step of memory: masks differ in each step."""
    layer = layers.RNN(kind(), return_sequences=True, **options)
    x = t.sequences().astype("float32")
    layer.build(x.shape)
    run = tf.function(layer, autograph=False, jit_compile=jit_compile)
    first, second = run(x, training=True), run(x, training=True)
    assert (np.asarray(first != second).mean(axis=(0, 2)) > 0).all()
    kept = np.asarray(first[:, 1:] == first[:, :-1])
    assert 0 < kept.mean() < 0.4
    assert any((kept[:, k] != kept[:, 0]).any() for k in range(1, kept.shape[1]))
    np.testing.assert_allclose(run(x, training=False), run(x), rtol=0, atol=0)


def test_masked_steps_carry_the_old_state_in_training():
    layer = layers.RNN(zoned(), return_sequences=True)
    output = layer(t.sequences().astype("float32"), mask=t.MASK, training=True)
    np.testing.assert_array_equal(output[1, 4:], tf.stack([output[1, 3]] * 2))
    np.testing.assert_array_equal(output[3, 1], output[3, 0])


@pytest.mark.parametrize("way", ["loop", "masked"])
@pytest.mark.parametrize("kind", [zoned, normed])
def test_ways_equal_the_loop_by_hand(kind, way):
    t.assert_runs_every_way_alike(kind, way)


@pytest.mark.slow
@pytest.mark.parametrize("way", t.WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_equals_the_loop_by_hand(kind, way):
    t.assert_runs_every_way_alike(kind, way)


@pytest.mark.parametrize(
    "kind", [zoned, normed, *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS[2:])]
)
def test_bidirectional_stacked_and_mixed(kind):
    t.assert_bidirectional_stacked_and_mixed(kind)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) for k in (*KINDS[:3], normed_zoned)]
)
def test_trained_saved_and_loaded(kind, tmp_path):
    t.assert_survives_training_and_saving(kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("inner", [LSTMCell, layers.GRUCell])
@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind, inner):
    report = check_cell(kind(inner))
    assert report.ok, report


@pytest.mark.parametrize("kind", [zoned, normed])
def test_state_gradients_equal_an_unrolled_tape(kind):
    layer = layers.RNN(kind(dtype="float64"), return_sequences=True, dtype="float64")
    x = tf.constant(t.sequences())
    layer(x)
    ours = state_gradients(layer, x, lambda output: tf.reduce_sum(tf.sin(output), axis=(1, 2)))
    states = layer.cell.get_initial_state(t.BATCH)
    with tf.GradientTape() as tape:
        seen, loss = [], 0.0
        for step in range(t.LENGTH):
            output, states = layer.cell(x[:, step], states)
            handed_on = tf.identity(states[0])  # the output is this state too
            tape.watch(handed_on)
            states = [handed_on, *states[1:]]
            seen.append(handed_on)
            loss += tf.reduce_sum(tf.sin(handed_on))
        del output
    wanted = np.stack([g.numpy() for g in tape.gradient(loss, seen)], axis=1)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-12)


def test_configuration_survives():
    cell = ZoneoutCell(WeightNormCell(LSTMCell(3)), (0.1, 0.2), seed=7, name="mine")
    config = cell.get_config()
    copy = ZoneoutCell.from_config(config)
    assert copy.get_config() == config == cell.get_config()
    assert (copy.rates, copy.seed, copy.name) == ([0.1, 0.2], 7, "mine")
    assert isinstance(copy.cell, WeightNormCell) and isinstance(copy.cell.cell, LSTMCell)
    cell.build((None, 2))
    assert cell.get_config() == config


@pytest.mark.parametrize("rates", [-0.1, 1, 1.5, float("nan"), "0.1", None, [0.1, 1.0]])
def test_rates_are_checked(rates):
    with pytest.raises(ValueError, match=r"`rates` must be a number in \[0, 1\).*Received: rates="):
        ZoneoutCell(LSTMCell(3), rates)


@pytest.mark.parametrize("rates", [[0.1], [0.1, 0.2, 0.3], []])
def test_number_of_rates_is_checked(rates):
    with pytest.raises(ValueError, match=r"one for each state of `cell` \(2\). Received: rates="):
        ZoneoutCell(LSTMCell(3), rates)


@pytest.mark.parametrize("make", [lambda c: ZoneoutCell(c, 0.1), WeightNormCell])
def test_inner_cell_is_checked(make):
    stack = layers.StackedRNNCells([LSTMCell(3)])
    for wrong in (None, 3, "LSTMCell", LSTMCell, layers.Dense(3), layers.LSTM(3), stack):
        with pytest.raises(TypeError, match="`cell` must be a single recurrent cell"):
            make(wrong)
    for name in ("dropout", "recurrent_dropout"):
        words = rf"`cell` must have no dropout of its own.*Received: LSTMCell with {name}=0\.2"
        with pytest.raises(ValueError, match=words):
            make(layers.LSTMCell(3, **{name: 0.2}))


def test_dtype_is_the_inner_cells():
    assert WeightNormCell(LSTMCell(3, dtype="mixed_float16")).compute_dtype == "float16"
    with pytest.raises(ValueError, match=r"`dtype` must be the cell's, float32\. Received: dtype="):
        WeightNormCell(LSTMCell(3), dtype="float64")


def test_cell_without_kernels_is_refused():
    class NoKernel(Readout):
        def build(self, input_shape):
            self.w = self.add_weight((3, 3), name="w")

    with pytest.raises(ValueError, match=r"a weight named `kernel`. Received: weights \['w'\]"):
        WeightNormCell(NoKernel(3)).build((None, 3))


def rate_is_checked(module):
    with pytest.raises(ValueError, match="`rates` must be"):
        module.ZoneoutCell(LSTMCell(3), 1.0)


# One line changed, shapes kept, and the check that must fail.
MUTANTS = {
    "keep and replace swapped": (
        "ops.where(u < z, s, s_new)",
        "ops.where(u < z, s_new, s)",
        kept_share,
    ),
    "kept values are zero": (
        "ops.where(u < z, s, s_new)",
        "ops.where(u < z, 0 * s, s_new)",
        kept_share,
    ),
    "rates of h and c swapped": ("zip(self.rates,", "zip(self.rates[::-1],", zoneout_equals_numpy),
    "one rate for all": ("zip(self.rates,", "zip(self.rates[:1] * 2,", kept_share),
    "one mask for all examples": (
        "uniform(ops.shape(s_new)",
        "uniform((1, s_new.shape[1])",
        masks_differ,
    ),
    "one mask for all units": (
        "uniform(ops.shape(s_new)",
        "uniform((ops.shape(s_new)[0], 1)",
        masks_differ,
    ),
    "the same mask always": ("seed=self.seed_generator)", "seed=1)", masks_differ),
    "output not zoned out": (
        "return zoned[0] if output is new[0] else output, zoned",
        "return output, zoned",
        zoneout_equals_numpy,
    ),
    "states not zoned out": ("else output, zoned", "else output, list(new)", zoneout_equals_numpy),
    "only h zoned out": (
        "else output, zoned",
        "else output, [zoned[0], *new[1:]]",
        zoneout_equals_numpy,
    ),
    "mixing weights swapped": (
        "z * s + (1 - z) * s_new",
        "(1 - z) * s + z * s_new",
        zoneout_equals_numpy,
    ),
    "no mixing at inference": (
        "return z * s + (1 - z) * s_new",
        "return s_new",
        zoneout_equals_numpy,
    ),
    "masks at inference": ("if training:", "if True:", zoneout_equals_numpy),
    "no masks in training": ("if training:", "if False:", kept_share),
    "training not passed on": (
        "self._zoneout(z, s, s_new, training)",
        "self._zoneout(z, s, s_new, False)",
        kept_share,
    ),
    "gain ignored": ("gain * ops.rsqrt", "ops.rsqrt", weight_norm_equals_numpy),
    "direction not normalized": (
        "gain * ops.rsqrt(ops.where(some, squares, 1))",
        "gain",
        weight_norm_equals_numpy,
    ),
    "norm squared": ("ops.rsqrt(", "ops.reciprocal(", weight_norm_equals_numpy),
    "norm of the matrix": (
        "ops.square(kernel), axis=0)",
        "ops.square(kernel))",
        weight_norm_equals_numpy,
    ),
    "gains reversed": ("gain * ops.rsqrt", "ops.flip(gain) * ops.rsqrt", weight_norm_equals_numpy),
    "gains of the kernels swapped": (
        "zip(self._kernels, self.gains,",
        "zip(self._kernels, self.gains[::-1],",
        weight_norm_equals_numpy,
    ),
    "recurrent kernel as it is": (
        "for v, g in pairs}",
        "for v, g in list(pairs)[:1]}",
        weight_norm_equals_numpy,
    ),
    "kernel as it is": (
        "for v, g in pairs}",
        "for v, g in list(pairs)[1:]}",
        weight_norm_equals_numpy,
    ),
    "gains start at 1": (
        "return ops.norm(kernel, axis=0)",
        "return ops.ones(shape, dtype)",
        starts_as_the_inner_cell,
    ),
    "gains start as a sum": (
        "ops.norm(kernel, axis=0)",
        "ops.norm(kernel, 1, axis=0)",
        starts_as_the_inner_cell,
    ),
    "zeros divided": ("ops.where(some, squares, 1)", "squares", column_of_zeros),
    "zeros stay for ever": (
        "(ops.where(some, squares, 1)), 1)",
        "(ops.where(some, squares, 1)), 0)",
        column_of_zeros,
    ),
    "rate 1 allowed": ("0 <= z < 1", "0 <= z <= 1", rate_is_checked),
}


CHECKS = list(dict.fromkeys(check for _, _, check in MUTANTS.values()))


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name):
    old, new, check = MUTANTS[name]
    changed = t.mutant(wrappers, old, new)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(changed)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_a_copy_without_a_change_passes(check):
    check(t.mutant(wrappers, "u < z", "u < z"))
