"""state_gradients against a hand-unrolled tape, finite differences and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils.cells.vanilla import VanillaRNNCell
from course_utils.diagnostics import (
    _product_singular_values,
    _shared_draws,
    compare_initializers,
    input_gradients,
    lyapunov_exponents,
    state_gradients,
    step_jacobians,
)
from course_utils.initializers import BlockOrthogonal, ScaledIdentity, SpectralRadius

BATCH, LENGTH, FEATURES, UNITS = 3, 7, 4, 5
CELLS = {
    "vanilla": VanillaRNNCell,
    "simple": layers.SimpleRNNCell,
    "lstm": layers.LSTMCell,
    "gru": layers.GRUCell,
}


def random_layer(cell, dtype="float64", seed=0, **options):
    """A built layer with random weights, biases included."""
    rng = np.random.default_rng(seed)
    layer = layers.RNN(CELLS[cell](UNITS, dtype=dtype), dtype=dtype, **options)
    layer.build((BATCH, LENGTH, FEATURES))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return layer


def data(seed=1, dtype="float64"):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(BATCH, LENGTH, FEATURES)).astype(dtype)
    sizes = {"lstm": 2}
    states = {
        cell: [rng.normal(size=(BATCH, UNITS)).astype(dtype) for _ in range(sizes.get(cell, 1))]
        for cell in CELLS
    }
    return x, states


def readout(output):
    """A nonlinear loss per example, so that the gradient depends on the state."""
    weights = tf.cast(tf.range(1, UNITS + 1), output.dtype)
    return tf.reduce_sum(tf.sin(output * weights), axis=tuple(range(1, len(output.shape))))


def unrolled(layer, x, loss_fn, state, initial_state, mask=None):
    """The definition: each handed-on state is a tensor of its own that the tape watches."""
    states = [tf.convert_to_tensor(s) for s in initial_state]
    handed_on, outputs, output = [], [], None
    with tf.GradientTape() as tape:
        tape.watch(states)
        for t in range(x.shape[1]):
            y, new = layer.cell(tf.convert_to_tensor(x[:, t]), states)
            y_is_state = [y is s for s in new]
            if mask is not None:
                keep = tf.convert_to_tensor(mask[:, t, None])
                new = [tf.where(keep, n, o) for n, o in zip(new, states, strict=True)]
            states = [tf.identity(s) for s in new]
            y = states[y_is_state.index(True)] if True in y_is_state else y
            if mask is not None:
                y = tf.where(keep, y, tf.zeros_like(y) if output is None else output)
            output = y
            outputs.append(y)
            handed_on.append(states[state])
        result = tf.stack(outputs, 1) if layer.return_sequences else output
        loss = tf.reduce_sum(loss_fn(result))
    gradients = tape.gradient(loss, handed_on, unconnected_gradients="zero")
    return np.stack(gradients, axis=1)


compiled_or_not = pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)


@compiled_or_not
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize(
    ("cell", "state"), [("vanilla", 0), ("simple", 0), ("lstm", 0), ("lstm", 1), ("gru", 0)]
)
def test_equals_a_hand_unrolled_tape(cell, state, return_sequences, jit_compile):
    layer = random_layer(cell, return_sequences=return_sequences)
    x, states = data()
    ours = state_gradients(
        layer, x, readout, state=state, initial_state=states[cell], jit_compile=jit_compile
    )
    tape = unrolled(layer, x, readout, state, states[cell])
    assert ours.shape == (BATCH, LENGTH, UNITS)
    assert np.abs(tape).max() > 1e-3
    np.testing.assert_allclose(ours, tape, rtol=1e-12, atol=1e-15)


@compiled_or_not
@pytest.mark.parametrize(("cell", "state"), [("vanilla", 0), ("lstm", 0), ("lstm", 1), ("gru", 0)])
def test_equals_a_hand_unrolled_tape_under_a_mask(cell, state, jit_compile):
    layer = random_layer(cell, return_sequences=True)
    x, states = data()
    mask = np.array([[1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 1]], bool)
    ours = state_gradients(
        layer, x, readout, state=state, mask=mask, initial_state=states[cell],
        jit_compile=jit_compile,
    )  # fmt: skip
    tape = unrolled(layer, x, readout, state, states[cell], mask)
    np.testing.assert_allclose(ours, tape, rtol=1e-12, atol=1e-15)
    assert np.abs(ours[1, 0]).max() > 0  # a skipped step still hands its state on
    assert np.abs(ours[0, 4:]).max() == 0  # after the last real step nothing depends on it


@pytest.mark.parametrize("zero_output", [pytest.param(False, marks=pytest.mark.slow), True])
def test_masked_outputs_are_those_of_the_layer(zero_output):
    layer = random_layer("gru", return_sequences=True, zero_output_for_mask=zero_output)
    x, _ = data()
    mask = np.array([[1] * 4 + [0] * 3, [1] * 7, [1, 0, 0, 1, 1, 0, 1]], bool)
    seen = []

    def loss(output):
        seen.append(1)
        target = layer(x, mask=tf.constant(mask))
        return tf.reduce_sum(output) + 1e6 * tf.reduce_max(tf.abs(output - target))

    plain = state_gradients(layer, x, lambda output: tf.reduce_sum(output), mask=mask)
    np.testing.assert_allclose(state_gradients(layer, x, loss, mask=mask), plain, rtol=1e-9)
    assert seen


@pytest.mark.parametrize("t", [0, 3, 6])
@pytest.mark.parametrize(
    ("cell", "state"), [("vanilla", 0), ("simple", 0), ("lstm", 1), ("gru", 0)]
)
def test_equals_finite_differences(cell, state, t):
    """Perturb the state between step t and t + 1 and run the rest."""
    layer = random_layer(cell)
    x, states = data()
    ours = state_gradients(layer, x, readout, state=state, initial_state=states[cell])[:, t]

    def loss(position, unit, step):
        values, output = [tf.convert_to_tensor(s) for s in states[cell]], None
        for k in range(LENGTH):
            output, values = layer.cell(tf.convert_to_tensor(x[:, k]), values)
            output_is_state = output is values[state]
            if k == position:
                values = list(values)
                values[state] = values[state] + step * np.eye(UNITS)[unit]
                output = values[state] if output_is_state else output
        return readout(output).numpy()

    epsilon = 1e-5
    numeric = np.stack(
        [(loss(t, i, epsilon) - loss(t, i, -epsilon)) / (2 * epsilon) for i in range(UNITS)], -1
    )
    np.testing.assert_allclose(ours, numeric, rtol=1e-8, atol=1e-8)


def test_closed_form_of_a_linear_network():
    layer = layers.SimpleRNN(UNITS, activation=None, dtype="float64")
    layer.build((BATCH, LENGTH, FEATURES))
    matrix = np.random.default_rng(3).normal(size=(UNITS, UNITS))
    layer.cell.recurrent_kernel.assign(matrix)
    v = np.arange(1.0, UNITS + 1)
    ours = state_gradients(layer, data()[0], lambda h: tf.linalg.matvec(h, v))
    for t in range(LENGTH):
        expected = np.linalg.matrix_power(matrix, LENGTH - 1 - t) @ v
        np.testing.assert_allclose(ours[:, t], np.tile(expected, (BATCH, 1)), rtol=1e-12)


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_takes_the_library_layers_with_a_scalar_loss(kind):
    layer = kind(UNITS, dtype="float64")
    layer.build((BATCH, LENGTH, FEATURES))
    x, _ = data()
    zeros = [np.zeros((BATCH, UNITS))] * len(layer.state_size)
    ours = state_gradients(layer, x, lambda h: tf.reduce_sum(readout(h)))
    np.testing.assert_allclose(ours, unrolled(layer, x, readout, 0, zeros), rtol=1e-12)


@pytest.mark.slow
def test_unrolled_and_backwards_layers():
    x, states = data()
    plain = state_gradients(random_layer("gru"), x, readout, initial_state=states["gru"])
    layer = random_layer("gru", unroll=True)
    np.testing.assert_allclose(
        state_gradients(layer, x, readout, initial_state=states["gru"]), plain, rtol=1e-12
    )
    layer = random_layer("gru", go_backwards=True)
    backwards = state_gradients(layer, x[:, ::-1], readout, initial_state=states["gru"])
    np.testing.assert_allclose(backwards[:, ::-1], plain, rtol=1e-12)


def test_the_returned_state_can_carry_the_loss():
    layer = random_layer("lstm", return_state=True)
    x, states = data()
    ours = state_gradients(
        layer, x, lambda output: readout(output[2]), state=1, initial_state=states["lstm"]
    )

    def last_cell_state():
        values = [tf.convert_to_tensor(s) for s in states["lstm"]]
        for k in range(LENGTH):
            _, values = layer.cell(tf.convert_to_tensor(x[:, k]), values)
        return values[1]

    c = tf.convert_to_tensor(last_cell_state())
    with tf.GradientTape() as tape:
        tape.watch(c)
        loss = tf.reduce_sum(readout(c))
    np.testing.assert_allclose(ours[:, -1], tape.gradient(loss, c), rtol=1e-12)


@pytest.mark.slow
def test_a_stateful_layer_starts_from_its_state_and_keeps_it():
    x, states = data()
    plain = state_gradients(random_layer("gru"), x, readout, initial_state=states["gru"])
    layer = random_layer("gru", stateful=True)
    layer.states[0].assign(states["gru"][0])
    np.testing.assert_allclose(state_gradients(layer, x, readout), plain, rtol=1e-12)
    np.testing.assert_array_equal(layer.states[0].numpy(), states["gru"][0])


def test_training_mode_draws_dropout_and_leaves_no_mask_behind():
    layer = layers.LSTM(UNITS, dropout=0.5, recurrent_dropout=0.5, seed=0)
    layer.build((BATCH, LENGTH, FEATURES))
    x, _ = data(dtype="float32")
    first = state_gradients(layer, x, readout, training=True)
    second = state_gradients(layer, x, readout, training=True)
    assert np.abs(first - second).max() > 0
    calm = state_gradients(layer, x, readout)
    np.testing.assert_array_equal(calm, state_gradients(layer, x, readout))
    assert layer(x, training=True).shape == (BATCH, UNITS)


def test_weights_that_change_are_seen_without_a_new_trace():
    layer = random_layer("vanilla")
    x, _ = data()
    before = state_gradients(layer, x, readout)
    layer.set_weights([1.1 * w for w in layer.get_weights()])
    after = state_gradients(layer, x, readout)
    assert np.abs(before - after).max() > 1e-3
    zeros = [np.zeros((BATCH, UNITS))]
    np.testing.assert_allclose(after, unrolled(layer, x, readout, 0, zeros), rtol=1e-12)


def test_the_stacked_outputs_show_only_the_direct_part():
    """The trap of lesson 03: the output tensor is not on the recurrent path."""
    layer = random_layer("vanilla", return_sequences=True)
    x, _ = data()
    with tf.GradientTape() as tape:
        outputs = layer(x)
        tape.watch(outputs)
        loss = tf.reduce_sum(readout(outputs[:, -1]))
    trap = tape.gradient(loss, outputs).numpy()
    true = state_gradients(layer, x, lambda outputs: readout(outputs[:, -1]))
    assert np.abs(trap[:, :-1]).max() == 0
    assert np.abs(true[:, 0]).min() > 0
    np.testing.assert_allclose(trap[:, -1], true[:, -1], rtol=1e-12)


def test_input_gradients_equal_finite_differences():
    layer = random_layer("lstm")
    x, _ = data()
    ours = input_gradients(layer, x, readout)
    epsilon = 1e-5
    for t, d in [(0, 0), (3, 2), (6, 3)]:
        step = np.zeros_like(x)
        step[:, t, d] = epsilon
        numeric = (readout(layer(x + step)) - readout(layer(x - step))) / (2 * epsilon)
        np.testing.assert_allclose(ours[:, t, d], numeric, rtol=1e-7, atol=1e-9)


def test_input_gradients_of_masked_steps_are_zero():
    layer = random_layer("gru")
    x, _ = data()
    mask = np.ones((BATCH, LENGTH), bool)
    mask[0, 4:] = False
    gradients = input_gradients(layer, x, readout, mask=mask)
    assert np.abs(gradients[0, 4:]).max() == 0
    short = input_gradients(layer, x[:1, :4], readout)
    np.testing.assert_allclose(gradients[:1, :4], short, rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_jacobians_chain_to_the_state_gradient(cell):
    """dL/ds_t = dL/ds_T J_T ... J_{t+1}, states side by side."""
    layer = random_layer(cell, return_state=True)
    x, _ = data()
    jacobians = step_jacobians(layer, x)

    def loss(output):
        return sum(readout(s) for s in output[1:])

    count = len(layer.state_size)
    gradients = [state_gradients(layer, x, loss, state=k) for k in range(count)]
    gradients = np.concatenate(gradients, axis=-1)  # (batch, time, S)
    chained = np.einsum("bti,btij->btj", gradients[:, 1:], jacobians[:, 1:])
    np.testing.assert_allclose(chained, gradients[:, :-1], rtol=1e-10, atol=1e-12)


def test_jacobian_of_the_vanilla_step_in_closed_form():
    layer = random_layer("vanilla", return_sequences=True)
    x, _ = data()
    h = layer(x).numpy()
    W = layer.cell.recurrent_kernel.numpy()
    expected = (1 - h**2)[..., :, None] * W.T
    np.testing.assert_allclose(step_jacobians(layer, x), expected, rtol=1e-12)


def test_lyapunov_exponents_of_a_linear_network():
    """For one matrix they are the logarithms of the eigenvalues' sizes, in the long run."""
    layer = layers.SimpleRNN(4, activation=None, dtype="float64")
    layer.build((1, 400, 2))
    matrix = np.diag([0.9, 0.5, 0.2, 0.1]) + np.triu(np.ones((4, 4)), 1)
    layer.cell.recurrent_kernel.assign(matrix)
    exponents = lyapunov_exponents(layer, np.ones((1, 400, 2)))
    np.testing.assert_allclose(exponents, np.log([0.9, 0.5, 0.2, 0.1]), atol=0.02)
    np.testing.assert_allclose(
        lyapunov_exponents(layer, np.ones((1, 400, 2)), count=1), exponents[:1], rtol=1e-9
    )


