"""The gradient callbacks: what they measure, what they change, and that nothing stays behind."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, optimizers

from course_utils.callbacks import (
    GradientClipping,
    GradientFlow,
    GradientHook,
    GradientMonitor,
    PercentileClipping,
)
from course_utils.diagnostics import state_gradients

BATCH, STEPS, LENGTH, FEATURES = 4, 5, 3, 2
OPTIMIZERS = {
    "adam": lambda **options: optimizers.Adam(0.05, **options),
    "momentum": lambda **options: optimizers.SGD(0.05, momentum=0.9, **options),
    "rmsprop": lambda **options: optimizers.RMSprop(0.01, **options),
}


class Count(layers.Layer):
    """Counts how often it is traced."""

    traces = 0

    def call(self, inputs, training=False):
        self.traces += bool(training)
        return inputs


def small_model(optimizer="sgd", recurrent=False, **compile_options):
    """A built and compiled model; always the same weights."""
    keras.utils.set_random_seed(0)
    inner = layers.SimpleRNN(4) if recurrent else layers.Flatten()
    model = keras.Sequential(
        [
            keras.Input((LENGTH, FEATURES)),
            inner,
            layers.Dense(5, activation="tanh", name="hidden"),
            Count(name="count"),
            layers.Dense(1, name="last"),
        ]
    )
    model.compile(optimizer, "mse", **compile_options)
    return model


def data(steps=STEPS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * BATCH, LENGTH, FEATURES)).astype("float32")
    return x, 3 * x.sum(axis=(1, 2))[:, None]


def fit(model, *callbacks, epochs=1, xy=None):
    x, y = data() if xy is None else xy
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    return model.fit(x, y, epochs=epochs, callbacks=list(callbacks), **options).history


def state(model):
    """Weights and optimizer state, the iteration count included."""
    return [np.asarray(v) for v in [*model.variables, *model.optimizer.variables]]


def assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_plain(model):
    """Nothing of a hook is in the model or its optimizer."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert "apply" not in vars(inner) and "apply" not in vars(model.optimizer)
    assert "make_train_function" not in vars(model)
    assert not hasattr(model.train_function, "__self__")  # Keras' own is no method


def taped_gradients(model, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - y) ** 2)
    return [np.asarray(g) for g in tape.gradient(loss, model.trainable_variables)]


def long_norm(arrays):
    return np.sqrt(sum(np.sum(np.square(a, dtype="float64")) for a in arrays))


# --- the monitor ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "recurrent", "jit_compile"),
    [
        ("adam", False, False),
        pytest.param("momentum", False, False, marks=pytest.mark.slow),
        ("adam", True, False),
        pytest.param("adam", False, True, marks=pytest.mark.slow),
        pytest.param("momentum", True, False, marks=pytest.mark.slow),
        pytest.param("rmsprop", True, False, marks=pytest.mark.slow),
        pytest.param("momentum", True, True, marks=pytest.mark.slow),
        pytest.param("adam", True, True, marks=pytest.mark.slow),
    ],
)
def test_monitored_training_is_bit_identical(optimizer, recurrent, jit_compile):
    ends = []
    for callbacks in ([], [GradientMonitor()]):
        model = small_model(OPTIMIZERS[optimizer](), recurrent, jit_compile=jit_compile)
        history = fit(model, *callbacks, epochs=3)
        ends.append([*state(model), history["loss"]])
    assert_equal(*ends)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_monitor_equals_a_tape(run_eagerly):
    model = small_model(recurrent=not run_eagerly, run_eagerly=run_eagerly)
    x, y = data()
    expected = [long_norm([g]) for g in taped_gradients(model, x[:BATCH], y[:BATCH])]
    monitor = GradientMonitor()
    history = fit(model, monitor, epochs=2)
    assert monitor.names == [v.path for v in model.trainable_variables]
    assert list(monitor.steps) == ["gradient_norm", *(f"gradient_norm/{n}" for n in monitor.names)]
    first = [steps[0] for steps in monitor.steps.values()]
    np.testing.assert_allclose(first, [np.linalg.norm(expected), *expected], rtol=1e-5)
    for key, steps in monitor.steps.items():
        assert steps.shape == (2 * STEPS,)
        np.testing.assert_allclose(history[key], steps.reshape(2, -1).mean(axis=1), rtol=1e-6)


