"""Exercises of lesson 10: right solutions, and the mistakes that people make.

States are (batch, time, units) or (batch, units). Random numbers come from outside: `u` is uniform
in [0, 1), so that every answer can be compared entry by entry.
"""

import numpy as np

from course_utils.exercises import Exercise, Mistake

__all__ = ["ALTERNATIVES", "EXERCISES"]

# --- 10.1 Predict: is it still there? -------------------------------------------------------------


def chance(method, p, lag):
    return chance_with(method, p, lag)


def chance_with(method, p, lag, **other):
    """`other`: functions of p and lag in the place of the right ones, by method."""
    right = {
        "gates": lambda p, lag: 1.0,
        "carried_new": lambda p, lag: (1 - p) ** lag,
        "carried_same": lambda p, lag: 1 - p,
        "zoneout": lambda p, lag: 1.0,
        "output": lambda p, lag: 1 - p,
    }
    return (right | other)[method.replace(", ", "_")](p, lag)


def inputs_1(rng):
    methods = ("gates", "carried, new", "carried, same", "zoneout", "output")
    p = float(rng.uniform(0.15, 0.4))
    return [(name, *pair) for pair in ((p, 7), (0.5, 3), (p, 40)) for name in methods]


def fades(p, lag):
    return (1 - p) ** lag


chance_mistakes = [
    Mistake(
        lambda *a: chance_with(*a, gates=fades),
        "You let the mask on h erase the cell state. It falls on what the gates read; c goes on "
        "along its own line, which has no mask.",
    ),
    Mistake(
        lambda *a: chance_with(*a, gates=lambda p, lag: 1 - p),
        "You drop the number once where only the gates' input is masked. Follow c: which mask does "
        "it ever meet?",
    ),
    Mistake(
        lambda *a: chance_with(*a, carried_new=lambda p, lag: 1 - p),
        "With a new mask at every step the number has to survive all of them, not one.",
    ),
    Mistake(
        lambda *a: chance_with(*a, carried_new=lambda p, lag: 1 - p**lag),
        "1 - p^lag is the chance not to be dropped every time. It has to be kept every time.",
    ),
    Mistake(
        lambda *a: chance_with(*a, carried_new=lambda p, lag: max(0.0, 1 - p * lag)),
        "You add the chances of being dropped. Those of being kept multiply.",
    ),
    Mistake(
        lambda *a: chance_with(*a, carried_same=fades),
        "The same mask falls at every step: whoever has survived the first survives the rest.",
    ),
    Mistake(
        lambda *a: chance_with(*a, zoneout=fades),
        "Zoneout puts the old value in the place of the new one, not a zero. With f = 1 and i = 0 "
        "the two are equal.",
    ),
    Mistake(
        lambda *a: chance_with(*a, zoneout=lambda p, lag: p**lag),
        "You ask that the old value be kept at every step. Where it is not kept, the new one comes "
        "in, and here it is the same number.",
    ),
    Mistake(
        lambda *a: chance_with(*a, output=fades),
        "The dropped outputs of the steps before are not what step lag + 1 reads. Only one mask "
        "lies between the state and the answer.",
    ),
    Mistake(
        lambda *a: chance_with(*a, output=lambda p, lag: 1.0),
        "You forget the mask on the output itself: the answer is read behind it.",
    ),
]

# --- 10.2 Modify: stop in time, and do not peek ---------------------------------------------------


def stop_early(validation, test, patience):
    return stop_with(validation, test, patience)


def stop_with(validation, test, patience, *, late=0, tie=False, reset=True, report=None):
    """`report`: function of the best look, the looks made and the curves, instead of test[best]."""
    best, lowest, waited, looks = 0, np.inf, 0, 0
    for look, loss in enumerate(validation):
        looks = look + 1
        if loss < lowest or (tie and loss == lowest):
            best, lowest, waited = look, loss, 0 if reset else waited
        else:
            waited += 1
        if waited >= patience + late:
            break
    return best, looks, report(best, looks, validation, test) if report else test[best]


