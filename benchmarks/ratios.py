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
    for _ in range(rounds):
        for name, function in functions.items():
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
    state_gradients_against_backward_pass()
