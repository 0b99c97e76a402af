"""The exercises of lesson 01: references, inputs, and the mistakes that people make."""

import itertools

import numpy as np

from course_utils.exercises import Exercise, Mistake


def scan(step, x, h):
    """The states h_1 ... h_T of `h = step(x_t, h)`, as a list."""
    states = []
    for t in range(x.shape[1]):
        h = step(x[:, t], h)
        states.append(h)
    return states


def zeros(x, b):
    return np.zeros((len(x), len(b)))


def simple(x, W_x, W_h, b, h0=None):
    """The states of the plain recurrent network, as a list."""
    h0 = zeros(x, b) if h0 is None else h0
    return scan(lambda x_t, h: np.tanh(x_t @ W_x + h @ W_h + b), x, h0)


def network(rng, batch, length, features, units):
    """x, W_x, W_h and b, of a size that leaves tanh neither linear nor saturated."""
    x = rng.normal(size=(batch, length, features))
    W_x = rng.normal(size=(features, units)) / np.sqrt(features)
    W_h = rng.normal(size=(units, units)) / np.sqrt(units)
    return x, W_x, W_h, rng.uniform(0.2, 0.8, size=units) * rng.choice([-1, 1], size=units)


# --- 01.1 Predict: how many numbers does it learn? ------------------------------------------------


def parameters(features, units, classes, length):
    return features * units + units * units + units + units * classes + classes


def parameters_inputs(rng):
    features, units, classes, length = (int(n) for n in rng.integers(2, 40, size=4))
    return [(8, 64, 10, 20), (features, units, classes, length), (1, 1, 2, 1000), (5, 3, 1, 1)]


def one_set_per_step(features, units, classes, length):
    recurrent = features * units + units * units + units
    return length * recurrent + units * classes + classes


def no_recurrent_matrix(features, units, classes, length):
    return features * units + units + units * classes + classes


def no_biases(features, units, classes, length):
    return features * units + units * units + units * classes


def no_recurrent_bias(features, units, classes, length):
    return parameters(features, units, classes, length) - units


def no_output_bias(features, units, classes, length):
    return parameters(features, units, classes, length) - classes


def two_recurrent_biases(features, units, classes, length):
    return parameters(features, units, classes, length) + units


def output_reads_all_steps(features, units, classes, length):
    return parameters(features, units, classes, length) + (length - 1) * units * classes


def recurrent_layer_only(features, units, classes, length):
    return features * units + units * units + units


def four_gates(features, units, classes, length):
    recurrent = features * units + units * units + units
    return 4 * recurrent + units * classes + classes


PARAMETERS = Exercise(
    "01.1",
    parameters,
    parameters_inputs,
    [
        Mistake(
            one_set_per_step,
            "Your count grows with the length, as if every step had weights of its own. The loop "
            "uses the same three arrays at step 1 and at step 1000. That is what makes the layer "
            "recurrent, and why it can read sequences of any length.",
        ),
        Mistake(
            no_recurrent_matrix,
            "You counted the path from the input to the state and the way out. How does the state "
            "of one step reach the next? One array is missing, and with many units it is the "
            "largest of all.",
        ),
        Mistake(
            no_biases,
            "You counted the matrices and no bias. Both layers have one: one number for each unit, "
            "and one for each class.",
        ),
        Mistake(
            no_recurrent_bias,
            "The bias of the recurrent layer is missing. Look at the equation of the state: three "
            "arrays are learned, not two.",
        ),
        Mistake(
            no_output_bias,
            "The recurrent layer is right. `Dense` has a bias too, and you left it out.",
        ),
        Mistake(
            two_recurrent_biases,
            "You counted two biases in the recurrent layer. PyTorch's `nn.RNN` does have two, one "
            "beside each matrix, though only their sum matters. Keras' `SimpleRNN` has one.",
        ),
        Mistake(
            output_reads_all_steps,
            "Your `Dense` layer reads the states of all steps, side by side. Here it is fed with "
            "the last state only, so its matrix does not know how long the sequence was.",
        ),
        Mistake(
            four_gates,
            "You counted four sets of weights in the recurrent layer. An LSTM has four, one for "
            "each gate (lesson 06); `SimpleRNN` has one.",
        ),
        Mistake(
            recurrent_layer_only,
            "That is the recurrent layer alone, and it is right. Now add what `Dense` learns.",
        ),
    ],
    [
        "List the arrays that are learned, with their shapes: three in the first layer, two in the "
        "second. Then count their elements.",
        "One of the four arguments does not occur in the answer. Which, and why?",
    ],
)


# --- 01.2 Predict: what shape comes out? ----------------------------------------------------------


def output_shape(batch, length, features, units, return_sequences):
    return (batch, length, units) if return_sequences else (batch, units)


def output_shape_inputs(rng):
    batch, length, features, units = (int(n) for n in rng.permutation(np.arange(2, 30))[:4])
    sizes = [(32, 20, 8, 64), (batch, length, features, units), (1, 1, 7, 3)]
    return [(*size, flag) for size in sizes for flag in (True, False)]


def always_the_sequence(batch, length, features, units, return_sequences):
    return (batch, length, units)


def always_the_last(batch, length, features, units, return_sequences):
    return (batch, units)


def flag_turned_round(batch, length, features, units, return_sequences):
    return output_shape(batch, length, features, units, not return_sequences)


def features_come_out(batch, length, features, units, return_sequences):
    return output_shape(batch, length, units, features, return_sequences)


def features_and_units(batch, length, features, units, return_sequences):
    return output_shape(batch, length, units, features + units, return_sequences)


def time_axis_first(batch, length, features, units, return_sequences):
    return (length, batch, units) if return_sequences else (batch, units)


def time_axis_kept(batch, length, features, units, return_sequences):
    return (batch, length if return_sequences else 1, units)


