"""What every recurrent cell is held to; a cell's own test file brings its reference and mutants."""

import pathlib
import types

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH, LENGTH, FEATURES, UNITS = 4, 6, 3, 4
MASK = np.array([[1] * 6, [1] * 4 + [0] * 2, [0] * 2 + [1] * 4, [1, 0, 1, 1, 0, 1]], bool)

# How Keras can run a cell: arguments of `keras.layers.RNN`, and how the layer is called.
WAYS = {
    "loop": {},
    "unrolled": {"unroll": True},
    "jit": {"jit_compile": True},
    "masked": {"mask": MASK},
    "masked, unrolled, jit": {"mask": MASK, "unroll": True, "jit_compile": True},
    "backwards": {"go_backwards": True},
}


def with_random_weights(cell, seed=0):
    """The cell, built for FEATURES, with weights from N(0, 1) but the wrapped ones' shapes kept."""
    if not cell.built:
        cell.build((BATCH, FEATURES))
    rng = np.random.default_rng(seed)
    cell.set_weights([rng.normal(size=w.shape) for w in cell.get_weights()])
    return cell


def sequences(seed=1):
    return np.random.default_rng(seed).normal(size=(BATCH, LENGTH, FEATURES))


def states_of(cell, seed=2):
    """A random state, nowhere zero, one array (BATCH, size) per state."""
    rng = np.random.default_rng(seed)
    sizes = cell.state_size if isinstance(cell.state_size, list) else [cell.state_size]
    return [rng.uniform(0.2, 0.9, (BATCH, s)) * rng.choice([-1, 1], (BATCH, s)) for s in sizes]