def test_monitor_writes_tensorboard_events(tmp_path):
    monitor = GradientMonitor(log_dir=tmp_path)
    fit(small_model(), monitor, epochs=2)
    (file,) = tmp_path.iterdir()
    events = [e for e in tf.compat.v1.train.summary_iterator(str(file)) if e.summary.value]
    assert [e.step for e in events] == list(range(2 * STEPS))
    for key, steps in monitor.steps.items():
        written = [v.simple_value for e in events for v in e.summary.value if v.tag == key]
        np.testing.assert_array_equal(np.float32(written), steps)


def test_a_variable_without_gradient_reads_zero():
    inputs = keras.Input((LENGTH, FEATURES))
    flat = layers.Flatten()(inputs)
    used, unused = layers.Dense(1, name="used"), layers.Dense(1, name="unused")
    model = keras.Model(inputs, [used(flat), unused(flat)])
    model.compile("sgd", ["mse", None])
    monitor = GradientMonitor()
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        model.fit(*data(), verbose=0, callbacks=[monitor, GradientClipping(1.0)])
    assert monitor.steps["gradient_norm/unused/kernel"][0] == 0
    assert monitor.steps["gradient_norm/used/kernel"][0] > 0


# --- clipping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recurrent", "jit_compile"),
    [
        (False, False),
        (True, False),
        pytest.param(False, True, marks=pytest.mark.slow),
        pytest.param(True, True, marks=pytest.mark.slow),
    ],
)
def test_clipping_equals_global_clipnorm_exactly(recurrent, jit_compile):
    c = 9.7
    theirs = small_model(OPTIMIZERS["adam"](global_clipnorm=c), recurrent, jit_compile=jit_compile)
    fit(theirs, epochs=4)
    ours = small_model(OPTIMIZERS["adam"](), recurrent, jit_compile=jit_compile)
    clipping = GradientClipping(c)
    fit(ours, clipping, epochs=4)
    assert_equal(state(ours), state(theirs))
    assert set(clipping.clipped) == {True, False}  # both branches of the minimum


def test_clipping_is_right_for_repeated_tokens():
    steps = {}
    tokens, targets = np.array([[1, 1, 1, 2]]), np.ones((1, 1), "float32")
    for name in ("plain", "ours", "keras"):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((4,), dtype="int32"),
                layers.Embedding(5, 3),
                layers.GlobalAveragePooling1D(),
                layers.Dense(1, trainable=False),
            ]
        )
        clipnorm = 0.1 if name == "keras" else None
        model.compile(optimizers.SGD(1.0, global_clipnorm=clipnorm), "mse")
        before = model.get_weights()
        clipping = [GradientClipping(0.1)] if name == "ours" else []
        model.fit(tokens, targets, verbose=0, callbacks=clipping)
        steps[name] = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    assert long_norm(steps["plain"]) > 0.2
    assert long_norm(steps["ours"]) == pytest.approx(0.1, rel=1e-5)
    # sqrt(3^2 + 1) of the summed rows against sqrt(4) of the rows one by one
    assert long_norm(steps["keras"]) == pytest.approx(0.1 * np.sqrt(10 / 4), rel=1e-5)


class Schedule(keras.callbacks.Callback):
    """Changes a clipping's threshold before every step."""

    def __init__(self, clipping, values):
        super().__init__()
        self.clipping, self.values = clipping, list(values)

    def on_train_batch_begin(self, batch, logs=None):
        self.clipping.threshold.assign(self.values[batch])


