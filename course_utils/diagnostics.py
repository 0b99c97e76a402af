"""Gradients through time: what reaches every state and every input, and how each step bends it."""

import copy
import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

__all__ = [
    "compare_initializers",
    "input_gradients",
    "lyapunov_exponents",
    "state_gradients",
    "step_jacobians",
]


class _Probe(keras.layers.Layer):
    """A cell that adds a perturbation to one of the states that it hands on.

    The columns of its input are the wrapped cell's input, then, if `masked`, the mask, then the
    perturbation. It applies the mask itself: Keras' own masking would throw the perturbation of a
    masked step away, although the state handed on there still matters. For that it carries the
    previous output as one more state.
    """

    def __init__(self, layer, state, masked):
        super().__init__(dtype=layer.cell.dtype_policy)
        self.cell = layer.cell
        self.state = state
        self.masked = masked
        self.zero_output = getattr(layer, "zero_output_for_mask", False)
        self.sizes = _sizes(self.cell)
        self.output_size = getattr(self.cell, "output_size", self.sizes[0])
        self.state_size = self.sizes + ([self.output_size] if masked else [])

    def call(self, inputs, states, training=False):
        widths = [-1, *[1] * self.masked, self.sizes[self.state]]  # -1: the rest
        features, *mask, perturbation = tf.split(inputs, widths, axis=1)
        old = list(states[: len(self.sizes)])
        # Nobody asks for the features' derivative: spare the pass back through the kernel.
        output, new = _step(self.cell, tf.stop_gradient(features), old, training)
        output_is_state = output is new[self.state]
        if self.masked:
            keep = mask[0] > 0.5  # (batch, 1)
            new = [ops.where(keep, n, o) for n, o in zip(new, old, strict=True)]
        new[self.state] = new[self.state] + perturbation
        if output_is_state:
            output = new[self.state]
        if not self.masked:
            return output, new
        previous = ops.zeros_like(output) if self.zero_output else states[-1]
        output = ops.where(keep, output, previous)
        return output, [*new, output]


def _sizes(cell):
    return keras.tree.flatten(cell.state_size)


def _step(cell, inputs, states, training):
    """One step of a cell, its new states always as a list."""
    output, new = cell(inputs, states, training=training)  # Keras drops what `call` does not take
    new = list(new) if isinstance(new, list | tuple) else [new]
    if len(new) != len(states):
        raise ValueError(
            f"`layer`'s cell must return {len(states)} states, one per entry of its `state_size`. "
            f"Received: {len(new)}. `course_utils.cells.check_cell` says more."
        )
    return output, new


def _check_layer(layer):
    cell = getattr(layer, "cell", None)
    if cell is None:
        raise TypeError(
            "`layer` must be a keras.layers.RNN, SimpleRNN, LSTM or GRU (of a Bidirectional, its "
            f"`forward_layer`). Received: {type(layer).__name__}"
        )
    if isinstance(cell, keras.layers.StackedRNNCells):
        raise TypeError(
            "`layer` must hold one cell: inside StackedRNNCells a state also feeds the cell above "
            "within the same step. Use one keras.layers.RNN per cell."
        )


def _check_sequences(layer, sequences, mask=None):
    """The sequences as a tensor of the layer's type, and the mask as a tensor or None."""
    if not layer.built:
        raise ValueError(
            "`layer` must be built, so that its weights exist: call it once, or "
            f"`layer.build(sequences.shape)`. Received: unbuilt {type(layer).__name__}"
        )
    shape = np.shape(sequences)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(
            "`sequences` must have shape (batch, time, features), none of them 0. "
            f"Received: shape={shape}"
        )
    kernel = getattr(getattr(layer, "cell", None), "kernel", None)
    if kernel is not None and kernel.shape[0] != shape[-1]:
        raise ValueError(
            f"`sequences` must have {kernel.shape[0]} features, as many as `layer` was built for. "
            f"Received: shape={shape}"
        )
    if mask is not None and np.shape(mask) != shape[:2]:
        raise ValueError(
            f"`mask` must have shape (batch, time) = {shape[:2]}. Received: shape={np.shape(mask)}"
        )
    sequences = ops.convert_to_tensor(sequences, dtype=layer.compute_dtype)
    return sequences, None if mask is None else tf.cast(mask, tf.bool)


