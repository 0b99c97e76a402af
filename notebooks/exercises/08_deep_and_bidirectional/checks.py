"""Exercises of lesson 08: right solutions, and the mistakes that people make.

Shapes: x (B, T, D), mask (B, T), states (B, T, N); the weights of a layer are a tuple W_x (D, N),
W_h (N, N), b (N,).
"""

import itertools

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def step(x, h, W_x, W_h, b):
    return np.tanh(x @ W_x + h @ W_h + b)


def read(x, W_x, W_h, b, mask=None):
    h, states = np.zeros((len(x), len(W_h))), []
    for t in range(x.shape[1]):
        new = step(x[:, t], h, W_x, W_h, b)
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        states.append(h)
    return np.stack(states, axis=1)


def random_layer(rng, features, units):
    W_x = rng.normal(size=(features, units)) / np.sqrt(features)
    return W_x, rng.normal(size=(units, units)) / np.sqrt(units), 0.5 * rng.normal(size=units)


def join(ahead, back):
    return np.concatenate([ahead, back], axis=-1)


# --- 08.1 Predict: how many weights ---------------------------------------------------------------


def count(D, N, layers, merge):
    return count_with(D, N, layers, merge)


def count_with(D, N, layers, merge, *, both=2, upper=None, blocks=3, biases=2):
    """`upper`: function of N and merge, the number of inputs of a layer above."""
    directions = both if merge else 1
    above = upper(N, merge) if upper else 2 * N if merge == "concat" else N
    total = 0
    for layer in range(layers):
        read = above if layer else D
        total += directions * blocks * N * (read + N + biases)
    return total


def inputs_1(rng):
    D, N = (int(n) for n in rng.integers([2, 10], [9, 60]))
    cases = [(D, N, 1, None), (D, N, 1, "concat"), (D, N, 3, None), (D, N, 3, "concat")]
    return [*cases, (D, N, 3, "sum"), (1, 16, 1, "concat"), (1, 1, 2, "mul")]


count_mistakes = [
    Mistake(
        lambda D, N, layers, merge: count_with(D, N, layers, merge, both=1),
        "Your bidirectional layers have as many weights as a single direction. The backward copy "
        "has weights of its own.",
    ),
    Mistake(
        lambda D, N, layers, merge: count_with(D, N, layers, merge, upper=lambda N, m: N),
        'Above a layer merged by "concat" you let each layer read N numbers. How wide is the '
        "output that it gets?",
    ),
    Mistake(
        lambda D, N, layers, merge: count_with(
            D, N, layers, merge, upper=lambda N, m: 2 * N if m else N
        ),
        "You let the upper layers read 2 N numbers after every merge. Not every merge mode makes "
        "the output wider.",
    ),
    Mistake(
        lambda D, N, layers, merge: count_with(D, N, layers, merge, upper=lambda N, m: D),
        "You count every layer as if it read x. The second one reads the states of the first.",
    ),
    Mistake(
        lambda D, N, layers, merge: count_with(D, N, layers, merge, biases=1),
        "You count one bias for each block. Keras' GRU keeps two: look at the formula above the "
        "table again.",
    ),
    Mistake(
        lambda D, N, layers, merge: count_with(D, N, layers, merge, blocks=4),
        "You count four blocks, as in an LSTM. The GRU has two gates and a candidate.",
    ),
    Mistake(
        lambda D, N, layers, merge: (
            3 * 2 * N * (D + 2 * N + 2) * layers if merge else count(D, N, layers, merge)
        ),
        "You count a bidirectional layer as one layer of 2 N units. The two directions do not "
        "read each other, so there is no matrix of 2 N by 2 N.",
    ),
]

# --- 08.2 Predict: the ceiling --------------------------------------------------------------------


def ceiling(rule, p, offset, delay):
    return ceiling_with(rule, p, offset, delay)


def sure(p):
    return max(p, 1 - p)


def ceiling_with(rule, p, offset, delay, *, late=0, blind=None, guess=sure):
    """`blind`: function of rule and p, what is reached where the second bit is not seen."""
    if offset <= delay - late:
        return 1.0
    if blind:
        return blind(rule, p)
    known = {"copy": 0.0, "xor": 0.0, "and": 1 - p, "or": p}[rule]  # where the past decides
    return known + (1 - known) * guess(p)


