"""The LSTM, and two cells that differ from it by a few lines."""

import keras
from keras import ops

from course_utils.cells.base import RecurrentCell

__all__ = ["LSTMCell", "LayerNormLSTMCell", "PeepholeLSTMCell", "layer_norm", "unit_forget_bias"]


@keras.saving.register_keras_serializable(package="course_utils")
def unit_forget_bias(shape, dtype=None):
    """The bias that Keras' `unit_forget_bias=True` makes: 1 in the forget gate's block, else 0.

    Args:
        shape: (4 N,), gates in the order i, f, g, o.
        dtype: type of the result; Keras' default float type if None.

    Example:
        >>> unit_forget_bias((8,)).numpy().tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]

    Reference: Gers, Schmidhuber & Cummins 2000, Learning to forget: continual prediction with LSTM,
    Neural Computation 12(10), 2451-2471. First used in lesson 06.
    """
    return ops.cast(ops.repeat([0, 1, 0, 0], shape[0] // 4), dtype or keras.config.floatx())


@keras.saving.register_keras_serializable(package="course_utils")
class LSTMCell(RecurrentCell):
    """Long short-term memory: a cell state that is added to, and three gates around it.

        a_i, a_f, a_g, a_o = split(x_t W + h_{t-1} U + b)
        i = sigmoid(a_i)               what of the candidate is written
        f = sigmoid(a_f)               what of the old cell state is kept
        g = tanh(a_g)                  the candidate
        o = sigmoid(a_o)               what of the cell state is shown
        c_t = f * c_{t-1} + i * g
        h_t = o * tanh(c_t)

    with x_t of shape (batch, D), h and c of shape (batch, N), * elementwise. The states are
    [h, c]; the output is h_t. The result equals `keras.layers.LSTMCell` to the last bit.

    | weight | shape | gate order |
    |---|---|---|
    | `kernel` W | (D, 4 N) | i, f, g, o |
    | `recurrent_kernel` U | (N, 4 N) | i, f, g, o |
    | `bias` b | (4 N,) | i, f, g, o; absent when `use_bias=False` |

    The default `bias_initializer` is Keras' default, 1 for the forget gate and 0 for the rest. Here
    it is an initializer like any other, and the one that is passed fills the whole bias:
    `ForgetBias(5.0)`, or "zeros" for a forget gate half open. In Keras the forget gate's block is 1
    whatever `bias_initializer` is, unless `unit_forget_bias=False`.

    From PyTorch's `nn.LSTM`, which has the same gate order, the matrices transposed, and two biases
    that are only ever added:

        kernel, recurrent_kernel = weight_ih_l0.T, weight_hh_l0.T
        bias = bias_ih_l0 + bias_hh_l0

    From the ONNX operator `LSTM`, whose gate order is i, o, f, c (its c is our g), whose first axis
    is the direction, and whose B holds two biases in a row:

        def reorder(blocks):
            i, o, f, g = np.split(blocks, 4)
            return np.concatenate([i, f, g, o])

        kernel, recurrent_kernel = reorder(W[0]).T, reorder(R[0]).T
        bias = reorder(sum(np.split(B[0], 2)))

    Then `cell.set_weights([kernel, recurrent_kernel, bias])`.

    Args:
        units: N, the width of both states; a positive integer.
        recurrent_activation: of the three gates; "sigmoid" by default.
        bias_initializer: initializer of `bias`, for all four gates.
        **kwargs: activation (of the candidate and of the cell state; "tanh" by default), use_bias,
            kernel_initializer and recurrent_initializer, as in `RecurrentCell`.

    Raises:
        ValueError: if `units` is not a positive integer, or the states are not [h, c].

    Example:
        >>> import keras
        >>> layer = keras.layers.RNN(LSTMCell(16), return_state=True)
        >>> output, h, c = layer(keras.ops.ones((2, 5, 3)))
        >>> output.shape.as_list(), c.shape.as_list()
        ([2, 16], [2, 16])

    Reference: Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8),
    1735-1780, which had no forget gate; that is Gers, Schmidhuber & Cummins 2000. First used in
    lesson 06.
    """

    gates = 4

    def __init__(
        self, units, *, recurrent_activation="sigmoid", bias_initializer=unit_forget_bias, **kwargs
    ):
        super().__init__(units, bias_initializer=bias_initializer, **kwargs)
        self.recurrent_activation = keras.activations.get(recurrent_activation)

    @property
    def state_size(self):
        """[N, N]: the widths of h and c."""
        return [self.units, self.units]

    def affine(self, inputs, h):
        """x_t W + h_{t-1} U + b, of shape (batch, 4 N), added in Keras' order."""
        a = ops.add(ops.matmul(inputs, self.kernel), ops.matmul(h, self.recurrent_kernel))
        return ops.add(a, self.bias) if self.use_bias else a

    def call(self, inputs, states, training=False):
        """Return `(h, [h, c])` for `inputs` (batch, D) and `states` [(batch, N), (batch, N)]."""
        h, c = self.check_states(states)

        a = self.affine(inputs, h)  # (batch, 4 * units)
        i, f, g, o = ops.split(a, 4, axis=1)

        i, f, o = map(self.recurrent_activation, (i, f, o))
        c = f * c + i * self.activation(g)
        h = o * self.activation(c)
        return h, [h, c]

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        recurrent_activation = keras.activations.serialize(self.recurrent_activation)
        return {**super().get_config(), "recurrent_activation": recurrent_activation}


@keras.saving.register_keras_serializable(package="course_utils")
class PeepholeLSTMCell(LSTMCell):
    """An LSTM whose gates see the cell state, each unit's own.

        i = sigmoid(a_i + p_i * c_{t-1})
        f = sigmoid(a_f + p_f * c_{t-1})
        c_t = f * c_{t-1} + i * tanh(a_g)
        o = sigmoid(a_o + p_o * c_t)
        h_t = o * tanh(c_t)

    with a as in `LSTMCell`. The input and forget gates see the old cell state, the output gate the
    new one, and the candidate sees none. A gate that is shut hides c from h, and so from the other
    gates; a peephole looks past it. Keras has no such cell.

    | weight | shape | gate order |
    |---|---|---|
    | `kernel`, `recurrent_kernel`, `bias` | as in `LSTMCell` | i, f, g, o |
    | `peephole_kernel` p | (3 N,) | i, f, o |

    The peepholes start at zero by default: then the cell starts as exactly the `LSTMCell` with the
    same seed, and what differs after training was learned. Zero is safe here, because a peephole's
    gradient does not vanish with it. The last line is the `LSTMCell`'s and ONNX'.

    From the ONNX operator `LSTM`, whose P is in the order i, o, f (the rest as in `LSTMCell`;
    PyTorch's `nn.LSTM` has no peepholes):

        i, o, f = np.split(P[0], 3)
        peephole_kernel = np.concatenate([i, f, o])

    Then `cell.set_weights([kernel, recurrent_kernel, bias, peephole_kernel])`.

    Args:
        units: N, the width of both states; a positive integer.
        peephole_initializer: initializer of `peephole_kernel`.
        **kwargs: as in `LSTMCell`.

    Raises:
        ValueError: if `units` is not a positive integer, or the states are not [h, c].

    Example:
        >>> import keras
        >>> layer = keras.layers.RNN(PeepholeLSTMCell(16))
        >>> layer(keras.ops.ones((2, 5, 3))).shape.as_list()
        [2, 16]
        >>> layer.cell.peephole_kernel.shape.as_list()
        [48]

    Reference: Gers, Schraudolph & Schmidhuber 2002, Learning precise timing with LSTM recurrent
    networks, Journal of Machine Learning Research 3, 115-143. First used in lesson 06.
    """

    def __init__(self, units, *, peephole_initializer="zeros", **kwargs):
        super().__init__(units, **kwargs)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)

    def build(self, input_shape):
        """Add the weights for inputs of shape (batch, features)."""
        super().build(input_shape)
        self.peephole_kernel = self.add_weight(
            shape=(3 * self.units,), initializer=self.peephole_initializer, name="peephole_kernel"
        )

    def call(self, inputs, states, training=False):
        """Return `(h, [h, c])` for `inputs` (batch, D) and `states` [(batch, N), (batch, N)]."""
        h, c = self.check_states(states)
        p_i, p_f, p_o = ops.split(self.peephole_kernel, 3)  # (units,) each

        a = self.affine(inputs, h)  # (batch, 4 * units)
        i, f, g, o = ops.split(a, 4, axis=1)

        i = self.recurrent_activation(i + p_i * c)
        f = self.recurrent_activation(f + p_f * c)
        c = f * c + i * self.activation(g)
        o = self.recurrent_activation(o + p_o * c)
        h = o * self.activation(c)
        return h, [h, c]

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        peephole_initializer = keras.initializers.serialize(self.peephole_initializer)
        return {**super().get_config(), "peephole_initializer": peephole_initializer}


def layer_norm(z, gain, epsilon=1e-3):
    """Every row of z shifted to mean 0, divided by its standard deviation, times the gain.

        layer_norm(z) = (z - mean(z)) / sqrt(variance(z) + epsilon) * gain

    with mean and variance over the last axis. Half precision is normalized in float32, like
    `keras.layers.LayerNormalization`: squares of float16 numbers above 255 are infinite.

    Args:
        z: array of shape (batch, M).
        gain: array of shape (M,).
        epsilon: added to the variance, so that a constant row becomes 0.

    Example:
        >>> from keras import ops
        >>> layer_norm(ops.array([[1.0, 3.0]]), ops.ones(2), epsilon=0.0).numpy().tolist()
        [[-1.0, 1.0]]

    Reference: Ba, Kiros & Hinton 2016, Layer normalization, arXiv:1607.06450. First used in
    lesson 06.
    """
    wide = ops.cast(z, keras.backend.result_type(z.dtype, "float32"))
    mean, variance = ops.moments(wide, axes=-1, keepdims=True)
    return ops.cast((wide - mean) / ops.sqrt(variance + epsilon), z.dtype) * gain


@keras.saving.register_keras_serializable(package="course_utils")
class LayerNormLSTMCell(LSTMCell):
    """An LSTM whose two matrix products and whose shown cell state are normalized.

        a_i, a_f, a_g, a_o = split(LN(x_t W; k) + LN(h_{t-1} U; r) + b)
        c_t = sigmoid(a_f) * c_{t-1} + sigmoid(a_i) * tanh(a_g)
        h_t = sigmoid(a_o) * tanh(LN(c_t; s) + s_b)
        LN(z; gain) = (z - mean(z)) / sqrt(variance(z) + 0.001) * gain

    Mean and variance are taken over the units of one example: the two products are normalized
    separately, each jointly over the 4 N numbers of its four gates, and c_t over its N. The state
    that is carried on is the raw c_t, so the path c_{t-1} -> c_t is the LSTM's own. TensorFlow
    Addons' cell of this name carried LN(c_t), which the paper does not do, and weights trained with
    it compute something else here.

    Multiplying W or U by a positive number changes nothing, up to the epsilon of 0.001, which the
    paper does not have. Where a product is near zero, the epsilon bounds the factor by which its
    gradient is multiplied: by 1 / sqrt(0.001) = 32 at the first step, where h is 0.

    | weight | shape | gate order |
    |---|---|---|
    | `kernel`, `recurrent_kernel`, `bias` | as in `LSTMCell` | i, f, g, o |
    | `kernel_gain` k | (4 N,) | i, f, g, o |
    | `recurrent_gain` r | (4 N,) | i, f, g, o |
    | `state_gain` s | (N,) | |
    | `state_bias` s_b | (N,) | |

    The paper's LN has a bias too. The biases of the first two LNs and b are only ever added, so one
    is kept, `bias`. Neither Keras, PyTorch, nor ONNX has this cell.

    Args:
        units: N, the width of both states; a positive integer.
        **kwargs: as in `LSTMCell`. `use_bias=False` leaves out `bias` and keeps `state_bias`.

    Raises:
        ValueError: if `units` is not a positive integer, or the states are not [h, c].

    Example:
        >>> import keras
        >>> layer = keras.layers.RNN(LayerNormLSTMCell(16))
        >>> layer(keras.ops.ones((2, 5, 3))).shape.as_list()
        [2, 16]
        >>> [w.name for w in layer.cell.weights][3:]
        ['kernel_gain', 'recurrent_gain', 'state_gain', 'state_bias']

    Reference: Ba, Kiros & Hinton 2016, Layer normalization, arXiv:1607.06450, equations 20 to 22.
    First used in lesson 06.
    """

    def build(self, input_shape):
        """Add the weights for inputs of shape (batch, features)."""
        super().build(input_shape)
        gates, state = (4 * self.units,), (self.units,)
        self.kernel_gain = self.add_weight(gates, "ones", name="kernel_gain")
        self.recurrent_gain = self.add_weight(gates, "ones", name="recurrent_gain")
        self.state_gain = self.add_weight(state, "ones", name="state_gain")
        self.state_bias = self.add_weight(state, "zeros", name="state_bias")

    def call(self, inputs, states, training=False):
        """Return `(h, [h, c])` for `inputs` (batch, D) and `states` [(batch, N), (batch, N)]."""
        h, c = self.check_states(states)

        x = layer_norm(ops.matmul(inputs, self.kernel), self.kernel_gain)
        h = layer_norm(ops.matmul(h, self.recurrent_kernel), self.recurrent_gain)
        a = x + h + self.bias if self.use_bias else x + h  # (batch, 4 * units)
        i, f, g, o = ops.split(a, 4, axis=1)

        i, f, o = map(self.recurrent_activation, (i, f, o))
        c = f * c + i * self.activation(g)
        h = o * self.activation(layer_norm(c, self.state_gain) + self.state_bias)
        return h, [h, c]
