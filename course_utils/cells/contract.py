"""Which part of Keras' cell contract does a custom recurrent cell break?"""

import inspect
import json
import logging
import pathlib
import random
import re
import tempfile
import textwrap
import warnings

import keras
import numpy as np

__all__ = ["CellReport", "check_cell"]

_MASK = np.array([list(row) for row in "11111 11100 10000 10110 01111 00101 11010".split()]) == "1"
_BATCH, _LENGTH = _MASK.shape
_TOLERANCES = {"float64": 1e-9, "float32": 1e-4}  # narrower types: 3e-2


class CellReport:
    """What `check_cell` found: print it.

    Attributes:
        name: class name of the cell.
        ok: `True` when no check failed.
        failures: dictionary from the key of each failed check to what was expected, what was
            received, and how to mend it.
        not_tried: dictionary from the key of each check that could not be tried to the key of the
            failed check that is in its way.
    """

    def __init__(self, name):
        self.name = name
        self.failures = {}
        self.not_tried = {}

    @property
    def ok(self):
        """Whether the cell passed every check."""
        return not self.failures

    def __repr__(self):
        verdict = "keeps all" if self.ok else f"breaks {len(self.failures)} of the"
        lines = [f"{self.name} {verdict} {len(_CHECKS)} parts of Keras' cell contract"]
        for key, check, _ in _CHECKS:
            if key in self.failures:
                text = f"  FAIL  {key:16}{self.failures[key]}"
                lines += textwrap.wrap(text, 100, subsequent_indent=" " * 24)
            elif key in self.not_tried:
                lines.append(f"  -     {key:16}not tried because of {self.not_tried[key]}")
            else:
                lines.append(f"  ok    {key:16}{_sentences(check)[0]}")
        return "\n".join(lines)


def check_cell(cell, *, features=3):
    """Check a recurrent cell against the contract that `keras.layers.RNN` relies on.

    A cell computes one time step. `keras.layers.RNN` trusts it to

    - declare `state_size`, a positive integer or a list of them, and return that many states of
      shape `(batch, size)`, in that order and in the cell's compute type;
    - return an output of shape `(batch, output_size)`; without `output_size`, Keras silently
      assumes the size of the first state;
    - make its weights in `build`, from the width of the input;
    - remember nothing outside its weights and states;
    - rebuild itself from `get_config`.

    Each check has a key. The report names every check, and says for each failure what was
    expected, what was received, and how to mend it. A check that cannot be tried because another
    one failed says so, and does not count as a failure.

    All checks run on copies made by `from_config(get_config())`, with random weights, inputs, and
    states; while there is a fault in these methods, most other checks are not tried. The given cell
    is only read: it is neither built nor called, and Python's random state is put back. Outputs are
    compared with `training=False`; the gradient check trains one step. A check takes a few seconds;
    most of them go to compiling with XLA.

    Args:
        cell: A cell, such as `keras.layers.LSTMCell(4)`: an instance of `keras.layers.Layer` that
            has its own `call`. Check the cells of `keras.layers.StackedRNNCells` one by one.
        features: Width of the input, a positive integer.

    Returns:
        A `CellReport` with `.ok`, `.failures` (from key to sentence) and `.not_tried`.

    Example:
        A cell whose output is narrower than its state, and that does not say so:

        >>> import keras
        >>> from keras import ops
        >>> from course_utils.cells.contract import check_cell
        >>> class HalfCell(keras.layers.Layer):
        ...     def __init__(self, units, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.units = units
        ...         self.state_size = units
        ...
        ...     def build(self, input_shape):
        ...         self.kernel = self.add_weight(shape=(input_shape[-1], self.units))
        ...
        ...     def call(self, inputs, states):
        ...         h = ops.tanh(ops.matmul(inputs, self.kernel) + states[0])
        ...         return h[:, : self.units // 2], [h]
        ...
        ...     def get_config(self):
        ...         return {**super().get_config(), "units": self.units}
        >>> report = check_cell(HalfCell(4))
        >>> report.ok
        False
        >>> list(report.failures)
        ['registered', 'output_size']
        >>> print(report.failures["output_size"])
        Expected: The output has shape (batch, output_size). Received: an output of shape (7, 2) and
        no `output_size`, for which Keras takes the first state's size, 4. Set `self.output_size` to
        the width of the output.
        >>> print(check_cell(keras.layers.SimpleRNNCell(4)))
        SimpleRNNCell keeps all 17 parts of Keras' cell contract
          ok    state_size       `state_size` is a positive integer or a list of them
          ...

    First used in lesson 01.
    """
    _validate(cell, features)
    trial, report = _Trial(cell, features), CellReport(type(cell).__name__)
    random_state = random.getstate()  # Keras draws the seeds of unseeded initializers from it
    logger = logging.getLogger("tensorflow")  # it warns of retracing after a few cells
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        for key, check, needs in _CHECKS:
            cause = next((n for n in needs if n in report.failures or n in report.not_tried), None)
            if cause is not None:
                report.not_tried[key] = report.not_tried.get(cause, cause)
                continue
            try:
                received = check(trial)
            except Exception as error:
                received = _first_line(error)
            if received:
                expected, mend = _sentences(check)
                report.failures[key] = f"Expected: {expected}. Received: {received}. {mend}"
    finally:
        random.setstate(random_state)
        logger.setLevel(level)
    return report


