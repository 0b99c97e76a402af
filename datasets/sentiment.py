"""One-sentence film reviews from a small grammar, made so that no single word tells the verdict.

The polarity is drawn first: +1 for praise, -1 for blame. Then a template is drawn and filled in;
the choice of the template does not depend on the polarity. In a template

    A+  is an adjective of the sentence's own polarity,  A-  one of the opposite polarity;
    C+, C-  a clause,  P+, P-  a plain clause, of the same or of the opposite polarity;
    S, I, V  a subject, an intensifier (or nothing), "i hoped" and its like.

The numbers are weights, chosen so that A+ and A- are about equally frequent: an adjective stands
in praise as often as in blame. See sentiment.md for what is held out, and for the limits.
"""

import random

__all__ = ["generate"]

POSITIVE = """good great lovely charming brilliant funny moving clever warm gripping fresh elegant
    witty superb touching vivid tender polished wise joyful honest thrilling subtle radiant
    graceful inventive sincere lively rich memorable""".split()
NEGATIVE = """bad awful dull clumsy stupid boring cold weak stale ugly lazy terrible hollow messy
    bland sloppy shallow tedious fake dreary crude pompous noisy pointless bleak lifeless
    dishonest forced poor forgettable""".split()
WORDS = {
    "S": [f"the {x}" for x in "film plot acting story music ending script cast dialogue".split()],
    "I": ["", "", "very", "really", "quite", "rather", "truly"],
    "V": ["i hoped", "i feared", "they said", "critics claimed"],
}
PLAIN = {
    **dict.fromkeys(("S was I A+", "S seemed I A+", "S felt I A+", "S was always I A+"), 9),
    **dict.fromkeys(("S was simply I A+", "S turned out I A+"), 9),
    **dict.fromkeys(("S was not I A-", "S was never I A-", "S was hardly I A-"), 5),
    **dict.fromkeys(("S was far from I A-", "S was anything but I A-"), 5),
    **dict.fromkeys(("S was by no means I A-", "S was in no way I A-"), 5),
    **{"S was neither A- nor A-": 6, "S was not A- but A+": 5},
    **{"S was not only A+ but also A+": 6, "S was A+ and A+": 4},
}
CLAUSES = PLAIN | {"nobody could deny that P+": 2, "nobody could claim that P-": 2}
SENTENCES = {
    **{"C+": 30, "C+ and C+": 13, "C- , but C+": 15},
    **{"although C- , C+": 10, "C+ , even though C-": 10},
    **{"i expected it to be A- , but C+": 10, "critics called it A- , yet C+": 6},
    **{"V it would be A+ and it was": 3, "V it would be A- and it was not": 3},
}
SIZES = {"train": 6000, "validation": 1000}
SIZES |= dict.fromkeys(("same", "unseen_pairs", "unseen_adjectives"), 2000)
LIST = "S was A+ , A+ and A+ . S was A+"
TEMPLATES = {"C": CLAUSES, "P": PLAIN}
PLACES = [  # every place for an adjective: (template, number of the word)
    (template, n)
    for template in [*PLAIN, *SENTENCES, LIST]
    for n, token in enumerate(template.split())
    if token in ("A+", "A-")
]


def generate(seed=0, *, lists=0.65):
    """The corpus: `{"train": [(sentence, label), ...], ...}`, label 1 for praise and 0 for blame.

    Args:
        seed: integer; decides the sentences, and which adjectives and pairs are held out.
        lists: share of the unlabelled reviews that are lists of adjectives, such as
            "the film was warm , witty and funny . the cast was moving".

    Returns:
        A dict. Of (sentence, label): "train" (6,000), "validation" (1,000), "same" (2,000, more of
        what is in train), "unseen_pairs" (2,000, each adjective in a place of a template where
        train never has it; two neighbours such as "was dull" may be in train, from another
        template), "unseen_adjectives" (2,000, with 20 adjectives that train does not have). Of
        reviews: "unlabelled" (12,000, of two sentences, with all adjectives in all places).
    """
    rng = random.Random(seed)
    order = {1: rng.sample(POSITIVE, 30), -1: rng.sample(NEGATIVE, 30)}
    pools = {"train": {}, "unseen_pairs": {}, "unseen_adjectives": {}, "unlabelled": {}}
    for k, place in enumerate(PLACES):
        for sign, words in order.items():
            pools["unlabelled"][place, sign] = words
            pools["train"][place, sign] = [w for j, w in enumerate(words[:20]) if (j + k) % 5]
            pools["unseen_pairs"][place, sign] = words[k * 4 % 5 : 20 : 5]  # (j + k) % 5 == 0
            pools["unseen_adjectives"][place, sign] = words[20:]

    def write(template, sign, pool):
        """The template filled in; no adjective twice in one template."""
        out, used = [], set()
        for n, token in enumerate(template.split()):
            own = -sign if token[-1] == "-" else sign
            if token in ("A+", "A-"):
                token = rng.choice([w for w in pool[(template, n), own] if w not in used])
                used.add(token)
            elif token[0] in TEMPLATES:
                token = write(drawn(TEMPLATES[token[0]]), own, pool)
            elif token in WORDS:
                token = rng.choice(WORDS[token])
            if token:
                out.append(token)
        return " ".join(out)

    def drawn(templates):
        return rng.choices(list(templates), list(templates.values()))[0]

    seen, parts = set(), {}
    for part, size in SIZES.items():
        parts[part] = []
        while len(parts[part]) < size:
            label = len(parts[part]) % 2
            sentence = write(drawn(SENTENCES), 2 * label - 1, pools.get(part, pools["train"]))
            if sentence not in seen:  # so no sentence occurs twice, and none of a test in train
                seen.add(sentence)
                parts[part].append((sentence, label))

    parts["unlabelled"] = []
    for _ in range(12_000):
        sign, pool = rng.choice((1, -1)), pools["unlabelled"]
        if rng.random() < lists:
            parts["unlabelled"].append(write(LIST, sign, pool))
        else:
            both = write(drawn(SENTENCES), sign, pool), write(drawn(CLAUSES), sign, pool)
            parts["unlabelled"].append(" . ".join(both))
    return parts
