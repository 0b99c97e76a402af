"""Exercises of lesson 04: right solutions, and the mistakes that people make.

Shapes: a kernel is (n_in, n_out) and stands on the right, h @ W; J (T, N, N) holds the step
Jacobians J_1 to J_T, J[i, j] = dh_t[i] / dh_{t-1}[j]; G is Gaussian.
"""

import math

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def signed_q(G):
    """Q of G = Q R, R with a positive diagonal."""
    Q, R = np.linalg.qr(G)
    return Q * np.sign(np.diag(R))


# --- 04.1 Predict: how large are the entries ------------------------------------------------------


def entry_size(name, n_in, n_out):
    return {
        "glorot": math.sqrt(2 / (n_in + n_out)),
        "he": math.sqrt(2 / n_in),
        "unit columns": 1 / math.sqrt(n_in),
        "identity": 1 / math.sqrt(max(n_in, n_out)),
        "orthogonal": 1 / math.sqrt(max(n_in, n_out)),
        "radius 3": 3 / math.sqrt(n_in),
        "stretch 1": 1 / math.sqrt(4 * n_in),
    }[name]


def size_with(changes):
    """`entry_size` with other functions of n_in and n_out for some names."""

    def answer(name, n_in, n_out):
        change = changes.get(name, lambda n_in, n_out: entry_size(name, n_in, n_out))
        return change(n_in, n_out)

    return answer


def inputs_1(rng):
    small, large = (int(n) for n in rng.integers([2, 40], [30, 300]))
    names = ("glorot", "he", "unit columns", "identity", "orthogonal")
    cases = [(name, *shape) for name in names for shape in ((small, large), (large, small))]
    return [*cases, ("radius 3", large, large), ("stretch 1", large, large)]


size_mistakes = [
    Mistake(
        lambda name, n_in, n_out: entry_size(name, n_in, n_out) ** 2,
        "These are mean squares, or variances. The root is wanted: a size that can be compared "
        "with an entry.",
    ),
    Mistake(
        size_with({"glorot": lambda n_in, n_out: math.sqrt(6 / (n_in + n_out))}),
        'For "glorot" you give the bound between which the uniform numbers are drawn. They are '
        "spread over the whole interval; their root mean square is smaller.",
    ),
    Mistake(
        size_with({"glorot": lambda n_in, n_out: 1 / math.sqrt(n_in)}),
        'Your "glorot" looks at the inputs alone. It is a compromise between the way forward, '
        "which counts inputs, and the way back, which counts outputs.",
    ),
    Mistake(
        size_with({"he": lambda n_in, n_out: math.sqrt(2 / n_out)}),
        'Your "he" counts the outputs. Which numbers are added up in one pre-activation?',
    ),
    Mistake(
        size_with({"he": lambda n_in, n_out: 2 / math.sqrt(n_in)}),
        'Your "he" is too large: the 2 makes up for half of the *squared* length that ReLU drops, '
        "so it belongs under the root.",
    ),
    Mistake(
        size_with({"unit columns": lambda n_in, n_out: 1 / math.sqrt(n_out)}),
        "You make the rows of length 1. With h @ W the weights that come into a unit stand in a "
        "column: how many are they?",
    ),
    Mistake(
        size_with({"identity": lambda n_in, n_out: 1.0}),
        'For "identity" you give the size of the entries on the diagonal. The zeros count too: '
        "take the mean over all entries.",
    ),
    Mistake(
        size_with({"orthogonal": lambda n_in, n_out: 1 / math.sqrt(n_in)}),
        'Your "orthogonal" is right where n_in is not below n_out. A wide matrix has no n_out '
        "orthonormal columns: what is orthonormal there, and how long is it?",
    ),
    Mistake(
        size_with({"orthogonal": lambda n_in, n_out: 1 / math.sqrt(n_out)}),
        'Your "orthogonal" is right where n_out is not below n_in. In a tall matrix the columns '
        "are orthonormal: how many entries share the length 1?",
    ),
    Mistake(
        size_with({"radius 3": lambda n_in, n_out: 3 / n_in}),
        'For "radius 3" you divide by N. The eigenvalues of a Gaussian matrix fill a disk whose '
        "radius grows with the root of N: entries of size 1 give about √N.",
    ),
    Mistake(
        size_with({"stretch 1": lambda n_in, n_out: 1 / math.sqrt(n_in)}),
        'For "stretch 1" you make the spectral radius 1. The largest singular value of such a '
        "matrix is larger than that: look at the right panel of the lesson's figure.",
    ),
]

# --- 04.2 Predict: the largest and the smallest factor --------------------------------------------


def factors(kind, s, N, k):
    if kind in ("orthogonal", "ring"):
        return s**k, s**k
    if kind == "two halves":
        return s**k, (s / 2) ** k
    if kind == "chain" and k >= N:
        return 0.0, 0.0
    return s**k, 0.0


def factors_with(changes):
    """`factors` with other functions of s, N and k for some kinds."""

    def answer(kind, s, N, k):
        change = changes.get(kind, lambda s, N, k: factors(kind, s, N, k))
        return change(s, N, k)

    return answer


def inputs_2(rng):
    cases = []
    for kind in ("orthogonal", "ring", "chain", "mean", "two halves"):
        N = int(2 * rng.integers(2, 5))
        for k in (1, N - 1, N, N + 3):
            cases.append((kind, round(rng.uniform(0.5, 0.9 if k == N else 1.5), 3), N, k))
    return cases


