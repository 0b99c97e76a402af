"""SimpleRNN, LSTM, GRU and MinGRU with equally many parameters, on tasks that tell them apart.

Lesson 07 reads the results. Three tasks: the adding problem at T = 100, handwritten digits row by
row (also at a smaller rate), and counting a^n b^n, trained to n = 10. On a fourth, the parity of
random bits, the GRU meets the MinGRU, whose gate does not see the state. Every network is one
recurrent layer and a Dense layer, trained by Adam with the gradient clipped to norm 1.
"""

import keras
import numpy as np
import tensorflow as tf

from course_utils.cells import MinGRUCell
from course_utils.datasets import load_digit_sequences
from course_utils.tasks import adding_problem

UNITS = {  # chosen so that the networks of a task have equally many parameters, within 2 %
    "adding": {"SimpleRNN": 57, "LSTM": 28, "GRU": 32, "MinGRU": 498},
    "digits": {"SimpleRNN": 57, "LSTM": 28, "GRU": 32, "MinGRU": 155},
    "counting": {"SimpleRNN": 17, "LSTM": 8, "GRU": 9, "MinGRU": 37},
    "parity": {"GRU": 12, "MinGRU": 95},
}
SHAPES = {"adding": (100, 2), "digits": (8, 8), "counting": (None, 3), "parity": (None, 1)}
OUTPUTS = {"adding": 1, "digits": 10, "counting": 3, "parity": 2}
STEPS = {"adding": 1500, "digits": 660, "counting": 1000, "parity": 500}
RUNS = [("counting", 1e-2, 5), ("parity", 1e-2, 3), ("digits", 1e-2, 3), ("digits", 3e-3, 3)]
RUNS += [("adding", 1e-2, 3)]
SETTINGS = [
    {"task": task, "cell": cell, "rate": rate, "seed": seed}
    for task, rate, seeds in RUNS
    for seed in range(seeds)
    for cell in UNITS[task]
]


def counting_strings(longest):
    """Inputs, next symbols and weights of a^n b^n for n = 1 ... longest (0: the ends, 1: a, 2: b).

    Shapes (longest, 2 longest + 1, 3), (longest, 2 longest + 1) and the same; weight 0 is padding.
    """
    symbols = np.zeros((longest, 2 * longest + 2), "int32")
    weights = np.zeros((longest, 2 * longest + 1), "float32")
    for n in range(1, longest + 1):
        symbols[n - 1, 1 : 2 * n + 1] = [1] * n + [2] * n
        weights[n - 1, : 2 * n + 1] = 1
    return np.eye(3, dtype="float32")[symbols[:, :-1]], symbols[:, 1:], weights


def parity_bits(rng, examples, length):
    """Random bits and, at every step, the parity of those so far."""
    bits = rng.integers(0, 2, (examples, length))
    return bits[..., None].astype("float32"), (bits.cumsum(axis=1) % 2).astype("int32")


def draw_batch(task, rng):
    """A function that returns inputs, targets and weights of one training step."""
    if task == "adding":
        return lambda: (*adding_problem(32, 100, seed=rng), np.float32(1))
    if task == "counting":
        strings = counting_strings(10)
        return lambda: strings
    if task == "parity":
        return lambda: (*parity_bits(rng, 64, 20), np.float32(1))
    (digits, labels), _ = load_digit_sequences("row")

    def draw():
        rows = rng.integers(0, len(digits), 64)
        return digits[rows].astype("float32"), labels[rows].astype("int32"), np.float32(1)

    return draw


def make_test(task, predict, seed):
    """A function that returns the score of the network: an error for adding, else a success."""
    if task == "adding":
        inputs, targets = adding_problem(2000, 100, seed=10_000 + seed)
        return lambda: float(np.mean((predict(inputs) - targets) ** 2))
    if task == "digits":
        _, (digits, labels) = load_digit_sequences("row")
        return lambda: float(np.mean(predict(digits.astype("float32")).argmax(-1) == labels))
    if task == "parity":
        inputs, targets = parity_bits(np.random.default_rng(10_000 + seed), 1000, 40)
        return lambda: float(np.mean(predict(inputs).argmax(-1) == targets))
    inputs, targets, weights = counting_strings(60)
    judged = (weights > 0) & (inputs[..., 2] > 0)  # from the first b on all is determined

    def counts_to():
        right = (predict(inputs).argmax(-1) == targets) | ~judged
        exact = right.all(axis=1)  # for n = 1, 2, ...
        return len(exact) if exact.all() else int(exact.argmin())

    return counts_to


def memory(cell, inputs):
    """The state of every step, (time, units), for one sequence: c of an LSTM, else h."""
    states, rows = cell.get_initial_state(batch_size=1), []
    states = states if isinstance(states, list) else [states]
    for x in inputs:
        _, states = cell(x[None], states)
        states = states if isinstance(states, list | tuple) else [states]
        rows.append(np.asarray(states[-1])[0].round(3).tolist())
    return rows


def run(task, cell, rate, seed):
    """Train one network; return its size, 20 scores along the way, and what it carries for n = 20.

    The adding problem stops early, at an error under 0.003.
    """
    keras.utils.set_random_seed(seed)
    units, sequences = UNITS[task][cell], task in ("counting", "parity")
    if cell == "MinGRU":
        recurrent = keras.layers.RNN(MinGRUCell(units), return_sequences=sequences)
    else:
        recurrent = getattr(keras.layers, cell)(units, return_sequences=sequences)
    head = keras.layers.Dense(OUTPUTS[task])
    model = keras.Sequential([keras.Input(SHAPES[task]), recurrent, head])
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def train_step(inputs, targets, weights):
        with tf.GradientTape() as tape:
            answers = model(inputs)
            if task == "adding":
                losses = (answers - targets) ** 2
            else:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, answers)
            loss = tf.reduce_sum(weights * losses) / tf.reduce_sum(weights * tf.ones_like(losses))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    compiled = tf.function(model)
    draw = draw_batch(task, np.random.default_rng(seed))
    score = make_test(task, lambda inputs: compiled(inputs).numpy(), seed)
    scores, checks = [], STEPS[task] // 20
    for step in range(1, STEPS[task] + 1):
        train_step(*draw())
        if step % checks == 0:
            scores.append(score())
            if task == "adding" and scores[-1] < 0.003:
                break
    result = {"parameters": model.count_params(), "scores": scores, "steps": step, "states": []}
    if task == "counting":
        result["states"] = memory(recurrent.cell, counting_strings(20)[0][-1])
    return result
