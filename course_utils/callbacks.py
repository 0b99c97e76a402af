"""Callbacks that see every gradient between backpropagation and the update."""

import keras
import numpy as np
import tensorflow as tf

from course_utils.diagnostics import state_gradients
from course_utils.gradients import _norms, clip_by_global_norm

__all__ = [
    "GradientClipping",
    "GradientFlow",
    "GradientHook",
    "GradientMonitor",
    "PercentileClipping",
]

TINY = float(np.finfo("float32").tiny)  # a threshold of 0 would divide 0 by 0


def _inner(optimizer):
    """The optimizer inside a LossScaleOptimizer, where gradients are unscaled; else itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


class _Run:
    """What the hooks of one `fit` put into a model, and how it goes away again.

    `optimizer.apply` is replaced only while the train function runs: whatever ends `fit`, the
    optimizer is as it was. The train function itself stays until `remove`. The end of `fit` calls
    that, and so does `make_train_function`, which stands in for the model's own: Keras calls it at
    the start of every `fit` and `train_on_batch` and not in between, so the next one of them cleans
    up after a `fit` that was interrupted.
    """

    def __init__(self, model):
        self.model, self.hooks = model, []
        self.optimizer = _inner(model.optimizer)
        self.plain = model.train_function
        model.make_train_function(force=True)
        self.step, model.train_function = model.train_function, self.train
        vars(model)["make_train_function"] = self.make_train_function

    @classmethod
    def of(cls, model):
        """The run that an earlier callback of this `fit` has started, or a new one."""
        installed = vars(model).get("make_train_function")
        return cls(model) if installed is None else installed.__self__

    def remove(self):
        vars(self.model).pop("make_train_function", None)
        if self.model.train_function == self.train:
            self.model.train_function = self.plain

    def make_train_function(self, force=False):
        self.remove()
        return self.model.make_train_function(force)

    def train(self, iterator):
        try:
            vars(self.optimizer)["apply"] = self.apply
            return self.step(iterator)
        finally:
            vars(self.optimizer).pop("apply", None)

    def apply(self, gradients, trainable_variables=None):
        """Stand in for `optimizer.apply`: the hooks, then the update if all norms are finite."""
        norms = []
        for hook in self.hooks:
            norms.append(hook.see(gradients))
            gradients = hook.transform_gradients(gradients, norms[-1])
        # Zeroed gradients would still move Adam. And inside `tf.cond` an update can round otherwise
        # than outside, where TensorFlow merges it with what comes before. So: update, then take
        # all of it back if it should not have been.
        variables = [*self.model.trainable_variables, *self.optimizer.variables]
        before = [tf.identity(variable) for variable in variables]
        type(self.optimizer).apply(self.optimizer, gradients, trainable_variables)

        def take_back():
            for variable, old in zip(variables, before, strict=True):
                variable.assign(old)

        tf.cond(tf.reduce_all(tf.math.is_finite(norms)), lambda: None, take_back)


class GradientHook(keras.callbacks.Callback):
    """Sees, and may change, the gradients of every step of a `fit`.

    Keras 3 has no event between backpropagation and the update, but every gradient passes through
    `optimizer.apply`. A hook stands there for the duration of one `fit`; under mixed precision in
    the inner optimizer, where gradients are unscaled. Several hooks are applied in the order of
    the callback list. After `fit` nothing is left behind; after a `fit` that was interrupted, the
    next `fit` or `train_on_batch` removes what is left before its first step.

    A gradient that is not finite never passes in silence. If the global norm that any hook sees is
    not finite (in float32 a norm above about 1e19 is not), the whole update is left out: weights
    and optimizer state stay as they are, the iteration count included. What the forward pass has
    changed by then (metrics, the averages of batch normalization) is not undone.

    To write a hook, override `transform_gradients`, or `on_train_batch_end` to use what was seen.

    Args:
        nonfinite: "raise" ends `fit` after that batch; "skip" counts the step in `skipped` and
            goes on.

    Attributes:
        names: the paths of the trainable variables, in the order of the gradients.
        skipped: number of steps of the last `fit` whose update was left out, among them those that
            the loss scaler of mixed precision left out by design (these never raise).

    Raises:
        ValueError: at the start of `fit`, if the model is not built or has nothing to train, or
            does something that a hook cannot follow: `steps_per_execution` > 1, gradient
            accumulation, `loss_scale_factor`, several replicas.
        FloatingPointError: at the end of a batch, with the variable and the step (counted from 0
            in this `fit`), if `nonfinite="raise"`.
        RuntimeError: at the end of a batch that did not pass through the hooks: another callback
            called `train_on_batch` on the same model, or a `train_step` does not use the optimizer.

    Example:
        >>> import keras, numpy as np
        >>> class Uphill(GradientHook):
        ...     def transform_gradients(self, gradients, norm):
        ...         return [-g for g in gradients]
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((4, 1))
        >>> loss = model.fit(x, x + 9, epochs=2, verbose=0, callbacks=[Uphill()]).history["loss"]
        >>> loss[1] > loss[0]
        True

    First used in lesson 05.
    """

    key = None  # under which something goes into the history
    watched = ()  # scalar variables whose values at a step stand in its row, after the norms

    def __init__(self, nonfinite="raise"):
        super().__init__()
        if nonfinite not in ("raise", "skip"):
            raise ValueError(f'`nonfinite` must be "raise" or "skip". Received: {nonfinite=}')
        self.nonfinite = nonfinite
        self.names, self.skipped, self._rows = [], 0, []

    def transform_gradients(self, gradients, norm):
        """Return the gradients to hand on, as part of the train step.

        It is traced: TensorFlow operations, and `keras.Variable` for what is to change later.

        Args:
            gradients: a list with one tensor, `tf.IndexedSlices` or None per variable.
            norm: their global norm.
        """
        return gradients

    def see(self, gradients):
        """Write the row of this step, with the number of rows so far and the global norm first."""
        each, norm = _norms(gradients)
        first, *watched = [[tf.cast(v, tf.float32)] for v in (norm, *self.watched)]
        self._row.assign(tf.concat([self._row[:1] + 1, first, each, *watched], axis=0))
        return norm

    def on_train_begin(self, logs=None):
        """Install the hook."""
        model = self.model
        _check_model(model, type(self).__name__)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self.names, self.skipped, self._rows = [v.path for v in model.trainable_variables], 0, []
        self._seen = 0  # rows read
        self._row = tf.Variable(tf.zeros(2 + len(self.names) + len(self.watched)), trainable=False)
        self._run = _Run.of(model)
        before = sum(hook.key == self.key for hook in self._run.hooks)
        self._key = f"{self.key}_{before}" if before else self.key
        self._run.hooks.append(self)

    def on_epoch_begin(self, epoch, logs=None):
        """Note where the epoch begins."""
        self._epoch, self._first = epoch, len(self._rows)

    def on_train_batch_end(self, batch, logs=None):
        """Read the row of this step, and count or raise if its update was left out."""
        seen, *row = self._row.numpy()
        row, passed, self._seen = np.array(row), seen != self._seen, seen
        if not passed and self._run.optimizer is self.model.optimizer:  # no loss scaler
            raise RuntimeError(f"{type(self).__name__} saw no gradient of the last step.")
        self._rows.append(row if passed else np.full_like(row, np.nan))
        self.skipped += not np.isfinite(self._rows[-1][0])
        if passed and not np.isfinite(row[0]) and self.nonfinite == "raise":
            self._run.remove()
            bad = [n for n, r in zip(self.names, row[1:], strict=False) if not np.isfinite(r)]
            raise FloatingPointError(
                f"Non-finite gradient of {bad[0] if bad else 'all together'} ({len(bad)} of "
                f"{len(self.names)} variables) at step {len(self._rows) - 1} of this fit (epoch "
                f"{self._epoch}, batch {batch}, all counted from 0): the update was left out."
            )

    def on_train_end(self, logs=None):
        """Remove all hooks."""
        self._run.remove()

    def _table(self, first=0):
        """The rows from step `first` on, as an array (steps, columns)."""
        width = 1 + len(self.names) + len(self.watched)
        return np.array(self._rows[first:], "float32").reshape(-1, width)


class GradientMonitor(GradientHook):
    """Records the norm of every variable's gradient, and of all together, at every step.

    It changes nothing: training with it is bit-identical to training without. It needs no second
    backward pass: the norms are taken from the gradients that the step computes anyway, and one
    small variable is read after each batch.

    Into the history go the means over the finite steps of each epoch: `gradient_norm` for the
    global norm and `gradient_norm/<variable path>` for each variable. A second monitor in the same
    `fit` writes `gradient_norm_1` and `gradient_norm_1/<variable path>`. Put one before and one
    behind `GradientClipping` to see both sides.

    Args:
        log_dir: None, or a directory for TensorBoard: one scalar per step under each key.
        nonfinite: as in `GradientHook`.

    Attributes:
        names, skipped: as in `GradientHook`.
        steps: dict from `gradient_norm` and `gradient_norm/<variable path>` (without `_1`) to
            float32 arrays (steps,), one entry per batch of the last `fit`; NaN where the loss
            scaler of mixed precision skipped.

    Raises:
        ValueError, FloatingPointError, RuntimeError: as `GradientHook`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((5, 1), name="x"),
        ...                           keras.layers.SimpleRNN(4, name="rnn")])
        >>> model.compile("sgd", "mse")
        >>> monitor = GradientMonitor()
        >>> data = np.ones((8, 5, 1)), np.ones((8, 4))
        >>> history = model.fit(*data, batch_size=4, verbose=0, callbacks=[monitor]).history
        >>> list(history)[1:3]
        ['gradient_norm', 'gradient_norm/.../rnn/simple_rnn_cell.../kernel']
        >>> monitor.steps["gradient_norm"].shape
        (2,)

    First used in lesson 05.
    """

    key = "gradient_norm"

    def __init__(self, log_dir=None, nonfinite="raise"):
        super().__init__(nonfinite)
        self.log_dir = log_dir

    @property
    def steps(self):
        """The norms of every step, by name."""
        return dict(zip(self._keys(self.key), self._table().T, strict=True))

    def _keys(self, key):
        return [key] + [f"{key}/{name}" for name in self.names]

    def on_train_begin(self, logs=None):
        """Install the hook and open the log."""
        super().on_train_begin(logs)
        log = self.log_dir is not None
        self._writer = tf.summary.create_file_writer(str(self.log_dir)) if log else None

    def on_train_batch_end(self, batch, logs=None):
        """Record the step."""
        super().on_train_batch_end(batch, logs)
        if self._writer is not None:
            # tf.summary.scalar needs the tensorboard package; the file format does not.
            pairs = zip(self._keys(self._key), self._rows[-1], strict=True)
            values = [tf.compat.v1.Summary.Value(tag=k, simple_value=v) for k, v in pairs]
            event = tf.compat.v1.Summary(value=values).SerializeToString()
            with self._writer.as_default():
                tf.summary.experimental.write_raw_pb(event, step=len(self._rows) - 1)

    def on_epoch_end(self, epoch, logs=None):
        """Put the means of the epoch into the history."""
        rows = self._table(self._first)
        rows = rows[np.isfinite(rows).all(axis=1)]
        means = rows.mean(axis=0) if len(rows) else np.full(1 + len(self.names), np.nan)
        logs.update(zip(self._keys(self._key), means.tolist(), strict=True))
        if self._writer is not None:
            self._writer.flush()


class GradientClipping(GradientHook):
    """Scales all gradients by one factor where their global norm exceeds a threshold.

        g_i <- g_i * c * min(1/n, 1/c),    n = sqrt(sum_i ||g_i||^2), c = threshold

    On dense gradients `Adam` with this equals `Adam(global_clipnorm=c)` to the last bit (with
    momentum, TensorFlow may merge the factor with the learning rate, and the last bit can differ).
    With an `Embedding` it is right where Keras is not: Keras norms the gradient of an embedding
    without adding up the rows of a token that occurs more than once. The optimizer's own
    `clipnorm`, `clipvalue` or `global_clipnorm`, if set, still acts, after this.

    The history gets `clipped_share`, the share of each epoch's steps with n > c; from a second
    clipping in the same `fit` `clipped_share_1`.

    Args:
        max_norm: the threshold c, a positive finite number (1e30 clips nothing).
        nonfinite: as in `GradientHook`.

    Attributes:
        threshold: a `keras.Variable`; assign to it at any time, without a new trace. A new `fit`
            goes on with what it holds.
        norms, thresholds: float32 arrays (steps,) of the last `fit`: n before clipping, and c.
        clipped: bool array (steps,), n > c.
        names, skipped: as in `GradientHook`.

    Raises:
        ValueError: if `max_norm` is not a positive finite number, and as `GradientHook`.
        FloatingPointError, RuntimeError: as `GradientHook`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile(keras.optimizers.SGD(1.0), "mse")
        >>> start = model.get_weights()[0]
        >>> clipping = GradientClipping(0.5)
        >>> history = model.fit(np.ones((4, 1)), np.full((4, 1), 9.0), verbose=0,
        ...                     callbacks=[clipping]).history
        >>> (model.get_weights()[0] - start).round(4).tolist(), history["clipped_share"]
        ([[0.5]], [1.0])

    Reference: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
    networks, arXiv:1211.5063. First used in lesson 05.
    """

    key = "clipped_share"

    def __init__(self, max_norm, nonfinite="raise"):
        super().__init__(nonfinite)
        if not 0 < max_norm < np.inf:
            raise ValueError(f"`max_norm` must be a positive finite number. Received: {max_norm=}")
        self.max_norm = float(max_norm)
        # float64, because Keras takes 1/c in Python's arithmetic.
        self.threshold = keras.Variable(self.max_norm, trainable=False, dtype="float64")
        self.watched = (self.threshold,)

    @property
    def norms(self):
        """The global norm of every step, before clipping."""
        return self._table()[:, 0]

    @property
    def thresholds(self):
        """The threshold of every step."""
        return self._table()[:, -1]

    @property
    def clipped(self):
        """Whether each step was clipped."""
        return self.norms > self.thresholds

    def transform_gradients(self, gradients, norm):
        """Scale the gradients."""
        return clip_by_global_norm(gradients, self.threshold, norm)

    def on_epoch_end(self, epoch, logs=None):
        """Put the share of clipped steps into the history."""
        logs[self._key] = float(np.mean(self.clipped[self._first :]))


class PercentileClipping(GradientClipping):
    """Clips at a percentile of the norms seen so far, under an absolute cap (AutoClip).

        c_t = min(percentile_p(n_0, ..., n_{t-1}), max_norm)

    with n_s the global norm of step s *before* clipping. In the first `warmup` steps c_t is
    `max_norm`. Norms that are not finite do not count. AutoClip has neither cap nor warm-up, and
    counts the current norm n_t too: its first step is never clipped, and a few exploding first
    steps stay in its history.

    Args:
        percentile: p in (0, 100]; 10 in the paper.
        max_norm: the absolute cap, a positive finite number.
        warmup: number of finite norms to collect before the percentile is used.
        nonfinite: as in `GradientHook`.

    Attributes:
        threshold, norms, thresholds, clipped, names, skipped: as in `GradientClipping`, with the
            same key in the history; here `threshold` is set after every step, and every `fit`
            starts a new history.

    Raises:
        ValueError: if `percentile` is outside (0, 100] or `warmup` is not an integer of at least 0,
            and as `GradientClipping`.
        FloatingPointError, RuntimeError: as `GradientHook`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> clipping = PercentileClipping(50, max_norm=100.0, warmup=2)
        >>> losses = model.fit(np.ones((4, 1)), np.ones((4, 1)), batch_size=1, verbose=0,
        ...                    callbacks=[clipping])
        >>> norms, thresholds = clipping.norms, clipping.thresholds
        >>> bool(np.allclose(thresholds, [100, 100, np.median(norms[:2]), np.median(norms[:3])]))
        True

    Reference: Seetharaman, Wichern, Pardo & Le Roux 2020, AutoClip: Adaptive gradient clipping for
    source separation networks, arXiv:2007.14469. First used in lesson 05.
    """

    def __init__(self, percentile, max_norm, warmup=20, nonfinite="raise"):
        super().__init__(max_norm, nonfinite)
        if not 0 < percentile <= 100:
            raise ValueError(f"`percentile` must be in (0, 100]. Received: {percentile=}")
        if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 0:
            raise ValueError(f"`warmup` must be an integer of at least 0. Received: {warmup=}")
        self.percentile, self.warmup = percentile, warmup

    def on_train_begin(self, logs=None):
        """Install the hook with an empty history."""
        super().on_train_begin(logs)
        self._history = []
        self.threshold.assign(self.max_norm)

    def on_train_batch_end(self, batch, logs=None):
        """Record the step and set the next step's threshold."""
        super().on_train_batch_end(batch, logs)
        norm = self._rows[-1][0]
        if np.isfinite(norm):
            self._history.append(norm)
        if len(self._history) >= max(self.warmup, 1):
            percentile = max(np.percentile(self._history, self.percentile), TINY)
            self.threshold.assign(min(percentile, self.max_norm))