def test_threshold_changes_at_every_step_without_a_new_trace():
    model, clipping = small_model(), GradientClipping(1.0)
    values = [0.5, 0.25, 8.0, 0.125, 1000.0]
    after = GradientMonitor()
    history = fit(model, clipping, after, Schedule(clipping, values), epochs=2)
    assert model.get_layer("count").traces == 1
    np.testing.assert_array_equal(clipping.thresholds, values * 2)
    expected = np.minimum(clipping.norms, clipping.thresholds)
    np.testing.assert_allclose(after.steps["gradient_norm"], expected, rtol=1e-5)
    shares = clipping.clipped.reshape(2, -1).mean(axis=1)
    assert history["clipped_share"] == shares.tolist()
    assert 0 < shares[0] < 1


def test_order_in_the_list_is_order_of_application():
    before, clipping, after = GradientMonitor(), GradientClipping(0.5), GradientMonitor()
    history = fit(small_model(), before, clipping, after)
    np.testing.assert_array_equal(before.steps["gradient_norm"], clipping.norms)
    assert (clipping.norms > 0.6).all()
    np.testing.assert_allclose(after.steps["gradient_norm"], 0.5, rtol=1e-5)
    assert list(after.steps) == list(before.steps)
    assert history["gradient_norm"][0] > 0.6 and history["gradient_norm_1"][0] == pytest.approx(0.5)
    other_way = GradientMonitor()
    fit(small_model(), GradientClipping(0.5), other_way)
    np.testing.assert_allclose(other_way.steps["gradient_norm"], 0.5, rtol=1e-5)


def test_percentile_clipping_follows_the_norms_before_the_step():
    clipping = PercentileClipping(30, max_norm=15.0, warmup=3)
    history = fit(small_model(), clipping, epochs=2)
    norms = clipping.norms
    expected = [15.0] * 3 + [min(np.percentile(norms[:t], 30), 15.0) for t in range(3, len(norms))]
    np.testing.assert_allclose(clipping.thresholds, expected, rtol=1e-6)
    assert min(expected) < 15.0
    assert len(history["clipped_share"]) == 2
    fit(small_model(), clipping)  # a new history
    np.testing.assert_array_equal(clipping.thresholds[:3], 15.0)


def test_percentile_clipping_without_warmup_starts_from_the_first_norm():
    clipping = PercentileClipping(100, max_norm=1e30, warmup=0)
    fit(small_model(), clipping)
    expected = [1e30, *np.maximum.accumulate(clipping.norms)[:-1]]
    np.testing.assert_allclose(clipping.thresholds, expected, rtol=1e-6)


def test_non_finite_norms_do_not_enter_the_percentile():
    x, y = data()
    x[BATCH] = np.inf  # the second batch
    clipping = PercentileClipping(100, max_norm=1e30, warmup=0, nonfinite="skip")
    fit(small_model(), clipping, xy=(x, y))
    assert not np.isfinite(clipping.norms[1]) and clipping.skipped == 1
    np.testing.assert_allclose(clipping.thresholds[1:3], clipping.norms[0], rtol=1e-6)


def test_a_threshold_of_zero_does_not_divide_by_zero():
    x, _ = data()
    model = small_model()
    model.get_layer("last").set_weights([np.zeros((5, 1)), np.zeros(1)])
    clipping = PercentileClipping(10, max_norm=1.0, warmup=0)
    fit(model, clipping, xy=(x, np.zeros((len(x), 1))))
    assert (clipping.norms == 0).all() and clipping.skipped == 0
    assert all(np.isfinite(w).all() for w in model.get_weights())


# --- gradients that are not finite ------------------------------------------------------------


def with_a_bad_batch(bad):
    """Data whose batch number 2 is bad, and the same without it."""
    x, y = data()
    damaged, rows = y.copy(), slice(2 * BATCH, 3 * BATCH)
    damaged[rows] = bad
    return (x, damaged), (np.delete(x, rows, axis=0), np.delete(y, rows, axis=0))