def _derivative(loss_fn, run, inputs):
    """dL/dx at x = `inputs`, L the sum of `loss_fn(run(x))` over the batch."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        loss = ops.convert_to_tensor(loss_fn(run(inputs)))
        if len(loss.shape) > 1:
            raise ValueError(
                "`loss_fn` must return one number, or one per example: shape () or (batch,). "
                f"Received: shape={tuple(loss.shape)}"
            )
        loss = ops.sum(loss)
    gradient = tape.gradient(loss, inputs)
    if gradient is None:
        raise ValueError("`loss_fn` must depend on the output of `layer`. Received: no gradient")
    return gradient


def _run(function, *arguments):
    """Call a `tf.function` without TensorFlow's advice against compiling one for every layer."""
    return function.get_concrete_function(*arguments)(*arguments).numpy()


@functools.lru_cache(maxsize=16)
def _state_gradient_function(layer, loss_fn, state, masked, training, jit_compile):
    """Compile `(sequences, mask, initial_state) -> gradients` for `state_gradients`."""
    names = ("return_sequences", "return_state", "go_backwards", "unroll")
    options = {name: getattr(layer, name) for name in names}
    probe = keras.layers.RNN(_Probe(layer, state, masked), dtype=layer.dtype_policy, **options)
    cell = layer.cell
    size, count = probe.cell.sizes[state], len(probe.cell.sizes)

    @tf.function(autograph=False, jit_compile=jit_compile)
    def gradients(sequences, mask, initial_state):
        if hasattr(cell, "get_dropout_mask"):  # Keras resets the masks of its own cells only
            cell.get_dropout_mask(sequences[:, 0])
            cell.get_recurrent_dropout_mask(initial_state[0])
        # Time comes first here, so that Keras' transpose and ours cancel.
        batch, length, _ = sequences.shape
        columns = [tf.transpose(sequences, (1, 0, 2))]
        if masked:
            columns.append(tf.cast(tf.transpose(mask), sequences.dtype)[..., None])
            nothing = tf.zeros((batch, probe.cell.output_size), sequences.dtype)
            initial_state = [*initial_state, nothing]

        def perturbed(perturbation):
            inputs = tf.transpose(tf.concat([*columns, perturbation], axis=-1), (1, 0, 2))
            output = probe(inputs, initial_state=initial_state, training=training)
            return output[: 1 + count] if layer.return_state else output

        perturbation = tf.zeros((length, batch, size), sequences.dtype)
        total = _derivative(loss_fn, perturbed, perturbation)
        if hasattr(cell, "reset_dropout_mask"):
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        return total

    return gradients


def state_gradients(
    layer,
    sequences,
    loss_fn,
    *,
    state=0,
    mask=None,
    initial_state=None,
    training=False,
    jit_compile=False,
):
    """Total derivative of a loss with respect to every state, in one backward pass.

        G_t = dL / ds_t,    s_t the state as step t hands it on to step t + 1

    The total derivative counts every path from s_t to L through later steps. It is found by adding
    a perturbation p_t = 0 to s_t inside the loop: dL/dp_t is dL/ds_t. The stacked outputs of
    `return_sequences=True` will not do: they are copies beside the recurrent path, and a derivative
    with respect to them leaves out everything that passes through later steps.

    If the cell's output *is* the state (the same tensor: h of SimpleRNN, LSTM and GRU), the loss's
    direct use of the output at step t counts too. For the cell state c of an LSTM (`state=1`) it
    does not: c_t as it is carried to step t + 1, not as h_t of the same step reads it, so that
    dL/dc at the last step is 0.

    Args:
        layer: a built `keras.layers.RNN`, `SimpleRNN`, `LSTM` or `GRU`, with any one cell.
        sequences: inputs, shape (batch, time, features).
        loss_fn: function of the layer's output (as `layer` returns it) to a loss of shape () or
            (batch,), which is summed. It is traced once per layer and kept, as by `tf.function`:
            pass a new function when a Python value that it reads has changed.
        state: which of the cell's states; 1 is c of an LSTM.
        mask: None, or bool of shape (batch, time), False where a step is to be skipped.
        initial_state: None (zeros, or what a stateful layer holds), or a list of one array
            (batch, size) per state.
        training: passed to the cell.
        jit_compile: whether XLA compiles it; pays from the second call on, for up to some 250
            steps.

    Returns:
        An array of shape (batch, time, units), in the order of the inputs. For a loss summed over
        the batch, row b holds the derivative of example b's loss.

    Raises:
        TypeError: if `layer` is no recurrent layer with one cell.
        ValueError: if `layer` is not built, a shape does not fit, `state` does not exist, or the
            loss does not depend on the output.

    Example:
        A linear network that keeps its state: the gradient at every step is that at the last.

        >>> import keras, numpy as np
        >>> from course_utils.initializers import ScaledIdentity
        >>> layer = keras.layers.SimpleRNN(2, activation=None,
        ...                                recurrent_initializer=ScaledIdentity(0.5))
        >>> layer.build((1, 3, 4))
        >>> state_gradients(layer, np.ones((1, 3, 4)), lambda h: h[:, 0])[0].tolist()
        [[0.25, 0.0], [0.5, 0.0], [1.0, 0.0]]

    First used in lesson 03.
    """
    _check_layer(layer)
    sequences, mask = _check_sequences(layer, sequences, mask)
    sizes = _sizes(layer.cell)
    if isinstance(state, bool) or state not in range(len(sizes)):
        raise ValueError(
            f"`state` must be one of 0 to {len(sizes) - 1} for this cell. Received: state={state!r}"
        )
    if initial_state is None:
        held = layer.states if layer.stateful else None
        initial_state = held or layer.get_initial_state(batch_size=sequences.shape[0])
    elif not isinstance(initial_state, list | tuple):
        initial_state = [initial_state]
    shapes = [tuple(np.shape(s)) for s in initial_state]
    if shapes != [(sequences.shape[0], size) for size in sizes]:
        raise ValueError(
            f"`initial_state` must be a list of {len(sizes)} arrays (batch, size) with batch = "
            f"{sequences.shape[0]} and size {sizes}. Received: shapes={shapes}"
        )
    initial_state = [ops.convert_to_tensor(s, dtype=sequences.dtype) for s in initial_state]
    function = _state_gradient_function(
        layer, loss_fn, state, mask is not None, bool(training), bool(jit_compile)
    )
    return _run(function, sequences, mask, initial_state).swapaxes(0, 1)


