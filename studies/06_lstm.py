"""Which LSTMs learn the adding problem, over how long a lag, and how far does the gradient reach?

Lesson 06 reads the results: the LSTM with forget biases 0 and 1 and with the chrono initialization
(`max_lag` = the length) over growing lengths, and at length 100 the peephole and the layer-norm
cell. Same data, optimizer and number of steps; a run stops early when it is done.
"""

import keras
import numpy as np
import tensorflow as tf

from course_utils.cells import lstm
from course_utils.diagnostics import state_gradients
from course_utils.initializers import ChronoBias, ForgetBias
from course_utils.tasks import adding_problem

STEPS, EVERY, DONE = 1500, 50, 0.003
RUNS = [("LSTMCell", bias, 100) for bias in ("one", "chrono", "zero")]
RUNS += [("LayerNormLSTMCell", "one", 100), ("PeepholeLSTMCell", "one", 100)]
RUNS += [("LSTMCell", bias, length) for length in (50, 200, 400) for bias in ("one", "chrono")]
SETTINGS = [
    {"cell": cell, "bias": bias, "length": length, "seed": seed}
    for cell, bias, length in RUNS
    for seed in (0, 1, 2)
]


def reach(model, inputs):
    """log10 of the answer's mean gradient at the first step, for h and c, over that of h_T."""
    recurrent, head = model.layers
    sizes = []
    for state in (0, 1):
        gradient = state_gradients(recurrent, inputs, lambda h: head(h)[:, 0], state=state)
        sizes.append(np.linalg.norm(gradient.astype("float64"), axis=-1).mean(axis=0))
    return [float(np.log10(size[0] / sizes[0][-1])) for size in sizes]


def run(cell, bias, length, seed):
    """Train on fresh data; return the test errors every 50 steps, and the gradients' reach."""
    keras.utils.set_random_seed(seed)
    biases = {"zero": ForgetBias(0.0), "one": ForgetBias(1.0), "chrono": ChronoBias(length, seed)}
    recurrent = keras.layers.RNN(getattr(lstm, cell)(32, bias_initializer=biases[bias]))
    model = keras.Sequential([keras.Input((length, 2)), recurrent, keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def train_step(inputs, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(inputs) - targets) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    @tf.function(jit_compile=True)
    def error(inputs, targets):
        return tf.reduce_mean((model(inputs) - targets) ** 2)

    fresh = np.random.default_rng(seed)
    test = adding_problem(1000, length, seed=10_000 + seed)
    before, errors = reach(model, test[0][:100]), []
    for step in range(1, STEPS + 1):
        train_step(*adding_problem(32, length, seed=fresh))
        if step % EVERY == 0:
            errors.append(round(float(error(*test)), 5))
            if errors[-1] < DONE:
                break
    return {"errors": errors, "before": before, "after": reach(model, test[0][:100])}