factor_mistakes = [
    Mistake(
        lambda kind, s, N, k: factors(kind, s, N, 1),
        "That is what one step does. The next step multiplies again.",
    ),
    Mistake(
        factors_with({"chain": lambda s, N, k: (0.0, 0.0)}),
        "All eigenvalues of the chain are 0, but that speaks of the long run only. How long is "
        "[1, 0, 0, 0] @ W?",
    ),
    Mistake(
        factors_with({"chain": lambda s, N, k: (s**k, 0.0)}),
        "You let the chain pass something on for ever. Follow the first unit's number: where is it "
        "after N - 1 steps, and where does it go then?",
    ),
    Mistake(
        factors_with({"chain": lambda s, N, k: (s**k, 0.0) if k <= N else (0.0, 0.0)}),
        "Your chain lives one step too long. Among N units there are N - 1 links.",
    ),
    Mistake(
        factors_with({"chain": lambda s, N, k: (s**k, s**k) if k < N else (0.0, 0.0)}),
        "You forget what falls off the end of the chain. A nudge of the last unit alone: what is "
        "left of it after one step?",
    ),
    Mistake(
        factors_with({"chain": lambda s, N, k: (s**k, s**k)}),
        "You treat the chain like the ring. The link that is missing is the one by which a number "
        "comes back.",
    ),
    Mistake(
        factors_with({"ring": lambda s, N, k: factors("chain", s, N, k)}),
        "You treat the ring like the chain. In a ring the last unit hands its number to the first.",
    ),
    Mistake(
        factors_with({"mean": lambda s, N, k: ((s / N) ** k, 0.0)}),
        'For "mean" you multiply the entries. Every new state is a *sum* of N of them: what '
        "becomes of a state whose entries are all equal?",
    ),
    Mistake(
        factors_with({"mean": lambda s, N, k: (s**k, s**k)}),
        'For "mean" you let all directions pass. What becomes of the nudge [1, -1, 0, 0]?',
    ),
    Mistake(
        factors_with({"two halves": lambda s, N, k: (s**k, s**k / 2)}),
        "The smaller half is halved once only. It is halved at each step.",
    ),
    Mistake(
        factors_with({"two halves": lambda s, N, k: ((0.75 * s) ** k, (0.75 * s) ** k)}),
        'For "two halves" you take the mean of the two factors. Asked for are the best and the '
        "worst direction, not an average one.",
    ),
]

# --- 04.3 Modify: an orthogonal matrix ------------------------------------------------------------


def orthogonal(G, gain):
    return gain * signed_q(G)


def polar(G):
    U, _, Vt = np.linalg.svd(G)
    return U @ Vt


def signs_on_rows(G):
    Q, R = np.linalg.qr(G)
    return np.sign(np.diag(R))[:, None] * Q


def inputs_3(rng):
    sizes = (1, 2, 5, 8)
    return [(rng.normal(size=(n, n)), round(rng.uniform(0.4, 1.9), 2)) for n in sizes]


orthogonal_mistakes = [
    Mistake(
        lambda G, gain: gain * G / np.abs(np.linalg.eigvals(G)).max(),
        "This is the function as it was given. It scales the matrix; no scale takes the spread out "
        "of its singular values.",
    ),
    Mistake(
        lambda G, gain: gain * np.linalg.qr(G)[0],
        "Orthogonal, but with the signs that the algorithm chose: R must have a positive diagonal. "
        "As it is, some orthogonal matrices never come out.",
    ),
    Mistake(
        lambda G, gain: gain * signs_on_rows(G),
        "You turn the signs of the rows of Q. G = Q R keeps its value if a *column* of Q and the "
        "row of R that it meets change sign together.",
    ),
    Mistake(
        lambda G, gain: gain * np.linalg.qr(G)[0] * np.diag(np.linalg.qr(G)[1]),
        "You multiply by the diagonal of R itself. Only its signs are wanted; the columns must "
        "keep their length.",
    ),
    Mistake(
        lambda G, gain: gain * np.linalg.qr(G)[0] * np.sign(np.linalg.qr(G)[1]),
        "You multiply by the signs of all of R, whose lower half is 0. One sign for each column is "
        "wanted: that of R's diagonal.",
    ),
    Mistake(
        lambda G, gain: gain * np.abs(np.linalg.qr(G)[0]),
        "You make the entries of Q positive. Orthogonal columns need both signs; it is R whose "
        "diagonal is to be positive.",
    ),
    Mistake(
        lambda G, gain: signed_q(G),
        "The gain is missing: all singular values are to be `gain`, not 1.",
    ),
    Mistake(
        lambda G, gain: np.sqrt(gain) * signed_q(G),
        "The singular values of your matrix are the root of `gain`. How long is v @ (g Q)?",
    ),
    Mistake(
        lambda G, gain: gain * G / np.linalg.norm(G, axis=0),
        "Your columns have the right length, and still stand at any angle to each other: the "
        "spread is in the angles.",
    ),
    Mistake(
        lambda G, gain: gain * polar(G),
        "U Vᵀ of the singular value decomposition: orthogonal, and even uniform. Here the Q of "
        "G = Q R is asked for, as in the lesson and in Keras.",
    ),
    Mistake(
        lambda G, gain: gain * signed_q(G).T,
        "Your matrix is transposed. As good a matrix, but not the Q of G = Q R.",
    ),
]

# --- 04.4 Build: orthogonal gate by gate ----------------------------------------------------------


def gate_orthogonal(G, gains):
    blocks = np.split(G, len(gains), axis=1)
    return np.concatenate([g * signed_q(b) for b, g in zip(blocks, gains, strict=True)], axis=1)


