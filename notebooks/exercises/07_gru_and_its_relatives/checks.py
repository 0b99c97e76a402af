"""Exercises of lesson 07: right solutions, and the mistakes that people make.

Shapes: x (B, D) or (B, T, D), h (B, N); W (D, 3 N), U (N, 3 N), b (3 N,), each with one block of N
columns in the order z, r, h (update gate, reset gate, candidate). z = 1 keeps the old state.
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


def one(a):
    return np.ones_like(a)


def random_weights(rng, features, units, blocks=3):
    W = rng.normal(size=(features, blocks * units)) / np.sqrt(features)
    U = rng.normal(size=(units, blocks * units)) / np.sqrt(units)
    return W, U, 0.7 * rng.normal(size=blocks * units)


def random_state(rng, batch, units):
    return rng.uniform(-0.9, 0.9, (batch, units))


# --- 07.1 Predict: how large, and how wide --------------------------------------------------------

BLOCKS = {"lstm": 4, "gru": 3, "reset after": 3, "mgu": 2, "mingru": 2}


def count(cell, D, N, *, blocks=BLOCKS, bias=1, after=2, recurrent=1, mingru=0, extra=0):
    """How many numbers are learned; the options are other people's answers."""
    recurrent = mingru if cell == "mingru" else recurrent
    biases = after if cell == "reset after" else bias
    extra = extra * N if cell == "reset after" else 0
    return blocks[cell] * (D * N + recurrent * N * N + biases * N) + extra


def widest(cell, D, size, **options):
    N = 0
    while count(cell, D, N + 1, **options) <= size:
        N += 1
    return N


def equal_size(cell, D, N):
    return count(cell, D, N), widest(cell, D, count("lstm", D, N))


def counted(**options):
    def answer(cell, D, N):
        size = count("lstm", D, N, **options)
        return count(cell, D, N, **options), widest(cell, D, size, **options)

    return answer


def at_least(cell, D, N):
    size, units = equal_size(cell, D, N)
    return size, units + (count(cell, D, units) < count("lstm", D, N))


def nearest(cell, D, N):
    size, units = equal_size(cell, D, N)
    goal = count("lstm", D, N)
    return size, min((units, units + 1), key=lambda n: abs(count(cell, D, n) - goal))


def inputs_1(rng):
    D, N = (int(n) for n in rng.integers([4, 20], [9, 90]))
    cases = [(cell, D, N) for cell in BLOCKS]
    return [*cases, ("gru", 1, 32), ("mingru", 1, 32), ("reset after", 3, 64), ("mgu", 1, 1)]


