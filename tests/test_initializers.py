"""Initializers: what they promise, for every seed; and what they refuse."""

import keras
import numpy as np
import pytest

from course_utils.initializers import ScaledIdentity, SpectralRadius


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0])
def test_the_spectral_radius_is_that_asked_for(radius, seed):
    matrix = np.asarray(SpectralRadius(radius, seed=seed)((40, 40), dtype="float64"))
    assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(radius, rel=1e-12)


def test_one_seed_gives_the_same_directions_at_every_radius():
    one, three = (np.asarray(SpectralRadius(r, seed=7)((9, 9), "float64")) for r in (1.0, 3.0))
    np.testing.assert_allclose(three, 3 * one, rtol=1e-12)
    other = np.asarray(SpectralRadius(1.0, seed=8)((9, 9), "float64"))
    assert np.abs(one - other).max() > 0.01


def test_without_a_seed_keras_seeds_it():
    draws = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        draws.append(np.asarray(SpectralRadius(1.0)((4, 4))))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).max() > 0.01


@pytest.mark.parametrize("initializer", [SpectralRadius(1.5, seed=3), ScaledIdentity(0.5)])
def test_serialized_and_restored(initializer):
    copy = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    np.testing.assert_array_equal(copy((6, 6)), initializer((6, 6)))
    layer = keras.layers.SimpleRNN(6, recurrent_initializer=initializer)
    layer.build((1, 2, 3))
    np.testing.assert_array_equal(layer.cell.recurrent_kernel, initializer((6, 6)))


def test_the_identity_in_every_type():
    for dtype in ("float16", "float32", "float64"):
        matrix = ScaledIdentity(2)((3, 3), dtype=dtype)
        assert keras.backend.standardize_dtype(matrix.dtype) == dtype
        np.testing.assert_array_equal(matrix, 2 * np.eye(3))


@pytest.mark.parametrize("initializer", [SpectralRadius(1.0, seed=0), ScaledIdentity()])
@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 2, 2)])
def test_only_square_matrices(initializer, shape):
    with pytest.raises(ValueError, match=rf"needs a square matrix.*\({shape[0]},"):
        initializer(shape)


@pytest.mark.parametrize("radius", [0, -1.0, float("nan"), float("inf")])
def test_the_radius_is_positive_and_finite(radius):
    with pytest.raises(ValueError, match=r"`radius` must be positive and finite. Received: radius"):
        SpectralRadius(radius)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"`radius` must be a number. Received: radius='large'"):
        SpectralRadius("large")
    with pytest.raises(ValueError, match=r"`scale` must be finite. Received: scale=inf"):
        ScaledIdentity(float("inf"))