def batch_unknown(batch, length, features, units, return_sequences):
    return (None, length, units) if return_sequences else (None, units)


OUTPUT_SHAPE = Exercise(
    "01.2",
    output_shape,
    output_shape_inputs,
    [
        Mistake(
            always_the_sequence,
            "You hand out every state in both cases. With `return_sequences=False`, the default, "
            "the layer keeps only one of them.",
        ),
        Mistake(
            always_the_last,
            "You hand out one state in both cases. With `return_sequences=True` there is one for "
            "every step.",
        ),
        Mistake(
            flag_turned_round,
            "Both shapes are right, and each is in the other's place. `return_sequences=True` asks "
            "for the whole sequence of states.",
        ),
        Mistake(
            features_come_out,
            "Your last axis has the size of the input. The input passes through W_x, of shape "
            "(D, N): what comes out of that product?",
        ),
        Mistake(
            features_and_units,
            "You put input and state side by side. Some implementations do so on the way *in*, "
            "to save a product; what comes out is the state alone.",
        ),
        Mistake(
            time_axis_first,
            "The three sizes are right, their order is not. (time, batch, units) is PyTorch's "
            "default; Keras puts the examples first.",
        ),
        Mistake(
            batch_unknown,
            "`model.summary()` writes None for the batch, because it cannot know its size yet. "
            "Here an array goes in, and its size is given.",
        ),
        Mistake(
            time_axis_kept,
            "You kept a time axis of size 1 for the last state. The layer drops that axis: there "
            "is no sequence left.",
        ),
    ],
    [
        "The output holds states. What is the shape of one state of the whole batch?",
        "With `return_sequences=True` there are as many of them as steps. Where does Keras put the "
        "time axis?",
    ],
)


# --- 01.3 Modify: every state, not only the last --------------------------------------------------


def all_states(x, W_x, W_h, b):
    return np.stack(simple(x, W_x, W_h, b), axis=1)


def all_states_inputs(rng):
    return [network(rng, *s) for s in [(3, 5, 2, 4), (4, 4, 3, 4), (2, 1, 3, 2), (1, 6, 1, 1)]]


def last_state(x, W_x, W_h, b):
    return simple(x, W_x, W_h, b)[-1]


def with_initial_state(x, W_x, W_h, b):
    return np.stack([zeros(x, b), *simple(x, W_x, W_h, b)], axis=1)


def one_step_late(x, W_x, W_h, b):
    return np.stack([zeros(x, b), *simple(x, W_x, W_h, b)[:-1]], axis=1)


def time_first(x, W_x, W_h, b):
    return np.stack(simple(x, W_x, W_h, b))


def reshaped(x, W_x, W_h, b):
    return np.stack(simple(x, W_x, W_h, b)).reshape(*x.shape[:2], len(b))


def last_repeated(x, W_x, W_h, b):
    return np.stack([last_state(x, W_x, W_h, b)] * x.shape[1], axis=1)


def reversed_in_time(x, W_x, W_h, b):
    return all_states(x, W_x, W_h, b)[:, ::-1]


def glued(x, W_x, W_h, b):
    return np.concatenate(simple(x, W_x, W_h, b), axis=1)


def first_step_skipped(x, W_x, W_h, b):
    later = simple(x[:, 1:], W_x, W_h, b)
    return np.stack([zeros(x, b), *later], axis=1)


ALL_STATES = Exercise(
    "01.3",
    all_states,
    all_states_inputs,
    [
        Mistake(
            last_state,
            "That is what the function already did: one state per example, the last. Keep the "
            "states of the other steps before they are overwritten.",
        ),
        Mistake(
            with_initial_state,
            "You return T + 1 states. h_0 is where the network starts, before it has seen "
            "anything; the layer hands out h_1 to h_T.",
        ),
        Mistake(
            one_step_late,
            "Your states are one step late: at index 0 stands h_0, and h_T is missing. Look at "
            "the order of two lines in your loop: the update, and the keeping.",
        ),
        Mistake(
            first_step_skipped,
            "You never read the first input: index 0 still holds zeros, and the states start with "
            "the second step. At which t does your loop begin?",
        ),
        Mistake(
            time_first,
            "The states are right, but the time axis comes first: (T, B, N). A list of T arrays "
            "becomes an array with T in front unless you say otherwise.",
        ),
        Mistake(
            reshaped,
            "The shape is right and the examples are mixed up. `reshape` cuts the same row of "
            "numbers into other pieces; it does not move an axis to another place.",
        ),
        Mistake(
            last_repeated,
            "Every step of your result holds the last state. Either you repeat it, or you keep the "
            "same array T times and change it in place: a list does not copy what it holds.",
        ),
        Mistake(
            reversed_in_time,
            "The states stand in reversed order: index 0 holds h_T. Time should run forward.",
        ),
        Mistake(
            glued,
            "You joined the states along the units, (B, T·N). `concatenate` lengthens an axis "
            "that exists; you need a new one.",
        ),
    ],
    [
        "Collect the state of each step in a list, then turn the list into one array.",
        "`np.stack` joins arrays along a new axis, and its `axis` says where that axis stands.",
    ],
    points=2,
)


# --- 01.4 Build: the forward pass -----------------------------------------------------------------


def rnn_forward(x, W_x, W_h, b, h0):
    states = simple(x, W_x, W_h, b, h0)
    return np.stack(states, axis=1), states[-1]


def rnn_forward_inputs(rng):
    sizes = [(2, 4, 3, 5), (3, 6, 2, 3), (1, 1, 1, 1), (4, 2, 5, 2)]
    return [(*network(rng, *s), rng.uniform(-0.9, 0.9, size=(s[0], s[3]))) for s in sizes]


def outputs(states):
    return np.stack(states, axis=1), states[-1]


def no_tanh(x, W_x, W_h, b, h0):
    return outputs(scan(lambda x_t, h: x_t @ W_x + h @ W_h + b, x, h0))


