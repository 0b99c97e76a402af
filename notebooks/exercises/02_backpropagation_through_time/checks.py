"""Exercises of lesson 02: right solutions, and the mistakes that people make.

Shapes: x (B, T, D), h (B, T + 1, N) with h[:, 0] the initial state, g and G (B, T, N) with
g[:, t - 1] the direct part of the derivative with respect to h_t; W_x (D, N), W_h (N, N), b (N,).
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def forward(x, W_x, W_h, b=0.0, h0=None):
    """All states, h (B, T + 1, N), with the initial one in front."""
    batch, length, _ = x.shape
    h = np.zeros((batch, length + 1, len(W_h)))
    if h0 is not None:
        h[:, 0] = h0
    for t in range(1, length + 1):
        h[:, t] = np.tanh(x[:, t - 1] @ W_x + h[:, t - 1] @ W_h + b)
    return h


def random_run(rng, batch, length, features, units):
    """x, h and W_h of a network that starts from a state other than zero."""
    x = rng.normal(size=(batch, length, features))
    W_x = rng.normal(size=(features, units)) / np.sqrt(features)
    W_h = rng.normal(size=(units, units)) / np.sqrt(units)
    h0 = rng.uniform(-0.9, 0.9, (batch, units))
    return x, forward(x, W_x, W_h, 0.3 * rng.normal(size=units), h0), W_h


# --- 02.1 Predict: what reaches the prediction ----------------------------------------------------


def what_arrives(lag, window, carried):
    if window >= lag + 1:
        return "both"
    return "value only" if carried else "neither"


def inputs_1(rng):
    lag = int(rng.integers(5, 20))
    near = [(lag, lag + step, carried) for step in (-1, 0, 1, 2) for carried in (False, True)]
    short = int(rng.integers(2, lag - 2))
    return [*near, (lag, short, False), (lag, short, True), (lag, 3 * lag, False), (0, 1, True)]


arrives_mistakes = [
    Mistake(
        lambda lag, window, carried: (
            "both" if window >= lag else "value only" if carried else "neither"
        ),
        "You ask for a window of `lag` steps. Count the steps on paper for lag 1: the window must "
        "hold the input itself and the step at which it is asked for.",
    ),
    Mistake(
        lambda lag, window, carried: "both" if carried or window >= lag + 1 else "neither",
        "You let the gradient follow the carried state into the window before. The state is "
        "carried as a number: what does the derivative of a constant say about where it came from?",
    ),
    Mistake(
        lambda lag, window, carried: "both" if window >= lag + 1 else "neither",
        "You forget what a carried state brings along: its value still depends on all the inputs "
        "before the window.",
    ),
    Mistake(
        lambda lag, window, carried: "value only" if carried else what_arrives(lag, window, False),
        "With a carried state you never let the gradient through. Within one window it flows as it "
        "always does; only the border between two windows stops it.",
    ),
    Mistake(
        lambda lag, window, carried: (
            "both" if window >= 2 * lag else "value only" if carried else "neither"
        ),
        "You ask for twice the lag. In a window of 2 * lag steps half of the steps have "
        "their input inside; the question is about the last step alone.",
    ),
]

# --- 02.2 Predict: memory of the stored states ----------------------------------------------------


def stored_bytes(batch, length, units, truncation):
    steps = length if truncation is None else min(truncation, length)
    return 4 * batch * steps * units


def inputs_2(rng):
    batch, length, units = (int(n) for n in rng.integers([2, 50, 8], [64, 400, 128]))
    short = int(rng.integers(5, 40))
    return [
        (batch, length, units, None),
        (batch, length, units, short),
        (batch, length, units, length + 25),
        (1, length, units, short),
    ]


bytes_mistakes = [
    Mistake(
        lambda batch, length, units, truncation: (
            8 * batch * (min(truncation, length) if truncation else length) * units
        ),
        "You count 8 bytes a number, which is NumPy's float64. These states are float32.",
    ),
    Mistake(
        lambda batch, length, units, truncation: (
            4 * (min(truncation, length) if truncation else length) * units
        ),
        "You count one sequence. Every sequence of the batch has states of its own.",
    ),
    Mistake(
        lambda batch, length, units, truncation: (
            4 * batch * ((min(truncation, length) if truncation else length) + 1) * units
        ),
        "You count h_0, or the state before the window, as well. It is there, and it is needed; "
        "but the question leaves it out.",
    ),
    Mistake(
        lambda batch, length, units, truncation: 4 * batch * length * units,
        "Your count does not depend on `truncation`. To save this memory is one of the two reasons "
        "for truncating: which states does the backward pass still need?",
    ),
    Mistake(
        lambda batch, length, units, truncation: 4 * batch * (truncation or length) * units,
        "You count `truncation` steps even where the sequence is shorter. There are no more states "
        "than steps.",
    ),
    Mistake(
        lambda batch, length, units, truncation: (
            4 * batch * (min(truncation, length) if truncation else length) * units**2
        ),
        "You count a square of `units`. That is the size of W_h, which is stored once for all "
        "steps; a state is a vector.",
    ),
]

# --- 02.3 Modify: from a loss at the last step to one at every step -------------------------------


def every_step_gradient(h, W_h, g):
    length = h.shape[1] - 1
    dW_h = np.zeros_like(W_h)
    G = np.zeros_like(h[:, 0])
    for t in range(length, 0, -1):
        G = G + g[:, t - 1]
        delta = G * (1 - h[:, t] ** 2)
        dW_h = dW_h + h[:, t - 1].T @ delta
        G = delta @ W_h.T
    return dW_h


def only_last(g):
    last = np.zeros_like(g)
    last[:, -1] = g[:, -1]
    return last


def last_step_only(h, W_h, g):
    return every_step_gradient(h, W_h, only_last(g))


def direct_only(h, W_h, g):
    deltas = g * (1 - h[:, 1:] ** 2)
    return np.einsum("bti,btj->ij", h[:, :-1], deltas)


def last_counted_twice(h, W_h, g):
    doubled = g.copy()
    doubled[:, -1] *= 2
    return every_step_gradient(h, W_h, doubled)


def added_after_tanh(h, W_h, g):
    length = h.shape[1] - 1
    dW_h, G = np.zeros_like(W_h), np.zeros_like(h[:, 0])
    for t in range(length, 0, -1):
        delta = G * (1 - h[:, t] ** 2) + g[:, t - 1]
        dW_h = dW_h + h[:, t - 1].T @ delta
        G = delta @ W_h.T
    return dW_h


def one_step_late(h, W_h, g):
    """Starts as the given code does, and then adds the step's own g after the step."""
    length = h.shape[1] - 1
    dW_h, G = np.zeros_like(W_h), g[:, -1]
    for t in range(length, 0, -1):
        delta = G * (1 - h[:, t] ** 2)
        dW_h = dW_h + h[:, t - 1].T @ delta
        G = delta @ W_h.T + g[:, t - 1]
    return dW_h