@pytest.mark.parametrize(
    ("bad", "jit_compile"),
    [
        (np.nan, False),
        pytest.param(1e30, False, marks=pytest.mark.slow),
        pytest.param(np.inf, True, marks=pytest.mark.slow),
    ],
)
def test_skip_leaves_the_whole_update_out(bad, jit_compile):
    damaged, without = with_a_bad_batch(bad)
    model, hook = small_model("adam", jit_compile=jit_compile), GradientHook(nonfinite="skip")
    fit(model, hook, xy=damaged)
    assert hook.skipped == 1
    plain = small_model("adam", jit_compile=jit_compile)
    fit(plain, xy=without)
    assert_equal(state(model), state(plain))
    assert int(model.optimizer.iterations) == STEPS - 1


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_raise_names_the_variable_and_the_step(jit_compile):
    (x, y), _ = with_a_bad_batch(np.nan)
    model, monitor = small_model("adam", jit_compile=jit_compile), GradientMonitor()
    seen = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda b, logs: before.append(state(model))
    )
    before = []
    match = r"hidden/kernel \(4 of 4 variables\) at step 2 of this fit \(epoch 0, batch 2"
    with pytest.raises(FloatingPointError, match=match):
        fit(model, seen, monitor, xy=(x, y))
    assert_equal(state(model), before[-1])
    assert len(before) == 3 and monitor.skipped == 1
    assert monitor.steps["gradient_norm"].shape == (3,)
    assert_plain(model)


def test_raise_names_the_one_variable_that_is_bad():
    class Spoil(GradientHook):
        def transform_gradients(self, gradients, norm):
            return [g * np.nan if i == 2 else g for i, g in enumerate(gradients)]

    model = small_model()
    before = state(model)
    with pytest.raises(FloatingPointError, match=r"last/kernel \(1 of 4 variables\) at step 0"):
        fit(model, Spoil(), GradientMonitor())
    assert_equal(state(model)[:4], before[:4])


def test_one_hook_gates_the_update_for_all():
    damaged, without = with_a_bad_batch(np.nan)
    hooks = [GradientMonitor(nonfinite="skip"), GradientClipping(1.0, nonfinite="skip")]
    model, plain = small_model("adam"), small_model("adam")
    fit(model, *hooks, xy=damaged)
    fit(plain, GradientClipping(1.0), xy=without)
    assert [hook.skipped for hook in hooks] == [1, 1]
    assert_equal(state(model), state(plain))


def test_means_of_an_epoch_leave_bad_steps_out():
    damaged, _ = with_a_bad_batch(np.nan)
    monitor = GradientMonitor(nonfinite="skip")
    history = fit(small_model(), monitor, xy=damaged)
    steps = monitor.steps["gradient_norm"]
    assert np.isnan(steps[2])
    assert history["gradient_norm"][0] == pytest.approx(np.nanmean(steps))
    x, y = data()
    history = fit(small_model(), monitor, xy=(x, y * np.nan))
    assert np.isnan(history["gradient_norm"][0]) and monitor.skipped == STEPS


# --- mixed precision --------------------------------------------------------------------------


def test_loss_scaling_shows_unscaled_gradients():
    plain, scaled = GradientMonitor(), GradientMonitor()
    fit(small_model(optimizers.SGD(0.01)), plain)
    fit(small_model(optimizers.LossScaleOptimizer(optimizers.SGD(0.01))), scaled)
    for one, other in zip(plain.steps.values(), scaled.steps.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert scaled.skipped == 0


def test_steps_that_the_loss_scaler_skips_are_counted_not_raised():
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.01), initial_scale=2.0**127)
    model, monitor, clipping = small_model(optimizer), GradientMonitor(), GradientClipping(1.0)
    fit(model, monitor, clipping, epochs=4)
    halved = 127 - np.log2(float(optimizer.dynamic_scale))
    assert 0 < halved < 4 * STEPS
    assert monitor.skipped == clipping.skipped == halved
    steps = monitor.steps["gradient_norm"]
    assert steps.shape == (4 * STEPS,) and np.isnan(steps).sum() == halved
    assert int(optimizer.iterations) == 4 * STEPS - halved
    assert_plain(model)


