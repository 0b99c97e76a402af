"""The gated recurrent unit: reset before the product, reset after it, and without a reset."""

import keras
from keras import ops

from course_utils.cells.base import RecurrentCell

__all__ = ["GRUCell", "MinGRUCell", "ResetAfterGRUCell"]


@keras.saving.register_keras_serializable(package="course_utils")
class GRUCell(RecurrentCell):
    """The gated recurrent unit of Cho et al., whose reset gate acts before the product.

        z_t = sigmoid(x_t W_z + b_z + h_{t-1} U_z)           update gate
        r_t = sigmoid(x_t W_r + b_r + h_{t-1} U_r)           reset gate
        h~_t = tanh(x_t W_h + b_h + (r_t * h_{t-1}) U_h)     candidate
        h_t = z_t * h_{t-1} + (1 - z_t) * h~_t

    with x_t of shape (batch, D), h_t, z_t, r_t and h~_t of shape (batch, N), and * element by
    element. There is one state, h_t, which is also the output; there is no cell state.

    **Which way z points.** Here, in Keras, PyTorch and ONNX, and in Cho et al., z = 1 keeps the old
    state. Chung et al. 2014 write h_t = (1 - z_t) * h_{t-1} + z_t * h~_t: there z = 1 replaces it.
    Negating the columns of z in all weights goes from one to the other.

    **Where the reset acts.** On the state, before the product with U_h, as in both papers (of Cho
    et al., version 3). `ResetAfterGRUCell` resets the product instead.

    The difference to `keras.layers.GRUCell(reset_after=False)`, and on a CPU to
    `keras.layers.GRU(reset_after=False)`, is 0 with the same weights:

    | weight | shape | columns |
    |---|---|---|
    | `kernel` | (D, 3 N) | W_z, W_r, W_h |
    | `recurrent_kernel` | (N, 3 N) | U_z, U_r, U_h |
    | `bias` | (3 N,) | b_z, b_r, b_h; absent when `use_bias=False` |

    PyTorch has no such cell. ONNX has it as `GRU` with `linear_before_reset=0`, the gates in the
    same order, in W (1, 3 N, D), R (1, 3 N, N) and B (1, 6 N):

        cell.set_weights([W[0].T, R[0].T, B[0, : 3 * N] + B[0, 3 * N :]])

    Args:
        units: N, the width of the state; a positive integer.
        activation: of the candidate; "tanh" by default.
        recurrent_activation: of the two gates; "sigmoid" by default.
        use_bias, kernel_initializer, recurrent_initializer, bias_initializer: as in
            `RecurrentCell`.

    Raises:
        ValueError: if `units` is not a positive integer.

    Example:
        >>> import keras
        >>> layer = keras.layers.RNN(GRUCell(16), return_sequences=True)
        >>> layer(keras.ops.ones((2, 5, 3))).shape.as_list()
        [2, 5, 16]

    Reference: Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio 2014,
    Learning phrase representations using RNN encoder-decoder for statistical machine translation,
    arXiv:1406.1078; Chung, Gulcehre, Cho and Bengio 2014, Empirical evaluation of gated recurrent
    neural networks on sequence modeling, arXiv:1412.3555. First used in lesson 07.
    """

    gates = 3

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", **kwargs):
        super().__init__(units, activation, **kwargs)
        self.recurrent_activation = keras.activations.get(recurrent_activation)

    def call(self, inputs, states, training=False):
        """Return `(h, [h])` for `inputs` (batch, D) and `states` [(batch, N)]."""
        (h,) = self.check_states(states)
        N, U = self.units, self.recurrent_kernel

        x = ops.matmul(inputs, self.kernel)  # (batch, 3 * units)
        if self.use_bias:
            x = ops.add(x, self.bias)
        u = ops.matmul(h, U[:, : 2 * N])  # (batch, 2 * units)
        x_z, x_r, x_h = ops.split(x, 3, axis=-1)
        h_z, h_r = u[:, :N], u[:, N:]

        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        candidate = self.activation(x_h + ops.matmul(r * h, U[:, 2 * N :]))
        h = z * h + (1 - z) * candidate
        return h, [h]

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        serialized = keras.activations.serialize(self.recurrent_activation)
        return {**super().get_config(), "recurrent_activation": serialized}


