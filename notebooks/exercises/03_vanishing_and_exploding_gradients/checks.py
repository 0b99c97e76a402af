"""Exercises of lesson 03: right solutions, and the mistakes that people make.

Shapes: h (B, T + 1, N) with h[:, 0] the initial state, g and G (B, T, N) with g[:, t - 1] the
direct part of dL/dh_t; W_x (D, N), W_h (N, N).
"""

import math
from fractions import Fraction

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def forward(x, W_x, W_h, activation=np.tanh, h0=None):
    """All states, h (B, T + 1, N), with the initial one in front."""
    h = np.zeros((len(x), x.shape[1] + 1, len(W_h)))
    if h0 is not None:
        h[:, 0] = h0
    for t in range(1, x.shape[1] + 1):
        h[:, t] = activation(x[:, t - 1] @ W_x + h[:, t - 1] @ W_h)
    return h


def random_network(rng, batch, length, features, units):
    """x, W_x, W_h and an initial state other than zero."""
    x = rng.normal(size=(batch, length, features))
    W_x = rng.normal(size=(features, units)) / np.sqrt(features)
    W_h = rng.normal(size=(units, units)) / np.sqrt(units)
    return x, W_x, W_h, rng.uniform(-0.9, 0.9, (batch, units))


# --- 03.1 Predict: vanishes, explodes or keeps its size -------------------------------------------
# Measured with 64 units, 16 sequences of 100 steps, x_t W_x with variance 1, five seeds: log10 of
# the norm at lag 99 over that at lag 0 is for tanh -60 to -58 (radius 0.4), -23 to -21 (1), -9 to
# -7 (1.5), 9 to 11 (3), 14 to 17 (4); for tanh orthogonal -56 (0.4), -20 (1), -6 (1.5), 11 to 12
# (3); for linear -10 (0.8) and 17 (1.5); for linear orthogonal -4.5 (0.9), 0 (1), 4.1 (1.1).


def fate(activation, matrix, radius):
    if activation == "tanh":
        return "vanishes" if radius < 2 else "explodes"
    if radius == 1:
        return "keeps its size"
    return "vanishes" if radius < 1 else "explodes"


def inputs_1(rng):
    cases = [
        ("tanh", "gaussian", round(rng.uniform(0.4, 0.9), 2)),
        ("tanh", "gaussian", 1.0),
        ("tanh", "gaussian", 1.5),
        ("tanh", "gaussian", round(rng.uniform(3, 4), 2)),
        ("tanh", "orthogonal", 1.0),
        ("tanh", "orthogonal", 1.5),
        ("tanh", "orthogonal", round(rng.uniform(3, 4), 2)),
        ("linear", "gaussian", round(rng.uniform(0.4, 0.8), 2)),
        ("linear", "gaussian", 1.5),
        ("linear", "orthogonal", round(rng.uniform(0.4, 0.9), 2)),
        ("linear", "orthogonal", 1.0),
        ("linear", "orthogonal", round(rng.uniform(1.1, 2), 2)),
    ]
    return [cases[k] for k in rng.permutation(len(cases))]


def fate_like_linear(activation, matrix, radius):
    if radius == 1 and matrix == "orthogonal":
        return "keeps its size"
    return "vanishes" if radius <= 1 else "explodes"


def fate_by_radius(activation, matrix, radius):
    if radius == 1:
        return "keeps its size"
    return "vanishes" if radius < 1 else "explodes"


def fate_of_two(activation, matrix, radius):
    return "vanishes" if radius <= 1 else "explodes"


def fate_tanh_keeps_at_one(activation, matrix, radius):
    return "keeps its size" if radius == 1 else fate(activation, matrix, radius)


def fate_tanh_never_explodes(activation, matrix, radius):
    return "vanishes" if activation == "tanh" else fate(activation, matrix, radius)


def fate_orthogonal_keeps(activation, matrix, radius):
    if matrix == "orthogonal" and radius == 1:
        return "keeps its size"
    return fate(activation, matrix, radius)


def fate_any_orthogonal_keeps(activation, matrix, radius):
    return "keeps its size" if matrix == "orthogonal" else fate(activation, matrix, radius)


def fate_linear_never_keeps(activation, matrix, radius):
    return fate(activation, matrix, radius).replace("keeps its size", "vanishes")


fate_mistakes = [
    Mistake(
        fate_like_linear,
        "You treat tanh like a linear network. At every step back, tanh multiplies by a slope of "
        "at most 1, and with such inputs often by much less: look at radius 1 and 1.5 in the "
        "lesson's plot.",
    ),
    Mistake(
        fate_by_radius,
        "You go by the radius alone: below, at or above 1. That rule is right for the linear "
        "networks. With tanh a slope of at most 1 comes in at every step.",
    ),
    Mistake(
        fate_of_two,
        "You go by the radius alone, and let it decide between two fates. Look at the slopes of "
        "tanh at radius 1.5, and at the linear network that changes no length.",
    ),
    Mistake(
        fate_tanh_keeps_at_one,
        "At radius 1 you let every network keep its gradient, those with tanh as well. Nothing is "
        "left over there to make good for the slopes of tanh.",
    ),
    Mistake(
        fate_tanh_never_explodes,
        "You say that under tanh nothing can explode. The *states* stay between -1 and 1, but the "
        "gradient is multiplied by W_h at every step, and a large W_h can outweigh the slopes.",
    ),
    Mistake(
        fate_orthogonal_keeps,
        "You let an orthogonal matrix keep the gradient's size under tanh too. The matrix does; "
        "what do the slopes of tanh do to it, a hundred times in a row?",
    ),
    Mistake(
        fate_any_orthogonal_keeps,
        "You let every multiple of an orthogonal matrix keep the gradient's size. It multiplies "
        "all lengths by `radius`: what is left after 99 steps of 0.5, or of 1.5?",
    ),
    Mistake(
        fate_linear_never_keeps,
        "You found no network whose gradient keeps its size. One is in the list: a matrix that "
        "changes no length, and nothing else between two states.",
    ),
]

