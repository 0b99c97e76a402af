"""Exercises of lesson 16: right solutions, and the mistakes that people make.

Tokens are integers. In 16.3 and 16.6 they are 0 for padding, 1 for <s> and 2 for </s>. In 16.4
token 0 is </s>, and a model is a list of tables: `tables[t][prefix]` holds the log-probabilities of
the next token after a prefix of t tokens.
"""

import collections
import heapq

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

PAD, START, END = 0, 1, 2

# --- 16.1 Predict: what a beam looks at -----------------------------------------------------------


def candidates(tokens, width, length):
    return sum(min(width, tokens**t) * tokens for t in range(length))


def inputs_1(rng):
    many = [(int(rng.integers(3, 40)), int(rng.integers(2, 12)), int(rng.integers(3, 9)))]
    many += [(int(rng.integers(2, 5)), int(rng.integers(20, 90)), int(rng.integers(4, 7)))]
    return [*many, (34, 4, 8), (34, 1, 8), (3, 1000, 5), (10, 10, 1), (10, 4, 2)]


candidates_mistakes = [
    Mistake(
        lambda tokens, width, length: width * tokens * length,
        "You extend `width` prefixes in the first step as well. At the beginning there is one.",
    ),
    Mistake(
        lambda tokens, width, length: tokens + (length - 1) * width * tokens,
        "The first step has one prefix, and you saw it. But a wide beam is not full after one "
        "step either: how many prefixes of t tokens are there?",
    ),
    Mistake(
        lambda tokens, width, length: tokens**length,
        "That is every sequence there is. The beam cuts all but `width` prefixes after each step.",
    ),
    Mistake(
        lambda tokens, width, length: sum(min(width, tokens**t) for t in range(1, length + 1)),
        "You count the prefixes that survive. Each of them was chosen among all its extensions.",
    ),
    Mistake(
        lambda tokens, width, length: tokens * width**length,
        "You let every survivor have `width` survivors of its own. They all compete for the same "
        "`width` places.",
    ),
]

# --- 16.2 Predict: the penalty for short translations ---------------------------------------------


def penalty(translated, wanted):
    return float(np.exp(min(0.0, 1 - sum(wanted) / sum(translated))))


def inputs_2(rng):
    cases = []
    for low, high in ((1, 4), (4, 8), (2, 12)):
        wanted = rng.integers(4, 9, size=5)
        translated = np.maximum(1, wanted + rng.integers(low, high, size=5) - 5)
        cases.append((translated.tolist(), wanted.tolist()))
    return [*cases, ([4, 12], [8, 8]), ([12, 4], [8, 5]), ([3], [6]), ([9, 9], [4, 4])]


penalty_mistakes = [
    Mistake(
        lambda h, r: float(np.mean([np.exp(min(0, 1 - b / a)) for a, b in zip(h, r, strict=True)])),
        "You punish each sentence and take the mean. BLEU compares the two *sums* of lengths: a "
        "long sentence makes up for a short one.",
    ),
    Mistake(
        lambda h, r: float(np.exp(1 - sum(r) / sum(h))),
        "You reward translations that are too long. The penalty is 1 for them: their extra words "
        "already lower the precisions.",
    ),
    Mistake(
        lambda h, r: float(np.exp(min(0.0, 1 - sum(h) / sum(r)))),
        "The two lengths are exchanged: you punish long translations and let the short ones go.",
    ),
    Mistake(
        lambda h, r: float(min(1.0, sum(h) / sum(r))),
        "You use the ratio of the lengths itself. The penalty is exponential: exp(1 - R/H).",
    ),
]

# --- 16.3 Modify: greedy decoding that stops ------------------------------------------------------


def greedy(logp, length):
    return greedy_with(logp, length)


