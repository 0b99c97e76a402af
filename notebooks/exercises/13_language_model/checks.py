"""Exercises of lesson 13: right solutions, and the mistakes that people make.

Probabilities are arrays (V,) over an alphabet of V characters, in its order. A text is an array of
character numbers, 0 to V - 1.
"""

import collections
import itertools

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 13.1 Predict: bits per character -------------------------------------------------------------


LN2 = np.log(2)


def to_bits(kind, value, length):
    return to_bits_with(kind, value, length)


def to_bits_with(kind, value, length, *, log=np.log2, ln2=LN2, share=None, plain=None):
    """`share`: what becomes of a number per word or per token, from it and the length."""
    if kind == "uniform":
        return plain(value) if plain else log(value)
    bits = value / ln2 if "nats" in kind else log(value)
    if kind in ("nats", "perplexity"):
        return bits
    return share(bits, length) if share else bits / length


def to_bits_root_of_nats(kind, value, length):
    if kind == "word perplexity":
        return np.log2(value / length)
    return to_bits(kind, value, length)


def inputs_1(rng):
    a, b, c = rng.uniform(1.2, 2.4), rng.uniform(5, 7), rng.uniform(2.1, 3.3)
    V = int(rng.integers(60, 120))
    return [
        ("uniform", float(V), 1.0),
        ("uniform", 64.0, 1.0),
        ("nats", a, 1.0),
        ("perplexity", c, 1.0),
        ("word perplexity", c**b, b),
        ("word perplexity", 900.0, 6.0),
        ("token nats", a * c, c),
        ("token nats", 2.0, 2.5),
    ]


to_bits_mistakes = [
    Mistake(
        lambda *a: to_bits_with(*a, ln2=1.0),
        "You leave nats as they are. A nat is 1 / ln 2 = 1.44 bits.",
    ),
    Mistake(
        lambda *a: to_bits_with(*a, ln2=1 / LN2),
        "You multiply nats by ln 2. There are more bits than nats in the same surprise: divide.",
    ),
    Mistake(
        lambda *a: to_bits_with(*a, log=np.log),
        "You take the natural logarithm of a perplexity, which gives nats.",
    ),
    Mistake(
        lambda *a: to_bits_with(*a, share=lambda bits, length: bits),
        "You report bits per word or per token as bits per character. Spread them over the "
        "characters.",
    ),
    Mistake(
        lambda *a: to_bits_with(*a, share=lambda bits, length: bits * length),
        "You multiply by the length of a word. A word's bits are the sum over its characters, so "
        "one character has a part of them.",
    ),
    Mistake(
        to_bits_root_of_nats,
        "You divide the perplexity of a word by its length. Perplexities multiply along a word; "
        "it is the bits that add up.",
    ),
    Mistake(
        lambda *a: to_bits_with(*a, plain=lambda V: 1 / V),
        "For the uniform model you return the probability of one character, not its bits.",
    ),
]

# --- 13.2 Predict: which batch sees what ----------------------------------------------------------


def place(n, rows, length, batch, row, k):
    return place_with(n, rows, length, batch, row, k)


def place_with(n, rows, length, batch, row, k, *, start=None, target=1, seen=None, reach=None):
    """`start`: where the row's stream and piece begin; `seen`, `reach`: other answers."""
    pieces = (n - 1) // (rows * length)
    first = (row * pieces + batch) * length
    first = start(pieces, rows, length, batch, row, n) if start else first
    right = batch * length + k + 1
    return np.array(
        [
            first + k + target,
            seen(right, k, batch, length) if seen else right,
            reach(right, k, length) if reach else k + 1,
        ]
    )


def inputs_2(rng):
    cases = [(41, 2, 4, 0, 0, 0), (41, 2, 4, 4, 1, 3), (30, 3, 2, 2, 1, 1)]
    for _ in range(5):
        rows, length = int(rng.integers(2, 9)), int(rng.integers(3, 20))
        pieces = int(rng.integers(3, 12))
        n = rows * length * pieces + int(rng.integers(1, rows * length))
        batch, row = int(rng.integers(1, pieces)), int(rng.integers(1, rows))
        cases.append((n, rows, length, batch, row, int(rng.integers(length))))
    return cases