def inputs_2(rng):
    cases = []
    for looks, patience in ((30, 3), (25, 2), (40, 5), (12, 12)):
        k = np.arange(looks)
        curve = 3 + 0.002 * (k - looks / 2.5) ** 2 + 0.04 * rng.uniform(-1, 1, looks)
        curve = np.round(curve, 3)
        cases.append((curve, np.round(curve + 0.05 * rng.uniform(-1, 1, looks), 3), patience))
    bumpy = np.array([4.0, 3.5, 3.6, 3.4, 3.45, 3.3, 3.3, 3.35, 3.4, 3.2, 3.1, 3.0])
    return [*cases, (bumpy, bumpy[::-1] + rng.uniform(0, 0.01, 12), 3), (bumpy, bumpy + 0.1, 4)]


stop_mistakes = [
    Mistake(
        lambda v, t, patience: (int(np.argmin(v)), len(v), t[np.argmin(v)]),
        "You look at the whole curve and then choose: that is training to the end. The decision to "
        "stop sees only the looks made so far.",
    ),
    Mistake(
        lambda *a: stop_with(*a, report=lambda best, looks, v, t: t[:looks].min()),
        "You report the lowest test loss. Then the test set has chosen the stopping point, and the "
        "number is too good.",
    ),
    Mistake(
        lambda *a: stop_with(*a, report=lambda best, looks, v, t: v[best]),
        "You report the validation loss at the stopping point. It was picked for being low; report "
        "the test loss at the same look.",
    ),
    Mistake(
        lambda *a: stop_with(*a, report=lambda best, looks, v, t: t[looks - 1]),
        "You report the weights of the last look. They are `patience` looks past the best: go "
        "back.",
    ),
    Mistake(
        lambda *a: stop_with(*a, late=1),
        "You stop one look too late: `patience` looks in a row without a new lowest value are "
        "enough.",
    ),
    Mistake(
        lambda *a: stop_with(*a, late=-1),
        "You stop one look too early: count the looks without a new lowest value.",
    ),
    Mistake(
        lambda *a: stop_with(*a, tie=True),
        "You take an equal value for a new lowest. A tie is no improvement.",
    ),
    Mistake(
        lambda *a: stop_with(*a, reset=False),
        "You do not set the count back when a new lowest value comes: only looks in a row matter.",
    ),
]

# --- 10.3 Modify: exact zeros ---------------------------------------------------------------------


def l1_step(w, g, rate, strength):
    return soft(w - rate * g, rate * strength)


def soft(v, size):
    return np.sign(v) * np.maximum(np.abs(v) - size, 0)


def inputs_3(rng):
    cases = []
    for n in (6, 9, 12):
        rate, strength = float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.5, 1.5))
        w = rng.normal(size=n) * 0.3
        g = rng.normal(size=n)
        w[0], g[0] = 0.2 * rate * strength, -0.1 * strength  # becomes 0
        w[1], g[1] = 0.5 * rate * strength, 2 * strength  # changes its sign and stays small
        w[2], g[2] = 0.0, 0.5 * strength  # 0 stays 0
        w[3], g[3] = 0.0, -3.0 * strength  # 0 moves
        cases.append((w, g, rate, strength))
    return cases


l1_mistakes = [
    Mistake(
        lambda w, g, rate, s: w - rate * (g + s * np.sign(w)),
        "This is the code as it was given: its steps jump over 0 and never land on it.",
    ),
    Mistake(
        lambda w, g, rate, s: soft(w - rate * g, s),
        "You shrink by `strength`. One step shrinks by rate times strength.",
    ),
    Mistake(
        lambda w, g, rate, s: np.where(np.abs(w - rate * g) > rate * s, w - rate * g, 0.0),
        "You set small weights to 0 and leave the large ones as they are. The large ones shrink by "
        "the same amount.",
    ),
    Mistake(
        lambda w, g, rate, s: soft(w, rate * s) - rate * g,
        "You shrink first and follow the gradient afterwards, which moves the zeros off 0 again. "
        "The gradient step comes first.",
    ),
    Mistake(
        lambda w, g, rate, s: np.maximum(w - rate * g - rate * s, 0),
        "You lose the negative weights. Shrink the size and keep the sign.",
    ),
    Mistake(
        lambda w, g, rate, s: np.sign(w) * np.maximum(np.abs(w - rate * g) - rate * s, 0),
        "You take the sign of the old weight. The gradient step may have changed it, and 0 has no "
        "sign.",
    ),
    Mistake(
        lambda w, g, rate, s: soft(w - rate * (g + s * np.sign(w)), rate * s),
        "You pull twice: the subgradient is still in the step. Let the shrinking replace it.",
    ),
    Mistake(
        lambda w, g, rate, s: (w - rate * g) * (1 - rate * s),
        "You shrink every weight by the same share. That is weight decay, and it never reaches 0. "
        "L1 subtracts the same amount.",
    ),
    Mistake(
        lambda w, g, rate, s: np.sign(w - rate * g) * (np.abs(w - rate * g) - rate * s),
        "You let weights smaller than the shrinkage pass through 0 to the other side. They stop at "
        "0.",
    ),
]