def base_rate(rule, p):
    ones = {"copy": p, "xor": 2 * p * (1 - p), "and": p * p, "or": 1 - (1 - p) ** 2}[rule]
    return max(ones, 1 - ones)


def inputs_2(rng):
    p, q = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.6, 0.85))
    rules = ("copy", "xor", "and", "or")
    cases = [(rule, chance, 3, 0) for rule in rules for chance in (p, q, 0.5)]
    return [*cases, ("xor", p, 3, 2), ("and", q, 3, 3), ("or", p, 1, 5), ("xor", q, 0, 0)]


ceiling_mistakes = [
    Mistake(
        lambda *a: ceiling_with(*a, blind=lambda rule, p: 0.5),
        "You toss a fair coin wherever the future bit is out of sight. You know how likely it is "
        "to be 1, and sometimes the past bit has decided already.",
    ),
    Mistake(
        lambda *a: ceiling_with(*a, blind=lambda rule, p: sure(p)),
        'You treat every rule as if the past bit told nothing. For "and", what is the tag if the '
        "past bit is 0?",
    ),
    Mistake(
        lambda *a: ceiling_with(*a, blind=base_rate),
        "That is what the constant answer reaches, the more frequent tag always. The network sees "
        "the past bit: first say what it should answer to a 0 and to a 1.",
    ),
    Mistake(
        lambda *a: ceiling_with(*a, guess=lambda p: p * p + (1 - p) ** 2),
        "You guess the hidden bit in proportion: 1 with probability p. The best guess is the more "
        "likely value, every time.",
    ),
    Mistake(
        lambda *a: ceiling_with(*a, guess=lambda p: p),
        "You always guess that the hidden bit is 1. What if p is below one half?",
    ),
    Mistake(
        lambda rule, p, offset, delay: ceiling(rule, p, offset, 0),
        "You ignore the delay. A network that answers later has read more before it answers.",
    ),
    Mistake(
        lambda *a: ceiling_with(*a, late=1),
        "You are one step short: a network that answers `delay` steps late has read the input of "
        "step t + delay, too.",
    ),
    Mistake(
        lambda *a: ceiling_with(*a, blind=lambda rule, p: 1 - p if rule == "and" else p),
        "You count only the cases in which the past bit decides. In the others one can still "
        "guess, and guess well.",
    ),
]

# --- 08.3 Modify: merge modes ---------------------------------------------------------------------


def merge(ahead, back, mode, sequence):
    return merge_with(ahead, back, mode, sequence)


def merge_with(
    ahead, back, mode, sequence, *, last=0, average=2, axis=-1, product=None, swap=False
):
    if not sequence:
        ahead, back = ahead[:, -1], back[:, last]
    if swap:
        ahead, back = back, ahead
    if mode is None:
        return ahead, back
    if mode == "concat":
        return np.concatenate([ahead, back], axis=axis)
    if mode == "mul":
        return product(ahead, back) if product else ahead * back
    return (ahead + back) / (average if mode == "ave" else 1)


def merge_blind(ahead, back, mode, sequence):
    return merge_with(ahead, back, mode or "concat", sequence)


def merge_ends(ahead, back, mode, sequence):
    merged = merge_with(ahead, back, mode, True)
    if sequence:
        return merged
    return tuple(part[:, 0] for part in merged) if mode is None else merged[:, 0]


def inputs_3(rng):
    cases = []
    for batch, length, units in ((2, 4, 3), (1, 1, 2)):
        for mode in ("concat", "sum", "ave", "mul", None):
            for sequence in (True, False):
                pair = np.tanh(rng.normal(size=(2, batch, length, units)))
                cases.append((*pair, mode, sequence))
    return cases