def input_gradients(layer, sequences, loss_fn, *, mask=None):
    """Derivative of a loss with respect to every input, dL/dx_t.

    Args:
        layer: a built layer (or model) that is called on sequences.
        sequences: inputs, shape (batch, time, features).
        loss_fn: function of the layer's output to a loss of shape () or (batch,), which is summed.
        mask: None, or bool of shape (batch, time).

    Returns:
        An array of shape (batch, time, features).

    Raises:
        ValueError: if `layer` is not built, a shape does not fit, or the loss does not depend on
            the output.

    Example:
        >>> import keras, numpy as np
        >>> layer = keras.layers.SimpleRNN(4)
        >>> layer.build((2, 5, 3))
        >>> input_gradients(layer, np.ones((2, 5, 3)), lambda h: h[:, 0]).shape
        (2, 5, 3)

    First used in lesson 03.
    """
    sequences, mask = _check_sequences(layer, sequences, mask)
    run = layer if mask is None else functools.partial(layer, mask=mask)
    gradients = tf.function(functools.partial(_derivative, loss_fn, run), autograph=False)
    return _run(gradients, sequences)


def step_jacobians(layer, sequences):
    """Jacobian of every step of a recurrent layer, at the states that it passes through.

        J_t[i, j] = d s_t[i] / d s_{t-1}[j]

    The layer runs once to find the states; then all steps of all examples are taken as one batch of
    single steps with one batched Jacobian.

    Args:
        layer: a built recurrent layer with one cell, not `go_backwards`; it starts from its initial
            state.
        sequences: inputs, shape (batch, time, features).

    Returns:
        An array of shape (batch, time, S, S), S the sum of the state sizes (N, or 2 N for an LSTM,
        h before c).

    Raises:
        TypeError: if `layer` is no recurrent layer with one cell.
        ValueError: if `layer` is not built or goes backwards, or a shape does not fit.

    Example:
        >>> import keras, numpy as np
        >>> layer = keras.layers.SimpleRNN(3, activation=None)
        >>> layer.build((1, 5, 2))
        >>> J = step_jacobians(layer, np.ones((1, 5, 2)))
        >>> bool(np.allclose(J, np.asarray(layer.cell.recurrent_kernel).T))
        True

    First used in lesson 03.
    """
    _check_layer(layer)
    if layer.go_backwards:
        raise ValueError("`layer` must not go backwards; reverse `sequences` in time instead.")
    sequences, _ = _check_sequences(layer, sequences)
    batch, length, _ = sequences.shape
    cell, sizes = layer.cell, _sizes(layer.cell)

    def step(states, inputs):
        """All states side by side, (batch, S), after one step."""
        _, new = _step(cell, inputs, tf.split(states, sizes, axis=-1), False)
        return tf.concat(new, axis=-1)

    @tf.function(autograph=False)
    def jacobians(sequences):
        first = [ops.cast(s, sequences.dtype) for s in layer.get_initial_state(batch_size=batch)]
        first = tf.concat(first, axis=-1)
        states = tf.scan(step, tf.transpose(sequences, (1, 0, 2)), first)  # (time, batch, S)
        before = tf.transpose(tf.concat([first[None], states[:-1]], axis=0), (1, 0, 2))
        before = tf.reshape(before, (batch * length, -1))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(before)
            after = step(before, tf.reshape(sequences, (batch * length, -1)))
        return tf.reshape(tape.batch_jacobian(after, before), (batch, length, sum(sizes), -1))

    return _run(jacobians, sequences)


