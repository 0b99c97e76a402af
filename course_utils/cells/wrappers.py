"""Cells around a cell: zoneout on its states, weight normalization on its kernels."""

import inspect
import numbers

import keras
from keras import ops

__all__ = ["WeightNormCell", "ZoneoutCell"]


def _validate(cell):
    """Refuse what is no single cell, and a cell with dropout."""
    stacked = isinstance(cell, (keras.layers.RNN, keras.layers.StackedRNNCells))
    if stacked or not isinstance(cell, keras.layers.Layer) or not hasattr(cell, "state_size"):
        raise TypeError(
            "`cell` must be a single recurrent cell, such as `LSTMCell(4)`; of a layer or a "
            f"stack, wrap the cells. Received: cell={cell!r}"
        )
    for name in ("dropout", "recurrent_dropout"):
        rate = getattr(cell, name, 0)
        if isinstance(rate, numbers.Real) and rate > 0:
            raise ValueError(
                "`cell` must have no dropout of its own: inside another cell, Keras never renews "
                "its masks. Use `keras.layers.Dropout` on the inputs, or `ZoneoutCell` for the "
                f"states. Received: {type(cell).__name__} with {name}={rate!r}"
            )


class _WrapperCell(keras.layers.Layer):
    """A cell that holds another one, `cell`, and never edits it."""

    def __init__(self, cell, **kwargs):
        _validate(cell)
        super().__init__(**{"dtype": cell.dtype_policy, **kwargs})
        if self.dtype_policy != cell.dtype_policy:
            names = cell.dtype_policy.name, self.dtype_policy.name
            raise ValueError("`dtype` must be the cell's, {}. Received: dtype={}".format(*names))
        self.cell = cell
        self.state_size = cell.state_size
        self._sizes = keras.tree.flatten(cell.state_size)
        self.output_size = getattr(cell, "output_size", self._sizes[0])  # Keras' rule

    def build(self, input_shape):
        """Build the inner cell, unless that is done: on loading, Keras does it first."""
        if not self.cell.built:
            self.cell.build(input_shape)

    def get_initial_state(self, batch_size=None):
        """The inner cell's initial state; zeros if it does not say."""
        if hasattr(self.cell, "get_initial_state"):
            return self.cell.get_initial_state(batch_size=batch_size)
        return [ops.zeros((batch_size, n), dtype=self.compute_dtype) for n in self._sizes]

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        inner = keras.saving.serialize_keras_object(self.cell)
        inner.pop("build_config", None)  # `build` builds it; whether it is built is no argument
        return {**super().get_config(), "cell": inner}

    @classmethod
    def from_config(cls, config):
        """The wrapper and its inner cell, from `get_config()`."""
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


@keras.saving.register_keras_serializable(package="course_utils")
class ZoneoutCell(_WrapperCell):
    """Zoneout: while training, each component of a state keeps its old value with probability z.

    With s~_t the state that the inner cell computes from x_t and all its old states,

        s_t = k_t * s_{t-1} + (1 - k_t) * s~_t      training, k_t ~ Bernoulli(z)
        s_t = z s_{t-1} + (1 - z) s~_t              inference: the mean of the above

    with s_t and k_t of shape (batch, size): a new mask k_t for every step, example and component.
    Each state has its own z. Dropout puts a zero in place of a value; zoneout puts the old value,
    so that a component that is kept hands its gradient back one step unchanged. z = 0 is the
    inner cell.

    Where the inner cell's output is its first state, the same tensor (`SimpleRNNCell`, `LSTMCell`,
    `GRUCell` and this package's cells), the output is s_t. Any other output is passed on as it is.

    For an LSTM these are the paper's equations: h~_t = o_t tanh(c~_t) sees the new cell state c~_t
    before zoneout, and the masks of h and c are independent. The paper writes one example; in a
    batch each example has its own masks.

    The layer has no weights of its own: `get_weights` gives the inner cell's.

    Args:
        cell: the inner cell, such as `LSTMCell(32)`: Keras', this package's or your own. For a
            stack, wrap each cell.
        rates: z, in [0, 1): a number for all states, or a list with one per state in the order of
            the inner cell's states, [z_h, z_c] for an LSTM. The paper uses [0.05, 0.5] for
            characters of Penn Treebank.
        seed: an integer, or None for a new one. A copy of the cell, as `Bidirectional` makes for
            the way back, has the same seed and draws the same masks in the order of its steps.

    Raises:
        TypeError: if `cell` is not a single recurrent cell.
        ValueError: if a rate is outside [0, 1), if the number of rates is not that of the states,
            if `dtype` is not that of `cell`, or if `cell` has dropout of its own: Keras renews the
            masks of its own cells only, so inside a wrapper they would never change.

    Example:
        >>> import keras
        >>> from course_utils.cells.lstm import LSTMCell
        >>> layer = keras.layers.RNN(ZoneoutCell(LSTMCell(16), [0.05, 0.5], seed=0))
        >>> layer(keras.ops.ones((2, 5, 3)), training=True).shape.as_list()
        [2, 16]

    Reference: Krueger et al. 2017, Zoneout: regularizing RNNs by randomly preserving hidden
    activations, arXiv:1606.01305. First used in lesson 10.
    """

    def __init__(self, cell, rates, seed=None, **kwargs):
        super().__init__(cell, **kwargs)
        count = len(self._sizes)
        self.rates = list(rates) if isinstance(rates, (list, tuple)) else [rates] * count
        in_range = all(isinstance(z, numbers.Real) and 0 <= z < 1 for z in self.rates)
        if not in_range or len(self.rates) != count:
            raise ValueError(
                f"`rates` must be a number in [0, 1), or a list with one for each state of `cell` "
                f"({count}). Received: rates={rates!r}"
            )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, states, training=False):
        """Return `(output, new_states)`: as the inner cell, with zoneout on the states."""
        output, new = self.cell(inputs, states, training=training)
        triples = zip(self.rates, states, new, strict=True)
        zoned = [self._zoneout(z, s, s_new, training) for z, s, s_new in triples]
        return zoned[0] if output is new[0] else output, zoned

    def _zoneout(self, z, s, s_new, training):
        if z == 0:
            return s_new
        if training:
            # In float32 whatever the policy: float16 knows only 1024 numbers between 0.5 and 1.
            u = keras.random.uniform(ops.shape(s_new), dtype="float32", seed=self.seed_generator)
            return ops.where(u < z, s, s_new)
        return z * s + (1 - z) * s_new

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        rates = [float(z) for z in self.rates]
        return {**super().get_config(), "rates": rates, "seed": self.seed}


