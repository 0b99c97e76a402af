"""Norms and clipping against NumPy and against Keras' own arithmetic."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from course_utils.gradients import clip_by_global_norm, global_norm, variable_norms


def random_gradients(dtype="float32", scale=1.0):
    rng = np.random.default_rng(0)
    shapes = [(7, 5), (5,), (), (3, 4, 2)]
    return [tf.constant(rng.normal(size=shape) * scale, dtype) for shape in shapes]


def repeated_rows():
    """IndexedSlices in which row 2 stands three times, and what they mean."""
    values = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    indices = [2, 0, 2, 2]
    dense = np.zeros((5, 3), "float32")
    np.add.at(dense, indices, values)
    return tf.IndexedSlices(tf.constant(values), tf.constant(indices), tf.constant([5, 3])), dense


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_norms_equal_numpy(dtype):
    gradients = random_gradients(dtype)
    expected = [np.linalg.norm(g.numpy().astype("float64").ravel()) for g in gradients]
    norms = variable_norms(gradients)
    assert norms.dtype == "float32"
    np.testing.assert_allclose(norms, expected, rtol=1e-6)
    total = global_norm(gradients)
    assert total.dtype == ("float64" if dtype == "float64" else "float32")
    np.testing.assert_allclose(total, np.linalg.norm(expected), rtol=1e-6)


def test_a_missing_gradient_has_norm_zero():
    first, *rest = random_gradients()
    assert variable_norms([None, first])[0] == 0
    assert global_norm([None, first, *rest, None]) == global_norm([first, *rest])


def test_repeated_rows_are_added_before_the_norm():
    sparse, dense = repeated_rows()
    norms = variable_norms([sparse, tf.constant([3.0, 4.0])])
    np.testing.assert_allclose(norms, [np.linalg.norm(dense), 5.0], rtol=1e-6)
    # Keras' way, the norm of the rows as they stand, is another number.
    assert abs(norms[0] - np.linalg.norm(sparse.values)) > 0.1


def test_float16_gradients_do_not_overflow():
    assert global_norm([tf.constant([300.0, 400.0], "float16")]) == 500


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("max_norm", [0.3, 0.7, 1.1, 3.0, 100.0])
def test_clipping_equals_keras_to_the_last_bit(dtype, max_norm):
    gradients = random_gradients(dtype, scale=1.7)
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=max_norm)
    zeros = [keras.Variable(np.zeros(g.shape), dtype=dtype) for g in gradients]
    optimizer.apply(gradients, zeros)
    ours = clip_by_global_norm(gradients, max_norm)
    for gradient, zero in zip(ours, zeros, strict=True):
        np.testing.assert_array_equal(gradient, -zero.numpy())


def test_clipping_keeps_the_direction_and_reaches_the_threshold():
    gradients = random_gradients()
    clipped = clip_by_global_norm(gradients, 0.5)
    np.testing.assert_allclose(global_norm(clipped), 0.5, rtol=1e-6)
    factor = 0.5 / global_norm(gradients)
    for before, after in zip(gradients, clipped, strict=True):
        np.testing.assert_allclose(after, before * factor, rtol=1e-5)


def test_clipping_keeps_none_and_indexed_slices():
    sparse, dense = repeated_rows()
    nothing, clipped = clip_by_global_norm([None, sparse], keras.Variable(0.5))
    assert nothing is None and isinstance(clipped, tf.IndexedSlices)
    expected = dense * 0.5 / np.linalg.norm(dense)
    np.testing.assert_allclose(tf.convert_to_tensor(clipped), expected, rtol=1e-5)


def test_a_known_norm_is_used():
    gradients = random_gradients()
    clipped = clip_by_global_norm(gradients, 1.0, norm=tf.constant(4.0))
    np.testing.assert_allclose(clipped[0], gradients[0] / 4, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_non_finite_gradients_are_not_hidden(bad):
    clipped = clip_by_global_norm([tf.constant([1.0, bad]), tf.constant([2.0])], 1.0)
    assert all(np.isnan(g).all() for g in clipped)
