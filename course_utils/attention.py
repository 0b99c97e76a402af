"""Attention: a weighted mean of a sequence, with weights that a query decides.

Both layers score every step of a sequence against the query, turn the scores into weights with a
softmax over the steps that are not padding, and return the weighted mean *and* the weights. They
differ in the score alone.
"""

import keras
from keras import ops

__all__ = ["BahdanauAttention", "LuongAttention"]


class _Attention(keras.layers.Layer):
    """What both layers share: weights from scores, the mask, one query or many."""

    def add_matrix(self, name, *shape):
        return self.add_weight(name=name, shape=shape, initializer="glorot_uniform")

    def call(self, query, values, values_mask=None):
        if len(query.shape) == 2:  # one step of a decoder
            outputs = self.call(ops.expand_dims(query, 1), values, values_mask)
            return tuple(ops.squeeze(output, 1) for output in outputs)
        scores = self.score(query, values)  # (batch, queries, time)
        if values_mask is None:
            weights = ops.softmax(scores, axis=-1)
        else:
            keep = ops.expand_dims(ops.cast(values_mask, "bool"), 1)
            least = -6e4 if scores.dtype == "float16" else -1e9
            weights = ops.softmax(ops.where(keep, scores, least), axis=-1)
            weights = ops.where(keep, weights, 0.0)  # a row that is all padding: no weight at all
        return ops.matmul(weights, values), weights

    def compute_mask(self, *args, **kwargs):  # that there is one tells Keras: masks are understood
        return None, None


def _additive(query, keys, vector):
    """v . tanh(q + k) for every pair: (batch, queries, time)."""
    pairs = ops.expand_dims(query, 2) + ops.expand_dims(keys, 1)
    return ops.sum(vector * ops.tanh(pairs), axis=-1)


@keras.saving.register_keras_serializable(package="course_utils")
class BahdanauAttention(_Attention):
    """Additive attention with learned projections.

        e_j = v . tanh(W_q q + W_k h_j)        a = softmax(e)        c = sum_j a_j h_j

    The query q is the decoder's *previous* state, and the context c enters its next step.

    Args:
        units: A, the width of the comparison; a positive integer.
        **kwargs: `name`, `dtype`, … of `keras.layers.Layer`.

    Weights, in `get_weights()` order (no biases, as in the paper's equations):

    | weight | shape | meaning |
    |---|---|---|
    | `query_kernel` | (Q, A) | W_q |
    | `key_kernel` | (D, A) | W_k |
    | `score_vector` | (A,) | v |

    Call arguments:
        query: (batch, Q), or (batch, queries, Q) for many queries at once.
        values: h, (batch, time, D).
        values_mask: None, or (batch, time), False at padding. Keras hands it on by itself from an
            `Embedding(mask_zero=True)`.

    Returns:
        The context, (batch, D) or (batch, queries, D), and the weights, (batch, time) or (batch,
        queries, time). Weights sum to one, with exact zeros at padding. A row that is *all* padding
        gets weights and context of zero (`keras.layers.AdditiveAttention` would average the
        padding).

    Example:
        >>> attention = BahdanauAttention(8)
        >>> context, weights = attention(ops.ones((2, 4)), ops.ones((2, 3, 6)))
        >>> context.shape, weights.shape
        (TensorShape([2, 6]), TensorShape([2, 3]))

    With identity matrices for W_q and W_k it is `keras.layers.AdditiveAttention`, whose `scale` is
    v: the Keras layer leaves the projections to you.

    Reference: Bahdanau, Cho & Bengio 2015, Neural machine translation by jointly learning to align
    and translate, ICLR, arXiv:1409.0473. First used in lesson 17.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        _check_units(units)
        self.units = units

    def build(self, query_shape, values_shape):
        """Adds the weights of the table."""
        self.query_kernel = self.add_matrix("query_kernel", query_shape[-1], self.units)
        self.key_kernel = self.add_matrix("key_kernel", values_shape[-1], self.units)
        self.score_vector = self.add_matrix("score_vector", self.units)

    def score(self, query, values):
        """e_j for every query, (batch, queries, time)."""
        queries = ops.matmul(query, self.query_kernel)  # (batch, queries, units)
        keys = ops.matmul(values, self.key_kernel)  # (batch, time, units)
        return _additive(queries, keys, self.score_vector)

    def get_config(self):
        """What `__init__` needs to make the layer again."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="course_utils")
class LuongAttention(_Attention):
    """Attention with one of three scores.

        dot      e_j = q . h_j
        general  e_j = q . W h_j
        concat   e_j = v . tanh(W [q; h_j])

    The query q is the decoder's *current* state; the decoder combines it with the context after the
    recurrence, in the paper by tanh(W_c [c; q]), which is left to a `Dense` layer. "concat" is
    Bahdanau's score with W_q and W_k stacked in one matrix. No score is divided by the root of the
    width, as the Transformer's is.

    Args:
        score: "dot", "general" or "concat".
        units: A, the width of the comparison, for "concat" only.
        **kwargs: `name`, `dtype`, … of `keras.layers.Layer`.

    Weights, in `get_weights()` order: "dot" none; "general" `kernel` (Q, D), W; "concat" `kernel`
    (Q + D, A), W with the query's rows first, and `score_vector` (A,), v.

    Call arguments and returns: as of `BahdanauAttention`. "dot" needs Q = D.

    Example:
        >>> context, weights = LuongAttention("dot")(ops.ones((1, 2, 4)), ops.ones((1, 5, 4)))
        >>> weights.shape, round(float(weights[0, 0, 0]), 3)
        (TensorShape([1, 2, 5]), 0.2)

    "dot" is `keras.layers.Attention()`; "general" is the same layer with the query multiplied by W.

    Reference: Luong, Pham & Manning 2015, Effective approaches to attention-based neural machine
    translation, EMNLP, arXiv:1508.04025. First used in lesson 17.
    """

    def __init__(self, score="general", units=None, **kwargs):
        super().__init__(**kwargs)
        if score not in ("dot", "general", "concat"):
            raise ValueError(f"`score` must be 'dot', 'general' or 'concat'. Received: {score=}")
        if score == "concat":
            _check_units(units)
        elif units is not None:
            raise ValueError(f"`units` is for score='concat' only. Received: units={units!r}")
        self.kind, self.units = score, units

    def build(self, query_shape, values_shape):
        """Adds the weights that the score needs."""
        query, value = query_shape[-1], values_shape[-1]
        if self.kind == "dot" and query != value:
            raise ValueError(
                "`query` and `values` must have the same width for score='dot'. "
                f"Received: widths {query} and {value}"
            )
        if self.kind == "general":
            self.kernel = self.add_matrix("kernel", query, value)
        if self.kind == "concat":
            self.kernel = self.add_matrix("kernel", query + value, self.units)
            self.score_vector = self.add_matrix("score_vector", self.units)

    def score(self, query, values):
        """e_j for every query, (batch, queries, time)."""
        if self.kind == "concat":
            width = query.shape[-1]
            queries = ops.matmul(query, self.kernel[:width])
            keys = ops.matmul(values, self.kernel[width:])
            return _additive(queries, keys, self.score_vector)
        if self.kind == "general":
            query = ops.matmul(query, self.kernel)
        return ops.matmul(query, ops.transpose(values, (0, 2, 1)))

    def get_config(self):
        """What `__init__` needs to make the layer again."""
        return {**super().get_config(), "score": self.kind, "units": self.units}


def _check_units(units):
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise ValueError(f"`units` must be a positive integer. Received: units={units!r}")
