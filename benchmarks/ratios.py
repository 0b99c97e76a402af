"""The ratios that the course promises, each measured side by side in one run: `make bench`."""

import pathlib
import statistics
import subprocess
import sys
import time

import course_utils


def interleaved(functions, rounds):
    """Median seconds of each function, called in turn so that all meet the same machine."""
    seconds = {name: [] for name in functions}
    for function in functions.values():
        function()  # compile
    order = list(functions.items())
    for _ in range(rounds):
        order.reverse()  # so that who comes after whom does not count
        for name, function in order:
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(name, ratio, promised, detail):
    mark = "ok  " if promised is None or ratio <= promised else "OVER"
    bound = "" if promised is None else f" (promised: at most {promised})"
    print(f"{mark} {name}: {ratio:.2f}{bound}; {detail}", flush=True)


def state_gradients_against_backward_pass():
    import keras
    import numpy as np
    import tensorflow as tf

    from course_utils.diagnostics import state_gradients

    batch, length, features, units = 32, 100, 8, 128
    x = tf.constant(np.random.default_rng(0).normal(size=(batch, length, features)), "float32")

    def loss(h):
        return tf.reduce_sum(h**2, axis=-1)

    for kind in (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU):
        for jit in (False, True):
            layer = kind(units)
            layer.build(x.shape)

            @tf.function(jit_compile=jit)
            def backward(layer=layer):
                with tf.GradientTape() as tape:
                    total = tf.reduce_sum(loss(layer(x)))
                return tape.gradient(total, layer.trainable_variables)

            def eager(layer=layer):
                state = layer.get_initial_state(batch_size=batch)
                handed_on = []
                with tf.GradientTape() as tape:
                    tape.watch(state)
                    for t in range(length):
                        _, state = layer.cell(x[:, t], state)
                        state = [tf.identity(s) for s in state]
                        handed_on.append(state[0])
                    total = tf.reduce_sum(loss(state[0]))
                return tape.gradient(total, handed_on)

            seconds = interleaved(
                {
                    "backward": lambda f=backward: f()[0].numpy(),
                    "ours": lambda k=layer, j=jit: state_gradients(k, x, loss, jit_compile=j),
                    "eager": eager,
                },
                rounds=15,
            )
            ours, eager_ratio = (seconds[k] / seconds["backward"] for k in ("ours", "eager"))
            name = f"state_gradients / backward pass, {kind.__name__}, {'jit' if jit else 'graph'}"
            report(name, ours, 1.25, f"an eager unrolled tape: {eager_ratio:.1f}")


def vanilla_cell_against_keras_cell():
    import keras
    import numpy as np
    import tensorflow as tf

    from course_utils.cells import VanillaRNNCell

    x = tf.constant(np.random.default_rng(0).normal(size=(32, 100, 8)), "float32")
    functions = {}
    for name, kind in {"ours": VanillaRNNCell, "keras": keras.layers.SimpleRNNCell}.items():
        layer = keras.layers.RNN(kind(128))
        layer.build(x.shape)

        @tf.function
        def step(layer=layer):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(x) ** 2)
            return tape.gradient(loss, layer.trainable_variables)

        functions[name] = lambda f=step: f()[0].numpy()
    seconds = interleaved(functions, rounds=60)
    ratio = seconds["ours"] / seconds["keras"]
    detail = f"{1e3 * seconds['keras']:.1f} ms forward and backward, 100 steps, N = 128"
    report("VanillaRNNCell / SimpleRNNCell in RNN", ratio, 1.05, detail)


