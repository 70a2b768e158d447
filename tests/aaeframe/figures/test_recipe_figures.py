"""The figures of single experiments: each shows what it was given, where it was given, and nothing overlaps."""

from __future__ import annotations

import os
from itertools import combinations

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image
from sklearn.datasets import load_digits

from aaeframe import figures
from aaeframe.errors import DataError
from aaeframe.figures.canvas import PALETTE, PRIOR

DIGITS = load_digits()
IMAGES = torch.tensor(DIGITS.images / 16, dtype=torch.float32).unsqueeze(1)
LABELS = torch.tensor(DIGITS.target)[:300]
CLOTHES = ["t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
EPOCHS = np.linspace(0.1, 2, 40)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clusters(count, across, images=IMAGES, **options):
    rows = images[: count * across].reshape(count, across, *images.shape[1:])
    return figures.cluster_heads(images[:count], rows, torch.ones(count, across), title="clusters", **options)


def gallery():
    """One of every kind of figure."""
    z = normal(300, 2)
    rgb = torch.rand(20, 3, 6, 9, generator=torch.Generator().manual_seed(2))
    yield "styles", lambda: figures.style_grid(IMAGES[:40].reshape(4, 10, 1, 8, 8), title="t", class_names=CLOTHES)
    yield "color styles", lambda: figures.style_grid(rgb.reshape(10, 2, 3, 6, 9), title="styles, two of them")
    yield "10 clusters", lambda: clusters(10, 8, names=CLOTHES)
    yield "30 clusters", lambda: clusters(30, 10, names=CLOTHES * 3)
    yield "color clusters", lambda: clusters(2, 3, images=rgb)
    yield "reduced", lambda: figures.reduced(z, LABELS, normal(20, 2, seed=3), title="t" * 90, class_names=CLOTHES)
    yield "reduced, 40 classes", lambda: figures.reduced(z, torch.arange(300) % 40, normal(2, 2), title="reduced")
    yield "models", lambda: figures.codes_side_by_side({"one": z, "two " * 30: z / 2}, LABELS, normal(99, 2), title="t")
    yield "5 models", lambda: figures.codes_side_by_side(dict.fromkeys("abcde", z), None, normal(99, 2), title="t")
    yield (
        "curves",
        lambda: figures.learning_curves(
            {
                f"an experiment of a name that takes more than a line, {panel}": figures.Course(
                    {f"runs of a name that is long, {k}": [(EPOCHS, 30 / EPOCHS**2 + k)] * 2 for k in range(5)},
                    ("what it is held against", 2.0),
                )
                for panel in range(4)
            },
            title="curves",
            ylabel="test error, %",
        ),
    )


GALLERY = dict(gallery())


@pytest.mark.slow
@pytest.mark.parametrize("name", GALLERY)
def test_a_figure_is_written_and_nothing_of_it_is_cut(name, tmp_path):
    path = tmp_path / "figure.png"
    figures.save(GALLERY[name](), path, dpi=50)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]) == 255).all()
    assert pixels.std() > 5


