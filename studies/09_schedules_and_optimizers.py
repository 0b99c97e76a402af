"""When does a schedule matter, which optimizer wins, and does either rescue a long lag?

Lesson 09 reads the results. Everything is the adding problem with 32 units, batches of 32 and
gradients clipped to global norm 1. A GRU at length 30: schedules over peak rates with Adam, then
optimizers over constant rates, SGD also for longer. A tanh network at length 100: schedules with
Adam, optimizers over rates; a GRU is the control.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from course_utils.tasks import adding_problem

UNITS, BATCH, EVERY = 32, 32, 50  # EVERY: steps between two tests
PEAKS = (3e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1)
RATES = {  # for the GRU; four each, Adam's are among the peaks
    "SGD": (0.03, 0.1, 0.3, 1.0),
    "momentum": (0.003, 0.01, 0.03, 0.1),
    "RMSprop": (3e-3, 1e-2, 2e-2, 5e-2),
    "AdamW": (3e-3, 1e-2, 2e-2, 5e-2),
    "RMSprop, rho 0.999": (3e-3, 1e-2, 2e-2, 5e-2),
    "Adam, beta_1 0": (3e-3, 1e-2, 2e-2, 5e-2),
}
LONG_RATES = {  # for the tanh network
    "SGD": (0.03, 0.1, 0.3),
    "momentum": (0.003, 0.01, 0.03),
    "RMSprop": (1e-3, 3e-3, 1e-2),
    "Adam": (1e-3, 3e-3, 1e-2),
    "AdamW": (1e-3, 3e-3, 1e-2),
}
SHORT, LONG = ("GRU", 30), ("tanh", 100)
ROWS = [(*SHORT, "Adam", "constant", rate, 1000) for rate in PEAKS]
ROWS += [(*SHORT, "Adam", "exponential", rate, 1000) for rate in PEAKS]
ROWS += [(*SHORT, "Adam", "plateau", rate, 1000) for rate in PEAKS]
ROWS += [(*SHORT, "Adam", "cosine", rate, 1000) for rate in PEAKS]
ROWS += [(*SHORT, "Adam", "cosine only", rate, 1000) for rate in PEAKS[3:]]
ROWS += [(*SHORT, "Adam", "warm-up only", rate, 1000) for rate in PEAKS[3:]]
ROWS += [(*SHORT, "Adam", "too fast", 1e-2, 1000)]
ROWS += [(*SHORT, name, "constant", rate, 1000) for name in RATES for rate in RATES[name]]
ROWS += [(*SHORT, "SGD", "constant", 0.3, 6000), (*SHORT, "momentum", "constant", 0.03, 6000)]
ROWS += [(*LONG, "Adam", name, 1e-2, 1000) for name in ("exponential", "plateau", "cosine")]
ROWS += [(*LONG, name, "constant", r, 1000) for name in LONG_RATES for r in LONG_RATES[name]]
ROWS += [("GRU", 100, "Adam", "constant", 1e-2, 1000)]
KEYS = ("network", "length", "optimizer", "schedule", "rate", "steps", "seed")
SETTINGS = [dict(zip(KEYS, (*row, seed), strict=True)) for row in ROWS for seed in (0, 1, 2)]
OPTIMIZERS = {
    "SGD": keras.optimizers.SGD,
    "momentum": functools.partial(keras.optimizers.SGD, momentum=0.9),
    "RMSprop": keras.optimizers.RMSprop,
    "Adam": keras.optimizers.Adam,
    "AdamW": keras.optimizers.AdamW,
    "RMSprop, rho 0.999": functools.partial(keras.optimizers.RMSprop, rho=0.999),
    "Adam, beta_1 0": functools.partial(keras.optimizers.Adam, beta_1=0.0),
}


def planned_rates(schedule, peak, steps, warmup=100):
    """The rate of every step, (steps,); for "plateau" where it stays unless the rule acts."""
    k = np.arange(steps)
    rising = peak * (0.01 + 0.99 * k / warmup)
    return {
        "constant": np.full(steps, peak),
        "plateau": np.full(steps, peak),
        "exponential": peak * 0.01 ** (k / steps),
        "too fast": peak * 0.001 ** (k / steps),
        "cosine": np.where(k < warmup, rising, falling(k - warmup, steps - warmup, peak)),
        "cosine only": falling(k, steps, peak),
        "warm-up only": np.where(k < warmup, rising, peak),
    }[schedule].astype("float32")


def falling(k, steps, peak):
    """Half a cosine from the peak to 0."""
    return peak / 2 * (1 + np.cos(np.pi * k / steps))


@functools.cache
def trainer(network, length, name):
    """A model, its optimizer, and two compiled functions: EVERY steps of training, and a test."""
    recurrent = {"tanh": keras.layers.SimpleRNN, "GRU": keras.layers.GRU}[network](UNITS)
    model = keras.Sequential([keras.Input((length, 2)), recurrent, keras.layers.Dense(1)])
    optimizer = OPTIMIZERS[name](0.0, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def train(inputs, targets, rates):
        for k in tf.range(EVERY):
            optimizer.learning_rate.assign(rates[k])
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(inputs[k]) - targets[k]) ** 2)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)

    @tf.function(jit_compile=True)
    def error(inputs, targets):
        return tf.reduce_mean((model(inputs) - targets) ** 2)

    return model, optimizer, train, error


def restart(model, optimizer, seed):
    """Weights as a new model has them, and an optimizer that remembers nothing."""
    keras.utils.set_random_seed(seed)
    model.set_weights(keras.models.clone_model(model).get_weights())
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))


def gradient_left(model, inputs):
    """log10 of the gradient at lag 3/4 T over that at lag 0, for tanh, in float64."""
    W_x, W_h, b, head, _ = (w.astype("float64") for w in model.get_weights())
    h, slopes = np.zeros((len(inputs), UNITS)), []
    for t in range(inputs.shape[1]):
        h = np.tanh(inputs[:, t] @ W_x + h @ W_h + b)
        slopes.append(1 - h**2)
    G, log_size = np.repeat(head.T / np.linalg.norm(head), len(inputs), axis=0), 0.0
    for slope in slopes[: len(slopes) // 4 - 1 : -1]:
        G = (G * slope) @ W_h.T
        size = np.linalg.norm(G, axis=1, keepdims=True)
        G, log_size = G / size, log_size + np.log10(size)
    return float(np.mean(log_size))


def run(network, length, optimizer, schedule, rate, steps, seed):
    """Train on fresh data: the test error and the rate every 50 steps; for tanh, what is left of G.

    The rule "plateau" multiplies the rate by 0.3 after 4 looks in a row, one every 50 steps, at
    which the error on a validation set was not 5 % below the best so far.
    """
    model, state, train, error = trainer(network, length, optimizer)
    restart(model, state, seed)
    plan, factor, best, waited = planned_rates(schedule, rate, steps), 1.0, np.inf, 0
    fresh = np.random.default_rng(seed)
    test, validation = (adding_problem(1000, length, seed=n + seed) for n in (10_000, 20_000))
    result = {"errors": [], "rates": [], "baseline": float(np.mean((test[1] - 1) ** 2))}
    if network == "tanh":
        result["left_before"] = gradient_left(model, test[0][:200])
    for start in range(0, steps, EVERY):
        batches = [adding_problem(BATCH, length, seed=fresh) for _ in range(EVERY)]
        inputs, targets = (np.stack(part) for part in zip(*batches, strict=True))
        rates = np.float32(factor) * plan[start : start + EVERY]
        train(inputs, targets, rates)
        result["errors"].append(float(error(*test)))
        result["rates"].append(float(rates[-1]))
        if schedule == "plateau":
            look = float(error(*validation))
            waited = 0 if look < 0.95 * best else waited + 1
            best = min(best, look)
            if waited == 4:
                factor, waited = 0.3 * factor, 0
    if network == "tanh":
        result["left_after"] = gradient_left(model, test[0][:200])
    return result | {"error": float(np.mean(result["errors"][-5:]))}