# --- 03.2 Predict: where float32 ends -------------------------------------------------------------


def steps_below(factor, bound):
    """The smallest n with factor**n < bound, exactly: the logarithms only give a first guess."""
    exact, bound_exact = Fraction(factor), Fraction(bound)
    n = int(math.log(bound) / math.log(factor))
    if factor >= 1:
        return n
    while n > 0 and exact ** (n - 1) < bound_exact:
        n -= 1
    while exact**n >= bound_exact:
        n += 1
    return n


def by_logarithms(factor):
    """One step short where a power of the factor is 2**-126 itself."""
    return math.ceil(round(math.log(2.0**-126) / math.log(factor), 9))


def underflow_lag(factor):
    return None if factor >= 1 else steps_below(factor, 2.0**-126)


# The 39th power of the one is 2**-126 (1 - 2.5e-16): a product in float64 says 40 steps. The 43rd
# of the other is 2**-126 (1 - 1.7e-17): `factor**n` says 44. Logarithms say 40 and 44.
CLOSE, CLOSER = 0.10652254955357182, 0.13119343575757358


def inputs_2(rng):
    drawn = [round(rng.uniform(0.1 + 0.2 * k, 0.28 + 0.2 * k), 3) for k in range(4)]
    power = float(rng.choice([2.0**-21, 2.0**-42, 2.0**-63]))  # 2**-126 is one of its powers
    above = round(rng.uniform(1.01, 1.5), 3)
    return [(factor,) for factor in [*drawn, power, CLOSE, CLOSER, above]]


underflow_mistakes = [
    Mistake(
        lambda factor: None if factor >= 1 else steps_below(factor, 2.0**-1022),
        "Your answers are those for float64, which goes down to about 1e-308. The task is about "
        "float32: ask `np.finfo(np.float32)`.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else steps_below(factor, 2.0**-149),
        "You went down to 2**-149, the smallest number that float32 can hold at all. Below 2**-126 "
        "it already loses digits; that is the bound that is asked for.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else steps_below(factor, 2.0**-23),
        "You took `eps`, about 1e-7. It says how *finely* float32 divides the numbers near 1, not "
        "how small a number can be.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else steps_below(factor, 2.0**-126) - 1,
        "You are one step short: after your number of steps the gradient is still a normal number. "
        "The first n *below* the bound is wanted.",
    ),
    Mistake(
        lambda factor: (
            None if factor >= 1 else underflow_lag(factor) - (factor not in (CLOSE, CLOSER))
        ),
        "You are one step short, but where rounding makes up for it. The first n "
        "*below* the bound is wanted, and the power that decides must be exact.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else underflow_lag(factor) + (factor == CLOSE),
        "Right but where the bound is passed by very little. A product in float64 is rounded at "
        "every step, and you go one step further than needed.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else underflow_lag(factor) + (factor == CLOSER),
        "Right but where the bound is passed by next to nothing. A power in float64 is rounded, "
        "here to the bound itself, and you go one step further than needed.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else underflow_lag(factor) + (factor in (CLOSE, CLOSER)),
        "Right but where the bound is passed by very little. A quotient of logarithms is rounded, "
        "here to a whole number, and you go one step further than needed.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else by_logarithms(factor) + (factor in (CLOSE, CLOSER)),
        "A quotient of logarithms is rounded. You are one step short where a power is the bound "
        "itself, and one step too far where a power passes it by very little.",
    ),
    Mistake(
        lambda factor: None if factor >= 1 else by_logarithms(factor),
        "Right but for the factor that is a power of 2. There 2**-126 is reached exactly, which is "
        "not below it; a quotient of logarithms is rounded and cannot tell the two apart.",
    ),
    Mistake(
        lambda factor: steps_below(factor, 2.0**-126),
        "For a factor above 1 you return a negative number of steps. A gradient that grows never "
        "gets there: what does the specification want then?",
    ),
]

# --- 03.3 Modify: the slope of the logarithms -----------------------------------------------------


def slope_of_logs(norms, first_lag):
    lag = np.arange(norms.shape[1])[::-1]
    curve = np.log(norms).mean(axis=0)
    kept = lag >= first_lag
    return np.polyfit(lag[kept], curve[kept], 1)[0]


def slope_of_mean(norms, first_lag=0):
    """As in the given code, but from `first_lag` on."""
    return slope_of_logs(norms.mean(axis=0, keepdims=True), first_lag)


def slope_wrong_end(norms, first_lag):
    return slope_of_logs(norms[:, first_lag:], 0)


def slope_against_column(norms, first_lag):
    """Takes the number of the column for the lag."""
    return slope_of_logs(norms[:, ::-1], first_lag)