def lyapunov_exponents(layer, sequences, *, count=None):
    """Exponential rates at which a recurrent layer stretches small differences of its state.

        lambda_i = 1/T * sum_t log |R_t[i, i]|,    Q_t R_t = J_t Q_{t-1}

    A QR decomposition after every step keeps the directions apart and the numbers in range, where
    the plain product J_T ... J_1 loses all but the largest to rounding. lambda_1 > 0 means that
    differences, and gradients, grow with time; all below 0 that they vanish. These are averages
    over the given T steps and all examples, from the initial state on.

    Args:
        layer: a built recurrent layer with one cell.
        sequences: inputs, shape (batch, time, features).
        count: how many exponents, from the largest; None for all.

    Returns:
        An array of shape (count,), in descending order, in nats per step; -inf for a direction that
        a step removes.

    Raises:
        TypeError: if `layer` is no recurrent layer with one cell.
        ValueError: if `layer` is not built, a shape does not fit, or `count` is not between 1 and
            the number of state components.

    Example:
        A linear network with W = 0.5 I halves every difference at every step.

        >>> import keras, numpy as np
        >>> from course_utils.initializers import ScaledIdentity
        >>> layer = keras.layers.SimpleRNN(2, activation=None,
        ...                                recurrent_initializer=ScaledIdentity(0.5))
        >>> layer.build((1, 10, 3))
        >>> np.exp(lyapunov_exponents(layer, np.ones((1, 10, 3)))).round(6).tolist()
        [0.5, 0.5]

    Reference: Engelken, Wolf & Abbott 2020, Lyapunov spectra of chaotic recurrent neural networks,
    arXiv:2006.02427. First used in lesson 03.
    """
    _check_layer(layer)
    states = sum(_sizes(layer.cell))
    count = states if count is None else count
    if isinstance(count, bool) or count not in range(1, states + 1):
        raise ValueError(f"`count` must be an integer from 1 to {states}. Received: {count=}")
    jacobians = step_jacobians(layer, sequences).astype("float64")
    batch, length = jacobians.shape[:2]
    directions = np.broadcast_to(np.eye(states)[:, :count], (batch, states, count))
    logs = np.zeros((batch, count))
    for t in range(length):
        directions, stretch = np.linalg.qr(jacobians[:, t] @ directions)
        with np.errstate(divide="ignore"):
            logs += np.log(np.abs(np.diagonal(stretch, axis1=-2, axis2=-1)))
    return np.sort(logs.mean(axis=0) / length)[::-1]


def _recurrent_matrix(name, initializer, units, seed):
    """The matrix that an entry of `compare_initializers` gives for a seed."""
    keras.utils.set_random_seed(seed)  # for functions that draw from the global generators
    initializer = keras.initializers.get(initializer)
    if hasattr(initializer, "get_config") and initializer.get_config().get("seed", 0) is None:
        initializer = copy.copy(initializer)
        initializer.seed = seed
    matrix = np.asarray(initializer((units, units), dtype="float64"), dtype="float64")
    if matrix.shape != (units, units) or not np.isfinite(matrix).all():
        raise ValueError(
            f"`initializers[{name!r}]` must give finite numbers of shape ({units}, {units}). "
            f"Received: shape={matrix.shape}, {np.sum(~np.isfinite(matrix))} of them not finite"
        )
    return matrix


def _shared_draws(units, length, seed):
    """The inputs (time, 16, 1), input kernel and readout of `compare_initializers`."""
    rng = np.random.default_rng((seed, 1))  # not the numbers that an initializer draws from `seed`
    readout = rng.normal(size=units)
    kernel = rng.uniform(-1, 1, size=(1, units)) * np.sqrt(6 / (1 + units))
    return rng.normal(size=(length, 16, 1)), kernel, readout / np.linalg.norm(readout)