def out_of_view(figure):
    """The labels of ticks that matplotlib keeps beyond the limits and does not draw."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (tick for tick in axis.majorTicks if not low <= tick.get_loc() <= high):
            yield from (tick.label1, tick.label2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["styles", "10 clusters", "30 clusters", "models", "curves"])
def test_no_words_lie_on_other_words(name):
    figure = GALLERY[name]()
    figure.draw_without_rendering()
    written = {text for text in figure.findobj(Text) if text.get_text() and text.get_visible()} - {*out_of_view(figure)}
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in written]
    assert len(boxes) > 10
    assert [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)] == []


def test_a_style_stands_in_its_row_and_a_class_under_its_name():
    values = torch.arange(6.0) / 10
    [axes] = figures.style_grid(values.reshape(2, 3, 1, 1, 1).expand(2, 3, 1, 4, 4), title="t").axes
    picture = axes.images[0].get_array()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]
    drawn = [[picture[row, round(tick), 0] for tick in axes.get_xticks()] for row in (2, 7)]
    assert np.ravel(drawn) == pytest.approx(values.numpy())


def test_long_names_of_classes_stand_upright():
    grid = IMAGES[:30].reshape(3, 10, 1, 8, 8)
    turned = [
        {
            label.get_rotation()
            for label in figures.style_grid(grid, title="t", class_names=names).axes[0].get_xticklabels()
        }
        for names in (None, CLOTHES)
    ]
    assert turned == [{0}, {90}]


def test_styles_need_a_grid_and_names_for_all_of_it():
    with pytest.raises(DataError, match="10 labels are drawn, found 1 class names: zero"):
        figures.style_grid(IMAGES[:30].reshape(3, 10, 1, 8, 8), title="t", class_names=["zero"])
    for wrong in (IMAGES[:4], torch.zeros(0, 10, 1, 8, 8)):
        with pytest.raises(DataError, match="a grid of images"):
            figures.style_grid(wrong, title="t")


def rows_of(axes, height=4):
    """The brightness along the middle of each row that has a frame."""
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    picture = axes.images[0].get_array()
    return [picture[round(frame.get_y() + 0.5) + height // 2, :, 0].tolist() for frame in frames]


def test_a_head_stands_apart_at_the_left_of_its_members():
    heads = torch.tensor([0.1, 0.2]).reshape(2, 1, 1, 1).expand(2, 1, 4, 4)
    members = torch.tensor([[0.3, 0.4], [0.5, 0.6]]).reshape(2, 2, 1, 1, 1).expand(2, 2, 1, 4, 4)
    present = torch.tensor([[True, True], [True, False]])
    [axes] = figures.cluster_heads(heads, members, present, title="t").axes
    white = [1.0]
    first, second = rows_of(axes)
    assert first == pytest.approx([0.1] * 4 + white * 3 + [0.3] * 4 + white + [0.4] * 4)
    assert second == pytest.approx([0.2] * 4 + white * 3 + [0.5] * 4 + white + white * 4)


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_a_cluster_is_called_by_its_name_and_its_number_and_says_if_it_is_empty():
    present = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0]])
    members = torch.full((3, 3, 1, 8, 8), torch.nan)
    members[present.bool()] = 0.5
    [axes] = figures.cluster_heads(IMAGES[:3], members, present, title="t", names=["seven", "", "two"]).axes
    assert words(axes) == [
        *("no image", "head", "images assigned to it", "named"),
        *("seven", "cluster 0", "cluster 1", "two", "cluster 2"),
    ]
    [axes] = clusters(2, 3).axes
    assert words(axes) == ["head", "images assigned to it", "cluster 0", "cluster 1"]


def test_a_cluster_may_have_a_name_that_matplotlib_would_take_for_mathematics(tmp_path):
    figure = clusters(2, 3, names=[r"$\frac$", "a$b$"])
    figures.save(figure, tmp_path / "clusters.png")
    assert {r"\$\frac\$", r"a\$b\$"} <= {*words(figure.axes[0])}


@pytest.mark.parametrize(
    ("count", "panels"), [(10, [10]), (16, [8, 8]), (20, [10, 10]), (30, [10, 10, 10]), (31, [11, 11, 9])]
)
def test_many_clusters_stand_in_panels_of_one_scale(count, panels):
    figure = clusters(count, 3)
    assert [len(rows_of(axes, 8)) for axes in figure.axes] == panels
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    numbers = [word for axes in figure.axes for word in words(axes) if word.startswith("cluster ")]
    assert numbers == [f"cluster {k}" for k in range(count)]


@pytest.mark.parametrize(
    ("heads", "members", "present"),
    [
        pytest.param((3, 1, 8, 8), (2, 4, 1, 8, 8), (2, 4), id="fewer rows"),
        pytest.param((3, 1, 8, 8), (3, 4, 1, 8, 9), (3, 4), id="other images"),
        pytest.param((3, 1, 8, 8), (3, 4, 1, 8, 8), (3, 5), id="other present"),
        pytest.param((3, 1, 8, 8), (3, 0, 1, 8, 8), (3, 0), id="no members"),
        pytest.param((3, 64), (3, 4, 64), (3, 4), id="no images"),
    ],
)
def test_clusters_that_do_not_fit_together_are_refused(heads, members, present):
    with pytest.raises(DataError, match=r"need members \(K, M, C, H, W\)"):
        figures.cluster_heads(torch.zeros(heads), torch.zeros(members), torch.ones(present), title="t")


def test_clusters_need_a_name_each_and_pixels_in_range():
    with pytest.raises(DataError, match="2 clusters are drawn, found 1 names: seven"):
        clusters(2, 3, names=["seven"])
    with pytest.raises(DataError, match=r"pixels in \[0, 1\], found 0 to 16"):
        clusters(2, 3, images=IMAGES * 16)


def circle(count):
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def sent(heads, points=None):
    """Points, or the heads themselves, as the map of the heads to the circle sends them."""
    return figures.to_circle(heads)(heads if points is None else points)


@pytest.mark.parametrize("count", [1, 3, 10, 11])
def test_heads_no_more_than_dimensions_and_one_are_sent_to_the_circle_exactly(count):
    heads = normal(count, 10).double().numpy()
    np.testing.assert_allclose(sent(heads), circle(count), atol=1e-10)


def test_more_heads_than_dimensions_are_sent_as_near_as_such_a_map_can():
    heads = normal(20, 4).double().numpy()
    missed = sent(heads) - circle(20)
    np.testing.assert_allclose(missed.sum(0), 0, atol=1e-10)
    np.testing.assert_allclose(heads.T @ missed, 0, atol=1e-10)


def test_the_map_to_the_circle_sends_nothing_but_what_the_differences_of_heads_span():
    heads = normal(3, 10).double().numpy()
    dependent = np.concatenate([heads, heads[:1]])
    beside = np.linalg.svd(heads - heads.mean(0))[2][2:]  # a basis of what is orthogonal to the differences
    np.testing.assert_allclose(sent(dependent, heads[1] + beside), sent(dependent, heads[1:2]).repeat(8, 0), atol=1e-10)


@pytest.mark.parametrize("mean", [0.0, 1.0, 100.0, 1e5])
def test_styles_are_sent_around_their_head_wherever_the_mean_of_the_heads_is(mean):
    """The heads' hull passes 0 at a distance of 0.001, by which a map without an offset would tell heads apart."""
    corners = 20 / 2**0.5 * (np.eye(10) - 0.1)  # 20 apart
    heads = corners + 1e-3 / 10**0.5 + mean * corners[0] / np.linalg.norm(corners[0])
    z = normal(1000, 10).double().numpy()
    distance = np.linalg.norm(sent(heads, heads[3] + z) - circle(10)[3], axis=1)
    expected = (2 * 10) ** 0.5 / 20  # A is (√2 / 20) T, and the two columns of T have a squared norm of 5 each
    assert np.sqrt((distance**2).mean()) == pytest.approx(expected, rel=0.05), "1000 samples: 2 % of standard error"