def test_the_sum_of_the_exponents_is_the_mean_log_determinant():
    layer = random_layer("gru")
    x, _ = data()
    volume = np.log(np.abs(np.linalg.det(step_jacobians(layer, x)))).mean()
    np.testing.assert_allclose(lyapunov_exponents(layer, x).sum(), volume, rtol=1e-10)


def test_a_removed_direction_gives_minus_infinity_and_no_warning(recwarn):
    layer = layers.SimpleRNN(3, activation=None, recurrent_initializer="zeros")
    layer.build((1, 2, 2))
    assert np.all(lyapunov_exponents(layer, np.ones((1, 2, 2))) == -np.inf)
    assert not recwarn.list


def test_mixed_precision():
    layer = random_layer("vanilla", dtype="mixed_float16")
    x, _ = data(dtype="float32")
    half = state_gradients(layer, x, readout)
    full = state_gradients(random_layer("vanilla", dtype="float32"), x, readout)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, full, rtol=0.1, atol=0.05)


def test_a_network_with_radius_below_one_vanishes():
    layer = layers.SimpleRNN(32, recurrent_initializer=SpectralRadius(0.5, seed=0))
    x = np.random.default_rng(0).normal(size=(4, 30, 4))
    layer.build(x.shape)
    norms = np.linalg.norm(state_gradients(layer, x, lambda h: h[:, 0]), axis=-1)
    assert np.all(norms[:, 0] < 1e-6 * norms[:, -1])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer": layers.Dense(3)}, TypeError, "`layer` must be a keras.layers.RNN.*Dense"),
        ({"layer": layers.GRU(3)}, ValueError, "`layer` must be built.*unbuilt GRU"),
        (
            {"layer": layers.RNN([layers.GRUCell(3), layers.GRUCell(3)])},
            TypeError,
            "`layer` must hold one cell",
        ),
        ({"layer": layers.Bidirectional(layers.GRU(3))}, TypeError, "forward_layer"),
        ({"sequences": np.ones((3, 4))}, ValueError, r"`sequences` must have shape.*\(3, 4\)"),
        ({"sequences": np.ones((3, 0, 4))}, ValueError, r"none of them 0.*\(3, 0, 4\)"),
        ({"sequences": np.ones((3, 7, 9))}, ValueError, r"must have 4 features.*\(3, 7, 9\)"),
        ({"loss_fn": lambda h: h}, ValueError, r"`loss_fn` must return one number.*shape=\(3, 5\)"),
        ({"loss_fn": lambda h: 1.0}, ValueError, "`loss_fn` must depend on the output"),
        ({"state": 1}, ValueError, "`state` must be one of 0 to 0.*state=1"),
        ({"state": -1}, ValueError, "`state` must be.*state=-1"),
        ({"mask": np.ones((3, 6))}, ValueError, r"`mask` must have shape.*\(3, 6\)"),
        ({"initial_state": np.ones((2, 5))}, ValueError, r"`initial_state` must be.*\(2, 5\)"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"layer": random_layer("vanilla"), "sequences": data()[0], "loss_fn": readout}
    arguments |= change
    with pytest.raises(error, match=message):
        state_gradients(**arguments)


