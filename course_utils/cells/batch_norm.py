"""Batch normalization inside the recurrence, and the layer that tells it what is padding."""

import numbers

import keras
from keras import ops

from course_utils.cells.lstm import LSTMCell

__all__ = ["BatchNormLSTMCell", "BatchNormRNN"]


@keras.saving.register_keras_serializable(package="course_utils")
class BatchNormLSTMCell(LSTMCell):
    """An LSTM whose two matrix products and whose shown cell state are normalized over the batch.

        a_i, a_f, a_g, a_o = split(BN_k(x_t W; p) + BN_k(h_{t-1} U; q) + b)
        c_t = sigmoid(a_f) * c_{t-1} + sigmoid(a_i) * tanh(a_g)
        h_t = sigmoid(a_o) * tanh(BN_k(c_t; s) + s_b)
        BN_k(z; gain) = (z - mean) / sqrt(variance + 0.001) * gain

    with x_t of shape (batch, D), h and c of shape (batch, N), * elementwise. Mean and variance are
    numbers per column. In training they are those of the batch at this time step. At inference they
    are running ones, kept for each time step k = 0, 1, ... up to `steps` - 1: then the result for
    one example does not depend on the others. The states are [h, c, k]; k, of shape (batch, 1),
    counts the steps of each example. The cell state that is carried on is not normalized.

    - From step `steps` - 1 on, all steps share one row of statistics. With `steps=1` all do.
    - At inference, steps beyond the last one that training has seen use that one's statistics.
    - Use it in a `BatchNormRNN`: there masked steps change neither the batch's statistics nor the
      running ones. A plain `keras.layers.RNN` does not show its mask to a cell, so that padding
      counts, and it moves the first step's statistics twice.
    - In training the result depends on the whole batch. Do not train with a batch of 1.

    | weight | shape | gate order |
    |---|---|---|
    | `kernel`, `recurrent_kernel`, `bias` | as in `LSTMCell` | i, f, g, o |
    | `gates_gain` (p, q) | (8 N,) | i, f, g, o of x_t W, then of h_{t-1} U |
    | `state_gain` s | (N,) | |
    | `state_bias` s_b | (N,) | |
    | `gates_mean`, `gates_variance` (not trained) | (steps, 8 N) | as `gates_gain` |
    | `state_mean`, `state_variance` (not trained) | (steps, N) | |
    | `seen` (not trained) | () | number of rows that hold statistics |

    A row's first batch sets its statistics; after that each batch moves them by 1 - `momentum` of
    the way. `keras.layers.BatchNormalization` moves from mean 0 and variance 1 from the start. The
    paper takes the statistics from the whole training set after training, and starts from a random
    h_0, so that the first step has a variance. Here h_0 = 0 gives h_0 U = 0, and epsilon keeps it
    there. The paper's gains start at 0.1 too: at 1, it finds, the gradient vanishes quickly.

    Args:
        units: N, the width of h and c; a positive integer.
        steps: for how many time steps statistics are kept; a positive integer.
        momentum: how much of the running statistics stays at each batch, in [0, 1).
        gain: where the three gains start.
        **kwargs: as in `LSTMCell`. `use_bias=False` leaves out `bias` and keeps `state_bias`.

    Raises:
        ValueError: if `units` or `steps` is not a positive integer, `momentum` is outside [0, 1),
            or the states are not [h, c, k].

    Example:
        >>> import keras
        >>> layer = BatchNormRNN(BatchNormLSTMCell(16, steps=5))
        >>> layer(keras.ops.ones((2, 5, 3)), training=True).shape.as_list()
        [2, 16]
        >>> int(layer.cell.seen), layer.cell.gates_mean.shape.as_list()
        (5, [5, 128])

    Reference: Cooijmans et al. 2017, Recurrent batch normalization, arXiv:1603.09025. First used in
    lesson 11.
    """

    rehearsal = False  # whether the next call is not part of the loop

    def __init__(self, units, steps, *, momentum=0.9, gain=0.1, **kwargs):
        super().__init__(units, **kwargs)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"`steps` must be a positive integer. Received: steps={steps!r}")
        if not isinstance(momentum, numbers.Real) or not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum!r}")
        self.steps, self.momentum, self.gain = steps, momentum, gain

    @property
    def state_size(self):
        """[N, N, 1]: the widths of h, c and the step counter k."""
        return [self.units, self.units, 1]

    def build(self, input_shape):
        """Add the weights for inputs of shape (batch, features)."""
        super().build(input_shape)
        start = keras.initializers.Constant(self.gain)
        kept = {"trainable": False, "autocast": False}  # float32 also under mixed_float16
        for name, width in (("gates", 8 * self.units), ("state", self.units)):
            gain = self.add_weight((width,), start, name=f"{name}_gain")
            setattr(self, f"{name}_gain", gain)
            for part, value in (("mean", "zeros"), ("variance", "ones")):
                part = f"{name}_{part}"
                setattr(self, part, self.add_weight((self.steps, width), value, name=part, **kept))
        self.state_bias = self.add_weight((self.units,), "zeros", name="state_bias")
        self.seen = self.add_weight((), "zeros", name="seen", **kept)

    def call(self, inputs, states, training=False):
        """Return `(h, [h, c, k + 1])`.

        `inputs` is (batch, D), or (batch, D + 1) with a last column of 1 where the step is real and
        0 where it is padding; `states` is [(batch, N), (batch, N), (batch, 1)].
        """
        h, c, k = self.check_states(states)
        D = self.kernel.shape[0]
        inputs, real = inputs[:, :D], inputs[:, D:]
        real = real if real.shape[-1] else ops.ones_like(k)  # (batch, 1)
        moving, self.rehearsal = training and not self.rehearsal, False
        row = ops.clip(ops.cast(k[:, 0], "int32"), 0, self.steps - 1)  # (batch,)

        products = ops.matmul(inputs, self.kernel), ops.matmul(h, self.recurrent_kernel)
        a = self.normalized("gates", ops.concatenate(products, axis=1), row, real, training, moving)
        a = a[:, : 4 * self.units] + a[:, 4 * self.units :]  # (batch, 4 * units)
        i, f, g, o = ops.split(a + self.bias if self.use_bias else a, 4, axis=1)

        i, f, o = map(self.recurrent_activation, (i, f, o))
        c = f * c + i * self.activation(g)
        shown = self.normalized("state", c, row, real, training, moving) + self.state_bias
        h = o * self.activation(shown)
        if moving:
            last = ops.max(ops.where(real[:, 0] > 0, row + 1, 0))
            self.seen.assign(ops.maximum(self.seen, ops.cast(last, self.seen.dtype)))
        return h, [h, c, k + 1]

    def normalized(self, name, z, row, real, training, moving):
        """BN_k(z) for z (batch, M), `row` (batch,) and `real` (batch, 1); may move statistics."""
        statistics = getattr(self, f"{name}_mean"), getattr(self, f"{name}_variance")
        wide = ops.cast(z, statistics[0].dtype)
        if training:
            weight = ops.cast(real, wide.dtype)
            weight = weight / ops.maximum(ops.sum(weight), 1)  # (batch, 1), sums to 1
            mean = ops.sum(weight * wide, axis=0)
            variance = ops.sum(weight * ops.square(wide - mean), axis=0)
        else:
            row = ops.minimum(row, ops.maximum(ops.cast(self.seen, "int32") - 1, 0))
            mean, variance = (ops.take(running, row, axis=0) for running in statistics)
        if moving:
            rows = ops.arange(self.steps)
            hit = ops.any((rows[:, None] == row) & (real[:, 0] > 0), axis=1)  # (steps,)
            stays = self.momentum * ops.cast(rows < ops.cast(self.seen, "int32"), wide.dtype)
            moves = ((1 - stays) * ops.cast(hit, wide.dtype))[:, None]  # (steps, 1)
            for running, of_batch in zip(statistics, (mean, variance), strict=True):
                running.assign(running + moves * (of_batch - running))
        wide = (wide - mean) / ops.sqrt(variance + 1e-3)
        return ops.cast(wide, z.dtype) * getattr(self, f"{name}_gain")

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        own = {"steps": self.steps, "momentum": self.momentum, "gain": self.gain}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="course_utils")
class BatchNormRNN(keras.layers.RNN):
    """`keras.layers.RNN` for a `BatchNormLSTMCell`, which it tells which steps are masked.

    Args:
        cell: a `BatchNormLSTMCell`.
        **kwargs: as in `keras.layers.RNN`.

    Raises:
        TypeError: if `cell` is another cell, or a stack.

    Example:
        >>> import keras
        >>> layer = BatchNormRNN(BatchNormLSTMCell(4, steps=3))
        >>> mask = keras.ops.array([[True, True, False]] * 2)
        >>> _ = layer(keras.ops.ones((2, 3, 1)), mask=mask, training=True)
        >>> int(layer.cell.seen)
        2

    First used in lesson 11.
    """

    def __init__(self, cell, **kwargs):
        if not isinstance(cell, BatchNormLSTMCell):
            raise TypeError(f"`cell` must be a `BatchNormLSTMCell`. Received: cell={cell!r}")
        super().__init__(cell, **kwargs)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Keras' loop over the time steps, with the mask as one more feature."""
        self.cell.rehearsal = not self.unroll  # before the loop, Keras calls the cell for its shape
        if mask is not None:
            real = ops.cast(mask, sequences.dtype)[:, :, None]
            sequences = ops.concatenate([sequences, real], axis=-1)
        return super().inner_loop(sequences, initial_state, mask, training)