merge_mistakes = [
    Mistake(
        lambda *a: merge_with(*a, last=-1),
        "You take the last position of both. There the backward layer has read x_T only. At which "
        "position is its last state?",
    ),
    Mistake(
        merge_ends,
        "You take the first position of both. That is right for the backward layer; what has the "
        "forward one read by then?",
    ),
    Mistake(
        lambda ahead, back, mode, sequence: merge(ahead, back[:, ::-1], mode, sequence),
        "You flip `back` once more. It already comes in the order of the positions.",
    ),
    Mistake(
        lambda *a: merge_with(*a, average=1),
        'Your "ave" is a sum. The average of two is half of it.',
    ),
    Mistake(
        lambda *a: merge_with(*a, swap=True),
        "You put the backward half in front. Keras, and the rest of this lesson, begin with the "
        "forward half.",
    ),
    Mistake(
        lambda *a: merge_with(*a, axis=1),
        "You concatenate along axis 1, which is time in a sequence. The halves belong side by "
        "side, at the same position: the last axis.",
    ),
    Mistake(
        merge_blind,
        "With the mode None nothing is merged: the two outputs are returned as a pair.",
    ),
    Mistake(
        lambda ahead, back, mode, sequence: merge(ahead, back, mode, True),
        "You ignore `sequence`. If it is False, one vector for each sequence is wanted.",
    ),
]

# --- 08.4 Build: both directions of a padded batch ------------------------------------------------


def both_directions(x, mask, forward, backward):
    return both_with(x, mask, forward, backward)


def both_with(
    x, mask, forward, backward, *, ahead=None, back=None, flip_mask=True, unflip=True, zeros=True
):
    """`ahead`, `back`: other masks for the two directions, by position."""
    ahead, back = (mask if other is None else other for other in (ahead, back))
    first = read(x, *forward, mask=ahead)
    second = read(x[:, ::-1], *backward, mask=back[:, ::-1] if flip_mask else back)
    merged = join(first, second[:, ::-1] if unflip else second)
    return merged * mask[:, :, None] if zeros else merged


def both_by_index(x, mask, forward, backward):
    B, T, N = *mask.shape, len(forward[2])
    out = np.zeros((B, T, 2 * N))
    for half, weights, order in ((0, forward, range(T)), (1, backward, range(T - 1, -1, -1))):
        h = np.zeros((B, N))
        for t in order:
            real = mask[:, t]
            h[real] = step(x[real, t], h[real], *weights)
            out[real, t, half * N : half * N + N] = h[real]
    return out


def both_by_example(x, mask, forward, backward):
    rows = []
    for one, length in zip(x, mask.sum(axis=1), strict=True):
        N = len(forward[2])
        row = np.zeros((len(one), 2 * N))
        if length:
            real = one[None, :length]
            row[:length, :N] = read(real, *forward)[0]
            row[:length, N:] = read(real[:, ::-1], *backward)[0, ::-1]
        rows.append(row)
    return np.array(rows)


def both_by_arithmetic(x, mask, forward, backward):
    T, real = x.shape[1], mask[:, :, None].astype(float)
    h = g = np.zeros((len(x), len(forward[2])))
    ahead, back = [None] * T, [None] * T
    for s in range(T):  # a state of zero at the padded end is all that is needed
        t = T - 1 - s
        h = real[:, s] * np.tanh(x[:, s] @ forward[0] + h @ forward[1] + forward[2])
        g = real[:, t] * np.tanh(x[:, t] @ backward[0] + g @ backward[1] + backward[2])
        ahead[s], back[t] = h, g
    return np.concatenate([np.stack(ahead, 1), np.stack(back, 1)], axis=2)


def both_shifted(x, mask, forward, backward):
    """Real parts reversed one by one; then everything flipped, padding included."""
    reversed_, ordered = np.zeros_like(x), read(x, *forward, mask=mask)
    for k, length in enumerate(mask.sum(axis=1)):
        reversed_[k, :length] = x[k, :length][::-1]
    back = read(reversed_, *backward, mask=mask)
    return join(ordered, back[:, ::-1]) * mask[:, :, None]


def both_on_zeros(x, mask, forward, backward):
    everywhere = np.ones_like(mask)
    return both_with(
        x * mask[:, :, None], mask, forward, backward, ahead=everywhere, back=everywhere
    )


def both_stops_early(x, mask, forward, backward):
    """A backward loop `range(T - 1, 0, -1)`."""
    out = both_directions(x, mask, forward, backward)
    out[:, 0, len(forward[2]) :] = 0
    return out


def inputs_4(rng):
    cases = []
    for batch, length, features, units, real in (
        (4, 5, 2, 3, (5, 3, 1, 0)),
        (2, 7, 3, 2, (4, 6)),
        (1, 1, 1, 4, (1,)),
        (2, 3, 1, 2, (3, 3)),
    ):
        mask = np.arange(length) < np.array(real)[:, None]
        x = rng.normal(size=(batch, length, features))  # padding is not zero here
        layers = random_layer(rng, features, units), random_layer(rng, features, units)
        cases.append((x, mask, *layers))
    return cases