def transposed(x, W_x, W_h, b, h0):
    return rnn_forward(x, W_x, W_h.T, b, h0)


def no_bias(x, W_x, W_h, b, h0):
    return rnn_forward(x, W_x, W_h, 0 * b, h0)


def bias_twice(x, W_x, W_h, b, h0):
    return rnn_forward(x, W_x, W_h, 2 * b, h0)


def not_carried(x, W_x, W_h, b, h0):
    return outputs(scan(lambda x_t, h: np.tanh(x_t @ W_x + h0 @ W_h + b), x, h0))


def h0_ignored(x, W_x, W_h, b, h0):
    return rnn_forward(x, W_x, W_h, b, 0 * h0)


def bias_after_tanh(x, W_x, W_h, b, h0):
    return outputs(scan(lambda x_t, h: np.tanh(x_t @ W_x + h @ W_h) + b, x, h0))


def two_tanhs(x, W_x, W_h, b, h0):
    return outputs(scan(lambda x_t, h: np.tanh(x_t @ W_x) + np.tanh(h @ W_h + b), x, h0))


def last_example(x, W_x, W_h, b, h0):
    states, _ = rnn_forward(x, W_x, W_h, b, h0)
    return states, states[-1]


def swapped(x, W_x, W_h, b, h0):
    return rnn_forward(x, W_x, W_h, b, h0)[::-1]


RNN_FORWARD = Exercise(
    "01.4",
    rnn_forward,
    rnn_forward_inputs,
    [
        Mistake(
            no_tanh,
            "The sums are right, but nothing bends them: tanh is missing. Task 01.8 shows what "
            "becomes of a recurrent network without it.",
        ),
        Mistake(
            transposed,
            "You multiply by the transpose of W_h. It is square, so NumPy cannot warn you. Rows "
            "are examples here, and the matrix stands on the right, as it is; many papers write "
            "columns, with the matrix on the left.",
        ),
        Mistake(no_bias, "The bias b is missing from your sum."),
        Mistake(
            bias_twice,
            "The bias comes in twice. Perhaps you add it to the input's part and then again to "
            "the whole.",
        ),
        Mistake(
            not_carried,
            "Every step starts from h0, so your network forgets each step at once. Which state "
            "does step t receive, and who hands it over?",
        ),
        Mistake(
            h0_ignored,
            "Your network starts from zeros whatever `h0` says. Whoever calls it may want to go "
            "on where an earlier piece of the sequence ended.",
        ),
        Mistake(
            bias_after_tanh,
            "You add the bias after tanh: your states can leave the interval (-1, 1). The bias "
            "belongs to the pre-activation.",
        ),
        Mistake(
            two_tanhs,
            "You squash the input's part and the state's part one by one and add the results. The "
            "two are summed first; then one tanh bends the sum.",
        ),
        Mistake(
            last_example,
            "Your states are right. As `last` you return those of the last *example*: with the "
            "shape (B, T, N), index -1 picks from the batch, not from time.",
        ),
        Mistake(
            swapped,
            "Both arrays are right, in the wrong order: first all states, then the last one.",
        ),
    ],
    [
        "Write one step first, for the whole batch: from x[:, t], of shape (B, D), and the state "
        "h, of shape (B, N), to the next state. Then put a loop around it.",
        "Begin with h equal to h0. In the loop, replace h by the new state and keep it in a list.",
    ],
    points=3,
)


def forward_in_a_buffer(x, W_x, W_h, b, h0):
    states, h = np.empty((*x.shape[:2], len(b))), h0
    for t in range(x.shape[1]):
        states[:, t] = h = np.tanh(np.dot(h, W_h) + np.dot(x[:, t], W_x) + b)
    return states, states[:, -1]


def forward_projected_first(x, W_x, W_h, b, h0):
    projected = np.moveaxis(x @ W_x + b, 1, 0)
    states = list(itertools.accumulate(projected, lambda h, p: np.tanh(p + h @ W_h), initial=h0))
    return [np.array(states[1:]).transpose(1, 0, 2), states[-1]]


def forward_stacked(x, W_x, W_h, b, h0):
    W, h, states = np.vstack([W_x, W_h, b]), h0.copy(), []
    for x_t in x.swapaxes(0, 1):
        h = np.tanh(np.hstack([x_t, h, np.ones((len(x), 1))]) @ W)
        states += [h[:, None]]
    return np.concatenate(states, axis=1), h


def forward_one_example_at_a_time(x, W_x, W_h, b, h0):
    states = []
    for sequence, h in zip(x, h0, strict=True):
        states.append([])
        for x_t in sequence:
            a = np.einsum("d,dn->n", x_t, W_x) + np.einsum("m,mn->n", h, W_h) + b
            h = 1 - 2 / (np.exp(2 * a) + 1)
            states[-1].append(h)
    return states, [steps[-1] for steps in states]


# --- 01.5 Build: sequences of different lengths ---------------------------------------------------


def masked_forward(x, mask, W_x, W_h, b):
    h = zeros(x, b)
    for t in range(x.shape[1]):
        h = np.where(mask[:, t, None], np.tanh(x[:, t] @ W_x + h @ W_h + b), h)
    return h


def masked_forward_inputs(rng):
    cases = []
    for mask in (
        [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]],  # padded on the right
        [[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]],  # padded on the left
        [[0, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 1]],  # with gaps; at one step nothing is real
        [[1]],
    ):
        mask = np.array(mask, dtype=bool)
        x, *weights = network(rng, *mask.shape, 2, 4)
        x[~mask] = [3.0, 0.0] if len(cases) else 0.0
        cases.append((x, mask, *weights))
    return cases


def mask_ignored(x, mask, W_x, W_h, b):
    return simple(x, W_x, W_h, b)[-1]