def inputs_3(rng):
    cases = []
    for batch, length, units in [(3, 6, 4), (1, 3, 2), (2, 9, 3)]:
        _, h, W_h = random_run(rng, batch, length, 2, units)
        cases.append((h, W_h, rng.normal(size=(batch, length, units))))
    return cases


every_step_mistakes = [
    Mistake(
        last_step_only,
        "You still use the loss of the last step alone. The steps before have losses of their own: "
        "where in the loop does each of them come in?",
    ),
    Mistake(
        direct_only,
        "You put g[:, t - 1] in the place of what comes from the steps after. A state acts on its "
        "own loss *and* on all later ones: the two parts add.",
    ),
    Mistake(
        last_counted_twice,
        "The last step's part comes in twice: once before the loop, and once more in its first "
        "turn. What should G be before the loop now?",
    ),
    Mistake(
        added_after_tanh,
        "You add the direct part to delta. It is a derivative with respect to the state h_t, and "
        "delta is one with respect to the pre-activation a_t: it must pass through the tanh, too.",
    ),
    Mistake(
        one_step_late,
        "The direct parts come in one step late. After `delta @ W_h.T`, G belongs to h_{t-1}; "
        "g[:, t - 1] belongs to h_t.",
    ),
    Mistake(
        lambda h, W_h, g: every_step_gradient(h, W_h, g[:, ::-1]),
        "You use the direct parts in the wrong order of time. The loop runs backwards through g as "
        "well as through h.",
    ),
    Mistake(
        lambda h, W_h, g: every_step_gradient(h, W_h, g) / g.shape[1],
        "You average over the steps. The loss is the *sum* of the steps' losses; whoever wants "
        "their mean has divided in g already.",
    ),
]


def sum_of_single_losses(h, W_h, g):
    total = np.zeros_like(W_h)
    for step in range(1, g.shape[1] + 1):
        G = g[:, step - 1]
        for t in range(step, 0, -1):
            delta = (1 - h[:, t] ** 2) * G
            total = total + np.tensordot(h[:, t - 1], delta, (0, 0))
            G = delta @ W_h.T
    return total


# --- 02.4 Build: backpropagation through time -----------------------------------------------------


def bptt(x, h, W_h, g):
    length = x.shape[1]
    dW_x = np.zeros((x.shape[2], h.shape[2]))
    dW_h, db = np.zeros_like(W_h), np.zeros(h.shape[2])
    G = np.zeros_like(h[:, 0])
    for t in range(length, 0, -1):
        delta = (G + g[:, t - 1]) * (1 - h[:, t] ** 2)
        dW_x += x[:, t - 1].T @ delta
        dW_h += h[:, t - 1].T @ delta
        db += delta.sum(axis=0)
        G = delta @ W_h.T
    return {"W_x": dW_x, "W_h": dW_h, "b": db, "h0": G}


def bptt_with(x, h, W_h, g, *, slope=None, back=None, keep=1.0, before=0):
    """`bptt` with one thing changed; `before` is the offset of the state that dW_h reads."""
    slope = 1 - h**2 if slope is None else slope
    back = W_h.T if back is None else back
    length = x.shape[1]
    dW_x = np.zeros((x.shape[2], h.shape[2]))
    dW_h, db = np.zeros_like(W_h), np.zeros(h.shape[2])
    G = np.zeros_like(h[:, 0])
    for t in range(length, 0, -1):
        delta = (keep * G + g[:, t - 1]) * slope[:, t]
        dW_x += x[:, t - 1].T @ delta
        dW_h += h[:, t - 1 + before].T @ delta
        db += delta.sum(axis=0)
        G = delta @ back
    return {"W_x": dW_x, "W_h": dW_h, "b": db, "h0": G}


