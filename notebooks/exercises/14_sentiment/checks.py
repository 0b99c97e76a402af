"""Exercises of lesson 14: right solutions, and the mistakes that people make.

Word numbers are (batch, time), 0 is padding and stands after the words; features are (batch, time,
features). Sentences are strings with blanks between the words.
"""

from collections import Counter

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 14.1 Predict: the lowest loss ----------------------------------------------------------------


def lowest_loss(last, expects, K, q):
    return lowest_with(last, expects, K, q)


def lowest_with(last, expects, K, q, *, softmax=lambda K: np.log(1 + (K - 1) / np.e), blame=None):
    """`softmax`: the floor of a softmax applied twice; `blame`: that of the sigmoid at label 0."""
    if last == "none" or expects == "probabilities":
        return 0.0
    if last == "softmax":
        return softmax(K)
    praised = np.log(1 + 1 / np.e)
    return q * praised + (1 - q) * (np.log(2) if blame is None else blame)


def inputs_1(rng):
    q = float(rng.uniform(0.1, 0.4))
    cases = [("softmax", "logits", int(K), 0.5) for K in (2, rng.integers(3, 30), 1000)]
    cases += [("none", "logits", 7, 0.5), ("softmax", "probabilities", 5, 0.5)]
    cases += [("sigmoid", "probabilities", 2, q), ("sigmoid", "logits", 2, q)]
    return [*cases, ("sigmoid", "logits", 2, 1.0), ("sigmoid", "logits", 2, 0.0)]


lowest_mistakes = [
    Mistake(
        lambda *a: 0.0,
        "You let every perfect model reach 0. What does a softmax make of probabilities, which "
        "are never further apart than 1?",
    ),
    Mistake(
        lambda *a: lowest_with(*a, softmax=lambda K: np.log(1 + 1 / np.e)),
        "Your floor does not depend on the number of classes. Each wrong class, with probability "
        "0, still adds exp(0) to the sum.",
    ),
    Mistake(
        lambda *a: lowest_with(*a, softmax=lambda K: np.log(1 + K / np.e)),
        "You count the right class among the wrong ones: there are K - 1 of these.",
    ),
    Mistake(
        lambda *a: lowest_with(*a, softmax=np.log),
        "log K is the loss of a guess. The second softmax sees a 1 and K - 1 zeros, which are not "
        "all alike.",
    ),
    Mistake(
        lambda *a: lowest_with(*a, blame=np.log(1 + 1 / np.e)),
        "You give both labels of the sigmoid the same floor. At label 0 the first sigmoid says 0: "
        "what does the second make of it?",
    ),
    Mistake(
        lambda last, expects, K, q: lowest_loss(last, expects, K, 1 - q),
        "You exchanged the shares: q is the share of label 1.",
    ),
    Mistake(
        lambda *a: np.exp(-lowest_loss(*a)) if a[0] != "sigmoid" else lowest_loss(*a),
        "You return the probability of the right class. The loss is minus its logarithm.",
    ),
]

# --- 14.2 Modify: from the mean to the maximum ----------------------------------------------------


def masked_max(e, mask):
    return max_with(e, mask)


def max_with(e, mask, *, fill=-np.inf, axis=1, empty=0.0):
    kept = np.where(mask[:, :, None], e, fill).max(axis=axis)
    return np.where(np.isneginf(kept), empty, kept)


def inputs_2(rng):
    cases = []
    for B, T, D in ((3, 5, 4), (1, 3, 2), (4, 6, 3)):
        e = rng.normal(size=(B, T, D)) * 2
        e[:, :, 0] -= 6  # a feature that is below -1 at every word
        e[:, -1] += 9  # where there is padding, it is tempting
        lengths = rng.integers(1, T, B)
        cases.append((e, np.arange(T) < lengths[:, None]))
    e, mask = rng.normal(size=(3, 4, 2)), np.zeros((3, 4), bool)
    mask[0] = True
    mask[2, :1] = True
    return [*cases, (e, mask), (e - 1e4, mask)]