# --- 10.4 Build: masks ----------------------------------------------------------------------------


def dropout_masks(u, p, kind):
    return masks_with(u, p, kind)


def masks_with(u, p, kind, *, keep=np.greater_equal, scale=None, same=None, kinds=("same",)):
    if kind in kinds:
        u = np.broadcast_to(same(u) if same else u[:, :1], u.shape)
    return keep(u, p) * (scale(p) if scale else 1 / (1 - p))


def masks_one_by_one(u, p, kind):
    masks = np.zeros(u.shape)
    for b in range(u.shape[0]):
        for t in range(u.shape[1]):
            row = u[b, 0] if kind == "same" else u[b, t]
            masks[b, t] = [1 / (1 - p) if number >= p else 0 for number in row]
    return masks


def masks_by_repeat(u, p, kind):
    kept = np.where(u < p, 0.0, 1.0) / (1 - p)
    return kept if kind == "new" else np.repeat(kept[:, [0]], u.shape[1], axis=1)


def masks_by_stack(u, p, kind):
    source = [u[:, 0]] * u.shape[1] if kind == "same" else list(u.transpose(1, 0, 2))
    return np.stack([(~(step < p)).astype(float) / (1 - p) for step in source], axis=1)


def inputs_4(rng):
    cases = []
    for shape, p in (((4, 6, 5), 0.5), ((3, 7, 8), 0.2), ((5, 4, 3), float(rng.uniform(0.6, 0.8)))):
        u = rng.random(shape)
        cases += [(u, p, kind) for kind in ("new", "same")]
    edge = np.array([0.0, 0.25, 0.5, 0.75]).reshape(1, 2, 2)
    return [*cases, (edge, 0.5, "new"), (edge, 0.0, "same")]


masks_mistakes = [
    Mistake(
        lambda *a: masks_with(*a, scale=lambda p: 1.0),
        "Your kept entries are 1. Divide by the share that is kept, so that the mean stays what it "
        "is at inference.",
    ),
    Mistake(
        lambda u, p, kind: masks_with(u, p, kind, scale=lambda p: 1 / p if p else 1.0),
        "You divide by p, the share that is dropped. Divide by the share that is kept.",
    ),
    Mistake(
        lambda *a: masks_with(*a, scale=lambda p: 1 - p),
        "You multiply by 1 - p, which makes the mean smaller still. In training the kept entries "
        "are made larger.",
    ),
    Mistake(
        lambda *a: masks_with(*a, keep=np.less),
        "You keep the share p and drop the rest. p is the rate of dropping.",
    ),
    Mistake(
        lambda *a: masks_with(*a, keep=np.greater),
        "You drop where u equals p. u lies in [0, 1), 0 included, so that u >= p has exactly the "
        "chance 1 - p; at p = 0 nothing may be dropped.",
    ),
    Mistake(
        lambda *a: masks_with(*a, same=lambda u: u[:1]),
        "Your mask is the same for all examples. It should be the same over time: axis 1.",
    ),
    Mistake(
        lambda *a: masks_with(*a, same=lambda u: u[:, :, :1]),
        "Your mask is the same for all units of a step. It should be the same over time: axis 1.",
    ),
    Mistake(
        lambda *a: masks_with(*a, same=lambda u: u[:1, :1]),
        "Your mask is the same over time, and for all examples as well. Each example has its own.",
    ),
    Mistake(
        lambda *a: masks_with(*a, same=lambda u: u[:, -1:]),
        "You use the numbers of the last step. The first step's are meant.",
    ),
    Mistake(
        lambda *a: masks_with(*a, kinds=("new",)),
        '"new" and "same" are exchanged.',
    ),
    Mistake(
        lambda *a: masks_with(*a, kinds=("new", "same")),
        'You share the mask over time for both kinds. "new" has one for each step.',
    ),
    Mistake(
        lambda *a: masks_with(*a, kinds=()),
        "You draw a new mask at each step for both kinds.",
    ),
]