@keras.saving.register_keras_serializable(package="course_utils")
class ResetAfterGRUCell(GRUCell):
    """The gated recurrent unit of Keras, cuDNN and PyTorch: the reset gate acts after the product.

        z_t = sigmoid(x_t W_z + b_z + h_{t-1} U_z + c_z)
        r_t = sigmoid(x_t W_r + b_r + h_{t-1} U_r + c_r)
        h~_t = tanh(x_t W_h + b_h + r_t * (h_{t-1} U_h + c_h))
        h_t = z_t * h_{t-1} + (1 - z_t) * h~_t

    with the shapes of `GRUCell`, from which only h~_t and the second bias c differ. z = 1 keeps
    the old state, as there. One product with the state serves all three gates, where `GRUCell`
    needs r_t before it can begin the second one. c_h stands inside the reset, so b_h cannot replace
    it; c_z and c_r only add to b_z and b_r. With r = 1 and c = 0 both cells are the same function.

    The difference to `keras.layers.GRUCell()`, and on a CPU to `keras.layers.GRU()`, is 0 with the
    same weights (`reset_after=True` is Keras' default; its documentation finds this form in
    version 1 of Cho et al. 2014):

    | weight | shape | columns |
    |---|---|---|
    | `kernel` | (D, 3 N) | W_z, W_r, W_h |
    | `recurrent_kernel` | (N, 3 N) | U_z, U_r, U_h |
    | `bias` | (2, 3 N) | rows b and c, each z, r, h; absent when `use_bias=False` |

    It also equals PyTorch's `torch.nn.GRU`, which calls the candidate n and stacks the gates in
    the order r, z, n, in `weight_ih_l0` (3 N, D), `weight_hh_l0` (3 N, N), `bias_ih_l0` and
    `bias_hh_l0` (3 N,). With these as NumPy arrays:

        def zrh(w):
            r, z, n = np.split(w, 3)
            return np.concatenate([z, r, n])

        biases = np.stack([zrh(bias_ih_l0), zrh(bias_hh_l0)])
        cell.set_weights([zrh(weight_ih_l0).T, zrh(weight_hh_l0).T, biases])

    And it equals ONNX' `GRU` with `linear_before_reset=1`, with W (1, 3 N, D), R (1, 3 N, N) and
    B (1, 6 N), the gates in the order z, r, h:

        cell.set_weights([W[0].T, R[0].T, B[0].reshape(2, 3 * N)])

    Args:
        units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer: as in `GRUCell`.

    Raises:
        ValueError: if `units` is not a positive integer.

    Example:
        >>> import keras
        >>> ours = keras.layers.RNN(ResetAfterGRUCell(16), return_sequences=True)
        >>> theirs = keras.layers.GRU(16, return_sequences=True)
        >>> x = keras.random.normal((2, 5, 3), seed=0)
        >>> ours(x).shape == theirs(x).shape
        True
        >>> ours.set_weights(theirs.get_weights())
        >>> float(keras.ops.max(keras.ops.abs(ours(x) - theirs(x)))) < 1e-6
        True

    Reference: the equations of `keras.layers.GRU`, `torch.nn.GRU` and ONNX' `GRU`; see `GRUCell`
    for the papers. First used in lesson 07.
    """

    def build(self, input_shape):
        """Add the weights; unlike in `RecurrentCell`, the bias has two rows."""
        add, N = self.add_weight, self.units
        self.kernel = add((input_shape[-1], 3 * N), self.kernel_initializer, name="kernel")
        self.recurrent_kernel = add((N, 3 * N), self.recurrent_initializer, name="recurrent_kernel")
        self.bias = add((2, 3 * N), self.bias_initializer, name="bias") if self.use_bias else None

    def call(self, inputs, states, training=False):
        """Return `(h, [h])` for `inputs` (batch, D) and `states` [(batch, N)]."""
        (h,) = self.check_states(states)
        N = self.units

        x = ops.matmul(inputs, self.kernel)  # (batch, 3 * units)
        u = ops.matmul(h, self.recurrent_kernel)  # (batch, 3 * units)
        if self.use_bias:
            b, c = ops.unstack(self.bias)
            # As in Keras: `ops.add` and `+` sum float16 gradients differently.
            x, u = ops.add(x, b), u + c
        x_z, x_r, x_h = ops.split(x, 3, axis=-1)
        h_z, h_r, h_h = u[:, :N], u[:, N : 2 * N], u[:, 2 * N :]

        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        candidate = self.activation(x_h + r * h_h)
        h = z * h + (1 - z) * candidate
        return h, [h]