def test_bad_input_of_the_others_is_named():
    x, _ = data()
    with pytest.raises(ValueError, match=r"`count` must be an integer from 1 to 5.*count=6"):
        lyapunov_exponents(random_layer("vanilla"), x, count=6)
    with pytest.raises(ValueError, match="`layer` must not go backwards"):
        step_jacobians(random_layer("vanilla", go_backwards=True), x)
    with pytest.raises(ValueError, match="`layer` must be built"):
        input_gradients(keras.layers.GRU(3), x, readout)


@pytest.mark.slow
def test_many_layers_make_no_noise(caplog, capfd):
    """TensorFlow warns of retracing, and of lambdas that it cannot read, unless told not to."""
    x, _ = data()
    for seed in range(7):
        layer = random_layer("vanilla", seed=seed)
        state_gradients(layer, x, lambda h: tf.reduce_sum(h)), input_gradients(layer, x, readout)
        step_jacobians(layer, x)
    assert caplog.text == "" and capfd.readouterr().err == ""


def test_a_cell_that_returns_the_wrong_number_of_states_is_named():
    class TwoForOne(VanillaRNNCell):
        def call(self, inputs, states, training=False):
            h, _ = super().call(inputs, states)
            return h, [h, h]

    layer = layers.RNN(TwoForOne(UNITS))
    layer.build((BATCH, LENGTH, FEATURES))
    for run in (lambda x: state_gradients(layer, x, readout), lambda x: step_jacobians(layer, x)):
        with pytest.raises(ValueError, match=r"must return 1 states.*Received: 2.*check_cell"):
            run(data(dtype="float32")[0])