def _product_singular_values(jacobians):
    """The singular values of J_k ... J_1 for k = 1, 2, …: (length, N) from (length, N, N)."""
    Q = R = np.eye(jacobians.shape[-1])
    log_scale, values = 0.0, []
    for J in jacobians:  # J_k ... J_1 = exp(log_scale) Q R
        Q, T = np.linalg.qr(J @ Q)
        R = T @ R
        scale = np.abs(R).max() or 1.0
        R, log_scale = R / scale, log_scale + np.log(scale)
        with np.errstate(divide="ignore", over="ignore"):
            values.append(np.exp(log_scale + np.log(np.linalg.svd(R, compute_uv=False))))
    return np.array(values)


def compare_initializers(initializers, *, units=64, length=64, seeds=(0, 1, 2)):
    """What initializers of the recurrent matrix do to a tanh network before any training.

        h_t = tanh(x_t K + h_{t-1} W),   J_t = dh_t / dh_{t-1},   L = v . h_T,   |v| = 1

    W is what the initializer gives. All else is drawn from the seed and the same for every entry:
    16 sequences of one feature from N(0, 1), K uniform as Glorot's, a random v; h_0 = 0. All in
    float64.

    The product J_k ... J_1 is kept as Q R, by one QR decomposition per step, with the rows of the
    triangular R shrinking downwards; the singular values are those of R. So the small ones survive
    where the plain product loses all below 1e-16 of the largest, down to about 1e-300 of the
    largest; below that they become 0. What a single step loses to rounding is lost here too: with
    large weights, where 1 - h_t^2 of some units is under 1e-16, the smallest values are noise. And
    a network that makes small differences grow makes those of rounding grow too: where the largest
    value passes 1e15, all later numbers depend on the machine, though hardly in their size.

    Args:
        initializers: dict of name to initializer: an instance, a name that Keras knows, or any
            function of `shape` and `dtype=None`. One that was given a seed gives the same matrix
            for all `seeds`. For functions that draw from the global generators these are set with
            `keras.utils.set_random_seed`, and stay so.
        units: N, the width of the network.
        length: T, the number of steps.
        seeds: integers, at least 0; one network for each.

    Returns:
        A dict of name to a dict of three arrays:
        `singular_values` (seeds, length, units): of J_k ... J_1 for k = 1 to T, on the first
        sequence, in descending order;
        `gradient` (seeds, length): the mean over the sequences of |dL/dh_t|, in the order of time;
        `spectral_radius` (seeds,): the largest |eigenvalue| of W.

    Raises:
        TypeError: if `initializers` is not a dict.
        ValueError: if `units` or `length` is not a positive integer, or an initializer gives
            another shape or a number that is not finite.

    Example:
        >>> def tenth(shape, dtype=None):
        ...     return 0.1 * np.eye(*shape)
        >>> results = compare_initializers({"orthogonal": "orthogonal", "tenth": tenth}, length=20)
        >>> results["tenth"]["singular_values"].shape
        (3, 20, 64)
        >>> for name, result in results.items():
        ...     largest, radius = result["singular_values"][0, -1, 0], result["spectral_radius"][0]
        ...     print(f"{name}: radius {radius:.1f}, after 20 steps at most {largest:.0e}")
        orthogonal: radius 1.0, after 20 steps at most 3e-01
        tenth: radius 0.1, after 20 steps at most 1e-20

    Reference: Pennington, Schoenholz & Ganguli 2017, Resurrecting the sigmoid in deep learning
    through dynamical isometry: theory and practice, arXiv:1711.04735. First used in lesson 04.
    """
    if not isinstance(initializers, dict):
        kind = type(initializers).__name__
        raise TypeError(f"`initializers` must be a dict of name to initializer. Received: {kind}")
    for key, value in (("units", units), ("length", length)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{key}` must be a positive integer. Received: {key}={value!r}")
    results = {}
    for name, initializer in initializers.items():
        values, gradient = np.zeros((len(seeds), length, units)), np.zeros((len(seeds), length))
        radius = np.zeros(len(seeds))
        for k, seed in enumerate(seeds):
            W = _recurrent_matrix(name, initializer, units, seed)
            inputs, kernel, after = _shared_draws(units, length, seed)
            h, slopes = np.zeros((16, units)), []
            for x in inputs:
                h = np.tanh(x @ kernel + h @ W)
                slopes.append(1 - h**2)  # J_t = diag(1 - h_t^2) W^T
            for t in reversed(range(length)):  # `after` is dL/dh_t
                gradient[k, t] = np.linalg.norm(after, axis=-1).mean()
                after = (after * slopes[t]) @ W.T
            values[k] = _product_singular_values(np.stack(slopes)[:, 0, :, None] * W.T)
            radius[k] = np.abs(np.linalg.eigvals(W)).max()
        results[name] = {"singular_values": values, "gradient": gradient, "spectral_radius": radius}
    return results