size_mistakes = [
    Mistake(
        counted(blocks={"lstm": 4, "gru": 2, "reset after": 2, "mgu": 1, "mingru": 1}),
        "You count one block for each gate of the smaller cells. The candidate is computed from "
        "its own weights, too.",
    ),
    Mistake(
        counted(after=1),
        'You give "reset after" one bias. Look at its candidate: one of the two biases stands '
        "inside the bracket that the reset gate multiplies.",
    ),
    Mistake(
        counted(after=1, extra=1),
        "You give the second bias to the candidate alone, where it matters. Stored and trained is "
        "one for every block, also where the two are only added.",
    ),
    Mistake(
        counted(mingru=1),
        "Your MinGRU has recurrent kernels. Does its gate or its candidate read the state?",
    ),
    Mistake(
        counted(bias=0, after=0),
        "You count the matrices alone. Every block has a bias, one number for each unit.",
    ),
    Mistake(
        counted(recurrent=0),
        "The recurrent kernels are missing: the blocks of all cells but one read the state.",
    ),
    Mistake(
        lambda cell, D, N: (count(cell, D, N), count("lstm", D, N) * N // count(cell, D, N)),
        "The sizes are right. For the width you take the units in proportion, as if twice the "
        "units had twice the numbers: the recurrent kernels grow faster than that.",
    ),
    Mistake(
        lambda cell, D, N: (
            count(cell, D, N),
            int(N * np.sqrt(count("lstm", D, N) / count(cell, D, N))),
        ),
        "The sizes are right. For the width you let everything grow with N². Input kernels and "
        "biases do not, and one of the cells has nothing else.",
    ),
    Mistake(
        at_least,
        "The sizes are right. Your width is the first that is as large as the LSTM; the last that "
        "is not larger is asked for.",
    ),
    Mistake(
        nearest,
        "The sizes are right. Your width is the one that comes nearest, and in one case it is "
        "larger than the LSTM.",
    ),
    Mistake(
        lambda cell, D, N: (count(cell, D, N), widest("lstm", D, count(cell, D, N))),
        "You turned the question round: that is the LSTM that is not larger than the cell.",
    ),
    Mistake(
        lambda cell, D, N: equal_size(cell, D, N)[::-1],
        "Both numbers are right, in the wrong order: the size first, then the width.",
    ),
]

# --- 07.2 Predict: which way z points -------------------------------------------------------------


def state_after(paper, z, h, candidate, k):
    keep = z if paper == "cho" else 1 - z
    return candidate + keep**k * (h - candidate)


def inputs_2(rng):
    cases = []
    for paper in ("cho", "chung"):
        z, h, candidate = (float(v) for v in rng.uniform([0.6, 0.2, -0.9], [0.9, 0.9, -0.2]))
        cases += [(paper, 1.0, h, candidate, 1), (paper, 0.0, h, candidate, 1)]
        cases += [(paper, z, h, candidate, k) for k in (1, 3, 0)] + [(paper, 0.5, h, candidate, 9)]
    return cases


def kept(paper, z):
    return z if paper == "cho" else 1 - z


z_mistakes = [
    Mistake(
        lambda paper, z, h, candidate, k: state_after(paper, 1 - z, h, candidate, k),
        "You have the two papers the wrong way round. Put z = 1 into each of the two equations: "
        "which term is left?",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: state_after("cho", z, h, candidate, k),
        "You read both papers as if z kept the old state. One of them has it replace it.",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: state_after("chung", z, h, candidate, k),
        "You read both papers as if z replaced the old state. One of them has it keep it.",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: state_after(paper, z, h, candidate, 1),
        "That is the state after one step. The next one mixes *that* with the candidate, and after "
        "no step at all nothing has been mixed.",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: kept(paper, z) ** k * h,
        "That is what is left of the start. The candidate has been written in the meantime.",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: (
            kept(paper, z) ** k * h + (1 - kept(paper, z)) ** k * candidate
        ),
        "You raise both shares to the power k. At z = 0.5 and k = 9 hardly anything would be left "
        "of either: where should the rest have gone?",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: (
            kept(paper, z) ** k * h + k * (1 - kept(paper, z)) * candidate
        ),
        "You write the same share k times and never fade it. What was written at the first step is "
        "itself mixed at all the later ones.",
    ),
    Mistake(
        lambda paper, z, h, candidate, k: (
            kept(paper, z) ** k * h + min(k, 1) * (1 - kept(paper, z)) * candidate
        ),
        "The start fades as it should, but the candidate is written once only. It is written at "
        "every step.",
    ),
]

# --- 07.3 Modify: weights from another library ----------------------------------------------------


def from_pytorch(weight_ih, weight_hh, bias_ih, bias_hh, z_keeps):
    def zrh(w):
        r, z, h = np.split(w, 3)
        return np.concatenate([z if z_keeps else -z, r, h])

    return zrh(weight_ih).T, zrh(weight_hh).T, np.stack([zrh(bias_ih), zrh(bias_hh)])


def moved(
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    z_keeps,
    *,
    order=(1, 0, 2),
    when=False,
    signs=(-1, 1, 1),
    which=(1, 1, 1, 1),
    plus=0.0,
):
    """Permuted, then the blocks times `signs` (and plus `plus`, where the sign is -1) in the arrays
    `which`, if `z_keeps` is `when`, or always if `when` is None."""
    arrays = []
    for w, negate in zip((weight_ih, weight_hh, bias_ih, bias_hh), which, strict=True):
        blocks = [np.split(w, 3)[k] for k in order]
        if negate and (when is None or when == z_keeps):
            blocks = [s * v + plus * (s < 0) for s, v in zip(signs, blocks, strict=True)]
        arrays.append(np.concatenate(blocks))
    return arrays[0].T, arrays[1].T, np.stack(arrays[2:])


def moved_untransposed(*a):
    W, U, b = from_pytorch(*a)
    return W.T, U.T, b


def moved_biases_added(*a):
    W, U, b = from_pytorch(*a)
    return W, U, b.sum(axis=0)


def moved_biases_exchanged(*a):
    W, U, b = from_pytorch(*a)
    return W, U, b[::-1]


def inputs_3(rng):
    cases = []
    for features, units, z_keeps in [(2, 4, True), (3, 2, False), (3, 3, False), (1, 1, False)]:
        W, U, b = random_weights(rng, features, units)
        cases.append((W.T.copy(), U.T.copy(), b, rng.normal(size=3 * units), z_keeps))
    return cases


NEVER = (0, 0, 0, 0)
move_mistakes = [
    Mistake(
        lambda *a: moved(*a, order=(0, 1, 2), which=NEVER),
        "That is what the ONNX function does. Here the blocks come in another order, and "
        "`z_keeps` has to count for something.",
    ),
    Mistake(
        lambda *a: moved(*a, order=(0, 1, 2), signs=(1, -1, 1)),
        "You negate the right block, and leave all three where they were: r first. Nothing in the "
        "shapes will ever tell you.",
    ),
    Mistake(
        lambda *a: moved(*a, order=(0, 1, 2)),
        "The order is still r, z, n, so what you negate is the reset gate.",
    ),
    Mistake(
        lambda *a: moved(*a, which=NEVER),
        "The order is right. Where `z_keeps` is False, sigmoid(a_z) is the share that is replaced, "
        "and our code would keep it.",
    ),
    Mistake(
        lambda *a: moved(*a, when=None),
        "You negate z always. PyTorch's own z keeps, as ours does: look at `z_keeps` first.",
    ),
    Mistake(
        lambda *a: moved(*a, when=True),
        "You read `z_keeps` the wrong way round: True needs no change of sign.",
    ),
    Mistake(
        lambda *a: moved(*a, signs=(1, -1, 1)),
        "You negate the second block, where z stood in PyTorch. After the change of order z comes "
        "first, and the second is the reset gate.",
    ),
    Mistake(
        lambda *a: moved(*a, signs=(-1, -1, 1)),
        "You negate both gates. Only z has two readings; a reset gate is the same in both.",
    ),
    Mistake(
        lambda *a: moved(*a, signs=(-1, -1, -1)),
        "You negate all the blocks. Only z has two readings.",
    ),
    Mistake(
        lambda *a: moved(*a, which=(1, 0, 0, 0)),
        "You negate z in the input kernel only. a_z is a sum of several terms, and all of it has "
        "to change its sign.",
    ),
    Mistake(
        lambda *a: moved(*a, which=(1, 1, 0, 0)),
        "Both kernels are right, but the biases keep their sign. All terms of a_z have to change "
        "it: a forgetful bias would become a retentive one.",
    ),
    Mistake(
        lambda *a: moved(*a, which=(1, 1, 1, 0)),
        "You negate z in one of the two biases only.",
    ),
    Mistake(
        lambda *a: moved(*a, plus=1.0),
        "You replace the weights w by 1 - w. It is the gate that has to become 1 - z, not what "
        "goes into the sigmoid: for which b is sigmoid(b) = 1 - sigmoid(a)?",
    ),
    Mistake(
        moved_untransposed,
        "Order and signs are right. PyTorch stores its kernels with one *row* for each unit of a "
        "block; ours have columns.",
    ),
    Mistake(
        moved_biases_added,
        "You add the two biases. For z and r that changes nothing, but in the candidate the second "
        "one stands inside the reset: both are kept, in two rows.",
    ),
    Mistake(
        moved_biases_exchanged,
        "The two rows of the bias are exchanged: first the one that goes with the input.",
    ),
]


def pytorch_by_index(weight_ih, weight_hh, bias_ih, bias_hh, z_keeps):
    N = weight_hh.shape[1]
    index = np.r_[N : 2 * N, 0:N, 2 * N : 3 * N]
    sign = np.ones(3 * N)
    if not z_keeps:
        sign[:N] = -1
    b = np.array([bias_ih[index], bias_hh[index]])
    return weight_ih[index].T * sign, weight_hh[index].T * sign, b * sign


def pytorch_by_matrix(weight_ih, weight_hh, bias_ih, bias_hh, z_keeps):
    swap = np.array([[0, 1, 0], [1 if z_keeps else -1, 0, 0], [0, 0, 1]])
    P = np.kron(swap, np.eye(weight_hh.shape[1]))  # from r, z, n to z, r, h
    return [weight_ih.T @ P, weight_hh.T @ P, [bias_ih @ P, bias_hh @ P]]


# --- 07.4 Build: one step -------------------------------------------------------------------------


def gru_step(x, h, W, U, b):
    N = h.shape[1]
    a = x @ W + b
    z, r = np.split(sigmoid(a[:, : 2 * N] + h @ U[:, : 2 * N]), 2, axis=1)
    candidate = np.tanh(a[:, 2 * N :] + (r * h) @ U[:, 2 * N :])
    return z * h + (1 - z) * candidate


def step_with(
    x,
    h,
    W,
    U,
    b,
    *,
    order="zrh",
    gate=sigmoid,
    squash=np.tanh,
    memory=lambda h, r, z, U: (r * h) @ U,
    mix=lambda h, r, z, new: z * h + (1 - z) * new,
):
    """`gru_step` with one thing changed."""
    a = dict(zip(order, np.split(x @ W + b, 3, axis=1), strict=True))
    u = dict(zip(order, np.split(U, 3, axis=1), strict=True))
    z, r = gate(a["z"] + h @ u["z"]), gate(a["r"] + h @ u["r"])
    return mix(h, r, z, squash(a["h"] + memory(h, r, z, u["h"])))


def step_update_sees_reset(x, h, W, U, b):
    N = h.shape[1]
    a = x @ W + b
    r = sigmoid(a[:, N : 2 * N] + h @ U[:, N : 2 * N])
    z = sigmoid(a[:, :N] + (r * h) @ U[:, :N])
    return z * h + (1 - z) * np.tanh(a[:, 2 * N :] + (r * h) @ U[:, 2 * N :])


def step_resets_input(x, h, W, U, b):
    N = h.shape[1]
    a = x @ W + b
    z, r = np.split(sigmoid(a[:, : 2 * N] + h @ U[:, : 2 * N]), 2, axis=1)
    return z * h + (1 - z) * np.tanh(r * (a[:, 2 * N :] + h @ U[:, 2 * N :]))


def step_interleaved(x, h, W, U, b):
    into = np.arange(W.shape[1]).reshape(-1, 3).T.ravel()
    return gru_step(x, h, W[:, into], U[:, into], b[into])


def inputs_4(rng):
    cases = []
    for batch, features, units, scale in [(3, 2, 4, 1), (1, 3, 2, 1), (4, 1, 1, 1), (2, 2, 3, 40)]:
        x = scale * rng.normal(size=(batch, features))
        cases.append((x, random_state(rng, batch, units), *random_weights(rng, features, units)))
    return cases


step_mistakes = [
    Mistake(
        lambda *a: step_with(*a, memory=lambda h, r, z, U: r * (h @ U)),
        "You multiply first and reset afterwards. That is the other GRU, Keras' "
        "`reset_after=True`; in (2) the reset gate acts on the state, before the product.",
    ),
    Mistake(
        lambda *a: step_with(*a, mix=lambda h, r, z, new: (1 - z) * h + z * new),
        "Your z replaces the old state. In (3) it keeps it; with half of the papers you would have "
        "been right.",
    ),
    Mistake(
        lambda *a: step_with(*a, order="rzh"),
        "Update and reset gate are exchanged. The first block is z; r comes first in PyTorch.",
    ),
    Mistake(
        lambda *a: step_with(*a, memory=lambda h, r, z, U: h @ U),
        "Your candidate sees the whole state. What was the reset gate for?",
    ),
    Mistake(
        lambda *a: step_with(*a, memory=lambda h, r, z, U: ((1 - r) * h) @ U),
        "You take 1 - r. In spite of its name r = 1 lets the state through, and r = 0 resets it.",
    ),
    Mistake(
        lambda *a: step_with(*a, memory=lambda h, r, z, U: ((1 - z) * h) @ U),
        "Your candidate sees the state through 1 - z. There is a gate of its own for that.",
    ),
    Mistake(
        lambda *a: step_with(*a, mix=lambda h, r, z, new: z * r * h + (1 - z) * new),
        "You reset the state for good. The reset is only for what the *candidate* sees; z keeps "
        "its share of the state as it was.",
    ),
    Mistake(
        step_update_sees_reset,
        "Your update gate sees the state after the reset. Both gates see all of it.",
    ),
    Mistake(
        step_resets_input,
        "Your reset gate also damps the input. It stands before the state only.",
    ),
    Mistake(
        lambda *a: step_with(*a, gate=np.tanh),
        "Your gates are tanh. A gate is a share between 0 and 1; which function has that range?",
    ),
    Mistake(
        lambda *a: step_with(*a, squash=sigmoid),
        "Your candidate is a sigmoid. A state could then never become negative.",
    ),
    Mistake(
        lambda *a: step_with(*a, mix=lambda h, r, z, new: z * h + new),
        "You add the candidate whole. What is written and what is kept are shares of one whole.",
    ),
    Mistake(
        lambda x, h, W, U, b: gru_step(x, h, W, U, 0 * b),
        "The bias is missing.",
    ),
    Mistake(
        step_interleaved,
        "You take every third column for a block. The blocks lie side by side: the first N "
        "columns are the update gate of all the units.",
    ),
]


def step_by_block(x, h, W, U, b):
    W_z, W_r, W_h = np.split(W, 3, axis=1)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    b_z, b_r, b_h = np.split(b, 3)
    z = 1 / (1 + np.exp(-(x @ W_z + h @ U_z + b_z)))
    r = 1 / (1 + np.exp(-(x @ W_r + h @ U_r + b_r)))
    candidate = np.tanh(x @ W_h + np.multiply(r, h) @ U_h + b_h)
    return candidate + z * (h - candidate)


def step_one_matrix(x, h, W, U, b):
    N, ones = h.shape[1], np.ones((len(x), 1))
    all = np.vstack([W, U, b[None]])
    gates = sigmoid(np.hstack([x, h, ones]) @ all[:, : 2 * N])
    candidate = np.tanh(np.hstack([x, gates[:, N:] * h, ones]) @ all[:, 2 * N :])
    return np.einsum("bn,bn->bn", gates[:, :N], h - candidate) + candidate


def step_by_example(x, h, W, U, b):
    N, new = h.shape[1], []
    for row, state in zip(x, h, strict=True):
        a, u = W.T @ row + b, U[:, : 2 * N].T @ state
        z, r = sigmoid(a[:N] + u[:N]), sigmoid(a[N : 2 * N] + u[N:])
        new.append(z * state + (1 - z) * np.tanh(a[2 * N :] + U[:, 2 * N :].T @ (r * state)))
    return new


# --- 07.5 Build: a padded batch -------------------------------------------------------------------


def gru_forward(x, mask, h0, W, U, b):
    h = [h0]
    for t in range(x.shape[1]):
        h.append(np.where(mask[:, t, None], gru_step(x[:, t], h[-1], W, U, b), h[-1]))
    return np.stack(h, axis=1)


def forward_zeroed(x, mask, h0, W, U, b):
    h = [h0]
    for t in range(x.shape[1]):
        h.append(np.where(mask[:, t, None], gru_step(x[:, t], h[-1], W, U, b), 0))
    return np.stack(h, axis=1)


def forward_hidden_after(x, mask, *rest):
    h = gru_forward(x, one(mask), *rest)
    for t in range(x.shape[1]):
        h[:, t + 1] = np.where(mask[:, t, None], h[:, t + 1], h[:, t])
    return h


def forward_without_reset(x, mask, h0, W, U, b):
    """Holds a padded step by its reset gate instead of its update gate."""
    h = [h0]
    for t in range(x.shape[1]):
        real = mask[:, t, None]
        seen = lambda h, r, z, U, real=real: (np.where(real, r, 0) * h) @ U  # noqa: E731
        h.append(step_with(x[:, t], h[-1], W, U, b, memory=seen))
    return np.stack(h, axis=1)


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
        h0 = random_state(rng, batch, units)
        cases.append((x, mask, h0, *random_weights(rng, features, units)))
    return cases


forward_mistakes = [
    Mistake(
        lambda x, mask, *rest: gru_forward(x, one(mask), *rest),
        "You read the padding like any other step. The mask says which steps are none.",
    ),
    Mistake(
        forward_zeroed,
        "A padded step sets your state to zero. What was read before it is to be handed on, "
        "unchanged, to whatever comes after it.",
    ),
    Mistake(
        lambda x, mask, *rest: gru_forward(x * mask[..., None], one(mask), *rest),
        "You set the padded inputs to zero and let the cell read them. A step with input zero is "
        "still a step: z is not 1, and part of the state is replaced.",
    ),
    Mistake(
        forward_without_reset,
        "You shut the reset gate at padded steps. Then the candidate does not see the state, but a "
        "candidate is still written: which gate decides about that?",
    ),
    Mistake(
        forward_hidden_after,
        "You run through the padding first and repeat the last real state in the result "
        "afterwards. A real step that comes after padding has then read the wrong state.",
    ),
    Mistake(
        lambda x, mask, *rest: gru_forward(x, np.logical_and.accumulate(mask, axis=1), *rest),
        "You stop at the first padded step for good. Padding may also stand in front or in the "
        "middle.",
    ),
    Mistake(
        lambda x, mask, *rest: gru_forward(x, np.broadcast_to(mask.all(axis=0), mask.shape), *rest),
        "Where one sequence is padded, all of them wait. Each has its own row in the mask.",
    ),
    Mistake(
        lambda x, mask, *rest: gru_forward(x, ~mask, *rest),
        "You read the mask the wrong way round: True marks a real step.",
    ),
    Mistake(
        lambda x, mask, h0, *rest: gru_forward(x, mask, 0 * h0, *rest),
        "You start from zeros. The initial state is given.",
    ),
    Mistake(
        lambda *a: gru_forward(*a)[:, 1:],
        "The steps are right; the initial state is missing in front of them. With it, index t "
        "holds the state after step t.",
    ),
    Mistake(
        lambda *a: gru_forward(*a)[:, -1],
        "You return the last state only. All of them are asked for, the initial one in front.",
    ),
]


def forward_by_gate(x, mask, h0, W, U, b):
    """A padded step is a step with z = 1."""
    h = [h0]
    for t in range(x.shape[1]):
        real = mask[:, t, None]

        def mix(h, r, z, new, real=real):
            z = np.where(real, z, 1)
            return z * h + (1 - z) * new

        h.append(step_with(x[:, t], h[-1], W, U, b, mix=mix))
    return np.stack(h, axis=1)


def forward_by_example(x, mask, h0, W, U, b):
    rows = []
    for n in range(len(x)):
        h = [h0[n : n + 1]]
        for t in range(x.shape[1]):
            h.append(gru_step(x[n : n + 1, t], h[-1], W, U, b) if mask[n, t] else h[-1])
        rows.append(np.concatenate(h))
    return rows


def forward_in_place(x, mask, h0, W, U, b):
    h = np.repeat(h0[:, None], x.shape[1] + 1, axis=1)
    for t in range(1, x.shape[1] + 1):
        h[:, t] = h[:, t - 1]
        rows = mask[:, t - 1]
        h[rows, t] = step_by_block(x[rows, t - 1], h[rows, t], W, U, b)
    return h


# --- 07.6 Build: a MinGRU in a few rounds ---------------------------------------------------------


def mingru_parts(x, W, b):
    a_z, candidate = np.split(x @ W + b, 2, axis=2)
    z = sigmoid(a_z)
    return z, (1 - z) * candidate


def mingru_scan(x, h0, W, b):
    z, v = mingru_parts(x, W, b)
    shift, rounds = 1, 0
    while shift < x.shape[1]:
        new_z, new_v = z.copy(), v.copy()
        new_z[:, shift:] = z[:, shift:] * z[:, :-shift]
        new_v[:, shift:] = z[:, shift:] * v[:, :-shift] + v[:, shift:]
        z, v = new_z, new_v
        shift, rounds = 2 * shift, rounds + 1
    return z * h0[:, None] + v, rounds


def scan_with(
    x,
    h0,
    W,
    b,
    *,
    parts=mingru_parts,
    combine=lambda z1, v1, z2, v2: (z2 * z1, z2 * v1 + v2),
    grow=2,
    short=0,
    start=1,
):
    """`mingru_scan` with one thing changed: `short` rounds less, `grow` times the shift."""
    z, v = parts(x, W, b)
    shift = 1
    needed = int(np.ceil(np.log2(x.shape[1])))
    for _ in range(max(needed - short, 0)):
        late = combine(z[:, :-shift], v[:, :-shift], z[:, shift:], v[:, shift:])
        z, v = (
            np.concatenate([a[:, :shift], n], axis=1) for a, n in zip((z, v), late, strict=True)
        )
        shift = min(grow * shift, x.shape[1])
    return start * z * h0[:, None] + v, needed - short


def parts_flipped(x, W, b):
    a_z, candidate = np.split(x @ W + b, 2, axis=2)
    return sigmoid(-a_z), sigmoid(a_z) * candidate


def parts_whole(x, W, b):
    a_z, candidate = np.split(x @ W + b, 2, axis=2)
    return sigmoid(a_z), candidate


def parts_squashed(x, W, b):
    a_z, candidate = np.split(x @ W + b, 2, axis=2)
    return sigmoid(a_z), sigmoid(-a_z) * np.tanh(candidate)


def parts_exchanged(x, W, b):
    candidate, a_z = np.split(x @ W + b, 2, axis=2)
    return sigmoid(a_z), sigmoid(-a_z) * candidate


def scan_by_loop(x, h0, W, b):
    z, v = mingru_parts(x, W, b)
    h = [h0]
    for t in range(x.shape[1]):
        h.append(z[:, t] * h[-1] + v[:, t])
    return np.stack(h[1:], axis=1), x.shape[1]


def scan_by_division(x, h0, W, b):
    z, v = mingru_parts(x, W, b)
    product = np.cumprod(z, axis=1)
    return product * (h0[:, None] + np.cumsum(v / product, axis=1)), 0


def scan_by_weights(x, h0, W, b):
    """Lets the start fade, and forgets to fade what was written."""
    z, v = mingru_parts(x, W, b)
    return np.cumprod(z, axis=1) * h0[:, None] + np.cumsum(v, axis=1), 0


def scan_by_one_more(x, h0, W, b):
    z, v = mingru_parts(x, W, b)
    for k in range(1, x.shape[1]):
        new_z, new_v = z[:, k:] * z[:, :-k], z[:, k:] * v[:, :-k] + v[:, k:]
        z, v = np.hstack([z[:, :k], new_z]), np.hstack([v[:, :k], new_v])
    return z * h0[:, None] + v, x.shape[1] - 1


def scan_without_last(x, h0, W, b):
    T = x.shape[1]
    h, rounds = scan_with(x, h0, W, b, short=1 if T & (T - 1) else 0)
    return h, rounds


def scan_round_too_many(x, h0, W, b):
    T = x.shape[1]
    return mingru_scan(x, h0, W, b)[0], int(np.log2(T)) + 1


def inputs_6(rng):
    cases = []
    sizes = [(3, 5, 2, 4), (1, 1, 3, 2), (2, 8, 1, 3), (2, 2, 2, 2), (1, 301, 1, 1)]
    for batch, length, features, units in sizes:
        x = rng.normal(size=(batch, length, features))
        W, _, b = random_weights(rng, features, units, blocks=2)
        if length > 100:
            b[:units] = -3.0  # short memories: the product of all z is far below the smallest float
        cases.append((x, rng.normal(size=(batch, units)), W, b))
    return cases


scan_mistakes = [
    Mistake(
        scan_by_loop,
        "The states are right, but you went through the steps one after the other: T rounds. Each "
        "round is to act on all positions at once.",
    ),
    Mistake(
        scan_by_division,
        "You divide by the product of all z so far. In exact arithmetic that is right; after a "
        "few hundred steps with short memories the product is 0 in float64. What you divide by it "
        "becomes infinite, and 0 times infinity is nan.",
    ),
    Mistake(
        scan_by_weights,
        "You let the start fade by the product of the z, and add up what was written without "
        "fading it.",
    ),
    Mistake(
        lambda *a: scan_with(*a, combine=lambda z1, v1, z2, v2: (z2 * z1, z1 * v2 + v1)),
        "You combine two steps in the wrong order: the later one acts on what the earlier one has "
        "left, so which z multiplies which v?",
    ),
    Mistake(
        lambda *a: scan_with(*a, combine=lambda z1, v1, z2, v2: (z2 * z1, z2 * z1 * v1 + v2)),
        "You use the product z_2 z_1 on v_1, perhaps because z was updated first. v_1 was written "
        "*in* the first part: only the second has faded it.",
    ),
    Mistake(
        lambda *a: scan_with(*a, combine=lambda z1, v1, z2, v2: (z2 * z1, v1 + v2)),
        "Two parts in a row: what the first wrote is faded by the second before it is added.",
    ),
    Mistake(
        lambda *a: scan_with(*a, grow=1),
        "Your shift stays 1. After the first round each pair stands for two steps: how far back "
        "does the pair stand that joins it without a gap and without an overlap?",
    ),
    Mistake(
        scan_by_one_more,
        "Your shift grows by one. After two rounds a pair stands for four steps, not for three: "
        "the steps in the overlap are then counted twice.",
    ),
    Mistake(
        scan_without_last,
        "One round is missing where T is not a power of two: after k rounds a pair covers 2ᵏ "
        "steps, and the last one has to cover T.",
    ),
    Mistake(
        scan_round_too_many,
        "The states are right, but you counted or made a round that nothing is left for: T = 1 "
        "needs none, T = 8 three.",
    ),
    Mistake(
        lambda *a: scan_with(*a, start=0),
        "The initial state is lost. What is left of it at each step?",
    ),
    Mistake(
        lambda *a: scan_with(*a, parts=parts_flipped),
        "Your z replaces the old state. Here z = 1 keeps it.",
    ),
    Mistake(
        lambda *a: scan_with(*a, parts=parts_whole),
        "You write the candidate whole: v = (1 - z) times the candidate.",
    ),
    Mistake(
        lambda *a: scan_with(*a, parts=parts_squashed),
        "You squash the candidate. A MinGRU's has no tanh.",
    ),
    Mistake(
        lambda *a: scan_with(*a, parts=parts_exchanged),
        "Gate and candidate are exchanged: the first block is z.",
    ),
    Mistake(
        lambda x, h0, W, b: (
            np.concatenate([h0[:, None], mingru_scan(x, h0, W, b)[0]], axis=1),
            mingru_scan(x, h0, W, b)[1],
        ),
        "You put the initial state in front. Here h_1 to h_T are asked for.",
    ),
]


def scan_by_roll(x, h0, W, b):
    T = x.shape[1]
    z, v = mingru_parts(x, W, b)
    rounds, time = 0, np.arange(T)[None, :, None]
    while 2**rounds < T:
        before_z = np.where(time >= 2**rounds, np.roll(z, 2**rounds, axis=1), 1)
        before_v = np.where(time >= 2**rounds, np.roll(v, 2**rounds, axis=1), 0)
        z, v, rounds = z * before_z, z * before_v + v, rounds + 1
    return z * h0[:, None] + v, rounds


def scan_by_halves(x, h0, W, b):
    """Neighbouring blocks are joined: the last pair of the left one acts on all of the right."""
    z, v = mingru_parts(x, W, b)
    v[:, 0] += z[:, 0] * h0
    T, size, rounds = x.shape[1], 1, 0
    while size < T:
        for left in range(0, T - size, 2 * size):
            end, right = left + size - 1, slice(left + size, min(left + 2 * size, T))
            v[:, right] += z[:, right] * v[:, end, None]
            z[:, right] *= z[:, end, None]
        size, rounds = 2 * size, rounds + 1
    return v, rounds


def scan_by_unit(x, h0, W, b):
    z, v = mingru_parts(x, W, b)
    B, T, N = z.shape
    h = np.zeros((B, T, N))
    rounds = (T - 1).bit_length()
    for n in range(B):
        for k in range(N):
            p, q = np.r_[1.0, z[n, :, k]], np.r_[h0[n, k], v[n, :, k]]
            for d in 2 ** np.arange((T).bit_length()):
                q = q + p * np.r_[np.zeros(min(d, T + 1)), q[:-d]]
                p = p * np.r_[np.zeros(min(d, T + 1)), p[:-d]]
            h[n, :, k] = q[1:]
    return h, rounds


# --- 07.7 Build: one step back --------------------------------------------------------------------


def gru_backward(x, h, W, U, b, dh):
    N = h.shape[1]
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    a = x @ W + b
    z, r = sigmoid(a[:, :N] + h @ U_z), sigmoid(a[:, N : 2 * N] + h @ U_r)
    candidate = np.tanh(a[:, 2 * N :] + (r * h) @ U_h)
    d_h = dh * (1 - z) * (1 - candidate**2)
    d_seen = d_h @ U_h.T
    d_z = dh * (h - candidate) * z * (1 - z)
    d_r = d_seen * h * r * (1 - r)
    da = np.concatenate([d_z, d_r, d_h], axis=1)
    return {
        "x": da @ W.T,
        "h": dh * z + d_z @ U_z.T + d_r @ U_r.T + d_seen * r,
        "W": x.T @ da,
        "U": np.concatenate([h.T @ d_z, h.T @ d_r, (r * h).T @ d_h], axis=1),
        "b": da.sum(axis=0),
    }


def backward_with(
    x,
    h,
    W,
    U,
    b,
    dh,
    *,
    paths=(1, 1, 1, 1),
    gate_slope=lambda s: s * (1 - s),
    candidate_slope=lambda c: 1 - c**2,
    written=lambda z: 1 - z,
    difference=lambda h, new: h - new,
    seen=None,
    into_h=lambda d, r: d * r,
    into_r=lambda d, h: d * h,
    read=lambda r, h: r * h,
    order=(0, 1, 2),
):
    """`gru_backward` with one thing changed."""
    N = h.shape[1]
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    a = x @ W + b
    z, r = sigmoid(a[:, :N] + h @ U_z), sigmoid(a[:, N : 2 * N] + h @ U_r)
    candidate = np.tanh(a[:, 2 * N :] + (r * h) @ U_h)
    d_h = dh * written(z) * candidate_slope(candidate)
    d_seen = d_h @ U_h.T if seen is None else seen(d_h, U_h)
    d_z = dh * difference(h, candidate) * gate_slope(z)
    d_r = into_r(d_seen, h) * gate_slope(r)
    da = np.concatenate([(d_z, d_r, d_h)[k] for k in order], axis=1)
    terms = [dh * z, d_z @ U_z.T, d_r @ U_r.T, into_h(d_seen, r)]
    return {
        "x": da @ W.T,
        "h": sum(share * term for share, term in zip(paths, terms, strict=True)),
        "W": x.T @ da,
        "U": np.concatenate([h.T @ d_z, h.T @ d_r, read(r, h).T @ d_h], axis=1),
        "b": da.sum(axis=0),
    }


def backward_mean(x, *rest):
    grads = gru_backward(x, *rest)
    return {k: grads[k] / (1 if k in ("x", "h") else len(x)) for k in grads}


def inputs_7(rng):
    cases = []
    for batch, features, units in [(3, 2, 4), (1, 3, 2), (5, 1, 3)]:
        x, dh = rng.normal(size=(batch, features)), rng.normal(size=(batch, units))
        weights = random_weights(rng, features, units)
        cases.append((x, random_state(rng, batch, units), *weights, dh))
    return cases


backward_mistakes = [
    Mistake(
        lambda *a: backward_with(*a, paths=(0, 1, 1, 1)),
        'Everything is right but the entry "h": the straight path is missing, from h_{t-1} to '
        "h_t by the term that z keeps. It is the one that a GRU was made for.",
    ),
    Mistake(
        lambda *a: backward_with(*a, paths=(1, 0, 1, 1)),
        'In the entry "h" the path through the update gate is missing: z is computed from h_{t-1}.',
    ),
    Mistake(
        lambda *a: backward_with(*a, paths=(1, 1, 0, 1)),
        'In the entry "h" the path through the reset gate is missing: r is computed from h_{t-1}.',
    ),
    Mistake(
        lambda *a: backward_with(*a, paths=(1, 1, 1, 0)),
        'In the entry "h" the path through the candidate is missing: it reads the state that the '
        "reset gate has left.",
    ),
    Mistake(
        lambda *a: backward_with(*a, paths=(1, 0, 0, 0)),
        'In the entry "h" you have the straight path only. The gates and the candidate read '
        "h_{t-1} as well: three more terms.",
    ),
    Mistake(
        lambda *a: backward_with(*a, into_h=lambda d, r: d),
        'In the entry "h" the candidate\'s path is too strong: the candidate sees r times the '
        "state, so its derivative passes r as well.",
    ),
    Mistake(
        lambda *a: backward_with(*a, into_h=lambda d, r: d, read=lambda r, h: h),
        "You treat the three blocks alike, as `h @ U`. The candidate's matrix was multiplied by r "
        'times the state: that changes its block of "U" and its path to "h".',
    ),
    Mistake(
        lambda *a: backward_with(*a, difference=lambda h, new: h),
        "For the update gate you have the term that it keeps. z stands in (3) twice; the second "
        "time with a minus, and before the candidate.",
    ),
    Mistake(
        lambda *a: backward_with(*a, difference=lambda h, new: new - h),
        "The update gate's derivative has the wrong sign: more z is more of the old state, and "
        "less of the candidate.",
    ),
    Mistake(
        lambda *a: backward_with(*a, gate_slope=one),
        "The slopes of the sigmoids are missing. You have the derivatives with respect to the "
        "gates; W, U and b act on what goes *into* the sigmoid.",
    ),
    Mistake(
        lambda *a: backward_with(*a, candidate_slope=one),
        "The slope of the candidate's tanh is missing.",
    ),
    Mistake(
        lambda *a: backward_with(*a, candidate_slope=lambda c: c * (1 - c)),
        "You use the slope of a sigmoid for the candidate, which is a tanh.",
    ),
    Mistake(
        lambda *a: backward_with(*a, written=one),
        "The candidate's derivative lacks the share with which it is written, 1 - z.",
    ),
    Mistake(
        lambda *a: backward_with(*a, written=lambda z: z),
        "You multiply the candidate's derivative by z. That is the share that is kept; what is "
        "written is the rest.",
    ),
    Mistake(
        lambda *a: backward_with(*a, read=lambda r, h: h),
        'All is right but one block of "U": the candidate\'s matrix was multiplied by r times the '
        "state, not by the state.",
    ),
    Mistake(
        lambda *a: backward_with(*a, seen=lambda d, U: d @ U),
        "You go back through the candidate's matrix without transposing it. Backwards the sum runs "
        "over its columns.",
    ),
    Mistake(
        lambda *a: backward_with(*a, seen=lambda d, U: d),
        "Between the candidate and r times the state stands the matrix U_h. The derivative has to "
        "go back through it before it reaches r or h.",
    ),
    Mistake(
        lambda *a: backward_with(*a, into_r=lambda d, h: d),
        "The reset gate's derivative lacks the state that it multiplies.",
    ),
    Mistake(
        lambda *a: backward_with(*a, order=(1, 0, 2)),
        "The derivatives of z and r are exchanged where they are put side by side.",
    ),
    Mistake(
        backward_mean,
        "You divide the weights' parts by the batch size. `dh` already is the derivative of the "
        "whole loss; the parts are summed.",
    ),
]


def backward_by_block(x, h, W, U, b, dh):
    N = h.shape[1]
    w, u = W.reshape(-1, 3, N), U.reshape(-1, 3, N)
    z = sigmoid(x @ w[:, 0] + h @ u[:, 0] + b[:N])
    r = sigmoid(x @ w[:, 1] + h @ u[:, 1] + b[N : 2 * N])
    s = r * h
    new = np.tanh(x @ w[:, 2] + s @ u[:, 2] + b[2 * N :])
    d = np.zeros((len(x), 3, N))
    d[:, 2] = dh * (1 - z) * (1 - new) * (1 + new)
    ds = np.einsum("bn,mn->bm", d[:, 2], u[:, 2])
    d[:, 1] = ds * s * (1 - r)
    d[:, 0] = dh * (h - new) * z * (1 - z)
    seen = np.stack([h, h, s], axis=1)
    return {
        "x": np.einsum("bkn,dkn->bd", d, w),
        "h": dh * z + ds * r + np.einsum("bkn,mkn->bm", d[:, :2], u[:, :2]),
        "W": np.einsum("bd,bkn->dkn", x, d).reshape(W.shape),
        "U": np.einsum("bkm,bkn->mkn", seen, d).reshape(U.shape),
        "b": d.sum(axis=0).ravel(),
    }


def backward_by_example(x, h, W, U, b, dh):
    rows = [gru_backward(x[n : n + 1], h[n : n + 1], W, U, b, dh[n : n + 1]) for n in range(len(x))]
    grads = {k: sum(row[k] for row in rows) for k in ("W", "U", "b")}
    return {**grads, **{k: np.concatenate([row[k] for row in rows]) for k in ("x", "h")}}


def backward_complex(x, h, W, U, b, dh):
    """The derivatives by a complex step, entry by entry."""
    values = {"x": x, "h": h, "W": W, "U": U, "b": b}
    grads = {k: np.zeros_like(v) for k, v in values.items()}
    for k, v in values.items():
        for place in np.ndindex(v.shape):
            shifted = v.astype(complex)
            shifted[place] += 1e-30j
            new = step_with(**{**values, k: shifted})
            grads[k][place] = np.sum(dh * new).imag / 1e-30
    return grads


# --- 07.8 Find the bug: z the other way round (B18) -----------------------------------------------


def mingru(x, h0, W, b):
    return scan_by_loop(x, h0, W, b)[0]


def mingru_with(
    x,
    h0,
    W,
    b,
    *,
    sign_W=1,
    sign_b=1,
    mix=lambda h, z, new: z * h + (1 - z) * new,
    squash=lambda a: a,
    swap=False,
):
    """`mingru` with one thing changed."""
    W_z, W_h = np.split(W, 2, axis=1)[:: -1 if swap else 1]
    b_z, b_h = np.split(b, 2)[:: -1 if swap else 1]
    h, states = h0, []
    for t in range(x.shape[1]):
        z = sigmoid(sign_W * x[:, t] @ W_z + sign_b * b_z)
        h = mix(h, z, squash(x[:, t] @ W_h + b_h))
        states.append(h)
    return np.stack(states, axis=1)


def flipped(h, z, new):
    return (1 - z) * h + z * new


def inputs_8(rng):
    cases = []
    for batch, length, features, units in [(2, 6, 3, 4), (1, 1, 2, 2), (3, 12, 1, 2)]:
        x = rng.normal(size=(batch, length, features))
        W, _, b = random_weights(rng, features, units, blocks=2)
        cases.append((x, rng.normal(size=(batch, units)), W, b))
    return cases


mingru_mistakes = [
    Mistake(
        lambda *a: mingru_with(*a, mix=flipped),
        "This is the code as it was given. Put z = 1 into the line of `h`, and then into the third "
        "equation of the docstring.",
    ),
    Mistake(
        lambda *a: mingru_with(*a, mix=flipped, sign_b=-1),
        "You turned the bias round. For an input of zero that is enough; the gate also reads x.",
    ),
    Mistake(
        lambda *a: mingru_with(*a, mix=flipped, sign_W=-1),
        "You turned the kernel round. The gate also has a bias.",
    ),
    Mistake(
        lambda *a: mingru_with(*a, mix=lambda h, z, new: z * h + z * new),
        "One of the two shares is mended. What is kept and what is written add up to 1.",
    ),
    Mistake(
        lambda *a: mingru_with(*a, mix=lambda h, z, new: (1 - z) * h + (1 - z) * new),
        "The candidate's share is mended, the state's is not. They add up to 1.",
    ),
    Mistake(
        lambda *a: mingru_with(*a, mix=lambda h, z, new: h + (1 - z) * new),
        "The old state is kept whole. That sums everything up; which share did the equation keep?",
    ),
    Mistake(
        lambda *a: mingru_with(*a, swap=True),
        "You exchanged the two blocks: the gate's columns are the first N.",
    ),
    Mistake(
        lambda *a: mingru_with(*a, squash=np.tanh),
        "The gate is mended. The candidate's tanh is your own: the equations have none.",
    ),
    Mistake(
        lambda x, h0, W, b: mingru(x, 0 * h0, W, b),
        "You start from zero. The initial state is given.",
    ),
]

# --- 07.9 Find the bug: a GRU without its reset gate (B06) ----------------------------------------


def reset_after(x, h, W, U, b):
    z_x, r_x, h_x = np.split(x @ W + b[0], 3, axis=1)
    z_h, r_h, h_h = np.split(h @ U + b[1], 3, axis=1)
    z, r = sigmoid(z_x + z_h), sigmoid(r_x + r_h)
    return z * h + (1 - z) * np.tanh(h_x + r * h_h)


def after_with(
    x,
    h,
    W,
    U,
    b,
    *,
    order=(0, 1, 2),
    into=lambda x, q, c, r, z: x + r * (q + c),
    mix=lambda h, z, new: z * h + (1 - z) * new,
    second=1,
    r_from=None,
):
    """`reset_after` with one thing changed; c is the candidate's second bias."""
    a, u = np.split(x @ W + b[0], 3, axis=1), np.split(h @ U, 3, axis=1)
    c = np.split(b[1], 3)
    Z, R, H = order
    z = sigmoid(a[Z] + u[Z] + second * c[Z])
    r = sigmoid(a[R] + u[R] + second * c[R]) if r_from is None else r_from(a[R], u[R])
    return mix(h, z, np.tanh(into(a[H], u[H], c[H], r, z)))


def after_moved_before(x, h, W, U, b):
    N = h.shape[1]
    z, r = np.split(sigmoid(x @ W + b.sum(axis=0) + h @ U)[:, : 2 * N], 2, axis=1)
    a_h = x @ W[:, 2 * N :] + b[0, 2 * N :] + (r * h) @ U[:, 2 * N :] + b[1, 2 * N :]
    return z * h + (1 - z) * np.tanh(a_h)


def inputs_9(rng):
    cases = []
    for batch, features, units in [(3, 2, 4), (1, 3, 2), (4, 1, 3)]:
        W, U, b = random_weights(rng, features, units)
        b = np.stack([b, 0.7 * rng.normal(size=3 * units)])
        cases.append((rng.normal(size=(batch, features)), random_state(rng, batch, units), W, U, b))
    return cases


reset_mistakes = [
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: x + (1 - z) * (q + c)),
        "This is the code as it was given. It splits off three blocks twice, and throws one "
        "away both times.",
    ),
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: x + (1 - r) * (q + c)),
        "The gate is computed now, and you use 1 - r. r = 1 lets the state through.",
    ),
    Mistake(
        after_moved_before,
        "You have a GRU with the reset *before* the product. It is sound, but another function: "
        "(6) resets the product and its bias.",
    ),
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: x + r * q + c),
        "The second bias of the candidate stands outside the reset. In (6) it is inside, which is "
        "the reason why it cannot be merged with the first.",
    ),
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: r * (x + q + c)),
        "Your reset gate also damps the input. It multiplies what comes from the state only.",
    ),
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: x + r * (1 - z) * (q + c)),
        "The reset gate is there, and 1 - z has stayed beside it.",
    ),
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: x + q + c),
        "You took 1 - z out and put nothing in: the candidate sees all of the state.",
    ),
    Mistake(
        lambda *a: after_with(*a, into=lambda x, q, c, r, z: x + z * (q + c)),
        "You replaced 1 - z by z. That is still the update gate; a second gate is wanted.",
    ),
    Mistake(
        lambda *a: after_with(*a, r_from=lambda x, h: sigmoid(x)),
        "Your reset gate reads the input only. It reads the state, too.",
    ),
    Mistake(
        lambda *a: after_with(*a, order=(1, 0, 2)),
        "Update and reset gate are exchanged: the first block is z.",
    ),
    Mistake(
        lambda *a: after_with(*a, mix=lambda h, z, new: (1 - z) * h + z * new),
        "The reset gate is right. The update gate was right before, too: z = 1 keeps.",
    ),
]