def greedy_with(logp, length, *, stop=all, keep_end=True, after=True, choose=None, early=True):
    """`stop`: when to leave the loop; `after`: whether padding follows </s>; `choose`: tokens."""
    n = len(logp)
    last, running = np.full(n, START), np.ones(n, dtype=bool)
    rows, steps = np.full((n, length), PAD), 0
    for t in range(length):
        scores = logp[np.arange(n), last]
        last = choose(scores) if choose else scores.argmax(axis=1)
        shown = np.where(running, last, PAD) if after else last
        rows[:, t] = shown if keep_end else np.where(shown == END, PAD, shown)
        running &= last != END
        steps += 1
        if early and stop(~running):
            break
    return rows, steps


def greedy_stays(logp, length):
    """</s> is repeated to the end."""
    rows, steps = greedy(logp, length)
    ended = np.cumsum(rows == END, axis=1) > 0
    return np.where(ended, END, rows), steps


def choose_over_batch(scores):
    return np.resize(scores.argmax(axis=0), len(scores))


def inputs_3(rng):
    cases = []
    for n, tokens, length, ends in ((4, 6, 9, 2.0), (5, 7, 6, 0.5), (1, 5, 8, 1.5), (3, 6, 5, -30)):
        scores = rng.normal(size=(n, tokens, tokens))
        scores[:, :, :END] -= 30  # neither padding nor <s>
        scores[:, START, END] -= 30
        scores[:, 3:, END] += ends
        scores[-1, 3:, END] += 3 if ends > 0 else 0  # one that ends before the others
        cases.append((scores - np.log(np.exp(scores).sum(-1, keepdims=True)), length))
    early = cases[0][0].copy()
    early[:, 3:, END] = 5.0  # all end after one word
    return [*cases, (early, 9)]


greedy_mistakes = [
    Mistake(
        lambda *a: greedy_with(*a, early=False),
        "The tokens are right, but you run all the steps. Leave the loop when every sentence has "
        "ended, and count the steps really taken.",
    ),
    Mistake(
        lambda *a: greedy_with(*a, after=False, early=True),
        "A sentence goes on after its </s>, as long as another one is still running. Padding "
        "belongs there.",
    ),
    Mistake(
        lambda *a: greedy_with(*a, stop=any),
        "You stop as soon as the *first* sentence has ended, and cut the others off.",
    ),
    Mistake(
        lambda *a: greedy_with(*a, keep_end=False),
        "You write padding where </s> was said. Then a finished sentence cannot be told from one "
        "that was cut off.",
    ),
    Mistake(
        greedy_stays,
        "You repeat </s> up to the last step. It is said once; padding follows.",
    ),
    Mistake(
        lambda *a: greedy_with(*a, choose=choose_over_batch),
        "Your argmax runs over the sentences, not over the tokens. Which axis is which?",
    ),
]

# --- 16.4 Build: beam search ----------------------------------------------------------------------


def beam_search(tables, width):
    return beam_with(tables, width)


def beam_with(
    tables, width, *, end=True, finished="compete", rank=None, add=None, per_beam=None, order=-1
):
    """`rank`: what beams are sorted by; `finished`: compete, drop, or wait aside."""
    beams, aside = [(0.0, [])], []
    rank = rank or (lambda score, tokens: score)
    add = add or (lambda score, logp: score + logp)
    for table in tables:
        pool = []
        for score, tokens in beams:
            if end and 0 in tokens:
                if finished == "compete":
                    pool.append((score, tokens))
                continue
            logps = table[tuple(tokens)]
            new = [(add(score, logp), [*tokens, k]) for k, logp in enumerate(logps)]
            new.sort(key=lambda beam: -rank(*beam))
            pool += new[:per_beam]
        pool.sort(key=lambda beam: -rank(*beam))
        beams = pool[:width]
        if finished == "aside":
            aside += [beam for beam in beams if 0 in beam[1]]
            beams = [beam for beam in beams if 0 not in beam[1]]
    beams = sorted(beams + aside, key=lambda beam: order * rank(*beam))[:width]
    return pad_beams(beams, len(tables))