def state_zeroed(x, mask, W_x, W_h, b):
    h = zeros(x, b)
    for t in range(x.shape[1]):
        h = mask[:, t, None] * np.tanh(x[:, t] @ W_x + h @ W_h + b)
    return h


def input_masked(x, mask, W_x, W_h, b):
    return simple(x * mask[..., None], W_x, W_h, b)[-1]


def state_at_length(x, mask, W_x, W_h, b):
    states = np.stack([zeros(x, b), *simple(x, W_x, W_h, b)], axis=1)
    return states[np.arange(len(x)), mask.sum(axis=1)]


def state_at_last_real(x, mask, W_x, W_h, b):
    states = np.stack([zeros(x, b), *simple(x, W_x, W_h, b)], axis=1)
    last = (mask * np.arange(1, mask.shape[1] + 1)).max(axis=1)
    return states[np.arange(len(x)), last]


def mask_turned_round(x, mask, W_x, W_h, b):
    return masked_forward(x, ~mask, W_x, W_h, b)


def one_for_all(x, mask, W_x, W_h, b):
    return masked_forward(x, mask & mask.all(axis=0), W_x, W_h, b)


def all_for_one(x, mask, W_x, W_h, b):
    return masked_forward(x, mask | mask.any(axis=0), W_x, W_h, b)


def stop_at_the_first_padding(x, mask, W_x, W_h, b):
    return masked_forward(x, np.logical_and.accumulate(mask, axis=1), W_x, W_h, b)


MASKED_FORWARD = Exercise(
    "01.5",
    masked_forward,
    masked_forward_inputs,
    [
        Mistake(
            mask_ignored,
            "You read the state after the last step of the array, so short sequences run on "
            "through their padding. Even zeros change the state: W_h and b still act.",
        ),
        Mistake(
            state_zeroed,
            "You set the state to zero at masked steps, so the network forgets there all that it "
            "had read. Padding should change nothing: which state should come out of a masked "
            "step?",
        ),
        Mistake(
            input_masked,
            "You blank the input at masked steps, but the state still moves: W_h, b and tanh act "
            "on it. It is the *state* that the mask must protect.",
        ),
        Mistake(
            state_at_length,
            "You count the real steps and read the state at that place. That is right only where "
            "the padding stands on the right; with padding on the left or with gaps, the last "
            "real step is elsewhere, and padding went through the network before it.",
        ),
        Mistake(
            state_at_last_real,
            "You read the state at the last real step: a good place to look. But padding that came "
            "*before* it has already changed the state. Protect the state during the loop.",
        ),
        Mistake(
            mask_turned_round,
            "You read the padding and skip the rest. In Keras' masks True means: this step is "
            "real.",
        ),
        Mistake(
            one_for_all,
            "You skip a step for the whole batch when one example is padded there, and the longer "
            "sequences lose real steps. Decide for each example on its own.",
        ),
        Mistake(
            all_for_one,
            "You update the whole batch as soon as one example is real at a step, and the padding "
            "of the others goes through. Each example needs a decision of its own.",
        ),
        Mistake(
            stop_at_the_first_padding,
            "You stop at the first padding of an example. Real steps may follow: padding can stand "
            "on the left or leave gaps.",
        ),
    ],
    [
        "What should the state be after a masked step? Compare with a sequence in which that step "
        "does not exist.",
        "Compute the new state for the whole batch, then choose, example by example, between new "
        "and old. mask[:, t] has the shape (B,) and the states (B, N), so an axis is missing.",
    ],
    points=3,
)


def masked_by_arithmetic(x, mask, W_x, W_h, b):
    keep, h = mask.astype(float)[:, :, np.newaxis], np.zeros((x.shape[0], W_h.shape[0]))
    for t in range(x.shape[1]):
        h = keep[:, t] * np.tanh(x[:, t] @ W_x + h @ W_h + b) + (1 - keep[:, t]) * h
    return h


def masked_by_assignment(x, mask, W_x, W_h, b):
    h = np.zeros((len(x), len(b)))
    for t in range(x.shape[1]):
        real = mask[:, t]
        h[real] = np.tanh(x[real, t] @ W_x + h[real] @ W_h + b)
    return h


def masked_by_cutting(x, mask, W_x, W_h, b):
    last = []
    for sequence, real in zip(x, mask, strict=True):
        h = np.zeros(len(b))
        for x_t in sequence[real]:
            h = np.tanh(x_t @ W_x + h @ W_h + b)
        last.append(h)
    return np.array(last)


# --- 01.6 Find the bug: exponentials that overflow ------------------------------------------------


def squash(z):
    e = np.exp(-np.abs(z))
    tanh = -np.sign(z) * np.expm1(-2 * np.abs(z)) / (1 + e**2)
    sigmoid = np.where(z >= 0, 1, e) / (1 + e)
    return tanh, sigmoid, e / (1 + e) ** 2


def squash_inputs(rng):
    edges = np.array([-1000.0, -710.0, -30.0, -1.0, 0.0, 1.0, 30.0, 710.0, 1000.0])
    return [(edges,), (rng.normal(size=(3, 4)),), (rng.normal(size=6) * 500,)]


def squash_faulty(z):
    tanh = (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))
    sigmoid = 1 / (1 + np.exp(-z))
    return tanh, sigmoid, np.exp(-z) * sigmoid**2


def slope_left(z):
    return squash(z)[0], *squash_faulty(z)[1:]


def nan_to_zero(z):
    return tuple(np.nan_to_num(value) for value in squash_faulty(z))


def cut_early(z):
    return squash(np.clip(z, -5, 5))


def right_half(z):
    e = np.exp(-2 * z)
    return (1 - e) / (1 + e), *squash(z)[1:]


def left_half(z):
    e = np.exp(2 * z)
    return (e - 1) / (e + 1), *squash(z)[1:]


def sign_lost(z):
    return squash(np.abs(z))


