"""Initializers: what they promise, for every seed; and what they refuse."""

import keras
import numpy as np
import pytest

from course_utils.initializers import (
    BlockOrthogonal,
    ChronoBias,
    ForgetBias,
    ScaledIdentity,
    SpectralRadius,
)

# One of each, with a shape that it takes.
ALL = [
    (SpectralRadius(1.5, seed=3), (6, 6)),
    (ScaledIdentity(0.5), (6, 6)),
    (BlockOrthogonal(3, gain=2, seed=3), (6, 18)),
    (ForgetBias(5), (24,)),
    (ChronoBias(20, seed=3), (24,)),
]
SEEDED = [
    (SpectralRadius, (1.5,), (8, 8)),
    (BlockOrthogonal, (4,), (8, 32)),
    (ChronoBias, (20,), (32,)),
]


def matrix(initializer, *shape):
    return np.asarray(initializer(shape, dtype="float64"))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0])
def test_the_spectral_radius_is_that_asked_for(radius, seed):
    eigenvalues = np.linalg.eigvals(matrix(SpectralRadius(radius, seed=seed), 40, 40))
    assert np.abs(eigenvalues).max() == pytest.approx(radius, rel=1e-12)


def test_one_seed_gives_the_same_directions_at_every_radius():
    one, three = (matrix(SpectralRadius(r, seed=7), 9, 9) for r in (1.0, 3.0))
    np.testing.assert_allclose(three, 3 * one, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("blocks", "gain"), [(1, 1.0), (3, 0.5), (4, 1.0)])
def test_every_block_is_orthogonal_and_they_differ(blocks, gain, seed):
    fused = matrix(BlockOrthogonal(blocks, gain=gain, seed=seed), 16, 16 * blocks)
    parts = np.split(fused, blocks, axis=1)
    for k, part in enumerate(parts):
        np.testing.assert_allclose(part.T @ part, gain**2 * np.eye(16), atol=1e-14)
        for other in parts[:k]:
            assert np.abs(part - other).max() > 0.1 * gain


def test_the_blocks_are_drawn_uniformly():
    """The trace of a uniform orthogonal matrix has mean 0 and variance 1; QR alone gives -2.4."""
    traces = [np.trace(matrix(BlockOrthogonal(1, seed=s), 16, 16)) for s in range(400)]
    assert abs(np.mean(traces)) < 0.2
    assert np.var(traces) == pytest.approx(1, abs=0.3)


def test_no_gate_of_the_fused_orthogonal_matrix_is_orthogonal():
    for seed in range(3):
        fused = matrix(keras.initializers.Orthogonal(seed=seed), 64, 256)
        np.testing.assert_allclose(fused @ fused.T, np.eye(64), atol=1e-12)
        for block in np.split(fused, 4, axis=1):
            sizes = np.linalg.svd(block, compute_uv=False)
            assert 0.35 < np.median(sizes) < 0.55
            assert sizes.min() < 0.1 and 0.8 < sizes.max() < 0.95


@pytest.mark.parametrize("value", [0, 1.0, -2.5, np.float32(5)])
def test_the_forget_bias_is_in_the_forget_gate(value):
    gates = matrix(ForgetBias(value), 12).reshape(4, 3)
    np.testing.assert_array_equal(gates, np.outer([0, value, 0, 0], [1, 1, 1]))


@pytest.mark.parametrize("initializer", [ForgetBias(5), ChronoBias(50, seed=0)])
def test_with_the_library_lstm_it_needs_unit_forget_bias_false(initializer):
    layer = keras.layers.LSTM(8, bias_initializer=initializer, unit_forget_bias=False)
    layer.build((1, 2, 3))
    np.testing.assert_array_equal(layer.cell.bias, initializer((32,)))
    layer = keras.layers.LSTM(8, bias_initializer=initializer)
    layer.build((1, 2, 3))
    np.testing.assert_array_equal(layer.cell.bias[8:16], np.ones(8))
    with pytest.raises(ValueError, match=r"in one piece.*unit_forget_bias=False.*shape=\(6,\)"):
        keras.layers.LSTM(6, bias_initializer=initializer).build((1, 2, 3))


def test_it_opens_the_forget_gate():
    """A zero kernel and a state of 1: what is left of c after a step is the forget gate."""
    cell = keras.layers.LSTMCell(
        2, "linear", kernel_initializer="zeros", recurrent_initializer="zeros",
        bias_initializer=ForgetBias(5), unit_forget_bias=False,
    )  # fmt: skip
    _, (_, c) = cell(np.ones((1, 3)), [np.zeros((1, 2)), np.ones((1, 2))])
    np.testing.assert_allclose(c, [[0.9933071] * 2], rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_lag", [2, 3.5, 100])
def test_chrono_memories_are_uniform_up_to_the_lag(max_lag, seed):
    b_i, b_f, b_g, b_o = np.split(matrix(ChronoBias(max_lag, seed=seed), 80000), 4)
    np.testing.assert_array_equal(b_i, -b_f)
    assert not b_g.any() and not b_o.any()
    memory = 1 + np.exp(b_f)  # 1 / (1 - sigmoid(b_f))
    assert memory.min() >= 2 - 1e-12 and memory.max() <= max_lag + 1e-9
    quartiles = 2 + (max_lag - 2) * np.array([0.25, 0.5, 0.75])
    np.testing.assert_allclose(np.quantile(memory, [0.25, 0.5, 0.75]), quartiles, rtol=0.05)


@pytest.mark.parametrize(("kind", "arguments", "shape"), SEEDED)
def test_seeds(kind, arguments, shape):
    one = matrix(kind(*arguments, seed=7), *shape)
    np.testing.assert_array_equal(one, matrix(kind(*arguments, seed=7), *shape))
    assert np.abs(one - matrix(kind(*arguments, seed=8), *shape)).max() > 0.01
    unseeded = kind(*arguments)
    np.testing.assert_array_equal(unseeded(shape), unseeded(shape))
    assert np.abs(unseeded(shape) - unseeded.clone()(shape)).max() > 0.01  # as in Keras


@pytest.mark.parametrize(("kind", "arguments", "shape"), SEEDED)
def test_without_a_seed_keras_seeds_it(kind, arguments, shape):
    draws = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        draws.append(matrix(kind(*arguments), *shape))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).max() > 0.01