both_mistakes = [
    Mistake(
        lambda x, mask, *w: both_with(
            x, mask, *w, ahead=np.ones_like(mask), back=np.ones_like(mask), zeros=False
        ),
        "You do not use the mask. The backward layer starts in the padding and carries what it "
        "found there into the sequence.",
    ),
    Mistake(
        lambda x, mask, *w: both_with(x, mask, *w, back=np.ones_like(mask)),
        "The outputs in the padding are zero, but the backward layer has read the padding on its "
        "way: its states at the real steps still know of it.",
    ),
    Mistake(
        both_on_zeros,
        "You set the padding of x to zero and let the backward layer read it. A layer with a bias "
        "moves on zeros, too: it has to skip those steps.",
    ),
    Mistake(
        lambda *a: both_with(*a, zeros=False),
        "The states are right. At the padded steps your forward half repeats its last state; the "
        "outputs there are to be zero.",
    ),
    Mistake(
        lambda *a: both_with(*a, flip_mask=False),
        "You flip the sequence and not its mask. Behind the flip the padding stands in front, and "
        "your mask still says that it is behind.",
    ),
    Mistake(
        lambda *a: both_with(*a, flip_mask=False, zeros=False),
        "Two things: the mask is not flipped together with the sequence, and the outputs in the "
        "padding are not zero. Begin with the first.",
    ),
    Mistake(
        lambda *a: both_with(*a, unflip=False),
        "The backward half is in the order in which it was made. Position t of the output has to "
        "belong to position t of the input.",
    ),
    Mistake(
        lambda *a: both_with(*a, unflip=False, zeros=False),
        "The backward half is in the order in which it was made, so that position t of the output "
        "does not belong to position t of the input. And the padding is not zero yet.",
    ),
    Mistake(
        both_stops_early,
        "Your backward loop ends one step early: the first position has no backward state. "
        "`range` leaves its end out.",
    ),
    Mistake(
        both_shifted,
        "You reverse the real part of each sequence and then flip the whole row back, padding "
        "included. In short sequences the backward half is shifted.",
    ),
    Mistake(
        lambda x, mask, forward, backward: both_directions(x, mask, forward, forward),
        "Both directions use the forward weights. `backward` is not used at all.",
    ),
    Mistake(
        lambda *a: np.roll(both_directions(*a), len(a[2][2]), axis=-1),
        "The two halves are exchanged: the forward half stands in front.",
    ),
]

# --- 08.5 Build: a residual stack -----------------------------------------------------------------


def read_stack(x, layers, residual):
    stream = read(x, *layers[0])
    for weights in layers[1:]:
        states = read(stream, *weights)
        stream = stream + states if residual else states
    return stream


def stack_stepwise(x, layers, residual):
    """All layers take step t before any takes step t + 1."""
    states = [np.zeros((len(x), len(layer[2]))) for layer in layers]
    tops = []
    for t in range(x.shape[1]):
        stream = x[:, t]
        for k, weights in enumerate(layers):
            states[k] = step(stream, states[k], *weights)
            stream = stream + states[k] if residual and k > 0 else states[k]
        tops.append(stream)
    return np.stack(tops, axis=1)


def stack_recursive(x, layers, residual):
    if len(layers) == 1:
        return read(x, *layers[0])
    below = stack_recursive(x, layers[:-1], residual)
    return read(below, *layers[-1]) + (below if residual else 0)


def stack_by_sum(x, layers, residual):
    outputs, fed = [], x
    for weights in layers:
        outputs.append(read(fed, *weights))
        fed = np.sum(outputs, axis=0) if residual else outputs[-1]
    return fed


def stack_with(x, layers, residual, *, feed="stream", top="stream", scale=1.0, first=False):
    """What a layer is fed, what the readout gets, and whether the first layer adds x as well."""
    stream = states = read(x, *layers[0])
    if first and residual and x.shape == states.shape:
        stream = states + x
    for weights in layers[1:]:
        fed = {"stream": stream, "states": states, "bottom": read(x, *layers[0])}[feed]
        states = read(fed if residual else states, *weights)
        stream = scale * (stream + states) if residual else states
    return stream if top == "stream" else states