def test_mixed_float16_trains_clipped():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaler = optimizers.LossScaleOptimizer(optimizers.SGD(0.01), initial_scale=16.0)
        model = small_model(scaler)
    finally:
        keras.config.set_dtype_policy("float32")
    clipping, after = GradientClipping(0.5), GradientMonitor()
    fit(model, clipping, after)
    assert clipping.norms.min() > 0.6 and clipping.skipped == 0
    np.testing.assert_allclose(after.steps["gradient_norm"], 0.5, rtol=1e-3)


# --- nothing is left behind -------------------------------------------------------------------


class Stop(keras.callbacks.Callback):
    """Raises in one of the events of `fit`."""

    def __init__(self, event, error):
        super().__init__()

        def interrupt(*args, **kwargs):
            raise error

        setattr(self, event, interrupt)


def interrupted(model, event, error, *callbacks):
    x, y = data()
    if event == "step":

        def batches():
            yield x[:BATCH], y[:BATCH]
            raise error

        keras_data = batches()
        with pytest.raises(BaseException):  # noqa: B017
            model.fit(keras_data, steps_per_epoch=3, verbose=0, callbacks=list(callbacks))
    else:
        with pytest.raises(type(error)):
            fit(model, *callbacks, Stop(event, error))


@pytest.mark.parametrize("following", ["fit", "train_on_batch"])
@pytest.mark.parametrize(
    ("event", "error"),
    [
        ("on_train_begin", RuntimeError("stop")),
        pytest.param("on_train_batch_begin", KeyboardInterrupt(), marks=pytest.mark.slow),
        ("on_train_batch_end", KeyboardInterrupt()),
        pytest.param("on_epoch_end", RuntimeError("stop"), marks=pytest.mark.slow),
        pytest.param("on_train_end", RuntimeError("stop"), marks=pytest.mark.slow),
        ("step", RuntimeError("stop")),
    ],
)
def test_after_an_interrupt_the_next_training_is_plain(event, error, following):
    x, y = data()
    model, clipping = small_model("adam"), GradientClipping(1e-3)
    interrupted(model, event, error, clipping)
    assert "apply" not in vars(model.optimizer)
    # What a plain model does from the same state.
    twin = small_model("adam")
    twin.optimizer.build(twin.trainable_variables)
    model.optimizer.build(model.trainable_variables)
    for to, value in zip([*twin.variables, *twin.optimizer.variables], state(model), strict=True):
        to.assign(value)
    seen = len(clipping.norms)
    for each in (model, twin):
        fit(each) if following == "fit" else each.train_on_batch(x, y)
    assert_equal(state(model), state(twin))
    assert len(clipping.norms) == seen
    assert_plain(model)


def test_an_interrupt_inside_the_step_leaves_a_plain_optimizer():
    class Break(GradientHook):
        def transform_gradients(self, gradients, norm):
            raise KeyboardInterrupt

    model = small_model()
    with pytest.raises(KeyboardInterrupt):
        fit(model, Break())
    assert "apply" not in vars(model.optimizer)
    fit(model)
    assert_plain(model)


def test_hooks_work_again_after_an_interrupt_and_a_new_compile():
    model, monitor = small_model(), GradientMonitor()
    interrupted(model, "on_train_batch_end", KeyboardInterrupt(), monitor)
    fit(model, monitor)
    assert len(monitor.steps["gradient_norm"]) == STEPS
    interrupted(model, "on_train_batch_end", KeyboardInterrupt(), monitor)
    model.compile("adam", "mse")
    fit(model)
    assert_plain(model)
    assert int(model.optimizer.iterations) == STEPS


def test_a_plain_fit_afterwards_is_plain_and_needs_no_new_trace():
    model = small_model("adam")
    fit(model)
    attributes = set(vars(model)), set(vars(model.optimizer))
    function, count = model.train_function, model.get_layer("count")
    before = count.traces
    fit(model, GradientMonitor(), GradientClipping(1e-3))
    assert count.traces == before + 1
    assert (set(vars(model)), set(vars(model.optimizer))) == attributes
    assert model.train_function is function
    fit(model)
    assert count.traces == before + 1
    assert_plain(model)