def _validate(cell, features):
    if not isinstance(cell, keras.layers.Layer) or type(cell).call is keras.layers.Layer.call:
        raise TypeError(
            "`cell` must be an instance of `keras.layers.Layer` with its own `call(inputs, "
            f"states)`, such as `keras.layers.LSTMCell(4)`. Received: cell={cell!r}"
        )
    if isinstance(cell, (keras.layers.RNN, keras.layers.StackedRNNCells)):
        raise TypeError(
            "`cell` must be a single cell: check the `cell` of a layer, or each of a stack's "
            f"`cells`. Received: cell={cell!r}"
        )
    if isinstance(features, bool) or not isinstance(features, int) or features < 1:
        raise ValueError(f"`features` must be a positive integer. Received: features={features!r}")


class _Trial:
    """Copies of a cell with the same random weights, data, and a hand loop to compare with."""

    def __init__(self, cell, features):
        self.cell, self.cls = cell, type(cell)
        self.rng = np.random.default_rng(0)
        self.inputs = self.rng.normal(size=(_BATCH, _LENGTH, features)).astype("float32")
        self.weights = None
        names = keras.saving.get_registered_name(self.cls), self.cls.__name__
        self.scope = keras.saving.custom_object_scope(dict.fromkeys(names, self.cls))

    def copy(self):
        """A cell with the same arguments, not built."""
        return self.cls.from_config(dict(self.cell.get_config()))

    def layer(self, **options):
        """A built `keras.layers.RNN` around a copy; every one has the same weights."""
        cell = self.copy()
        options = {"return_sequences": True, "return_state": True, "name": "layer", **options}
        layer = keras.layers.RNN(cell, dtype=cell.dtype_policy, **options)
        layer.build((None, *self.inputs.shape[1:]))
        if self.weights is None:
            self.weights = [self.shake(w) for w in cell.weights]
            self.states = [self.rng.normal(size=(_BATCH, n)) * 0.5 for n in layer.state_size]
            self.tolerance = _TOLERANCES.get(cell.compute_dtype, 3e-2)
        cell.set_weights(self.weights)
        return layer

    def shake(self, weight):
        """Make no trainable weight zero, and keep positive vectors (gains, decays) positive."""
        value = weight.numpy()
        if not weight.trainable:
            return value
        if value.ndim < 2:
            return value + self.rng.uniform(0.05, 0.35, size=value.shape)
        return value + 0.3 * self.rng.normal(size=value.shape) / np.sqrt(value.shape[0])

    def step(self, cell, inputs, states):
        """One call, as `keras.layers.RNN` makes it."""
        states = tuple(keras.ops.convert_to_tensor(s, dtype=cell.compute_dtype) for s in states)
        return cell(keras.ops.convert_to_tensor(inputs), states, training=False)

    def loop(self, inputs, states):
        """[outputs, *last states] of a Python loop over the time steps."""
        outputs = []
        for t in range(inputs.shape[1]):
            output, states = self.step(self.reference, inputs[:, t], states)
            states = states if isinstance(states, (list, tuple)) else [states]
            outputs.append(_array(output))
        return [np.stack(outputs, axis=1), *map(_array, states)]

    def functional(self, layer):
        """A model of the layer's sequence of outputs."""
        inputs = keras.Input(self.inputs.shape[1:], name="inputs")
        return keras.Model(inputs, layer(inputs)[0], name="model")

    def compare(self, received, expected):
        """The first array of [output, *states] that differs in words, or `None`."""
        for number, (got, want) in enumerate(zip(map(_array, received), expected, strict=True)):
            name = f"state {number - 1}" if number else "output"
            if got.shape != want.shape:
                return f"{name} of shape {got.shape} instead of {want.shape}"
            if not np.allclose(got, want, rtol=self.tolerance, atol=self.tolerance):
                return f"{name} differs by up to {np.max(np.abs(got - want)):.2g}"
        return None

    def misfit(self, states):
        """How a list of states differs from what `state_size` declares, or `None`."""
        states = [states] if hasattr(states, "shape") else states
        if not isinstance(states, (list, tuple)) or len(states) != len(self.states):
            return f"{_kind(states)} for state_size={self.cell.state_size}"
        for number, (state, like) in enumerate(zip(states, self.states, strict=True)):
            if not hasattr(state, "shape"):
                return f"{_kind(state)} as state {number}"
            got = f"{tuple(state.shape)} {keras.backend.standardize_dtype(state.dtype)}"
            want = f"{like.shape} {self.reference.compute_dtype}"
            if got != want:
                return f"state {number} of shape and type {got} instead of {want}"
        return None