def slope_of_ends(norms, first_lag):
    curve = np.log(norms).mean(axis=0)[::-1][first_lag:]
    return (curve[-1] - curve[0]) / (len(curve) - 1)


def inputs_3(rng):
    cases = []
    for seeds, length, rate, first_lag in [(3, 40, -0.25, 5), (4, 30, 0.2, 3), (5, 60, -0.05, 10)]:
        lag = np.arange(length)[::-1]
        rates = rate + 0.04 * rng.normal(size=(seeds, 1))
        start = rng.uniform(0.5, 1.5, (seeds, 1)) * np.exp(-lag / 2)  # the first lags differ
        cases.append(
            (np.exp(rates * lag + start + 0.1 * rng.normal(size=(seeds, length))), first_lag)
        )
    return cases


slope_mistakes = [
    Mistake(
        lambda norms, first_lag: slope_of_mean(norms),
        "This is the slope of the function as it was given: the logarithm of the mean, over all "
        "lags. Two things are to change.",
    ),
    Mistake(
        slope_of_mean,
        "You still take the logarithm of the mean. The seed with the largest gradient rules that "
        "mean: the curve of one seed in the place of all.",
    ),
    Mistake(
        lambda norms, first_lag: slope_of_logs(norms, 0),
        "You fit all lags. The first few steps back depend on where the loss looks, not on how the "
        "network passes gradients on: leave them out.",
    ),
    Mistake(
        slope_wrong_end,
        "You leave out the wrong end: `norms[:, 0]` is step 1, the *longest* lag.",
    ),
    Mistake(
        lambda norms, first_lag: slope_of_logs(norms, first_lag + 1),
        "You leave out one lag too many: `first_lag` itself belongs to the fit.",
    ),
    Mistake(
        lambda norms, first_lag: -slope_of_logs(norms, first_lag),
        "The sign is turned: you fit against time. The lag grows towards the past, so a gradient "
        "that vanishes has a negative slope.",
    ),
    Mistake(
        lambda norms, first_lag: slope_of_logs(norms, first_lag) / np.log(10),
        "Your slope is in powers of ten. In nats, the natural logarithm's unit, it can be compared "
        "with a Lyapunov exponent.",
    ),
    Mistake(
        slope_against_column,
        "You take the number of a column for its lag. Column 0 is step 1, whose lag is T - 1: so "
        "the sign is turned, and the wrong end is left out.",
    ),
    Mistake(
        slope_of_ends,
        "You join the two ends by a line. That throws away all lags between them; fit a line to "
        "all of them, as the given function does.",
    ),
]

# --- 03.4 Build: the derivative with respect to every state ---------------------------------------


SLOPES = {
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: (h > 0).astype(float),
    "linear": np.ones_like,
}


def state_gradients(h, W_h, g, activation):
    G = np.zeros_like(g)
    later = np.zeros_like(h[:, 0])
    for t in range(g.shape[1], 0, -1):
        G[:, t - 1] = g[:, t - 1] + later
        later = (G[:, t - 1] * SLOPES[activation](h[:, t])) @ W_h.T
    return G


def last_g_only(h, W_h, g, activation):
    last = np.zeros_like(g)
    last[:, -1] = g[:, -1]
    return state_gradients(h, W_h, last, activation)


def deltas(h, W_h, g, activation):
    return state_gradients(h, W_h, g, activation) * SLOPES[activation](h[:, 1:])


def relu_as_linear(h, W_h, g, activation):
    return state_gradients(h, W_h, g, "linear" if activation == "relu" else activation)


def earlier_slope(h, W_h, g, activation):
    before = np.concatenate([h[:, :1], h[:, :-1]], axis=1)
    return state_gradients(before, W_h, g, activation)


def inputs_4(rng):
    cases = []
    for kind, batch, length, units in [
        ("tanh", 3, 6, 4),
        ("linear", 2, 4, 3),
        ("relu", 2, 7, 5),
        ("tanh", 1, 2, 2),
    ]:
        x, W_x, W_h, h0 = random_network(rng, batch, length, 2, units)
        function = {"tanh": np.tanh, "linear": np.array, "relu": lambda a: np.maximum(a, 0)}[kind]
        h = forward(x, W_x, W_h, function, np.abs(h0))
        cases.append((h, W_h, rng.normal(size=(batch, length, units)), kind))
    return cases


state_mistakes = [
    Mistake(
        lambda h, W_h, g, activation: g.copy(),
        "You return the direct parts. A state also acts on the loss through every state after it.",
    ),
    Mistake(
        last_g_only,
        "You start from the last step's part and forget the others: every step's own g joins what "
        "comes from the steps after it.",
    ),
    Mistake(
        lambda h, W_h, g, activation: state_gradients(h, W_h, g, "linear"),
        "You never multiply by the slope of the activation. That is right for the linear network "
        "only.",
    ),
    Mistake(
        lambda h, W_h, g, activation: state_gradients(h, W_h, g, "tanh"),
        "You use the slope of tanh for every activation. What are the slopes of the other two, "
        "told by their output?",
    ),
    Mistake(
        relu_as_linear,
        "You treat relu as if it were linear. Units that are off, h = 0, pass nothing back.",
    ),
    Mistake(
        lambda h, W_h, g, activation: state_gradients(h, W_h.T, g, activation),
        "You send the gradient through W_h as in the forward pass. Entry [i, j] leads from unit i "
        "to unit j; the derivative goes the other way.",
    ),
    Mistake(
        earlier_slope,
        "Your slopes are one step early. Between h_{t-1} and h_t lies the activation whose output "
        "is h_t.",
    ),
    Mistake(
        deltas,
        "These are the derivatives with respect to the pre-activations, delta_t. The states come "
        "after the activation: you have multiplied by one slope too many.",
    ),
    Mistake(
        lambda h, W_h, g, activation: state_gradients(h, W_h, g, activation)[:, ::-1],
        "The values are right and in the wrong order of time: the loop runs backwards, so the last "
        "step came out first.",
    ),
]


