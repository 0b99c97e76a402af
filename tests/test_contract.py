import functools
import logging
import random

import keras
import numpy as np
import pytest
from keras import ops

from course_utils.cells import VanillaRNNCell
from course_utils.cells.contract import check_cell

UNITS = 4


@keras.saving.register_keras_serializable(package="test_contract")
class GoodCell(keras.layers.Layer):
    """Two states; every broken cell below differs from it in one thing."""

    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.gain = gain
        self.state_size = [units, 2]
        self.output_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent")

    def call(self, inputs, states):
        h, c = states
        h = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        h = ops.tanh(self.gain * h + c[:, :1])
        return h, [h, 0.5 * c + h[:, :2]]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "gain": self.gain}


BROKEN = []
RUNS = ("repeatable", "rnn", "unrolled", "mask", "bidirectional", "jit_compile")
slow = pytest.mark.slow


def broken(*keys, marks=()):
    """Register a cell together with exactly the keys of the checks that it must fail."""

    def register(cls):
        BROKEN.append(pytest.param(cls, set(keys), id=cls.__name__, marks=marks))
        return keras.saving.register_keras_serializable(package="test_contract")(cls)

    return register


@broken("state_size")
class NoStateSize(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, gain, **kwargs)
        del self.state_size


@broken("state_size")
class ZeroStateSize(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, gain, **kwargs)
        self.state_size = [units, 0]


@broken("state_size")
class RaisingStateSize(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)
        self.units, self.gain = units, gain

    @property
    def state_size(self):
        raise RuntimeError("not known before build")


@broken("returned_states")
class OneStateTooFew(GoodCell):
    def call(self, inputs, states):
        output, states = super().call(inputs, states)
        return output, states[:1]


@broken("returned_states")
class NoStates(GoodCell):
    def call(self, inputs, states):
        return super().call(inputs, states)[0]


@broken("returned_states")
class FlatStates(GoodCell):
    def call(self, inputs, states):
        output, states = super().call(inputs, states)
        return output, *states


@broken("returned_states")
class SwappedStates(GoodCell):
    def call(self, inputs, states):
        output, (h, c) = super().call(inputs, states)
        return output, [c, h]


@broken("returned_states")
class NarrowState(GoodCell):
    def call(self, inputs, states):
        output, (h, c) = super().call(inputs, states)
        return output, [h, c[:, :1]]


@broken("returned_states")
class OtherType(GoodCell):
    def call(self, inputs, states):
        output, (h, c) = super().call(inputs, states)
        return output, [h, ops.cast(c, "float64")]


@broken("returned_states")
class NamedStates(GoodCell):
    def call(self, inputs, states):
        output, (h, c) = super().call(inputs, states)
        return output, {"h": h, "c": c}


@broken("returned_states")
class NestedState(GoodCell):
    def call(self, inputs, states):
        output, (h, c) = super().call(inputs, states)
        return output, [h, [c]]


@broken("output_size")
class NoOutputSize(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, gain, **kwargs)
        del self.output_size

    def call(self, inputs, states):
        output, states = super().call(inputs, states)
        return output[:, :3], states


@broken("output_size", marks=slow)
class WrongOutputSize(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, gain, **kwargs)
        self.output_size = units + 1


@broken("build")
class WeightsInCall(GoodCell):
    def build(self, input_shape):
        pass

    def call(self, inputs, states):
        if not hasattr(self, "kernel"):
            super().build(inputs.shape)
        return super().call(inputs, states)


@broken("build")
class LateSublayer(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, gain, **kwargs)
        self.dense = keras.layers.Dense(units)

    def call(self, inputs, states):
        output, states = super().call(inputs, states)
        return self.dense(output), states


@broken("build")
class WeightsInInit(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, gain, **kwargs)
        super().build((None, 3))

    def build(self, input_shape):
        pass


@broken("call")
class RaisingCall(GoodCell):
    def call(self, inputs, states):
        raise RuntimeError("not yet written")


@broken("initial_state", marks=slow)
class OneInitialState(GoodCell):
    def get_initial_state(self, batch_size=None):
        return ops.zeros((batch_size, self.units))


@broken(
    "repeatable",
    "rnn",
    "unrolled",
    "mask",
    "bidirectional",
    "jit_compile",
    "save",
    marks=slow,
)
class Counter(GoodCell):
    calls = 0

    def call(self, inputs, states):
        type(self).calls += 1
        output, states = super().call(inputs, states)
        return output * type(self).calls, states


@broken("repeatable", "rnn", "unrolled", "mask", "bidirectional", "jit_compile", marks=slow)
class OwnState(GoodCell):
    memory = 0.0

    def call(self, inputs, states):
        h = ops.tanh(ops.matmul(inputs, self.kernel) + self.memory)
        self.memory = float(ops.mean(h))
        return h, list(states)