def rotation(size, rng):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


@pytest.mark.parametrize("decades", [0.01, 0.3, 4.0])
def test_singular_values_of_a_known_product(decades):
    """J_k = U_k S_k U_{k-1}^T: the singular values are the products of those of the S_k."""
    rng = np.random.default_rng(0)
    size, length = 16, 60
    sizes = np.linspace(0.2, 0.2 - decades, size) + rng.normal(size=(length, 1)) * 0.1  # log10
    turns = [rotation(size, rng) for _ in range(length + 1)]
    steps = [turns[k + 1] @ np.diag(10 ** sizes[k]) @ turns[k].T for k in range(length)]
    values = np.log10(_product_singular_values(np.array(steps)))
    expected = np.cumsum(sizes, axis=0)
    assert np.ptp(expected[-1]) == pytest.approx(60 * decades)  # up to 240 decades
    np.testing.assert_allclose(values, expected, atol=1e-8)
    if decades == 4.0:  # the plain product has lost them
        plain = np.linalg.svd(np.linalg.multi_dot(steps[::-1]), compute_uv=False)
        assert np.log10(plain[8]) > expected[-1, 8] + 50


def test_singular_values_out_of_range_become_zero_or_infinite(recwarn):
    values = _product_singular_values(np.tile(np.diag([1e5, 1e-5]), (70, 1, 1)))
    np.testing.assert_allclose(values[25], [1e130, 1e-130], rtol=1e-9)
    assert values[-1].tolist() == [np.inf, 0]
    assert _product_singular_values(np.zeros((2, 3, 3))).tolist() == [[0] * 3] * 2
    assert not recwarn.list