@pytest.mark.parametrize(("initializer", "shape"), ALL)
def test_serialized_and_restored(initializer, shape):
    copy = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert copy.get_config() == initializer.get_config()
    np.testing.assert_array_equal(copy(shape), initializer(shape))


def test_they_initialize_a_layer():
    layer = keras.layers.SimpleRNN(6, recurrent_initializer=SpectralRadius(1.5, seed=3))
    layer.build((1, 2, 3))
    np.testing.assert_array_equal(layer.cell.recurrent_kernel, SpectralRadius(1.5, seed=3)((6, 6)))
    layer = keras.layers.GRU(6, recurrent_initializer=BlockOrthogonal(3, seed=3))
    layer.build((1, 2, 3))
    np.testing.assert_array_equal(layer.cell.recurrent_kernel, BlockOrthogonal(3, seed=3)((6, 18)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(("initializer", "shape"), ALL)
def test_in_every_type(initializer, shape, dtype):
    values = initializer(shape, dtype=dtype)
    assert keras.backend.standardize_dtype(values.dtype) == dtype
    assert tuple(values.shape) == shape
    exact = np.asarray(initializer(shape, dtype="float64"))
    rounded = np.asarray(keras.ops.cast(values, "float64"))
    np.testing.assert_allclose(rounded, exact, rtol=1e-2)
    assert keras.backend.standardize_dtype(initializer(shape).dtype) == "float32"


@pytest.mark.parametrize("initializer", [SpectralRadius(1.0, seed=0), ScaledIdentity()])
@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 2, 2)])
def test_only_square_matrices(initializer, shape):
    with pytest.raises(ValueError, match=rf"needs a square matrix.*\({shape[0]},"):
        initializer(shape)


@pytest.mark.parametrize("shape", [(6, 6), (18, 6), (18,), (6, 18, 1), (6, 24)])
def test_only_as_many_blocks_as_asked_for(shape):
    with pytest.raises(ValueError, match=rf"`BlockOrthogonal` needs a matrix \(N, 3 N\).*{shape}"):
        BlockOrthogonal(3)(shape)


@pytest.mark.parametrize("initializer", [ForgetBias(), ChronoBias(9)])
@pytest.mark.parametrize("shape", [(18,), (2, 18), (2, 24), (6, 24)])
def test_only_the_bias_of_an_lstm(initializer, shape):
    name = type(initializer).__name__
    with pytest.raises(ValueError, match=rf"`{name}` needs the bias of an LSTM.*\({shape[0]},"):
        initializer(shape)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpectralRadius(0), ValueError, "`radius` must be positive and finite.*radius=0"),
        (lambda: SpectralRadius(-1.0), ValueError, "`radius` must be positive.*radius=-1.0"),
        (lambda: SpectralRadius(float("nan")), ValueError, "`radius` must be.*radius=nan"),
        (lambda: SpectralRadius(float("inf")), ValueError, "`radius` must be.*radius=inf"),
        (lambda: SpectralRadius("large"), TypeError, "`radius` must be a number.*'large'"),
        (lambda: SpectralRadius(1, seed=-1), ValueError, "`seed` must be an integer >= 0.*=-1"),
        (lambda: ScaledIdentity(float("inf")), ValueError, "`scale` must be finite.*scale=inf"),
        (lambda: BlockOrthogonal(0), ValueError, "`blocks` must be an integer >= 1.*blocks=0"),
        (lambda: BlockOrthogonal(4.0), ValueError, "`blocks` must be an integer.*blocks=4.0"),
        (lambda: BlockOrthogonal(True), ValueError, "`blocks` must be an integer.*blocks=True"),
        (lambda: BlockOrthogonal(4, gain=0), ValueError, "`gain` must be positive.*gain=0"),
        (lambda: BlockOrthogonal(4, seed="a"), ValueError, "`seed` must be an integer.*seed='a'"),
        (lambda: ForgetBias(None), TypeError, "`value` must be a number.*value=None"),
        (lambda: ForgetBias(True), TypeError, "`value` must be a number.*value=True"),
        (lambda: ForgetBias(float("nan")), ValueError, "`value` must be finite.*value=nan"),
        (lambda: ChronoBias(1.9), ValueError, "`max_lag` must be at least 2 steps.*max_lag=1.9"),
        (lambda: ChronoBias(-5), ValueError, "`max_lag` must be at least 2 steps.*max_lag=-5"),
        (lambda: ChronoBias(float("inf")), ValueError, "`max_lag` must be finite.*max_lag=inf"),
        (lambda: ChronoBias("long"), TypeError, "`max_lag` must be a number.*max_lag='long'"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