def other_side(z):
    sigmoid = np.exp(z) / (1 + np.exp(z))
    return np.tanh(z), sigmoid, sigmoid * (1 - sigmoid)


def half_forgotten(z):
    sigmoid = (1 + np.tanh(z)) / 2
    return np.tanh(z), sigmoid, sigmoid * (1 - sigmoid)


def slope_of_tanh(z):
    tanh, sigmoid, _ = squash(z)
    return tanh, sigmoid, 1 - tanh**2


SQUASH = Exercise(
    "01.6",
    squash,
    squash_inputs,
    [
        Mistake(
            squash_faulty,
            "This still behaves like the faulty code: NaN in tanh at ±1000, and in the slope of "
            "the sigmoid at -1000. Which exponential overflows there, and what is inf / inf, or "
            "inf times 0?",
        ),
        Mistake(
            slope_left,
            "tanh is mended. The sigmoid's value was never wrong, but its slope still is NaN at "
            "-1000: inf times 0. In training, that NaN would reach every weight.",
        ),
        Mistake(
            nan_to_zero,
            "You replaced NaN by 0, but tanh(1000) is 1. A NaN at least tells you that something "
            "went wrong; a wrong number tells you nothing.",
        ),
        Mistake(
            cut_early,
            "You cut the inputs at ±5. Nothing overflows, but sigmoid(5) is 0.993 and not yet 1, "
            "and the slope there is not yet 0. If you cut, then where the result no longer "
            "changes.",
        ),
        Mistake(
            right_half,
            "tanh is right for positive numbers, and NaN for large negative ones: exp(-2z) "
            "overflows there. One formula cannot serve both sides unless its exponent is never "
            "positive.",
        ),
        Mistake(
            left_half,
            "tanh is right for negative numbers, and NaN for large positive ones: exp(2z) "
            "overflows there. One formula cannot serve both sides unless its exponent is never "
            "positive.",
        ),
        Mistake(
            sign_lost,
            "Nothing overflows, but your answers for z and for -z are the same. After working "
            "with the absolute value, give the sign back: tanh(-z) = -tanh(z), and "
            "sigmoid(-z) = 1 - sigmoid(z).",
        ),
        Mistake(
            other_side,
            "tanh is mended. Your new sigmoid carries the trouble to the other side: for large "
            "positive numbers it is inf / inf, where the old one was right.",
        ),
        Mistake(
            half_forgotten,
            "Your sigmoid is twice as steep as it should be. It is a stretched and shifted tanh, "
            "but of another argument: compare the two at z = 2.",
        ),
        Mistake(
            slope_of_tanh,
            "The values are right. The third result is the slope of tanh; that of the sigmoid "
            "was wanted. At 0 they are 1 and 1/4.",
        ),
    ],
    [
        "exp overflows only when its argument is large and positive. Which rewriting keeps every "
        "exponent at zero or below?",
        "Both functions have a symmetry, tanh(-z) = -tanh(z) and sigmoid(-z) = 1 - sigmoid(z), so "
        "|z| is enough. And the sigmoid's slope can be had from its value alone, or, without "
        "losing tiny values, from exp(-|z|).",
    ],
    points=2,
)


def squash_from_tanh(z):
    sigmoid = 0.5 * (1 + np.tanh(z / 2))
    return np.tanh(z), sigmoid, sigmoid - sigmoid**2


def squash_by_halves(z):
    tanh, sigmoid, right = np.empty_like(z), np.empty_like(z), z >= 0
    tanh[right] = 2 / (1 + np.exp(-2 * z[right])) - 1
    tanh[~right] = 1 - 2 / (1 + np.exp(2 * z[~right]))
    sigmoid[right] = 1 / (1 + np.exp(-z[right]))
    sigmoid[~right] = np.exp(z[~right]) / (1 + np.exp(z[~right]))
    return tanh, sigmoid, sigmoid * (1 - sigmoid)


def squash_cut_late(z):
    return squash_faulty(np.clip(z, -300, 300))


# --- 01.7 Find the bug: nothing bends -------------------------------------------------------------


def mended_forward(x, W_x, W_h, b):
    return simple(x, W_x, W_h, b)[-1]


def mended_forward_inputs(rng):
    return [network(rng, *s) for s in [(3, 5, 2, 4), (2, 8, 3, 3), (1, 1, 2, 2)]]


def straight(x, W_x, W_h, b):
    return scan(lambda x_t, h: x_t @ W_x + h @ W_h + b, x, zeros(x, b))[-1]


def bent_at_the_end(x, W_x, W_h, b):
    return np.tanh(straight(x, W_x, W_h, b))


def input_bent(x, W_x, W_h, b):
    return scan(lambda x_t, h: np.tanh(x_t @ W_x) + h @ W_h + b, x, zeros(x, b))[-1]


def old_state_bent(x, W_x, W_h, b):
    return scan(lambda x_t, h: x_t @ W_x + np.tanh(h) @ W_h + b, x, zeros(x, b))[-1]


def rectified(x, W_x, W_h, b):
    return scan(lambda x_t, h: np.maximum(x_t @ W_x + h @ W_h + b, 0), x, zeros(x, b))[-1]


def squashed_by_the_sigmoid(x, W_x, W_h, b):
    sigmoid = lambda a: (1 + np.tanh(a / 2)) / 2  # noqa: E731
    return scan(lambda x_t, h: sigmoid(x_t @ W_x + h @ W_h + b), x, zeros(x, b))[-1]


def bias_left_out(x, W_x, W_h, b):
    return scan(lambda x_t, h: np.tanh(x_t @ W_x + h @ W_h) + b, x, zeros(x, b))[-1]


