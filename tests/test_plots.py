"""Plots: what is drawn, in numbers."""

import matplotlib
import numpy as np
import pytest

from course_utils import plots

matplotlib.use("agg")


@pytest.fixture
def ax():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_curves_draw_the_mean_and_the_range(ax):
    values = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 16.0]])
    returned = plots.plot_curves({"a": values, "b": [5, 5, 5]}, xlabel="step", ylabel="loss", ax=ax)
    assert returned is ax
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [2, 2, 10])
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), [5, 5, 5])
    assert len(ax.collections) == 1  # a band for the one with two seeds
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1 and band[:, 1].max() == 16
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")


def test_on_a_log_scale_the_mean_is_geometric(ax):
    plots.plot_curves({"a": [[1.0], [100.0]]}, xlabel="x", ylabel="y", log=True, ax=ax)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [10])
    assert ax.get_yscale() == "log"


def test_the_lag_counts_from_the_end(ax):
    plots.plot_gradient_against_lag({"a": [1e-4, 1e-2, 2.0]}, ax=ax)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [2.0, 1e-2, 1e-4])
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), [0, 1, 2])
    assert "lag" in ax.get_xlabel()


def test_relative_to_lag_zero(ax):
    plots.plot_gradient_against_lag({"a": [1e-4, 1e-2, 2.0]}, ax=ax, relative=True)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [1.0, 5e-3, 5e-5])
    assert "value at lag 0" in ax.get_ylabel()


def test_the_unrolled_network_names_its_parts(ax):
    plots.plot_unrolled_network(3, loss_at=(2, 3), highlight=2, ax=ax)
    texts = [t.get_text() for t in ax.texts]
    for part in ["h$_0$", "h$_3$", "x$_1$", "L$_2$", "L$_3$"]:
        assert texts.count(part) == 1
    assert "L$_1$" not in texts
    coloured = [t for t in ax.texts if getattr(t, "arrow_patch", None) is not None]
    coloured = [t for t in coloured if t.arrow_patch.get_linewidth() > 2]
    assert len(coloured) == 3  # h2 to h3, h2 to L2, h3 to L3


def test_the_map_fills_the_lessons_that_are_here(ax):
    from matplotlib.colors import to_hex
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    assert plots.plot_course_map({0, 3}, ax=ax) is ax
    boxes = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    filled = [to_hex(box.get_facecolor()).upper() == plots.COLORS[0] for box in boxes]
    assert len(boxes) == 27 and [k for k, full in enumerate(filled) if full] == [0, 3]
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert sum(arrow.get_linewidth() > 1.5 for arrow in arrows) == 1  # 02 to 03
    assert {f"{k:02d}" for k in range(27)} <= {t.get_text() for t in ax.texts}
    assert min(t.get_fontsize() for t in ax.texts) >= 9


def test_no_title_on_the_map_leaves_its_box():
    import matplotlib.pyplot as plt

    ax = plots.plot_course_map(range(27))
    ax.figure.canvas.draw()
    right = {}
    for patch in ax.patches:
        if hasattr(patch, "get_boxstyle"):
            box = patch.get_window_extent()
            right[round((box.y0 + box.y1) / 2), round(box.x0)] = box
    titles = [t for t in ax.texts if t.get_fontsize() == 9]
    assert len(titles) == 54
    for text in titles:
        extent = text.get_window_extent()
        middle = ((extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2)
        box = next(box for box in right.values() if box.contains(*middle))
        assert box.x0 < extent.x0 and extent.x1 < box.x1, text.get_text()
    plt.close("all")


def test_without_axes_a_figure_is_made():
    import matplotlib.pyplot as plt

    made = plots.plot_curves({"a": [1, 2]}, xlabel="x", ylabel="y")
    assert made.figure.get_size_inches().tolist() == [7, 4.2]
    assert plots.plot_unrolled_network(2).figure is not made.figure
    plt.close("all")


def test_line_labels_do_not_touch(ax):
    curves = {"a": [0, 1.0], "b": [0, 1.001], "c": [0, 6.0]}
    plots.plot_curves(curves, xlabel="x", ylabel="y", ax=ax)
    plots.label_lines(ax, gap=0.1)
    heights = sorted(t.get_position()[1] for t in ax.texts)
    assert len(heights) == 3 and np.diff(heights).min() > 0.099
    assert ax.get_legend() is None
