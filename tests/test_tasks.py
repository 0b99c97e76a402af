"""Tasks: their statistics, their baselines, their seeds."""

import numpy as np
import pytest

from course_utils import tasks


def test_the_adding_problem_marks_one_step_in_each_half():
    inputs, targets = tasks.adding_problem(500, 11, seed=0)
    markers = inputs[..., 1]
    assert set(np.unique(markers)) == {0, 1}
    np.testing.assert_array_equal(markers[:, :5].sum(1), 1)
    np.testing.assert_array_equal(markers[:, 5:].sum(1), 1)
    assert (markers.sum(0) > 0).all()  # every step is marked somewhere
    assert inputs[..., 0].min() >= 0 and inputs[..., 0].max() < 1
    np.testing.assert_allclose((inputs[..., 0] * markers).sum(1, keepdims=True), targets)
    assert inputs.dtype == targets.dtype == np.float32


def test_the_adding_baseline_is_what_the_constant_gets():
    _, targets = tasks.adding_problem(50_000, 2, seed=1)
    errors = [np.mean((targets - guess) ** 2) for guess in (0.9, 1.0, 1.1)]
    assert errors[1] == pytest.approx(tasks.adding_problem_baseline(), abs=3e-3)
    assert errors[1] < min(errors[0], errors[2])


def test_copy_memory_asks_for_the_symbols_in_order():
    inputs, targets = tasks.copy_memory(50, 7, symbols=5, width=3, seed=0)
    tokens = inputs.argmax(-1)
    assert inputs.shape == (50, 13, 7) and targets.shape == (50, 13)
    np.testing.assert_array_equal(targets[:, -3:], tokens[:, :3])
    assert tokens[:, :3].min() >= 1 and tokens[:, :3].max() <= 5
    assert (targets[:, :-3] == 0).all() and (tokens[:, 3:10] == 0).all()
    assert (tokens[:, 10] == 6).all() and (tokens[:, 11:] == 0).all()
    np.testing.assert_array_equal(inputs.sum(-1), 1)


def test_the_copy_baseline_is_the_cross_entropy_of_the_memoryless_guess():
    lag, symbols, width = 7, 5, 3
    _, targets = tasks.copy_memory(20, lag, symbols=symbols, width=width, seed=0)
    guess = np.zeros((*targets.shape, symbols + 1))
    guess[:, :-width, 0] = 1
    guess[:, -width:, 1:] = 1 / symbols
    nats = -np.log(np.take_along_axis(guess, targets[..., None], -1)).mean()
    assert nats == pytest.approx(tasks.copy_memory_baseline(lag, symbols=symbols, width=width))


@pytest.mark.parametrize("task", [tasks.adding_problem, tasks.copy_memory])
def test_seeds(task):
    one, same, other = (task(5, 10, seed=s)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0
    rng = np.random.default_rng(0)
    first, second = task(5, 10, seed=rng)[0], task(5, 10, seed=rng)[0]
    np.testing.assert_array_equal(first, one)
    assert np.abs(first - second).max() > 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tasks.adding_problem(0, 5, seed=0), ValueError, "`examples` must be at least 1"),
        (lambda: tasks.adding_problem(1, 1, seed=0), ValueError, "`length` must be at least 2"),
        (lambda: tasks.adding_problem(1, 5.0, seed=0), TypeError, "`length` must be an integer"),
        (lambda: tasks.copy_memory(1, -1, seed=0), ValueError, "`lag` must be at least 0.*lag=-1"),
        (lambda: tasks.copy_memory(1, 1, symbols=0, seed=0), ValueError, "`symbols` must be"),
        (lambda: tasks.copy_memory_baseline(-2), ValueError, "`lag` must be at least 0.*lag=-2"),
        (lambda: tasks.copy_memory(True, 1, seed=0), TypeError, "`examples` must be an integer"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