max_mistakes = [
    Mistake(
        lambda e, mask: e.max(axis=1),
        "You do not use the mask: the padding's numbers take part in the maximum.",
    ),
    Mistake(
        lambda e, mask: max_with(e, mask, fill=0.0),
        "Your padding counts as 0, which beats every negative number. In a sum a zero is "
        "harmless, in a maximum it is not.",
    ),
    Mistake(
        lambda e, mask: max_with(e, mask, fill=-1.0),
        "You fill the padding with -1, but features can be smaller. Which number is smaller than "
        "all others?",
    ),
    Mistake(
        lambda e, mask: max_with(e, mask, empty=-np.inf),
        "A row without any word gives -inf, and everything after it nan. The task says what such "
        "a row gives.",
    ),
    Mistake(
        lambda e, mask: max_with(e, mask, axis=2),
        "You take the maximum over the features. The axis of time is number 1.",
    ),
    Mistake(
        lambda e, mask: max_with(e, ~mask),
        "Your mask is the wrong way round: True is a word.",
    ),
    Mistake(
        lambda e, mask: np.abs(max_with(np.abs(e), mask)),
        "You take the largest absolute value. The greatest of -3 and 1 is 1.",
    ),
]

# --- 14.3 Build: counts of n-grams ----------------------------------------------------------------


def ngram_counts(train, test, n, least):
    return counts_with(train, test, n, least)


def all_grams(sentence, n, low=1, short=0):
    words = sentence.split()
    starts = {size: range(len(words) - size + 1 - short) for size in range(low, n + 1)}
    return [" ".join(words[k : k + size]) for size, places in starts.items() for k in places]


def counts_with(train, test, n, least, *, grams=all_grams, once=True, order=sorted, cap=None):
    """`once`: a feature counts once for each sentence; `cap`: the largest count."""
    frequency = Counter()
    for sentence in train:
        found = grams(sentence, n)
        frequency.update(list(dict.fromkeys(found)) if once else found)
    features = order([gram for gram, count in frequency.items() if count >= least])
    rows = [Counter(grams(sentence, n)) for sentence in test]
    table = [[row[feature] for feature in features] for row in rows]
    table = np.array(table).reshape(len(test), len(features))
    return features, np.minimum(table, cap) if cap else table


def counts_by_dict(train, test, n, least):
    seen = {}
    for k, sentence in enumerate(train):
        words = tuple(sentence.split())
        for start in range(len(words)):
            for stop in range(start + 1, min(start + n, len(words)) + 1):
                seen.setdefault(" ".join(words[start:stop]), set()).add(k)
    features = sorted(f for f in seen if len(seen[f]) >= least)
    place = {f: k for k, f in enumerate(features)}
    table = np.zeros((len(test), len(features)))
    for row, sentence in zip(table, test, strict=True):
        words = sentence.split()
        for start in range(len(words)):
            for size in range(1, n + 1):
                run = words[start : start + size]
                feature = " ".join(run)
                if len(run) == size and feature in place:
                    row[place[feature]] += 1
    return features, table


def counts_by_padding(train, test, n, least):
    def inside(feature, sentence):
        width = len(feature.split())
        words = sentence.split()
        windows = zip(*(words[k:] for k in range(width)), strict=False)
        return sum(" ".join(window) == feature for window in windows)

    candidates = {gram for sentence in train for gram in all_grams(sentence, n)}
    kept = [c for c in candidates if sum(inside(c, s) > 0 for s in train) >= least]
    kept.sort()
    return kept, np.array([[inside(f, s) for f in kept] for s in test]).reshape(len(test), -1)


def counts_by_unique(train, test, n, least):
    sets = [np.unique(all_grams(s, n)) for s in train]
    features, frequency = np.unique(np.concatenate(sets), return_counts=True)
    features = features[frequency >= least]
    table = np.zeros((len(test), len(features)), int)
    for k, sentence in enumerate(test):
        for gram in all_grams(sentence, n):
            table[k] += features == gram
    return features.tolist(), table


def counts_across(train, test, n, least):
    """Runs that begin in one sentence may go on into the next."""
    following = [*train[1:], ""]
    longer = [" ".join([s, *f.split()[: n - 1]]) for s, f in zip(train, following, strict=True)]
    features = counts_with(longer, test, n, least)[0]
    rows = [Counter(all_grams(s, n)) for s in test]
    return features, np.array([[row[f] for f in features] for row in rows])


def counts_in_text(train, test, n, least):
    """Features are looked for in the text of a sentence, not among its words."""
    features = ngram_counts(train, test, n, least)[0]
    table = [[sentence.count(feature) for feature in features] for sentence in test]
    return features, np.array(table).reshape(len(test), len(features))