@broken("states_used", "gradient", marks=slow)
class IgnoredStates(GoodCell):
    def call(self, inputs, states):
        h = ops.matmul(inputs, self.kernel)
        return h, [h, h[:, :2]]


@broken("mask")
class MixedRows(GoodCell):
    def call(self, inputs, states):
        return super().call(inputs - ops.mean(inputs, axis=0, keepdims=True), states)


@broken("jit_compile")
class PythonBranch(GoodCell):
    def call(self, inputs, states):
        if ops.max(ops.abs(inputs)) > 0:
            inputs = 2 * inputs
        return super().call(inputs, states)


@broken("jit_compile", marks=slow)
class NumPyInCall(GoodCell):
    def call(self, inputs, states):
        return super().call(np.tanh(np.asarray(inputs)), states)


@broken("gradient")
class StoppedGradient(GoodCell):
    def call(self, inputs, states):
        h = ops.matmul(inputs, ops.stop_gradient(self.kernel))
        h = ops.tanh(h + ops.matmul(states[0], self.recurrent_kernel) + states[1][:, :1])
        return h, [h, states[1] + h[:, :2]]


@broken("get_config")
class ForgottenArgument(GoodCell):
    def get_config(self):
        config = super().get_config()
        del config["gain"]
        return config


@broken("get_config")
class ForgottenUnits(GoodCell):
    def get_config(self):
        config = super().get_config()
        del config["units"]
        return config


@broken("get_config")
class ChangedArgument(GoodCell):
    def __init__(self, units, gain=1.0, **kwargs):
        super().__init__(units, 2 * gain, **kwargs)


@broken("get_config")
class RaisingConfig(GoodCell):
    def get_config(self):
        raise RuntimeError("no config")


@broken("rnn", "unrolled", "mask", "bidirectional", "jit_compile", "save", marks=slow)
class HiddenConstant(GoodCell):
    def build(self, input_shape):
        super().build(input_shape)
        self.constant = np.random.default_rng().normal(size=self.units).astype("float32")

    def call(self, inputs, states):
        output, states = super().call(inputs, states)
        return output + self.constant, states


class NotRegistered(GoodCell):
    pass


BROKEN.append(pytest.param(NotRegistered, {"registered"}, id="NotRegistered", marks=slow))


@functools.cache
def examine(cls):
    """The report on a cell, the cell, and its attributes before the check."""
    cell = cls(UNITS, gain=1.5)
    before = dict(vars(cell))
    return check_cell(cell), cell, before


@pytest.mark.parametrize(("cls", "keys"), BROKEN)
def test_broken_cell_fails_its_check_and_stays_as_it_was(cls, keys):
    report, cell, before = examine(cls)
    assert not report.ok
    assert set(report.failures) == keys
    for key, sentence in report.failures.items():
        assert sentence.startswith("Expected: ")
        assert " Received: " in sentence
        assert f"FAIL  {key} " in repr(report)
    assert vars(cell) == before
    assert not cell.built


@keras.saving.register_keras_serializable(package="test_contract")
class HoldingCell(keras.layers.Layer):
    """A wrapper with an inner cell, an argument of another name, and randomness in training."""

    def __init__(self, cell, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.inner = cell
        self.rate = rate
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.state_size = cell.state_size
        self.output_size = cell.output_size

    def build(self, input_shape):
        if not self.inner.built:
            self.inner.build(input_shape)

    def call(self, inputs, states, training=False):
        output, new = self.inner(inputs, states, training=training)
        if training:
            keep = keras.random.uniform(ops.shape(output), seed=self.generator) < self.rate
            new = [ops.where(keep, a, b) for a, b in zip(states, new, strict=True)]
        else:
            new = [self.rate * a + (1 - self.rate) * b for a, b in zip(states, new, strict=True)]
        return new[0], new

    def get_config(self):
        inner = keras.saving.serialize_keras_object(self.inner)
        return {**super().get_config(), "cell": inner, "rate": self.rate, "seed": self.seed}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("cell")), **config)


@keras.saving.register_keras_serializable(package="test_contract")
class BuiltTwice(HoldingCell):
    def build(self, input_shape):
        self.inner.build(input_shape)


@slow
def test_inner_cell_that_loading_builds_twice():
    report = check_cell(BuiltTwice(keras.layers.LSTMCell(UNITS), 0.3))
    assert set(report.failures) == {"save"}
    assert "build an inner cell only if it is not `built`" in report.failures["save"]