# --- 07.10 Find the bug: a GRU with a cell state (B07) --------------------------------------------


def gru_run(x, h0, W, U, b):
    return gru_forward(x, np.ones(x.shape[:2], bool), h0, W, U, b)[:, 1:]


def run_given(x, h0, W, U, b, *, start=0.0, show=np.tanh):
    N, h, c, states = h0.shape[1], h0, start * h0, []
    for t in range(x.shape[1]):
        a = x[:, t] @ W + b
        z, r = np.split(sigmoid(a[:, : 2 * N] + h @ U[:, : 2 * N]), 2, axis=1)
        c = z * c + (1 - z) * np.tanh(a[:, 2 * N :] + (r * h) @ U[:, 2 * N :])
        h = show(c)
        states.append(h)
    return np.stack(states, axis=1)


def run_with(x, h0, W, U, b, *, show=lambda h: h, **options):
    """The run of a step with one thing changed; `show` acts on what is returned."""
    h, states = h0, []
    for t in range(x.shape[1]):
        h = step_with(x[:, t], h, W, U, b, **options)
        states.append(show(h))
    return np.stack(states, axis=1)


def run_frozen(x, h0, W, U, b):
    """The cell state is never renewed."""
    mix = lambda h, r, z, new: z * h0 + (1 - z) * new  # noqa: E731
    return run_with(x, h0, W, U, b, mix=mix)