@keras.saving.register_keras_serializable(package="course_utils")
class WeightNormCell(_WrapperCell):
    """Weight normalization: a kernel's columns learn their length and their direction apart.

    For each kernel V (rows, columns) of the inner cell, the cell computes with

        W[:, j] = g[j] V[:, j] / ||V[:, j]||

    in place of V; a column holds the weights of one unit of one gate. The inner cell's kernels are
    the V, untouched, and the gains g are new weights. `build` sets g[j] = ||V[:, j]||, so that at
    the start W = V but for rounding.

    | weight | shape | meaning |
    |---|---|---|
    | `kernel_gain` | (G N,) | length of each column of `kernel` |
    | `recurrent_kernel_gain` | (G N,) | length of each column of `recurrent_kernel` |
    | the inner cell's weights | as they are | `kernel` and `recurrent_kernel` are the V |

    for G gates and N units. Other weights, such as biases and peepholes, stay as they are.

    The paper also sets the first gains and biases from a mini-batch; here they come from the
    initializers of the inner cell. A column of zeros has no direction: there W = V, which is zero
    too, until V moves, and g starts at 0, so the function never jumps. `build` reads V once:
    weights given to the inner cell afterwards change the directions and not the gains, so call
    `set_weights` on this cell, gains first, or give the weights to the inner cell before.
    W is computed anew in each time step, since a cell does not know where a sequence starts: with
    32 examples and 128 units, training an LSTM took 1.4 times as long.
    Under `mixed_float16` V arrives rounded to float16; the norms are taken in float32.

    Args:
        cell: the inner cell, such as `LSTMCell(32)`: Keras', this package's or your own. For a
            stack, wrap each cell.

    Raises:
        TypeError: if `cell` is not a single recurrent cell.
        ValueError: if `dtype` is not that of `cell`; if `cell` has dropout of its own (as in
            `ZoneoutCell`); in `build`, if `cell` has no weight of these names.

    Example:
        >>> import keras
        >>> from course_utils.cells.lstm import LSTMCell
        >>> layer = keras.layers.RNN(WeightNormCell(LSTMCell(16)))
        >>> layer(keras.ops.ones((2, 5, 3))).shape.as_list()
        [2, 16]
        >>> [(w.name, tuple(w.shape)) for w in layer.weights[:2]]
        [('kernel_gain', (64,)), ('recurrent_kernel_gain', (64,))]

    Reference: Salimans & Kingma 2016, Weight normalization: a simple reparameterization to
    accelerate training of deep neural networks, arXiv:1602.07868. First used in lesson 11.
    """

    def build(self, input_shape):
        """Build the inner cell and add one gain per column of its kernels."""
        # `fit` builds a model inside a trace, where the kernels have no values to measure yet.
        # On leaving this scope Keras initializes the new weights outside of it, in order.
        with keras.StatelessScope():
            super().build(input_shape)
            self.gains = [self._add_gain(kernel) for kernel in self._kernels]
        if not self.gains:
            names = [w.name for w in self.cell.weights]
            raise ValueError(f"`cell` must have a weight named `kernel`. Received: weights {names}")

    def _add_gain(self, kernel):
        def lengths(shape, dtype=None):
            return ops.norm(kernel, axis=0)

        name = f"{kernel.name}_gain"
        return self.add_weight(kernel.shape[1:], lengths, name=name, autocast=False)

    def call(self, inputs, states, training=False):
        """Return the inner cell's `(output, new_states)`, computed with W in place of V."""
        cell, pairs = self.cell, zip(self._kernels, self.gains, strict=True)
        normed = {id(v): _with_lengths(v, g) for v, g in pairs}
        given = [normed.get(id(v), v) for v in cell.trainable_variables]
        held = [normed.get(id(v), ops.cast(v.value, v.dtype)) for v in cell.non_trainable_variables]
        takes = inspect.signature(cell.call).parameters  # unlike a call, this one is strict
        options = {"training": training} if "training" in takes else {}
        result, after = cell.stateless_call(given, held, inputs, states, **options)
        # What the cell changed, such as the state of a random seed, is handed back, not stored.
        for v, before, new in zip(cell.non_trainable_variables, held, after, strict=True):
            if new is not before:
                v.assign(new)
        return result

    @property
    def _kernels(self):
        return [w for w in self.cell.weights if w.name in ("kernel", "recurrent_kernel")]


def _with_lengths(kernel, gain):
    """The columns of `kernel` with the lengths `gain`; a column of zeros as it is."""
    kernel = ops.cast(kernel, gain.dtype)  # (rows, columns)
    squares = ops.sum(ops.square(kernel), axis=0)
    some = squares > 0
    return kernel * ops.where(some, gain * ops.rsqrt(ops.where(some, squares, 1)), 1)