def test_heads_that_are_no_table_of_numbers_have_no_circle():
    for wrong in (np.zeros(4), np.zeros((0, 4)), np.full((2, 4), np.nan)):
        with pytest.raises(DataError, match=r"cluster heads \(m, n\), finite"):
            figures.to_circle(wrong)


def color_at(dots):
    return {
        tuple(where): matplotlib.colors.to_hex(color)
        for where, color in zip(dots.get_offsets().tolist(), dots.get_facecolors(), strict=True)
    }


def test_the_representation_is_drawn_in_the_colors_of_its_classes_with_each_head_numbered_where_it_is():
    points, heads = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.5], [5.0, -2.0], [1.0, 1.0]])
    [axes] = figures.reduced(points, torch.tensor([1, 0]), heads, title="t", class_names=["no", "yes"]).axes
    assert color_at(axes.collections[0]) == {(1.0, 2.0): PALETTE[1], (3.0, 4.0): PALETTE[0]}
    assert {text.get_text(): text.get_position() for text in axes.texts} == {
        str(k): tuple(head) for k, head in enumerate(heads.tolist())
    }
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == heads.tolist()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cluster heads", "no", "yes"]


def test_points_that_are_of_no_plane_or_have_other_labels_are_refused():
    heads = normal(3, 2)
    with pytest.raises(DataError, match=r"representations in a plane \(N, 2\) are needed, found \(9, 10\)"):
        figures.reduced(normal(9, 10), None, heads, title="t")
    with pytest.raises(DataError, match="cluster heads must be finite, found 6 values"):
        figures.reduced(normal(9, 2), None, heads * torch.nan, title="t")
    with pytest.raises(DataError, match=r"9 points need 9 labels, found labels of shape \(8,\)"):
        figures.reduced(normal(9, 2), torch.zeros(8), heads, title="t")
    with pytest.raises(DataError, match="class indices from 0 on, found -1"):
        figures.reduced(normal(2, 2), torch.tensor([0, -1]), heads, title="t")
    with pytest.raises(DataError, match="2 classes are drawn, found 1 class names: no"):
        figures.reduced(normal(2, 2), torch.tensor([0, 1]), heads, title="t", class_names=["no"])


def test_models_are_compared_on_the_same_axes_over_the_same_prior():
    z, wide, prior = normal(300, 2), 4 * normal(300, 2), normal(200, 2, seed=1)
    figure = figures.codes_side_by_side({"adversarial": z, "variational": wide}, LABELS, prior, title="t")
    left, right = figure.axes
    assert [axes.get_title("left") for axes in (left, right)] == ["adversarial", "variational"]
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert np.ptp(left.get_xlim()) == pytest.approx(np.ptp(left.get_ylim()))
    for axes, codes in ((left, z), (right, wide)):
        gray, dots = axes.collections
        assert gray.get_offsets().tolist() == prior.double().tolist()
        assert matplotlib.colors.to_hex(gray.get_facecolors()[0]) == PRIOR
        assert color_at(dots) == {
            tuple(where): PALETTE[k] for where, k in zip(codes.double().tolist(), LABELS.tolist(), strict=True)
        }
        (low, high), inside = axes.get_xlim(), dots.get_offsets()[:, 0]
        assert low < inside.min()
        assert inside.max() < high
    assert left.get_legend() is None
    assert right.get_legend().get_texts()[0].get_text() == "prior samples"


