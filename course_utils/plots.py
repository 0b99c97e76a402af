"""Plots of arrays: labelled axes, log scales for norms, colours that colour-blind readers can tell.

Every function draws on `ax` (a new one if None), returns it, and never shows or saves.
"""

import numpy as np

__all__ = [
    "COLORS",
    "label_lines",
    "plot_course_map",
    "plot_curves",
    "plot_gradient_against_lag",
    "plot_unrolled_network",
]

_PARTS = ("I  Recurrence", "II  Training", "III  Generalization", "IV  Tasks", "V  Beyond")
# Each lesson: its title, its column (part) and its row on the map.
_LESSONS = (
    ("Start here", 0, 0),
    ("A network\nfrom scratch", 0, 1),
    ("Backprop.\nthrough time", 0, 2),
    ("Vanishing\ngradients", 0, 3),
    ("Initialization", 1, 0),
    ("Clipping", 1, 1),
    ("LSTM", 1, 2),
    ("GRU", 1, 3),
    ("Deep,\nbidirectional", 1, 4),
    ("Learning rates", 1, 7),
    ("Regularization", 2, 0),
    ("Normalization", 2, 1),
    ("Hyper-\nparameters", 2, 7),
    ("Language\nmodel", 3, 0),
    ("Sentiment", 3, 1),
    ("Time series", 3, 2),
    ("Encoder–\ndecoder", 3, 3),
    ("Attention", 3, 4),
    ("Speech", 3, 5),
    ("Image\ncaptioning", 3, 6),
    ("Video", 3, 7),
    ("Interpretability", 4, 1),
    ("Compression", 4, 2),
    ("Parallel\nrecurrence", 4, 3),
    ("External\nmemory", 4, 4),
    ("Graphs", 4, 6),
    ("Claims on trial\n(needs all)", 4, 7),
)
_BUILDS_ON = (
    *((0, 1), (1, 2), (2, 3), (3, 4), (3, 5), (3, 6), (3, 9), (6, 7), (7, 8), (7, 10), (10, 11)),
    *((9, 12), (10, 13), (13, 14), (7, 15), (7, 16), (7, 23), (7, 20), (16, 17), (8, 18)),
    *((17, 19), (14, 21), (17, 21), (13, 22), (17, 24)),
)
_BOX = (1.38, 0.4)  # width and height of a box on the map

# Okabe & Ito's palette, without its yellow, which is too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def _axes(ax):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7, 4.2), layout="constrained")[1]