class GradientFlow(keras.callbacks.Callback):
    """Measures once an epoch how much gradient reaches every time step.

        G[e, t] = mean over the batch of ||dL/dh_t|| after e epochs

    of a probe batch: h_t is the state of a recurrent layer (h of an LSTM), dL/dh_t the total
    derivative as in `course_utils.diagnostics.state_gradients`, and L the model's compiled loss on
    the probe, a mean over its examples if the loss is one (so that a probe twice as large has half
    the gradient per example). Dropout is off. It changes nothing in the training.

    Args:
        sequences: inputs of the whole model, as for `fit`.
        targets: their targets.
        layer: a recurrent layer of the model; None for the only one.

    Attributes:
        norms: float array (epochs + 1, time), row 0 before training, of the last `fit`; the lag is
            time - 1 - t. Compiled functions for the last 16 layers and probes are kept in memory.

    Raises:
        ValueError: at the start of `fit`, if the model is no built Sequential or functional model,
            or if `layer` is not one of its recurrent layers, or is None where it has none or
            several.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((6, 1)), keras.layers.SimpleRNN(4),
        ...                           keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((8, 6, 1)), np.ones((8, 1))
        >>> flow = GradientFlow(x, y)
        >>> losses = model.fit(x, y, epochs=2, verbose=0, callbacks=[flow])
        >>> flow.norms.shape
        (3, 6)

    First used in lesson 05.
    """

    def __init__(self, sequences, targets, layer=None):
        super().__init__()
        self.sequences, self.targets, self.layer = sequences, targets, layer
        self.norms = None

    def on_train_begin(self, logs=None):
        """Cut the model at the layer and measure before the first step."""
        model, self._layer = self.model, _recurrent_layer(self.model, self.layer)
        inputs = [keras.ops.convert_to_tensor(x) for x in keras.tree.flatten(self.sequences)]
        below = keras.Model(model.inputs, self._layer.input)
        # The model's inputs too: connections may lead around the layer.
        outputs = keras.tree.flatten(self._layer.output)
        whole = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
        above = keras.Model([*model.inputs, *outputs], whole)

        def loss(output):
            masks = keras.tree.flatten(self._layer.compute_mask(None, self._reached()[1]))
            whole = [*inputs, *keras.tree.flatten(output)]
            predictions = above(whole, mask=[None] * len(inputs) + masks, training=False)
            return model.compute_loss(self.sequences, self.targets, predictions, training=False)

        self._below, self._loss, self._inputs = below, loss, inputs
        self.norms = np.stack([self._measure()])

    def on_epoch_end(self, epoch, logs=None):
        """Measure."""
        self.norms = np.concatenate([self.norms, self._measure()[None]])

    def _reached(self):
        """What reaches the layer: sequences, a mask or None, initial states or None."""
        reached, *rest = keras.tree.flatten(self._below(self._inputs, training=False))
        masks = [tensor for tensor in rest if tensor.dtype == "bool"]
        states = [tensor for tensor in rest if tensor.dtype != "bool"]
        return reached, masks[0] if masks else None, states or None

    def _measure(self):
        reached, mask, states = self._reached()
        gradients = state_gradients(
            self._layer, reached, self._loss, mask=mask, initial_state=states
        )
        return np.linalg.norm(gradients.astype("float64"), axis=-1).mean(axis=0)


