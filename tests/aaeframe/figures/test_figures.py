from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import combinations

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sklearn.datasets import load_digits
from torch.distributions import Independent, MultivariateNormal, Normal, OneHotCategorical, Uniform

from aaeframe import figures
from aaeframe.errors import DataError, RunError
from aaeframe.figures.canvas import PALETTE, PRIOR, STYLE, class_colors

DIGITS = load_digits()
IMAGES = torch.tensor(DIGITS.images / 16, dtype=torch.float32).unsqueeze(1)
LABELS = torch.tensor(DIGITS.target)
TABLE = torch.tensor(DIGITS.data[:, :12], dtype=torch.float32)
PRIOR_2D = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
ROWS = [
    {
        "epoch": epoch,
        "reconstruction": 3 + 8 / epoch,
        "validation/reconstruction": 4 + 8 / epoch,
        "mean_image_error": 10.0,
        "discriminator/style": 1.2,
        "generator/style": 0.8,
        "discriminator/y": 1.3,
        "generator/y": 0.7,
        "accuracy/style": 0.6,
        "accuracy/y": 0.55,
        "mismatch/style": 1 / epoch,
        "mismatch/y": 2 / epoch,
    }
    for epoch in range(1, 9)
]


def codes(size=2, count=300):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(1))


def one_hot(classes):
    return OneHotCategorical(logits=torch.zeros(classes)).sample(torch.Size([50]))


def gallery():
    """One of every kind of figure."""
    z, y = codes(), LABELS[:300]
    rgb = torch.rand(20, 3, 6, 9, generator=torch.Generator().manual_seed(2))
    yield "classes", lambda: figures.codes_by_class(z, y, PRIOR_2D, title="codes")
    yield "no labels", lambda: figures.codes_by_class(z, None, PRIOR_2D, title="codes")
    yield "15 classes", lambda: figures.codes_by_class(z, y + torch.arange(300) % 6, PRIOR_2D, title="codes")
    yield "40 classes", lambda: figures.codes_by_class(z, torch.arange(300) % 40, PRIOR_2D, title="codes")
    yield "8 dimensions", lambda: figures.codes_by_class(codes(8), y, codes(8), title="codes")
    yield "1 dimension", lambda: figures.codes_by_class(codes(1), y, codes(1), title="codes")
    yield "1 dimension, no labels", lambda: figures.codes_by_class(codes(1), None, codes(1), title="codes")
    yield "categories", lambda: figures.codes_by_class(codes(10).softmax(1), y, one_hot(10), title="y")
    yield "50 categories", lambda: figures.categorical_block(codes(50).softmax(1), y, title="y")
    yield "categories, no labels", lambda: figures.categorical_block(codes(10).softmax(1), None, title="y")
    yield "reconstructions", lambda: figures.reconstructions(IMAGES[:60], IMAGES[60:120])
    yield "one reconstruction", lambda: figures.reconstructions(IMAGES[:1], IMAGES[1:2])
    yield "color reconstructions", lambda: figures.reconstructions(rgb, rgb.flip(0))
    yield "table reconstructions", lambda: figures.reconstructions(TABLE[:5], TABLE[5:10])
    yield "samples", lambda: figures.samples(IMAGES)
    yield "samples with opacity", lambda: figures.samples(torch.cat([rgb, rgb[:, :1]], dim=1))
    yield "table samples", lambda: figures.samples(TABLE[:1])
    yield "plane", lambda: figures.decoded_plane(IMAGES[:12].reshape(3, 4, 1, 8, 8), title="plane")
    yield "curves", lambda: figures.loss_curves(ROWS)
    yield "one epoch", lambda: figures.loss_curves(ROWS[:1])
    yield (
        "reconstruction alone",
        lambda: figures.loss_curves([{"reconstruction": 1.0}, {"reconstruction": None}]),
    )


GALLERY = dict(gallery())


@pytest.mark.parametrize("name", GALLERY)
def test_a_figure_is_written_and_nothing_of_it_is_cut(name, tmp_path):
    path = tmp_path / "figure.png"
    figures.save(GALLERY[name](), path, dpi=60)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (border == 255).all()
    assert pixels.std() > 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classes", "curves", "reconstructions"])
def test_one_figure_is_one_sequence_of_bytes_which_matplotlib_would_write(name, tmp_path):
    for copy in ("a.png", "b.png"):
        figures.save(GALLERY[name](), tmp_path / copy, dpi=50)
    with matplotlib.rc_context(STYLE):
        GALLERY[name]().savefig(tmp_path / "c.png", dpi=50, metadata={"Software": None})
    first, second, third = ((tmp_path / copy).read_bytes() for copy in ("a.png", "b.png", "c.png"))
    assert first == second == third