@pytest.mark.slow
def test_a_checkpoint_saved_during_fit_loads(tmp_path):
    path = str(tmp_path / "model.keras")
    model = small_model("adam")
    model.pop()  # the counting layer cannot be loaded
    model.pop()
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    saves = keras.callbacks.ModelCheckpoint(path, save_freq=3)
    fit(model, GradientMonitor(), GradientClipping(1.0), saves)
    loaded = keras.models.load_model(path, custom_objects={"Count": Count})
    assert int(loaded.optimizer.iterations) == 3
    assert_plain(loaded)
    twin = keras.models.load_model(path, custom_objects={"Count": Count})
    fit(loaded)
    fit(twin, GradientMonitor())
    assert_equal(state(loaded), state(twin))


def test_training_the_model_from_another_callback_is_refused():
    x, y = data()
    nested = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: batch == 1 and model.train_on_batch(x, y)
    )
    model = small_model()
    with pytest.raises(RuntimeError, match="GradientMonitor saw no gradient of the last step"):
        fit(model, GradientMonitor(), nested)
    assert_plain(model)


def test_a_custom_train_step_is_seen():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    base = small_model()
    model = Own(base.inputs, base.outputs)
    model.compile("sgd", "mse")
    own, plain = GradientMonitor(), GradientMonitor()
    fit(model, own)
    fit(small_model(), plain)
    np.testing.assert_allclose(own.steps["gradient_norm"], plain.steps["gradient_norm"], rtol=1e-5)


# --- gradient flow ----------------------------------------------------------------------------


def probe():
    x, y = data()
    return x[:6], y[:6]


def test_gradient_flow_equals_state_gradients():
    model, (x, y) = small_model(recurrent=True), probe()
    rnn, hidden, last = model.layers[0], model.get_layer("hidden"), model.get_layer("last")

    def now():
        def loss(h):
            return tf.reduce_mean((last(hidden(h)) - y) ** 2)

        return np.linalg.norm(state_gradients(rnn, x, loss), axis=-1).mean(axis=0)

    before, flow = now(), GradientFlow(x, y)
    fit(model, flow, epochs=2)
    assert flow.norms.shape == (3, LENGTH)
    np.testing.assert_allclose(flow.norms[0], before, rtol=1e-5)
    np.testing.assert_allclose(flow.norms[-1], now(), rtol=1e-5)
    assert not np.allclose(flow.norms[0], flow.norms[1])


@pytest.mark.slow
def test_gradient_flow_changes_nothing():
    ends = []
    for callbacks in ([], [GradientFlow(*probe())]):
        model = small_model("adam", recurrent=True)
        history = fit(model, *callbacks, epochs=2)
        ends.append([*state(model), history["loss"]])
    assert_equal(*ends)