place_mistakes = [
    Mistake(
        lambda *a: place_with(
            *a, start=lambda pieces, rows, length, batch, row, n: (batch * rows + row) * length
        ),
        "Your pieces lie one after the other in the text, across the rows of a batch. Then row r "
        "of the next batch does not go on where row r ended, and the carried state is another "
        "text's.",
    ),
    Mistake(
        lambda *a: place_with(
            *a, start=lambda pieces, rows, length, batch, row, n: row * n // rows + batch * length
        ),
        "Your streams are an n-th of the whole text long. They are cut to whole pieces first: what "
        "does not fill a piece in every row is left out at the end.",
    ),
    Mistake(
        lambda *a: place_with(*a, target=0),
        "You give the place of the input. The network predicts the character after it.",
    ),
    Mistake(
        lambda *a: place_with(*a, seen=lambda right, k, batch, length: right - 1),
        "You forget the present input: when it predicts, the network has read it.",
    ),
    Mistake(
        lambda *a: place_with(*a, seen=lambda right, k, batch, length: k + 1),
        "You let the state start from 0 in each batch. With `stateful=True` it has seen the "
        "earlier batches, too.",
    ),
    Mistake(
        lambda *a: place_with(*a, reach=lambda right, k, length: right),
        "You let the gradient pass from batch to batch. The state is carried as a number; the "
        "gradient stops at the beginning of the piece.",
    ),
    Mistake(
        lambda *a: place_with(*a, reach=lambda right, k, length: length),
        "The gradient of this one loss starts at step k, not at the end of the piece.",
    ),
]

# --- 13.3 Modify: a nucleus per row ---------------------------------------------------------------


def nucleus_rows(p, mass, least):
    return nucleus_rows_with(p, mass, least)


def nucleus_rows_with(p, mass, least, *, axis=-1, keep=None, whole=None, back=True, sign=-1):
    """`keep`: which ranks stay, from the sorted rows, their sums, the mass and the ranks."""
    order = np.argsort(sign * p, axis=axis, kind="stable")
    ranked = np.take_along_axis(p, order, axis)
    total = np.cumsum(ranked, axis=axis)
    ranks = np.arange(p.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    kept = keep(ranked, total, mass, ranks) if keep else total - ranked < mass
    ranked = np.where(kept | (ranks < least), ranked, 0)
    ranked = ranked / (whole(ranked) if whole else ranked.sum(axis=axis, keepdims=True))
    if not back:
        return ranked
    result = np.zeros_like(p)
    np.put_along_axis(result, order, ranked, axis)
    return result


def inputs_3(rng):
    def random(rows, V, sharp):
        z = sharp * rng.normal(size=(rows, V))
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    exact = np.array([[0.125, 0.5, 0.0625, 0.25, 0.0625], [0.25, 0.25, 0.25, 0.125, 0.125]])
    return [
        (random(3, 6, 1.0), 0.6, 1),
        (random(4, 12, 2.0), 0.9, 3),
        (random(1, 30, 1.0), 0.5, 1),
        (exact, 0.75, 1),
        (exact, 0.25, 2),
        (exact, 1.0, 1),
    ]


nucleus_mistakes = [
    Mistake(
        lambda *a: nucleus_rows_with(*a, keep=lambda p, total, mass, rank: total <= mass),
        "You drop the character with which the sum passes `mass`. Without it the kept ones have "
        "less than `mass` together.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(*a, keep=lambda p, total, mass, rank: total - p <= mass),
        "Where the sum reaches `mass` exactly you keep one more. At least `mass` is enough.",
    ),
    Mistake(
        lambda p, mass, least: nucleus_rows(p, mass, 1),
        "You do not use `least`: a row may keep a single character.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(
            *a, keep=lambda p, total, mass, rank: (total - p < mass) & (rank < 0)
        ),
        "You keep `least` characters whatever `mass` is. It is a lower bound: the nucleus may have "
        "more.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(*a, whole=lambda ranked: 1.0),
        "Your rows do not sum to 1. Divide each by what is left of it.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(*a, whole=np.sum),
        "You divide all rows by the sum of all of them. Each row is a distribution of its own: "
        "sum along the last axis, and keep that axis.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(*a, axis=0),
        "You work down the columns. The characters are on the last axis.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(
            *a, keep=lambda p, total, mass, rank: np.cumsum(p).reshape(p.shape) - p < mass
        ),
        "Your cumulative sum runs on from one row into the next. Give it the axis.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(*a, back=False),
        "Your probabilities are sorted, so that they belong to other characters. Put each back in "
        "its place.",
    ),
    Mistake(
        lambda *a: nucleus_rows_with(*a, sign=1),
        "You begin with the least likely character, and keep the tail.",
    ),
]