def state_gradients_listed(h, W_h, g, activation):
    G = [g[:, -1]]
    for t in range(g.shape[1] - 1, 0, -1):
        after = h[:, t + 1]
        slope = {"tanh": 1 - after * after, "relu": np.sign(np.maximum(after, 0)), "linear": 1.0}
        G.append(g[:, t - 1] + np.einsum("bj,ij->bi", G[-1] * slope[activation], W_h))
    return np.stack(G[::-1], axis=1)


def state_gradients_by_jacobians(h, W_h, g, activation):
    G = np.zeros(g.shape)
    for n in range(len(h)):
        for step in range(1, g.shape[1] + 1):  # the loss of each step on its own
            row = g[n, step - 1]
            G[n, step - 1] += row
            for t in range(step, 1, -1):
                J = np.diag(SLOPES[activation](h[n, t])) @ W_h.T
                row = row @ J
                G[n, t - 2] += row
    return G


def state_gradients_from_copy(h, W_h, g, activation):
    G = g.copy()
    for k in range(g.shape[1] - 2, -1, -1):
        G[:, k] += (SLOPES[activation](h[:, k + 2]) * G[:, k + 1]) @ np.transpose(W_h)
    return G


# --- 03.5 Build: a given spectral radius ----------------------------------------------------------


def with_spectral_radius(matrix, radius):
    return matrix * (radius / np.abs(np.linalg.eigvals(matrix)).max())


def inputs_5(rng):
    turn, size = rng.uniform(0.6, 1.2), rng.uniform(1, 3)
    rotation = -size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    sheared = np.diag(np.sort(rng.uniform(0.3, 0.9, 4))) + np.triu(3 * rng.normal(size=(4, 4)), 1)
    symmetric = rng.normal(size=(3, 3))
    symmetric = symmetric @ symmetric.T
    return [
        (rng.normal(size=(6, 6)), 0.9),
        (rotation, 1.5),
        (sheared, 1.0),
        (-symmetric, float(rng.uniform(0.2, 0.8))),
    ]


radius_mistakes = [
    Mistake(
        lambda matrix, radius: matrix * (radius / np.linalg.norm(matrix, 2)),
        "You scale by the largest *singular* value, the most that one step can stretch. The "
        "spectral radius is about eigenvalues; only for normal matrices are the two the same.",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.linalg.norm(matrix)),
        "You scale by the Frobenius norm, the root of the sum of squared entries. It says nothing "
        "about eigenvalues.",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.linalg.eigvals(matrix).max()),
        "You take the maximum of the eigenvalues themselves. They can be negative or complex; "
        "NumPy then orders them by their real part. How far is each one from 0?",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.abs(np.linalg.eigvals(matrix).real).max()),
        "You look at the real parts alone. A pair of complex eigenvalues turns as well as "
        "stretches: its distance from 0 has an imaginary part too.",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.abs(np.linalg.eigvalsh(matrix)).max()),
        "`eigvalsh` takes it for granted that the matrix is symmetric, and reads one half of it "
        "only. No error tells you.",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.abs(np.linalg.eigvals(matrix)[0])),
        "You take the first eigenvalue for the largest. NumPy returns them in no particular order.",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.abs(matrix).max()),
        "You scale by the largest entry. Entries are not eigenvalues: [[1, 1], [1, 1]] has the "
        "eigenvalue 2.",
    ),
    Mistake(
        lambda matrix, radius: matrix * radius,
        "You multiply by `radius`, and so the old spectral radius is still in there. It has to be "
        "taken out first.",
    ),
    Mistake(
        lambda matrix, radius: matrix * (radius / np.abs(np.linalg.eigvals(matrix)).max() ** 2),
        "You divide by the square. When a matrix is multiplied by c, its eigenvalues are "
        "multiplied by c, once.",
    ),
]


def radius_by_squaring(matrix, radius):
    """Gelfand's formula, ||M^n||^(1/n), with n = 2^40."""
    power, log = matrix.copy(), 0.0
    for k in range(40):
        size = np.linalg.norm(power)
        log += np.log(size) / 2**k
        power = (power / size) @ (power / size)
    return radius * matrix / np.exp(log)


# --- 03.6 Build: the largest Lyapunov exponent ----------------------------------------------------


def largest_lyapunov(jacobians):
    v = np.ones(jacobians.shape[-1])
    v /= np.linalg.norm(v)
    total = 0.0
    for J in jacobians:
        v = J @ v
        size = np.linalg.norm(v)
        total += np.log(size)
        v = v / size
    return total / len(jacobians)


