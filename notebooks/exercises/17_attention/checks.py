"""Exercises of lesson 17: right solutions, and the mistakes that people make.

B sentences, T queries, S words, D features; `real` is (B, S), True at words and False at padding,
which stands at the end. A sentence may be padding alone: then its weights and its context are zero.
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]


def softmax(scores, axis=-1):
    e = np.exp(scores - scores.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def masked(scores, real):
    """Weights over the last axis; `real` must have the shape of `scores` or spread to it."""
    weights = softmax(np.where(real, scores, -1e9))
    return np.where(real, weights, 0.0)


def some_real(rng, B, S, *, empty=True):
    """At least one sentence is full, one is short and, if `empty`, the last has no word."""
    lengths = rng.integers(2, S, size=B)
    lengths[0] = S
    if empty:
        lengths[-1] = 0
    return np.arange(S) < lengths[:, None]


# --- 17.1 Predict: how many multiplications -------------------------------------------------------


def products(kind, T, S, D, A):
    return products_with(kind, T, S, D, A)


def products_with(kind, T, S, D, A, *, context=1, per_pair=False, keys_once=True, vector=1):
    total = context * T * S * D
    if kind == "dot":
        return total + T * S * D
    if kind == "general":
        return total + T * S * D + (T * S if per_pair else T) * D * D
    pairs = T * S
    return total + T * D * A + (S if keys_once else pairs) * D * A + vector * pairs * A


def inputs_1(rng):
    cases = []
    for _ in range(3):
        T, S, D, A = (int(n) for n in rng.permutation(np.arange(3, 40))[:4])
        cases += [(kind, T, S, D, A) for kind in ("dot", "general", "additive")]
    return cases


products_mistakes = [
    Mistake(
        lambda *a: products_with(*a, context=0),
        "You count the scores only. The weighted mean multiplies, too: every weight meets every "
        "entry of its state.",
    ),
    Mistake(
        lambda *a: products_with(*a, per_pair=True),
        "You multiply the query by W once for every word. The product W q is the same for all "
        "words: once a query is enough.",
    ),
    Mistake(
        lambda *a: products_with(*a, keys_once=False),
        "You project every state anew for each query. The products with the states do not depend "
        "on the query: once a sentence is enough.",
    ),
    Mistake(
        lambda *a: products_with(*a, vector=0),
        "The product with v is missing: A multiplications for every pair.",
    ),
    Mistake(
        lambda kind, T, S, D, A: products_with(kind, 1, S, D, A),
        "You count a single query. There are T of them.",
    ),
]

# --- 17.2 Predict: what moves ---------------------------------------------------------------------

MOVES = {  # (the weights change, the context changes)
    "add 3 to every score": (False, False),
    "double every score": (True, True),
    "append padding, masked": (False, False),
    "append padding, not masked": (True, True),
    "add one vector to every key": (False, False),
    "add one vector to every value": (False, True),
    "add a vector to the query": (True, True),
    "shuffle the words": (False, False),
    "double every value": (False, True),
}


def effect(change):
    return MOVES[change]


def but(**others):
    """The right answers but for some, which are named by a word of their own."""

    def answer(change):
        return next((wrong for word, wrong in others.items() if word in change), MOVES[change])

    return answer


def inputs_2(rng):
    return [(str(change),) for change in rng.permutation(list(MOVES))]


effect_mistakes = [
    Mistake(
        lambda change: (True, True) if "score" in change else MOVES[change],
        "You let a constant that is added to all scores change the weights. It is a common factor "
        "of all exponentials, and cancels.",
    ),
    Mistake(
        lambda change: (False, False) if "score" in change else MOVES[change],
        "You take the softmax for blind to the size of the scores. It sees their differences: "
        "doubled, they make it sharper.",
    ),
    Mistake(
        lambda change: (True, True) if "key" in change else MOVES[change],
        "One vector u added to every key adds the same number q · u to every score. What does the "
        "softmax make of that?",
    ),
    Mistake(
        but(shuffle=(True, True)),
        "You let the order of the words matter. Weights go with their words, and a sum does not "
        "know its order: without recurrence or positions attention cannot see it.",
    ),
    Mistake(
        but(shuffle=(False, True)),
        "The weights stay with their words, and you let the context change all the same. It is a "
        "sum over the words.",
    ),
    Mistake(
        lambda change: (False, False) if "append" in change else MOVES[change],
        "You take padding for harmless without a mask. Its score is some number, and its "
        "exponential is never 0.",
    ),
    Mistake(
        lambda change: (True, True) if "value" in change else MOVES[change],
        "You let the values decide the weights. Here the scores come from the keys alone.",
    ),
    Mistake(
        lambda change: (MOVES[change][0],) * 2,
        "You let the context change only where the weights do. The same weights on other values "
        "give another mean.",
    ),
]

# --- 17.3 Modify: a mask --------------------------------------------------------------------------


def attend(scores, values, real):
    weights = masked(scores, real[:, None])
    return weights @ values, weights


def attend_after(scores, values, real):
    weights = softmax(scores) * real[:, None]
    return weights @ values, weights


def attend_times(scores, values, real):
    weights = softmax(scores * real[:, None])
    return weights @ values, weights


def attend_little(scores, values, real):
    weights = softmax(np.where(real[:, None], scores, -1.0))
    return weights @ values, weights


def attend_padding(scores, values, real):
    weights = softmax(np.where(real[:, None], scores, -1e9))
    return weights @ values, weights


def attend_nan(scores, values, real):
    weights = softmax(np.where(real[:, None], scores, -np.inf))
    return weights @ values, weights


def attend_inverse(scores, values, real):
    weights = masked(scores, ~real[:, None])
    return weights @ values, weights


def attend_values(scores, values, real):
    return softmax(scores) @ (values * real[..., None]), softmax(scores)


def attend_divided(scores, values, real):
    e = np.exp(scores - scores.max(-1, keepdims=True)) * real[:, None]
    total = e.sum(-1, keepdims=True)
    weights = e / np.where(total > 0, total, 1)
    return weights @ values, weights


def attend_words_only(scores, values, real):
    """The largest score is that of the words."""
    real = np.broadcast_to(real[:, None], scores.shape)
    top = scores.max(-1, keepdims=True, where=real, initial=-1e6)
    e = np.exp(scores - top, where=real, out=np.zeros_like(scores))
    weights = e / np.maximum(e.sum(-1, keepdims=True), 1e-300)
    return np.einsum("bts,bsd->btd", weights, values), weights


def attend_sentence_by_sentence(scores, values, real):
    weights = np.zeros_like(scores)
    for one, score, words in zip(weights, scores, real, strict=True):
        if words.any():
            one[:, words] = softmax(score[:, words])
    return weights @ values, weights


def attend_mended_nan(scores, values, real):
    weights = np.nan_to_num(softmax(np.where(real[:, None], scores, -np.inf)))
    return weights @ values, weights


def inputs_3(rng):
    cases = []
    for B, T, S, D in ((3, 2, 5, 4), (2, 1, 4, 3), (4, 3, 6, 2)):
        scores = rng.normal(size=(B, T, S)) * 2
        cases.append((scores, rng.normal(size=(B, S, D)), some_real(rng, B, S)))
    scores, values, real = cases[0]
    return [*cases, (scores + 1000.0 * ~real[:, None], values, real)]  # padding scores highest


attend_mistakes = [
    Mistake(
        attend_after,
        "You set the padding's weights to 0 after the softmax. What is left does not sum to one: "
        "hide the padding's scores before the softmax.",
    ),
    Mistake(
        attend_times,
        "You multiply the scores by the mask. A score of 0 is not a weight of 0: exp(0) = 1.",
    ),
    Mistake(
        attend_little,
        "Your score for padding is not low enough: its exponential still counts.",
    ),
    Mistake(
        attend_padding,
        "A sentence without any word gets the mean of its padding. All its scores are equally "
        "low, so that the softmax makes them equal shares; zero is wanted.",
    ),
    Mistake(
        attend_nan,
        "A sentence without any word gives nan: minus infinity minus minus infinity.",
    ),
    Mistake(
        attend_inverse,
        "You keep the padding and hide the words. `real` is True at words.",
    ),
    Mistake(
        attend_values,
        "You mask the values, not the weights. Padding then counts as a vector of zeros, and takes "
        "weight from the words.",
    ),
    Mistake(
        attend_divided,
        "You subtract the largest score of words and padding together. Where padding has by far "
        "the largest, the exponentials of all words are rounded to 0, and a sentence that has "
        "words gets no weights. Padding must have no part in the largest score either.",
    ),
]

# --- 17.4 Build: an attention layer ---------------------------------------------------------------


def additive(query, states, real, W_q, W_k, v):
    return additive_with(query, states, real, W_q, W_k, v)


def additive_with(query, states, real, W_q, W_k, v, *, act=np.tanh, axis=1, after=False, of=None):
    """`axis`: the softmax's; `after`: mask after it; `of`: what is averaged."""
    keys = states @ W_k
    scores = act((query @ W_q)[:, None] + keys) @ v
    if axis == 0:
        weights = np.where(real, softmax(np.where(real, scores, -1e9), 0), 0.0)
    elif after:
        weights = softmax(scores) * real
    else:
        weights = masked(scores, real)
    what = of(states, keys) if of else states
    return np.einsum("bs,bsd->bd", weights, what), weights


