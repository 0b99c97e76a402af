"""Initializers of recurrent matrices."""

import random

import keras
import numpy as np
from keras import ops

__all__ = ["ScaledIdentity", "SpectralRadius"]


def _square(shape, name):
    shape = tuple(shape)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"`{name}` needs a square matrix (N, N). Received: shape={shape}")
    return shape


def _number(value, name, *, positive):
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
    if not np.isfinite(value) or (positive and value <= 0):
        rule = "positive and finite" if positive else "finite"
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return float(value)


@keras.saving.register_keras_serializable(package="course_utils")
class SpectralRadius(keras.initializers.Initializer):
    """A Gaussian matrix scaled to a given spectral radius, the largest |eigenvalue|.

        W = radius * G / max_i |lambda_i(G)|,    G_ij ~ N(0, 1)

    The same seed gives the same G for every radius, so that two networks can differ in the radius
    alone. Without a seed one is drawn from Python's `random`, which `keras.utils.set_random_seed`
    sets.

    Args:
        radius: the spectral radius; positive.
        seed: integer, or None to draw one.

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
        self.radius = _number(radius, "radius", positive=True)
        self.seed = random.randint(1, 10**9) if seed is None else seed

    def __call__(self, shape, dtype=None):
        """The matrix of shape (N, N)."""
        gaussian = np.random.default_rng(self.seed).normal(size=_square(shape, "SpectralRadius"))
        matrix = self.radius / np.abs(np.linalg.eigvals(gaussian)).max() * gaussian
        return ops.convert_to_tensor(matrix, dtype=dtype or keras.config.floatx())

    def get_config(self):
        """The arguments of `__init__`."""
        return {"radius": self.radius, "seed": self.seed}


@keras.saving.register_keras_serializable(package="course_utils")
class ScaledIdentity(keras.initializers.Initializer):
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
        self.scale = _number(scale, "scale", positive=False)

    def __call__(self, shape, dtype=None):
        """The matrix of shape (N, N)."""
        size, _ = _square(shape, "ScaledIdentity")
        return ops.cast(self.scale * np.eye(size), dtype or keras.config.floatx())

    def get_config(self):
        """The arguments of `__init__`."""
        return {"scale": self.scale}
