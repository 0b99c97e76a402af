"""Attention against NumPy, against Keras' layers, under masks, and through save and load."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from course_utils.attention import BahdanauAttention, LuongAttention

MAKERS = {
    "bahdanau": lambda **k: BahdanauAttention(7, **k),
    "dot": lambda **k: LuongAttention("dot", **k),
    "general": lambda **k: LuongAttention("general", **k),
    "concat": lambda **k: LuongAttention("concat", 7, **k),
}
each = pytest.mark.parametrize("kind", MAKERS)


def data(kind, dtype="float64"):
    """Three examples, two queries, five steps; example 1 ends early, example 2 is empty."""
    rng = np.random.default_rng(3)
    query = rng.normal(size=(3, 2, 4 if kind == "dot" else 3)).astype(dtype)
    values = rng.normal(size=(3, 5, 4)).astype(dtype)
    return query, values, np.arange(5) < np.array([[5], [3], [0]])


def made(kind, dtype="float64"):
    layer = MAKERS[kind](dtype=dtype)
    query, values, mask = data(kind)
    layer(query, values)
    rng = np.random.default_rng(4)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer, query, values, mask


def reference(kind, weights, query, values, mask):
    """One example and one query at a time, with the formulas of the papers."""
    context = np.zeros((*query.shape[:2], values.shape[-1]))
    alpha = np.zeros((*query.shape[:2], values.shape[1]))
    for b in range(len(query)):
        for n, q in enumerate(query[b]):
            kept = np.flatnonzero(mask[b])
            scores = []
            for j in kept:
                h = values[b, j]
                if kind == "dot":
                    scores.append(q @ h)
                elif kind == "general":
                    scores.append(q @ weights[0] @ h)
                elif kind == "concat":
                    scores.append(weights[1] @ np.tanh(np.concatenate([q, h]) @ weights[0]))
                else:
                    scores.append(weights[2] @ np.tanh(q @ weights[0] + h @ weights[1]))
            if len(kept):
                alpha[b, n, kept] = np.exp(scores - np.max(scores))
                alpha[b, n] /= alpha[b, n].sum()
            context[b, n] = alpha[b, n] @ values[b]
    return context, alpha


@each
def test_equals_the_papers(kind):
    layer, query, values, mask = made(kind)
    expected = reference(kind, layer.get_weights(), query, values, mask)
    for found, right in zip(layer(query, values, values_mask=mask), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-12, rtol=0)
    expected = reference(kind, layer.get_weights(), query, values, np.ones_like(mask))
    for found, right in zip(layer(query, values), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-12, rtol=0)


@each
def test_weights_sum_to_one_and_are_zero_at_padding(kind):
    layer, query, values, mask = made(kind, "float32")
    context, weights = (np.asarray(x) for x in layer(query, values, values_mask=mask))
    np.testing.assert_allclose(weights.sum(-1), [[1, 1], [1, 1], [0, 0]], atol=1e-6)
    assert (weights[np.broadcast_to(~mask[:, None], weights.shape)] == 0).all()
    assert (context[2] == 0).all()
    values[~mask] = 1e6  # what stands at padding does not matter
    again = layer(query, values, values_mask=mask)[0]
    np.testing.assert_array_equal(again, context)


def keras_twin(kind, layer, query):
    """Keras' layer with the same score, its query, and whether the keys need a projection."""
    weights = [keras.ops.convert_to_tensor(w) for w in layer.trainable_weights]
    if kind == "bahdanau":
        twin = layers.AdditiveAttention(dtype="float64")
        twin.build([(3, 2, 7), (3, 5, 4), (3, 5, 7)])
        twin.scale.assign(weights[2])
        return twin, query @ weights[0], weights[1]
    twin = layers.Attention(dtype="float64")
    return twin, query @ weights[0] if kind == "general" else query, None