def additive_unmasked(query, states, real, W_q, W_k, v):
    return additive_with(query, states, np.ones_like(real), W_q, W_k, v)


def additive_overflow(query, states, real, W_q, W_k, v):
    e = np.exp(np.tanh((query @ W_q)[:, None] + states @ W_k) @ v) * real
    weights = e / e.sum(1, keepdims=True)
    return np.einsum("bs,bsd->bd", weights, states), weights


def additive_tanh_late(query, states, real, W_q, W_k, v):
    return additive_with(query, states, real, W_q, W_k, v, act=lambda x: x)


def additive_scores(query, states, real, W_q, W_k, v):
    scores = np.tanh((query @ W_q)[:, None] + states @ W_k) @ v * real
    return np.einsum("bs,bsd->bd", scores, states), scores


def additive_einsum(query, states, real, W_q, W_k, v):
    pairs = np.einsum("bq,qa->ba", query, W_q)[:, None] + np.einsum("bsd,da->bsa", states, W_k)
    scores = np.where(real, np.einsum("bsa,a->bs", np.tanh(pairs), v), -np.inf)
    e = np.exp(scores - np.maximum(scores.max(1), -1e9)[:, None])
    weights = np.divide(e, e.sum(1)[:, None], out=np.zeros_like(e), where=real)
    return np.einsum("bs,bsd->bd", weights, states), weights