def pad_beams(beams, length):
    rows = np.full((len(beams), length), -1)
    for row, (_, tokens) in zip(rows, beams, strict=True):
        row[: len(tokens)] = tokens
    return np.array([score for score, _ in beams], dtype=float), rows


def beam_as_arrays(tables, width):
    length, tokens = len(tables), tables[0].shape[-1]
    rows, scores = np.full((1, length), -1), np.zeros(1)
    for t, table in enumerate(tables):
        done = (rows[:, :t] == 0).any(axis=1)
        total = np.full((len(rows), tokens), -np.inf)
        total[done, 0] = scores[done]
        for b in np.flatnonzero(~done):
            total[b] = scores[b] + table[tuple(rows[b, :t])]
        best = np.argsort(-total, axis=None, kind="stable")[:width]
        best = best[np.isfinite(total.ravel()[best])]
        parent, token = np.unravel_index(best, total.shape)
        scores = total.ravel()[best]
        rows = rows[parent]
        rows[:, t] = np.where(done[parent], -1, token)
    return scores, rows


def beam_by_heap(tables, width):
    beams = [(0.0, ())]
    for t in range(len(tables)):
        pool = [beam for beam in beams if beam[1] and beam[1][-1] == 0]
        for score, tokens in set(beams) - set(pool):
            pool += [(score + logp, (*tokens, k)) for k, logp in enumerate(tables[t][tokens])]
        beams = heapq.nlargest(width, pool)
    scores, sequences = zip(*beams, strict=True)
    return list(scores), [[*s, *[-1] * (len(tables) - len(s))] for s in sequences]


def beam_recursive(tables, width):
    def grow(beams, t):
        if t == len(tables):
            return beams
        longer = {}
        for tokens, score in beams.items():
            if tokens[-1:] == (0,):
                longer[tokens] = score
            else:
                longer |= {(*tokens, k): score + p for k, p in enumerate(tables[t][tokens])}
        kept = sorted(longer, key=longer.get, reverse=True)[:width]
        return grow({tokens: longer[tokens] for tokens in kept}, t + 1)

    best = grow({(): 0.0}, 0)
    filled = [np.pad(s, (0, len(tables) - len(s)), constant_values=-1) for s in best]
    return np.array(list(best.values())), np.array(filled)


def language(rng, tokens, length, ends):
    """Log-probabilities of random tables; `ends`: how likely </s> is."""
    tables = []
    for t in range(length):
        scores = rng.normal(scale=1.5, size=(tokens,) * (t + 1))
        scores[..., 0] += ends if t else -3
        tables.append(scores - np.log(np.exp(scores).sum(-1, keepdims=True)))
    return tables


def inputs_4(rng):
    cases = [(language(rng, 4, 4, 0.5), 3), (language(rng, 3, 5, 1.0), 4)]
    cases += [(language(rng, 5, 4, 0.0), 2), (language(rng, 4, 4, 1.0), 1)]
    cases += [(language(rng, 4, 5, 1.2), 2) for _ in range(6)]
    return [*cases, (language(rng, 3, 3, 0.0), 1000), (language(rng, 4, 5, 0.8), 5)]


beam_mistakes = [
    Mistake(
        lambda *a: beam_with(*a, end=False),
        "Your beams go on after </s>. A finished sequence keeps its score and its place in the "
        "competition, and is not extended.",
    ),
    Mistake(
        lambda *a: beam_with(*a, finished="drop"),
        "Finished sequences are lost in the next step. They stay in the competition.",
    ),
    Mistake(
        lambda *a: beam_with(*a, finished="aside"),
        "You set finished sequences aside and search on with fewer places. Here they keep a place "
        "in the beam as long as they are among the best.",
    ),
    Mistake(
        lambda *a: beam_with(*a, rank=lambda score, tokens: score / max(1, len(tokens))),
        "You rank by log-probability per token. That is length normalization, a choice that was "
        "not asked for: rank by the log-probability.",
    ),
    Mistake(
        lambda *a: beam_with(*a, per_beam=1),
        "Each beam keeps its own best extension only, so that after the first step nothing "
        "competes. The `width` best of *all* extensions survive.",
    ),
    Mistake(
        lambda *a: beam_with(*a, rank=lambda score, tokens: -score),
        "You keep the least probable ones. A log-probability near 0 is a large probability.",
    ),
    Mistake(
        lambda *a: beam_with(*a, add=lambda score, logp: logp),
        "You rank by the last token's log-probability alone. A sequence's is the sum over its "
        "tokens.",
    ),
    Mistake(
        lambda *a: beam_with(*a, add=lambda score, logp: score + np.exp(logp)),
        "You add probabilities. Probabilities are multiplied, so logarithms are added.",
    ),
    Mistake(
        lambda *a: beam_with(*a, order=1),
        "Right sequences, in the wrong order: the most probable comes first.",
    ),
]