# --- 13.4 Build: a sampler ------------------------------------------------------------------------


def sample(logits, temperature, k, mass, u):
    return sample_with(logits, temperature, k, mass, u)


def nucleus(p, mass):
    return nucleus_rows(p[None], mass, 1)[0]


def nucleus_too_small(p, mass):
    return nucleus_rows_with(p[None], mass, 1, keep=lambda p, total, mass, rank: total <= mass)[0]


def softmax(z):
    p = np.exp(z - np.max(z))
    return p / p.sum()


def keep_k(p, k):
    order = np.argsort(-p, kind="stable")
    kept = np.zeros_like(p)
    kept[order[:k]] = p[order[:k]]
    return kept / kept.sum()


def first_above(p, u):
    total = np.cumsum(p)  # may end below 1, even at u
    return int(np.argmax(total / total[-1] > u))


def sample_with(
    logits,
    temperature,
    k,
    mass,
    u,
    *,
    warm=lambda z, t: z / t,
    probabilities=softmax,
    rule=nucleus,
    order=("k", "mass"),
    draw=first_above,
):
    if temperature == 0:
        p = np.eye(len(logits))[np.argmax(logits)]
    else:
        p = probabilities(warm(logits, temperature))
    for name in order:
        if name == "k" and k is not None:
            p = keep_k(p, k)
        if name == "mass" and mass is not None:
            p = rule(p, mass)
    return p, draw(p, u)


def sample_zero_is_plain(logits, temperature, k, mass, u):
    return sample(logits, temperature or 1.0, k, mass, u)


def sample_filters_first(logits, temperature, k, mass, u):
    if temperature == 0:
        return sample(logits, temperature, k, mass, u)
    p, _ = sample(logits, 1.0, k, mass, u)
    p = p ** (1 / temperature)
    p = p / p.sum()
    return p, first_above(p, u)


def sample_bare(logits, temperature, k, mass, u):
    def bare(z):
        p = np.exp(z)
        return p / p.sum()

    return sample_with(logits, temperature, k, mass, u, probabilities=bare)


def sorted_draw(p, u):
    order = np.argsort(-p, kind="stable")
    return int(order[first_above(p[order], u)])


def sample_in_logits(logits, temperature, k, mass, u):
    """Filters set logits to -inf."""
    z = np.array(logits, float)
    if temperature == 0:
        z[np.arange(len(z)) != z.argmax()] = -np.inf
        temperature = 1.0
    z = z / temperature
    ranks = np.argsort(np.argsort(-z, kind="stable"))
    if k is not None:
        z[ranks >= k] = -np.inf
    if mass is not None:
        p = softmax(z)
        likelier = np.array([p[ranks < rank].sum() for rank in ranks])
        z[likelier >= mass - 1e-12] = -np.inf
    p = softmax(z)
    total = np.cumsum(p)
    return p, int(np.searchsorted(total, min(u, np.nextafter(total[-1], 0)), side="right"))


def sample_one_by_one(logits, temperature, k, mass, u):
    V = len(logits)
    if temperature == 0:
        best = max(range(V), key=lambda c: (logits[c], -c))
        return [float(c == best) for c in range(V)], best
    top = max(logits)
    p = [float(np.exp((z - top) / temperature)) for z in logits]
    ranked = sorted(range(V), key=lambda c: (-p[c], c))[:k]
    whole, kept, total = sum(p[c] for c in ranked), [], 0.0
    for c in ranked:
        if mass is None or total < mass:
            kept.append(c)
        total += p[c] / whole
    whole = sum(p[c] for c in kept)
    p = [p[c] / whole if c in kept else 0.0 for c in range(V)]
    running, c = p[0], 0
    while running <= u and any(p[c + 1 :]):
        c += 1
        running += p[c]
    return p, c