def _check_model(model, name):
    inner, steps = _inner(model.optimizer), model.steps_per_execution
    scale = model.optimizer.loss_scale_factor or inner.loss_scale_factor
    accumulated = inner.gradient_accumulation_steps
    replicas = model.distribute_strategy.num_replicas_in_sync
    rules = [
        (model.built, "a built model: start it with a keras.Input", f"unbuilt {model.name!r}"),
        (model.trainable_variables, "trainable variables", f"none in {model.name!r}"),
        (steps == 1, "to see every step", f"steps_per_execution={steps}"),
        (not accumulated, "an update at every step", f"gradient_accumulation_steps={accumulated}"),
        (scale is None, "unscaled gradients", f"loss_scale_factor={scale}"),
        (replicas == 1, "one replica", f"{replicas} replicas"),
    ]
    for holds, rule, received in rules:
        if not holds:
            raise ValueError(f"{name} needs {rule}. Received: {received}")


def _recurrent_layer(model, layer):
    if not model.built or getattr(model, "inputs", None) is None:
        raise ValueError(f"{model.name!r} must be Sequential or functional, with a keras.Input.")
    found = [each for each in model.layers if hasattr(each, "cell")]
    if layer is None and len(found) == 1:
        return found[0]
    if not any(layer is each for each in found):
        raise ValueError(
            f"`layer` must be one of the model's recurrent layers: {[each.name for each in found]}"
            f". Received: layer={getattr(layer, 'name', layer)}"
        )
    return layer