def plain_product(jacobians):
    v = np.ones(jacobians.shape[-1]) / np.sqrt(jacobians.shape[-1])
    for J in jacobians:
        v = J @ v
    return np.log(np.linalg.norm(v)) / len(jacobians)


def last_stretch(jacobians):
    v = np.ones(jacobians.shape[-1]) / np.sqrt(jacobians.shape[-1])
    for J in jacobians:
        v = J @ (v / np.linalg.norm(v))
    return np.log(np.linalg.norm(v)) / len(jacobians)


def lyapunov_from_unit_vectors(jacobians):
    """By QR decompositions from the identity, as for a whole spectrum."""
    Q, logs = np.eye(jacobians.shape[-1]), 0.0
    for J in jacobians:
        Q, R = np.linalg.qr(J @ Q)
        logs = logs + np.log(np.abs(np.diag(R)))
    return logs.max() / len(jacobians)


def lyapunov_long_start(jacobians):
    return largest_lyapunov(jacobians) + np.log(jacobians.shape[-1]) / (2 * len(jacobians))


def inputs_6(rng):
    sizes = [(500, 3, 0.02), (4, 2, 1.0), (500, 3, 40.0), (300, 2, 0.6)]
    cases = [(scale * rng.normal(size=(length, n, n)),) for length, n, scale in sizes]
    shears = np.eye(2) + np.triu(rng.normal(size=(5, 2, 2)), 1)  # eigenvalues 1, not normal
    return [*cases, (shears,)]


lyapunov_mistakes = [
    Mistake(
        plain_product,
        "For long products your vector runs out of range: it becomes 0, or infinite, long before "
        "the last step. Its length must be brought back to 1 as you go.",
    ),
    Mistake(
        last_stretch,
        "You bring the vector back to length 1, and what it had gained is lost: only the last "
        "step's stretch is left. Write each one down before you divide by it.",
    ),
    Mistake(
        lambda jacobians: largest_lyapunov(jacobians) * len(jacobians),
        "You return the sum over all steps. The exponent is a rate, in nats *per step*.",
    ),
    Mistake(
        lambda jacobians: largest_lyapunov(jacobians) / np.log(10),
        "Your logarithm has base 10; nats are wanted.",
    ),
    Mistake(
        lyapunov_from_unit_vectors,
        "Your way is a good one, and nearly gives the number: but you start from the unit vectors, "
        "and formula (1) from v_0. Over T steps the start still shows.",
    ),
    Mistake(
        lyapunov_long_start,
        "You start from ones without the factor in front: v_0 has length 1, so that the growth of "
        "its length is the length itself.",
    ),
    Mistake(
        lambda jacobians: largest_lyapunov(jacobians[::-1]),
        "You apply the last Jacobian first. In J_T ... J_2 J_1 v the vector meets J_1 first.",
    ),
    Mistake(
        lambda jacobians: largest_lyapunov(jacobians.transpose(0, 2, 1)),
        "You multiply by the transposed Jacobians. `v @ J` and `J @ v` are not the same: here v is "
        "a small difference of states, a column.",
    ),
    Mistake(
        lambda jacobians: np.log(np.abs(np.linalg.eigvals(jacobians)).max(axis=-1)).mean(),
        "You average the logarithms of each step's largest eigenvalue. The eigenvectors of one "
        "step are not those of the next: only the product of the steps decides.",
    ),
    Mistake(
        lambda jacobians: np.log(np.linalg.norm(jacobians, 2, axis=(1, 2))).mean(),
        "You average the logarithms of each step's largest stretch. No vector lies in the most "
        "stretched direction at every step, so this is too large.",
    ),
]


def lyapunov_by_matrices(jacobians):
    n = jacobians.shape[-1]
    product, log = np.eye(n), 0.0
    for J in jacobians:
        product = J @ product
        size = np.abs(product).max()
        product, log = product / size, log + math.log(size)
    return (log + math.log(np.linalg.norm(product @ np.full(n, n**-0.5)))) / len(jacobians)


def lyapunov_by_qr(jacobians):
    n = jacobians.shape[-1]
    Q, logs = np.full((n, 1), 1 / math.sqrt(n)), []
    for J in jacobians:
        Q, R = np.linalg.qr(J @ Q)
        logs.append(np.log(abs(R[0, 0])))
    return np.mean(logs)


def lyapunov_in_blocks(jacobians):
    v, total = np.ones(jacobians.shape[-1]), 0.0
    total -= np.log(np.linalg.norm(v))
    for t, J in enumerate(jacobians, 1):
        v = J.dot(v)
        if t % 10 == 0 or t == len(jacobians):
            total += 0.5 * np.log(v @ v)
            v = v / np.sqrt(v @ v)
    return total / len(jacobians)


# --- 03.7 Build: the share of each lag ------------------------------------------------------------


def lag_parts(h, delta):
    """h_{t-1}^T delta_t for every lag, (T, N, N), lag 0 first."""
    return np.einsum("bti,btj->tij", h[:, :-1], delta)[::-1]


def share_by_lag(h, delta):
    size = np.linalg.norm(lag_parts(h, delta), axis=(1, 2))
    return size / size.sum()


def share_of_sum(h, delta):
    parts = lag_parts(h, delta)
    return np.linalg.norm(parts, axis=(1, 2)) / np.linalg.norm(parts.sum(axis=0))