def bptt_mean(x, h, W_h, g):
    grads = bptt(x, h, W_h, g)
    return {name: grads[name] / (1 if name == "h0" else len(x)) for name in grads}


def bptt_overwrites(x, h, W_h, g):
    """`=` instead of `+=`: what remains is the share of the first step."""
    grads, delta = bptt(x, h, W_h, g), None
    G = np.zeros_like(h[:, 0])
    for t in range(x.shape[1], 0, -1):
        delta = (G + g[:, t - 1]) * (1 - h[:, t] ** 2)
        G = delta @ W_h.T
    first = {"W_x": x[:, 0].T @ delta, "W_h": h[:, 0].T @ delta, "b": delta.sum(axis=0)}
    return {**grads, **first}


def bptt_initial(x, h, W_h, g):
    """The derivative with respect to a_1, handed out as that with respect to h_0."""
    G = np.zeros_like(h[:, 0])
    for t in range(x.shape[1], 0, -1):
        delta = (G + g[:, t - 1]) * (1 - h[:, t] ** 2)
        G = delta @ W_h.T
    return {**bptt(x, h, W_h, g), "h0": delta}


def shifted(h):
    return 1 - np.concatenate([h[:, :1], h[:, :-1]], axis=1) ** 2


def inputs_4(rng):
    cases = []
    for batch, length, features, units in [(3, 6, 2, 4), (1, 2, 3, 2), (2, 8, 1, 3)]:
        x, h, W_h = random_run(rng, batch, length, features, units)
        g = rng.normal(size=(batch, length, units))
        if length == 8:
            g[:, :-1] = 0  # a loss at the last step alone
        cases.append((x, h, W_h, g))
    return cases


bptt_mistakes = [
    Mistake(
        lambda x, h, W_h, g: bptt_with(x, h, W_h, g, slope=np.ones_like(h)),
        "The derivative of tanh is missing. You go from h_t to a_t = x_t W_x + h_{t-1} W_h + b, "
        "and tanh lies between the two.",
    ),
    Mistake(
        lambda x, h, W_h, g: bptt_with(x, h, W_h, g, before=1),
        "For W_h you multiply by h_t. Look at a_t again: which state does W_h multiply there?",
    ),
    Mistake(
        lambda x, h, W_h, g: bptt_with(x, h, W_h, g, back=W_h),
        "You send delta back through W_h as in the forward pass. Entry [i, j] of W_h leads from "
        "unit i to unit j; the derivative has to go from j to i.",
    ),
    Mistake(
        bptt_mean,
        "You take means over the batch. The weights are shared by all sequences, so their parts "
        "add; a loss that is a mean brings its 1 / B along in g.",
    ),
    Mistake(
        lambda x, h, W_h, g: bptt_with(x, h, W_h, g, keep=0.0),
        "Every step sees only its own loss: the part that comes from the steps after it is "
        "computed and then lost. This is backpropagation, but not through time.",
    ),
    Mistake(
        lambda x, h, W_h, g: bptt(x, h, W_h, only_last(g)),
        "You use the last step's part of g alone. Every step may have a loss: its g joins what "
        "comes from the steps after it.",
    ),
    Mistake(
        bptt_overwrites,
        "In the weights' derivatives only one step is left. The weights are used at every step, so "
        "every step adds its part: is there an `=` where `+=` belongs?",
    ),
    Mistake(
        bptt_initial,
        "The weights are right; `h0` is the derivative with respect to the first pre-activation, "
        "a_1. One more factor lies between a_1 and h_0.",
    ),
    Mistake(
        lambda x, h, W_h, g: bptt_with(x, h, W_h, g, slope=shifted(h)),
        "You take the slope of tanh at the state before, 1 - h_{t-1}². The slope at a_t is told by "
        "the output of that very tanh.",
    ),
    Mistake(
        lambda x, h, W_h, g: bptt_with(x, h, W_h, g, slope=1 - h),
        "Your slope of tanh is 1 - h. Check it at h = 0 and at h = -1, where tanh is steepest and "
        "where it is flat.",
    ),
]


def bptt_deltas_first(x, h, W_h, g):
    deltas = [None] * x.shape[1]
    later = 0.0
    for t in reversed(range(x.shape[1])):
        deltas[t] = (later + g[:, t]) * (1 - np.square(h[:, t + 1]))
        later = np.einsum("bj,ij->bi", deltas[t], W_h)
    deltas = np.stack(deltas, axis=1)
    return {
        "h0": later,
        "b": deltas.sum(axis=(0, 1)),
        "W_h": np.einsum("bti,btj->ij", h[:, :-1], deltas),
        "W_x": np.einsum("bti,btj->ij", x, deltas),
    }


def bptt_by_example(x, h, W_h, g):
    total = None
    for n in range(len(x)):
        row = np.zeros(h.shape[2])
        grads = [np.zeros((x.shape[2], h.shape[2])), np.zeros_like(W_h), np.zeros(h.shape[2])]
        for t in range(x.shape[1], 0, -1):
            delta = np.diag(1 - h[n, t] ** 2) @ (row + g[n, t - 1])
            grads[0] += np.outer(x[n, t - 1], delta)
            grads[1] += np.outer(h[n, t - 1], delta)
            grads[2] += delta
            row = W_h @ delta
        grads = [*grads, row[None]]
        if total is not None:
            grads = [a + b for a, b in zip(total[:3], grads, strict=False)] + [
                np.concatenate([total[3], row[None]])
            ]
        total = grads
    return dict(zip(["W_x", "W_h", "b", "h0"], total, strict=True))