def plot_curves(curves, x=None, *, xlabel, ylabel, log=False, ax=None):
    """Draw one line per entry: the mean over seeds, and a band from the least to the greatest.

    Args:
        curves: dict of label to array (points,) or (seeds, points).
        x: array (points,), or None for 0, 1, 2, ….
        xlabel, ylabel: axis labels, with units.
        log: whether the vertical axis is logarithmic; the mean is then the geometric one.
        ax: matplotlib axes, or None for new ones.

    Returns:
        The axes.

    First used in lesson 01.
    """
    ax = _axes(ax)
    styles = ("-", "--", "-.", ":")
    for k, (label, values) in enumerate(curves.items()):
        values = np.atleast_2d(np.asarray(values, dtype="float64"))
        points = np.arange(values.shape[1]) if x is None else np.asarray(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.exp(np.log(values).mean(0)) if log else values.mean(0)
        color = COLORS[k % len(COLORS)]
        style = styles[k // len(COLORS) % len(styles)]
        ax.plot(points, mean, style, color=color, label=label)
        if len(values) > 1:
            ax.fill_between(points, values.min(0), values.max(0), color=color, alpha=0.2, lw=0)
    if log:
        ax.set_yscale("log")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def plot_gradient_against_lag(curves, *, ax=None, relative=False):
    """Draw the size of dL/dh_t against the lag T - t, on a log scale.

    Args:
        curves: dict of label to norms, (time,) or (seeds, time), in the order of time.
        ax: matplotlib axes, or None for new ones.
        relative: whether to divide each curve by its value at lag 0.

    Returns:
        The axes.

    First used in lesson 03.
    """
    turned = {}
    for label, norms in curves.items():
        norms = np.atleast_2d(norms)[:, ::-1]
        turned[label] = norms / norms[:, :1] if relative else norms
    ylabel = "‖∂L/∂h$_t$‖" + (" / value at lag 0" if relative else "")
    ax = plot_curves(turned, xlabel="lag T − t (steps)", ylabel=ylabel, log=True, ax=ax)
    ax.axhline(1, color="gray", lw=0.8, zorder=0)
    return ax


def plot_unrolled_network(steps=3, *, loss_at=(), highlight=None, ax=None):
    """Draw the vanilla network unrolled in time.

    Args:
        steps: number of time steps drawn.
        loss_at: steps (from 1) that have a loss on top.
        highlight: None, or a step (from 1) whose state's paths to the losses are coloured.
        ax: matplotlib axes, or None for new ones.

    Returns:
        The axes.

    First used in lesson 01.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(2 + 1.6 * steps, 3.2), layout="constrained")[1]
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": COLORS[0], "lw": 1.5}

    def arrow(start, end, active, label=""):
        color = COLORS[1] if active else "0.35"
        style = {"arrowstyle": "-|>", "color": color, "lw": 2.2 if active else 1.2}
        style |= {"shrinkA": 16, "shrinkB": 16}
        ax.annotate("", xy=end, xytext=start, arrowprops=style)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        shift = (0, 7) if start[1] == end[1] else (7, 0)
        align = {"ha": "center"} if start[1] == end[1] else {"va": "center"}
        ax.annotate(label, middle, xytext=shift, textcoords="offset points", color=color, **align)

    last = max(loss_at, default=0)
    ax.text(0, 1, "h$_0$", ha="center", va="center", bbox={**box, "edgecolor": "0.6"})
    for t in range(1, steps + 1):
        on_path = highlight is not None and highlight <= t
        ax.text(t, 0, f"x$_{t}$", ha="center", va="center")
        ax.text(t, 1, f"h$_{t}$", ha="center", va="center", bbox=box)
        arrow((t, 0), (t, 1), False, "W$_x$")
        arrow((t - 1, 1), (t, 1), on_path and highlight < t <= last, "W$_h$")
        if t in loss_at:
            ax.text(t, 2, f"L$_{t}$", ha="center", va="center")
            arrow((t, 1), (t, 2), on_path)
    ax.set(xlim=(-0.4, steps + 0.5), ylim=(-0.3, 2.3 if loss_at else 1.5))
    ax.axis("off")
    return ax


def plot_course_map(lessons_here, *, ax=None):
    """Draw the course as a map: a box for each lesson, an arrow where one builds on another.

    Args:
        lessons_here: numbers of the lessons that are filled; the others are outlined.
        ax: matplotlib axes, or None for new ones.

    Returns:
        The axes.

    First used in lesson 00.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(8.4, 5.3), layout="constrained")[1]
    ax.set(xlim=(0, 8.4), ylim=(5.3, 0))  # in inches on axes of its own
    ax.axis("off")
    ax.text(0.03, 0.15, "The course as a map", fontsize=12, weight="bold", va="center")
    legend = "filled: in your folder     outlined: planned"
    ax.text(8.37, 0.15, legend, fontsize=10, ha="right", va="center")
    for column, part in enumerate(_PARTS):
        x = _map_place(column, 0)[0]
        ax.text(x, 0.53, part, ha="center", va="center", fontsize=10, weight="bold")
    for start, end in sorted(_BUILDS_ON, key=lambda edge: edge[1] in lessons_here):
        color, width = (COLORS[0], 1.8) if end in lessons_here else ("0.6", 1)
        style = {"arrowstyle": "-|>", "mutation_scale": 9, "zorder": 1, "fill": False}
        path = _map_route(start, end)
        ax.add_patch(FancyArrowPatch(path=path, edgecolor=color, lw=width, **style))
    for number, (title, column, row) in enumerate(_LESSONS):
        x, y = _map_place(column, row)
        face, ink = (COLORS[0], "white") if number in lessons_here else ("white", "0.25")
        corner = (x - _BOX[0] / 2, y - _BOX[1] / 2)
        box = FancyBboxPatch(corner, *_BOX, boxstyle="round,pad=0,rounding_size=0.07")
        edge = COLORS[0] if number in lessons_here else "0.6"
        box.set(facecolor=face, edgecolor=edge, linewidth=1.1, zorder=2)
        ax.add_patch(box)
        text = {"color": ink, "va": "center", "fontsize": 9, "linespacing": 1.05}
        ax.text(x - 0.65, y, f"{number:02d}", weight="bold", **text)
        ax.text(x - 0.45, y, title, **text)
    return ax


def _map_place(column, row):
    """The middle of a box."""
    return 0.7 + 1.75 * column, 0.93 + 0.57 * row


def _map_route(start, end):
    """The path of an arrow: down a column, or to the right, from box to box."""
    from matplotlib.path import Path

    (_, column, row), (_, to_column, to_row) = _LESSONS[start], _LESSONS[end]
    (x, y), (to_x, to_y) = _map_place(column, row), _map_place(to_column, to_row)
    curve = [Path.CURVE4] * 3
    if column == to_column and to_row == row + 1:
        return Path([(x, y + _BOX[1] / 2), (x, to_y - _BOX[1] / 2)])
    if column == to_column:  # around the boxes between them
        x, y, to_y = x + _BOX[0] / 2, y + 0.1, to_y - 0.05
        side = [(x, y), (x + 0.3, y), (x + 0.3, to_y), (x, to_y)]
        return Path(side, [Path.MOVETO, *curve])
    x, to_x = x + _BOX[0] / 2, to_x - _BOX[0] / 2
    if (start, end) == (7, 23):  # a lane of its own, between two rows
        lane, y, near, far = y - 0.285, y - 0.12, x + 0.35, to_x - 0.35
        points = [(x, y), (x + 0.15, y), (x + 0.2, lane), (near, lane)]
        points += [(far, lane), (to_x - 0.2, lane), (to_x - 0.2, to_y), (to_x, to_y)]
        return Path(points, [Path.MOVETO, *curve, Path.LINETO, *curve])
    if (start, end) == (17, 21):
        to_y += 0.1  # apart from the arrow that arrives from lesson 14
    bend = x + (0.75 if to_x - x > 1 else 0.5) * (to_x - x)
    return Path([(x, y), (bend, y), (bend, to_y), (to_x, to_y)], [Path.MOVETO, *curve])


def label_lines(ax, *, gap=0.05):
    """Write each line's label at its right end, in the line's colour, in place of a legend.

    Args:
        ax: axes whose lines are drawn and whose limits are set.
        gap: least vertical distance between two labels, as a share of the axes' height.

    Returns:
        The axes.

    First used in lesson 03.
    """
    ends = []
    for line in ax.get_lines():
        if line.get_label().startswith("_"):
            continue
        x, y = line.get_xydata()[-1]
        height = ax.transAxes.inverted().transform(ax.transData.transform((x, y)))[1]
        ends.append((height, line))
    ends.sort(key=lambda end: end[0])
    heights = [height for height, _ in ends]
    for _ in range(200):  # push labels that touch apart, half each
        for k in range(len(heights) - 1):
            lacking = gap - (heights[k + 1] - heights[k])
            if lacking > 1e-6:
                heights[k] -= lacking / 2
                heights[k + 1] += lacking / 2
    for height, (_, line) in zip(heights, ends, strict=True):
        where = {"transform": ax.transAxes, "va": "center", "fontsize": 9}
        ax.text(1.01, height, line.get_label(), color=line.get_color(), **where)
    if ax.get_legend():
        ax.get_legend().remove()
    return ax