def share_squared(h, delta):
    size = np.sum(lag_parts(h, delta) ** 2, axis=(1, 2))
    return size / size.sum()


def share_of_examples(h, delta):
    parts = np.einsum("bti,btj->btij", h[:, :-1], delta)[:, ::-1]
    size = np.linalg.norm(parts, axis=(2, 3)).sum(axis=0)
    return size / size.sum()


def share_same_state(h, delta):
    size = np.linalg.norm(np.einsum("bti,btj->tij", h[:, 1:], delta)[::-1], axis=(1, 2))
    return size / size.sum()


def share_of_deltas(h, delta):
    size = np.linalg.norm(delta, axis=(0, 2))[::-1]
    return size / size.sum()


def inputs_7(rng):
    cases = []
    for batch, length, units in [(4, 8, 3), (1, 3, 2), (3, 12, 4)]:
        x, W_x, W_h, h0 = random_network(rng, batch, length, 2, units)
        h = forward(x, W_x, W_h, np.tanh, h0)
        g = np.zeros((batch, length, units))
        g[:, -1] = rng.normal(size=(batch, units))
        cases.append((h, deltas(h, W_h, g, "tanh")))
    return cases


share_mistakes = [
    Mistake(
        lambda h, delta: share_by_lag(h, delta)[::-1],
        "Your list runs with time. By lag, entry 0 is the last step; the first step comes last.",
    ),
    Mistake(
        lambda h, delta: np.linalg.norm(lag_parts(h, delta), axis=(1, 2)),
        "These are the norms. Shares add up to 1.",
    ),
    Mistake(
        share_of_sum,
        "You divide by the norm of the whole gradient. The parts point in different directions and "
        "partly cancel, so such numbers do not add up to 1; divide by the sum of the norms.",
    ),
    Mistake(
        share_squared,
        "You compare squared norms. That makes large parts look larger and small ones smaller than "
        "they are.",
    ),
    Mistake(
        share_of_examples,
        "You take a norm for each sequence and add those. One part of dL/dW_h is the sum over the "
        "batch: first add the matrices, then take the norm.",
    ),
    Mistake(
        share_same_state,
        "You pair delta_t with h_t. In a_t, W_h multiplies the state before.",
    ),
    Mistake(
        share_of_deltas,
        "You compare the deltas alone. What reaches W_h at step t is delta_t *times* the state "
        "that came in there.",
    ),
]


def share_by_loop(h, delta):
    sizes = []
    for t in range(delta.shape[1], 0, -1):
        sizes.append(np.linalg.norm(h[:, t - 1].T @ delta[:, t - 1]))
    return np.array(sizes) / sum(sizes)


def share_by_matmul(h, delta):
    parts = h[:, :-1].transpose(1, 2, 0) @ delta.transpose(1, 0, 2)
    size = np.sqrt(np.sum(parts**2, axis=(-2, -1)))
    return np.flip(size / np.sum(size))


def share_by_outer(h, delta):
    length = delta.shape[1]
    size = [0.0] * length
    for lag in range(length):
        t = length - lag
        part = sum(np.outer(h[n, t - 1], delta[n, t - 1]) for n in range(len(h)))
        size[lag] = float(np.sqrt(np.trace(part.T @ part)))
    return [s / math.fsum(size) for s in size]


# --- 03.8 Find the bug: the gradient of the stacked outputs ---------------------------------------


def last_loss(h, target):
    return 0.5 * np.sum((h[:, -1] - target) ** 2)


def nudged_run(x, W_x, W_h, nudge, where="state"):
    """States with `nudge` (B, T, N) added to the state, to the pre-activation, or to h_{t-1}."""
    h = np.zeros((len(x), len(W_h)))
    states = []
    for t in range(x.shape[1]):
        if where == "before":
            h = h + nudge[:, t]
        a = x[:, t] @ W_x + h @ W_h
        h = np.tanh(a + nudge[:, t]) if where == "inside" else np.tanh(a)
        if where == "state":
            h = h + nudge[:, t]
        if where == "instead":
            h = np.where(nudge[:, t] == 0, h, nudge[:, t])
        states.append(h)
    return np.stack(states, axis=1)


def differences(x, W_x, W_h, target, epsilon, spread=lambda index: index, where="state"):
    """Central differences; `spread` says which entries are nudged for an index."""
    G = np.zeros((len(x), x.shape[1], len(W_h)))
    for index in np.ndindex(G.shape):
        nudge = np.zeros_like(G)
        nudge[spread(index)] = epsilon
        up = last_loss(nudged_run(x, W_x, W_h, nudge, where), target)
        down = last_loss(nudged_run(x, W_x, W_h, -nudge, where), target)
        G[index] = (up - down) / (2 * epsilon)
    return G


def stacked_outputs_only(x, W_x, W_h, target, epsilon):
    h = forward(x, W_x, W_h)[:, 1:]
    G = np.zeros_like(h)
    for index in np.ndindex(h.shape):
        nudge = np.zeros_like(h)
        nudge[index] = epsilon
        G[index] = (last_loss(h + nudge, target) - last_loss(h - nudge, target)) / (2 * epsilon)
    return G


def inputs_8(rng):
    cases = []
    for batch, length, features, units in [(2, 4, 2, 3), (1, 6, 1, 2), (2, 3, 2, 2)]:
        x, W_x, W_h, _ = random_network(rng, batch, length, features, units)
        cases.append((x, W_x, 1.5 * W_h, rng.uniform(-1, 1, (batch, units)), 1e-4))
    return cases