def inputs_10(rng):
    cases = []
    for batch, length, features, units in [(2, 6, 3, 4), (1, 2, 2, 2), (3, 9, 1, 3)]:
        x = rng.normal(size=(batch, length, features))
        h0 = random_state(rng, batch, units)
        cases.append((x, h0, *random_weights(rng, features, units)))
    return cases


run_mistakes = [
    Mistake(
        run_given,
        "This is the code as it was given. Which variable does equation (3) not know?",
    ),
    Mistake(
        lambda *a: run_given(*a, start=1.0),
        "The memory starts from h_0 now, and there are still two states. Cut this run in two and "
        "hand h over: the second half starts with a squashed memory.",
    ),
    Mistake(
        lambda *a: run_given(*a, show=lambda c: c),
        "What is shown is what is kept: good. But the first step mixes with zeros, not with the "
        "h_0 that you were given.",
    ),
    Mistake(
        lambda *a: run_with(*a, mix=lambda h, r, z, new: np.tanh(z * h + (1 - z) * new)),
        "There is one state now, and it is squashed at every step. With z = 1 it should stay as it "
        "is.",
    ),
    Mistake(
        lambda *a: run_with(*a, show=np.tanh),
        "There is one memory now, and what you return is its tanh. A GRU shows its state as it is.",
    ),
    Mistake(
        lambda *a: run_with(
            *a, squash=lambda a: a, mix=lambda h, r, z, new: np.tanh(z * h + (1 - z) * new)
        ),
        "You moved the tanh from the candidate to the mixture. The candidate is what is squashed.",
    ),
    Mistake(
        run_frozen,
        "You always mix with h_0. What is kept at a step is the state of the step before.",
    ),
    Mistake(
        lambda x, h0, *rest: gru_run(x, 0 * h0, *rest),
        "You start from zeros. The initial state is given.",
    ),
    Mistake(
        lambda *a: gru_run(*a)[:, -1],
        "You return the last state only. All of them are asked for.",
    ),
]

