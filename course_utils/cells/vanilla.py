"""The vanilla recurrent cell."""

import keras
from keras import ops

from course_utils.cells.base import RecurrentCell

__all__ = ["VanillaRNNCell"]


@keras.saving.register_keras_serializable(package="course_utils")
class VanillaRNNCell(RecurrentCell):
    """The vanilla (Elman) cell: one matrix for the input, one for the state.

        h_t = tanh(x_t W_x + b + h_{t-1} W_h)

    with x_t of shape (batch, D), h_t of shape (batch, N), W_x = `kernel` (D, N),
    W_h = `recurrent_kernel` (N, N) and b = `bias` (N,). Rows are examples, so the matrices stand on
    the right, as in Keras; papers often write W_x x_t for column vectors. The order of the sum is
    Keras' order, so that the result equals `keras.layers.SimpleRNNCell` to the last bit. The output
    is h_t itself: Elman's network puts a further layer on it.

    Args:
        units: N, the width of the state; a positive integer.
        activation: "tanh" by default; None makes the cell linear.
        use_bias, kernel_initializer, recurrent_initializer, bias_initializer: as in
            `RecurrentCell`.

    Raises:
        ValueError: if `units` is not a positive integer.

    Example:
        >>> import keras
        >>> layer = keras.layers.RNN(VanillaRNNCell(16), return_sequences=True)
        >>> layer(keras.ops.ones((2, 5, 3))).shape.as_list()
        [2, 5, 16]

    Reference: Elman 1990, Finding structure in time, Cognitive Science 14(2), 179-211,
    doi:10.1207/s15516709cog1402_1. First used in lesson 01.
    """

    def call(self, inputs, states, training=False):
        """Return `(h, [h])` for `inputs` (batch, D) and `states` [(batch, N)]."""
        (h,) = self.check_states(states)
        a = ops.matmul(inputs, self.kernel)  # (batch, units)
        if self.use_bias:
            a = ops.add(a, self.bias)
        a = ops.add(a, ops.matmul(h, self.recurrent_kernel))
        h = self.activation(a)
        return h, [h]