def sample_by_slices(logits, temperature, k, mass, u):
    if temperature == 0:
        p = np.zeros(len(logits))
        p[np.argmax(logits)] = 1
        return p, int(p.argmax())
    order = np.argsort(-logits, kind="stable")
    q = softmax(logits[order] / temperature)
    q = q[: len(q) if k is None else k]
    q = q / q.sum()
    if mass is not None:
        q = q[: np.searchsorted(np.cumsum(q), mass - 1e-12) + 1]
    p = np.zeros(len(logits))
    p[order[: len(q)]] = q / q.sum()
    total = p.cumsum()
    total[p.nonzero()[0][-1] :] = 1
    return p, int(np.flatnonzero(total > u)[0])


def bare_draw(answer):
    """Draws with a bare cumulative sum: character 0 where no sum is greater than u."""

    def sample(*a):
        p, c = answer(*a)
        return p, c if np.cumsum(p)[-1] > a[-1] else 0

    return sample


def inputs_4(rng):
    def z(V=8):
        return 1.5 * rng.normal(size=V)

    flat, heavy = np.zeros(4), np.log(np.array([0.3, 0.2, 0.15, 0.1] + 8 * [0.03125]))
    heavy = rng.permutation(heavy + 0.01 * rng.normal(size=12))
    return [
        (heavy, 1.0, 4, 0.7, 0.45),
        (z(), 1.0, None, None, 0.37),
        (z(), 0.5, None, None, 0.61),
        (z(), 2.0, 4, None, 0.52),
        (z(12), 1.4, None, 0.8, 0.44),
        (z(12), 1.3, 6, 0.7, 0.58),
        (z(12), 0.7, 5, 0.85, 0.71),
        (z(12), 1.6, 5, 0.9, 0.33),
        (z(), 0.0, None, None, 0.5),
        (z(), 0, 3, 0.9, 0.9),
        (flat, 1.0, None, None, 0.5),
        (z() + 1000.0, 1.0, 7, 0.95, 0.66),
        (z(), 1.0, 1, None, 0.95),
        # Ten times 0.1, added up one by one, is 0.9999999999999999: this u, the last below 1.
        (np.zeros(10), 1.0, None, None, 1 - 2.0**-53),
        (np.array(10 * [0.0] + 2 * [-1000.0]), 1.0, None, None, 1 - 2.0**-53),
    ]


sample_mistakes = [
    Mistake(
        lambda *a: sample_with(*a, warm=lambda z, t: z * t),
        "You multiply the logits by the temperature. A high temperature must make the distribution "
        "flatter: divide.",
    ),
    Mistake(
        sample_zero_is_plain,
        "Temperature 0 means greedy: all probability on the largest logit. Yours samples there.",
    ),
    Mistake(
        sample_bare,
        "Logits near 1000 overflow in your exponential. Subtract the largest logit first; the "
        "result is the same.",
    ),
    Mistake(
        sample_filters_first,
        "You filter before the temperature is applied, so that the nucleus is that of temperature "
        "1. The order is: temperature, top-k, nucleus.",
    ),
    Mistake(
        lambda *a: sample_with(*a, order=("mass", "k")),
        "Your nucleus measures its mass before top-k has cut. It works on what top-k has left, "
        "which sums to 1 again.",
    ),
    Mistake(
        lambda *a: sample_with(*a, rule=nucleus_too_small),
        "Your nucleus drops the character with which the sum passes `mass`, and so keeps less than "
        "`mass`.",
    ),
    Mistake(
        lambda *a: sample_with(*a, draw=sorted_draw),
        "You draw along the sorted characters. As random as the other, but u is to be used in the "
        "order of the alphabet.",
    ),
    Mistake(
        lambda *a: sample_with(*a, draw=lambda p, u: int(np.argmax(p))),
        "You return the likeliest character whatever u is. The draw must follow the distribution.",
    ),
    Mistake(
        lambda *a: sample_with(*a, draw=lambda p, u: int(np.argmax(np.cumsum(p) >= u))),
        "Where the sum equals u exactly you stop one character early. It has to be *greater* than "
        "u: u may be 0, and then a first character with probability 0 must not be drawn.",
    ),
    Mistake(
        lambda *a: sample_with(
            *a, draw=lambda p, u: min(int(np.searchsorted(np.cumsum(p), u, "right")), len(p) - 1)
        ),
        "Where rounding leaves no sum greater than u you draw the last character of the alphabet, "
        "even if its probability is 0.",
    ),
    Mistake(
        lambda *a: sample_with(
            *a, draw=lambda p, u: int(np.searchsorted(np.cumsum(p), u, "right"))
        ),
        "Where rounding leaves no sum greater than u you return V, and no character has that "
        "number. Compare u with sums that end where they should.",
    ),
    Mistake(
        lambda *a: sample_with(*a, draw=lambda p, u: int(np.flatnonzero(np.cumsum(p) > u)[0])),
        "Where rounding leaves no sum greater than u there is nothing to pick the first of, hence "
        "the IndexError. Compare u with sums that end where they should.",
    ),
]
# Most wrong answers draw with a bare sum as well, and should hear of their first mistake first.
bare = (
    "Where rounding leaves no sum greater than u, `np.argmax` finds only False, and you draw "
    "character 0. Compare u with sums that end where they should."
)
sample_mistakes += [
    Mistake(bare_draw(sample), bare),
    *(
        Mistake(bare_draw(answer), f"{sentence} Then: {bare}")
        for answer, sentence in sample_mistakes[:7]
    ),
]