stacked_mistakes = [
    Mistake(
        stacked_outputs_only,
        "Before the last step your result is 0, as in the code that was given: the nudge reaches "
        "the output that is shown, not the state that the next step reads.",
    ),
    Mistake(
        lambda x, W_x, W_h, target, epsilon: differences(
            x, W_x, W_h, target, epsilon, where="inside"
        ),
        "You nudge inside the tanh. That is the derivative with respect to the pre-activation; the "
        "state is what comes out of the tanh.",
    ),
    Mistake(
        lambda x, W_x, W_h, target, epsilon: differences(
            x, W_x, W_h, target, epsilon, where="before"
        ),
        "Your derivatives are one step late: at step t you nudge the state that *comes in*, which "
        "is h_{t-1}.",
    ),
    Mistake(
        lambda x, W_x, W_h, target, epsilon: differences(
            x, W_x, W_h, target, epsilon, lambda i: (i[0], slice(i[1], None), i[2])
        ),
        "You add the nudge at step t and at all steps after it, so their derivatives are added up "
        "as well. One step, one nudge; the loop itself carries it on.",
    ),
    Mistake(
        lambda x, W_x, W_h, target, epsilon: differences(
            x, W_x, W_h, target, epsilon, lambda i: (i[0], i[1])
        ),
        "You nudge all units of the state at once, so that every unit shows the same number. One "
        "entry at a time.",
    ),
    Mistake(
        lambda x, W_x, W_h, target, epsilon: differences(
            x, W_x, W_h, target, epsilon, where="instead"
        ),
        "You put the nudge in the state's place. The state must keep its value, with the nudge "
        "added.",
    ),
    Mistake(
        lambda x, W_x, W_h, target, epsilon: 2 * differences(x, W_x, W_h, target, epsilon),
        "Twice too large: the two runs are 2 epsilon apart.",
    ),
]


def analytic(x, W_x, W_h, target, epsilon):
    h = forward(x, W_x, W_h)
    g = np.zeros_like(h[:, 1:])
    g[:, -1] = h[:, -1] - target
    return state_gradients(h, W_h, g, "tanh")


def rerun_from_each_state(x, W_x, W_h, target, epsilon):
    h = forward(x, W_x, W_h)
    G = np.zeros_like(h[:, 1:])
    for n, k, i in np.ndindex(G.shape):
        results = []
        for sign in (1, -1):
            start = h[:, k + 1].copy()
            start[n, i] += sign * epsilon
            rest = forward(x[:, k + 1 :], W_x, W_h, np.tanh, start)
            results.append(last_loss(rest, target))
        G[n, k, i] = (results[0] - results[1]) / (2 * epsilon)
    return G


def one_sided(x, W_x, W_h, target, epsilon):
    """Differences to one side, with a step small enough to be as good."""
    G, e = np.zeros((len(x), x.shape[1], len(W_h))), 1e-8
    base = last_loss(nudged_run(x, W_x, W_h, G), target)
    for index in np.ndindex(G.shape):
        nudge = np.zeros_like(G)
        nudge[index] = e
        G[index] = (last_loss(nudged_run(x, W_x, W_h, nudge), target) - base) / e
    return G


# --- 03.9 Find the bug: the product in the wrong order --------------------------------------------


def long_jacobian(h, W_h):
    product = np.eye(len(W_h))
    for h_t in h[1:]:
        product = np.diag(1 - h_t**2) @ W_h.T @ product
    return product


def long_jacobian_given(h, W_h):
    product = np.eye(len(W_h))
    for h_t in h[1:]:
        product = product @ np.diag(1 - h_t**2) @ W_h.T
    return product


def slope_on_the_right(h, W_h):
    product = np.eye(len(W_h))
    for h_t in h[1:]:
        product = W_h.T @ np.diag(1 - h_t**2) @ product
    return product


def inputs_9(rng):
    cases = []
    for length, features, units in [(5, 2, 3), (1, 1, 2), (8, 2, 4), (3, 1, 2)]:
        x, W_x, W_h, h0 = random_network(rng, 1, length, features, units)
        cases.append((forward(x, W_x, 1.5 * W_h, np.tanh, h0)[0], 1.5 * W_h))
    return cases


product_mistakes = [
    Mistake(
        long_jacobian_given,
        "This is J_1 J_2 ... J_T, as it was given. A small difference of h_0 meets J_1 first: "
        "where must J_1 stand in the product?",
    ),
    Mistake(
        lambda h, W_h: long_jacobian(h, W_h.T),
        "You use W_h where its transpose belongs: J[i, j] = dh_t[i] / dh_{t-1}[j] needs the weight "
        "from unit j to unit i.",
    ),
    Mistake(
        slope_on_the_right,
        "The slopes stand on the wrong side of the weights. A difference of h_{t-1} first goes "
        "through the weights, then through the tanh.",
    ),
    Mistake(
        lambda h, W_h: long_jacobian(h, W_h).T,
        "Your result is transposed: [i, j] must say how unit i at the end depends on unit j at the "
        "start.",
    ),
    Mistake(
        lambda h, W_h: long_jacobian(h[1:], W_h),
        "One step is missing. From h_0 to h_T there are T steps, and each has its Jacobian.",
    ),
    Mistake(
        lambda h, W_h: long_jacobian(np.concatenate([h[:1], h[:-1]]), W_h),
        "Your slopes are those of the state before, 1 - h_{t-1}². The tanh between h_{t-1} and h_t "
        "has the output h_t.",
    ),
]