def _array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype="float64")


def _kind(value):
    """`a Tensor`, `a list of 2`, for messages."""
    size = f" of {len(value)}" if isinstance(value, (list, tuple, dict)) else ""
    return f"a {type(value).__name__}{size}"


def _sentences(check):
    """What a check expects, and how to mend it: the two parts of its docstring."""
    expected, mend = (check.__doc__ or "\n").split("\n", 1)  # `python -OO` has no docstrings
    return expected.removesuffix("."), " ".join(mend.split())


def _first_line(error):
    noise = r"\x1b\[\d*m|\{\{.*?\}\} ?| \[Op:.*|^Exception encountered when calling.*\n"
    line = re.sub(noise, "", str(error)).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {textwrap.shorten(line, 200, placeholder=' ...')}"


# The checks. Each takes a trial, and returns what it received when the cell fails, or `None`. The
# docstrings go into the report: the first line says what is expected, the rest how to mend it.


def _state_size(trial):
    """`state_size` is a positive integer or a list of them.

    Set `self.state_size` in `__init__`, one integer per state.
    """
    size = getattr(trial.cell, "state_size", "nothing")
    sizes = size if isinstance(size, (list, tuple)) else [size]
    if not sizes or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
        return f"state_size={size!r}"
    return None


def _get_config(trial):
    """`from_config(get_config())` rebuilds the same cell.

    Return `{**super().get_config(), ...}` with every argument of `__init__` as it was given.
    """
    config = trial.cell.get_config()
    known = {"self", *inspect.signature(keras.layers.Layer.__init__).parameters}
    for name, parameter in inspect.signature(trial.cls.__init__).parameters.items():
        if name not in known and name not in config and not str(parameter).startswith("*"):
            return f"the config lacks the `__init__` argument `{name}`; it has {', '.join(config)}"
    given, rebuilt = (
        keras.saving.serialize_keras_object(cell)["config"] for cell in (trial.cell, trial.copy())
    )
    for name, value in given.items():
        if rebuilt.get(name) != value:
            return f"{name}={rebuilt.get(name)!r} in the rebuilt cell, {value!r} in the given one"
    return None