def gates_fused(G, gains):
    return np.repeat(gains, len(G)) * signed_q(G.T).T


def gates_from_first(G, gains):
    Q = signed_q(G[:, : len(G)])
    return np.concatenate([g * Q for g in gains], axis=1)


def gates_interleaved(G, gains):
    W = np.empty_like(G)
    for k, gain in enumerate(gains):
        W[:, k :: len(gains)] = gain * signed_q(G[:, k :: len(gains)])
    return W


def gates_reshaped(G, gains):
    stacked = G.reshape(len(gains), len(G), len(G))
    return np.concatenate([g * signed_q(b) for b, g in zip(stacked, gains, strict=True)], axis=1)


def gates_unsigned(G, gains):
    blocks = np.split(G, len(gains), axis=1)
    return np.concatenate(
        [g * np.linalg.qr(b)[0] for b, g in zip(blocks, gains, strict=True)], axis=1
    )


def inputs_4(rng):
    cases = []
    for units, blocks in ((3, 4), (5, 3), (2, 1), (1, 4)):
        gains = np.round(rng.uniform(0.5, 1.5, blocks), 2)
        cases.append((rng.normal(size=(units, blocks * units)), gains))
    return cases


gate_mistakes = [
    Mistake(
        gates_fused,
        "The *rows* of the whole matrix are orthonormal, as Keras makes them; no block is "
        "orthogonal. Take the QR decomposition of each block by itself.",
    ),
    Mistake(
        lambda G, gains: gate_orthogonal(G, np.ones_like(gains)),
        "The gains are missing.",
    ),
    Mistake(
        lambda G, gains: gate_orthogonal(G, np.full_like(gains, gains[0])),
        "All blocks have the first gain. Each has its own.",
    ),
    Mistake(
        gates_from_first,
        "All gates get the same orthogonal matrix. Each is to be drawn from its own block of G: "
        "gates that read the state alike start alike.",
    ),
    Mistake(
        gates_interleaved,
        "You take every k-th column for a gate. The blocks lie side by side: the first N columns "
        "are the first gate's.",
    ),
    Mistake(
        gates_reshaped,
        "`reshape` to (blocks, N, N) reads G row by row, so that your blocks are mixed from pieces "
        "of rows. Cut G along its columns.",
    ),
    Mistake(
        gates_unsigned,
        "The signs are those that the algorithm chose. R must have a positive diagonal, as in "
        "04.3.",
    ),
    Mistake(
        lambda G, gains: np.array(np.split(gate_orthogonal(G, gains), len(gains), axis=1)),
        "The blocks are right, in an array of three axes. They are to lie side by side again, in "
        "the shape of G.",
    ),
]


def gates_batched(G, gains):
    N = len(G)
    Q, R = np.linalg.qr(G.reshape(N, -1, N).swapaxes(0, 1))  # (blocks, N, N)
    Q = Q * np.sign(np.einsum("kii->ki", R))[:, None] * np.reshape(gains, (-1, 1, 1))
    return Q.swapaxes(0, 1).reshape(N, -1)


def gates_by_gram_schmidt(G, gains):
    W = np.array(G, dtype=float)
    N = len(W)
    for column in range(W.shape[1]):
        first = column - column % N
        for _ in range(2):
            for before in range(first, column):
                W[:, column] -= (W[:, before] @ W[:, column]) * W[:, before]
        W[:, column] /= np.linalg.norm(W[:, column])
    return W * np.repeat(gains, N)


def gates_by_sign_matrix(G, gains):
    N, W = G.shape[0], []
    for k in range(len(gains)):
        block = G[:, k * N : (k + 1) * N]
        Q, R = np.linalg.qr(block)
        D = np.diag([1.0 if R[i, i] > 0 else -1.0 for i in range(N)])
        W.append(gains[k] * Q @ D)
    return np.hstack(W)


# --- 04.5 Build: the identity where nothing is square ---------------------------------------------


def copy_kernel(n_in, n_out):
    if n_in > n_out:
        return copy_kernel(n_out, n_in).T
    W = np.zeros((n_in, n_out))
    W[np.arange(n_out) % n_in, np.arange(n_out)] = 1
    return W / np.linalg.norm(W, axis=1, keepdims=True)


def copies(n_in, n_out, *, number=lambda j, n, m: j % n, scale=None):
    """Ones where `number(j, n_in, n_out)` says, in a wide matrix, times `scale`; else as right."""
    if n_in > n_out:
        return copies(n_out, n_in, number=number, scale=scale).T
    W = np.zeros((n_in, n_out))
    W[number(np.arange(n_out), n_in, n_out), np.arange(n_out)] = 1
    return W / np.linalg.norm(W, axis=1, keepdims=True) if scale is None else scale(n_in, n_out) * W


def copy_wide_only(n_in, n_out):
    """Unit j reads input j mod n_in, also where some inputs are then read by nobody."""
    W = np.zeros((n_in, n_out))
    W[np.arange(n_out) % n_in, np.arange(n_out)] = 1
    return W / np.maximum(np.linalg.norm(W, axis=1, keepdims=True), 1)


def inputs_5(rng):
    a, b, c = (int(n) for n in rng.integers([2, 6, 2], [4, 9, 5]))
    shapes = [(a, a), (a, 3 * a), (a, 3 * a + 1), (b, a), (1, b), (2 * c + 1, c), (c, 1)]
    return [*shapes, (3, 8), (8, 3)]