# --- 16.5 Build: a smoothed BLEU ------------------------------------------------------------------


def bleu(translations, references):
    return bleu_with(translations, references)


def grams(tokens, n):
    return collections.Counter(tuple(tokens[k : k + n]) for k in range(len(tokens) - n + 1))


def clipped(have, want):
    return (have & want).total()


def geometric(right, total):
    return float(np.exp(np.log(right / total).mean())) if right.all() else 0.0


def short(translations, references):
    return penalty([len(t) for t in translations], [len(r) for r in references])


def bleu_with(
    translations,
    references,
    *,
    longest=4,
    match=clipped,
    mean=geometric,
    brevity=short,
    base="have",
    smooth=((0, 1, 1, 1), (0, 1, 1, 1)),
):
    right, total = np.array(smooth, float)[:, :longest]
    for translation, reference in zip(translations, references, strict=True):
        for n in range(1, longest + 1):
            have, want = grams(translation, n), grams(reference, n)
            right[n - 1] += match(have, want)
            total[n - 1] += (have if base == "have" else want).total()
    return 100 * mean(right, np.maximum(total, 1)) * brevity(translations, references)


def bleu_average(translations, references):
    pairs = zip(translations, references, strict=True)
    return float(np.mean([bleu([one], [other]) for one, other in pairs]))


def each_short(translations, references):
    pairs = zip(translations, references, strict=True)
    return float(np.mean([short([one], [other]) for one, other in pairs]))


def bleu_by_hand(translations, references):
    product = 1.0
    for n in (1, 2, 3, 4):
        right = total = int(n > 1)
        for translation, reference in zip(translations, references, strict=True):
            left = [tuple(reference[k : k + n]) for k in range(len(reference) - n + 1)]
            for k in range(len(translation) - n + 1):
                total += 1
                if tuple(translation[k : k + n]) in left:
                    left.remove(tuple(translation[k : k + n]))  # used up
                    right += 1
        if right == 0:
            return 0.0
        product *= right / total
    h, r = sum(len(t) for t in translations), sum(len(t) for t in references)
    return 100 * product**0.25 * (1.0 if h >= r else np.exp(1 - r / h))


def bleu_by_dicts(translations, references):
    logs = []
    for n in range(4):
        right, total = min(n, 1), min(n, 1)
        for pair in zip(translations, references, strict=True):
            counts = [{}, {}]
            for count, tokens in zip(counts, pair, strict=True):
                for k in range(len(tokens) - n):
                    gram = tuple(tokens[k : k + n + 1])
                    count[gram] = count.get(gram, 0) + 1
            right += sum(min(c, counts[1].get(gram, 0)) for gram, c in counts[0].items())
            total += sum(counts[0].values())
        if not right:
            return 0.0
        logs.append(np.log(right) - np.log(total))
    h, r = (sum(map(len, sentences)) for sentences in (translations, references))
    return 100 * float(np.exp(sum(logs) / 4 + min(0, 1 - r / h)))