def test_a_figure_of_another_canvas_is_saved(tmp_path):
    figure = Figure()
    figures.save(figure, tmp_path / "a.png", dpi=50)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["curves", "reconstructions"])
def test_the_users_matplotlib_is_left_alone_and_does_not_matter(name, tmp_path):
    figures.save(GALLERY[name](), tmp_path / "a.png", dpi=50)
    settings = {"figure.facecolor": "black", "font.size": 30, "axes.spines.top": True, "image.origin": "lower"}
    with matplotlib.rc_context({**settings, "xtick.bottom": False, "text.antialiased": False, "figure.dpi": 30}):
        before = dict(matplotlib.rcParams)
        figures.save(GALLERY[name](), tmp_path / "b.png", dpi=50)
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.slow
def test_pyplot_is_never_imported():
    code = "import sys, aaeframe.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_is_missing_is_an_error_in_words(tmp_path):
    with pytest.raises(RunError, match="cannot write"):
        figures.save(GALLERY["no labels"](), tmp_path / "missing" / "figure.png", dpi=50)


def oklab(colors):
    """Colors (N, 3) in linear light to OKLab, lightness from 0 to 100 (Ottosson, 2020)."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return 100 * np.cbrt(colors @ cones.T) @ lab.T


# How the two common color blindnesses see linear light (Machado et al., 2009).
SIGHT = {
    "normal": (np.eye(3), 16),
    "protanopia": (
        np.array(
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ]
        ),
        9,
    ),
    "deuteranopia": (
        np.array(
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ]
        ),
        9,
    ),
}


@pytest.mark.parametrize("sight", SIGHT)
def test_the_palettes_colors_are_told_apart_from_each_other_and_from_the_prior(sight):
    matrix, apart = SIGHT[sight]
    colors = np.array([matplotlib.colors.to_rgb(color) for color in (*PALETTE, PRIOR, "white")])
    light = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = oklab(np.clip(light @ matrix.T, 0, 1))
    pairs = [pair for pair in combinations(range(len(seen)), 2) if pair != (10, 11)]
    assert min(np.linalg.norm(seen[a] - seen[b]) for a, b in pairs) > apart


@pytest.mark.parametrize("count", [3, 10, 18, 60])
def test_each_class_has_a_color_of_its_own(count):
    assert len(set(class_colors(count))) == count


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_the_legend_names_the_prior_and_each_class():
    names = [f"digit {k}" for k in range(10)]
    figure = figures.codes_by_class(codes(), LABELS[:300], PRIOR_2D, title="t", class_names=names)
    assert legend(figure) == ["prior samples", *names]
    with pytest.raises(DataError, match="10 classes are drawn, found 1 class names: zero"):
        figures.codes_by_class(codes(), LABELS[:300], PRIOR_2D, title="t", class_names=["zero"])
    with pytest.raises(DataError, match="40 classes are drawn, found 10 class names: digit 0"):
        figures.codes_by_class(codes(), torch.arange(300) % 40, PRIOR_2D, title="t", class_names=names)


def test_codes_are_drawn_where_they_are_in_the_color_of_their_class():
    z = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    [axes] = figures.codes_by_class(z, torch.tensor([0, 1]), PRIOR_2D, title="t").axes
    prior, dots = axes.collections
    assert len(prior.get_offsets()) == 400
    drawn = {
        tuple(where): matplotlib.colors.to_hex(color)
        for where, color in zip(dots.get_offsets().tolist(), dots.get_facecolors(), strict=True)
    }
    assert drawn == {(1.0, 2.0): PALETTE[0], (3.0, 4.0): PALETTE[1]}


def test_many_dimensions_are_drawn_on_the_axes_along_which_the_codes_spread_most():
    z = codes(5) * torch.tensor([1.0, 10.0, 0.1, 3.0, 0.1])
    [axes] = figures.codes_by_class(z, None, codes(5), title="t").axes
    drawn = np.asarray(axes.collections[1].get_offsets())
    assert drawn[:, 0].std() == pytest.approx(10, rel=0.15)
    assert drawn[:, 1].std() == pytest.approx(3, rel=0.15)
    assert "first principal axis of the codes (9" in axes.get_xlabel()


def test_codes_and_prior_of_unlike_size_are_refused():
    with pytest.raises(DataError, match="codes have 3 dimensions, the prior samples 2"):
        figures.codes_by_class(codes(3), None, PRIOR_2D, title="t")


def test_labels_that_are_not_of_the_codes_are_refused():
    for size in (1, 2):
        with pytest.raises(DataError, match=r"300 points need 300 labels, found labels of shape \(299,\)"):
            figures.codes_by_class(codes(size), LABELS[:299], codes(size), title="t")


def test_a_categorical_block_is_a_table_of_classes_by_categories():
    y = torch.eye(3)[torch.tensor([2, 2, 0, 1])]
    figure = figures.codes_by_class(y, torch.tensor([0, 0, 1, 1]), one_hot(3), title="t")
    table = figure.axes[0].images[0].get_array()
    assert table.tolist() == [[0, 0, 1], [0.5, 0.5, 0]]


def test_reconstructions_stand_under_their_originals():
    x, x_hat = torch.zeros(24, 1, 8, 8), torch.full((24, 1, 8, 8), 0.5)
    [axes] = figures.reconstructions(x, x_hat).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["original", "reconstruction"] * 2
    column = axes.images[0].get_array()[:, 0, 0]
    assert [column[round(tick)] for tick in axes.get_yticks()] == [0, 0.5, 0, 0.5]
    with pytest.raises(DataError, match=r"originals \(24, 1, 8, 8\) and reconstructions \(3, 1, 8, 8\)"):
        figures.reconstructions(x, x_hat[:3])


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        pytest.param(torch.full((1, 1, 1), 0.25), [0.25, 0.25, 0.25], id="gray"),
        pytest.param(torch.tensor([0.1, 0.2, 0.3])[:, None, None], [0.1, 0.2, 0.3], id="rgb"),
        pytest.param(torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None], [0.1, 0.2, 0.3, 0.4], id="rgba"),
        pytest.param(torch.tensor([0.0, 0.5])[:, None, None], [0.25] * 3, id="two channels"),
        pytest.param(torch.tensor([[[255]]], dtype=torch.uint8), [1, 1, 1], id="uint8"),
        pytest.param(torch.tensor([[[1.7]]]), [1, 1, 1], id="out of range"),
    ],
)
def test_a_pixel_is_shown_as_its_channels_say(image, pixel):
    [axes] = figures.samples(image.unsqueeze(0)).axes
    assert axes.images[0].get_array()[0, 0].tolist() == pytest.approx(pixel)


def test_the_plane_is_tiled_in_its_own_order():
    values = torch.arange(6.0) / 10
    [axes] = figures.decoded_plane(values.reshape(2, 3, 1, 1, 1), title="t").axes
    assert axes.images[0].get_array()[::2, ::2, 0].flatten().tolist() == pytest.approx(values.tolist())
    with pytest.raises(DataError, match="a grid of images"):
        figures.decoded_plane(IMAGES[:4], title="t")


def independent(distribution):
    return Independent(distribution, 1)


def test_plane_codes_are_uniform_in_the_percentiles_of_a_gaussian():
    prior = independent(Normal(torch.tensor([1.0, -1.0]), torch.tensor([2.0, 3.0])))
    plane = figures.plane_codes(prior, side=4)
    assert "percentiles" in plane.meaning
    shares = prior.base_dist.cdf(plane.codes)
    assert shares[0, :, 0].tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert shares[:, 0, 1].tolist() == pytest.approx([0.875, 0.625, 0.375, 0.125])


@pytest.mark.parametrize(
    "prior",
    [MultivariateNormal(torch.zeros(2), torch.eye(2)), independent(Uniform(torch.zeros(2), torch.ones(2)))],
    ids=["without icdf", "uniform"],
)
def test_plane_codes_cover_the_prior_in_a_regular_grid(prior):
    before = torch.get_rng_state()
    codes = figures.plane_codes(prior, side=5).codes
    assert torch.equal(torch.get_rng_state(), before)
    assert codes.shape == (5, 5, 2)
    steps = codes[0, :, 0].diff()
    assert torch.allclose(steps, steps[0], rtol=1e-3)
    assert (codes[:, 0, 1].diff() < 0).all()
    samples = prior.sample(torch.Size([4000]))
    low, high = codes.reshape(-1, 2).min(0).values, codes.reshape(-1, 2).max(0).values
    inside = ((samples > low) & (samples < high)).float().mean(0)
    assert (inside > 0.78).all()


def test_a_plane_needs_two_dimensions():
    with pytest.raises(DataError, match=r"found samples of shape \(3,\)"):
        figures.plane_codes(independent(Normal(torch.zeros(3), 1.0)))


def curves(axes):
    """Label to values of what is in the legend."""
    return {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}


def test_loss_curves_show_each_metric_in_its_panel():
    panels = {axes.get_title(loc="left"): curves(axes) for axes in figures.loss_curves(ROWS).axes}
    assert list(panels) == [
        "Reconstruction",
        "Adversarial losses",
        "Discriminator accuracy",
        "Mismatch of codes and prior",
    ]
    assert list(panels["Reconstruction"]) == ["training", "validation", "mean row"]
    assert list(panels["Reconstruction"]["training"]) == [row["reconstruction"] for row in ROWS]
    assert set(panels["Adversarial losses"]) == {
        f"{b}: {r}" for b in ("style", "y") for r in ("discriminator", "generator")
    }
    assert list(panels["Mismatch of codes and prior"]["y"]) == [row["mismatch/y"] for row in ROWS]


def levels(axes):
    return sorted({line.get_ydata()[0] for line in axes.lines if line.get_label().startswith("_")})


def test_chance_is_drawn_where_the_losses_stand_when_nothing_is_told_apart():
    axes = figures.loss_curves(ROWS).axes
    assert levels(axes[1]) == pytest.approx([math.log(2), 2 * math.log(2)])
    assert levels(axes[2]) == [0.5]
    informed = figures.loss_curves(ROWS, informed=["style", "y"]).axes[1]
    assert levels(informed) == pytest.approx([2 * math.log(2), 4 * math.log(2)])
    other = figures.loss_curves(ROWS, loss="hinge").axes[1]
    assert levels(other) == []
    assert (other.get_title("left"), other.get_ylabel()) == ("Adversarial losses, hinge", "loss")


def test_missing_metrics_leave_gaps_or_no_panel():
    [axes] = figures.loss_curves([{"reconstruction": 1.0}, {}, {"reconstruction": 3.0}]).axes
    values = curves(axes)["training"]
    assert values[0] == 1
    assert math.isnan(values[1])
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    with pytest.raises(DataError, match=r"no metric to draw in 1 rows with the keys \['epoch'\]"):
        figures.loss_curves([{"epoch": 1}])


@pytest.mark.skipif(os.environ.get("AAEFRAME_DATA") is None, reason="no AAEFRAME_DATA")
def test_frey_faces_are_drawn_in_their_proportions(tmp_path):
    from pathlib import Path

    archive = next((Path(os.environ["AAEFRAME_DATA"]) / "frey").glob("*.npz"))
    with np.load(archive, allow_pickle=False) as stored:
        faces = next(stored[key] for key in stored.files if stored[key].shape[0] == 1965)
    faces = torch.tensor(faces[:100].reshape(100, 1, 28, 20))
    figure = figures.samples(faces)
    width, height = figure.get_size_inches()
    assert 0.8 < width / height < 1.25
    figures.save(figure, tmp_path / "faces.png", dpi=50)


def test_loss_curves_show_what_is_learned_of_classes():
    rows = [
        {"epoch": 1, "reconstruction": 3.0, "validation/error": 0.5, "classification": 1.0, "mutual_information": -1.0},
        {"epoch": 2, "reconstruction": 2.0, "validation/error": 0.1, "classification": 0.2, "mutual_information": -2.0},
    ]
    panels = {axes.get_title(loc="left"): curves(axes) for axes in figures.loss_curves(rows).axes}
    assert list(panels) == ["Reconstruction", "Wrong classes", "Losses of the class"]
    assert list(panels["Wrong classes"]["validation"]) == [0.5, 0.1]
    assert set(panels["Losses of the class"]) == {"labels", "mutual information"}


def test_loss_curves_show_the_divergence_of_a_variational_autoencoder():
    rows = [{"epoch": 1, "reconstruction": 3.0, "divergence/z": 2.0, "mismatch/z": 0.5}]
    titles = [axes.get_title(loc="left") for axes in figures.loss_curves(rows).axes]
    assert titles == ["Reconstruction", "Divergence of posterior and prior", "Mismatch of codes and prior"]


@pytest.mark.slow
def test_names_that_look_like_mathematics_are_drawn_as_they_are(tmp_path):
    strange, z, y = [r"$\evil{", "$x_$ & $y_$"], codes()[:40], np.arange(40) % 2
    images = torch.rand(3, 2, 1, 8, 8)
    for number, figure in enumerate(
        [
            figures.codes_by_class(z, y, PRIOR_2D, title="t", class_names=strange),
            figures.codes_by_class(torch.eye(2)[y], y, torch.eye(2), title="t", class_names=strange),
            figures.style_grid(images, title="t", class_names=strange),
            figures.codes_side_by_side(dict.fromkeys(strange, z), y, PRIOR_2D, title="t", class_names=strange),
            figures.learning_curves(
                {strange[1]: figures.Course({it: [(np.arange(3), np.arange(3))] for it in strange}, (strange[0], 1.0))},
                title="t",
                ylabel="loss",
            ),
        ]
    ):
        figures.save(figure, tmp_path / f"{number}.png")
        texts = {it.get_text() for it in figure.findobj(Text)}
        assert any(r"\$\evil{" in it for it in texts)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("kind", [FigureCanvasSVG, FigureCanvasAgg])
def test_saving_leaves_resolution_and_canvas_of_a_figure(tmp_path, kind):
    figure = Figure(dpi=70)
    canvas = kind(figure)
    figures.save(figure, tmp_path / "x.png", dpi=200)
    assert (figure.dpi, figure.canvas) == (70, canvas)
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == tuple(200 * figure.get_size_inches())