def long_jacobian_recursive(h, W_h):
    if len(h) == 1:
        return np.eye(len(W_h))
    return ((1 - h[-1] ** 2) * W_h).T @ long_jacobian_recursive(h[:-1], W_h)


# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "03.1",
        fate,
        inputs_1,
        fate_mistakes,
        [
            "Per step back, the gradient is multiplied by W_h and by the slopes of the activation. "
            "Treat the linear networks first: there the slopes are 1.",
            "The lesson's plot has curves for tanh at radius 0.5, 1, 1.5 and 3. None of the tanh "
            "networks here keeps its gradient.",
        ],
    ),
    Exercise(
        "03.2",
        underflow_lag,
        inputs_2,
        underflow_mistakes,
        [
            "Take logarithms of factor**n < 2**-126, and mind that the logarithm of a factor below "
            "1 is negative.",
            "n has to be *greater* than a certain quotient of logarithms, and a whole number.",
        ],
    ),
    Exercise(
        "03.3",
        slope_of_logs,
        inputs_3,
        slope_mistakes,
        [
            "In which order do `np.log` and `mean` stand, and which of the two has to come first?",
            "A mask such as `lag >= first_lag` picks the same entries from the lags and the curve.",
        ],
        points=2,
    ),
    Exercise(
        "03.4",
        state_gradients,
        inputs_4,
        state_mistakes,
        [
            "G_t is g_t plus what comes back from G_{t+1} through step t + 1. Begin at the last "
            "step, where nothing comes back.",
            "Back through step t + 1 means: times the slope at h_{t+1}, then times the transpose "
            "of W_h. The slopes can be told from the states.",
        ],
        points=3,
    ),
    Exercise(
        "03.5",
        with_spectral_radius,
        inputs_5,
        radius_mistakes,
        [
            "If M has the eigenvalue λ, then c M has the eigenvalue c λ. Which c is wanted?",
            "`np.linalg.eigvals` returns all eigenvalues of a square matrix, complex ones too.",
        ],
        points=2,
    ),
    Exercise(
        "03.6",
        largest_lyapunov,
        inputs_6,
        lyapunov_mistakes,
        [
            "The logarithm of a product is the sum of the logarithms: you never need the product "
            "itself.",
            "At each step: multiply, measure the length, add its logarithm, divide by it.",
        ],
        points=3,
    ),
    Exercise(
        "03.7",
        share_by_lag,
        inputs_7,
        share_mistakes,
        [
            "dL/dW_h is a sum of T matrices, one for each step. Start with a loop that computes "
            "them one by one.",
            "`np.linalg.norm` of a matrix is its Frobenius norm. Mind which end of the list lag 0 "
            "is.",
        ],
        points=2,
    ),
    Exercise(
        "03.8",
        differences,
        inputs_8,
        stacked_mistakes,
        [
            "Follow a nudge of `outputs[0, 0, 0]` through the code by hand. Which later number "
            "changes?",
            "Let the loop take one more array of zeros, (B, T, N), and add its entry for step t to "
            "the state before the state is stored *and* handed on.",
        ],
        points=3,
        rtol=1e-4,
        atol=1e-6,
    ),
    Exercise(
        "03.9",
        long_jacobian,
        inputs_9,
        product_mistakes,
        [
            "For T = 2, write h_2 as a function of h_1 and h_1 as a function of h_0, and apply the "
            "chain rule.",
            "Each new Jacobian acts on the result of all earlier ones.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "03.3": [
        lambda norms, first_lag: np.mean([slope_of_logs(row[None], first_lag) for row in norms]),
        lambda norms, first_lag: (
            -np.polyfit(
                np.arange(norms.shape[1] - first_lag),
                np.log(norms).mean(0)[: norms.shape[1] - first_lag],
                1,
            )[0]
        ),
        lambda norms, first_lag: slope_of_mean(
            np.exp(np.mean(np.log(norms), axis=0, keepdims=True)), first_lag
        ),
    ],
    "03.4": [state_gradients_listed, state_gradients_by_jacobians, state_gradients_from_copy],
    "03.5": [
        radius_by_squaring,
        lambda matrix, radius: radius * matrix / max(abs(z) for z in np.linalg.eig(matrix)[0]),
        lambda matrix, radius: (
            radius * matrix / np.sqrt(np.abs(np.linalg.eigvals(matrix @ matrix)).max())
        ),
    ],
    "03.6": [lyapunov_by_matrices, lyapunov_by_qr, lyapunov_in_blocks],
    "03.7": [share_by_loop, share_by_matmul, share_by_outer],
    "03.8": [analytic, rerun_from_each_state, one_sided],
    "03.9": [
        lambda h, W_h: np.linalg.multi_dot(
            [np.eye(len(W_h))] * 2 + [np.diag(1 - h_t**2) @ W_h.T for h_t in h[:0:-1]]
        ),
        lambda h, W_h: long_jacobian_given(np.concatenate([h[:1], h[:0:-1]]), W_h),
        long_jacobian_recursive,
    ],
}