def assert_equals_numpy(cell, reference, atol=1e-12):
    """`reference(weights, x_t, states) -> (output, states)` in NumPy; `cell` is float64."""
    assert cell.compute_dtype == "float64"
    with_random_weights(cell)
    weights, x, expected = cell.get_weights(), sequences(), states_of(cell)
    states = [tf.constant(s) for s in expected]
    for t in range(LENGTH):
        wanted, expected = reference(weights, x[:, t], expected)
        output, states = cell(tf.constant(x[:, t]), states)
        np.testing.assert_allclose(output, wanted, rtol=0, atol=atol)
        assert len(states) == len(expected)
        for ours, theirs in zip(states, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def assert_gradients_equal_finite_differences(cell, steps=3, eps=1e-6, rtol=1e-6):
    """Derivatives with respect to every weight, input and initial state; `cell` is float64."""
    assert cell.compute_dtype == "float64"
    with_random_weights(cell)
    x, states = sequences()[:, :steps], states_of(cell)
    values = [tf.Variable(v) for v in (x, *states)]
    variables = [*(w.value for w in cell.trainable_variables), *values]

    @tf.function(autograph=False)
    def loss():
        held = list(values[1:])
        total = 0.0
        for t in range(steps):
            output, held = cell(values[0][:, t], held)
            total += tf.reduce_sum(tf.sin(output) * (t + 1.0))
        return total + sum(tf.reduce_sum(tf.cos(2.0 * s)) for s in held)

    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        base = variable.numpy()
        numeric = np.zeros_like(base)
        for index in np.ndindex(base.shape):
            moved = []
            for sign in (1, -1):
                shifted = base.copy()
                shifted[index] += sign * eps
                variable.assign(shifted)
                moved.append(float(loss()))
            numeric[index] = (moved[0] - moved[1]) / (2 * eps)
        variable.assign(base)
        assert np.abs(numeric).max() > 1e-4, "this derivative is not tested: it is zero"
        np.testing.assert_allclose(gradient, numeric, rtol=rtol, atol=rtol * np.abs(numeric).max())


def outputs_and_gradients(cell, dtype="float32", jit_compile=False, mask=None, **options):
    """Outputs of `RNN(cell, **options)` and the derivatives with respect to inputs and weights."""
    layer = layers.RNN(cell, return_sequences=True, dtype=dtype, **options)
    inputs = tf.constant(sequences(), "float64" if dtype == "float64" else "float32")

    @tf.function(autograph=False, jit_compile=jit_compile)
    def compute(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = layer(inputs, mask=mask)
            loss = tf.reduce_sum(tf.sin(tf.cast(output, "float64")))
        return output, tape.gradient(loss, [inputs, *layer.trainable_variables])

    return compute(inputs)


def assert_same(ours, theirs, rtol=0.0, atol=0.0):
    """Equal outputs and equal derivatives, none of them missing or zero everywhere."""
    np.testing.assert_allclose(ours[0], theirs[0], rtol=rtol, atol=atol)
    assert len(ours[1]) == len(theirs[1]) > 1
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        assert np.abs(a).max() > 0


def assert_equals_keras(ours, theirs, way, dtype):
    """Difference 0 to a Keras cell with the same weights, derivatives included."""
    theirs.build((BATCH, FEATURES))
    theirs.set_weights(with_random_weights(ours).get_weights())
    results = [outputs_and_gradients(cell, dtype=dtype, **WAYS[way]) for cell in (ours, theirs)]
    assert_same(*results)


def assert_runs_every_way_alike(make, way):
    """`make(dtype)` gives a cell; in float64 each way equals the cell called step by step."""
    cell = with_random_weights(make(dtype="float64"))
    options = dict(WAYS[way])
    result = outputs_and_gradients(cell, dtype="float64", **options)
    x, mask = sequences(), options.get("mask", np.ones((BATCH, LENGTH), bool))
    order = range(LENGTH)[::-1] if options.get("go_backwards") else range(LENGTH)
    states = [np.zeros_like(s) for s in states_of(cell)]
    held, outputs = np.zeros((BATCH, cell.output_size)), []
    for t in order:
        output, new = cell(tf.constant(x[:, t]), [tf.constant(s) for s in states])
        keep = mask[:, t, None]
        states = [np.where(keep, n, s) for n, s in zip(new, states, strict=True)]
        held = np.where(keep, output, held)
        outputs.append(held)
    np.testing.assert_allclose(result[0], np.stack(outputs, axis=1), rtol=0, atol=1e-12)
    assert all(np.abs(g).max() > 0 for g in result[1])


def assert_bidirectional_stacked_and_mixed(make):
    """Bidirectional and stacked layers train; mixed_float16 stays near float32."""
    x = sequences().astype("float32")
    keras.utils.set_random_seed(0)  # in float16 a few draws of weights lie farther off
    both = layers.Bidirectional(layers.RNN(make(), return_sequences=True))
    stack = layers.RNN([make(), make()], return_sequences=True)
    for layer, width in ((both, 2 * UNITS), (stack, UNITS)):
        with tf.GradientTape() as tape:
            output = layer(x, mask=MASK)
            loss = tf.reduce_sum(tf.sin(output))
        assert output.shape == (BATCH, LENGTH, width)
        gradients = tape.gradient(loss, layer.trainable_variables)
        assert all(g is not None and np.isfinite(g).all() for g in gradients)
    half, full = make(dtype="mixed_float16"), make()
    half.build((BATCH, FEATURES)), full.build((BATCH, FEATURES))
    half.set_weights(full.get_weights())
    outputs = [layers.RNN(c, dtype=c.dtype_policy)(x) for c in (half, full)]
    assert outputs[0].dtype == "float16"
    np.testing.assert_allclose(outputs[0], outputs[1], atol=2e-2)


def assert_survives_training_and_saving(make, tmp_path):
    """Trained, saved as `.keras`, loaded: the same kind of cell and the same predictions."""
    x = sequences().astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.RNN(make()), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, 0, :1], epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    ours, copy = model.layers[0].cell, loaded.layers[0].cell
    assert type(copy) is type(ours) and copy.get_config() == ours.get_config()


def mutant(module, old, new):
    """The module with one piece of its source replaced, which must occur exactly once."""
    source = pathlib.Path(module.__file__).read_text(encoding="utf-8")
    if source.count(old) != 1:  # no AssertionError: the tests of mutants expect those
        raise LookupError(f"{old!r} must occur once in {module.__file__}")
    source = source.replace(old, new).replace('package="course_utils"', 'package="mutants"')
    changed = types.ModuleType("mutant")
    exec(compile(source, "mutant", "exec"), changed.__dict__)
    return changed