def bleu_by_unique(translations, references):
    rows = []
    for n in range(1, 5):
        right = total = 0
        for t, r in zip(translations, references, strict=True):
            have = [tuple(gram) for gram in zip(*(t[k:] for k in range(n)), strict=False)]
            want = [tuple(gram) for gram in zip(*(r[k:] for k in range(n)), strict=False)]
            total += len(have)
            right += sum(min(have.count(gram), want.count(gram)) for gram in set(have))
        rows.append((right + (n > 1)) / (total + (n > 1)) if total or n > 1 else 0.0)
    size = np.array([[len(t), len(r)] for t, r in zip(translations, references, strict=True)])
    h, r = size.sum(axis=0)
    return 100 * np.prod(rows) ** 0.25 * min(1.0, np.exp(1 - r / h))


def inputs_5(rng):
    cases = []
    for change, cut in ((0.15, 0), (0.25, 1), (0.1, -1), (0.2, 1)):
        references = [rng.integers(0, 8, size=rng.integers(6, 13)) for _ in range(6)]
        translations = []
        for k, reference in enumerate(references):
            new = np.where(rng.random(len(reference)) < change, 7, reference).tolist()
            new = new[: len(new) - 2] if cut > 0 and k % 2 else new
            new += new[:3] if cut < 0 else []
            translations.append(new if k else [*new, new[-1], new[-1]])
        cases.append((translations, [r.tolist() for r in references]))
    return [
        *cases,
        ([[1, 2, 3]], [[1, 2, 3]]),
        ([[5, 5, 5, 5, 5], [1, 2, 3, 4]], [[5, 1, 2], [1, 2, 3, 4]]),
        ([[1, 2, 9, 3, 4]], [[1, 2, 3, 4]]),
        ([[1, 2, 3, 4]], [[5, 6, 7, 8, 9]]),
    ]


bleu_mistakes = [
    Mistake(
        lambda *a: bleu_with(*a, smooth=np.zeros((2, 4))),
        "This is the lesson's BLEU: nothing is smoothed.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, smooth=np.ones((2, 4))),
        "You smooth single tokens, too: a translation without one right token gets points.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, smooth=((0, 1, 1, 1), (0, 0, 0, 0))),
        "You add one to the matches only: a perfect translation would have a precision above 1.",
    ),
    Mistake(
        lambda t, r: bleu_with(t, r, smooth=2 * [[0, *3 * [len(t)]]]),
        "You add one for every sentence. It is added once, to the sums.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, match=lambda h, w: sum(c for g, c in h.items() if g in w)),
        "You do not clip: a token that is repeated ten times counts ten times. An n-gram counts at "
        "most as often as the reference has it.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, match=lambda h, w: len(h.keys() & w.keys())),
        "You count each n-gram once, even where the translation and the reference both have it "
        "twice. Count up to the smaller of the two numbers.",
    ),
    Mistake(
        bleu_average,
        "You average the BLEU of sentences. Corpus BLEU adds up the counts of all sentences first "
        "and divides once.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, brevity=lambda t, r: 1.0),
        "The brevity penalty is missing: whoever says only what is certain gets a perfect score.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, brevity=each_short),
        "You take the mean of the sentences' brevity penalties. It compares the total lengths.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, mean=lambda right, total: float((right / total).mean())),
        "You take the arithmetic mean of the four precisions. BLEU takes the geometric one.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, longest=1),
        "You count single tokens only, so that their order does not matter. Use n-grams up to 4.",
    ),
    Mistake(
        lambda *a: bleu_with(*a, base="want"),
        "You divide by the number of n-grams of the *reference*, which gives recall. BLEU's "
        "precisions divide by those of the translation.",
    ),
    Mistake(
        lambda *a: bleu(*a) / 100,
        "Your result lies between 0 and 1. It is asked for in percent.",
    ),
]

# --- 16.6 Find the bug: a loss that is too good ---------------------------------------------------


def forcing_pairs(target):
    return pairs_with(target)


def pairs_with(target, *, inputs=slice(None, -1), right=slice(1, None), real=None):
    wanted = target[:, right]
    return target[:, inputs], wanted, (wanted != PAD if real is None else real(target))