@pytest.mark.parametrize(
    "cell",
    [
        GoodCell(UNITS, gain=0.5),
        keras.layers.GRUCell(UNITS, reset_after=False, dtype="mixed_float16"),
        pytest.param(HoldingCell(keras.layers.LSTMCell(UNITS), 0.3), marks=slow),
        pytest.param(keras.layers.SimpleRNNCell(UNITS), marks=slow),
        pytest.param(keras.layers.GRUCell(UNITS), marks=slow),
        pytest.param(keras.layers.LSTMCell(UNITS, dropout=0.3, recurrent_dropout=0.3), marks=slow),
        pytest.param(keras.layers.LSTMCell(1, dtype="float64"), marks=slow),
        pytest.param(VanillaRNNCell(UNITS), marks=slow),
        pytest.param(VanillaRNNCell(UNITS, activation=None, use_bias=False), marks=slow),
        pytest.param(keras.layers.SimpleRNNCell(64, activation="relu"), marks=slow),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_right_cell_passes_every_check(cell):
    state, level = random.getstate(), logging.getLogger("tensorflow").level
    report = check_cell(cell)
    assert random.getstate() == state
    assert logging.getLogger("tensorflow").level == level
    assert report.ok, report
    assert report.not_tried == {}
    assert "FAIL" not in repr(report)
    assert "17 parts" in repr(report)
    assert not cell.built


@slow
def test_built_cell_keeps_its_weights():
    cell = WeightsOfWidth(UNITS)
    keras.layers.RNN(cell)(np.ones((2, 3, 5), "float32"))
    before = cell.get_weights()
    assert check_cell(cell, features=5).ok
    assert cell.seen == [5]
    for old, new in zip(before, cell.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@keras.saving.register_keras_serializable(package="test_contract")
class WeightsOfWidth(GoodCell):
    def build(self, input_shape):
        if input_shape[-1] != 5:
            raise ValueError("only for inputs of width 5")
        self.seen = [*getattr(self, "seen", []), input_shape[-1]]
        super().build(input_shape)


def test_error_of_the_cell_becomes_a_failure_and_later_checks_are_not_tried():
    report, _, _ = examine(RaisingCall)
    assert "Received: RuntimeError: not yet written. " in report.failures["call"]
    assert report.not_tried["returned_states"] == "call"
    assert report.not_tried["gradient"] == "call"
    assert "-     gradient        not tried because of call" in repr(report)


def test_what_needs_copies_is_not_tried_without_a_config():
    report, _, _ = examine(RaisingConfig)
    assert "Received: RuntimeError: no config. " in report.failures["get_config"]
    assert {report.not_tried[key] for key in ("build", "rnn", "save")} == {"get_config"}


@pytest.mark.parametrize(
    ("cls", "key", "words"),
    [
        (ForgottenArgument, "get_config", "lacks the `__init__` argument `gain`"),
        (ChangedArgument, "get_config", "gain=6.0 in the rebuilt cell, 3.0 in the given one"),
        (OneStateTooFew, "returned_states", r"a list of 1 for state_size=[4, 2]"),
        (NoStates, "returned_states", "instead of a pair `(output, states)`"),
        (SwappedStates, "returned_states", "state 0 of shape and type (7, 2) float32"),
        (NoOutputSize, "output_size", "an output of shape (7, 3) and no `output_size`"),
        pytest.param(WrongOutputSize, "output_size", "output_size=5", marks=slow),
        (WeightsInCall, "build", "made in `call`"),
        (LateSublayer, "build", "kernel`"),
        (WeightsInInit, "build", "`kernel` (3, 4), `recurrent` (4, 4) made in `__init__`"),
        (StoppedGradient, "gradient", "weight `kernel` gets no gradient"),
        pytest.param(IgnoredStates, "states_used", "two values of state 0", marks=slow),
        pytest.param(NotRegistered, "registered", "register_keras_serializable", marks=slow),
    ],
)
def test_failure_says_what_was_received(cls, key, words):
    assert words in examine(cls)[0].failures[key]


@pytest.mark.parametrize("cell", [None, GoodCell, "LSTMCell", 4, keras.layers.Layer()])
def test_what_is_no_cell_is_refused(cell):
    with pytest.raises(TypeError, match=r"`cell` must be an instance of `keras.layers.Layer`"):
        check_cell(cell)


def test_layer_and_stack_are_refused_with_the_way_out():
    for layer in (keras.layers.LSTM(UNITS), keras.layers.StackedRNNCells([GoodCell(UNITS)])):
        with pytest.raises(TypeError, match="`cell` must be a single cell: check the `cell` of"):
            check_cell(layer)


@pytest.mark.parametrize("features", [0, -1, 2.0, True, None])
def test_features_must_be_a_positive_integer(features):
    with pytest.raises(ValueError, match=r"`features` must be a positive integer\. Received"):
        check_cell(GoodCell(UNITS), features=features)