def train_steps(layer, callbacks=(), twice=False, clipnorm=None, count=3):
    """A function that trains a layer for `count` steps, each as in the loop of `fit`.

    A new `fit` would compile the step again, and one long `fit` could not take turns with others.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from course_utils.gradients import variable_norms

    class TwoTapes(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            norms.assign(variable_norms(tape.gradient(loss, self.trainable_variables)))
            return super().train_step(data)

    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype("float32") for shape in ((32, 100, 8), (32, 1)))
    kind = TwoTapes if twice else keras.Sequential
    model = kind([keras.Input(x.shape[1:]), layer, keras.layers.Dense(1)])
    norms = tf.Variable(tf.zeros(len(model.trainable_variables)))
    model.compile(keras.optimizers.Adam(global_clipnorm=clipnorm), "mse")
    batches = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    events = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model)
    model.make_train_function()
    events.on_train_begin()
    events.on_epoch_begin(0)

    def steps():
        for _ in range(count):
            events.on_train_batch_begin(0)
            logs = model.train_function(batches)
            events.on_train_batch_end(0, logs)

    return steps


def callbacks_against_plain_training():
    import keras

    from course_utils.callbacks import GradientClipping, GradientMonitor

    for kind in (keras.layers.SimpleRNN, keras.layers.LSTM):
        seconds = interleaved(
            {
                "plain": train_steps(kind(128)),
                "monitor": train_steps(kind(128), [GradientMonitor()]),
                "tape": train_steps(kind(128), twice=True),
                "clipnorm": train_steps(kind(128), clipnorm=0.1),
                "clipping": train_steps(kind(128), [GradientClipping(0.1)]),
            },
            rounds=40,
        )
        monitor, tape = (seconds[k] / seconds["plain"] for k in ("monitor", "tape"))
        detail = f"with a second tape {tape:.2f}; {1e3 * seconds['plain'] / 3:.1f} ms per step"
        report(f"GradientMonitor / plain training step, {kind.__name__}", monitor, 1.05, detail)
        clipping = seconds["clipping"] / seconds["clipnorm"]
        detail = f"{1e3 * seconds['clipnorm'] / 3:.1f} ms per step"
        report(f"GradientClipping / global_clipnorm, {kind.__name__}", clipping, 1.05, detail)


def gated_cells_against_keras_cells():
    import keras

    from course_utils import cells

    names = ("LSTMCell", "PeepholeLSTMCell", "LayerNormLSTMCell", "GRUCell", "ResetAfterGRUCell")
    functions = {name: train_steps(keras.layers.RNN(getattr(cells, name)(128))) for name in names}
    normed = cells.BatchNormRNN(cells.BatchNormLSTMCell(128, steps=100))
    functions["BatchNormLSTMCell"] = train_steps(normed)
    functions["keras LSTMCell"] = train_steps(keras.layers.RNN(keras.layers.LSTMCell(128)))
    for after in (False, True):
        cell = keras.layers.GRUCell(128, reset_after=after)
        functions[f"keras GRUCell, reset_after={after}"] = train_steps(keras.layers.RNN(cell))
    seconds = interleaved(functions, rounds=25)
    for name, other, promised in (
        ("LSTMCell", "keras LSTMCell", 1.05),
        ("PeepholeLSTMCell", "keras LSTMCell", 1.2),
        ("LayerNormLSTMCell", "LSTMCell", 2.0),
        ("BatchNormLSTMCell", "LSTMCell", None),
        ("GRUCell", "keras GRUCell, reset_after=False", 1.05),
        ("ResetAfterGRUCell", "keras GRUCell, reset_after=True", 1.05),
    ):
        detail = f"{1e3 * seconds[other] / 3:.1f} ms per training step, 100 steps, N = 128"
        report(f"{name} / {other}", seconds[name] / seconds[other], promised, detail)


def import_beyond_keras():
    modules = ["course_utils"] + [
        f"course_utils.{path.stem}"
        for path in sorted(pathlib.Path(course_utils.__file__).parent.glob("[a-z]*.py"))
    ]
    code = "import time, keras; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
    seconds = {}
    for name, what in {
        "package": "import course_utils",
        "all": "import " + ", ".join(modules),
    }.items():
        runs = [
            float(subprocess.check_output([sys.executable, "-c", code.format(what)], text=True))
            for _ in range(3)
        ]
        seconds[name] = min(runs)
    detail = f"with every module of it {seconds['all']:.2f} s"
    report("import course_utils beyond import keras, seconds", seconds["package"], 0.3, detail)


if __name__ == "__main__":
    import_beyond_keras()
    vanilla_cell_against_keras_cell()
    gated_cells_against_keras_cells()
    callbacks_against_plain_training()
    state_gradients_against_backward_pass()