# --- 13.5 Build: Kneser-Ney bigram ----------------------------------------------------------------


def kneser_ney(text, V, d):
    return kneser_ney_with(text, V, d)


def pair_counts(text, V):
    counts = np.zeros((V, V))
    np.add.at(counts, (text[:-1], text[1:]), 1)
    return counts


def kneser_ney_with(
    text,
    V,
    d,
    *,
    lower=lambda pairs, text: (pairs > 0).sum(axis=0),
    kinds=lambda pairs: (pairs > 0).sum(axis=1),
    uniform=True,
    unseen="lower",
    only_new=False,
    floor=True,
):
    """`lower`: the counts of the lower order; `kinds`: how often a row's discount is saved."""
    pairs = pair_counts(text, V)
    cut = (lambda c: np.maximum(c - d, 0)) if floor else (lambda c: c - d)
    below = lower(pairs, text).astype(float)
    if uniform:
        p_1 = (cut(below) + d * (below > 0).sum() / V) / below.sum()
    else:
        p_1 = below / below.sum()
    total = pairs.sum(axis=1, keepdims=True)
    saved = d * kinds(pairs)[:, None]
    share = np.where(pairs > 0, 0, 1) if only_new else 1
    p = (cut(pairs) + saved * p_1 * share) / np.maximum(total, 1)
    other = {"lower": p_1, "uniform": np.full(V, 1 / V), "zero": np.zeros(V)}[unseen]
    return np.where(total > 0, p, other)


def kneser_ney_by_loops(text, V, d):
    followers, before = collections.defaultdict(list), collections.defaultdict(set)
    for h, c in itertools.pairwise(text):
        followers[int(h)].append(int(c))
        before[int(c)].add(int(h))
    types = sum(map(len, before.values()))
    p_1 = [(max(len(before[c]) - d, 0) + d * sum(map(bool, before.values())) / V) for c in range(V)]
    p_1 = [p / types for p in p_1]
    table = []
    for h in range(V):
        seen = collections.Counter(followers[h])
        row = p_1
        if seen:
            n = sum(seen.values())
            row = [(max(seen[c] - d, 0) + d * len(seen) * p_1[c]) / n for c in range(V)]
        table.append(row)
    return np.array(table)


def kneser_ney_by_bincount(text, V, d):
    text = np.asarray(text)
    pairs = np.bincount(text[:-1] * V + text[1:], minlength=V * V).reshape(V, V)
    types = np.minimum(pairs, 1)
    below = types.sum(0)
    p_1 = np.where(below > 0, below - d, 0) / types.sum()
    p_1 = p_1 + (1 - p_1.sum()) / V
    n = pairs.sum(1)
    p = np.tile(p_1, (V, 1))
    for h in np.flatnonzero(n):
        kept = np.where(pairs[h] > 0, pairs[h] - d, 0) / n[h]
        p[h] = kept + (1 - kept.sum()) * p_1
    return p