# --- 10.5 Build: zoneout --------------------------------------------------------------------------


def zoneout(old, new, u, z, training):
    return zoneout_with(old, new, u, z, training)


def zoneout_with(old, new, u, z, training, *, train=None, use=None):
    if training:
        d = (u < z).astype(float)
        return train(old, new, d, z) if train else d * old + (1 - d) * new
    return use(old, new, u, z) if use else z * old + (1 - z) * new


def zoneout_by_where(old, new, u, z, training):
    return np.where(u < z, old, new) if training else new + z * (old - new)


def zoneout_by_copy(old, new, u, z, training):
    if not training:
        return np.average([old, new], axis=0, weights=[z, 1 - z])
    state = new.copy()
    state[u < z] = old[u < z]
    return state


def zoneout_one_by_one(old, new, u, z, training):
    rows = []
    for before, after, numbers in zip(old, new, u, strict=True):
        row = []
        for a, b, number in zip(before, after, numbers, strict=True):
            d = (1.0 if number < z else 0.0) if training else z
            row.append(d * a + (1 - d) * b)
        rows.append(row)
    return np.array(rows)


def inputs_5(rng):
    cases = []
    for shape, z in (((4, 6), 0.3), ((3, 8), 0.6), ((5, 5), float(rng.uniform(0.1, 0.2)))):
        old, new, u = rng.normal(size=shape), rng.normal(size=shape), rng.random(shape)
        cases += [(old, new, u, z, training) for training in (True, False)]
    return [*cases, (old, new, u, 0.0, True), (old, new, np.zeros(shape), 0.0, True)]


zoneout_mistakes = [
    Mistake(
        lambda *a: zoneout_with(*a, train=lambda old, new, d, z: (1 - d) * old + d * new),
        "Old and new are exchanged in training: with probability z the *old* value stays.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, train=lambda old, new, d, z: (1 - d) * new),
        "That is dropout: you put a 0 where the old value should stay.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, train=lambda old, new, d, z: d * old + (1 - d) * new / (1 - z)),
        "You scale the new value as in dropout. Nothing is missing here, so nothing is scaled.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, train=lambda old, new, d, z: z * old + (1 - z) * new),
        "You mix by the mean in training as well. In training each entry is either old or new.",
    ),
    Mistake(
        lambda *a: zoneout_with(
            *a, train=lambda old, new, d, z: d[:, :1] * old + (1 - d[:, :1]) * new
        ),
        "You decide once for a whole example. Each unit has its own number in `u`.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, use=lambda old, new, u, z: new),
        "At inference you take the new state, as with inverted dropout. Here the mean over masks "
        "is no longer the new state.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, use=lambda old, new, u, z: (1 - z) * old + z * new),
        "At inference the weights are exchanged: the old state has the weight z.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, use=lambda old, new, u, z: np.where(u < z, old, new)),
        "You leave the masks on at inference. Take the mean over them.",
    ),
    Mistake(
        lambda *a: zoneout_with(*a, use=lambda old, new, u, z: (1 - z) * new),
        "At inference you scale the new state and forget the old one.",
    ),
]

# --- 10.6 Build: activity penalties ---------------------------------------------------------------


def activity_penalty(h, alpha, beta):
    change = h[:, 1:] - h[:, :-1]
    gradient = 2 * alpha * h / h.size
    gradient[:, 1:] += 2 * beta * change / change.size
    gradient[:, :-1] -= 2 * beta * change / change.size
    return alpha * np.mean(h**2) + beta * np.mean(change**2), gradient