NOTHING_BENDS = Exercise(
    "01.7",
    mended_forward,
    mended_forward_inputs,
    [
        Mistake(
            straight,
            "This is the faulty network still: double its input and you double its output (plus "
            "what the bias brings). Compare it with the equation of the state, symbol by symbol.",
        ),
        Mistake(
            bent_at_the_end,
            "You bend once, after the loop. The states that travel through time are still linear: "
            "T steps remain one matrix, now with a tanh behind it. Bend every step.",
        ),
        Mistake(
            input_bent,
            "You bend what comes from the input, and the state itself goes on unbent. From step "
            "to step there is still only a matrix.",
        ),
        Mistake(
            old_state_bent,
            "You bend the state on its way into a step, not on its way out: the state that you "
            "return is the bare sum and can leave the interval (-1, 1).",
        ),
        Mistake(
            rectified,
            "You mended it with a rectifier. It bends too, and lesson 04 studies it; but the "
            "network of this lesson uses tanh, which also keeps the state within (-1, 1).",
        ),
        Mistake(
            squashed_by_the_sigmoid,
            "You mended it with the sigmoid. It bends too, but its states lie between 0 and 1; "
            "the network of this lesson uses tanh, and its states have both signs.",
        ),
        Mistake(
            bias_left_out,
            "Now it bends, but the bias stands outside the tanh. It belongs to the pre-activation: "
            "bend the whole sum.",
        ),
    ],
    [
        "Put the equation of the state beside the line in the loop. What is in one and not in the "
        "other?",
        "The nonlinearity has to act on every new state, before the next step reads it.",
    ],
    points=2,
)


# --- 01.8 Find the bug: the proof -----------------------------------------------------------------


def one_matrix(W_x, W_h, length):
    powers = [np.linalg.matrix_power(W_h, length - t) for t in range(1, length + 1)]
    return np.concatenate([W_x @ power for power in powers])


def one_matrix_inputs(rng):
    sizes = [(2, 3, 4), (3, 3, 3), (1, 2, 6), (4, 2, 1)]
    return [(*network(rng, 1, 1, D, N)[1:3], length) for D, N, length in sizes]


def blocks(W_x, W_h, length):
    return one_matrix(W_x, W_h, length).reshape(length, *W_x.shape)


def time_turned_round(W_x, W_h, length):
    return np.concatenate(blocks(W_x, W_h, length)[::-1])


def one_power_too_many(W_x, W_h, length):
    return one_matrix(W_x @ W_h, W_h, length)


def element_by_element(W_x, W_h, length):
    return np.concatenate([W_x @ W_h ** (length - t) for t in range(1, length + 1)])


def transposed_powers(W_x, W_h, length):
    return one_matrix(W_x, W_h.T, length)


def never_passed_on(W_x, W_h, length):
    return np.concatenate([W_x] * length)


def one_step_back(W_x, W_h, length):
    return np.concatenate([W_x @ W_h] * (length - 1) + [W_x])


def added_up(W_x, W_h, length):
    return blocks(W_x, W_h, length).sum(axis=0)


def side_by_side(W_x, W_h, length):
    return np.concatenate(list(blocks(W_x, W_h, length)), axis=1)


ONE_MATRIX = Exercise(
    "01.8",
    one_matrix,
    one_matrix_inputs,
    [
        Mistake(
            time_turned_round,
            "The blocks are right, and their order is reversed: yours treats the first step as "
            "the last. Which input has to pass through W_h most often before the end?",
        ),
        Mistake(
            one_power_too_many,
            "Every block has one W_h too many. The last input reaches h_T in the very step in "
            "which it is read: how often does it meet W_h?",
        ),
        Mistake(
            element_by_element,
            "You raised the elements of W_h to a power. Passing through the network twice is a "
            "*matrix* product, W_h @ W_h; `**` multiplies element by element.",
        ),
        Mistake(
            transposed_powers,
            "Your powers are those of the transpose of W_h. With examples as rows the state is "
            "multiplied from the left: h @ W_h.",
        ),
        Mistake(
            never_passed_on,
            "Every block is W_x, as if each input went straight into h_T. An early input enters "
            "an early state, and from there it has a way to go.",
        ),
        Mistake(
            one_step_back,
            "All inputs but the last pass through W_h once in your matrix, however early they "
            "came. The earlier an input, the more steps lie before it.",
        ),
        Mistake(
            added_up,
            "You added the T blocks into one of shape (D, N), as if all steps had the same input. "
            "Each input needs rows of its own: (T·D, N).",
        ),
        Mistake(
            side_by_side,
            "The blocks are right, and side by side. x.reshape(B, T * D) lists the inputs of all "
            "steps in one row, so the blocks must stand one below the other: (T·D, N).",
        ),
    ],
    [
        "Write h_3 of the faulty network with paper and pencil, from h_0 = 0 and without the bias, "
        "as a sum of three terms in x_1, x_2 and x_3.",
        "Each term is an input, times W_x, times W_h as often as there are steps still to come.",
    ],
    points=2,
)


# --- 01.9 Find the bug: the state comes in twice --------------------------------------------------


def joined_forward(x, W_x, W_h, b):
    W = np.concatenate([W_x, W_h])
    step = lambda x_t, h: np.tanh(np.concatenate([x_t, h], axis=1) @ W + b)  # noqa: E731
    return scan(step, x, zeros(x, b))[-1]


def joined_forward_inputs(rng):
    return [network(rng, *s) for s in [(2, 4, 3, 5), (4, 3, 2, 2), (3, 6, 4, 4), (1, 2, 1, 1)]]


def joined_faulty(x, W_x, W_h, b):
    h = np.zeros((len(x), len(b)))
    for t in range(x.shape[1]):
        joined = np.concatenate([x[:, t], h], axis=1)
        h = np.tanh(joined @ W_x + h @ W_h + b)
    return h


def state_twice(x, W_x, W_h, b):
    return mended_forward(x, W_x, 2 * W_h, b)


