"""The part that all recurrent cells share: weights, sizes, configuration."""

import keras
from keras import ops

__all__ = ["RecurrentCell"]


class RecurrentCell(keras.layers.Layer):
    """A recurrent cell's weights; subclasses write `call`.

    A cell with G gates and N units, reading D features, owns three weights in Keras' order and
    layout, so that `set_weights` moves them to and from the Keras cell of the same family:

    | weight | shape | meaning |
    |---|---|---|
    | `kernel` | (D, G N) | multiplies the input x_t |
    | `recurrent_kernel` | (N, G N) | multiplies the previous state h_{t-1} |
    | `bias` | (G N,) | added to their sum; absent when `use_bias=False` |

    A subclass sets the class attribute `gates` (G), overrides `state_size` if it carries more than
    one state, and writes `call(inputs, states, training=False) -> (output, new_states)`, whose
    first line unpacks `self.check_states(states)`.

    Args:
        units: N, the width of the state; a positive integer.
        activation: name of a Keras activation, a callable, or None for a linear cell.
        use_bias: whether the cell has a bias.
        kernel_initializer: initializer of `kernel`.
        recurrent_initializer: initializer of `recurrent_kernel`.
        bias_initializer: initializer of `bias`.

    Raises:
        ValueError: if `units` is not a positive integer.

    Example:
        >>> import keras
        >>> class SumCell(RecurrentCell):
        ...     def call(self, inputs, states, training=False):
        ...         (h,) = self.check_states(states)
        ...         h = keras.ops.matmul(inputs, self.kernel) + h
        ...         return h, [h]
        >>> keras.layers.RNN(SumCell(3))(keras.ops.ones((2, 5, 4))).shape.as_list()
        [2, 3]

    First used in lesson 01.
    """

    gates = 1

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        **kwargs,
    ):
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise ValueError(f"`units` must be a positive integer. Received: units={units!r}")
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    @property
    def state_size(self):
        """Width of the state: an integer, or a list of one integer per state."""
        return self.units

    @property
    def output_size(self):
        """Width of the output of one step."""
        return self.units

    def build(self, input_shape):
        """Add the weights for inputs of shape (batch, features)."""
        width = self.gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width), initializer=self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width),
            initializer=self.recurrent_initializer,
            name="recurrent_kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(width,), initializer=self.bias_initializer, name="bias"
            )
        self.built = True

    def get_initial_state(self, batch_size=None):
        """Zeros, one array of shape (batch, size) per state."""
        sizes = keras.tree.flatten(self.state_size)
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]

    def check_states(self, states):
        """The `states`, or ValueError unless they are a list of one (batch, size) per state."""
        sizes = keras.tree.flatten(self.state_size)
        listed = isinstance(states, list | tuple)
        found = [tuple(s.shape) for s in states] if listed else type(states).__name__
        if not listed or [shape[1:] for shape in found] != [(size,) for size in sizes]:
            shapes = ", ".join(f"(batch, {size})" for size in sizes)
            raise ValueError(f"`states` must be a list of shapes [{shapes}]. Received: {found}")
        return states

    def get_config(self):
        """The arguments of `__init__`, for saving and copying."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
