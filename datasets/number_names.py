"""Numbers in English words and in German pieces of words, as pairs to translate.

    54,327   fifty four thousand three hundred and twenty seven
             vier und fünfzig tausend drei hundert sieben und zwanzig

The names come from num2words, so they are right by construction. The German name, written as one
word, is cut into the 36 pieces that all such names consist of; joined, they give the name again.
"""

import re

import numpy as np
from num2words import num2words

PIECES = """null eins eine ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn
vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig
siebzig achtzig neunzig und hundert tausend millionen million""".split()
LONGEST_FIRST = re.compile("|".join(sorted(PIECES, key=len, reverse=True)))


def english(number):
    """The words of a number, a list: "thirty-two" gives two words."""
    return re.findall("[a-z]+", num2words(number))


def german(number):
    """The pieces of a number's name, a list."""
    name = num2words(number, lang="de").lower().replace(" ", "")
    pieces = LONGEST_FIRST.findall(name)
    assert "".join(pieces) == name, name
    return pieces


def draw(rng, digits):
    """A number of up to `digits` digits, each length equally likely; two in five have zeros."""
    length = int(rng.integers(1, digits + 1))
    number = int(rng.integers(10 ** (length - 1), 10**length))
    if length > 2 and rng.random() < 0.4:  # e.g. 54,327 to 54,300 or 54,000 or 27
        place = 10 ** (3 * int(rng.integers(0, (length + 2) // 3)))
        width = int(rng.choice([100, 1000]))
        number -= number // place % width * place
    return number or 1


def generate(digits=9, *, train=5000, test=1000, seed=0):
    """`train` and `test` different numbers: two lists of (number, English words, German pieces)."""
    for name, value, most in (("digits", digits, 9), ("train", train, None), ("test", test, None)):
        if not isinstance(value, int) or value < 1 or (most and value > most):
            rule = f"an integer from 1 to {most}" if most else "a positive integer"
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    if train + test > 10**digits // 4:
        raise ValueError(
            f"`train` + `test` must be at most a quarter of the numbers of {digits} digits. "
            f"Received: train={train}, test={test}"
        )
    rng, numbers = np.random.default_rng(seed), {}
    while len(numbers) < train + test:
        numbers[draw(rng, digits)] = None  # a dict keeps the order
    order = rng.permutation(np.array(list(numbers)))  # small numbers recur early: mix them
    pairs = [(int(n), english(int(n)), german(int(n))) for n in order]
    return pairs[:train], pairs[train:]