@pytest.mark.parametrize("seed", [0, 1])
def test_compared_numbers_are_those_of_the_layer(seed):
    """The library's layer, its Jacobians and its total gradients, in float64."""
    units, length = 6, 5
    initializer = SpectralRadius(1.3, seed=4)
    results = compare_initializers({"mine": initializer}, units=units, length=length, seeds=(0, 1))
    result = {key: value[seed] for key, value in results["mine"].items()}
    assert {key: np.shape(value) for key, value in result.items()} == {
        "singular_values": (length, units),
        "gradient": (length,),
        "spectral_radius": (),
    }
    inputs, kernel, readout = _shared_draws(units, length, seed)
    sequences = inputs.transpose(1, 0, 2)  # (batch, time, features)
    layer = layers.SimpleRNN(units, recurrent_initializer=initializer, dtype="float64")
    layer.build(sequences.shape)
    layer.cell.kernel.assign(kernel)

    product = np.eye(units)
    for k, jacobian in enumerate(step_jacobians(layer, sequences)[0]):
        product = jacobian @ product
        expected = np.linalg.svd(product, compute_uv=False)
        np.testing.assert_allclose(result["singular_values"][k], expected, rtol=1e-9)
    zeros = [np.zeros((len(sequences), units))]
    for gradients in (
        state_gradients(layer, sequences, lambda h: tf.linalg.matvec(h, readout)),
        unrolled(layer, sequences, lambda h: tf.linalg.matvec(h, readout), 0, zeros),
    ):
        norms = np.linalg.norm(gradients, axis=-1).mean(axis=0)
        np.testing.assert_allclose(result["gradient"], norms, rtol=1e-12)
    assert result["gradient"][-1] == pytest.approx(1)
    assert result["spectral_radius"] == pytest.approx(1.3, rel=1e-12)