# --- 07.11 Find the bug: two cells on one state (B09) ---------------------------------------------


def lstm_step(x, h, c, W, U, b):
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def two_layers(x, lstm, gru):
    h = c = s = np.zeros((len(x), len(lstm[1])))
    lower, upper = [], []
    for t in range(x.shape[1]):
        h, c = lstm_step(x[:, t], h, c, *lstm)
        s = gru_step(h, s, *gru)
        lower.append(h)
        upper.append(s)
    return np.stack(lower, axis=1), np.stack(upper, axis=1)


def layers_with(
    x,
    lstm,
    gru,
    *,
    lstm_reads=lambda h, s: h,
    gru_state=lambda h, s: s,
    gru_input=lambda old, h, c: h,
    carry=1,
):
    """`two_layers` with something else for the LSTM's state, the GRU's state or its input."""
    h = c = s = np.zeros((len(x), len(lstm[1])))
    lower, upper = [], []
    for t in range(x.shape[1]):
        old = h
        h, c = lstm_step(x[:, t], lstm_reads(h, s), carry * c, *lstm)
        s = gru_step(gru_input(old, h, c), gru_state(h, s), *gru)
        lower.append(h)
        upper.append(s)
    return np.stack(lower, axis=1), np.stack(upper, axis=1)


def layers_exchanged(x, lstm, gru):
    h = c = s = np.zeros((len(x), len(lstm[1])))
    lower, upper = [], []
    for t in range(x.shape[1]):
        h, c = lstm_step(x[:, t], h, c, *lstm)
        s = gru_step(s, h, *gru)
        lower.append(h)
        upper.append(s)
    return np.stack(lower, axis=1), np.stack(upper, axis=1)