def additive_loops(query, states, real, W_q, W_k, v):
    contexts, rows = np.zeros((len(query), states.shape[2])), np.zeros(real.shape)
    for b in range(len(query)):
        words = states[b][real[b]]
        if len(words):
            rows[b, real[b]] = softmax(np.tanh(query[b] @ W_q + words @ W_k) @ v)
            contexts[b] = rows[b, real[b]] @ words
    return contexts, rows


def additive_stacked(query, states, real, W_q, W_k, v):
    S = states.shape[1]
    both = np.concatenate([np.repeat(query[:, None], S, 1), states], axis=-1)
    scores = (np.tanh(both @ np.vstack([W_q, W_k])) * v).sum(-1)
    scores = np.where(real, scores, -1e30)
    e = np.exp(scores - np.max(scores, axis=1, keepdims=True)) * real
    weights = e / np.maximum(e.sum(1, keepdims=True), 1e-300)
    return (weights[:, :, None] * states).sum(1), weights


def inputs_4(rng):
    cases = []
    for B, S, Q, D, A, size in ((3, 5, 4, 6, 7, 1), (4, 4, 5, 5, 3, 2), (2, 6, 3, 2, 4, 900)):
        query, states = rng.normal(size=(B, Q)), rng.normal(size=(B, S, D))
        W_q, W_k = rng.normal(size=(Q, A)), rng.normal(size=(D, A))
        v = size * rng.normal(size=A)
        real = some_real(rng, B, S, empty=size > 1)
        cases.append((query, states, real, W_q, W_k, v))
    query, states = rng.normal(size=(3, 4)), rng.normal(size=(3, 5, 4))  # A = D: keys fit, too
    W_q, W_k, v = rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    return [*cases, (query, states, some_real(rng, 3, 5), W_q, W_k, v)]