def stack_over_time(x, layers, residual):
    """The sum is carried on in time as well."""
    stream = read(x, *layers[0])
    for weights in layers[1:]:
        h, sums = np.zeros((len(x), len(weights[2]))), []
        for t in range(x.shape[1]):
            h = step(stream[:, t], h, *weights) + (stream[:, t] if residual else 0)
            sums.append(h)
        stream = np.stack(sums, axis=1)
    return stream


def stack_only_below(x, layers, residual):
    """Each layer adds the states of the layer below it, not the stream."""
    below = out = read(x, *layers[0])
    for weights in layers[1:]:
        states = read(out, *weights)
        below, out = states, states + below if residual else states
    return out


def inputs_5(rng):
    cases = []
    for batch, length, features, units, depth in (
        (2, 4, 3, 5, 3),
        (3, 6, 4, 4, 4),
        (1, 1, 2, 3, 1),
    ):
        sizes = [features] + [units] * depth
        layers = [random_layer(rng, *pair) for pair in itertools.pairwise(sizes)]
        x = rng.normal(size=(batch, length, features))
        cases += [(x, layers, True), (x, layers, False)]
    return cases


stack_mistakes = [
    Mistake(
        lambda x, layers, residual: read_stack(x, layers, False),
        "You ignore `residual`: this is the plain stack in both cases.",
    ),
    Mistake(
        lambda x, layers, residual: read_stack(x, layers, True),
        "You ignore `residual`: you add in the plain stack as well.",
    ),
    Mistake(
        lambda *a: stack_with(*a, top="states"),
        "Your layers read the stream, but you return the states of the top layer. The readout sees "
        "the stream, with the top layer's states added.",
    ),
    Mistake(
        lambda *a: stack_with(*a, feed="states"),
        "You add all layers up at the end, but each layer reads only the states of the one below. "
        "In (2) it reads the stream.",
    ),
    Mistake(
        lambda *a: stack_with(*a, first=True),
        "You add x to the states of the first layer where the shapes allow it. The residual "
        "connections begin with the second layer.",
    ),
    Mistake(
        stack_over_time,
        "You add the stream inside the loop over time, so that the sum becomes the state of the "
        "next step. The recurrence inside a layer stays as it was.",
    ),
    Mistake(
        stack_only_below,
        "Each layer adds the states of the layer below, and what came from further down is lost. "
        "What is handed on is the whole stream.",
    ),
    Mistake(
        lambda *a: stack_with(*a, scale=0.5),
        "You average the stream and the new states. The connection is a plain sum.",
    ),
    Mistake(
        lambda *a: stack_with(*a, feed="bottom"),
        "All the upper layers read the first layer's states. Each reads the stream as it is when "
        "it arrives at that layer.",
    ),
]

# --- 08.6 Modify: equal weights -------------------------------------------------------------------


def width(budget, D, classes, layers, merge):
    return width_with(budget, D, classes, layers, merge)


def closest(sizes, budget):
    return int(np.argmin(np.abs(sizes - budget))) + 1


def width_with(
    budget, D, classes, layers, merge, *, pick=closest, readout=None, per_layer=False, **options
):
    """`pick`: from the sizes of N = 1, 2, ... to N; `readout`: function of N and merge."""
    N = np.arange(1, 300)
    if readout:
        top = readout(N, merge)
    else:
        top = classes * ((2 * N if merge == "concat" else N) + 1)
    if per_layer:
        return pick(count_with(D, N, 1, merge, **options) + top, budget / layers)
    return pick(count_with(D, N, layers, merge, **options) + top, budget)


def larger_of_two(sizes, budget):
    return len(sizes) - int(np.argmin(np.abs(sizes - budget)[::-1]))


def rounded_root(sizes, budget):
    a, b, c = np.polyfit([1, 2, 3], sizes[:3], 2)
    return max(round((np.sqrt(b * b - 4 * a * (c - budget)) - b) / (2 * a)), 1)


def width_by_search(budget, D, classes, layers, merge):
    def distance(N):
        top = classes * (1 + (2 * N if merge == "concat" else N))
        return abs(count(D, N, layers, merge) + top - budget), N

    return min(distance(N) for N in range(1, 200))[1]