def bptt_recursive(x, h, W_h, g):
    if x.shape[1] == 0:
        zeros = np.zeros_like(W_h)
        return {"W_x": np.zeros((x.shape[2], len(W_h))), "W_h": zeros, "b": zeros[0], "h0": 0.0}
    delta = g[:, -1] * (1 - h[:, -1] ** 2)
    earlier = g[:, :-1].copy()
    reaching = delta @ W_h.T
    if x.shape[1] > 1:
        earlier[:, -1] += reaching
    rest = bptt_recursive(x[:, :-1], h[:, :-1], W_h, earlier)
    return {
        "W_x": rest["W_x"] + x[:, -1].T @ delta,
        "W_h": rest["W_h"] + h[:, -2].T @ delta,
        "b": rest["b"] + delta.sum(0),
        "h0": rest["h0"] if x.shape[1] > 1 else reaching,
    }


# --- 02.5 Build: truncated backpropagation --------------------------------------------------------


def truncated_gradient(h, W_h, g_last, k):
    length = h.shape[1] - 1
    dW_h, db = np.zeros_like(W_h), np.zeros(len(W_h))
    G = g_last
    for t in range(length, max(length - k, 0), -1):
        delta = G * (1 - h[:, t] ** 2)
        dW_h += h[:, t - 1].T @ delta
        db += delta.sum(axis=0)
        G = delta @ W_h.T
    return {"W_h": dW_h, "b": db}


def truncated_wraps(h, W_h, g_last, k):
    length = h.shape[1] - 1
    dW_h, db = np.zeros_like(W_h), np.zeros(len(W_h))
    G = g_last
    for t in range(length, length - k, -1):  # below 1 the indices count from the end
        delta = G * (1 - h[:, t] ** 2)
        dW_h += h[:, t - 1].T @ delta
        db += delta.sum(axis=0)
        G = delta @ W_h.T
    return {"W_h": dW_h, "b": db}


def truncated_zero_state(h, W_h, g_last, k):
    cut = h.copy()
    cut[:, max(h.shape[1] - 1 - k, 0)] = 0
    return truncated_gradient(cut, W_h, g_last, k)


def truncated_first_steps(h, W_h, g_last, k):
    """Follows the gradient through all steps and keeps the parts of the first k."""
    full = truncated_gradient(h, W_h, g_last, h.shape[1])
    late = truncated_gradient(h, W_h, g_last, max(h.shape[1] - 1 - k, 0))
    return {name: full[name] - late[name] for name in full}


def scaled(grads, factor):
    return {name: factor * grads[name] for name in grads}


def inputs_5(rng):
    cases = []
    for batch, length, units, k in [(3, 7, 4, 3), (2, 5, 2, 1), (1, 6, 3, 6), (2, 4, 3, 6)]:
        _, h, W_h = random_run(rng, batch, length, 2, units)
        cases.append((h, W_h, rng.normal(size=(batch, units)), k))
    return cases


truncated_mistakes = [
    Mistake(
        lambda h, W_h, g_last, k: truncated_gradient(h, W_h, g_last, h.shape[1]),
        "This is the whole gradient: your result does not depend on k.",
    ),
    Mistake(
        lambda h, W_h, g_last, k: truncated_gradient(h, W_h, g_last, k + 1),
        "You follow k + 1 steps. For k = 1 only the last step's own use of the weights may count.",
    ),
    Mistake(
        lambda h, W_h, g_last, k: truncated_gradient(h, W_h, g_last, k - 1),
        "You follow k - 1 steps: for k = 1 nothing is left at all. Count the turns of your loop.",
    ),
    Mistake(
        truncated_zero_state,
        "You set the state before the window to zero. It is a *constant*, not nothing: the weights "
        "still multiply it at the first step that you follow.",
    ),
    Mistake(
        truncated_first_steps,
        "You keep the parts of the first k steps of the sequence. Those are the ones far from the "
        "loss; truncation keeps the near ones.",
    ),
    Mistake(
        truncated_wraps,
        "For k greater than the length your loop runs past the start: t = 0 and below are indices "
        "too in NumPy, counted from the end, so there is no error, only a wrong number.",
    ),
    Mistake(
        lambda h, W_h, g_last, k: scaled(
            truncated_gradient(h, W_h, g_last, k), 1 / min(k, h.shape[1] - 1)
        ),
        "You divide by the number of steps followed. The parts of the steps add; nothing is "
        "averaged.",
    ),
    Mistake(
        lambda h, W_h, g_last, k: scaled(
            truncated_gradient(h, W_h, g_last, k), (h.shape[1] - 1) / min(k, h.shape[1] - 1)
        ),
        "You scale up to make good for the steps that were cut off. Truncated backpropagation does "
        "not: the far parts are usually the smallest, and scaling cannot know them.",
    ),
]


