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


def test_the_heat_map_has_a_row_per_lag_and_a_column_per_epoch(ax):
    norms = np.array([[1e-6, 1e-4, 1.0], [0.0, 1e-2, 10.0]])  # two epochs, three steps
    assert plots.plot_gradient_flow(norms, ax=ax) is ax
    image = ax.get_images()[0]
    shown = image.get_array()
    assert shown.shape == (3, 2)
    np.testing.assert_allclose(shown[:, 0], [0, -4, -6])  # lag 0 first
    np.testing.assert_allclose(shown[:2, 1], [1, -2])
    assert shown.mask.tolist() == [[False, False], [False, False], [False, True]]
    assert ax.get_xlim() == (-0.5, 1.5) and ax.get_ylim() == (-0.5, 2.5)  # lag 0 at the bottom
    assert image.origin == "lower" and image.get_cmap().name == "viridis"
    assert ax.get_xlabel() == "epoch" and "lag" in ax.get_ylabel()
    assert "log" in image.colorbar.ax.get_ylabel()


def test_the_heat_map_needs_two_dimensions(ax, recwarn):
    with pytest.raises(ValueError, match=r"`norms` must have shape \(epochs, time\).*\(3,\)"):
        plots.plot_gradient_flow([1.0, 2.0, 3.0], ax=ax)
    plots.plot_gradient_flow(np.zeros((2, 3)), ax=ax)  # nothing arrives: all grey, no warning
    ax.figure.canvas.draw()
    assert not recwarn.list


def test_the_unrolled_network_names_its_parts(ax):
    plots.plot_unrolled_network(3, loss_at=(2, 3), highlight=2, ax=ax)
    texts = [t.get_text() for t in ax.texts]
    for part in ["h$_0$", "h$_3$", "x$_1$", "L$_2$", "L$_3$"]:
        assert texts.count(part) == 1
    assert "L$_1$" not in texts
    coloured = [t for t in ax.texts if getattr(t, "arrow_patch", None) is not None]
    coloured = [t for t in coloured if t.arrow_patch.get_linewidth() > 2]
    assert len(coloured) == 3  # h2 to h3, h2 to L2, h3 to L3


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [("lstm", [{"g", "+", "tanh"}, {"f", "×"}, {"i"}, {"o"}]), ("gru", [{"h̃", "+"}, {"z"}, {"r"}])],
)
def test_the_gated_cell_grows_by_one_block_a_stage(kind, blocks):
    import matplotlib.pyplot as plt

    drawn = []
    for stage in [*range(1, len(blocks) + 1), None]:
        ax = plots.plot_gated_cell(kind, stage=stage)
        drawn.append([text.get_text() for text in ax.texts if text.get_text()])
        colored = {t.get_text() for t in ax.texts if t.get_color() == plots.COLORS[1]} - {""}
        if stage is None or stage == 1:
            assert not colored
        else:
            assert blocks[stage - 1] <= colored and set(drawn[-2]).isdisjoint(colored - {"×"})
    assert [len(texts) for texts in drawn[:-1]] == sorted({len(texts) for texts in drawn})
    assert drawn[-1] == drawn[-2]
    assert drawn[-1].count("×") == 3 and drawn[-1].count("+") == 1
    for stage, block in enumerate(blocks):
        assert block <= set(drawn[stage])
        assert stage == 0 or not (block - {"×"}) & set(drawn[stage - 1])
    plt.close("all")


def test_a_cell_or_stage_that_does_not_exist_is_refused(ax):
    with pytest.raises(ValueError, match=r"`kind` must be 'lstm' or 'gru'.*'rnn'"):
        plots.plot_gated_cell("rnn", ax=ax)
    for stage in (0, 5, "f"):
        with pytest.raises(ValueError, match=f"`stage` must be None or 1 to 4.*{stage!r}"):
            plots.plot_gated_cell("lstm", stage=stage, ax=ax)


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