def penalty_with(h, alpha, beta, *, value=None, gradient=None):
    """`value`, `gradient`: functions of h, its changes, alpha and beta."""
    right = activity_penalty(h, alpha, beta)
    change = h[:, 1:] - h[:, :-1]
    found = value(h, change, alpha, beta) if value else right[0]
    return found, gradient(h, change, alpha, beta) if gradient else right[1]


def pad(change, before, after):
    return np.pad(change, ((0, 0), (before, after), (0, 0)))


def penalty_by_matrix(h, alpha, beta):
    T = h.shape[1]
    D = np.diff(np.eye(T), axis=0)  # (T - 1, T)
    change = np.einsum("st,btn->bsn", D, h)
    back = np.einsum("st,bsn->btn", D, change)
    weight_1, weight_2 = alpha / h.size, beta / change.size
    total = weight_1 * np.sum(h * h) + weight_2 * np.sum(change * change)
    return total, 2 * (weight_1 * h + weight_2 * back)


def penalty_by_loop(h, alpha, beta):
    B, T, N = h.shape
    value, gradient = 0.0, np.zeros(h.shape)
    for t in range(T):
        value += alpha * np.sum(h[:, t] ** 2) / (B * T * N)
        gradient[:, t] += 2 * alpha * h[:, t] / (B * T * N)
        if t:
            step = h[:, t] - h[:, t - 1]
            value += beta * np.sum(step**2) / (B * (T - 1) * N)
            gradient[:, t] += 2 * beta * step / (B * (T - 1) * N)
            gradient[:, t - 1] -= 2 * beta * step / (B * (T - 1) * N)
    return value, gradient


def penalty_by_padding(h, alpha, beta):
    change = np.diff(h, axis=1)
    pull = pad(change, 1, 0) - pad(change, 0, 1)
    first = alpha * (h**2).mean() + beta * (change**2).mean()
    return [first, 2 * alpha / h.size * h + 2 * beta / change.size * pull]


def inputs_6(rng):
    cases = []
    for B, T, N in ((3, 5, 4), (2, 2, 3), (4, 7, 2)):
        h = np.cumsum(rng.normal(size=(B, T, N)), axis=1)
        cases += [(h, float(rng.uniform(0.5, 2)), float(rng.uniform(0.5, 2)))]
    return [*cases, (h, 1.5, 0.0), (h, 0.0, 1.5)]


def summed(h, alpha, beta):
    change = h[:, 1:] - h[:, :-1]
    gradient = 2 * alpha * h + 2 * beta * (pad(change, 1, 0) - pad(change, 0, 1))
    return alpha * np.sum(h**2) + beta * np.sum(change**2), gradient


def wrapped(h, alpha, beta):
    change = h - np.roll(h, 1, axis=1)
    pull = change - np.roll(change, -1, axis=1)
    value = alpha * np.mean(h**2) + beta * np.mean(change**2)
    return value, 2 * (alpha * h + beta * pull) / h.size


def from_zero(h, alpha, beta):
    change = np.diff(h, axis=1, prepend=0)
    pull = change - pad(change[:, 1:], 0, 1)
    value = alpha * np.mean(h**2) + beta * np.mean(change**2)
    return value, 2 * (alpha * h + beta * pull) / h.size


def along(h, alpha, beta, axis):
    turned = activity_penalty(np.moveaxis(h, axis, 1), alpha, beta)
    return turned[0], np.moveaxis(turned[1], 1, axis)


def over_all(h, alpha, beta):
    return activity_penalty(h, alpha, beta * (h.shape[1] - 1) / h.shape[1])


def roots(h, change, alpha, beta):
    return alpha * np.sqrt(np.mean(h**2)) + beta * np.sqrt(np.mean(change**2))