def stacked_in_the_other_order(x, W_x, W_h, b):
    W = np.concatenate([W_h, W_x])
    step = lambda x_t, h: np.tanh(np.concatenate([x_t, h], axis=1) @ W + b)  # noqa: E731
    return scan(step, x, zeros(x, b))[-1]


def joined_in_the_other_order(x, W_x, W_h, b):
    W = np.concatenate([W_x, W_h])
    step = lambda x_t, h: np.tanh(np.concatenate([h, x_t], axis=1) @ W + b)  # noqa: E731
    return scan(step, x, zeros(x, b))[-1]


def joined_once(x, W_x, W_h, b):
    return np.tanh(x[:, 0] @ W_x + b)


def state_left_out(x, W_x, W_h, b):
    return np.tanh(x[:, -1] @ W_x + b)


def joined_without_bias(x, W_x, W_h, b):
    return mended_forward(x, W_x, W_h, 0 * b)


def joined_without_tanh(x, W_x, W_h, b):
    return straight(x, W_x, W_h, b)


def input_twice(x, W_x, W_h, b):
    return mended_forward(x, 2 * W_x, W_h, b)


JOINED = Exercise(
    "01.9",
    joined_forward,
    joined_forward_inputs,
    [
        Mistake(
            joined_faulty,
            "This still ends with the first error: `joined` has D + N columns, and W_x has only D "
            "rows. Write the shape beside each factor of the line.",
        ),
        Mistake(
            state_twice,
            "It runs, but the state comes in twice: once inside `joined`, and once more through "
            "`h @ W_h`. Your recurrent matrix acts as if it were twice as large.",
        ),
        Mistake(
            input_twice,
            "It runs, but the input comes in twice: once inside `joined`, and once more on its "
            "own.",
        ),
        Mistake(
            stacked_in_the_other_order,
            "The shapes fit and the rows do not: in `joined` the first D columns are the input, so "
            "the first D rows of the matrix must be the input's.",
        ),
        Mistake(
            joined_in_the_other_order,
            "The shapes fit and the columns do not: your `joined` begins with the state, and your "
            "matrix with the rows of the input.",
        ),
        Mistake(
            joined_once,
            "Your answer depends on the first input only. If you build `joined` before the loop, "
            "it never learns of the later inputs, nor of the new states.",
        ),
        Mistake(
            state_left_out,
            "It runs, because the state no longer comes in at all: your answer depends on the last "
            "input only. Mending a shape error by dropping what does not fit drops the memory "
            "too.",
        ),
        Mistake(
            joined_without_bias,
            "The product is mended; the bias was lost on the way.",
        ),
        Mistake(
            joined_without_tanh,
            "The product is mended; the tanh was lost on the way. Task 01.8 says what that costs.",
        ),
    ],
    [
        "There are two ways to write this step: two products that are added, or one product of "
        "`joined` with one larger matrix. The faulty line is half of each.",
        "[x_t, h] side by side, times a matrix with W_x above and W_h below, is "
        "x_t @ W_x + h @ W_h.",
    ],
    points=2,
)


# --- 01.10 Find the bug: a bias on its side -------------------------------------------------------


def biased_step(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h + b.reshape(-1))


def biased_step_inputs(rng):
    cases = []
    for batch, units, shape in (
        (4, 4, (-1, 1)),
        (4, 4, (1, -1)),
        (4, 4, (-1,)),
        (1, 3, (-1, 1)),
        (5, 2, (-1, 1)),
        (2, 5, (-1,)),
        (3, 1, (1, 1)),
    ):
        x, W_x, W_h, b = network(rng, batch, 1, 2, units)
        h = rng.uniform(-0.9, 0.9, size=(batch, units))
        cases.append((x[:, 0], h, W_x, W_h, b.reshape(shape)))
    return cases


def bias_as_it_comes(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h + b)


def bias_turned(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h + b.T)


def first_column(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h + b[:, 0])


def first_number(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h + b[0])


def sum_turned(x_t, h, W_x, W_h, b):
    return np.tanh(((x_t @ W_x + h @ W_h).T + b).T)


def bias_dropped(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h)


def column_always(x_t, h, W_x, W_h, b):
    return np.tanh(x_t @ W_x + h @ W_h + b.reshape(-1, 1))


BIAS_ON_ITS_SIDE = Exercise(
    "01.10",
    biased_step,
    biased_step_inputs,
    [
        Mistake(
            bias_as_it_comes,
            "The column still goes in as it comes. With as many examples as units NumPy adds b[i] "
            "to all units of *example* i, without a word. Each unit should have its own bias, "
            "the same for all examples.",
        ),
        Mistake(
            bias_turned,
            "Turning mends the column and breaks the row: (1, N) becomes (N, 1), and the same bug "
            "is back from the other side. You need one shape that all three lead to.",
        ),
        Mistake(
            first_column,
            "`b[:, 0]` is right for a column. Of a row it takes a single number, and on the plain "
            "shape (N,) it fails. You need one shape that all three lead to.",
        ),
        Mistake(
            first_number,
            "`b[0]` is right for a row. Of a column and of the plain shape (N,) it takes one "
            "number, so that all units share the bias of the first.",
        ),
        Mistake(
            sum_turned,
            "Turning the sum over before you add is right for a column, and now the other two "
            "shapes go wrong. Change the bias, not the sum.",
        ),
        Mistake(
            bias_dropped,
            "Without its bias the step cannot go wrong in this way, and cannot learn a threshold "
            "either. Bring it back.",
        ),
        Mistake(
            column_always,
            "You turn every bias into a column, the one shape that does not fit: in (B, N) the "
            "units are the *last* axis.",
        ),
    ],
    [
        "NumPy lines shapes up from the right. Write (B, N) above (N, 1), above (1, N), and above "
        "(N,), and see which axis meets which.",
        "All three shapes hold the same N numbers in the same order. Bring them all to (N,) first.",
    ],
    points=2,
)