def truncated_by_zeroing(h, W_h, g_last, k):
    length = h.shape[1] - 1
    G, deltas = g_last, []
    for t in range(length, 0, -1):
        delta = G * (1 - h[:, t] ** 2) * (length - t < k)
        deltas.insert(0, delta)
        G = delta @ W_h.T
    deltas = np.stack(deltas, axis=1)
    return {
        "W_h": np.einsum("bti,btj->ij", h[:, :-1], deltas),
        "b": np.einsum("btj->j", deltas),
    }


def truncated_by_window(h, W_h, g_last, k):
    window = h[:, -(k + 1) :]
    x = np.zeros((len(h), window.shape[1] - 1, 1))
    g = np.zeros((len(h), window.shape[1] - 1, len(W_h)))
    g[:, -1] = g_last
    grads = bptt(x, window, W_h, g)
    return {"W_h": grads["W_h"], "b": grads["b"]}


def truncated_by_lag(h, W_h, g_last, k):
    length = h.shape[1] - 1
    dW_h, db, lag = 0.0, 0.0, 0
    G = g_last
    while lag < k and lag < length:
        delta = np.multiply(G, 1 - h[:, length - lag] ** 2)
        dW_h, db = dW_h + h[:, length - lag - 1].T @ delta, db + np.ones(len(h)) @ delta
        G, lag = (W_h @ delta.T).T, lag + 1
    return {"b": db, "W_h": dW_h}


# --- 02.6 Build: the numerical gradient -----------------------------------------------------------


def loss(W, x, target):
    """Half the squared distance between the last state and the target, summed over the batch."""
    h = np.zeros_like(target)
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] + h @ W)
    return 0.5 * np.sum((h - target) ** 2)


def numerical_gradient(W, x, target, epsilon):
    gradient = np.zeros_like(W)
    for index in np.ndindex(W.shape):
        up, down = W.copy(), W.copy()
        up[index] += epsilon
        down[index] -= epsilon
        gradient[index] = (loss(up, x, target) - loss(down, x, target)) / (2 * epsilon)
    return gradient


def one_sided(W, x, target, epsilon):
    gradient = np.zeros_like(W)
    for index in np.ndindex(W.shape):
        up = W.copy()
        up[index] += epsilon
        gradient[index] = (loss(up, x, target) - loss(W, x, target)) / epsilon
    return gradient


def all_at_once(W, x, target, epsilon):
    change = loss(W + epsilon, x, target) - loss(W - epsilon, x, target)
    return np.full_like(W, change / (2 * epsilon))


def not_restored(W, x, target, epsilon):
    """Steps up by epsilon, down by two, and leaves the entry there."""
    W, gradient = W.copy(), np.zeros_like(W)
    for index in np.ndindex(W.shape):
        W[index] += epsilon
        up = loss(W, x, target)
        W[index] -= 2 * epsilon
        gradient[index] = (up - loss(W, x, target)) / (2 * epsilon)
    return gradient


def two_names(W, x, target, epsilon):
    """`up` and `down` are one array."""
    gradient = np.zeros_like(W)
    for index in np.ndindex(W.shape):
        up = down = W.copy()
        up[index] += epsilon
        down[index] -= epsilon
        gradient[index] = (loss(up, x, target) - loss(down, x, target)) / (2 * epsilon)
    return gradient


def whole_row(W, x, target, epsilon):
    gradient = np.zeros_like(W)
    for i in range(len(W)):
        up, down = W.copy(), W.copy()
        up[i] += epsilon
        down[i] -= epsilon
        gradient[i] = (loss(up, x, target) - loss(down, x, target)) / (2 * epsilon)
    return gradient


def inputs_6(rng):
    cases = []
    for batch, length, units, epsilon in [(2, 4, 3, 2.0**-7), (1, 3, 2, 0.25), (3, 5, 2, 2.0**-13)]:
        x = rng.normal(size=(batch, length, units))
        target = rng.uniform(-1, 1, (batch, units))
        W = rng.normal(size=(units, units))
        W = np.round(W * 2**16) / 2**16  # W + epsilon - epsilon is W, to the last bit
        cases.append((W, x, target, epsilon))
    return cases


numerical_mistakes = [
    Mistake(
        one_sided,
        "This is the one-sided difference, (L(W + e) - L(W)) / e. Its error shrinks with e; that "
        "of the central difference shrinks with e², at the price of one more run.",
    ),
    Mistake(
        lambda W, x, target, epsilon: 2 * numerical_gradient(W, x, target, epsilon),
        "Your gradient is twice too large. How far apart are the two points at which you took the "
        "loss?",
    ),
    Mistake(
        all_at_once,
        "All entries come out the same: you move the whole matrix at once. That is the derivative "
        "in one direction; move one entry and leave the others where they are.",
    ),
    Mistake(
        whole_row,
        "You move a whole row at a time: `W[i] += epsilon` changes every entry of it. A partial "
        "derivative moves one number.",
    ),
    Mistake(
        two_names,
        "Your gradient is 0 everywhere: the array that you move up and the one that you move down "
        "are the same array under two names. An assignment does not copy.",
    ),
    Mistake(
        not_restored,
        "The first entry is right, the others are not quite: an entry that you moved was not "
        "brought back before the next one, so you are no longer at W.",
    ),
    Mistake(
        lambda W, x, target, epsilon: numerical_gradient(W, x, target, epsilon).T,
        "Your result is transposed: entry [i, j] must be the derivative with respect to W[i, j].",
    ),
    Mistake(
        lambda W, x, target, epsilon: -numerical_gradient(W, x, target, epsilon),
        "The sign is turned: which of the two losses do you subtract from which?",
    ),
]