def inputs_3(rng):
    nouns, verbs, ends = ("film", "plot"), ("was", "seemed"), ("good", "dull", "far from dull")
    cases = []
    for n, least in ((1, 1), (2, 2), (3, 2), (3, 1)):

        def sentence():
            noun, verb, end = (rng.choice(x) for x in (nouns, verbs, ends))
            text = f"the {noun} {verb} not {end} but {rng.choice(ends)}"
            return f"{text} and the {rng.choice(nouns)}" if rng.random() < 0.5 else text

        train = [sentence() for _ in range(5)]
        train[0] = "the plot plot plot was rare rare art"
        train[1] += " in part"
        test = [sentence(), "the new ending was good good good", "a word"]
        test.append("the plot plot plot apart the film was heartless")
        cases.append((train, test, n, least))
    return cases


counts_mistakes = [
    Mistake(
        lambda train, test, n, least: counts_with(
            train, test, n, least, grams=lambda s, n: all_grams(s, n, low=n)
        ),
        "You take runs of exactly n words only. All the shorter ones are features as well.",
    ),
    Mistake(
        lambda train, test, n, least: counts_with([*train, *test], test, n, least),
        "Your features come from the test sentences, too. That is a leak: the test has to be "
        "counted with what training knew.",
    ),
    Mistake(
        lambda *a: counts_with(*a, once=False),
        "You count how often a run occurs. `least` is the number of training *sentences* that "
        "have it, however often.",
    ),
    Mistake(
        lambda *a: counts_with(*a, order=list),
        "Your features are in the order in which they were met. They are sorted.",
    ),
    Mistake(
        lambda *a: counts_with(*a, cap=1),
        "You note only whether a feature occurs. The table counts how often.",
    ),
    Mistake(
        lambda train, test, n, least: counts_with(train, test, n, least + 1),
        "A feature that exactly `least` sentences have is kept.",
    ),
    Mistake(
        lambda *a: counts_with(*a, grams=lambda s, n: all_grams(s, n, short=1)),
        "You miss the last run of each size: in m words there are m - size + 1 of them.",
    ),
    Mistake(
        counts_across,
        "Some of your runs begin in one sentence and end in the next.",
    ),
    Mistake(
        counts_in_text,
        'You look for a feature in the text of the sentence: `count` finds "art" in "apart", and '
        '"plot plot" once in "plot plot plot". Compare whole words.',
    ),
]

# --- 14.4 Build: the averaging network ------------------------------------------------------------


def praise(sentences, words, table, W, b, w, c):
    return praise_with(sentences, words, table, W, b, w, c)


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


def praise_with(
    sentences,
    words,
    table,
    W,
    b,
    w,
    c,
    *,
    shift=1,
    unknown=None,
    once=False,
    divide=None,
    last=None,
):
    """`unknown`: row of an unknown word, None to skip it; `last`: of the pre-activation, w and c.

    `divide`: by what, as a function of the numbers of known, of all and of most words.
    """
    place = {word: k + shift for k, word in enumerate(words)}
    longest, results = max(len(s.split()) for s in sentences), []
    for sentence in sentences:
        said = list(dict.fromkeys(sentence.split())) if once else sentence.split()
        rows = [place.get(word, unknown) for word in said]
        rows = [k for k in rows if k is not None]
        by = divide(len(rows), len(said), longest) if divide else len(rows)
        a = table[rows].sum(axis=0) / max(by, 1) @ W + b
        results.append(last(a, w, c) if last else sigmoid(np.maximum(a, 0) @ w + c))
    return np.array(results)


def praise_by_counts(sentences, words, table, W, b, w, c):
    counts = np.array([[s.split().count(word) for word in words] for s in sentences], float)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    a = counts / total @ table[1:] @ W + b
    return 1 / (1 + np.exp(-(a.clip(0) @ w + c)))


