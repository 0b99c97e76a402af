"""Over how long a lag does a tanh network learn the adding problem, and would a GRU do it?

Lesson 03 reads the results. The network is Keras' default SimpleRNN (orthogonal recurrent weights)
at two learning rates over growing lengths, and with five times the steps at the longest one. A GRU
at that length is the control: the same data and optimizer, half the steps.
"""

import keras
import numpy as np
import tensorflow as tf

from course_utils.tasks import adding_problem

RUNS = [("tanh", T, rate, 2000) for T in (5, 10, 20, 40, 70, 100) for rate in (1e-2, 1e-3)]
RUNS += [("GRU", 100, 1e-2, 1000), ("tanh", 100, 1e-3, 10_000)]
SETTINGS = [
    {"network": network, "length": length, "rate": rate, "steps": steps, "seed": seed}
    for network, length, rate, steps in RUNS
    for seed in (0, 1, 2)
]


def run(network, length, rate, steps, seed):
    """Train on fresh data; return 20 test errors along the way, and how far W_h moved."""
    keras.utils.set_random_seed(seed)
    recurrent = {"tanh": keras.layers.SimpleRNN, "GRU": keras.layers.GRU}[network](32)
    model = keras.Sequential([keras.Input((length, 2)), recurrent, keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def train_step(inputs, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(inputs) - targets) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    fresh = np.random.default_rng(seed)
    test_inputs, test_targets = adding_problem(2000, length, seed=10_000 + seed)
    before = np.asarray(recurrent.cell.recurrent_kernel)
    errors = []
    for step in range(1, steps + 1):
        train_step(*adding_problem(32, length, seed=fresh))
        if step % (steps // 20) == 0:
            errors.append(float(np.mean((np.asarray(model(test_inputs)) - test_targets) ** 2)))
    change = np.linalg.norm(np.asarray(recurrent.cell.recurrent_kernel) - before)
    moved = float(change / np.linalg.norm(before))
    return {"errors": errors, "error": float(np.mean(errors[-5:])), "moved": moved}