def _registered(trial):
    """`keras.saving` writes the cell as JSON and finds its class again.

    Decorate the class with `@keras.saving.register_keras_serializable(package=...)`.
    """
    config = json.dumps(keras.saving.serialize_keras_object(trial.cell))
    rebuilt = keras.saving.deserialize_keras_object(json.loads(config))
    if type(rebuilt) is not trial.cls:
        return f"another class of the same name, {type(rebuilt)}; make the cell anew"
    return None


def _build(trial):
    """All weights are made in `build`, for the width of the input.

    Call `self.add_weight` in `build(self, input_shape)` with `input_shape[-1]`, and build
    sublayers there, too.
    """
    early = ", ".join(f"`{w.name}` {tuple(w.shape)}" for w in trial.copy().weights)
    if early:
        return f"{early} made in `__init__`"
    cell = trial.reference = trial.layer().cell
    count = len(cell.weights)
    try:
        trial.step(cell, trial.inputs[:, 0], trial.states)
    except Exception as error:  # other errors are for the next check
        locked = "new elements of state" in str(error)  # Keras locks a layer once it is built
        return "a new weight or sublayer made in `call`" if locked else None
    late = ", ".join(f"`{w.path}`" for w in cell.weights[count:])
    return f"weights made in the first `call`: {late}" if late else None


def _call(trial):
    """`call(inputs, states)` computes one step.

    `inputs` is (batch, features), `states` a tuple with one (batch, size) tensor per state.
    """
    trial.result = trial.step(trial.reference, trial.inputs[:, 0], trial.states)


def _returned_states(trial):
    """`call` returns `(output, states)`, the states as `state_size` declares them.

    Return `output, [h]`: as many states as `state_size` has, in its order, sizes and type.
    """
    if not isinstance(trial.result, (list, tuple)) or len(trial.result) != 2:
        return f"{_kind(trial.result)} instead of a pair `(output, states)`"
    return trial.misfit(trial.result[1])


def _output_size(trial):
    """The output has shape (batch, output_size).

    Set `self.output_size` to the width of the output.
    """
    shape, size = tuple(trial.result[0].shape), getattr(trial.reference, "output_size", None)
    declared = f"output_size={size!r}"
    if size is None:
        size = trial.states[0].shape[1]
        declared = f"no `output_size`, for which Keras takes the first state's size, {size}"
    wrong = not isinstance(size, int) or shape != (_BATCH, size)
    return f"an output of shape {shape} and {declared}" if wrong else None


def _initial_state(trial):
    """`get_initial_state(batch_size)`, where there is one, fits `state_size`.

    Return one (batch_size, size) tensor per state, or leave the method out to get zeros.
    """
    return trial.misfit(trial.layer().get_initial_state(_BATCH))


def _repeatable(trial):
    """The same inputs and states give the same result again.

    Keep what changes from step to step in the states, not in attributes of the cell.
    """
    first, second = (trial.loop(trial.inputs, trial.states) for _ in range(2))
    return trial.compare(second, first)


def _states_used(trial):
    """The result depends on each state that is given.

    Compute from the argument `states`; leave out of `state_size` what is not read.
    """
    for number in range(len(trial.states)):
        moved = [s + 0.5 * (i == number) for i, s in enumerate(trial.states)]
        pair = [trial.loop(trial.inputs[:, :1], states) for states in (trial.states, moved)]
        if all(np.array_equal(a, b) for a, b in zip(*pair, strict=True)):
            return f"the same result for two values of state {number}"
    return None


def _rnn(trial, **options):
    """`keras.layers.RNN` gives the same as a Python loop over the cell.

    Let `call` depend on nothing but its arguments and the weights.
    """
    received = trial.layer(**options)(trial.inputs, initial_state=trial.states)
    return trial.compare(received, trial.loop(trial.inputs, trial.states))


def _unrolled(trial):
    """`RNN(cell, unroll=True)` gives the same as a Python loop over the cell.

    Let `call` depend on nothing but its arguments and the weights.
    """
    return _rnn(trial, unroll=True)