def inputs_6(rng):
    cases = [(8000, 2, 10, layers, None) for layers in (1, 2, 3, 4)] + [(5, 3, 2, 2, "sum")]
    cases += [(92, 3, 10, 1, None), (84, 2, 10, 1, None)]  # a tie; a root of 2.507
    for merge in (None, "concat", "sum", "concat") * 4:
        D, classes, layers = (int(n) for n in rng.integers([1, 10, 1], [30, 100, 5]))
        cases.append((int(rng.integers(2000, 30_000)), D, classes, layers, merge))
    return cases


width_mistakes = [
    Mistake(
        lambda *a: width_with(*a, pick=lambda sizes, budget: max(int(np.sum(sizes <= budget)), 1)),
        "You stay below the budget, as the given code does. The closest may lie above it.",
    ),
    Mistake(
        lambda *a: width_with(*a, pick=lambda sizes, budget: int(np.sum(sizes < budget)) + 1),
        "You take the first width that reaches the budget. The one before may be closer.",
    ),
    Mistake(
        lambda *a: width_with(*a, pick=larger_of_two),
        "If two widths are equally close, the smaller is wanted. Yours is the larger.",
    ),
    Mistake(
        lambda *a: width_with(*a, pick=rounded_root),
        "You solve for N and round. The weights grow faster than N, so the nearest whole number "
        "need not be the closest in weights: compare the two around the root.",
    ),
    Mistake(
        lambda *a: width_with(*a, readout=lambda N, merge: 0),
        "You leave the readout out. It takes its weights from the same budget.",
    ),
    Mistake(
        lambda budget, D, classes, layers, merge: width_with(
            budget, D, classes, layers, merge, readout=lambda N, merge: classes * (N + 1)
        ),
        'Your readout reads N numbers always. How wide is the top layer\'s output with "concat"?',
    ),
    Mistake(
        lambda *a: width_with(*a, both=1),
        "You give the backward direction no weights of its own.",
    ),
    Mistake(
        lambda budget, D, classes, layers, merge: width(budget, D, classes, 1, merge),
        "You do not use `layers`: the budget of the whole stack goes into one layer.",
    ),
    Mistake(
        lambda *a: width_with(*a, per_layer=True),
        "You divide the budget by the number of layers and size the first. The upper ones have "
        "another number of inputs, and there is one readout for all.",
    ),
    Mistake(
        lambda *a: width_with(*a, upper=lambda N, merge: N),
        'Your upper layers read N numbers always. After "concat" it is more.',
    ),
]

# --- 08.7 Find the bug: not re-reversed -----------------------------------------------------------


def read_both(x, forward, backward):
    ahead, back = read(x, *forward), read(x[:, ::-1], *backward)[:, ::-1]
    return join(ahead, back), join(ahead[:, -1], back[:, 0])


def read_both_with(x, forward, backward, *, flip_in=True, flip_out=True, at=(-1, 0)):
    """`at`: the positions of the two halves of the summary, in the order of the outputs."""
    ahead = read(x, *forward)
    back = read(x[:, ::-1] if flip_in else x, *backward)
    back = back[:, ::-1] if flip_out else back
    return join(ahead, back), join(ahead[:, at[0]], back[:, at[1]])


def read_both_flipped(x, forward, backward):
    merged = join(read(x, *forward), read(x[:, ::-1], *backward))
    return merged[:, ::-1], merged[:, -1]


def read_both_features(x, forward, backward):
    ahead, back = read(x, *forward), read(x[:, :, ::-1], *backward)
    return join(ahead, back), join(ahead[:, -1], back[:, -1])


def read_both_units(x, forward, backward):
    ahead, back = read(x, *forward), read(x[:, ::-1], *backward)
    return join(ahead, back[:, :, ::-1]), join(ahead[:, -1], back[:, -1, ::-1])


def read_both_explicit(x, forward, backward):
    T, h, back = x.shape[1], 0 * x[:, 0] @ backward[0], {}
    for t in reversed(range(T)):
        h = back[t] = step(x[:, t], h, *backward)
    ahead = read(x, *forward)
    halves = ahead, np.stack([back[t] for t in range(T)], axis=1)
    return np.concatenate(halves, axis=2), np.concatenate([ahead[:, T - 1], h], axis=1)