def tagger(skip=False):
    """Tokens to one number per step: padding, two recurrent layers, and a path around them."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((LENGTH,), dtype="int32")
    embedded = layers.Embedding(7, 4, mask_zero=True)(tokens)
    h = layers.SimpleRNN(4, return_sequences=True, name="first")(embedded)
    h = layers.LSTM(4, return_sequences=True, name="second")(h)
    if skip:
        h = layers.Add()([h, embedded])
    model = keras.Model(tokens, layers.Dense(1, name="out")(h))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("name", "skip"), [pytest.param("first", False, marks=pytest.mark.slow), ("second", True)]
)
def test_gradient_flow_with_masks_and_a_path_around_the_layer(name, skip):
    model = tagger(skip)
    x = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0]])
    y = np.arange(9.0).reshape(3, 3, 1)
    flow = GradientFlow(x, y, model.get_layer(name))
    model.fit(x, y, verbose=0, callbacks=[flow])
    embedded = model.layers[1](x)
    mask = x != 0

    def loss(h):
        if name == "first":
            h = model.get_layer("second")(h, mask=tf.constant(mask))
        if skip:
            h = h + embedded
        errors = tf.square(model.get_layer("out")(h) - y)[..., 0]
        return tf.reduce_sum(tf.where(mask, errors, 0.0)) / mask.sum()

    below = embedded if name == "first" else model.get_layer("first")(embedded, mask=mask)
    norms = state_gradients(model.get_layer(name), below, loss, mask=mask)
    np.testing.assert_allclose(
        flow.norms[1], np.linalg.norm(norms, axis=-1).mean(axis=0), rtol=1e-4
    )


def test_gradient_flow_refuses_what_it_cannot_cut():
    x = np.ones((2, LENGTH), "int32")
    y = np.ones((2, LENGTH, 1))
    model = tagger()
    with pytest.raises(ValueError, match=r"`layer` must be one .*\['first', 'second'\].*None"):
        model.fit(x, y, verbose=0, callbacks=[GradientFlow(x, y)])
    with pytest.raises(ValueError, match=r"`layer` must be one .*Received: layer=out"):
        model.fit(x, y, verbose=0, callbacks=[GradientFlow(x, y, model.get_layer("out"))])
    with pytest.raises(ValueError, match=r"recurrent layers: \[\]. Received: layer=None"):
        fit(small_model(), GradientFlow(*probe()))
    unbuilt = keras.Sequential([layers.SimpleRNN(2), layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"must be Sequential or functional, with a keras\.Input"):
        fit(unbuilt, GradientFlow(*probe()))


# --- what is refused --------------------------------------------------------------------------


def test_unbuilt_models_are_refused():
    model = keras.Sequential([layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="GradientMonitor needs a built model"):
        fit(model, GradientMonitor())


@pytest.mark.parametrize(
    ("optimizer", "options", "match"),
    [
        (
            optimizers.SGD,
            {"steps_per_execution": 2},
            "needs to see every step. Received: steps_per_execution=2",
        ),
        (
            lambda: optimizers.SGD(gradient_accumulation_steps=4),
            {},
            "an update at every step. Received: gradient_accumulation_steps=4",
        ),
        (
            lambda: optimizers.Adam(loss_scale_factor=8.0),
            {},
            "needs unscaled gradients.*Received: loss_scale_factor=8.0",
        ),
    ],
)
def test_what_hides_steps_is_refused(optimizer, options, match):
    model = small_model(optimizer(), **options)
    with pytest.raises(ValueError, match=match):
        fit(model, GradientClipping(1.0))
    assert_plain(model)


def test_nothing_to_train_is_refused():
    model = small_model()
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"needs trainable variables\. Received: none in"):
        fit(model, GradientMonitor())


@pytest.mark.parametrize("max_norm", [0, -1.0, np.inf, np.nan])
def test_max_norm_must_be_positive(max_norm):
    with pytest.raises(ValueError, match=r"`max_norm` must be a positive finite .* max_norm="):
        GradientClipping(max_norm)
    with pytest.raises(ValueError, match="`max_norm` must be a positive finite"):
        PercentileClipping(10, max_norm)


@pytest.mark.parametrize("percentile", [0, -5, 100.1, np.nan])
def test_percentile_must_be_a_percentile(percentile):
    with pytest.raises(ValueError, match=r"`percentile` must be in \(0, 100\]. Received: percent"):
        PercentileClipping(percentile, 1.0)


@pytest.mark.parametrize("warmup", [-1, 2.5, True])
def test_warmup_must_be_a_count(warmup):
    with pytest.raises(
        ValueError, match=r"`warmup` must be an integer of at least 0\. Received: wa"
    ):
        PercentileClipping(10, 1.0, warmup=warmup)


def test_nonfinite_must_be_known():
    with pytest.raises(ValueError, match=r'`nonfinite` must be "raise" or "skip". Received: .*ign'):
        GradientMonitor(nonfinite="ignore")