def test_codes_that_are_all_the_same_have_axes_around_them():
    [axes] = figures.codes_side_by_side({"collapsed": torch.ones(9, 2)}, None, torch.ones(5, 2), title="t").axes
    low, high = axes.get_xlim()
    assert low < 1 < high


def test_codes_to_compare_are_of_a_plane_and_of_the_labels_rows():
    with pytest.raises(DataError, match="at least one model is needed"):
        figures.codes_side_by_side({}, None, normal(9, 2), title="t")
    with pytest.raises(DataError, match=r"codes of the variational in a plane \(N, 2\) are needed, found \(9, 3\)"):
        figures.codes_side_by_side({"variational": normal(9, 3)}, None, normal(9, 2), title="t")
    with pytest.raises(DataError, match="8 points need 8 labels"):
        figures.codes_side_by_side({"a": normal(9, 2), "b": normal(8, 2)}, torch.zeros(9), normal(9, 2), title="t")


def test_each_run_is_a_line_and_runs_of_one_name_have_one_color_in_every_panel():
    paper = [([0.0, 1.0, 2.0], [4.0, 3.0, np.nan])]
    modern = [(torch.arange(3), torch.tensor([4, 2, 1.4])), ([1], [2.0])]
    courses = {
        "digits": figures.Course({"paper": paper, "modern": modern}),
        "nothing yet": figures.Course({"modern": []}),
        "letters": figures.Course({"modern": [([0], [5.0])]}, ("the bound", 3.0)),
    }
    figure = figures.learning_curves(courses, title="t", ylabel="error, %")
    digits, letters = figure.axes
    assert [line.get_color() for line in digits.lines] == [PALETTE[0], PALETTE[1], PALETTE[1]]
    assert digits.lines[1].get_ydata() == pytest.approx([4, 2, 1.4])
    assert letters.lines[0].get_color() == PALETTE[1]
    assert (digits.get_title(loc="left"), letters.get_title(loc="left")) == ("digits", "letters")
    assert set(letters.lines[1].get_ydata()) == {3.0}
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["paper", "modern", "the bound"]
    assert (digits.get_xlabel(), digits.get_ylabel(), digits.get_ylim()[0]) == ("epoch", "error, %", 0)
    assert letters.get_ylabel() == ""  # it is that of the panel on its left


def test_what_curves_are_held_against_is_in_the_picture():
    course = figures.Course({"a": [([1, 2], [50.0, 20.0])]}, ("the paper", 1.0))
    [axes] = figures.learning_curves({"digits": course}, title="t", ylabel="%").axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 1


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([50.0, 2.0], "log"),
        ([50.0, np.inf, 2.0], "log"),
        ([5.0, 2.0], "linear"),
        ([50.0, 0.0], "linear"),
        ([-1, 50.0], "linear"),
    ],
)
def test_errors_of_a_wide_range_are_drawn_on_a_logarithmic_axis_in_plain_numbers(values, scale):
    course = figures.Course({"a": [(np.arange(len(values)), np.array(values))]})
    figure = figures.learning_curves({"digits": course}, title="t", ylabel="%")
    [axes] = figure.axes
    assert axes.get_yscale() == scale
    figure.draw_without_rendering()
    if scale == "log":
        assert {"2", "5", "10", "20", "50"} <= {label.get_text() for label in axes.get_yticklabels()}


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2], [1.0]), ([], []), ([1, 2], [np.nan, np.nan]), ([[1], [2]], [[1], [2]])], ids=str
)
def test_a_curve_with_nothing_to_draw_is_refused_by_name(x, y):
    with pytest.raises(DataError, match="the curve 'lost' needs as many x as y"):
        figures.learning_curves({"t": figures.Course({"lost": [(np.array(x), np.array(y))]})}, title="t", ylabel="%")


@pytest.mark.parametrize("courses", [{}, {"an experiment": figures.Course({})}])
def test_learning_curves_need_a_run(courses):
    with pytest.raises(DataError, match="at least one run"):
        figures.learning_curves(courses, title="t", ylabel="%")


@pytest.mark.skipif(os.environ.get("AAEFRAME_DATA") is None, reason="no AAEFRAME_DATA")
def test_frey_faces_keep_their_proportions_beside_their_head():
    from pathlib import Path

    archive = next((Path(os.environ["AAEFRAME_DATA"]) / "frey").glob("*.npz"))
    with np.load(archive, allow_pickle=False) as stored:
        faces = next(stored[key] for key in stored.files if stored[key].shape[0] == 1965)
    faces = torch.tensor(faces[:80].reshape(80, 1, 28, 20)) / 255
    [axes] = clusters(8, 10, images=faces).axes
    frame = axes.patches[0]
    assert frame.get_height() / frame.get_width() == pytest.approx(28 / 20)
    assert axes.get_aspect() == 1
