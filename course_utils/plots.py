"""Plots of arrays: labelled axes, log scales for norms, colours that colour-blind readers can tell.

Every function draws on `ax` (a new one if None), returns it, and never shows or saves.
"""

from pathlib import Path

import numpy as np

__all__ = [
    "COLORS",
    "label_lines",
    "plot_curves",
    "plot_gated_cell",
    "plot_gradient_against_lag",
    "plot_gradient_flow",
    "plot_unrolled_network",
]

# Okabe & Ito's palette, without its yellow, which is too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def _axes(ax, size=(7, 4.2)):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


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
    ax.set(xlabel=xlabel, ylabel=ylabel)
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


def plot_gradient_flow(norms, *, ax=None):
    """Draw the size of dL/dh_t as a heat map: a row for every lag, a column for every epoch.

    Args:
        norms: array (epochs, time), in the order of time, the first row for epoch 0, before any
            training: `norms` of `course_utils.callbacks.GradientFlow`. A norm of 0 is drawn grey.
        ax: matplotlib axes, or None for new ones.

    Returns:
        The axes.

    Raises:
        ValueError: if `norms` does not have two dimensions.

    First used in lesson 05.
    """
    norms = np.asarray(norms, dtype="float64")
    if norms.ndim != 2:
        raise ValueError(f"`norms` must have shape (epochs, time). Received: shape={norms.shape}")
    ax = _axes(ax)
    image = np.ma.log10(norms[:, ::-1].T)  # masked where 0
    image = ax.imshow(image, cmap="viridis", origin="lower", aspect="auto", interpolation="none")
    ax.set(facecolor="0.8", xlabel="epoch", ylabel="lag T − t (steps)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.figure.colorbar(image, ax=ax, label="log$_{10}$ ‖∂L/∂h$_t$‖")
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
    ax = _axes(ax, (2 + 1.6 * steps, 3.2))
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": COLORS[0], "lw": 1.5}

    def arrow(start, end, active, label=""):
        color = COLORS[1] if active else "0.35"
        style = {"arrowstyle": "-|>", "color": color, "lw": 2.2 if active else 1.2}
        style |= {"shrinkA": 16, "shrinkB": 16}
        ax.annotate("", xy=end, xytext=start, arrowprops=style)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        flat = start[1] == end[1]
        place = {"xytext": (0, 7), "ha": "center"} if flat else {"xytext": (7, 0), "va": "center"}
        ax.annotate(label, middle, textcoords="offset points", color=color, **place)

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


def plot_gated_cell(kind, *, stage=None, ax=None):
    """Draw an LSTM or a GRU, whole or as far as it is built.

    Boxes compute from x_t and h_{t-1}: the gates (f, i, o; z, r) with a sigmoid, the candidates (g,
    h̃) with tanh. Circles multiply or add entry by entry. "1 −" is one minus what comes in.

    Args:
        kind: "lstm" (1: the memory line and its candidate, 2: forget gate, 3: input gate, 4: output
            gate) or "gru" (1: the state and its candidate, 2: update gate, 3: reset gate).
        stage: how far the cell is built, its last block coloured; None for the whole cell.
        ax: matplotlib axes, or None for new ones.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no such kind or stage.

    First used in lesson 06.
    """
    if kind not in ("lstm", "gru"):
        raise ValueError(f"`kind` must be 'lstm' or 'gru'. Received: kind={kind!r}")
    drawn = Path(__file__).with_name("gated_cells.txt").read_text(encoding="utf-8")
    parts = [part.split() for part in drawn.split(f"[{kind}]\n")[1].split("\n\n")[0].splitlines()]
    last = max(int(part[0]) for part in parts)
    if stage is not None and stage not in range(1, last + 1):
        raise ValueError(f"`stage` must be None or 1 to {last}. Received: stage={stage!r}")
    ax = _axes(ax, (5.4, 3))
    for number, what, *points in parts:
        number, points = int(number), [tuple(map(float, point.split(","))) for point in points]
        if number > (stage or last):
            continue
        color = COLORS[1] if number == stage and number > 1 else "0.2"
        if what not in ("-", "->", "^", "."):
            box = {"boxstyle": "circle,pad=0.15" if what in "×+" else "round,pad=0.35"}
            box = None if "$" in what else box | {"fc": "white", "ec": color, "lw": 1.3}
            ax.text(*points[0], what, color=color, ha="center", va="center", bbox=box, zorder=9)
        if what in ("-", "->", "^"):
            ax.plot(*zip(*points, strict=True), color=color, lw=1.3, zorder=number)
        if what in ("->", "^"):
            head = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0, "lw": 0}
            ax.annotate("", points[-1], points[-2], arrowprops=head, zorder=number)
        for dot in {"^": points[:-1], ".": points}.get(what, []):
            ax.plot(*dot, "o", color=color, ms=4, zorder=number)
    ax.set(xlim=(-0.7, 9.2), ylim=(-0.4, 4.5), aspect="equal")
    ax.axis("off")
    return ax


def label_lines(ax, *, gap=0.05):
    """Write each line's label at its right end, in the line's colour, in place of a legend.

    Args:
        ax: axes whose lines are drawn and whose limits are set.
        gap: least vertical distance between two labels, as a share of the axes' height.

    Returns:
        The axes.

    First used in lesson 03.
    """

    def height(line):
        end = ax.transData.transform(line.get_xydata()[-1])
        return ax.transAxes.inverted().transform(end)[1]

    lines = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    lines.sort(key=height)
    heights = [height(line) for line in lines]
    for _ in range(200):  # push labels that touch apart, half each
        for k in range(len(heights) - 1):
            lacking = gap - (heights[k + 1] - heights[k])
            if lacking > 1e-6:
                heights[k] -= lacking / 2
                heights[k + 1] += lacking / 2
    for y, line in zip(heights, lines, strict=True):
        where = {"transform": ax.transAxes, "va": "center", "fontsize": 9}
        ax.text(1.01, y, line.get_label(), color=line.get_color(), **where)
    if ax.get_legend():
        ax.get_legend().remove()
    return ax