@keras.saving.register_keras_serializable(package="course_utils")
class MinGRUCell(GRUCell):
    """The minimal GRU of Feng et al.: neither the gate nor the candidate sees the state.

        z_t = sigmoid(x_t W_z + b_z)
        h~_t = x_t W_h + b_h
        h_t = z_t * h_{t-1} + (1 - z_t) * h~_t

    with the shapes of `GRUCell`. There is no reset gate, no recurrent kernel and no tanh.

    **Which way z points.** As in `GRUCell`, z = 1 keeps the old state. The paper has it the other
    way, h_t = (1 - z_t) * h_{t-1} + z_t * h~_t. To use its weights W_z, W_h (N, D) and b_z, b_h
    (N,), negate those of the gate, since sigmoid(-a) = 1 - sigmoid(a):

        cell.set_weights([np.concatenate([-W_z, W_h]).T, np.concatenate([-b_z, b_h])])

    So a long memory at the start needs a positive b_z here, a negative one there.

    **Why it can be computed in parallel.** All z_t and h~_t follow from the inputs, before any
    state is known. What remains is h_t = z_t * h_{t-1} + v_t with v_t = (1 - z_t) * h~_t, and two
    such steps in a row are one of the same kind, with z_2 * z_1 and z_2 * v_1 + v_2. That
    operation is associative, so T steps take about log2(T) rounds (lesson 23). A recurrent kernel
    would make z_t depend on h_{t-1}: then step t cannot begin before step t - 1 has ended.
    The step's Jacobian dh_t/dh_{t-1} is diag(z_t), so with a sigmoid gate a product of such
    Jacobians can vanish but not explode.

    | weight | shape | columns |
    |---|---|---|
    | `kernel` | (D, 2 N) | W_z, W_h |
    | `bias` | (2 N,) | b_z, b_h; absent when `use_bias=False` |

    Neither Keras, PyTorch nor ONNX has this cell. It is not the minimal gated unit (MGU) of Zhou
    et al. 2016, arXiv:1603.09420, which has recurrent kernels and a gate that also resets.

    Args:
        units: N, the width of the state; a positive integer.
        activation: of the candidate; None, as in the paper, by default.
        recurrent_activation: of the gate; "sigmoid" by default.
        use_bias, kernel_initializer, bias_initializer: as in `RecurrentCell`.

    Raises:
        ValueError: if `units` is not a positive integer, or if there is a `recurrent_initializer`.

    Example:
        >>> import keras
        >>> cell = MinGRUCell(16)
        >>> keras.layers.RNN(cell, return_sequences=True)(keras.ops.ones((2, 5, 3))).shape.as_list()
        [2, 5, 16]
        >>> [(w.name, tuple(w.shape)) for w in cell.weights]
        [('kernel', (3, 32)), ('bias', (32,))]

    Reference: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi 2024, Were RNNs all we needed?,
    arXiv:2410.01201. First used in lesson 07.
    """

    gates = 2

    def __init__(self, units, activation=None, recurrent_activation="sigmoid", **kwargs):
        if "recurrent_initializer" in kwargs:
            raise ValueError(
                "`recurrent_initializer` must be left out: MinGRUCell has no recurrent kernel. "
                f"Received: recurrent_initializer={kwargs['recurrent_initializer']!r}"
            )
        super().__init__(units, activation, recurrent_activation, **kwargs)

    def build(self, input_shape):
        """Add the weights; unlike in `RecurrentCell`, there is no recurrent kernel."""
        add, N = self.add_weight, self.units
        self.kernel = add((input_shape[-1], 2 * N), self.kernel_initializer, name="kernel")
        self.bias = add((2 * N,), self.bias_initializer, name="bias") if self.use_bias else None

    def call(self, inputs, states, training=False):
        """Return `(h, [h])` for `inputs` (batch, D) and `states` [(batch, N)]."""
        (h,) = self.check_states(states)

        x = ops.matmul(inputs, self.kernel)  # (batch, 2 * units)
        if self.use_bias:
            x = ops.add(x, self.bias)
        x_z, x_h = ops.split(x, 2, axis=-1)

        z = self.recurrent_activation(x_z)
        candidate = self.activation(x_h)
        h = z * h + (1 - z) * candidate
        return h, [h]

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        config = super().get_config()
        del config["recurrent_initializer"]
        return config
