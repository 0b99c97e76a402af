"""Norms and clipping of a list of gradients, one per variable."""

import tensorflow as tf
from keras import ops

__all__ = ["clip_by_global_norm", "global_norm", "variable_norms"]


def _norms(gradients):
    """What `variable_norms` and `global_norm` return, from the same sums of squares."""
    wide = any(g is not None and g.dtype == tf.float64 for g in gradients)
    dtype = tf.float64 if wide else tf.float32
    # Making IndexedSlices dense adds up the rows that stand there more than once.
    dense = [None if g is None else tf.cast(tf.convert_to_tensor(g), dtype) for g in gradients]
    squares = [None if g is None else tf.reduce_sum(tf.square(g)) for g in dense]
    each = [0.0 if s is None else tf.cast(tf.sqrt(s), tf.float32) for s in squares]
    # Keras leaves None out before it adds, and the order of a sum shows in the last bit.
    total = tf.reduce_sum(tf.stack([s for s in squares if s is not None]))
    return tf.stack(each), tf.sqrt(total)


def variable_norms(gradients):
    """Euclidean norm of every gradient.

        n_i = sqrt(sum_j g_ij^2)

    Sums of squares are taken in float32 (float64 if a gradient is float64): in float32 a norm below
    about 1e-22 reads as 0 and one above about 1e19 as infinite.

    Args:
        gradients: a list with one tensor, `tf.IndexedSlices` or None per variable. The rows of
            IndexedSlices that belong to the same row of the variable are added first; None has
            norm 0.

    Returns:
        A float32 tensor of shape (len(gradients),).

    Example:
        >>> import tensorflow as tf
        >>> twice = tf.IndexedSlices(tf.constant([[3.0, 0.0], [0.0, 4.0]]), [1, 1], [5, 2])
        >>> variable_norms([tf.constant([3.0, 4.0]), None, twice]).numpy().tolist()
        [5.0, 0.0, 5.0]

    First used in lesson 05.
    """
    return _norms(gradients)[0]


def global_norm(gradients):
    """Euclidean norm of all gradients together, as if they were one long vector.

        n = sqrt(sum_i n_i^2),    n_i as in `variable_norms`

    Args:
        gradients: as in `variable_norms`, not all None.

    Returns:
        A scalar tensor, float64 if a gradient is float64 and float32 otherwise.

    Example:
        >>> import tensorflow as tf
        >>> float(global_norm([tf.constant([3.0]), None, tf.constant([[4.0]])]))
        5.0

    First used in lesson 05.
    """
    return _norms(gradients)[1]


def clip_by_global_norm(gradients, max_norm, norm=None):
    """Scale all gradients by one factor, so that their global norm is at most `max_norm`.

        g_i <- g_i * c * min(1/n, 1/c),    c = max_norm, n = global_norm(gradients)

    One factor for all keeps the direction. A gradient that is not finite stays so: an infinite or
    NaN norm makes every gradient NaN, as in Keras. On dense float32 and float64 gradients the
    result equals that of `global_clipnorm` of a Keras optimizer to the last bit.

    Args:
        gradients: as in `variable_norms`, not all None.
        max_norm: the threshold c, a positive number or a scalar tensor or variable.
        norm: the global norm, if it is known already.

    Returns:
        A list of the same length; None and `tf.IndexedSlices` stay what they are.

    Example:
        >>> import tensorflow as tf
        >>> clip_by_global_norm([tf.constant([3.0]), None, tf.constant([4.0])], 2.5)[0].numpy()
        array([1.5], dtype=float32)

    Reference: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
    networks, arXiv:1211.5063. First used in lesson 05.
    """
    norm = global_norm(gradients) if norm is None else norm
    # Keras takes 1/c in float64, where c is a Python number.
    max_norm = ops.convert_to_tensor(max_norm, dtype="float64")
    factor = tf.minimum(1.0 / norm, tf.cast(1.0 / max_norm, norm.dtype))
    scale = tf.cast(max_norm, norm.dtype) * factor + (norm - norm)  # NaN if not finite
    return [g if g is None else tf.math.scalar_mul(tf.cast(scale, g.dtype), g) for g in gradients]