additive_mistakes = [
    Mistake(
        additive_unmasked,
        "The mask is missing: padding gets weight.",
    ),
    Mistake(
        lambda *a: additive_with(*a, after=True),
        "You mask after the softmax. The weights of the words no longer sum to one.",
    ),
    Mistake(
        lambda *a: additive_with(*a, axis=0),
        "Your softmax runs over the sentences of the batch. It must run over the words of one "
        "sentence.",
    ),
    Mistake(
        additive_tanh_late,
        "The tanh is missing. Without it the query adds the same number to every score, and has "
        "no say in the weights.",
    ),
    Mistake(
        additive_scores,
        "You use the scores as weights. The softmax over the words is missing.",
    ),
    Mistake(
        additive_overflow,
        "Large scores overflow. Subtract the largest score before the exponential; and think of a "
        "sentence without any word.",
    ),
    Mistake(
        lambda *a: additive_with(*a, of=lambda states, keys: keys),
        "You average the projected states, W_k h. They serve the comparison only: the context is "
        "the weighted mean of the states themselves.",
    ),
    Mistake(
        lambda *a: additive_with(*a, act=lambda x: np.tanh(x) / np.sqrt(x.shape[-1])),
        "You divide the scores by the root of A. Bahdanau's score is not divided; that is the "
        "Transformer's.",
    ),
]

# --- 17.5 Build: many heads -----------------------------------------------------------------------


def multi_head(x, W_q, W_k, W_v, W_o, heads, causal):
    return multi_head_with(x, W_q, W_k, W_v, W_o, heads, causal)