def numerical_by_unit_matrices(W, x, target, epsilon):
    units = len(W)
    gradient = []
    for k in range(units**2):
        E = epsilon * np.eye(units**2)[k].reshape(units, units)
        gradient.append((loss(W + E, x, target) - loss(W - E, x, target)) / epsilon / 2)
    return np.reshape(gradient, W.shape)


def numerical_in_place(W, x, target, epsilon):
    W, gradient = W.copy(), np.empty_like(W)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            kept = W[i, j]
            W[i, j] = kept + epsilon
            up = loss(W, x, target)
            W[i, j] = kept - epsilon
            down = loss(W, x, target)
            W[i, j] = kept
            gradient[i, j] = (up - down) / (2 * epsilon)
    return gradient


def numerical_halves(W, x, target, epsilon):
    def moved(i, j, by):
        V = np.array(W)
        V[i, j] += by
        return loss(V, x, target)

    return [
        [(moved(i, j, epsilon) - moved(i, j, -epsilon)) * 0.5 / epsilon for j in range(len(W))]
        for i in range(len(W))
    ]


# --- 02.7 Find the bug: a train function that does not train (B17) --------------------------------


def gradients(x, h, W_h, g_last):
    g = np.zeros_like(h[:, 1:])
    g[:, -1] = g_last
    grads = bptt(x, h, W_h, g)
    return grads["W_x"], grads["W_h"]


def distance(h, target):
    return 0.5 * np.mean(np.sum((h[:, -1] - target) ** 2, axis=-1))


def train(x, target, W_x, W_h, steps, rate):
    losses = []
    for _ in range(steps):
        h = forward(x, W_x, W_h)
        losses.append(distance(h, target))
        dW_x, dW_h = gradients(x, h, W_h, (h[:, -1] - target) / len(x))
        W_x, W_h = W_x - rate * dW_x, W_h - rate * dW_h
    return losses, W_x, W_h


def train_given(x, target, W_x, W_h, steps, rate):
    outputs = []
    for _ in range(steps):
        h = forward(x, W_x, W_h)
        outputs.append(h[:, -1])
    return [], W_x, W_h


def train_without_update(x, target, W_x, W_h, steps, rate):
    losses = [distance(forward(x, W_x, W_h), target) for _ in range(steps)]
    return losses, W_x, W_h


def train_late_loss(x, target, W_x, W_h, steps, rate):
    losses = []
    for _ in range(steps):
        _, W_x, W_h = train(x, target, W_x, W_h, 1, rate)
        losses.append(distance(forward(x, W_x, W_h), target))
    return losses, W_x, W_h


def train_one_gradient(x, target, W_x, W_h, steps, rate):
    h = forward(x, W_x, W_h)
    dW_x, dW_h = gradients(x, h, W_h, (h[:, -1] - target) / len(x))
    losses = []
    for _ in range(steps):
        losses.append(distance(forward(x, W_x, W_h), target))
        W_x, W_h = W_x - rate * dW_x, W_h - rate * dW_h
    return losses, W_x, W_h


def train_input_weights(x, target, W_x, W_h, steps, rate):
    losses = []
    for _ in range(steps):
        more, W_x, _ = train(x, target, W_x, W_h, 1, rate)
        losses += more
    return losses, W_x, W_h


def train_on_sum(x, target, W_x, W_h, steps, rate):
    """The 1 / B is missing in the loss and in its gradient."""
    losses, W_x, W_h = train_small_loss(x, target, W_x, W_h, steps, rate)
    return [len(x) * loss for loss in losses], W_x, W_h


def train_mean_of_all(x, target, W_x, W_h, steps, rate):
    """The loss that `np.mean` of the squares gives, with the right gradient for (2)."""
    losses, W_x, W_h = train(x, target, W_x, W_h, steps, rate)
    return [2 * loss / len(W_h) for loss in losses], W_x, W_h


def train_small_loss(x, target, W_x, W_h, steps, rate):
    """The loss is a mean over the batch, its gradient a sum."""
    return train(x, target, W_x, W_h, steps, rate * len(x))


def inputs_7(rng):
    cases = []
    for batch, length, features, units, steps in [
        (4, 5, 2, 3, 6),
        (2, 3, 1, 2, 3),
        (3, 6, 2, 4, 8),
    ]:
        x = rng.normal(size=(batch, length, features))
        W_x = rng.normal(size=(features, units)) / np.sqrt(features)
        W_h = rng.normal(size=(units, units)) / np.sqrt(units)
        target = rng.uniform(-0.8, 0.8, (batch, units))
        cases.append((x, target, W_x, W_h, steps, float(rng.uniform(0.05, 0.3))))
    return cases