def test_what_all_networks_share():
    inputs, kernel, readout = _shared_draws(64, 500, 0)
    assert inputs.shape == (500, 16, 1) and kernel.shape == (1, 64)
    assert inputs.mean() == pytest.approx(0, abs=0.05) and inputs.std() == pytest.approx(
        1, abs=0.05
    )
    assert np.abs(kernel).max() <= np.sqrt(6 / 65) and kernel.std() == pytest.approx(
        0.175, abs=0.04
    )
    assert np.linalg.norm(readout) == pytest.approx(1)


def test_every_kind_of_initializer_and_its_seeds():
    def mine(shape, dtype=None):
        return np.random.normal(size=shape) / 4

    class Bare(keras.initializers.Initializer):
        def __init__(self, scale):
            self.scale = scale

        def __call__(self, shape, dtype=None):
            return self.scale * keras.random.normal(shape, dtype=dtype)

    entries = {
        "name": "orthogonal",
        "unseeded": keras.initializers.Orthogonal(),
        "seeded": keras.initializers.Orthogonal(seed=5),
        "ours": BlockOrthogonal(1),
        "function": mine,
        "bare": Bare(0.1),
        "array": np.eye(8),
    }
    options = {"units": 8, "length": 3, "seeds": (0, 3, 0)}
    results = compare_initializers(entries, **options)
    again = compare_initializers(dict(reversed(entries.items())), **options)
    for name, result in results.items():
        values = result["singular_values"]
        np.testing.assert_array_equal(values, again[name]["singular_values"])
        np.testing.assert_array_equal(values[0], values[2])
        assert np.all(np.diff(values, axis=-1) <= 0)
        assert np.abs(values[0, -1] - values[1, -1]).max() > 1e-4  # other inputs at the least
    np.testing.assert_array_equal(results["name"]["gradient"], results["unseeded"]["gradient"])
    assert np.ptp(results["function"]["spectral_radius"][:2]) > 1e-3
    assert np.ptp(results["bare"]["spectral_radius"][:2]) > 1e-3
    assert entries["unseeded"].get_config()["seed"] is None  # the instance is left alone
    seeded = compare_initializers({"seeded": entries["seeded"]}, **options | {"seeds": (3,)})
    np.testing.assert_array_equal(seeded["seeded"]["gradient"][0], results["seeded"]["gradient"][1])