def split(z, heads):
    B, T, D = z.shape
    return z.reshape(B, T, heads, D // heads).transpose(0, 2, 1, 3)


def merge(z):
    B, H, T, K = z.shape
    return z.transpose(0, 2, 1, 3).reshape(B, T, H * K)


def multi_head_with(
    x, W_q, W_k, W_v, W_o, heads, causal, *, cut=split, join=merge, scale=None, triangle=np.tril
):
    q, k, v = (cut(x @ W, heads) for W in (W_q, W_k, W_v))
    scores = q @ k.transpose(0, 1, 3, 2) / (scale(x, heads) if scale else np.sqrt(q.shape[-1]))
    if causal:
        keep = triangle(np.ones((x.shape[1], x.shape[1]), dtype=bool))
        scores = np.where(keep, scores, -1e9)
    weights = softmax(scores)
    return join(weights @ v) @ W_o, weights


def split_wrong(z, heads):
    B, T, D = z.shape
    return z.reshape(B, heads, T, D // heads)


def split_strided(z, heads):
    B, T, D = z.shape
    return z.reshape(B, T, D // heads, heads).transpose(0, 3, 1, 2)


def merge_wrong(z):
    B, H, T, K = z.shape
    return z.reshape(B, T, H * K)


def multi_head_no_output(x, W_q, W_k, W_v, W_o, heads, causal):
    return multi_head_with(x, W_q, W_k, W_v, np.eye(len(W_o)), heads, causal)


def multi_head_one_by_one(x, W_q, W_k, W_v, W_o, heads, causal):
    width, contexts, maps = x.shape[-1] // heads, [], []
    for n in range(heads):
        own = slice(n * width, (n + 1) * width)
        q, k, v = x @ W_q[:, own], x @ W_k[:, own], x @ W_v[:, own]
        scores = q @ np.swapaxes(k, 1, 2) / width**0.5
        if causal:
            scores = scores + np.triu(np.full(scores.shape[1:], -1e9), 1)
        maps.append(softmax(scores))
        contexts.append(maps[-1] @ v)
    return np.concatenate(contexts, axis=-1) @ W_o, np.stack(maps, axis=1)


def multi_head_einsum(x, W_q, W_k, W_v, W_o, heads, causal):
    T, D = x.shape[1:]
    width = D // heads
    q, k, v = (np.einsum("btd,dhk->bthk", x, W.reshape(D, heads, width)) for W in (W_q, W_k, W_v))
    scores = np.einsum("bthk,bshk->bhts", q, k) / np.sqrt(width)
    if causal:
        scores[:, :, *np.triu_indices(T, 1)] = -np.inf
    weights = softmax(scores)
    contexts = np.einsum("bhts,bshk->bthk", weights, v)
    return np.einsum("bthk,hkd->btd", contexts, W_o.reshape(heads, width, D)), weights


def multi_head_summed(x, W_q, W_k, W_v, W_o, heads, causal):
    B, T, D = x.shape
    width, total, maps = D // heads, np.zeros((B, T, D)), np.zeros((B, heads, T, T))
    for b in range(B):
        for n in range(heads):
            own = np.arange(n * width, (n + 1) * width)
            q, k, v = (x[b] @ W for W in (W_q[:, own], W_k[:, own], W_v[:, own]))
            for t in range(T):
                seen = t + 1 if causal else T
                maps[b, n, t, :seen] = softmax(k[:seen] @ q[t] / np.sqrt(width))
            total[b] += maps[b, n] @ v @ W_o[own]
    return total, maps


def inputs_5(rng):
    cases = []
    for B, T, D, heads, causal in (
        (2, 4, 6, 3, False),
        (2, 5, 8, 2, True),
        (3, 3, 4, 4, False),
        (1, 6, 6, 2, True),
    ):
        matrices = [rng.normal(size=(D, D)) / np.sqrt(D) for _ in range(4)]
        cases.append((1.5 * rng.normal(size=(B, T, D)), *matrices, heads, causal))
    return cases


multi_head_mistakes = [
    Mistake(
        lambda *a: multi_head_with(*a, cut=split_wrong, join=merge),
        "You cut (B, T, D) into (B, heads, T, width) with one reshape. That mixes steps and "
        "features: split the last axis first, then move the axis of the heads forward.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a, cut=split_strided),
        "Your heads take every heads-th feature. A head owns a block of neighbouring columns.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a, join=merge_wrong),
        "You join the heads with one reshape of (B, heads, T, width). Move the axis of the heads "
        "back behind the steps first.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a, scale=lambda x, heads: np.sqrt(x.shape[-1])),
        "You divide by the root of the whole width. A score is a sum over the features of one "
        "head only.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a, scale=lambda x, heads: x.shape[-1] / heads),
        "You divide by the head's width. It is the root of it that brings the scores back to size "
        "one.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a, scale=lambda x, heads: 1.0),
        "The scores are not divided by the root of the head's width.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a, triangle=np.triu),
        "Your causal mask is upside down: step t sees the future and not the past.",
    ),
    Mistake(
        lambda *a: multi_head_with(*a[:-1], False),
        "The causal mask is missing.",
    ),
    Mistake(
        multi_head_no_output,
        "The last matrix W_o is missing: it mixes what the heads have found.",
    ),
]

# --- 17.6 Find the bug: whose mask? ---------------------------------------------------------------


def cross(queries, states, target_real, source_real):
    return cross_with(queries, states, target_real, source_real)


def cross_with(queries, states, target_real, source_real, *, mask="source", axis=2, scale=None):
    D = queries.shape[-1]
    scores = queries @ states.transpose(0, 2, 1) / (scale(D) if scale else np.sqrt(D))
    masks = {
        "source": source_real[:, None, :],
        "target": target_real[:, None, :],
        "rows": target_real[:, :, None],
        "both": target_real[:, :, None] & source_real[:, None, :],
    }
    weights = softmax(np.where(masks[mask], scores, -1e9), axis)
    return weights @ states, weights


def cross_faulty(queries, states, target_real, source_real):
    return cross_with(queries, states, target_real, source_real, mask="target", axis=1)


def cross_loops(queries, states, target_real, source_real):
    weights = np.zeros((*queries.shape[:2], states.shape[1]))
    for b, t in np.ndindex(*queries.shape[:2]):
        keep = source_real[b]
        weights[b, t, keep] = softmax(states[b, keep] @ queries[b, t] / queries.shape[-1] ** 0.5)
    return np.einsum("bts,bsd->btd", weights, states), weights


def inputs_6(rng):
    cases = []
    for B, T, D in ((2, 4, 3), (3, 5, 4), (2, 3, 6)):
        queries, states = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, D))
        source = some_real(rng, B, T, empty=False)
        target = some_real(rng, B, T, empty=False)
        target[0, -1:] = False  # the full source has a shorter target
        cases.append((2 * queries, states, target, source[::-1].copy()))
    return cases


cross_mistakes = [
    Mistake(
        cross_faulty,
        "That is the faulty code. Print the sums of the weights over either axis, and the weights "
        "at padding.",
    ),
    Mistake(
        lambda *a: cross_with(*a, axis=1),
        "The mask is right now. But the weights of a query over the words do not sum to one: "
        "along which axis does the softmax run?",
    ),
    Mistake(
        lambda *a: cross_with(*a, mask="target"),
        "The softmax is right now. But padding in the source still gets weight: whose mask stands "
        "on the last axis of the scores?",
    ),
    Mistake(
        lambda *a: cross_with(*a, mask="rows"),
        "You hide the rows of the target's padding, and the source's padding still gets weight. "
        "The mask of the queries has no place in the softmax; their loss is masked later.",
    ),
    Mistake(
        lambda *a: cross_with(*a, mask="both"),
        "You mask source and target. A query at padding then has nothing to look at, and averages "
        "all words and padding. Give it the words; its loss is masked later.",
    ),
    Mistake(
        lambda *a: cross_with(*a, scale=lambda D: D),
        "You divide by D where the code divides by its root: that was no bug.",
    ),
]

EXERCISES = [
    Exercise(
        "17.1",
        products,
        inputs_1,
        products_mistakes,
        [
            "Take it apart: what is done once a word, what once a query, what for every pair?",
            "The context costs S · D for each query, whatever the score. For the additive score, "
            "W_q q is done T times, W_k h S times, and the product with v T · S times.",
        ],
    ),
    Exercise(
        "17.2",
        effect,
        inputs_2,
        effect_mistakes,
        [
            "Write the weights as exp(score) over the sum of all exp(score). Which changes cancel?",
            "The context is the sum of weight times value. It may stay although things move, and "
            "change although the weights stay.",
        ],
    ),
    Exercise(
        "17.3",
        attend,
        inputs_3,
        attend_mistakes,
        [
            "Which number, put in the place of a score, makes its weight 0?",
            "`np.where(real[:, None], scores, -1e9)` before the softmax; then look at a sentence "
            "without any word.",
        ],
        points=2,
    ),
    Exercise(
        "17.4",
        additive,
        inputs_4,
        additive_mistakes,
        [
            "Follow the shapes: (B, A) for the query, (B, S, A) for the keys, (B, S) for the "
            "scores and the weights, (B, D) for the context.",
            "`(query @ W_q)[:, None] + states @ W_k`; tanh; `@ v`; hide the padding; subtract the "
            "row's largest score, exponentials, divide; `np.einsum('bs,bsd->bd', ...)`.",
        ],
        points=3,
    ),
    Exercise(
        "17.5",
        multi_head,
        inputs_5,
        multi_head_mistakes,
        [
            "First one head: a head owns the columns n · width to (n + 1) · width of W_q, W_k and "
            "W_v. Then put the heads side by side.",
            "`z.reshape(B, T, heads, width).transpose(0, 2, 1, 3)` cuts; the same transpose and "
            "`reshape(B, T, D)` join. `np.tril` keeps the present and the past.",
        ],
        points=3,
    ),
    Exercise(
        "17.6",
        cross,
        inputs_6,
        cross_mistakes,
        [
            "There are two bugs. Each shows in the printed lines, one by one.",
            "The last axis of the scores belongs to the source. Mask and softmax work along it.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "17.3": [attend_words_only, attend_sentence_by_sentence, attend_mended_nan],
    "17.4": [additive_einsum, additive_loops, additive_stacked],
    "17.5": [multi_head_one_by_one, multi_head_einsum, multi_head_summed],
    "17.6": [cross_loops],
}
