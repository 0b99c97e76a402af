"""Initializers of recurrent matrices and of an LSTM's bias."""

import random

import keras
import numpy as np
from keras import ops

__all__ = ["BlockOrthogonal", "ChronoBias", "ForgetBias", "ScaledIdentity", "SpectralRadius"]


def _number(value, name, *, positive=False):
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
    if not np.isfinite(value) or (positive and value <= 0):
        rule = "positive and finite" if positive else "finite"
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return float(value)


def _integer(value, name, least):
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` must be an integer >= {least}. Received: {name}={value!r}")
    return value


def _rows(initializer, shape, blocks):
    """N, of a matrix (N, blocks N)."""
    shape = tuple(shape)
    if len(shape) != 2 or shape[1] != blocks * shape[0]:
        need = "a square matrix (N, N)" if blocks == 1 else f"a matrix (N, {blocks} N)"
        raise ValueError(f"`{type(initializer).__name__}` needs {need}. Received: shape={shape}")
    return shape[0]


def _lstm_units(initializer, shape):
    """N, of an LSTM's bias (4 N,)."""
    shape = tuple(shape)
    if len(shape) != 1 or shape[0] % 4:
        raise ValueError(
            f"`{type(initializer).__name__}` needs the bias of an LSTM, (4 N,), in one piece; "
            f"keras.layers.LSTM asks so only with unit_forget_bias=False. Received: shape={shape}"
        )
    return shape[0] // 4


def _tensor(values, dtype):
    return ops.convert_to_tensor(values, dtype=dtype or keras.config.floatx())


class _Initializer(keras.initializers.Initializer):
    """Keeps each argument under its own name, and gives them all back as its config."""

    def __init__(self, **arguments):
        self._arguments = arguments
        vars(self).update(arguments)

    def get_config(self):
        """The arguments of `__init__`."""
        return dict(self._arguments)


class _Seeded(_Initializer):
    """Draws with NumPy from `seed`; as in Keras, a copy of one without a seed draws a new one."""

    def __init__(self, seed, **arguments):
        super().__init__(**arguments, seed=seed if seed is None else _integer(seed, "seed", 0))
        if seed is None:
            self.seed = random.randint(1, 10**9)


@keras.saving.register_keras_serializable(package="course_utils")
class SpectralRadius(_Seeded):
    """A Gaussian matrix scaled to a given spectral radius, the largest |eigenvalue|.

        W = radius * G / max_i |lambda_i(G)|,    G_ij ~ N(0, 1)

    The same seed gives the same G for every radius, so that two networks can differ in the radius
    alone. Without a seed one is drawn from Python's `random`, which `keras.utils.set_random_seed`
    sets.

    Args:
        radius: the spectral radius; positive.
        seed: integer, at least 0, or None to draw one.

    Raises:
        ValueError: if `radius` is not positive, or the matrix is not square.
        TypeError: if `radius` is not a number.

    Example:
        >>> import numpy as np
        >>> W = np.asarray(SpectralRadius(1.5, seed=0)((64, 64)))
        >>> round(float(np.abs(np.linalg.eigvals(W)).max()), 4)
        1.5

    First used in lesson 03.
    """

    def __init__(self, radius, seed=None):
        super().__init__(seed, radius=_number(radius, "radius", positive=True))

    def __call__(self, shape, dtype=None):
        """The matrix of shape (N, N)."""
        size = _rows(self, shape, 1)
        gaussian = np.random.default_rng(self.seed).normal(size=(size, size))
        return _tensor(self.radius / np.abs(np.linalg.eigvals(gaussian)).max() * gaussian, dtype)


@keras.saving.register_keras_serializable(package="course_utils")
class ScaledIdentity(_Initializer):
    """`scale` times the identity matrix; with ReLU and scale 1 it makes an IRNN.

    Args:
        scale: a finite number.

    Raises:
        ValueError: if `scale` is not finite, or the matrix is not square.
        TypeError: if `scale` is not a number.

    Example:
        >>> ScaledIdentity(0.5)((2, 2)).numpy().tolist()
        [[0.5, 0.0], [0.0, 0.5]]

    Reference: Le, Jaitly & Hinton 2015, A simple way to initialize recurrent networks of rectified
    linear units, arXiv:1504.00941. First used in lesson 03.
    """

    def __init__(self, scale=1.0):
        super().__init__(scale=_number(scale, "scale"))

    def __call__(self, shape, dtype=None):
        """The matrix of shape (N, N)."""
        return _tensor(self.scale * np.eye(_rows(self, shape, 1)), dtype)


@keras.saving.register_keras_serializable(package="course_utils")
class BlockOrthogonal(_Seeded):
    """Orthogonal blocks side by side: one per gate, each orthogonal by itself.

        W = gain * [Q_1 | ... | Q_blocks],    Q_k^T Q_k = I,  each drawn uniformly

    `keras.initializers.Orthogonal` treats the recurrent kernel (N, 4 N) of an LSTM as one matrix
    and makes its N rows orthonormal. No gate's own (N, N) block is orthogonal then: at N = 64 the
    singular values of a block run from under 0.02 to about 0.86, with the median at 0.44 (means of
    80 blocks). Here all of them are `gain`.

    Args:
        blocks: how many blocks of shape (N, N): 4 for an LSTM, 3 for a GRU, 1 for a simple cell.
        gain: what every singular value of a block is; positive.
        seed: integer, at least 0, or None to draw one.

    Raises:
        ValueError: if `blocks` is not a positive integer, `gain` is not positive, or the matrix is
            not of shape (N, blocks * N).
        TypeError: if `gain` is not a number.

    Example:
        >>> import keras, numpy as np
        >>> def block(initializer):
        ...     return np.asarray(initializer((64, 256)))[:, :64]
        >>> np.linalg.svd(block(BlockOrthogonal(4, seed=0)))[1].round(5).tolist() == [1.0] * 64
        True
        >>> bool(np.linalg.svd(block(keras.initializers.Orthogonal(seed=0)))[1].max() < 0.95)
        True

    First used in lesson 06.
    """

    def __init__(self, blocks, gain=1.0, seed=None):
        blocks, gain = _integer(blocks, "blocks", 1), _number(gain, "gain", positive=True)
        super().__init__(seed, blocks=blocks, gain=gain)

    def __call__(self, shape, dtype=None):
        """The matrix of shape (N, blocks * N)."""
        size = _rows(self, shape, self.blocks)
        gaussian = np.random.default_rng(self.seed).normal(size=(self.blocks, size, size))
        Q, R = np.linalg.qr(gaussian)
        Q *= np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None]  # without it Q is not uniform
        return _tensor(self.gain * np.concatenate(Q, axis=1), dtype)


@keras.saving.register_keras_serializable(package="course_utils")
class ForgetBias(_Initializer):
    """The bias of an LSTM: `value` for the forget gate, 0 for the other gates.

        b = [0, value, 0, 0],    gates i, f, g, o, each of N units

    At the start, near zero inputs and states, the forget gate is sigmoid(value): a cell keeps half
    of its state per step with value 0, 0.73 with 1, 0.993 with 5.

    `keras.layers.LSTM` needs `unit_forget_bias=False` with it. Otherwise Keras asks the initializer
    for the gates' biases in pieces, (N,) for i and (2 N,) for g and o, and fills that of f with
    ones itself. Then `value` never gets to the forget gate: with N divisible by 4 it lands in the
    other gates, without an error.

    Args:
        value: a finite number.

    Raises:
        ValueError: if `value` is not finite, or the shape is not (4 N,).
        TypeError: if `value` is not a number.

    Example:
        >>> import keras
        >>> right = keras.layers.LSTM(4, bias_initializer=ForgetBias(5), unit_forget_bias=False)
        >>> right.build((1, 10, 3))
        >>> right.cell.bias.numpy().reshape(4, 4).tolist()  # a row per gate
        [[0.0, 0.0, 0.0, 0.0], [5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
        >>> wrong = keras.layers.LSTM(4, bias_initializer=ForgetBias(5))
        >>> wrong.build((1, 10, 3))
        >>> wrong.cell.bias.numpy().reshape(4, 4).tolist()
        [[0.0, 5.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 5.0], [0.0, 0.0, 0.0, 0.0]]

    Reference: Gers, Schmidhuber & Cummins 2000, Learning to forget: continual prediction with LSTM.
    First used in lesson 06.
    """

    def __init__(self, value=1.0):
        super().__init__(value=_number(value, "value"))

    def __call__(self, shape, dtype=None):
        """The bias of shape (4 N,)."""
        return _tensor(np.repeat([0, self.value, 0, 0], _lstm_units(self, shape)), dtype)


@keras.saving.register_keras_serializable(package="course_utils")
class ChronoBias(_Seeded):
    """The bias of an LSTM that spreads its cells' memories over lags up to `max_lag`.

        b_f = log u,  b_i = -b_f,  b_g = b_o = 0,    u ~ Uniform(1, max_lag - 1), one per unit

    Near zero inputs and states the forget gate is then f = u / (1 + u), the input gate 1 - f, and
    the cell forgets over 1 / (1 - f) = 1 + u steps: between 2 and `max_lag`. With max_lag = 2 all
    biases are 0.

    `keras.layers.LSTM` needs `unit_forget_bias=False` with it, as `ForgetBias` explains. The paper
    also treats GRUs; this is the LSTM's layout only. The bias (2, 3 N) of Keras' default GRU is
    refused; a bias (3 N,) is too unless N is divisible by 4, where its shape cannot tell.

    Args:
        max_lag: the longest lag to remember, in steps; at least 2.
        seed: integer, at least 0, or None to draw one.

    Raises:
        ValueError: if `max_lag` is under 2 or not finite, or the shape is not (4 N,).
        TypeError: if `max_lag` is not a number.

    Example:
        >>> import keras, numpy as np
        >>> b_i, b_f, b_g, b_o = np.split(np.asarray(ChronoBias(100, seed=0)((4 * 1000,))), 4)
        >>> memory = 1 / (1 - 1 / (1 + np.exp(-b_f)))  # in steps
        >>> round(float(memory.min())), round(float(memory.max()))
        (2, 100)
        >>> bool((b_i == -b_f).all()), float(abs(b_g).max()), float(abs(b_o).max())
        (True, 0.0, 0.0)

    Reference: Tallec & Ollivier 2018, Can recurrent neural networks warp time?, arXiv:1804.11188.
    First used in lesson 06.
    """

    def __init__(self, max_lag, seed=None):
        super().__init__(seed, max_lag=_number(max_lag, "max_lag"))
        if self.max_lag < 2:
            raise ValueError(f"`max_lag` must be at least 2 steps. Received: max_lag={max_lag!r}")

    def __call__(self, shape, dtype=None):
        """The bias of shape (4 N,)."""
        size = _lstm_units(self, shape)
        forget = np.log(np.random.default_rng(self.seed).uniform(1, self.max_lag - 1, size))
        return _tensor(np.concatenate([-forget, forget, np.zeros(2 * size)]), dtype)
