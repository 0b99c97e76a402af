"""Where does training diverge, and what does each kind of clipping do about it?

Lesson 05 reads the results. A ReLU network of 32 units with identity recurrent weights learns the
adding problem over 30 steps by SGD with momentum 0.9, in NumPy. Rate and threshold vary; 1e30 clips
nothing. A run has diverged at the first loss that is not below a million: `diverged` is that step,
counted from 0, and None otherwise. `went_on` says of a run that diverged what becomes of it when it
is not stopped before its loss is not finite.
"""

import numpy as np

from course_utils.tasks import adding_problem

LENGTH, UNITS, BATCH, STEPS = 30, 32, 32, 800
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
THRESHOLDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e30)
SETTINGS = [
    {"method": "global norm", "threshold": threshold, "rate": rate, "seed": seed}
    for threshold in THRESHOLDS
    for rate in RATES
    for seed in range(5)
]
SETTINGS += [
    {"method": method, "threshold": threshold, "rate": 1e-2, "seed": seed}
    for method, thresholds in (("per variable", (0.1, 0.3, 1.0)), ("value", (0.01, 0.1, 1.0)))
    for threshold in thresholds
    for seed in range(5)
]


def start(rng):
    """W_x (2, N) and W_y (N, 1) by Glorot, W_h the identity, b (N,) and b_y (1,) zero; float32."""
    a, c = np.sqrt(6 / (2 + UNITS)), np.sqrt(6 / (UNITS + 1))
    W_x, W_y = rng.uniform(-a, a, (2, UNITS)), rng.uniform(-c, c, (UNITS, 1))
    weights = W_x, np.eye(UNITS), np.zeros(UNITS), W_y, np.zeros(1)
    return [w.astype("float32") for w in weights]


def predict(weights, x):
    """All states, a list of T + 1 arrays (B, N), and the outputs (B, 1)."""
    W_x, W_h, b, W_y, b_y = weights
    states = [np.zeros((len(x), UNITS), "float32")]
    for t in range(x.shape[1]):
        states.append(np.maximum(x[:, t] @ W_x + states[-1] @ W_h + b, 0))
    return states, states[-1] @ W_y + b_y


def backward(weights, x, y):
    """The mean squared error and its gradients, one per weight."""
    _, W_h, _, W_y, _ = weights
    states, output = predict(weights, x)
    error = output - y
    d_output = 2 * error / len(x)
    d_x, d_h, d_b = (np.zeros_like(w) for w in weights[:3])
    G = d_output @ W_y.T
    for t in range(x.shape[1], 0, -1):
        G = G * (states[t] > 0)
        d_x += x[:, t - 1].T @ G
        d_h += states[t - 1].T @ G
        d_b += G.sum(axis=0)
        G = G @ W_h.T
    return np.mean(error**2), [d_x, d_h, d_b, states[-1].T @ d_output, d_output.sum(axis=0)]


def norm(gradients):
    return np.sqrt(sum(np.sum(g * g) for g in gradients))


def clip(gradients, method, threshold):
    if method == "value":
        return [np.clip(g, -threshold, threshold) for g in gradients]
    norms = [norm([g]) for g in gradients]
    if method == "global norm":
        norms = [norm(gradients)] * len(gradients)
    pairs = zip(gradients, norms, strict=True)
    return [g * np.float32(threshold / n) if n > threshold else g for g, n in pairs]


def run(method, threshold, rate, seed, *, steps=STEPS, trace=False, limit=1e6):
    """Train; what became of it, with `trace` also the loss and the global norm of every step."""
    rng = np.random.default_rng(seed)
    weights, (x_test, y_test) = start(rng), adding_problem(1000, LENGTH, seed=10_000 + seed)
    velocities = [np.zeros_like(w) for w in weights]
    losses, norms, errors = [], [], []
    with np.errstate(all="ignore"):
        for step in range(1, steps + 1):
            loss, gradients = backward(weights, *adding_problem(BATCH, LENGTH, seed=rng))
            losses.append(float(loss))
            norms.append(float(norm(gradients)))
            if not loss < limit:  # NaN is not below it either
                break
            for k, g in enumerate(clip(gradients, method, threshold)):
                velocities[k] = np.float32(0.9) * velocities[k] - np.float32(rate) * g
                weights[k] = weights[k] + velocities[k]
            if step % 50 == 0:
                errors.append(float(np.mean((predict(weights, x_test)[1] - y_test) ** 2)))
    diverged = not losses[-1] < limit
    result = {
        "diverged": len(losses) - 1 if diverged else None,
        "error": None if diverged else float(np.mean(errors[-4:])),
        "highest_loss": None if diverged else max(losses),
        "first_norm": norms[0],
        "median_norm": None if diverged else float(np.median(norms)),
        "clipped": None if diverged else float(np.mean(np.array(norms) > threshold)),
        "dead": None if diverged else bool(not gradients[1].any()),  # no gradient of W_h at all
    }
    if trace:
        return {**result, "losses": losses, "norms": norms}
    result["went_on"] = None
    if diverged and limit < np.inf:
        on = run(method, threshold, rate, seed, steps=steps, limit=np.inf)
        finite = on["diverged"] is None
        result["went_on"] = {"finite": finite, "dead": on["dead"], "error": on["error"]}
    return result