def _mask(trial):
    """A sequence with masked steps gives the same as one without these steps.

    Compute each row of the batch by itself, and carry everything in the states.
    """
    layer, rows = trial.layer(), []
    inputs = np.where(_MASK[:, :, None], trial.inputs, np.float32(50))
    outputs, *states = layer(inputs, mask=_MASK)
    for row, mask in enumerate(_MASK):
        alone = trial.inputs[row : row + 1, mask]
        short, *last = trial.loop(alone, layer.get_initial_state(1))
        rows.append([short[:, -1], *last])
    expected = [np.concatenate(arrays) for arrays in zip(*rows, strict=True)]
    return trial.compare([outputs[:, -1], *states], expected)


def _bidirectional(trial):
    """`Bidirectional` gives what two Python loops give, one of them backwards.

    It rebuilds the cell from its config: share nothing between cells.
    """
    options = {"return_sequences": True, "dtype": trial.reference.dtype_policy}
    inner = keras.layers.RNN(trial.copy(), name="layer", **options)
    with trial.scope:
        layer = keras.layers.Bidirectional(inner, dtype=inner.dtype_policy, name="both")
    layer.build(trial.inputs.shape)
    for half in (layer.forward_layer, layer.backward_layer):
        half.cell.set_weights(trial.weights)
    initial = inner.get_initial_state(_BATCH)
    forward = trial.loop(trial.inputs, initial)[0]
    backward = trial.loop(trial.inputs[:, ::-1], initial)[0][:, ::-1]
    return trial.compare([layer(trial.inputs)], [np.concatenate([forward, backward], axis=-1)])


def _jit_compile(trial):
    """With `jit_compile=True` a model gives the same as a Python loop.

    Use `keras.ops` in `call` (`ops.where` for `if`), no NumPy and no Python state.
    """
    layer = trial.layer()
    trial.model = trial.functional(layer)
    optimizer = keras.optimizers.SGD(100.0, name="optimizer")
    trial.model.compile(optimizer, "mse", jit_compile=True, auto_scale_loss=False)
    trial.outputs = trial.model.predict_on_batch(trial.inputs)
    expected = trial.loop(trial.inputs, layer.get_initial_state(_BATCH))
    return trial.compare([trial.outputs], expected[:1])


def _gradient(trial):
    """A training step moves every trainable weight.

    Use the weight in `call`, without `ops.stop_gradient`, or make it `trainable=False`.
    """
    weights = trial.model.trainable_variables
    before = [w.numpy() for w in weights]
    with warnings.catch_warnings(action="ignore"):  # Keras warns of missing gradients, too
        trial.model.train_on_batch(trial.inputs, trial.rng.normal(size=trial.outputs.shape))
    for weight, old in zip(weights, before, strict=True):
        if np.array_equal(weight.numpy(), old):
            return f"weight `{weight.name}` gets no gradient"
        if not np.all(np.isfinite(weight.numpy().astype("float64"))):
            return f"weight `{weight.name}` gets a gradient that is not finite"
    return None


def _save(trial):
    """A model saved to a `.keras` file and loaded again gives the same.

    Make everything that the output depends on a weight or an entry of the config; in `build`,
    build an inner cell only if it is not `built`.
    """
    model = trial.functional(trial.layer())
    with tempfile.TemporaryDirectory() as folder, trial.scope:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path, compile=False)
    return trial.compare([loaded(trial.inputs)], [_array(model(trial.inputs))])


_RUNS = ("returned_states", "initial_state")
_CHECKS = (  # key, check, the checks that must pass before
    ("state_size", _state_size, ()),
    ("get_config", _get_config, ()),
    ("registered", _registered, ("get_config",)),
    ("build", _build, ("state_size", "get_config")),
    ("call", _call, ("build",)),
    ("returned_states", _returned_states, ("call",)),
    ("output_size", _output_size, ("returned_states",)),
    ("initial_state", _initial_state, ("build",)),
    ("repeatable", _repeatable, ("returned_states",)),
    ("states_used", _states_used, ("returned_states",)),
    ("rnn", _rnn, _RUNS),
    ("unrolled", _unrolled, _RUNS),
    ("mask", _mask, _RUNS),
    ("bidirectional", _bidirectional, _RUNS),
    ("jit_compile", _jit_compile, _RUNS),
    ("gradient", _gradient, ("jit_compile",)),
    ("save", _save, _RUNS),
)
