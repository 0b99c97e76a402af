"""Synthetic sequence tasks, each with what a memoryless guess achieves on it."""

import numpy as np

__all__ = ["adding_problem", "adding_problem_baseline", "copy_memory", "copy_memory_baseline"]


def _at_least(minimum, **arguments):
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
        if value < minimum:
            raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value}")


def adding_problem(examples, length, *, seed):
    """Sequences of random numbers, two of them marked; the target is the sum of the marked ones.

    Feature 0 is uniform on [0, 1). Feature 1 is 1 at one step of the first half and at one step of
    the second half, 0 elsewhere. To solve it a network has to keep the first marked number for
    three quarters of the sequence on average; the second number alone halves the error.

    Args:
        examples: number of sequences.
        length: time steps T, at least 2.
        seed: integer, or a `numpy.random.Generator` to draw fresh data from.

    Returns:
        `inputs` (examples, length, 2) and `targets` (examples, 1), both float32.

    Raises:
        ValueError: if `examples` < 1 or `length` < 2.
        TypeError: if they are not integers.

    Example:
        >>> inputs, targets = adding_problem(4, 10, seed=0)
        >>> inputs.shape, targets.shape
        ((4, 10, 2), (4, 1))
        >>> bool(np.allclose((inputs[..., 0] * inputs[..., 1]).sum(1), targets[:, 0]))
        True

    Reference: after Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8),
    1735-1780, doi:10.1162/neco.1997.9.8.1735, whose values lie in [-1, 1] and whose target is
    scaled; in the later form of Le, Jaitly & Hinton 2015, arXiv:1504.00941. First used in lesson
    00.
    """
    _at_least(1, examples=examples)
    _at_least(2, length=length)
    rng = np.random.default_rng(seed)
    values = rng.random((examples, length), dtype="float32")
    markers = np.zeros((examples, length), dtype="float32")
    rows = np.arange(examples)
    markers[rows, rng.integers(0, length // 2, examples)] = 1
    markers[rows, rng.integers(length // 2, length, examples)] = 1
    targets = (values * markers).sum(axis=1, keepdims=True)
    return np.stack([values, markers], axis=-1), targets


def adding_problem_baseline():
    """Mean squared error of always answering 1, the mean of the targets.

    It is the variance of the sum of two independent uniform numbers, 2/12.

    Example:
        >>> _, targets = adding_problem(10_000, 50, seed=0)
        >>> bool(abs(np.mean((targets - 1) ** 2) - adding_problem_baseline()) < 0.01)
        True
    """
    return 1 / 6


def copy_memory(examples, lag, *, symbols=8, width=10, seed):
    """Sequences to be remembered and repeated after a silence.

    `width` random symbols, then `lag` blanks, then a go signal and `width - 1` blanks: during the
    last `width` steps the network has to write the symbols down in order, and blanks before.
    Symbols are 1 … `symbols`, the blank is 0 and the go signal `symbols + 1`.

    Args:
        examples: number of sequences.
        lag: number of blank steps between the last symbol and the go signal, at least 0.
        symbols: size of the alphabet.
        width: number of symbols to remember.
        seed: integer, or a `numpy.random.Generator`.

    Returns:
        `inputs` (examples, T, symbols + 2), one-hot float32, and `targets` (examples, T), int32
        class numbers 0 … symbols, with T = lag + 2 width.

    Raises:
        ValueError: if `lag` is negative, or another count below 1.
        TypeError: if they are not integers.

    Example:
        >>> inputs, targets = copy_memory(1, 3, symbols=4, width=2, seed=0)
        >>> inputs.argmax(-1)[0].tolist(), targets[0].tolist()
        ([4, 3, 0, 0, 0, 5, 0], [0, 0, 0, 0, 0, 4, 3])

    Reference: Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks,
    arXiv:1511.06464 (the form used here). No lesson uses it yet.
    """
    _at_least(0, lag=lag)
    _at_least(1, examples=examples, symbols=symbols, width=width)
    memory = np.random.default_rng(seed).integers(1, symbols + 1, (examples, width))
    length = lag + 2 * width
    tokens = np.zeros((examples, length), dtype="int32")
    tokens[:, :width] = memory
    tokens[:, width + lag] = symbols + 1
    targets = np.zeros_like(tokens)
    targets[:, -width:] = memory
    return np.eye(symbols + 2, dtype="float32")[tokens], targets


def copy_memory_baseline(lag, *, symbols=8, width=10):
    """Cross-entropy, in nats per step, of blanks and then a uniform guess for each symbol.

        width * log(symbols) / (lag + 2 width)

    Example:
        >>> round(copy_memory_baseline(100), 3)
        0.173
    """
    _at_least(0, lag=lag)
    _at_least(1, symbols=symbols, width=width)
    return float(width * np.log(symbols) / (lag + 2 * width))