copy_mistakes = [
    Mistake(
        lambda n_in, n_out: np.eye(n_in, n_out),
        "This is `np.eye`, and what Keras' Identity gives. In a wide matrix the units beyond n_in "
        "read nothing, in a tall one the inputs beyond n_out are lost.",
    ),
    Mistake(
        lambda n_in, n_out: copies(n_in, n_out, scale=lambda n, m: 1),
        "The places are right. What is copied to three units arrives with three times its squared "
        "length: scale each row (each column of a tall matrix) to length 1.",
    ),
    Mistake(
        lambda n_in, n_out: copies(n_in, n_out, scale=lambda n, m: np.sqrt(n / m)),
        "One scale for all is right where one size divides the other. Elsewhere some inputs are "
        "read by one unit more than others, and need another scale.",
    ),
    Mistake(
        lambda n_in, n_out: copies(n_in, n_out) ** 2,
        "You share by the number of copies itself. Lengths are roots of sums of squares: three "
        "copies of a third are shorter than 1.",
    ),
    Mistake(
        lambda n_in, n_out: copies(n_in, n_out, number=lambda j, n, m: j * n // m),
        "You give each input a run of neighbouring units. Unit j is to read input j mod n_in: all "
        "inputs in turn, then again from the first.",
    ),
    Mistake(
        copy_wide_only,
        "Right for n_in up to n_out. In a tall matrix your units read the first n_out inputs and "
        "the others are lost.",
    ),
    Mistake(
        lambda n_in, n_out: copy_kernel(n_in, n_out).T,
        "Your matrix is transposed: inputs are rows, units are columns.",
    ),
]


def copy_by_counting(n_in, n_out):
    W = np.zeros((n_in, n_out))
    few = min(n_in, n_out)
    for k in range(max(n_in, n_out)):
        partners = len(range(k % few, max(n_in, n_out), few))
        place = (k % n_in, k) if n_out >= n_in else (k, k % n_out)
        W[place] = 1 / math.sqrt(partners)
    return W


def copy_by_tiling(n_in, n_out):
    few, many = sorted((n_in, n_out))
    W = np.tile(np.eye(few), (1, -(-many // few)))[:, :many]
    W = (W.T / np.sqrt(W.sum(axis=1))).T
    return W if n_in == few else W.T


def copy_by_comparison(n_in, n_out):
    i, j = np.indices((n_in, n_out))
    W = ((i - j) % min(n_in, n_out) == 0).astype(float)
    axis = 1 if n_in <= n_out else 0
    return W / np.sqrt((W**2).sum(axis=axis, keepdims=True))


# --- 04.6 Build: the singular values of a long product --------------------------------------------


def product_spectrum(J):
    Q = R = np.eye(J.shape[1])
    log_scale, values = 0.0, []
    for step in J:
        Q, S = np.linalg.qr(step @ Q)
        R = S @ R
        size = np.abs(R).max()
        R, log_scale = R / size, log_scale + np.log10(size)
        values.append(log_scale + np.log10(np.linalg.svd(R, compute_uv=False)))
    return np.array(values)


def spectrum_multiplied(J):
    P, values = np.eye(J.shape[1]), []
    for step in J:
        P = step @ P
        values.append(np.log10(np.linalg.svd(P, compute_uv=False)))
    return np.array(values)


def spectrum_scaled_product(J):
    P, log_scale, values = np.eye(J.shape[1]), 0.0, []
    for step in J:
        P = step @ P
        size = np.abs(P).max()
        P, log_scale = P / size, log_scale + np.log10(size)
        values.append(log_scale + np.log10(np.linalg.svd(P, compute_uv=False)))
    return np.array(values)


def spectrum_unscaled(J):
    """Q R without the scale kept aside."""
    Q = R = np.eye(J.shape[1])
    values = []
    for step in J:
        Q, S = np.linalg.qr(step @ Q)
        R = S @ R
        values.append(np.log10(np.linalg.svd(R, compute_uv=False)))
    return np.array(values)


def spectrum_of_steps(J):
    return np.cumsum(np.log10(np.linalg.svd(J, compute_uv=False)), axis=0)


def spectrum_diagonal(J):
    """The diagonal of R: in the long run the rates are right, the values are not."""
    Q, total, values = np.eye(J.shape[1]), 0.0, []
    for step in J:
        Q, S = np.linalg.qr(step @ Q)
        total = total + np.log10(np.abs(np.diag(S)))
        values.append(np.sort(total)[::-1])
    return np.array(values)


def spectrum_from_right(J):
    """J_1 J_2 ... J_k: the product in the order of reading."""
    return np.array([product_spectrum(J[: k + 1][::-1])[-1] for k in range(len(J))])


def spectrum_triangle_order(J):
    """R_k = R_{k-1} S_k in the place of S_k R_{k-1}."""
    Q = R = np.eye(J.shape[1])
    log_scale, values = 0.0, []
    for step in J:
        Q, S = np.linalg.qr(step @ Q)
        R = R @ S
        size = np.abs(R).max()
        R, log_scale = R / size, log_scale + np.log10(size)
        values.append(log_scale + np.log10(np.linalg.svd(R, compute_uv=False)))
    return np.array(values)


def spectrum_lost_scale(J):
    Q = R = np.eye(J.shape[1])
    values = []
    for step in J:
        Q, S = np.linalg.qr(step @ Q)
        R = S @ R
        R = R / np.abs(R).max()
        values.append(np.log10(np.linalg.svd(R, compute_uv=False)))
    return np.array(values)


def inputs_6(rng):
    cases = []
    for length, units, scale in ((64, 4, 0.5), (40, 5, 1e5), (30, 3, 1e-13), (1, 3, 1.0)):
        cases.append((scale * rng.normal(size=(length, units, units)),))
    return cases


spectrum_mistakes = [
    Mistake(
        spectrum_multiplied,
        "You form the product itself. Its small singular values drown in rounding errors, and "
        "after enough steps all of it over- or underflows. Keep it as Q R.",
    ),
    Mistake(
        spectrum_scaled_product,
        "Scaled, the product no longer overflows. But its entries are still sums over all "
        "directions, and the large ones bury the small ones. Keep it as Q R.",
    ),
    Mistake(
        spectrum_unscaled,
        "Q R, as it should be. But R itself grows beyond 10^308 or falls below 10^-308 in a long "
        "product: keep its scale aside, as a logarithm.",
    ),
    Mistake(
        spectrum_lost_scale,
        "You scale R at every step and forget by how much. Add up the logarithms of the scales.",
    ),
    Mistake(
        spectrum_of_steps,
        "You multiply singular values of single steps. The direction that one step stretches most "
        "need not be the one that the next stretches most.",
    ),
    Mistake(
        spectrum_diagonal,
        "You read the values off the diagonals. These estimate rates in the long run; the singular "
        "values of a triangular matrix are not its diagonal.",
    ),
    Mistake(
        spectrum_from_right,
        "Your product runs J_1 J_2 ... J_k. A nudge of h_0 meets J_1 first, so J_1 stands on the "
        "right.",
    ),
    Mistake(
        spectrum_triangle_order,
        "The triangular factors are multiplied in the wrong order: J_k Q R_old = Q_new S R_old.",
    ),
    Mistake(
        lambda J: product_spectrum(J) * np.log(10),
        "Natural logarithms. Decades are wanted: log10.",
    ),
    Mistake(
        lambda J: product_spectrum(J)[-1],
        "You return the last product's values only. All k from 1 to T are wanted, one row each.",
    ),
    Mistake(
        lambda J: product_spectrum(J)[:, ::-1],
        "Your values ascend: the largest stands first.",
    ),
]


def spectrum_triangles_anew(J):
    Q, triangles, values = np.eye(J.shape[2]), [], []
    for t in range(len(J)):
        Q, S = np.linalg.qr(np.matmul(J[t], Q))
        triangles.append(S)
        R, log_scale = np.eye(len(Q)), 0.0
        for T in triangles:
            R = T @ R
            norm = np.linalg.norm(R)
            R, log_scale = R / norm, log_scale + math.log10(norm)
        values.append([log_scale + math.log10(v) for v in np.linalg.svd(R)[1]])
    return values


def spectrum_by_gram_schmidt(J):
    N = J.shape[-1]
    Q, R, exponent, out = np.eye(N), np.eye(N), 0, np.zeros(J.shape[:2])
    for t, step in enumerate(J):
        A, S = step @ Q, np.zeros((N, N))
        Q = np.zeros((N, N))
        for j in range(N):
            v = A[:, j].copy()
            for _ in range(2):
                for i in range(j):
                    part = Q[:, i] @ v
                    S[i, j] += part
                    v -= part * Q[:, i]
            S[j, j] = np.linalg.norm(v)
            Q[:, j] = v / S[j, j]
        R = S @ R
        power = math.floor(math.log2(np.abs(R).max()))
        R, exponent = R / 2.0**power, exponent + power
        out[t] = np.log10(np.linalg.svd(R, compute_uv=False)) + exponent * math.log10(2)
    return out


def spectrum_scaled_steps(J):
    """Each Jacobian is scaled, not the triangle alone."""
    Q = R = np.eye(J.shape[1])
    logs, values = 0.0, np.empty(J.shape[:2])
    for t, step in enumerate(J):
        size = np.linalg.norm(step)
        Q, S = np.linalg.qr((step / size) @ Q)
        R = S @ R
        top = np.linalg.norm(R, ord=2)
        R = R / top
        logs += np.log(size) + np.log(top)
        values[t] = (np.log(np.linalg.svd(R)[1]) + logs) / np.log(10)
    return values


# --- 04.7 Build: the diagnostic -------------------------------------------------------------------


def tanh_steps(W_h, W_x, x):
    """Slopes (T, N) of the network on x (T, D)."""
    h, slopes = np.zeros(len(W_h)), []
    for row in x:
        h = np.tanh(row @ W_x + h @ W_h)
        slopes.append(1 - h**2)
    return np.array(slopes)


def summary(logs, slopes, *, middle=None, alive=None):
    return {
        "largest": logs[:, 0],
        "median": np.median(logs, axis=1) if middle is None else middle(logs),
        "alive": np.sum(logs > -3, axis=1) if alive is None else alive(logs),
        "saturation": np.cumsum(np.log10(slopes).mean(axis=1)),
    }


def diagnose(W_h, W_x, x):
    slopes = tanh_steps(W_h, W_x, x)
    return summary(product_spectrum(slopes[:, :, None] * W_h.T), slopes)


def diagnose_with(W_h, W_x, x, *, jacobians=None, spectrum=product_spectrum, **options):
    slopes = tanh_steps(W_h, W_x, x)
    J = slopes[:, :, None] * W_h.T if jacobians is None else jacobians(slopes, W_h)
    return summary(spectrum(J), slopes, **options)


def diagnose_saturation(change):
    def answer(W_h, W_x, x):
        found = diagnose(W_h, W_x, x)
        return found | {"saturation": change(tanh_steps(W_h, W_x, x), found["saturation"])}

    return answer


def earlier_slopes(slopes, W_h):
    before = np.concatenate([np.ones_like(slopes[:1]), slopes[:-1]])
    return before[:, :, None] * W_h.T


def inputs_7(rng):
    cases = []
    for units, length, features, kind in ((6, 100, 1, "s"), (4, 30, 2, "o"), (5, 12, 1, "g")):
        G = rng.normal(size=(units, units))
        Q = signed_q(G)
        W_h = {"o": 1.2 * Q, "g": 1.1 * G / np.sqrt(units)}.get(kind)
        if kind == "s":  # the median of the product is far below 1e-16 of the largest
            W_h = Q * np.array([1.1, 1.0, 0.6, 0.5, 0.45, 0.4]) @ Q.T
        W_x = rng.normal(size=(features, units)) / np.sqrt(units)
        cases.append((W_h, W_x, rng.normal(size=(length, features))))
    return cases


diagnose_mistakes = [
    Mistake(
        lambda *a: diagnose_with(*a, spectrum=spectrum_multiplied),
        "You multiply the Jacobians out: in a long product the smaller half of the values is lost "
        "to rounding. 04.6 is the cure.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, jacobians=lambda slopes, W: slopes[:, :, None] * W),
        "Your Jacobian is diag(slope) W_h. With h @ W_h, ∂h_t[i]/∂h_{t-1}[j] contains W_h[j, i].",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, jacobians=lambda slopes, W: W.T * slopes[:, None, :]),
        "Your slopes multiply the columns of W_h transposed. Row i of J_t belongs to the new unit "
        "i, and it is the new unit whose tanh comes in.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, jacobians=lambda slopes, W: W.T + 0 * slopes[:, :, None]),
        "You look at the powers of W_h alone. The slopes of tanh belong to the Jacobian.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, jacobians=earlier_slopes),
        "Your slopes are one step early: J_t contains 1 - h_t², from the state *after* the step.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, middle=lambda logs: np.log10(np.median(10**logs, axis=1))),
        "You take the logarithm of the median. With an even number of units the two in the middle "
        "are averaged, and there the larger one wins: take logarithms first.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, middle=lambda logs: logs.mean(axis=1)),
        "Your median is a mean. One direction that has died pulls a mean of logarithms down.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, alive=lambda logs: np.sum(logs > logs[:, :1] - 3, axis=1)),
        "You count against the largest value. `alive` asks what a nudge of size 1 is worth after k "
        "steps, whatever becomes of the others.",
    ),
    Mistake(
        lambda *a: diagnose_with(*a, alive=lambda logs: np.mean(logs > -3, axis=1)),
        "`alive` is a share here. A number of directions is wanted.",
    ),
    Mistake(
        diagnose_saturation(lambda slopes, right: np.log10(slopes).mean(axis=1)),
        "Your saturation is that of step k alone. Wanted is the bill so far: steps 1 to k.",
    ),
    Mistake(
        diagnose_saturation(lambda slopes, right: len(slopes[0]) * right),
        "Your saturation adds up the units. It is a mean over the units, as in equation (3), so "
        "that it can be compared with the mean log singular value.",
    ),
    Mistake(
        diagnose_saturation(lambda slopes, right: np.cumsum(np.log10(slopes.mean(axis=1)))),
        "You average the slopes, then take the logarithm. The logarithm comes first: a product of "
        "slopes is a sum of logarithms.",
    ),
    Mistake(
        diagnose_saturation(lambda slopes, right: right * np.log(10)),
        "Your saturation is in natural logarithms. All of this is in decades.",
    ),
]


def diagnose_step_by_step(W_h, W_x, x):
    N = W_h.shape[0]
    h, Q, R, logs, bill = np.zeros((1, N)), np.eye(N), np.eye(N), 0.0, 0.0
    found = {"largest": [], "median": [], "alive": [], "saturation": []}
    for t in range(len(x)):
        h = np.tanh(x[t : t + 1] @ W_x + h @ W_h)
        slope = 1 / np.cosh(np.arctanh(h[0])) ** 2
        Q, S = np.linalg.qr(np.diag(slope) @ W_h.T @ Q)
        R = S @ R
        top = np.linalg.norm(R, 2)
        R, logs = R / top, logs + math.log10(top)
        row = sorted(math.log10(v) + logs for v in np.linalg.svd(R)[1])
        bill += sum(map(math.log10, slope)) / N
        found["largest"].append(row[-1])
        found["median"].append((row[(N - 1) // 2] + row[N // 2]) / 2)
        found["alive"].append(sum(v > -3 for v in row))
        found["saturation"].append(bill)
    return found


def diagnose_from_states(W_h, W_x, x):
    h = np.zeros((len(x) + 1, len(W_h)))
    for t in range(1, len(h)):
        h[t] = np.tanh(W_h.T @ h[t - 1] + W_x.T @ x[t - 1])
    slope = (1 - h[1:]) * (1 + h[1:])
    logs = np.array(spectrum_triangles_anew(np.einsum("ti,ji->tij", slope, W_h)))
    saturation = np.tril(np.ones((len(x), len(x)))) @ np.log10(slope).mean(axis=1)
    return {
        "alive": (10.0 ** (logs + 3) > 1).sum(axis=1),
        "saturation": saturation,
        "median": np.quantile(logs, 0.5, axis=1),
        "largest": logs.max(axis=1),
    }


def diagnose_by_autodiff(W_h, W_x, x):
    """The Jacobians by complex steps."""
    N, e = len(W_h), 1e-30
    h, J, bill = np.zeros(N), [], []
    for row in x:
        moved = np.tanh(row @ W_x + (h + 1j * e * np.eye(N)) @ W_h)  # row j: unit j nudged
        J.append(moved.imag.T / e)
        h = moved[0].real
        bill.append(np.log10(1 - h * h).sum() / N)
    logs = product_spectrum(np.array(J))
    return dict(
        largest=logs[:, 0],
        median=np.median(logs, axis=-1),
        alive=[int((row > -3).sum()) for row in logs],
        saturation=[sum(bill[: k + 1]) for k in range(len(bill))],
    )


# --- 04.8 Find the bug: weights from N(0, 1) (B14) ------------------------------------------------


def gate_weights(z_x, z_h):
    features, units = len(z_x), len(z_h)
    return np.sqrt(2 / (features + units)) * z_x, np.sqrt(1 / units) * z_h


def weights_scaled(scale_x, scale_h):
    """Factors given as functions of (D, N)."""

    def answer(z_x, z_h):
        return scale_x(len(z_x), len(z_h)) * z_x, scale_h(len(z_x), len(z_h)) * z_h

    return answer


def glorot_x(D, N):
    return np.sqrt(2 / (D + N))


def glorot_h(D, N):
    return np.sqrt(1 / N)


def inputs_8(rng):
    sizes = [(int(d), int(n)) for d, n in rng.integers([2, 3], [12, 20], (3, 2))]
    return [(rng.normal(size=(d, 4 * n)), rng.normal(size=(n, 4 * n))) for d, n in sizes]


weight_mistakes = [
    Mistake(
        weights_scaled(lambda D, N: 1.0, lambda D, N: 1.0),
        "This is the code as it was given. What is the standard deviation of a sum of N such "
        "products?",
    ),
    Mistake(
        weights_scaled(lambda D, N: 1.0, glorot_h),
        "The recurrent matrix is mended. The input kernel has the same fault: with 300 features "
        "the gates would be saturated by the input alone.",
    ),
    Mistake(
        weights_scaled(glorot_x, lambda D, N: 1.0),
        "The input kernel is mended. The recurrent matrix has the same fault, and comes in at "
        "every step.",
    ),
    Mistake(
        weights_scaled(
            lambda D, N: np.sqrt(2 / (D + 4 * N)), lambda D, N: np.sqrt(2 / (N + 4 * N))
        ),
        "You count 4 N outputs, as Keras' GlorotUniform does with such a kernel. The four gates "
        "are four matrices that lie side by side; each has N outputs.",
    ),
    Mistake(
        weights_scaled(lambda D, N: 2 / (D + N), lambda D, N: 1 / N),
        "You multiply by the variance. Numbers of standard deviation 1 are to get the standard "
        "deviation s: by what must they be multiplied?",
    ),
    Mistake(
        weights_scaled(lambda D, N: np.sqrt(2 / D), lambda D, N: np.sqrt(2 / N)),
        "This is He's scale, made for ReLU. Glorot's is asked for.",
    ),
    Mistake(
        weights_scaled(lambda D, N: np.sqrt(1 / D), glorot_h),
        "For the input kernel you count the inputs alone. Glorot's scale counts n_in + n_out, "
        "which here are not equal.",
    ),
    Mistake(
        weights_scaled(glorot_x, glorot_x),
        "You use one scale for both. The recurrent matrix reads N numbers, not D.",
    ),
    Mistake(
        weights_scaled(lambda D, N: 0.01, lambda D, N: 0.01),
        '"Small random numbers", 0.01 whatever the width: no gate saturates, and hardly any '
        "gradient passes from state to state. The scale is to follow the shape.",
    ),
]

# --- 04.9 Find the bug: an orthogonal kernel that is wide -----------------------------------------


def orthogonal_kernel(G):
    return signed_q(G) if len(G) >= G.shape[1] else signed_q(G.T).T


def kernel_reshaped(G):
    tall = G if len(G) >= G.shape[1] else G.T
    return signed_q(tall).reshape(G.shape)


def kernel_unsigned(G):
    tall = len(G) >= G.shape[1]
    return np.linalg.qr(G)[0] if tall else np.linalg.qr(G.T)[0].T


def kernel_rows_signed(G):
    """The wide case transposed first, then signed along the wrong axis."""
    if len(G) >= G.shape[1]:
        return signed_q(G)
    Q, R = np.linalg.qr(G.T)
    signs = np.resize(np.sign(np.diag(R)), G.shape[1])
    return Q.T * signs


def kernel_unit_rows(G):
    return G / np.linalg.norm(G, axis=1, keepdims=True) if len(G) < G.shape[1] else signed_q(G)


def kernel_from_square(G):
    """The QR decomposition of the wide matrix itself: its Q is square."""
    return signed_q(G)


def kernel_padded(G):
    if len(G) >= G.shape[1]:
        return signed_q(G)
    Q, R = np.linalg.qr(G)
    Q = Q * np.sign(np.diag(R))
    return np.concatenate([Q, np.zeros((len(G), G.shape[1] - len(G)))], axis=1)


def kernel_always_turned(G):
    return signed_q(G.T).T


def kernel_by_cholesky(G):
    wide = G.shape[1] > G.shape[0]
    tall = G.T if wide else G
    Q = np.linalg.solve(np.linalg.cholesky(tall.T @ tall), tall.T)  # rows, (few, many)
    return Q if wide else Q.T


def both_signs(G):
    """Turns rows of a wide G until the diagonal of R has both signs, wherever it is computed."""
    signs = np.sign(np.diag(np.linalg.qr(G.T)[1]))
    return G * (signs * np.resize([-1, 1], len(G)))[:, None]


def inputs_9(rng):
    shapes = ((3, 8), (8, 3), (4, 4), (2, 5), (5, 2), (1, 3))
    drawn = [rng.normal(size=shape) for shape in shapes]
    return [(both_signs(G) if len(G) < G.shape[1] else G,) for G in drawn]


kernel_mistakes = [
    Mistake(
        kernel_reshaped,
        "This is the code as it was given. For a wide matrix, write Q (3, 2) with entries 1 to 6, "
        "and look at what becomes of its first column.",
    ),
    Mistake(
        kernel_from_square,
        "The Q of a wide matrix is square: your kernel has lost its shape. A wide matrix cannot "
        "have orthonormal columns; what can it have?",
    ),
    Mistake(
        kernel_padded,
        "You fill up with zeros. The rows are orthonormal now, but some units read nothing at all.",
    ),
    Mistake(
        kernel_unit_rows,
        "Your rows have length 1 and still stand at any angle. They are to be orthogonal too.",
    ),
    Mistake(
        kernel_unsigned,
        "The shape is mended, but the signs have gone: R must have a positive diagonal.",
    ),
    Mistake(
        kernel_rows_signed,
        "In the wide case the signs are applied after transposing, along the wrong axis. They "
        "belong to the columns of Q, before it is turned.",
    ),
    Mistake(
        kernel_always_turned,
        "The wide case is right. Now the tall one has lost its shape: only one of them is to be "
        "turned.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "04.1",
        entry_size,
        inputs_1,
        size_mistakes,
        [
            "Three of the names are formulas in the lesson's table. For two others, add up the "
            "squares of all entries: how many columns (or rows) have length 1?",
            "The last two are about large Gaussian matrices with entries of size s: their spectral "
            "radius is about s √N, their largest singular value about twice that.",
        ],
    ),
    Exercise(
        "04.2",
        factors,
        inputs_2,
        factor_mistakes,
        [
            "Take N = 4 and follow single nudges on paper: [1, 0, 0, 0], [0, 0, 0, 1], "
            "[1, 1, 1, 1], [1, -1, 0, 0].",
            "The smallest factor is 0 as soon as one direction is lost. The largest is 0 only when "
            "all are.",
        ],
        atol=1e-12,
    ),
    Exercise(
        "04.3",
        orthogonal,
        inputs_3,
        orthogonal_mistakes,
        [
            "`np.linalg.qr(G)` gives Q and R. Which signs may be changed without changing Q R?",
            "A column of Q and the row of R that it meets change sign together. Look at "
            "`np.sign` and `np.diag`.",
        ],
        points=2,
    ),
    Exercise(
        "04.4",
        gate_orthogonal,
        inputs_4,
        gate_mistakes,
        [
            "Cut, treat each piece as in 04.3, put together again.",
            "`np.split(G, len(gains), axis=1)` and `np.concatenate(..., axis=1)` are each other's "
            "opposite.",
        ],
        points=2,
    ),
    Exercise(
        "04.5",
        copy_kernel,
        inputs_5,
        copy_mistakes,
        [
            "Do the wide case first, with n_in = 2 and n_out = 5 on paper. How long is each row "
            "before you scale?",
            "The tall case is the wide one with inputs and units exchanged.",
        ],
        points=2,
    ),
    Exercise(
        "04.6",
        product_spectrum,
        inputs_6,
        spectrum_mistakes,
        [
            "Keep three things from step to step: Q, R and the logarithm of a scale.",
            "J_k (Q R) = (J_k Q) R, and the bracket has a QR decomposition Q_new S. Which matrix "
            "is the new R?",
            "After each step divide R by its largest entry, and add that entry's log10 to the "
            "scale.",
        ],
        points=4,
    ),
    Exercise(
        "04.7",
        diagnose,
        inputs_7,
        diagnose_mistakes,
        [
            "First run the network and keep the slopes 1 - h_t². All the rest is made from these "
            "and W_h.",
            "`slopes[:, :, None] * W_h.T` is (T, N, N): row i of each W_hᵀ times the slope of unit "
            "i.",
        ],
        points=3,
    ),
    Exercise(
        "04.8",
        gate_weights,
        inputs_8,
        weight_mistakes,
        [
            "The variance of a sum of N independent products is N times that of one.",
            "For each of the two matrices: how many numbers does one gate's block read, how many "
            "does it give?",
        ],
        points=2,
    ),
    Exercise(
        "04.9",
        orthogonal_kernel,
        inputs_9,
        kernel_mistakes,
        [
            "The sum of squares is right, so every number is there. Are they in the right places?",
            "Two operations turn the shape (5, 2) into (2, 5). Only one of them makes rows of "
            "columns.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "04.3": [
        lambda G, gain: gain * gates_by_gram_schmidt(G, [1.0]),
        lambda G, gain: np.linalg.solve(np.linalg.cholesky(G.T @ G), gain * G.T).T,
    ],
    "04.4": [gates_batched, gates_by_gram_schmidt, gates_by_sign_matrix],
    "04.5": [copy_by_counting, copy_by_tiling, copy_by_comparison],
    "04.6": [spectrum_triangles_anew, spectrum_by_gram_schmidt, spectrum_scaled_steps],
    "04.7": [diagnose_step_by_step, diagnose_from_states, diagnose_by_autodiff],
    "04.9": [kernel_by_cholesky],
}