# --- 01.11 Find the bug: right for a batch of one -------------------------------------------------


def states_of_batch(x, W_x, W_h, b):
    return all_states(x, W_x, W_h, b)


def states_of_batch_inputs(rng):
    return [network(rng, *s) for s in [(1, 3, 2, 4), (3, 5, 2, 4), (4, 2, 1, 4), (2, 4, 4, 2)]]


def first_for_all(x, W_x, W_h, b):
    return np.repeat(all_states(x, W_x, W_h, b)[:1], len(x), axis=0)


def last_for_all(x, W_x, W_h, b):
    return np.repeat(all_states(x, W_x, W_h, b)[-1:], len(x), axis=0)


def mean_for_all(x, W_x, W_h, b):
    return np.repeat(all_states(x, W_x, W_h, b).mean(axis=0, keepdims=True), len(x), axis=0)


def first_only(x, W_x, W_h, b):
    return all_states(x, W_x, W_h, b)[:1]


def extra_axis(x, W_x, W_h, b):
    return all_states(x, W_x, W_h, b)[None]


def passed_on_to_the_next(x, W_x, W_h, b):
    h, states = np.zeros((1, len(b))), []
    for sequence in x:
        steps = simple(sequence[None], W_x, W_h, b, h)
        h = steps[-1]
        states.append(np.concatenate(steps))
    return np.stack(states)


def from_ones(x, W_x, W_h, b):
    return np.stack(simple(x, W_x, W_h, b, zeros(x, b) + 1), axis=1)


def made_anew_each_step(x, W_x, W_h, b):
    return np.tanh(x @ W_x + b)


BATCH_OF_ONE = Exercise(
    "01.11",
    states_of_batch,
    states_of_batch_inputs,
    [
        Mistake(
            first_for_all,
            "The first example still answers for all: every row of your result is the same. "
            "Follow the shape of `h` through two steps, and look at what an index such as "
            "`h[0, 0]` picks.",
        ),
        Mistake(
            last_for_all,
            "Now the last example answers for all. Every row should hold the states of its own "
            "sequence.",
        ),
        Mistake(
            mean_for_all,
            "You averaged the batch away: every row holds the mean over the examples. An axis "
            "that is in the way should not be there in the first place.",
        ),
        Mistake(
            first_only,
            "Of the whole batch you return one example. Both the state and the array that collects "
            "it need a row for every example.",
        ),
        Mistake(
            extra_axis,
            "The numbers are right, and stand behind an axis too many: (1, B, T, N). PyTorch's "
            "states have an axis for the layers in front; a state here is (B, N).",
        ),
        Mistake(
            passed_on_to_the_next,
            "You take the examples one by one, and each starts where the one before ended. "
            "They are different sequences: each starts from a state of its own.",
        ),
        Mistake(
            from_ones,
            "Each example has its own state now, but it starts from ones. Before the first step "
            "the network has seen nothing: h_0 is zero.",
        ),
        Mistake(
            made_anew_each_step,
            "Each example has its own state now, but it is set to zero at every step, so nothing "
            "is remembered. Make it once, before the loop.",
        ),
    ],
    [
        "Print `h.shape` before the loop and after the first step, with three sequences.",
        "Give the state the shape (B, N) from the start. Then no index is needed to take it apart.",
    ],
    points=2,
)


# --------------------------------------------------------------------------------------------------

EXERCISES = [
    PARAMETERS,
    OUTPUT_SHAPE,
    ALL_STATES,
    RNN_FORWARD,
    MASKED_FORWARD,
    SQUASH,
    NOTHING_BENDS,
    ONE_MATRIX,
    JOINED,
    BIAS_ON_ITS_SIDE,
    BATCH_OF_ONE,
]


# Right answers, written in other ways: the checks must let them pass.


def all_states_in_a_buffer(x, W_x, W_h, b):
    states = np.zeros((len(x), x.shape[1], len(b)))
    for t in range(x.shape[1]):
        before = states[:, t - 1] if t else 0 * states[:, 0]
        states[:, t] = np.tanh(x[:, t] @ W_x + before @ W_h + b)
    return states


def one_matrix_by_recursion(W_x, W_h, length):
    rows = [W_x]
    while len(rows) < length:
        rows.insert(0, rows[0] @ W_h)
    return np.vstack(rows)


def one_matrix_by_experiment(W_x, W_h, length):
    """Feed the faulty network with one unit input after the other."""
    units = np.eye(length * len(W_x)).reshape(-1, length, len(W_x))
    return straight(units, W_x, W_h, np.zeros(len(W_h)))


ALTERNATIVES = {
    "01.1": [
        lambda features, units, classes, length: (
            (features + units + 1) * units + (units + 1) * classes
        )
    ],
    "01.2": [
        lambda batch, length, features, units, return_sequences: (
            [batch] + [length] * return_sequences + [units]
        )
    ],
    "01.3": [all_states_in_a_buffer, lambda *a: np.array(simple(*a)).transpose(1, 0, 2)],
    "01.4": [
        forward_in_a_buffer,
        forward_projected_first,
        forward_stacked,
        forward_one_example_at_a_time,
    ],
    "01.5": [masked_by_arithmetic, masked_by_assignment, masked_by_cutting],
    "01.6": [squash_from_tanh, squash_by_halves, squash_cut_late],
    "01.7": [joined_forward],
    "01.8": [one_matrix_by_recursion, one_matrix_by_experiment],
    "01.9": [mended_forward],
    "01.10": [
        lambda x_t, h, W_x, W_h, b: np.tanh(x_t @ W_x + h @ W_h + np.squeeze(b)),
        lambda x_t, h, W_x, W_h, b: np.tanh(x_t @ W_x + h @ W_h + b.ravel()[None]),
    ],
    "01.11": [all_states_in_a_buffer],
}