penalty_mistakes = [
    Mistake(
        summed,
        "You add up over the entries. Both penalties are means, so that they do not grow with the "
        "batch, the length or the width.",
    ),
    Mistake(
        wrapped,
        "Your first state is compared with the last one: np.roll goes round. The first state has "
        "no change.",
    ),
    Mistake(
        from_zero,
        "You count the first state as a change from 0. Only the changes between steps are meant, "
        "one fewer than there are steps.",
    ),
    Mistake(
        lambda *a: along(*a, axis=0),
        "Your changes are between examples of the batch. Time is axis 1.",
    ),
    Mistake(
        lambda *a: along(*a, axis=2),
        "Your changes are between neighbouring units. Time is axis 1.",
    ),
    Mistake(
        over_all,
        "You divide the second sum by the number of states. There is one change fewer than there "
        "are steps.",
    ),
    Mistake(
        lambda *a: penalty_with(*a, value=roots),
        "Your value has a root in it. Squares are penalized as they are.",
    ),
    Mistake(
        lambda *a: penalty_with(*a, gradient=lambda *b: activity_penalty(b[0], *b[2:])[1] / 2),
        "Your value is right and your gradient half of what it should be: the 2 of the square.",
    ),
    Mistake(
        lambda *a: penalty_with(
            *a,
            gradient=lambda h, change, alpha, beta: (
                2 * alpha * h / h.size + 2 * beta * pad(change, 1, 0) / change.size
            ),
        ),
        "In your gradient a state is only the new end of a change. It is the old end of the next "
        "one, too.",
    ),
    Mistake(
        lambda *a: penalty_with(*a, gradient=lambda h, change, alpha, beta: 2 * alpha * h / h.size),
        "Your gradient lacks the penalty on changes.",
    ),
    Mistake(
        lambda *a: penalty_with(
            *a,
            gradient=lambda h, change, alpha, beta: (
                2 * alpha * h / h.size
                + 2 * beta * (pad(change, 0, 1) - pad(change, 1, 0)) / change.size
            ),
        ),
        "The sign of the second part of your gradient is turned: it would reward changes.",
    ),
]

# --- 10.7 Find the bug: a loss that depends on the batch size -------------------------------------


def evaluate(x, y, W, b, p, batch, seed):
    return evaluate_with(x, y, W, b, p, batch, seed, drop=None, mean=right_mean)


def nats(h, y, W, b):
    logits = h @ W + b
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]


def right_mean(losses, batch):
    return np.concatenate(losses).mean()


def mean_of_means(losses, batch):
    return np.mean([one.mean() for one in losses])


def inverted(h, p, rng):
    return h * (rng.random(h.shape) >= p) / (1 - p)


def evaluate_with(x, y, W, b, p, batch, seed, *, drop, mean):
    rng, losses = np.random.default_rng(seed), []
    for start in range(0, len(x), batch):
        h = x[start : start + batch]
        h = drop(h, p, rng) if drop else h
        losses.append(nats(h, y[start : start + batch], W, b))
    return mean(losses, batch)


def inputs_7(rng):
    cases = []
    for count, batch in ((50, 16), (33, 32), (40, 13)):
        y = rng.integers(0, 4, count)
        x = rng.normal(size=(count, 6)) + np.eye(4, 6)[y]
        x[-(count % batch) :] *= 4  # the last batch is unlike the others
        W, b = rng.normal(size=(6, 4)), rng.normal(size=4)
        p, seed = float(rng.uniform(0.2, 0.5)), int(rng.integers(100))
        cases.append((x, y, W, b, p, batch, seed))
    return cases