def kneser_ney_by_matrix(text, V, d):
    one_hot = np.eye(V)[np.asarray(text)]
    pairs = one_hot[:-1].T @ one_hot[1:]
    seen = pairs > 0
    below = seen.sum(0)
    p_1 = np.maximum(below - d, 0) + d * np.count_nonzero(below) / V
    p_1 /= seen.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        n = pairs.sum(1)[:, None]
        p = np.maximum(pairs - d, 0) / n + d * seen.sum(1)[:, None] / n * p_1
    p[~seen.any(1)] = p_1
    return p


def inputs_5(rng):
    cases = []
    for n, V, d in ((40, 5, 0.75), (25, 7, 0.5), (90, 6, 0.9), (12, 4, 0.6)):
        weights = rng.dirichlet(np.ones(V - 1))
        # The last character never occurs; the one before it occurs at the very end only.
        text = rng.choice(V - 2, size=n, p=weights[: V - 2] / weights[: V - 2].sum())
        cases.append((np.append(text, V - 2), V, d))
    return cases


kneser_ney_mistakes = [
    Mistake(
        lambda *a: kneser_ney_with(*a, lower=lambda pairs, text: pairs.sum(axis=0)),
        "Your lower order counts how often a character occurs. Kneser and Ney count how many "
        "*different* characters it follows.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, lower=lambda pairs, text: (pairs > 0).sum(axis=1)),
        "Your lower order counts the different characters that come after c. Those that stand "
        "before it are wanted.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, uniform=False),
        "Your lower order is not smoothed: a character that never occurs has probability 0. "
        "Discount there, too, and give what is saved to all V characters alike.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, kinds=lambda pairs: (pairs > 0).any(axis=1)),
        "You give back one discount per row. A discount was taken from every *different* character "
        "that followed h, so your rows sum to less than 1.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, kinds=lambda pairs: pairs.sum(axis=1)),
        "You give back a discount for every occurrence. It was taken once from each different "
        "character, so your rows sum to more than 1.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, kinds=lambda pairs: (pairs > 0).sum(axis=0)),
        "The number of different characters is counted along the wrong axis: those that follow h "
        "are wanted.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, unseen="uniform"),
        "After a character that was never followed by anything, your distribution is uniform. One "
        "order lower something is known.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, unseen="zero"),
        "After a character that was never followed by anything, your row is all zeros. It is the "
        "lower order's distribution.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, only_new=True),
        "You give the lower order's share only to characters that have not followed h. That is "
        "backing off, and without a factor it does not sum to 1; *interpolated* gives it to all.",
    ),
    Mistake(
        lambda *a: kneser_ney_with(*a, floor=False),
        "You subtract d from counts of 0 as well, which makes them negative.",
    ),
]

# --- 13.6 Find the bug: perplexity ----------------------------------------------------------------


def perplexity(batches):
    return perplexity_with(batches)


def perplexity_with(batches, *, batch=None, combine=None, power=np.exp):
    """`batch`: a batch's (sum, count) from nats and mask; `combine`: of sums and counts."""
    batch = batch or (lambda nats, mask: (nats[mask].sum(), mask.sum()))
    sums, counts = np.array([batch(nats, mask) for nats, mask in batches]).T
    return combine(sums, counts) if combine else power(sums.sum() / counts.sum())


def perplexity_joined(batches):
    real = [value for nats, mask in batches for value in nats[mask]]
    return float(np.exp(np.mean(real)))


def perplexity_of_rows(batches):
    means = [row[m].mean() for nats, mask in batches for row, m in zip(nats, mask, strict=True)]
    return np.exp(np.mean(means))


def inputs_6(rng):
    cases = []
    for batches in (1, 3, 4):
        case = []
        for k in range(batches):
            rows = int(rng.integers(2, 5)) if k + 1 < batches else 1
            lengths = rng.integers(1, 7, rows)
            lengths[-1] = 2 if k % 2 else 6
            mask = np.arange(7) < lengths[:, None]
            nats = rng.gamma(1.5, 1.2 + k, size=(rows, 7))
            case.append((np.where(mask, nats, 0.01), mask))
        cases.append((case,))
    return cases