def inputs_11(rng):
    cases = []
    for batch, length, features, units in [(2, 5, 3, 4), (1, 2, 2, 2), (3, 8, 1, 3)]:
        x = rng.normal(size=(batch, length, features))
        lstm, gru = random_weights(rng, features, units, 4), random_weights(rng, units, units)
        cases.append((x, lstm, gru))
    return cases


layers_mistakes = [
    Mistake(
        lambda *a: layers_with(*a, lstm_reads=lambda h, s: s, gru_state=lambda h, s: h),
        "This is the code as it was given. How many arrays does it carry from step to step, and "
        "how many should it?",
    ),
    Mistake(
        lambda *a: layers_with(*a, lstm_reads=lambda h, s: s),
        "The GRU has a state of its own now. The LSTM still reads it in the place of its own h.",
    ),
    Mistake(
        lambda *a: layers_with(*a, gru_state=lambda h, s: h),
        "The LSTM is itself again. The GRU still takes the LSTM's new output for its old state: "
        "what can it remember from the step before?",
    ),
    Mistake(
        lambda *a: layers_with(*a, gru_input=lambda old, h, c: old),
        "The two states are apart. The GRU reads the LSTM's output of the step *before*: one step "
        "late.",
    ),
    Mistake(
        lambda *a: layers_with(*a, gru_input=lambda old, h, c: c),
        "The two states are apart. The GRU reads the cell state; what an LSTM shows to others is "
        "h.",
    ),
    Mistake(
        layers_exchanged,
        "You handed the GRU its two first arguments the wrong way round: its input is h, its state "
        "s.",
    ),
    Mistake(
        lambda *a: layers_with(*a, carry=0),
        "The LSTM's cell state starts from zero at every step. It is carried on, too.",
    ),
    Mistake(
        lambda *a: two_layers(*a)[::-1],
        "Both are right, in the wrong order: the LSTM's states first.",
    ),
    Mistake(
        lambda *a: two_layers(*a)[1],
        "You return the upper states only. Those of the LSTM are asked for as well.",
    ),
    Mistake(
        lambda *a: tuple(states[:, -1] for states in two_layers(*a)),
        "You return the last states only. All of them are asked for.",
    ),
]