@pytest.mark.parametrize("kind", ["bahdanau", "dot", "general"])
def test_equals_keras_gradients_included(kind):
    layer, query, values, mask = made(kind)
    query, values, mask = query[:2], values[:2], mask[:2]  # Keras averages all-padding rows
    query, values = tf.constant(query), tf.constant(values)
    results = []
    for ours in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([query, values])
            if ours:
                context, weights = layer(query, values, values_mask=mask)
            else:
                twin, asked, kernel = keras_twin(kind, layer, query)
                keys = values if kernel is None else values @ kernel
                context, weights = twin(
                    [asked, values, keys], mask=[None, mask], return_attention_scores=True
                )
            loss = tf.reduce_sum(tf.sin(context))
        results.append([context, weights, *tape.gradient(loss, [query, values])])
    for found, right in zip(*results, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-14, rtol=0)


@pytest.mark.slow
@each
def test_gradients_against_finite_differences(kind):
    layer, query, values, mask = made(kind)
    variables = [v.value for v in layer.trainable_weights]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(layer(query, values, values_mask=mask)[0]))
    found = tape.gradient(loss, variables)
    weights = layer.get_weights()
    for k, gradient in enumerate(found):
        for index in list(np.ndindex(weights[k].shape))[::5]:
            sides = []
            for sign in (1, -1):
                moved = [w.copy() for w in weights]
                moved[k][index] += sign * 1e-6
                layer.set_weights(moved)
                sides.append(np.sin(layer(query, values, values_mask=mask)[0]).sum())
            np.testing.assert_allclose(gradient[index], (sides[0] - sides[1]) / 2e-6, atol=1e-8)


@each
def test_one_query_is_a_row_of_many(kind):
    layer, query, values, mask = made(kind)
    context, weights = layer(query, values, values_mask=mask)
    one, row = layer(query[:, 1], values, values_mask=mask)
    assert one.shape == (3, 4) and row.shape == (3, 5)
    np.testing.assert_allclose(one, context[:, 1], atol=1e-14)
    np.testing.assert_allclose(row, weights[:, 1], atol=1e-14)


@each
def test_in_a_model_the_mask_comes_by_itself_and_it_survives_saving(kind, tmp_path):
    tokens, query = keras.Input((5,), dtype="int32"), keras.Input((2, 4))
    embedded = layers.Embedding(9, 4, mask_zero=True)(tokens)
    model = keras.Model([tokens, query], MAKERS[kind]()(query, embedded))
    inputs = [np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]]), np.ones((2, 2, 4))]
    context, weights = model.predict(inputs, verbose=0)
    assert (weights[0, :, 2:] == 0).all() and (weights[1] > 0).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").predict(inputs, verbose=0)
    np.testing.assert_array_equal(again[0], context)


@pytest.mark.slow
@each
def test_half_precision_and_compilation(kind):
    layer, query, values, mask = made(kind, "mixed_float16")
    query, values = query.astype("float16"), values.astype("float16")
    context, weights = layer(query, values, values_mask=mask)
    assert context.dtype == weights.dtype == "float16"
    assert (np.asarray(weights)[1, :, 3:] == 0).all() and (np.asarray(weights)[2] == 0).all()
    assert np.isfinite(context).all()
    layer, query, values, mask = made(kind)
    compiled = tf.function(lambda *a: layer(*a), jit_compile=True, autograph=False)
    plain = layer(query, values, mask)
    for found, right in zip(compiled(query, values, mask), plain, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-12)


def test_bad_arguments_are_named():
    for units in (0, -1, 2.0, True, None):
        with pytest.raises(ValueError, match=r"`units` must be a positive integer.*units="):
            BahdanauAttention(units)
    with pytest.raises(ValueError, match=r"`score` must be 'dot', 'general' or.*score='cosine'"):
        LuongAttention("cosine")
    with pytest.raises(ValueError, match=r"`units` must be a positive integer.*units=None"):
        LuongAttention("concat")
    with pytest.raises(ValueError, match=r"`units` is for score='concat' only.*units=4"):
        LuongAttention("dot", 4)
    with pytest.raises(ValueError, match=r"`query` and `values` must have the same width.*3 and 4"):
        LuongAttention("dot")(np.ones((1, 2, 3)), np.ones((1, 5, 4)))