train_mistakes = [
    Mistake(
        train_given,
        "This is the function as it was given: no loss is computed and the weights come back as "
        "they went in. Running a network forward never changes it.",
    ),
    Mistake(
        train_without_update,
        "Now there is a loss, and it is the same at every step: look at your list. Knowing how "
        "wrong the network is does not change the weights.",
    ),
    Mistake(
        train_late_loss,
        "The weights are right. Your losses are those after each update; the specification asks "
        "for the loss of the outputs that the gradient was computed from.",
    ),
    Mistake(
        train_one_gradient,
        "You compute the gradient once, before the loop. It belongs to the weights of that moment; "
        "after the first update it is that of a network that no longer exists.",
    ),
    Mistake(
        train_input_weights,
        "Only W_x learns. W_h has a gradient too.",
    ),
    Mistake(
        train_on_sum,
        "You sum over the batch, in the loss and in its gradient. Formula (2) has a factor in "
        "front of the sum; without it a larger batch takes larger steps.",
    ),
    Mistake(
        train_mean_of_all,
        "The weights are right. Your losses are the mean of all squares, `np.mean` over sequences "
        "*and* units; formula (2) sums over the units and has a ½.",
    ),
    Mistake(
        train_small_loss,
        "Your loss is a mean over the batch, but the gradient that you send back is that of the "
        "sum. Differentiate the loss once more, with its factor in front.",
    ),
    Mistake(
        lambda x, target, W_x, W_h, steps, rate: train(x, target, W_x, W_h, steps, -rate),
        "The loss grows. The gradient points uphill, and so do you.",
    ),
]


# --- 02.8 and 02.9 Find the bug: paths counted twice (C35) ----------------------------------------


def scalar_states(x, w, h0):
    h = [h0]
    for x_t in x:
        h.append(np.tanh(w * h[-1] + x_t))
    return h


def weight_derivative(x, w, h0, target):
    h = scalar_states(x, w, h0)
    G, total = h[-1] - target, 0.0
    for t in range(len(x), 0, -1):
        immediate = (1 - h[t] ** 2) * h[t - 1]
        total += G * immediate
        G = G * (1 - h[t] ** 2) * w
    return total


def weight_derivative_with(x, w, h0, target, *, loss_part, state_part):
    """Sum over t of dL/dh_t times dh_t/dw, each of them "total" or "immediate"."""
    h = scalar_states(x, w, h0)
    T = len(x)
    slopes = [None] + [1 - h[t] ** 2 for t in range(1, T + 1)]
    G = [0.0] * T + [h[T] - target]
    P = [0.0] * (T + 1)
    for t in range(T, 1, -1):
        G[t - 1] = G[t] * slopes[t] * w if loss_part == "total" else 0.0
    for t in range(1, T + 1):
        earlier = w * P[t - 1] if state_part == "total" else 0.0
        P[t] = slopes[t] * (h[t - 1] + earlier)
    return sum(G[t] * P[t] for t in range(1, T + 1))


def weight_derivative_given(x, w, h0, target):
    return weight_derivative_with(x, w, h0, target, loss_part="total", state_part="total")


def weight_derivative_no_slope(x, w, h0, target):
    h = scalar_states(x, w, h0)
    G, total = h[-1] - target, 0.0
    for t in range(len(x), 0, -1):
        total += G * h[t - 1]
        G = G * (1 - h[t] ** 2) * w
    return total


def weight_derivative_same_state(x, w, h0, target):
    h = scalar_states(x, w, h0)
    G, total = h[-1] - target, 0.0
    for t in range(len(x), 0, -1):
        total += G * (1 - h[t] ** 2) * h[t]
        G = G * (1 - h[t] ** 2) * w
    return total


def inputs_8(rng):
    return [
        (rng.normal(size=T) * 0.5, float(w), float(rng.uniform(0.3, 0.9)), float(rng.normal()))
        for T, w in [(5, rng.uniform(0.8, 1.2)), (1, 1.0), (3, -rng.uniform(0.6, 1.1)), (8, 0.9)]
    ]


weight_mistakes = [
    Mistake(
        weight_derivative_given,
        "This is the sum as it was given: both factors are total derivatives. A path from w to the "
        "loss that passes through several states is counted once at each of them.",
    ),
    Mistake(
        lambda x, w, h0, target: weight_derivative_with(
            x, w, h0, target, loss_part="immediate", state_part="immediate"
        ),
        "Now both factors are immediate, so only the last step counts: every path through an "
        "earlier state is lost. One of the two has to be total.",
    ),
    Mistake(
        lambda x, w, h0, target: weight_derivative_given(x, w, h0, target) / len(x),
        "You divide the faulty sum by the number of steps. But not every path is counted T times: "
        "one that begins at the last step is counted once.",
    ),
    Mistake(
        lambda x, w, h0, target: weight_derivative_given(x, w, h0, target) / 2,
        'You halve the faulty sum. "Counted twice" is a way of speaking: how often a path is '
        "counted depends on its length, and for one step the sum was right.",
    ),
    Mistake(
        weight_derivative_no_slope,
        "Your immediate derivative lacks the slope of tanh: h_t = tanh(a_t), and w acts on a_t.",
    ),
    Mistake(
        weight_derivative_same_state,
        "In your immediate derivative w multiplies h_t. Look at a_t = w h_{t-1} + x_t.",
    ),
]


def overcount(length):
    return (length + 1) / 2