def inputs_7(rng):
    cases = []
    for batch, length, features, units in ((2, 5, 3, 4), (1, 1, 2, 2), (3, 8, 2, 3)):
        layers = random_layer(rng, features, units), random_layer(rng, features, units)
        cases.append((rng.normal(size=(batch, length, features)), *layers))
    return cases


read_both_mistakes = [
    Mistake(
        lambda *a: read_both_with(*a, flip_out=False, at=(-1, -1)),
        "This is the code as it was given. At which position of `back` is the state that has read "
        "x_T only, and where should it be?",
    ),
    Mistake(
        lambda *a: read_both_with(*a, at=(-1, -1)),
        "The outputs are right now, and mending them broke the summary: its backward half has read "
        "x_T only. It was right before by accident.",
    ),
    Mistake(
        read_both_flipped,
        "You flip the merged outputs. The forward half was in order and is now reversed as well.",
    ),
    Mistake(
        lambda *a: read_both_with(*a, flip_in=False),
        "The backward layer now reads forwards, and its outputs are flipped afterwards. Two flips "
        "are needed, one before and one after.",
    ),
    Mistake(
        lambda *a: read_both_with(*a, flip_in=False, flip_out=False, at=(-1, -1)),
        "You took the flip away. There is no backward direction any more: both layers read from "
        "the left.",
    ),
    Mistake(
        lambda *a: read_both_with(*a, at=(0, 0)),
        "The outputs are right. In the summary the forward half has read x_1 only: both halves "
        "come from position 1.",
    ),
    Mistake(
        lambda *a: read_both_with(*a, at=(0, -1)),
        "The outputs are right. In the summary each half is taken where its layer has only begun.",
    ),
    Mistake(
        read_both_features,
        "You flip the features of x, not its steps: time is axis 1.",
    ),
    Mistake(
        read_both_units,
        "You flip the units of `back`, not its steps: time is axis 1.",
    ),
]


# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "08.1",
        count,
        inputs_1,
        count_mistakes,
        [
            "Count one direction of one layer. What has to be inserted for the number of inputs "
            "in the first layer, and what in the next?",
            "The number of inputs of an upper layer is the width of the merged output below it: "
            "think of the shapes that each merge mode gives.",
        ],
    ),
    Exercise(
        "08.2",
        ceiling,
        inputs_2,
        ceiling_mistakes,
        [
            "First: has the network read the second bit when it answers? If so, what can it reach?",
            "If not, take the two values of the past bit one by one. With which probability is the "
            "best answer right in each, and how often does each occur?",
        ],
    ),
    Exercise(
        "08.3",
        merge,
        inputs_3,
        merge_mistakes,
        [
            "Settle `sequence` first: pick what is to be merged, then merge it as before.",
            "A layer's last state is the one that has read everything. For the backward layer, at "
            "which position t is that?",
        ],
        points=2,
    ),
    Exercise(
        "08.4",
        both_directions,
        inputs_4,
        both_mistakes,
        [
            "Write one direction with a mask first, and test it. The other direction is the same "
            "function on other arguments.",
            "Whatever you do to the order of x, do to the order of the mask. And undo it in the "
            "outputs.",
        ],
        points=3,
    ),
    Exercise(
        "08.5",
        read_stack,
        inputs_5,
        stack_mistakes,
        [
            "Keep one variable for the stream. What is it before the second layer, and what does "
            "each layer do to it?",
            "`read` gives the states of one layer from a whole sequence. Only what it is given, "
            "and what is done with its result, depend on `residual`.",
        ],
        points=2,
    ),
    Exercise(
        "08.6",
        width,
        inputs_6,
        width_mistakes,
        [
            "Write a function of N first, the number of weights of the whole network. `count` does "
            "most of it.",
            "That number grows with N. Go up as long as the next N is strictly closer to the "
            "budget.",
        ],
        points=2,
    ),
    Exercise(
        "08.7",
        read_both,
        inputs_7,
        read_both_mistakes,
        [
            "Write down, for T = 3, which inputs each entry along axis 1 of `back` has read.",
            "When the outputs are in order, look at the summary again: which entry of each half "
            "has read the whole sequence?",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "08.4": [both_by_index, both_by_example, both_by_arithmetic],
    "08.5": [stack_stepwise, stack_recursive, stack_by_sum],
    "08.6": [width_by_search],
    "08.7": [read_both_explicit],
}
