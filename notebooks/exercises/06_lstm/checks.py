"""Exercises of lesson 06: right solutions, and the mistakes that people make.

Shapes: x (B, D) or (B, T, D), h and c (B, N); W_x (D, 4 N), W_h (N, 4 N), b (4 N,), each with one
block of N columns per gate in the order i, f, g, o (g is the candidate).
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


def one(a):
    return np.ones_like(a)


def random_weights(rng, features, units):
    W_x = rng.normal(size=(features, 4 * units)) / np.sqrt(features)
    W_h = rng.normal(size=(units, 4 * units)) / np.sqrt(units)
    return W_x, W_h, 0.5 * rng.normal(size=4 * units)


def random_states(rng, batch, units):
    return rng.uniform(-0.9, 0.9, (batch, units)), 1.5 * rng.normal(size=(batch, units))


# --- 06.1 Predict: how many numbers are learned ---------------------------------------------------


def count(cell, D, N):
    blocks = {"simple": 1, "no forget gate": 3}.get(cell, 4)
    biases = 2 if cell == "two biases" else 1
    return blocks * (D * N + N * N + biases * N) + (3 * N if cell == "peephole" else 0)


def count_with(cell, D, N, *, blocks=None, bias=1, two=2, recurrent=1, peepholes=None):
    blocks = {"simple": 1, "no forget gate": 3, **(blocks or {})}.get(cell, 4)
    biases = two if cell == "two biases" else bias
    extra = 3 * N if peepholes is None else peepholes
    return blocks * (D * N + recurrent * N * N + biases * N) + (extra if cell == "peephole" else 0)


def inputs_1(rng):
    cells = ("simple", "lstm", "no forget gate", "two biases", "peephole")
    D, N = (int(n) for n in rng.integers([2, 20], [9, 90]))
    return [*((cell, D, N) for cell in cells), ("lstm", 1, 1), ("peephole", N, D)]


count_mistakes = [
    Mistake(
        lambda cell, D, N: count_with(
            cell, D, N, blocks={"lstm": 3, "two biases": 3, "peephole": 3, "no forget gate": 2}
        ),
        "You count one block for each gate. Besides the gates, something is computed from the "
        "input and the state that the input gate then lets in; it has weights of its own.",
    ),
    Mistake(
        lambda cell, D, N: 4 * (D * N + N * N + N),
        "Your count is that of the LSTM, whatever `cell` is. The table says what each of the "
        "others adds or leaves out.",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, bias=0, two=0),
        "You count the matrices alone. Every block has a bias, one number for each unit.",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, recurrent=0),
        "The recurrent matrix is missing: each block reads h of the step before as well as x.",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, blocks={"no forget gate": 4}),
        'You give the LSTM of 1997, "no forget gate", as many blocks as today\'s. What has no '
        "forget gate needs no weights for one.",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, two=1),
        'You count one bias for "two biases". That the two are only ever added makes one of them '
        "useless; it is stored, trained and counted all the same.",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, peepholes=3 * N * N),
        "You give the peepholes full matrices. Each unit looks at its own cell state only: how "
        "many numbers is that for one gate?",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, peepholes=4 * N),
        "You give every block a peephole. Three of them are gates; the fourth is not.",
    ),
    Mistake(
        lambda cell, D, N: count_with(cell, D, N, peepholes=0),
        "Your peephole LSTM is as large as the plain one. A peephole is a learned number too.",
    ),
]

# --- 06.2 Predict: what is left of the cell state -------------------------------------------------


def left(b_f, b_i, k):
    return sigmoid(b_f) ** k


def inputs_2(rng):
    drawn = [(float(rng.uniform(-1, 4)), float(rng.normal()), int(k)) for k in (1, 2, 7)]
    return [*drawn, (0.0, 0.0, 99), (1.0, 0.0, 99), (5.0, -5.0, 99), (2.0, 3.0, 0)]


left_mistakes = [
    Mistake(
        lambda b_f, b_i, k: sigmoid(b_f),
        "That is what one step leaves. The next step multiplies what is left by the forget gate "
        "again.",
    ),
    Mistake(
        lambda b_f, b_i, k: sigmoid(b_f) * k if k else 1.0,
        "You multiply the gate by the number of steps. A share of a share of a share: what does "
        "that do to two shares of one half?",
    ),
    Mistake(
        lambda b_f, b_i, k: sigmoid(b_f * k),
        "You multiply the bias by the number of steps and take the sigmoid once. The sigmoid "
        "is taken anew at every step, and it is not an exponential function.",
    ),
    Mistake(
        lambda b_f, b_i, k: sigmoid(b_f) ** k * (1 - sigmoid(b_i)) ** k,
        "You let the input gate take something away. In an LSTM it decides what is *added*; adding "
        "to a sum does not change how much of the first term is in it.",
    ),
    Mistake(
        lambda b_f, b_i, k: (1 - sigmoid(b_i)) ** k,
        "You keep what the input gate does not replace, as if one gate mixed the old and the new. "
        "The LSTM has a gate of its own for keeping.",
    ),
    Mistake(
        lambda b_f, b_i, k: (1 - sigmoid(b_f)) ** k,
        "You read the forget gate as the share that is forgotten. Look at where it stands in the "
        "equation of c_t: is 1 full memory or none?",
    ),
    Mistake(
        lambda b_f, b_i, k: np.tanh(b_f) ** k,
        "You squash the bias by tanh. Gates are sigmoids; with a bias of 0 your gate would be "
        "shut, and it is half open.",
    ),
    Mistake(
        lambda b_f, b_i, k: np.exp(-k * (1 - sigmoid(b_f))),
        "You let the share decay by exp(-(1 - f)) a step. That is close to f when f is near 1, and "
        "only then; steps are whole, so multiply.",
    ),
    Mistake(
        lambda b_f, b_i, k: sigmoid(b_f) ** max(k - 1, 0),
        "You are one step short: c_1 is already what one forget gate has left of c_0.",
    ),
]

# --- 06.3 Modify: from Keras' bias to the chrono bias ---------------------------------------------


def chrono(u):
    zero = np.zeros_like(u)
    return np.concatenate([-np.log(u), np.log(u), zero, zero])


def chrono_with(u, *blocks):
    """Blocks given as functions of u; None for zeros."""
    return np.concatenate([np.zeros_like(u) if f is None else f(u) for f in blocks])


def minus_log(u):
    return -np.log(u)


def inputs_3(rng):
    drawn = [rng.uniform(1, longest - 1, n) for n, longest in ((4, 100), (1, 20), (7, 1000))]
    return [(u,) for u in (*drawn, np.array([1.0, 2.0]))]


chrono_mistakes = [
    Mistake(
        lambda u: chrono_with(u, None, np.log, None, None),
        "The forget gate is right. The input gate is still half open at the start: a cell that "
        "keeps for a thousand steps what pours in at every one of them drowns in it.",
    ),
    Mistake(
        lambda u: chrono_with(u, np.log, minus_log, None, None),
        "The two blocks are exchanged, or the two signs. Compute the forget gate of a unit with "
        "u = 99 from your bias: is it nearly open?",
    ),
    Mistake(
        lambda u: chrono_with(u, np.log, np.log, None, None),
        "Input and forget gate get the same bias. A cell that is to keep for long should also be "
        "slow to take in.",
    ),
    Mistake(
        lambda u: chrono_with(u, None, lambda u: 1 + np.log(u), None, None),
        "You add log u to the 1 that stood there. The 1 is Keras' choice for all units; the chrono "
        "bias takes its place, and there is a second block to fill.",
    ),
    Mistake(
        lambda u: chrono_with(u, minus_log, lambda u: 1 + np.log(u), None, None),
        "You add log u to the 1 that stood there. Compute the gate for u = 1: it should be one "
        "half, so that half is forgotten at each step.",
    ),
    Mistake(
        lambda u: chrono_with(u, minus_log, np.log, None, minus_log),
        "You close the output gate as well. What a cell remembers should not be hidden from the "
        "start: g and o keep their zeros.",
    ),
    Mistake(
        lambda u: chrono_with(u, None, np.log, minus_log, None),
        "Your -log u lies in the third block. Spell out the order of Keras' gates, and count.",
    ),
    Mistake(
        lambda u: chrono_with(u, lambda u: -u, lambda u: u, None, None),
        "You use u itself. It counts steps; the bias is what makes sigmoid(bias) = u / (1 + u).",
    ),
    Mistake(
        lambda u: chrono_with(u, lambda u: 1 / (1 + u), lambda u: u / (1 + u), None, None),
        "These are the gates that you want to see at the start. The bias stands *inside* the "
        "sigmoid.",
    ),
    Mistake(
        lambda u: chrono(u).reshape(4, -1).T.ravel(),
        "You put the four biases of each unit side by side. The blocks are the other way round: "
        "all units of the first gate, then all units of the second.",
    ),
]

# --- 06.4 Build: one step -------------------------------------------------------------------------


def lstm_step(x, h, c, W_x, W_h, b):
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step_with(x, h, c, W_x, W_h, b, *, order="ifgo", gate=sigmoid, candidate=np.tanh, show=np.tanh):
    """`lstm_step` with one thing changed."""
    a = dict(zip(order, np.split(x @ W_x + h @ W_h + b, 4, axis=1), strict=True))
    c = gate(a["f"]) * c + gate(a["i"]) * candidate(a["g"])
    return gate(a["o"]) * show(c), c


def step_interleaved(x, h, c, W_x, W_h, b):
    a = (x @ W_x + h @ W_h + b).reshape(len(x), -1, 4)
    i, f, g, o = np.moveaxis(a, 2, 0)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step_all_written(x, h, c, W_x, W_h, b):
    _, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    c = sigmoid(f) * c + np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step_all_shown(x, h, c, W_x, W_h, b):
    _, c = lstm_step(x, h, c, W_x, W_h, b)
    return np.tanh(c), c


def step_old_cell(x, h, c, W_x, W_h, b):
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    return sigmoid(o) * np.tanh(c), sigmoid(f) * c + sigmoid(i) * np.tanh(g)


def step_coupled(x, h, c, W_x, W_h, b):
    _, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def inputs_4(rng):
    cases = []
    for batch, features, units, scale in [(3, 2, 4, 1), (1, 3, 2, 1), (4, 1, 1, 1), (2, 2, 3, 40)]:
        x = scale * rng.normal(size=(batch, features))
        cases.append((x, *random_states(rng, batch, units), *random_weights(rng, features, units)))
    return cases


step_mistakes = [
    Mistake(
        lambda *a: step_with(*a, order="ifog"),
        "Candidate and output gate are exchanged. The blocks stand in the order i, f, g, o; "
        "papers and other libraries have other orders, and every shape fits all the same.",
    ),
    Mistake(
        lambda *a: step_with(*a, order="iofg"),
        "You split the blocks in the order i, o, f, g, which is that of ONNX. Here it is Keras'.",
    ),
    Mistake(
        lambda *a: step_with(*a, order="figo"),
        "Input and forget gate are exchanged: you multiply the old cell state by the first block.",
    ),
    Mistake(
        lambda *a: step_with(*a, candidate=sigmoid),
        "Your candidate is a sigmoid. It says *what* is written, and must be able to be negative: "
        "otherwise nothing is ever subtracted from the cell state.",
    ),
    Mistake(
        lambda *a: step_with(*a, gate=np.tanh),
        "Your gates are tanh. A gate is a share between 0 and 1; which function has that range?",
    ),
    Mistake(
        lambda *a: step_with(*a, show=lambda c: c),
        "The cell state is right. On its way to h it passes one more function, which keeps h "
        "between -1 and 1 however large c has grown.",
    ),
    Mistake(
        step_all_shown,
        "The cell state is right. All of it is shown in h: who decides how much?",
    ),
    Mistake(
        step_all_written,
        "The candidate is added whole. A gate stands before it.",
    ),
    Mistake(
        lambda x, h, c, W_x, W_h, b: lstm_step(x, h, c, W_x, W_h, 0 * b),
        "The bias is missing.",
    ),
    Mistake(
        step_old_cell,
        "The cell state is right, but h is made from the one before. Which of the two does "
        "h_t show?",
    ),
    Mistake(
        lambda *a: lstm_step(*a)[::-1],
        "Both states are right, in the wrong order: h comes first, then c.",
    ),
    Mistake(
        step_interleaved,
        "You take every fourth column for a gate. The gates lie in blocks: the first N columns are "
        "the input gate of all the units.",
    ),
    Mistake(
        step_coupled,
        "You write what the forget gate frees, 1 - f. That is a sound cell, and a smaller one; in "
        "the LSTM the input gate is free to do something else.",
    ),
]


def step_by_gate(x, h, c, W_x, W_h, b):
    N = c.shape[1]
    a = [
        np.einsum("bd,dn->bn", x, W_x[:, k * N : (k + 1) * N])
        + h @ W_h[:, k * N : (k + 1) * N]
        + b[k * N : (k + 1) * N]
        for k in range(4)
    ]
    i, f, o = (1 / (1 + np.exp(-a[k])) for k in (0, 1, 3))
    c_new = f * c + i * np.tanh(a[2])
    return o * np.tanh(c_new), c_new


def step_one_matrix(x, h, c, W_x, W_h, b):
    rows = np.hstack([x, h, np.ones((len(x), 1))])
    a = np.reshape(rows @ np.vstack([W_x, W_h, b[None]]), (len(x), 4, -1))
    gates = np.where(np.array([[True], [True], [False], [True]]), sigmoid(a), np.tanh(a))
    c = gates[:, 1] * c + gates[:, 0] * gates[:, 2]
    return [gates[:, 3] * np.tanh(c), c]


def step_by_example(x, h, c, W_x, W_h, b):
    N, shown, kept = c.shape[1], [], []
    for n in range(len(x)):
        a = W_x.T @ x[n] + W_h.T @ h[n] + b
        kept.append(sigmoid(a[N : 2 * N]) * c[n] + sigmoid(a[:N]) * np.tanh(a[2 * N : 3 * N]))
        shown.append(sigmoid(a[3 * N :]) * np.tanh(kept[-1]))
    return np.stack(shown), np.stack(kept)


# --- 06.5 Build: a padded batch -------------------------------------------------------------------


def lstm_forward(x, mask, h0, c0, W_x, W_h, b):
    h, c = [h0], [c0]
    for t in range(x.shape[1]):
        h_new, c_new = lstm_step(x[:, t], h[-1], c[-1], W_x, W_h, b)
        real = mask[:, t, None]
        h.append(np.where(real, h_new, h[-1]))
        c.append(np.where(real, c_new, c[-1]))
    return np.stack(h, axis=1), np.stack(c, axis=1)


def forward_with(x, mask, h0, c0, W_x, W_h, b, *, hold_h=True, hold_c=True, padded=None):
    """`lstm_forward` with a state that is not held, or set to the number `padded`."""
    h, c = [h0], [c0]
    for t in range(x.shape[1]):
        h_new, c_new = lstm_step(x[:, t], h[-1], c[-1], W_x, W_h, b)
        real = mask[:, t, None]
        old_h, old_c = (h[-1], c[-1]) if padded is None else (padded * h[-1], padded * c[-1])
        h.append(np.where(real, h_new, old_h) if hold_h else h_new)
        c.append(np.where(real, c_new, old_c) if hold_c else c_new)
    return np.stack(h, axis=1), np.stack(c, axis=1)


def forward_hidden_after(x, mask, *rest):
    """Runs through the padding, and hides that in the result."""
    h, c = forward_with(x, mask, *rest, hold_h=False, hold_c=False)
    for t in range(x.shape[1]):
        for states in (h, c):
            states[:, t + 1] = np.where(mask[:, t, None], states[:, t + 1], states[:, t])
    return h, c


def inputs_5(rng):
    cases = []
    for batch, length, features, units in [(4, 6, 2, 3), (1, 3, 1, 2), (3, 7, 3, 2)]:
        x = rng.normal(size=(batch, length, features))
        lengths = rng.integers(1, length - 1, batch)
        mask = np.arange(length) < lengths[:, None]
        if batch == 4:
            mask[1] = True
            mask[2] = False  # nothing but padding
            mask[3] = np.arange(length) >= 2  # padding in front
        if batch == 3:
            mask[0] = np.arange(length) != 3  # a gap
        states = random_states(rng, batch, units)
        cases.append((x, mask, *states, *random_weights(rng, features, units)))
    return cases


forward_mistakes = [
    Mistake(
        lambda *a: forward_with(*a, hold_h=False, hold_c=False),
        "You read the padding like any other step. The mask says which steps are none.",
    ),
    Mistake(
        lambda *a: forward_with(*a, hold_c=False),
        "You hold h at padded steps, but c runs on. An LSTM has two states: both have to wait.",
    ),
    Mistake(
        lambda *a: forward_with(*a, hold_h=False),
        "You hold c at padded steps, but h runs on, and the next real step reads it. Both states "
        "have to wait.",
    ),
    Mistake(
        lambda *a: forward_with(*a, padded=0),
        "A padded step sets your states to zero. What was read before it is to be handed on, "
        "unchanged, to whatever comes after it.",
    ),
    Mistake(
        lambda x, mask, *rest: forward_with(x * mask[..., None], one(mask), *rest),
        "You set the padded inputs to zero and let the cell read them. A step with input zero is "
        "still a step: the gates have biases and a state, and c is multiplied by f.",
    ),
    Mistake(
        forward_hidden_after,
        "You run through the padding first and repeat the last real state in the result "
        "afterwards. A real step that comes after padding has then read the wrong state.",
    ),
    Mistake(
        lambda x, mask, *rest: lstm_forward(x, np.logical_and.accumulate(mask, axis=1), *rest),
        "You stop at the first padded step for good. Padding may also stand in front or in the "
        "middle.",
    ),
    Mistake(
        lambda x, mask, *rest: lstm_forward(
            x, np.broadcast_to(mask.all(axis=0), mask.shape), *rest
        ),
        "Where one sequence is padded, all of them wait. Each has its own row in the mask.",
    ),
    Mistake(
        lambda x, mask, *rest: lstm_forward(x, ~mask, *rest),
        "You read the mask the wrong way round: True marks a real step.",
    ),
    Mistake(
        lambda x, mask, h0, c0, *rest: lstm_forward(x, mask, 0 * h0, 0 * c0, *rest),
        "You start from zeros. The initial states are given.",
    ),
    Mistake(
        lambda x, mask, h0, c0, *rest: lstm_forward(x, mask, h0, 0 * c0, *rest),
        "h starts where it should, c from zero. Both initial states are given.",
    ),
    Mistake(
        lambda *a: tuple(s[:, 1:] for s in lstm_forward(*a)),
        "The steps are right; the initial states are missing in front of them. With them, index t "
        "holds the state after step t.",
    ),
    Mistake(
        lambda *a: tuple(s[:, -1] for s in lstm_forward(*a)),
        "You return the last states only. All of them are asked for, the initial ones in front.",
    ),
]


def forward_by_example(x, mask, h0, c0, W_x, W_h, b):
    all_h, all_c = [], []
    for n in range(len(x)):
        h, c = [h0[n : n + 1]], [c0[n : n + 1]]
        for t in range(x.shape[1]):
            if mask[n, t]:
                new = lstm_step(x[n : n + 1, t], h[-1], c[-1], W_x, W_h, b)
            else:
                new = h[-1], c[-1]
            h.append(new[0])
            c.append(new[1])
        all_h.append(np.concatenate(h))
        all_c.append(np.concatenate(c))
    return np.array(all_h), np.array(all_c)


def forward_in_place(x, mask, h0, c0, W_x, W_h, b):
    h = np.repeat(h0[:, None], x.shape[1] + 1, axis=1)
    c = np.repeat(c0[:, None], x.shape[1] + 1, axis=1)
    for t in range(1, x.shape[1] + 1):
        h[:, t], c[:, t] = h[:, t - 1], c[:, t - 1]
        rows = mask[:, t - 1]
        h[rows, t], c[rows, t] = lstm_step(x[rows, t - 1], h[rows, t], c[rows, t], W_x, W_h, b)
    return h, c


def forward_by_arithmetic(x, mask, h0, c0, W_x, W_h, b):
    inputs = x @ W_x + b  # all steps at once
    states = np.stack([h0, c0])
    history = [states]
    for t, m in enumerate(mask.T[..., None].astype(float)):
        new = np.stack(step_with(inputs[:, t], *states, np.eye(len(b)), W_h, 0.0))
        states = m * new + (1 - m) * states
        history.append(states)
    return tuple(np.stack(history, axis=2))


# --- 06.6 Build: one step back --------------------------------------------------------------------


def lstm_backward(x, h, c, W_x, W_h, b, dh, dc):
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    shown = np.tanh(f * c + i * g)
    dc = dc + dh * o * (1 - shown**2)
    parts = [
        dc * g * i * (1 - i),
        dc * c * f * (1 - f),
        dc * i * (1 - g**2),
        dh * shown * o * (1 - o),
    ]
    da = np.concatenate(parts, axis=1)
    return {
        "x": da @ W_x.T,
        "h": da @ W_h.T,
        "c": dc * f,
        "W_x": x.T @ da,
        "W_h": h.T @ da,
        "b": da.sum(axis=0),
    }


def backward_with(
    x,
    h,
    c,
    W_x,
    W_h,
    b,
    dh,
    dc,
    *,
    keep=1.0,
    through_h=True,
    show_slope=lambda c: 1 - np.tanh(c) ** 2,
    gate_slope=lambda s: s * (1 - s),
    candidate_slope=lambda g: 1 - g**2,
    old=None,
    shown=np.tanh,
    order=(0, 1, 2, 3),
    direct=None,
    to_o="dh",
):
    """`lstm_backward` with one thing changed."""
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    given, dc = dc, keep * dc + through_h * dh * o * show_slope(new)
    parts = [
        dc * g * gate_slope(i),
        dc * (new if old == "new" else c) * gate_slope(f),
        dc * i * candidate_slope(g),
        (dh if to_o == "dh" else dc) * shown(new) * gate_slope(o),
    ]
    da = np.concatenate([parts[k] for k in order], axis=1)
    return {
        "x": da @ W_x.T,
        "h": da @ W_h.T,
        "c": dc if direct == "no gate" else given * f if direct == "given" else dc * f,
        "W_x": x.T @ da,
        "W_h": (o * np.tanh(new) if old == "shown" else h).T @ da,
        "b": da.sum(axis=0),
    }


def backward_mean(x, *rest):
    grads = lstm_backward(x, *rest)
    return {k: grads[k] / (1 if k in ("x", "h", "c") else len(x)) for k in grads}


def backward_h_direct(x, h, c, W_x, W_h, b, dh, dc):
    grads = lstm_backward(x, h, c, W_x, W_h, b, dh, dc)
    return {**grads, "h": grads["h"] + dh}


def inputs_6(rng):
    cases = []
    for batch, features, units in [(3, 2, 4), (1, 3, 2), (5, 1, 3)]:
        x = rng.normal(size=(batch, features))
        dh, dc = rng.normal(size=(2, batch, units))
        states, weights = random_states(rng, batch, units), random_weights(rng, features, units)
        cases.append((x, *states, *weights, dh, 0 * dc if batch == 1 else dc))
    return cases


backward_mistakes = [
    Mistake(
        lambda *a: backward_with(*a, through_h=False),
        "You use `dc` as it comes in. The new cell state acts on the loss in a second way: it is "
        "shown in h_t, and `dh` says what that is worth.",
    ),
    Mistake(
        lambda *a: backward_with(*a, keep=0.0),
        "The cell state gets its derivative from h_t alone; what `dc` brings from the step after "
        "is lost. That is the very path that an LSTM was made for.",
    ),
    Mistake(
        lambda *a: backward_with(*a, show_slope=one),
        "On the way from h_t back to c_t the slope of tanh is missing: h_t = o tanh(c_t).",
    ),
    Mistake(
        lambda *a: backward_with(*a, show_slope=lambda c: 1 - c**2),
        "You take 1 - c_t² for the slope of tanh at c_t. The rule squares the *output* of the "
        "tanh; a cell state of 2 would give you a slope of -3.",
    ),
    Mistake(
        lambda *a: backward_with(*a, gate_slope=one),
        "The slopes of the sigmoids are missing. You have the derivatives with respect to the "
        "gates; W_x, W_h and b act on what goes *into* the sigmoid.",
    ),
    Mistake(
        lambda *a: backward_with(*a, candidate_slope=one),
        "The slope of the candidate's tanh is missing. The three gates are right.",
    ),
    Mistake(
        lambda *a: backward_with(*a, candidate_slope=lambda g: g * (1 - g)),
        "You treat all four blocks as sigmoids. The third one passes through a tanh, whose slope "
        "is another.",
    ),
    Mistake(
        lambda *a: backward_with(*a, old="new"),
        "For the forget gate you multiply by c_t. Which cell state stands beside f in c_t = f c "
        "+ i g?",
    ),
    Mistake(
        lambda *a: backward_with(*a, shown=lambda c: c),
        "For the output gate you multiply by c_t. Look at what stands beside o in h_t.",
    ),
    Mistake(
        lambda *a: backward_with(*a, to_o="dc"),
        "You send the derivative of c_t into the output gate as well. The output gate does not "
        "appear in c_t: which state does it make?",
    ),
    Mistake(
        lambda *a: backward_with(*a, direct="no gate"),
        'Everything but "c" is right. You hand the derivative of c_t back as if it were that of '
        "c_{t-1}: what does c_{t-1} meet on its way into c_t?",
    ),
    Mistake(
        lambda *a: backward_with(*a, direct="given"),
        'Everything but "c" is right. There you use `dc` as it came in; c_{t-1} also acts on h_t, '
        "by way of c_t.",
    ),
    Mistake(
        lambda *a: backward_with(*a, order=(0, 1, 3, 2)),
        "The four derivatives are put together in the order i, f, o, g. W_x, W_h and b have "
        "their blocks in another one.",
    ),
    Mistake(
        lambda *a: backward_with(*a, old="shown"),
        "For W_h you multiply by h_t. W_h read the state *before* the step.",
    ),
    Mistake(
        backward_mean,
        "You average the weights' derivatives over the batch. The weights are shared by all "
        "sequences: their parts add. A loss that is a mean has its 1 / B in `dh` already.",
    ),
    Mistake(
        backward_h_direct,
        'Everything but "h" is right. You add `dh` to it; h_{t-1} has no direct way to h_t, it '
        "only goes into the four pre-activations.",
    ),
]


def backward_by_gate(x, h, c, W_x, W_h, b, dh, dc):
    N = c.shape[1]
    blocks = [slice(k * N, (k + 1) * N) for k in range(4)]
    i, f, g, o = (
        s(x @ W_x[:, k] + h @ W_h[:, k] + b[k])
        for s, k in zip((sigmoid, sigmoid, np.tanh, sigmoid), blocks, strict=True)
    )
    y = np.tanh(f * c + i * g)
    total = dh * o / np.cosh(f * c + i * g) ** 2 + dc
    deltas = [
        total * g * (i - i**2),
        total * c * (f - f**2),
        total * i * (1 - g) * (1 + g),
        dh * y * (o - o**2),
    ]
    pairs = list(zip(deltas, blocks, strict=True))
    return {
        "b": np.concatenate([np.ones(len(x)) @ d for d in deltas]),
        "W_h": np.hstack([np.einsum("bi,bj->ij", h, d) for d in deltas]),
        "W_x": np.hstack([np.einsum("bi,bj->ij", x, d) for d in deltas]),
        "c": f * total,
        "h": sum(np.einsum("bj,ij->bi", d, W_h[:, k]) for d, k in pairs),
        "x": sum(np.einsum("bj,ij->bi", d, W_x[:, k]) for d, k in pairs),
    }


def backward_by_example(x, h, c, W_x, W_h, b, dh, dc):
    total = {"x": [], "h": [], "c": [], "W_x": 0.0, "W_h": 0.0, "b": 0.0}
    for n in range(len(x)):
        i, f, g, o = np.split(W_x.T @ x[n] + W_h.T @ h[n] + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        y = np.tanh(f * c[n] + i * g)
        d = dc[n] + dh[n] * o * (1 - y * y)
        delta = np.r_[d * g, d * c[n], d * i, dh[n] * y]
        slopes = np.r_[i - i * i, f - f * f, 1 - g * g, o - o * o]
        delta = delta * slopes
        total["x"].append(W_x @ delta)
        total["h"].append(W_h @ delta)
        total["c"].append(d * f)
        total["W_x"] = total["W_x"] + np.outer(x[n], delta)
        total["W_h"] = total["W_h"] + np.outer(h[n], delta)
        total["b"] = total["b"] + delta
    return {name: np.array(value) for name, value in total.items()}


def backward_complex(x, h, c, W_x, W_h, b, dh, dc):
    """Every derivative from the imaginary part of the function itself, a tiny step aside."""
    names = ("x", "h", "c", "W_x", "W_h", "b")
    arguments = [value.astype(complex) for value in (x, h, c, W_x, W_h, b)]
    grads = {}
    for k, name in enumerate(names):
        grads[name] = np.zeros(arguments[k].shape)
        for index in np.ndindex(arguments[k].shape):
            moved = [value.copy() for value in arguments]
            moved[k][index] += 1e-30j
            h_new, c_new = lstm_step(*moved)
            grads[name][index] = np.sum(dh * h_new + dc * c_new).imag / 1e-30
    return grads


# --- 06.7 Find the bug: a readout past the cell (B02) ---------------------------------------------


def predict(x, W_x, W_h, b, W_y):
    h = c = np.zeros((len(x), len(W_h)))
    for t in range(x.shape[1]):
        h, c = lstm_step(x[:, t], h, c, W_x, W_h, b)
    return h @ W_y


def predict_given(x, W_x, W_h, b, W_y):
    h = c = np.zeros((len(x), len(W_h)))
    for t in range(x.shape[1]):
        combined = np.concatenate([x[:, t], h], axis=1)
        h, c = lstm_step(x[:, t], h, c, W_x, W_h, b)
        y = combined @ W_y
    return y


def predict_from(x, W_x, W_h, b, W_y, read):
    """The readout of what `read(h before, h, c, o)` picks at the last step."""
    h = c = np.zeros((len(x), len(W_h)))
    for t in range(x.shape[1]):
        before = h
        o = sigmoid(np.split(x[:, t] @ W_x + h @ W_h + b, 4, axis=1)[3])
        h, c = lstm_step(x[:, t], h, c, W_x, W_h, b)
    return read(before, h, c, o) @ W_y


def predict_every_step(x, W_x, W_h, b, W_y):
    mask = np.ones(x.shape[:2], bool)
    zero = np.zeros((len(x), len(W_h)))
    return lstm_forward(x, mask, zero, zero, W_x, W_h, b)[0][:, 1:] @ W_y


def predict_forgets(x, W_x, W_h, b, W_y):
    zero = np.zeros((len(x), len(W_h)))
    return lstm_step(x[:, -1], zero, zero, W_x, W_h, b)[0] @ W_y


def inputs_7(rng):
    cases = []
    for batch, length, features, units, outputs in [
        (3, 4, 2, 5, 2),
        (2, 1, 3, 4, 1),
        (1, 6, 1, 3, 2),
    ]:
        x = rng.normal(size=(batch, length, features))
        W_y = rng.normal(size=(units, outputs))
        cases.append((x, *random_weights(rng, features, units), W_y))
    return cases


predict_mistakes = [
    Mistake(
        predict_given,
        "The answer is still computed from the input and the state *before* the step, so W_y does "
        "not fit: it now has one row for each unit. What does the cell hand out?",
    ),
    Mistake(
        lambda *a: predict_from(*a, lambda before, h, c, o: before),
        "You read the state as it was before the last step. The shapes fit now, but the last "
        "step's gates still do not reach the loss: every gradient comes one step late.",
    ),
    Mistake(
        lambda *a: predict_from(*a, lambda before, h, c, o: c),
        "You read the cell state. It is the cell's own notebook; what it shows to others is h, and "
        "with your readout the last output gate gets no gradient.",
    ),
    Mistake(
        lambda *a: predict_from(*a, lambda before, h, c, o: np.tanh(c)),
        "You read tanh(c), without the output gate. That gate would learn only from steps before "
        "the last.",
    ),
    Mistake(
        lambda *a: predict_from(*a, lambda before, h, c, o: o),
        "You read the output gate. It says how much is shown; h is what is shown.",
    ),
    Mistake(
        predict_every_step,
        "You return an answer for each step. Only that of the last step is asked for.",
    ),
    Mistake(
        predict_forgets,
        "You start each step from zeros, so that only the last input counts: both states have to "
        "be handed on.",
    ),
]

# --- 06.8 Find the bug: an LSTM without a cell state (B03) ----------------------------------------


def run_gates(i, f, g, o, c0):
    c, h = c0, []
    for t in range(i.shape[1]):
        c = f[:, t] * c + i[:, t] * g[:, t]
        h.append(o[:, t] * np.tanh(c))
    return np.stack(h, axis=1)


def run_gates_with(i, f, g, o, c0, *, carry=lambda c, o: c, show=lambda c, o: o * np.tanh(c)):
    """`run_gates` with a function of c and o that is carried on, and one that is shown."""
    c, h = c0, []
    for t in range(i.shape[1]):
        c = f[:, t] * c + i[:, t] * g[:, t]
        h.append(show(c, o[:, t]))
        c = carry(c, o[:, t])
    return np.stack(h, axis=1)


def run_gates_given(i, f, g, o, h0):
    h, states = h0, []
    for t in range(i.shape[1]):
        h = o[:, t] * np.tanh(f[:, t] * h + i[:, t] * g[:, t])
        states.append(h)
    return np.stack(states, axis=1)


def inputs_8(rng):
    cases = []
    for batch, length, units in [(2, 6, 3), (1, 2, 1), (3, 12, 2)]:
        i, f, o = rng.uniform(0.1, 1, (3, batch, length, units))
        g = np.tanh(rng.normal(size=(batch, length, units)))
        if length == 12:
            f = 0.9 + 0.1 * f
            o[:, 4] = 0  # shut for a step
        cases.append((i, f, g, o, 1.5 * rng.normal(size=(batch, units))))
    return cases


run_mistakes = [
    Mistake(
        run_gates_given,
        "This is the code as it was given: what is shown at one step is the memory of the next. "
        "The memory needs a name of its own.",
    ),
    Mistake(
        lambda *a: run_gates_with(*a, carry=lambda c, o: np.tanh(c)),
        "The output gate no longer touches the memory, but tanh still does: it squashes c once a "
        "step. Let it act on what is shown, not on what is kept.",
    ),
    Mistake(
        lambda *a: run_gates_with(*a, carry=lambda c, o: o * c),
        "The tanh no longer touches the memory, but the output gate still does. To hide something "
        "for a step is not to forget it.",
    ),
    Mistake(
        lambda *a: run_gates_with(
            *a, carry=lambda c, o: np.tanh(c), show=lambda c, o: o * np.tanh(np.tanh(c))
        ),
        "You squash twice, once for the memory and once more for what is shown.",
    ),
    Mistake(
        lambda *a: run_gates_with(*a, show=lambda c, o: o * c),
        "The memory is right now. What is shown is no longer squashed, though: with a cell state "
        "of 50, h would be 50 times the output gate.",
    ),
    Mistake(
        lambda *a: run_gates_with(*a, show=lambda c, o: np.tanh(o * c)),
        "The memory is right now. Gate and tanh are exchanged in what is shown: the gate stands "
        "outside.",
    ),
    Mistake(
        lambda *a: run_gates_with(*a, show=lambda c, o: np.tanh(c)),
        "The memory is right now, and all of it is shown. Where is the output gate?",
    ),
    Mistake(
        lambda i, f, g, o, c0: run_gates(i, f, g, o, 0 * c0),
        "You start from zero. The memory before the first step is given.",
    ),
    Mistake(
        lambda i, f, g, o, c0: run_gates(f, i, g, o, c0),
        "Input and forget gate are exchanged.",
    ),
]

# --- 06.9 Find the bug: gates that share weights (B04, B14) ---------------------------------------


def own_weights(x, h, c, W, U, b):
    i, f, o = (sigmoid(x @ W[k] + h @ U[k] + b[k]) for k in (0, 1, 3))
    c = f * c + i * np.tanh(x @ W[2] + h @ U[2] + b[2])
    return o * np.tanh(c), c


def shared_weights(x, h, c, W, U, b, w=(0, 1, 2, 3), u=(0, 1, 2, 3), bias=(0, 1, 2, 3)):
    """`own_weights`, with the numbers of the weights that i, f, g, o use."""
    a = [x @ W[w[k]] + h @ U[u[k]] + b[bias[k]] for k in range(4)]
    c = sigmoid(a[1]) * c + sigmoid(a[0]) * np.tanh(a[2])
    return sigmoid(a[3]) * np.tanh(c), c


def mended_by_coupling(x, h, c, W, U, b):
    i = sigmoid(x @ W[0] + h @ U[0] + b[0])
    c = (1 - i) * c + i * np.tanh(x @ W[2] + h @ U[2] + b[2])
    return sigmoid(x @ W[3] + h @ U[3] + b[3]) * np.tanh(c), c


def inputs_9(rng):
    cases = []
    for batch, features, units in [(3, 2, 4), (1, 4, 2), (4, 1, 3)]:
        W = rng.normal(size=(4, features, units)) / np.sqrt(features)
        U = rng.normal(size=(4, units, units)) / np.sqrt(units)
        x = rng.normal(size=(batch, features))
        b = 0.7 * rng.normal(size=(4, units))
        cases.append((x, *random_states(rng, batch, units), W, U, b))
    return cases


FIRST = (0, 0, 0, 0)
own_mistakes = [
    Mistake(
        lambda *a: shared_weights(*a, w=(0, 0, 2, 3), u=(0, 0, 2, 3), bias=FIRST),
        "This is the code as it was given. Read its four lines of pre-activations aloud, index by "
        "index.",
    ),
    Mistake(
        lambda *a: shared_weights(*a, bias=FIRST),
        "The matrices are mended. There is a second fault: raise the bias of one gate alone, and "
        "see whether that gate follows.",
    ),
    Mistake(
        lambda *a: shared_weights(*a, w=(0, 0, 2, 3), u=(0, 0, 2, 3)),
        "The biases are mended. Input and forget gate still read the input and the state through "
        "the same matrices, and differ by a constant only.",
    ),
    Mistake(
        lambda *a: shared_weights(*a, u=(0, 0, 2, 3)),
        "One matrix is still shared: how do the gates read h?",
    ),
    Mistake(
        lambda *a: shared_weights(*a, w=(0, 0, 2, 3)),
        "One matrix is still shared: how do the gates read x?",
    ),
    Mistake(
        lambda *a: shared_weights(*a, w=(1, 1, 2, 3), u=(1, 1, 2, 3)),
        "Now both gates use the forget gate's matrices. They need two sets, not the other one.",
    ),
    Mistake(
        lambda *a: shared_weights(*a, w=(1, 0, 2, 3), u=(1, 0, 2, 3), bias=(1, 0, 2, 3)),
        "Each gate has its own weights, but i has those of f and f those of i: row 0 belongs to i.",
    ),
    Mistake(
        mended_by_coupling,
        "You make the forget gate from the input gate, 1 - i. That is a cell of its own, with "
        "fewer weights; here f has a row in each array, and is to use it.",
    ),
]

# --- 06.10 Find the bug: a peephole on the candidate (B11) ----------------------------------------


def peephole_step(x, h, c, W_x, W_h, b, p):
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    p_i, p_f, p_o = np.split(p, 3)
    i, f = sigmoid(i + p_i * c), sigmoid(f + p_f * c)
    c = f * c + i * np.tanh(g)
    return sigmoid(o + p_o * c) * np.tanh(c), c


def peephole_with(
    x, h, c, W_x, W_h, b, p, *, order="ifo", on_g=0.0, on_o=1.0, o_sees="new", inside=True
):
    """`peephole_step` with one thing changed."""
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    p = dict(zip(order, np.split(p, 3), strict=True))
    if inside:
        i, f = sigmoid(i + p["i"] * c), sigmoid(f + p["f"] * c)
    else:
        i, f = sigmoid(i) + p["i"] * c, sigmoid(f) + p["f"] * c
    new = f * c + i * np.tanh(g + on_g * p["o"] * c)
    seen = on_o * p["o"] * {"new": new, "old": c, "shown": np.tanh(new)}[o_sees]
    o = sigmoid(o + seen) if inside else sigmoid(o) + seen
    return o * np.tanh(new), new


def peephole_given(*a):
    return peephole_with(*a, on_g=1.0, on_o=0.0)


def inputs_10(rng):
    cases = []
    for batch, features, units in [(3, 2, 4), (1, 3, 2), (4, 1, 1)]:
        x = rng.normal(size=(batch, features))
        states, weights = random_states(rng, batch, units), random_weights(rng, features, units)
        cases.append((x, *states, *weights, rng.normal(size=3 * units)))
    return cases


peephole_mistakes = [
    Mistake(
        peephole_given,
        "This is the code as it was given. Write the four blocks of `a` in a row and, below "
        "them, what `seen` adds to each.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, on_o=0.0),
        "The candidate is free of it now, but the output gate has no peephole yet: the third block "
        "of `p` is not used at all.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, o_sees="old"),
        "Your output gate looks at the old cell state. It decides how much of the *new* one is "
        "shown, and in this cell it sees that one.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, on_g=1.0),
        "The output gate has its peephole now, and the candidate has kept the same one. A "
        "candidate is not a gate.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, on_g=1.0, o_sees="old"),
        "Now all four blocks look at the old cell state. The candidate is to see none, and the "
        "output gate another.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, o_sees="shown"),
        "Your output gate looks at tanh(c). A peephole sees the cell state itself, before it is "
        "squashed.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, inside=False),
        "You add the peepholes to the gates after the sigmoid. A gate would no longer lie between "
        "0 and 1.",
    ),
    Mistake(
        lambda *a: peephole_with(*a, order="iof"),
        "You take the blocks of `p` in the order i, o, f, which is that of ONNX. Here it is i, "
        "f, o.",
    ),
    Mistake(
        lambda x, h, c, W_x, W_h, b, p: lstm_step(x, h, c, W_x, W_h, b),
        "You mended it by taking all peepholes out. That is the plain LSTM; three of them are "
        "wanted.",
    ),
]


# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "06.1",
        count,
        inputs_1,
        count_mistakes,
        [
            "Count one block first: everything that turns x and h into N numbers.",
            "Then the blocks: which lines of the LSTM's equations have weights? What the variants "
            "add or leave out is said in the table.",
        ],
    ),
    Exercise(
        "06.2",
        left,
        inputs_2,
        left_mistakes,
        [
            "Write out c_2 in terms of c_0. Which factor stands before c_0?",
            "All matrices are zero, so each gate is the same number at every step. It comes from "
            "its bias by the gate's own function.",
        ],
        atol=0.0,
    ),
    Exercise(
        "06.3",
        chrono,
        inputs_3,
        chrono_mistakes,
        [
            "Two of the four blocks change, and they are each other's opposite.",
            "Solve sigmoid(b_f) = u / (1 + u) for b_f. Then do the same for the input gate, "
            "1 / (1 + u).",
        ],
        points=2,
    ),
    Exercise(
        "06.4",
        lstm_step,
        inputs_4,
        step_mistakes,
        [
            "One affine line gives all four blocks, (B, 4 N); `np.split(a, 4, axis=1)` takes "
            "them apart.",
            "Sigmoid for i, f and o, tanh for g. First the new c, then h from it.",
        ],
        points=2,
    ),
    Exercise(
        "06.5",
        lstm_forward,
        inputs_5,
        forward_mistakes,
        [
            "Compute the step for all sequences, then choose, sequence by sequence, between the "
            "new states and those before.",
            "`mask[:, t, None]` has the shape (B, 1) and stretches over the units; `np.where` "
            "chooses.",
        ],
        points=3,
    ),
    Exercise(
        "06.6",
        lstm_backward,
        inputs_6,
        backward_mistakes,
        [
            "Go through the forward lines from the last to the first. For each quantity ask: into "
            "which later lines does it go? Its derivative is the sum over these.",
            "c_t goes into h_t and into the step after. Once you have its total derivative, each "
            "gate's is that times what stands beside the gate, times the slope of its function.",
            "With the four derivatives of the pre-activations side by side, da (B, 4 N), the "
            "rest is as in lesson 02: x.T @ da, da @ W_h.T and so on.",
        ],
        points=4,
    ),
    Exercise(
        "06.7",
        predict,
        inputs_7,
        predict_mistakes,
        [
            "Draw an arrow from W_x to the loss for a sequence of one step. Which variable breaks "
            "it?",
            "The line that computes y may use only what the step has just computed.",
        ],
        points=2,
    ),
    Exercise(
        "06.8",
        run_gates,
        inputs_8,
        run_mistakes,
        [
            "Set i = 0 and f = 1 on paper. What should become of the memory, and which two things "
            "happen to it?",
            "Use two variables: one that is carried on, one that is shown.",
        ],
        points=2,
    ),
    Exercise(
        "06.9",
        own_weights,
        inputs_9,
        own_mistakes,
        [
            "There are twelve arrays, three for each block. Tick them off in the code.",
            "Two faults: one concerns two of the blocks, the other all four.",
        ],
        points=2,
    ),
    Exercise(
        "06.10",
        peephole_step,
        inputs_10,
        peephole_mistakes,
        [
            "The blocks of `a` are i, f, g, o; those of `p` are i, f, o. What is added to what?",
            "One of the three peepholes cannot be added before the new cell state is known.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "06.2": [
        lambda b_f, b_i, k: np.exp(-k * np.log1p(np.exp(-b_f))),
        lambda b_f, b_i, k: np.prod([1 / (1 + np.exp(-b_f))] * k),
    ],
    "06.3": [
        lambda u: np.log(np.concatenate([1 / u, u, u / u, u / u])),
        lambda u: np.outer([-1, 1, 0, 0], np.log(u)).ravel(),
    ],
    "06.4": [step_by_gate, step_one_matrix, step_by_example],
    "06.5": [forward_by_example, forward_in_place, forward_by_arithmetic],
    "06.6": [backward_by_gate, backward_by_example, backward_complex],
    "06.9": [shared_weights],
    "06.10": [peephole_with],
}