overcount_mistakes = [
    Mistake(
        lambda length: 2.0,
        '"Twice" is a way of speaking, and here it is right for a single length. Write down both '
        "sums for T = 1, 2 and 3.",
    ),
    Mistake(
        lambda length: length,
        "You say that every path is counted T times. The one that begins at step t passes through "
        "h_t, h_{t+1}, ..., h_T: how many states are these?",
    ),
    Mistake(
        lambda length: length * (length + 1) / 2,
        "That is the faulty sum itself (for an error of 1). The question asks how many times too "
        "large it is: what is the right sum here?",
    ),
    Mistake(
        lambda length: (length - 1) / 2,
        "For T = 1 your answer is 0, though the faulty sum is right there. You seem to count the "
        "extra part only.",
    ),
]


# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "02.1",
        what_arrives,
        inputs_1,
        arrives_mistakes,
        [
            "Draw the steps of the last window as boxes, put the input `lag` boxes to the left of "
            "the last one, and see whether it falls inside.",
            "The value travels with the forward pass, across borders if the state is carried. The "
            "gradient travels with the backward pass: where does that one stop?",
        ],
    ),
    Exercise(
        "02.2",
        stored_bytes,
        inputs_2,
        bytes_mistakes,
        [
            "Which states does the backward pass look at? Count numbers first, bytes last.",
            "A float32 has 4 bytes. Mind the two special cases: no truncation at all, and one that "
            "is longer than the sequence.",
        ],
    ),
    Exercise(
        "02.3",
        every_step_gradient,
        inputs_3,
        every_step_mistakes,
        [
            "G is the total derivative with respect to h_t: what comes back from step t + 1, plus "
            "the direct part of step t.",
            "Let G be 0 before the loop. Where in the loop is G the derivative with respect to "
            "h_t, and which entry of g belongs to that t?",
        ],
        points=2,
    ),
    Exercise(
        "02.4",
        bptt,
        inputs_4,
        bptt_mistakes,
        [
            "Write down a_t = x_t W_x + h_{t-1} W_h + b. Once you have delta (B, N), the "
            "derivative with respect to a_t, every other one is a product with something in that "
            "line.",
            "Your loop from 02.3 has all you need for W_h. For b, think of a column of ones in the "
            "place of x; for h0, ask what G is after the last turn.",
        ],
        points=3,
    ),
    Exercise(
        "02.5",
        truncated_gradient,
        inputs_5,
        truncated_mistakes,
        [
            "Nothing changes inside the loop. What changes is the step at which it ends.",
            "The steps that you follow are T, T - 1, ... to T - k + 1. What if that is below 1?",
        ],
        points=2,
    ),
    Exercise(
        "02.6",
        numerical_gradient,
        inputs_6,
        numerical_mistakes,
        [
            "For each entry: one copy of W with the entry moved up, one with it moved down, the "
            "loss of both.",
            "`np.ndindex(W.shape)` yields every index (i, j). Take fresh copies of W each time.",
        ],
        points=2,
    ),
    Exercise(
        "02.7",
        train,
        inputs_7,
        train_mistakes,
        [
            "Name the four things that a training step does. Which of them does the given loop do?",
            "`gradients` wants the derivative of the loss by the last state. Differentiate the "
            "loss by hand, its factor 1 / (2 B) included.",
        ],
        points=2,
    ),
    Exercise(
        "02.8",
        weight_derivative,
        inputs_8,
        weight_mistakes,
        [
            "Take T = 2 and write out dL/dw by the chain rule, path by path. Then mark the "
            "paths that the given sum has twice.",
            "Choose one factor to be total and make the other immediate, holding all "
            "other states fixed.",
        ],
        points=2,
    ),
    Exercise(
        "02.9",
        overcount,
        lambda rng: [(1,), (2,), (3,), (int(rng.integers(4, 30)),), (int(rng.integers(40, 90)),)],
        overcount_mistakes,
        [
            "With w = 1, no tanh and states that are all 1, each immediate derivative is 1. What "
            "is the *total* derivative of h_t by w?",
            "You need the sum of 1 + 2 + ... + T.",
        ],
    ),
]

ALTERNATIVES = {
    "02.3": [
        sum_of_single_losses,
        lambda h, W_h, g: bptt(np.zeros((*g.shape[:2], 1)), h, W_h, g)["W_h"],
        lambda h, W_h, g: bptt_deltas_first(np.zeros((*g.shape[:2], 1)), h, W_h, g)["W_h"],
    ],
    "02.4": [bptt_deltas_first, bptt_by_example, bptt_recursive],
    "02.5": [truncated_by_zeroing, truncated_by_window, truncated_by_lag],
    "02.6": [numerical_by_unit_matrices, numerical_in_place, numerical_halves],
    "02.8": [
        lambda x, w, h0, target: weight_derivative_with(
            x, w, h0, target, loss_part="immediate", state_part="total"
        ),
        lambda x, w, h0, target: weight_derivative_with(
            x, w, h0, target, loss_part="total", state_part="immediate"
        ),
        lambda x, w, h0, target: bptt_deltas_first(
            np.reshape(x, (1, -1, 1)),
            np.reshape(scalar_states(x, w, h0), (1, -1, 1)),
            np.array([[w]]),
            np.reshape([0.0] * (len(x) - 1) + [scalar_states(x, w, h0)[-1] - target], (1, -1, 1)),
        )["W_h"].item(),
    ],
}
