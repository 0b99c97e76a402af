"""Which initial weights let a recurrent network learn, and does the spectrum foretell it?

Lesson 04 reads the results. Task "digits": a SimpleRNN of 64 tanh units reads handwritten digits
pixel by pixel, 64 steps, from recurrent weights of several kinds; before it trains,
`compare_initializers` measures the very matrix that it starts from. Task "adding": a SimpleRNN of
32 ReLU units that starts from the identity, as in Le, Jaitly & Hinton 2015, with input kernels of
several sizes, on the adding problem of length 100.
"""

import keras
import numpy as np
import tensorflow as tf

from course_utils.datasets import load_digit_sequences
from course_utils.diagnostics import compare_initializers
from course_utils.tasks import adding_problem

STARTS = {  # recurrent weights, by seed
    "N(0, 0.01)": lambda seed: keras.initializers.RandomNormal(0.0, 0.01, seed),
    "N(0, 1)": lambda seed: keras.initializers.RandomNormal(0.0, 1.0, seed),
    "Glorot": lambda seed: keras.initializers.GlorotUniform(seed),
    "He": lambda seed: keras.initializers.HeNormal(seed),
    "orthogonal": lambda seed: keras.initializers.Orthogonal(1.0, seed),
    "identity": lambda seed: keras.initializers.Identity(),
}
GAINS = (0.5, 0.8, 1.1, 1.3, 2.0)
STARTS |= {
    f"{gain} orthogonal": lambda seed, gain=gain: keras.initializers.Orthogonal(gain, seed)
    for gain in GAINS
}
RUNS = [("digits", start, 1e-3, 660) for start in STARTS]
RUNS += [("digits", start, 3e-3, 660) for start in list(STARTS)[:6] if start != "N(0, 1)"]
RUNS += [("adding", start, 3e-3, 2000) for start in ("N(0, 0.001)", "N(0, 0.1)", "Glorot")]
RUNS += [("adding", "N(0, 0.001)", 1e-3, 6000)]
SETTINGS = [
    {"task": task, "start": start, "rate": rate, "steps": steps, "seed": seed}
    for task, start, rate, steps in RUNS
    for seed in (0, 1, 2)
]


def run(task, start, rate, steps, seed):
    """Train one network from one start; what is returned depends on the task."""
    keras.utils.set_random_seed(seed)
    return {"digits": digits, "adding": adding}[task](start, rate, steps, seed)


def digits(start, rate, steps, seed):
    """Accuracy on the test digits, and what the spectrum said before (as log10, at 64 steps)."""
    (x, y), (x_test, y_test) = load_digit_sequences("pixel")
    recurrent = keras.layers.SimpleRNN(64, recurrent_initializer=STARTS[start](seed))
    model = keras.Sequential([keras.Input((64, 1)), recurrent, keras.layers.Dense(10)])
    W = np.asarray(recurrent.cell.recurrent_kernel)
    before = compare_initializers({"W": lambda shape, dtype=None: W}, seeds=(seed,))["W"]
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=22,
    )
    options = {"batch_size": 64, "epochs": steps // 22, "verbose": 0}
    losses = np.array(model.fit(x[: 22 * 64], y[: 22 * 64], **options).history["loss"])
    with np.errstate(divide="ignore"):
        values = np.log10(before["singular_values"][0, -1]).clip(-300)
    return {
        "accuracy": float(model.evaluate(x_test, y_test, batch_size=180, verbose=0)[1]),
        "losses": losses[np.isfinite(losses)].tolist(),
        "largest": float(values[0]),
        "median": float(np.median(values)),
        "kept": int((values > -3).sum()),  # directions that keep a thousandth
        "gradient": float(np.log10(before["gradient"][0, 0])),  # at lag 63
    }


def adding(start, rate, steps, seed):
    """Test errors every 100 steps, until one is below 0.01."""
    kernel = "glorot_uniform"
    if start != "Glorot":
        kernel = keras.initializers.RandomNormal(0.0, float(start[5:-1]), seed)
    options = {"kernel_initializer": kernel, "recurrent_initializer": "identity"}
    recurrent = keras.layers.SimpleRNN(32, "relu", **options)
    model = keras.Sequential([keras.Input((100, 2)), recurrent, keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def train_step(inputs, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(inputs) - targets) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    fresh = np.random.default_rng(seed)
    test_inputs, test_targets = adding_problem(2000, 100, seed=10_000 + seed)
    errors = []
    for step in range(1, steps + 1):
        train_step(*adding_problem(32, 100, seed=fresh))
        if step % 100 == 0:
            errors.append(float(np.mean((np.asarray(model(test_inputs)) - test_targets) ** 2)))
            if errors[-1] < 0.01:
                break
    return {"errors": errors, "best": min(errors), "solved": errors[-1] < 0.01}