def layers_one_by_one(x, lstm, gru):
    zeros = np.zeros((len(x), len(lstm[1])))
    states = [(zeros, zeros)]
    for t in range(x.shape[1]):
        states.append(lstm_step(x[:, t], *states[-1], *lstm))
    h = np.array([h for h, _ in states[1:]]).swapaxes(0, 1)
    return h, gru_run(h, zeros, *gru)


# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "07.1",
        equal_size,
        inputs_1,
        size_mistakes,
        [
            "Count the blocks first, then what one block holds: an input kernel, perhaps a "
            "recurrent kernel, one or two biases.",
            "With a function for the size, the width is a search: raise the number of units as "
            "long as the next one still fits.",
        ],
        points=2,
    ),
    Exercise(
        "07.2",
        state_after,
        inputs_2,
        z_mistakes,
        [
            "First turn z into the share that is kept, for the paper that is asked for.",
            "How far is the state from the candidate before a step, and how far after it?",
        ],
    ),
    Exercise(
        "07.3",
        from_pytorch,
        inputs_3,
        move_mistakes,
        [
            "Do the order first, for all four arrays alike, then the sign.",
            "sigmoid(-a) = 1 - sigmoid(a). a_z is a sum of four terms, one from each array.",
        ],
        points=2,
    ),
    Exercise(
        "07.4",
        gru_step,
        inputs_4,
        step_mistakes,
        [
            "x @ W + b gives the input's part of all three blocks. The state's part is different "
            "for the gates and for the candidate.",
            "Slice `U`: 2 N columns for the gates, which see h; N for the candidate, which sees "
            "less.",
        ],
        points=2,
    ),
    Exercise(
        "07.5",
        gru_forward,
        inputs_5,
        forward_mistakes,
        [
            "Compute the step for all sequences, then choose, sequence by sequence, between the "
            "new state and the old one.",
            "`mask[:, t, None]` has the shape (B, 1) and stretches over the units.",
        ],
        points=2,
    ),
    Exercise(
        "07.6",
        mingru_scan,
        inputs_6,
        scan_mistakes,
        [
            "Forget h_0 at first. After the first round position t holds steps t - 1 and t, after "
            "the second steps t - 3 to t.",
            "In a round the positions from `shift` on are combined with those `shift` before them: "
            "`z[:, shift:]` and `z[:, :-shift]`. The first `shift` positions are finished.",
            "Compute the new z and the new v both from the old ones. At the end a pair says what "
            "becomes of h_0.",
        ],
        points=3,
    ),
    Exercise(
        "07.7",
        gru_backward,
        inputs_7,
        backward_mistakes,
        [
            "Go through the forward lines from the last to the first. For each quantity ask: into "
            "which later lines does it go? Its derivative is the sum over these.",
            "Give r times h a name. Its derivative comes back through U_h, and goes on to r and to "
            "h.",
            "h_{t-1} goes into four places: the mixture, the two gates, and r times h.",
        ],
        points=4,
    ),
    Exercise(
        "07.8",
        mingru,
        inputs_8,
        mingru_mistakes,
        [
            "Compare the docstring with the code, symbol by symbol.",
            "Only one line disagrees. With z = 1 it should leave the state alone.",
        ],
        points=1,
    ),
    Exercise(
        "07.9",
        reset_after,
        inputs_9,
        reset_mistakes,
        [
            "Name the gates that the equations have, and those that the code has.",
            "The reset gate is computed like the update gate, from the block in the middle, "
            "which the code splits off and drops.",
        ],
        points=2,
    ),
    Exercise(
        "07.10",
        gru_run,
        inputs_10,
        run_mistakes,
        [
            "How many numbers must a GRU hand over to go on later as if nothing had happened?",
            "What is mixed, what is read by the gates and what is returned are one and the same.",
        ],
        points=2,
    ),
    Exercise(
        "07.11",
        two_layers,
        inputs_11,
        layers_mistakes,
        [
            "Draw the two cells, one above the other, for two steps. Which arrows go from step to "
            "step?",
            "Three arrays are carried on: two of the LSTM, one of the GRU. Give each a name.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "07.1": [lambda cell, D, N: list(equal_size(cell, D, N))],
    "07.2": [
        lambda paper, z, h, candidate, k: (
            h
            if k == 0
            else kept(paper, z) * state_after(paper, z, h, candidate, k - 1)
            + (1 - kept(paper, z)) * candidate
        ),
    ],
    "07.3": [pytorch_by_index, pytorch_by_matrix, moved],
    "07.4": [step_by_block, step_one_matrix, step_by_example],
    "07.5": [forward_by_gate, forward_by_example, forward_in_place],
    "07.6": [scan_by_roll, scan_by_halves, scan_by_unit],
    "07.7": [backward_by_block, backward_by_example, backward_complex],
    "07.8": [lambda *a: mingru_with(*a, mix=flipped, sign_W=-1, sign_b=-1)],
    "07.9": [after_with],
    "07.10": [run_with, lambda *a: np.stack([gru_run(*a)[:, t] for t in range(a[0].shape[1])], 1)],
    "07.11": [layers_with, layers_one_by_one],
}