perplexity_mistakes = [
    Mistake(
        lambda batches: np.mean([np.exp(nats.mean()) for nats, mask in batches]),
        "That is the faulty code: it takes the mean of perplexities, and counts the padding.",
    ),
    Mistake(
        lambda *a: perplexity_with(*a, combine=lambda s, n: np.mean(np.exp(s / n))),
        "You still average perplexities. Average the nats, and take the exponential once, at the "
        "end.",
    ),
    Mistake(
        lambda *a: perplexity_with(*a, combine=lambda s, n: np.exp(np.mean(s / n))),
        "You average the batches' means, so that a character in a small batch counts more than one "
        "in a large batch. Divide one sum by one count.",
    ),
    Mistake(
        lambda *a: perplexity_with(*a, batch=lambda nats, mask: (nats.sum(), nats.size)),
        "You still count the padding, whose loss is almost 0: it makes any model look better.",
    ),
    Mistake(
        lambda *a: perplexity_with(*a, batch=lambda nats, mask: (nats[mask].sum(), nats.size)),
        "You sum over the real characters and divide by all of them, padding included.",
    ),
    Mistake(
        perplexity_of_rows,
        "You average over rows first, so that short rows count as much as long ones.",
    ),
    Mistake(
        lambda *a: perplexity_with(*a, power=np.exp2),
        "The losses are in nats, and you raise 2 to them. That goes with bits.",
    ),
    Mistake(
        lambda *a: perplexity_with(*a, power=lambda nats: nats),
        "You return the mean loss in nats. The perplexity is its exponential.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "13.1",
        to_bits,
        inputs_1,
        to_bits_mistakes,
        [
            "One bit halves the probability. With what probability does the uniform model guess "
            "right?",
            "Turn everything into bits first, by log2 of a perplexity or by dividing nats by ln 2. "
            "Bits of a word or token are then shared among its characters.",
        ],
    ),
    Exercise(
        "13.2",
        place,
        inputs_2,
        place_mistakes,
        [
            "Draw a text of 17 characters as two streams of two pieces of 4, and write the numbers "
            "of the batches under the pieces.",
            "Stream `row` begins at row * pieces * length. In batch number `batch` it is at its "
            "piece number `batch`.",
        ],
    ),
    Exercise(
        "13.3",
        nucleus_rows,
        inputs_3,
        nucleus_mistakes,
        [
            "`argsort`, `cumsum` and `sum` all take an `axis`. The line with `order[...]` is the "
            "one that does not carry over: see `np.take_along_axis` and `np.put_along_axis`.",
            "A rank is kept if the likelier ones have less than `mass` together, or if it is one "
            "of the first `least`.",
        ],
        points=2,
    ),
    Exercise(
        "13.4",
        sample,
        inputs_4,
        sample_mistakes,
        [
            "Four functions in a row: softmax at a temperature, top-k, nucleus, draw. Each but the "
            "last takes a distribution and returns one that sums to 1.",
            "For the draw compare `np.cumsum(p)` with u; `np.argmax` of truth values finds the "
            "first True. What does it say if there is none?",
        ],
        points=3,
    ),
    Exercise(
        "13.5",
        kneser_ney,
        inputs_5,
        kneser_ney_mistakes,
        [
            "Begin with the (V, V) table of counts of pairs. `table > 0` holds all that the lower "
            "order needs.",
            "In each row, what the discounts take away is d times the number of its non-zero "
            "counts. Check that all rows sum to 1, also for a character that never occurs.",
        ],
        points=3,
    ),
    Exercise(
        "13.6",
        perplexity,
        inputs_6,
        perplexity_mistakes,
        [
            "Compute by hand: two batches with one character each, of losses 0 and 2 nats. What is "
            "the mean of the perplexities, and what the perplexity of both?",
            "Two running totals are enough: the nats of all real characters, and their number.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "13.4": [sample_in_logits, sample_one_by_one, sample_by_slices],
    "13.5": [kneser_ney_by_loops, kneser_ney_by_bincount, kneser_ney_by_matrix],
    "13.6": [perplexity_joined],
}