def praise_by_padding(sentences, words, table, W, b, w, c):
    number = dict(zip(words, range(1, len(words) + 1), strict=True))
    found = [[number[x] for x in s.split() if x in number] for s in sentences]
    rows = np.zeros((len(found), max(1, *map(len, found))), int)
    for row, one in zip(rows, found, strict=True):
        row[: len(one)] = one
    mask = (rows > 0)[:, :, None]
    mean = (table[rows] * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
    z = np.einsum("bh,h->b", np.where(mean @ W + b > 0, mean @ W + b, 0), w) + c
    return 0.5 * (1 + np.tanh(z / 2))


def praise_one_by_one(sentences, words, table, W, b, w, c):
    out = []
    for sentence in sentences:
        total, known = np.zeros(len(W)), 0
        for word in sentence.split():
            if word in words:
                total = total + table[words.index(word) + 1]
                known += 1
        hidden = np.maximum((total / known if known else total) @ W + b, 0)
        out.append(1 / (1 + np.exp(-hidden @ w - c)))
    return out


def inputs_4(rng):
    words = ["but", "dull", "film", "good", "not", "the", "was", "witty"]
    groups = [
        ["the film was good", "not witty", "the film was not dull but the plot was good good"],
        ["the film was was was odd", "good"],
        ["nobody knows", "the witty witty film was dull but not good"],
        ["good film", "film good", "not not not good unknown words here"],
    ]
    cases = []
    for sentences in groups:
        D, H = 4, 5
        table = rng.normal(size=(len(words) + 1, D)) * 2
        weights = rng.normal(size=(D, H)), rng.normal(size=H), rng.normal(size=H), rng.normal()
        cases.append((sentences, words, table, *weights))
    return cases


praise_mistakes = [
    Mistake(
        lambda *a: praise_with(*a, shift=0),
        "Your words are one row too high: row 0 of the table belongs to the padding.",
    ),
    Mistake(
        lambda *a: praise_with(*a, unknown=0),
        "You give unknown words the row of the padding. They are left out, as if they were not "
        "there.",
    ),
    Mistake(
        lambda *a: praise_with(*a, divide=lambda known, all, longest: all),
        "You divide by the number of all words. Unknown words are left out of the count as well.",
    ),
    Mistake(
        lambda *a: praise_with(*a, divide=lambda known, all, longest: longest),
        "You divide by the length of the longest sentence: your mean goes over the padding.",
    ),
    Mistake(
        lambda *a: praise_with(*a, divide=lambda known, all, longest: 1),
        "You add the embeddings and do not divide: long sentences get long vectors.",
    ),
    Mistake(
        lambda *a: praise_with(*a, once=True),
        "You count a word once however often it occurs. The mean goes over the words of the "
        "sentence, repeated ones too.",
    ),
    Mistake(
        lambda *a: praise_with(*a, last=lambda a, w, c: sigmoid(a @ w + c)),
        "There is no relu: without it the network is linear in the mean.",
    ),
    Mistake(
        lambda *a: praise_with(*a, last=lambda a, w, c: np.maximum(a, 0) @ w + c),
        "You return logits. A probability is wanted: what comes after the last layer?",
    ),
    Mistake(
        lambda *a: sigmoid(praise(*a)),
        "Your sigmoid is applied twice: all your probabilities lie between 0.5 and 0.73.",
    ),
]

# --- 14.5 Find the bug: the loss with a floor -----------------------------------------------------


def softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def loss_and_gradient(logits, labels):
    return loss_with(logits, labels)


def loss_with(logits, labels, *, twice=False, slope=None, total=False, sign=-1.0):
    """`twice`: softmax applied again in the loss; `slope`: function of p and one-hot labels."""
    B, K = logits.shape
    p, y = softmax(logits), np.eye(K)[labels]
    logs = log_softmax(p) if twice else log_softmax(logits)
    loss = sign * (logs * y).sum() / (1 if total else B)
    return loss, slope(p, y) if slope else (p - y) / B


def slope_of_both(p, y):
    g = softmax(p) - y  # with respect to p; then through the first softmax
    return p * (g - (g * p).sum(axis=1, keepdims=True)) / len(p)


def loss_by_exponentials(logits, labels):
    """log of the softmax itself, which is log 0 for a confident error."""
    p = softmax(logits)
    with np.errstate(divide="ignore"):
        return -np.log(p[np.arange(len(p)), labels]).mean(), loss_with(logits, labels)[1]


def loss_by_margins(logits, labels):
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    margins = logits - own  # (batch, classes); 0 at the right class
    highest = margins.max(axis=1, keepdims=True)
    loss = (highest[:, 0] + np.log(np.exp(margins - highest).sum(axis=1))).mean()
    gradient = softmax(logits)
    gradient[np.arange(len(labels)), labels] -= 1
    return loss, gradient / len(labels)


def loss_row_by_row(logits, labels):
    losses, gradients = [], []
    for z, label in zip(logits, labels, strict=True):
        norm = np.logaddexp.reduce(z)
        losses.append(norm - z[label])
        gradients.append(np.exp(z - norm) - np.eye(len(z))[label])
    return np.mean(losses), np.array(gradients) / len(losses)


def loss_transposed(logits, labels):
    logs = log_softmax(logits)
    picked = np.einsum("bk,bk->", logs, np.eye(logits.shape[1])[labels])
    return -picked / len(logits), (np.exp(logs) - np.eye(logits.shape[1])[labels]) / len(logits)


def inputs_5(rng):
    cases = [
        (rng.normal(size=(B, K)) * s, rng.integers(0, K, B))
        for B, K, s in ((4, 2, 1.0), (3, 5, 3.0), (6, 3, 10.0))
    ]
    return [*cases, (np.array([[1000.0, 0.0], [0.0, 3.0]]), np.array([1, 1]))]


loss_mistakes = [
    Mistake(
        lambda *a: loss_with(*a, twice=True),
        "The softmax is still there twice. Print the loss of the logits (50, 0) with label 0.",
    ),
    Mistake(
        lambda *a: loss_with(*a, twice=True, slope=slope_of_both),
        "Now the gradient fits the loss, but the loss still has two softmaxes in it: you mended "
        "the half that was right.",
    ),
    Mistake(
        loss_by_exponentials,
        "One softmax, but its logarithm is inf where the right class got probability 0 by "
        "rounding. Take the logarithm of the formula instead.",
    ),
    Mistake(
        lambda *a: loss_with(*a, total=True),
        "Your loss is a sum over the batch, and your gradient that of the mean.",
    ),
    Mistake(
        lambda *a: loss_with(*a, slope=lambda p, y: p - y),
        "Your gradient is that of the sum over the batch, and the loss is a mean.",
    ),
    Mistake(
        lambda *a: loss_with(*a, slope=lambda p, y: (y - p) / len(p)),
        "Your gradient points down the hill: it is the negative of the right one.",
    ),
    Mistake(
        lambda *a: loss_with(*a, sign=1.0),
        "Your loss is negative: the mean of the logarithms without the minus.",
    ),
]

# --- 14.6 Find the bug: the last column -----------------------------------------------------------


def verdicts(rows, table, W_x, W_h, b, w):
    return verdicts_with(rows, table, W_x, W_h, b, w)


def states(rows, table, W_x, W_h, b, *, carry=False, wipe=False):
    """All states (batch, time + 1, units), the first one 0."""
    h = np.zeros((len(rows), len(b)))
    found = [h]
    for t in range(rows.shape[1]):
        new = np.tanh(table[rows[:, t]] @ W_x + h @ W_h + b)
        word = (rows[:, t] > 0)[:, None]
        h = np.where(word, new, h if carry else np.zeros_like(h)) if carry or wipe else new
        found.append(h)
    return np.stack(found, axis=1)


def verdicts_with(rows, table, W_x, W_h, b, w, *, pick=None, shift=0):
    h = states(rows, table, W_x, W_h, b)
    lengths = (rows > 0).sum(axis=1)
    last = np.minimum(lengths + shift, rows.shape[1])
    return (pick(h, lengths) if pick else h[np.arange(len(rows)), last]) @ w


def verdicts_carried(rows, table, W_x, W_h, b, w):
    return states(rows, table, W_x, W_h, b, carry=True)[:, -1] @ w


def verdicts_one_by_one(rows, table, W_x, W_h, b, w):
    out = []
    for row in rows:
        h = np.zeros(len(b))
        for k in row[row > 0]:
            h = np.tanh(table[k] @ W_x + h @ W_h + b)
        out.append(h @ w)
    return out


def verdicts_moved(rows, table, W_x, W_h, b, w):
    """The words moved to the right, and the state kept at 0 until the first of them."""
    B, T = rows.shape
    lengths = (rows > 0).sum(axis=1)
    h = np.zeros((B, len(b)))
    for t in range(T):
        k = t - (T - lengths)
        word = rows[np.arange(B), np.maximum(k, 0)]
        h = np.where((k >= 0)[:, None], np.tanh(table[word] @ W_x + h @ W_h + b), h)
    return np.dot(h, w)


def mean_state(h, lengths):
    mask = (np.arange(h.shape[1])[None] <= lengths[:, None]) & (np.arange(h.shape[1]) > 0)
    return (h * mask[:, :, None]).sum(axis=1) / np.maximum(lengths, 1)[:, None]


def inputs_6(rng):
    cases = []
    for lengths, T in (([5, 2, 4], 6), ([1, 3], 4), ([3, 0, 2, 3], 3), ([2, 2], 7)):
        D, N = 3, 4
        rows = rng.integers(1, 9, (len(lengths), T)) * (np.arange(T) < np.array(lengths)[:, None])
        weights = rng.normal(size=(D, N)), rng.normal(size=(N, N)) * 0.7, rng.normal(size=N)
        cases.append((rows, rng.normal(size=(9, D)), *weights, rng.normal(size=N)))
    return cases


verdicts_mistakes = [
    Mistake(
        lambda *a: verdicts_with(*a, pick=lambda h, lengths: h[:, -1]),
        "You still read the last column. In short sentences that is a state after padding.",
    ),
    Mistake(
        lambda *a: verdicts_with(*a, shift=1),
        "You read one step too late: the first padded step. The last word of a sentence of n "
        "words is in column n - 1.",
    ),
    Mistake(
        lambda *a: verdicts_with(*a, pick=lambda h, n: h[np.arange(len(h)), np.maximum(n - 1, 0)]),
        "You read one step too early: the last word is not in your state yet.",
    ),
    Mistake(
        lambda *a: verdicts_with(*a, pick=lambda h, lengths: h[:, lengths.max()]),
        "You read all sentences at the last word of the longest one.",
    ),
    Mistake(
        lambda rows, table, W_x, W_h, b, w: states(rows, table, W_x, W_h, b, wipe=True)[:, -1] @ w,
        "You set the state to 0 at padding and then read the last column. At padding the state "
        "must stay as it is.",
    ),
    Mistake(
        lambda *a: verdicts_with(*a, pick=mean_state),
        "You take the mean of the states. The state after the last word is wanted.",
    ),
    Mistake(
        lambda rows, table, W_x, W_h, b, w: verdicts_with(
            rows,
            np.where(np.arange(len(table))[:, None] > 0, table, 0),
            W_x,
            W_h,
            b,
            w,
            pick=lambda h, lengths: h[:, -1],
        ),
        "You make the padding's embedding 0. The state still moves at padding: W_h and b act at "
        "every step.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "14.1",
        lowest_loss,
        inputs_1,
        lowest_mistakes,
        [
            "What comes out of the last layer of a perfect model: 0s, 1s, infinities? Hand that "
            "to the loss, which makes its own softmax (or sigmoid) of it.",
            "A softmax of one 1 and K - 1 zeros gives e / (e + K - 1) to the right class. A "
            "sigmoid gives 1 / (1 + 1/e) at 1, and at 0?",
        ],
    ),
    Exercise(
        "14.2",
        masked_max,
        inputs_2,
        max_mistakes,
        [
            "What may stand at the padding so that it never wins? For the mean it was 0.",
            "`np.where(mask[:, :, None], e, -np.inf)`, and then think of rows without any word.",
        ],
        points=2,
    ),
    Exercise(
        "14.3",
        ngram_counts,
        inputs_3,
        counts_mistakes,
        [
            "Write a function that gives all runs of 1 to n words of one sentence. The rest is "
            "counting: once for the features, once for the table.",
            "For `least`, count the *set* of a sentence's runs. For the table, count the runs "
            "themselves.",
        ],
        points=3,
    ),
    Exercise(
        "14.4",
        praise,
        inputs_4,
        praise_mistakes,
        [
            "Word number k of `words`, counted from 0, is row k + 1 of the table.",
            "For each sentence: the rows of its known words, their mean (or zeros), a layer with "
            "relu, a layer with one number, a sigmoid.",
        ],
        points=3,
    ),
    Exercise(
        "14.5",
        loss_and_gradient,
        inputs_5,
        loss_mistakes,
        [
            "How often does an exponential act on the logits before the logarithm? What does "
            "`cross_entropy` expect: logits or probabilities?",
            "log softmax(z) at the right class is z of that class minus the logarithm of the sum "
            "of exp(z). Subtract the greatest z first.",
        ],
        points=2,
    ),
    Exercise(
        "14.6",
        verdicts,
        inputs_6,
        verdicts_mistakes,
        [
            "In which column is the last word of a sentence of n words? What happens to the state "
            "after it?",
            "Either remember all states and pick one for each row, or use `np.where` so that h "
            "does not move at padding.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "14.3": [counts_by_dict, counts_by_padding, counts_by_unique],
    "14.4": [praise_by_counts, praise_by_padding, praise_one_by_one],
    "14.5": [loss_by_margins, loss_row_by_row, loss_transposed],
    "14.6": [verdicts_carried, verdicts_one_by_one, verdicts_moved],
}