evaluate_mistakes = [
    Mistake(
        lambda *a: evaluate_with(*a, drop=inverted, mean=mean_of_means),
        "This is the code as it was given. It has two faults: run it twice with two seeds, and "
        "twice with one seed, once with batches of equal size and once with a short last batch.",
    ),
    Mistake(
        lambda *a: evaluate_with(*a, drop=None, mean=mean_of_means),
        "The dropout is off. But the short last batch still counts as much as a full one.",
    ),
    Mistake(
        lambda *a: evaluate_with(*a, drop=inverted, mean=right_mean),
        "The mean is right. But the loss still depends on the seed: what is random in it?",
    ),
    Mistake(
        lambda *a: evaluate_with(*a, drop=lambda h, p, rng: h * (1 - p), mean=right_mean),
        "You multiply by 1 - p at inference. In training the kept entries were divided by 1 - p "
        "already: nothing is left to correct.",
    ),
    Mistake(
        lambda *a: evaluate_with(*a, drop=lambda h, p, rng: h / (1 - p), mean=right_mean),
        "You left the division by 1 - p where the mask was. Without a mask nothing is scaled.",
    ),
    Mistake(
        lambda *a: evaluate_with(
            *a, drop=None, mean=lambda losses, batch: np.concatenate(losses).sum()
        ),
        "You return the sum over all examples. The mean loss of an example is wanted.",
    ),
    Mistake(
        lambda *a: evaluate_with(
            *a,
            drop=None,
            mean=lambda losses, batch: np.concatenate(losses).sum() / len(losses) / batch,
        ),
        "You divide by as many examples as full batches would have. The last one has fewer.",
    ),
    Mistake(
        lambda *a: evaluate_with(
            *a,
            drop=None,
            mean=lambda losses, batch: np.mean([one for one in losses if len(one) == batch]),
        ),
        "You leave the last examples out. Then the loss is one of another data set for each batch "
        "size.",
    ),
    Mistake(
        lambda *a: evaluate_with(
            *a, drop=None, mean=lambda losses, batch: np.sum([one.mean() for one in losses])
        ),
        "You add up the means of the batches. The result grows with their number.",
    ),
]

# --- all of them ----------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        "10.1",
        chance,
        inputs_1,
        chance_mistakes,
        [
            "Draw the line of c through the steps. At which places does each method put a mask on "
            "it?",
            "Masks that are drawn anew are independent, and the chances of independent events "
            "multiply. A mask that is drawn once is met once, however often it is used.",
        ],
    ),
    Exercise(
        "10.2",
        stop_early,
        inputs_2,
        stop_mistakes,
        [
            "Carry three things from look to look: the best look, its loss, and how many looks in "
            "a row were not better.",
            "Whatever is decided may use `validation[:look + 1]` and nothing else. `test` is read "
            "once, at the end.",
        ],
        points=2,
    ),
    Exercise(
        "10.3",
        l1_step,
        inputs_3,
        l1_mistakes,
        [
            "Two lines: the plain gradient step gives v; then v moves towards 0 by a fixed amount.",
            "`np.sign(v)` keeps the sign; `np.maximum(..., 0)` stops the size at 0.",
        ],
        points=2,
    ),
    Exercise(
        "10.4",
        dropout_masks,
        inputs_4,
        masks_mistakes,
        [
            "First decide which random numbers belong to step t. Then compare them with p. Then "
            "scale.",
            "`u[:, :1]` has the shape (B, 1, N): the numbers of the first step. "
            "`np.broadcast_to(..., u.shape)` repeats them over time.",
        ],
        points=2,
    ),
    Exercise(
        "10.5",
        zoneout,
        inputs_5,
        zoneout_mistakes,
        [
            "In training every entry is copied from one of two arrays. From which, where u < z?",
            "At inference take the mean of that over many masks: with which weights do old and new "
            "come in?",
        ],
        points=2,
    ),
    Exercise(
        "10.6",
        activity_penalty,
        inputs_6,
        penalty_mistakes,
        [
            "A mean of squares over n entries has the gradient 2 / n times the entries. How many "
            "changes are there?",
            "Every change h_t - h_{t-1} pulls at two states, with opposite signs. Start from the "
            "gradient of the first penalty and add to two slices of it.",
        ],
        points=3,
    ),
    Exercise(
        "10.7",
        evaluate,
        inputs_7,
        evaluate_mistakes,
        [
            "An evaluation has one right answer for given weights and data. On which of the seven "
            "arguments may it depend?",
            "Keep the losses of all examples, and take one mean at the end.",
        ],
        points=2,
    ),
]

ALTERNATIVES = {
    "10.4": [masks_one_by_one, masks_by_repeat, masks_by_stack],
    "10.5": [zoneout_by_where, zoneout_by_copy, zoneout_one_by_one],
    "10.6": [penalty_by_matrix, penalty_by_loop, penalty_by_padding],
}