def test_a_seed_of_its_own_means_one_matrix():
    def spread(initializer):
        results = compare_initializers({"": initializer}, units=8, length=2)
        return np.ptp(results[""]["spectral_radius"])

    assert spread(keras.initializers.RandomNormal(seed=1)) == 0
    assert spread(keras.initializers.RandomNormal()) > 1e-3
    assert spread("random_normal") > 1e-3


def test_what_the_comparison_shows():
    """Three seeds, 64 steps: who keeps the size of a difference, who loses it, who blows it up."""
    results = compare_initializers(
        {
            "small": keras.initializers.RandomNormal(stddev=0.01),
            "large": keras.initializers.RandomNormal(stddev=1.0),
            "glorot": "glorot_uniform",
            "orthogonal": "orthogonal",
            "half": ScaledIdentity(0.5),
        }
    )
    with np.errstate(divide="ignore"):
        last = {k: np.log10(r["singular_values"][:, -1]) for k, r in results.items()}
    assert np.all(last["small"][:, 0] < -60)
    assert np.all(last["large"][:, 0] > 12) and np.all(np.median(last["large"], -1) < -100)
    assert np.all(np.median(last["glorot"], -1) < -9)
    assert np.all(np.median(last["orthogonal"], -1) > -5)
    assert np.all(last["half"] <= 64 * np.log10(0.5) + 1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"initializers": ["orthogonal"]}, TypeError, "`initializers` must be a dict.*list"),
        (
            {"initializers": {"mine": lambda shape, dtype=None: np.ones(3)}},
            ValueError,
            r"`initializers\['mine'\]` must give finite numbers of shape \(4, 4\).*shape=\(3,\)",
        ),
        (
            {"initializers": {"log": lambda shape, dtype=None: np.diag([1, np.nan, 2, np.inf])}},
            ValueError,
            r"`initializers\['log'\]`.*shape=\(4, 4\), 2 of them not finite",
        ),
        ({"initializers": {"x": "orthogonol"}}, ValueError, "orthogonol"),
        ({"units": 0}, ValueError, "`units` must be a positive integer. Received: units=0"),
        ({"length": 2.5}, ValueError, "`length` must be a positive integer.*length=2.5"),
    ],
)
def test_a_bad_comparison_is_named(change, error, message):
    arguments = {"initializers": {"name": "orthogonal"}, "units": 4, "length": 2} | change
    with pytest.raises(error, match=message):
        compare_initializers(**arguments)