def inputs_6(rng):
    cases = []
    for n, longest in ((4, 6), (3, 9), (6, 4), (1, 5)):
        rows = np.zeros((n, longest + 2), dtype=int)
        for k, row in enumerate(rows):
            size = longest if k == 0 else int(rng.integers(1, longest))
            row[0], row[1 + size] = START, END
            row[1 : 1 + size] = rng.integers(3, 30, size=size)
        cases.append((np.pad(rows, ((0, 0), (0, int(rng.integers(0, 3))))),))
    return cases


pairs_mistakes = [
    Mistake(
        lambda target: pairs_with(target, right=slice(None, -1)),
        "What goes in is still what is wanted: a network that copies its input is perfect. What "
        "is wanted comes one step later.",
    ),
    Mistake(
        lambda target: pairs_with(target, inputs=slice(1, None), right=slice(None, -1)),
        "You shift the wrong way: the token *after* goes in, the one before is wanted.",
    ),
    Mistake(
        lambda target: pairs_with(target, real=lambda target: target[:, :-1] != PAD),
        "Your mask follows the inputs. It says one step too many: after </s>, padding is wanted.",
    ),
    Mistake(
        lambda target: pairs_with(target, real=lambda target: target[:, 1:] > END),
        "You do not count </s>. A network that is never trained to say it will never stop.",
    ),
    Mistake(
        lambda target: pairs_with(target, real=lambda target: np.ones_like(target[:, 1:], bool)),
        "You count the padding. A network then gets most of its score for saying nothing.",
    ),
    Mistake(
        lambda target: pairs_with(target, inputs=slice(1, None)),
        "The inputs and what is wanted are the same columns again, this time the later ones.",
    ),
    Mistake(
        lambda target: pairs_with(target, inputs=slice(None, None)),
        "The inputs have one step more than what is wanted. The last column has nothing to be "
        "followed by.",
    ),
]

EXERCISES = [
    Exercise(
        "16.1",
        candidates,
        inputs_1,
        candidates_mistakes,
        hints=[
            "Write down the first two steps for 3 tokens and a width of 2: which prefixes are "
            "extended, and by what?",
            "After t steps at most `width` prefixes are left, and there are not more than "
            "tokens ** t.",
        ],
    ),
    Exercise(
        "16.2",
        penalty,
        inputs_2,
        penalty_mistakes,
        hints=[
            "A translation that is too long is not punished here. What is the penalty then?",
            "Two sums: the tokens of all translations, and those of all references.",
        ],
    ),
    Exercise(
        "16.3",
        greedy,
        inputs_3,
        greedy_mistakes,
        hints=[
            "Keep an array of truth values that says which sentences are still running.",
            "Write first, then update `running`: so </s> itself is kept and what follows is not.",
        ],
        points=2,
    ),
    Exercise(
        "16.4",
        beam_search,
        inputs_4,
        beam_mistakes,
        hints=[
            "A beam is a score and a list of tokens. Begin with one: 0.0 and an empty list.",
            "In each step make one list of candidates: all extensions of the beams that run, and "
            "the finished ones as they are. Sort it, and keep `width`.",
        ],
        points=4,
    ),
    Exercise(
        "16.5",
        bleu,
        inputs_5,
        bleu_mistakes,
        hints=[
            "collections.Counter counts n-grams, and `one & other` takes the smaller counts.",
            "Four numbers of matches and four totals, summed over all sentences, before any "
            "division.",
        ],
        points=3,
    ),
    Exercise(
        "16.6",
        forcing_pairs,
        inputs_6,
        pairs_mistakes,
        hints=[
            "Write one row with its two marks under itself, moved by one step.",
            "The mask belongs to what is wanted: </s> counts, padding does not.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "16.4": [beam_as_arrays, beam_by_heap, beam_recursive],
    "16.5": [bleu_by_hand, bleu_by_dicts, bleu_by_unique],
}
