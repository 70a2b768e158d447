from __future__ import annotations

from pathlib import Path

import pytest

from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import resolve
from aaeframe.reproduce import published
from aaeframe.reproduce.cells import cells
from aaeframe.reproduce.experiments import COLUMNS, EXPERIMENTS, OPTIONS, ByGenerator, ByPreset

EVERY = [
    (row, column) for row in EXPERIMENTS.values() for column, by in row.columns.items() if isinstance(by, ByPreset)
]
EVALUATIONS = {
    "test": {"classification": {"error": 0.019}, "clustering": {"error": 0.25}},
    "test likelihood, 10000 samples": {"log_likelihood": 340.5},
}


@pytest.mark.slow
def test_every_cell_is_a_run_with_the_seed_and_settings_of_its_own(tmp_path):
    registry = Registry.load()
    for cell in cells(EVERY, tmp_path, seeds=None):
        whole = resolve(cell.config(), registry).config
        assert whole.training.seed == cell.seed
        if cell.column in ("gaussian", "universal"):
            assert whole.encoder.component == f"aaeframe:{cell.column}"


@pytest.mark.parametrize(("row", "column"), EVERY, ids=lambda it: getattr(it, "name", it))
def test_a_column_is_filled_by_presets_of_its_kind(row, column):
    kinds = {
        "label-free": "modern-",
        "modern": "modern-",
        "terms": "modern-",
        "warped": "modern-",
        "adversarial": "adversarial-",
        "following": "adversarial-",
        "paper": "paper-",
        "baseline": "baseline-",
    }
    preset = row.columns[column].preset
    assert preset.startswith(kinds.get(column, ("modern-", "adversarial-")))
    assert column in COLUMNS


def test_without_the_autoencoder_all_its_losses_weigh_nothing(tmp_path):
    chosen = [(row, "terms") for row in EXPERIMENTS.values() if "terms" in row.columns]
    assert [row.name for row, _ in chosen] == ["100-labels", "16-clusters", "30-clusters"]
    for cell in cells(chosen, tmp_path, seeds=1):
        config = cell.config()
        assert config.training.reconstruction_weight == 0
        assert {part.weight for part in config.prior.values()} == {0}
        assert config.label_free.virtual_adversarial == 1
        assert not cell.filled_by.has_criteria


def test_warps_of_images_come_beside_the_other_terms_and_must_be_named(tmp_path):
    chosen = [(row, "warped") for row in EXPERIMENTS.values() if "warped" in row.columns]
    assert [row.name for row, _ in chosen] == ["100-labels", "1000-labels", "all-labels"]
    for cell in cells(chosen, tmp_path, seeds=1):
        plain = compose(cell.experiment.columns["label-free"].preset, None, {})
        warped = plain.label_free.model_copy(update={"augmentation": 1.0})
        assert cell.config().label_free == warped
        assert cell.config().prior == plain.prior
        assert "warped" not in cell.experiment.default


def test_a_prior_that_follows_is_all_that_a_column_of_its_own_differs_in(tmp_path):
    registry = Registry.load()
    chosen = [(row, "following") for row in EXPERIMENTS.values() if "following" in row.columns]
    assert [row.name for row, _ in chosen if row.name.endswith("-labels")] == [row.name for row, _ in chosen]
    for cell in cells(chosen, tmp_path, seeds=1):
        config, plain = cell.config(), compose(cell.experiment.columns["adversarial"].preset, None, {})
        options = config.prior["y"].options
        steps = config.training.epochs * 50_000 // config.training.batch_size
        assert options.pop("follow_after") in (0, 0.4 * steps)
        assert options.pop("follow") == 0.002
        assert resolve(config, registry).config == resolve(plain, registry).config
        assert "following" not in cell.experiment.default


def test_what_was_seen_before_a_columns_settings_is_told_beside_the_presets():
    how = EXPERIMENTS["100-labels"].columns
    assert how["warped"].tuned == f"{how['label-free'].tuned}; {how['warped'].disclosure}"
    assert "1.16 %" in how["warped"].tuned


def test_the_value_of_a_row_stands_in_an_evaluation():
    assert EXPERIMENTS["100-labels"].value(EVALUATIONS) == pytest.approx(1.9)
    assert EXPERIMENTS["16-clusters"].value(EVALUATIONS) == pytest.approx(25)
    assert EXPERIMENTS["likelihood"].value(EVALUATIONS) == 340.5
    assert EXPERIMENTS["likelihood-10m"].value(EVALUATIONS) is None
    assert EXPERIMENTS["100-labels"].value({}) is None


def test_likelihoods_share_their_runs():
    assert EXPERIMENTS["likelihood"].folder == EXPERIMENTS["likelihood-10m"].folder == "likelihood"
    assert EXPERIMENTS["likelihood"].columns.keys() - EXPERIMENTS["likelihood-10m"].columns.keys() == {"gan", "gmmn"}


def test_generators_are_of_the_papers_table_alone_and_must_be_named():
    found = {(row.name, column): how for row in EXPERIMENTS.values() for column, how in row.columns.items()}
    by = {where: how for where, how in found.items() if isinstance(how, ByGenerator)}
    assert {where: how.kind for where, how in by.items()} == {("likelihood", it): it for it in ("gan", "gmmn")}
    assert {it: COLUMNS[it] for _, it in by} == {"gan": "GAN in pixel space", "gmmn": "GMMN + AE"}
    assert EXPERIMENTS["likelihood"].default == ("modern",)
    for how in by.values():
        assert (how.seeds, how.has_criteria, how.tuned) == ((0, 1, 2), False, "on validation rows")
        assert any(setting.startswith("epochs=") for setting in how.overrides)
        assert not any(setting.startswith(("seed=", "device=")) for setting in how.overrides)


def test_the_slips_of_the_slides_are_corrected():
    cited = {it.name: it for it in published.OTHERS_FACES}
    assert (cited["deep GSN, TFD"].value, cited["deep GSN, TFD"].spread) == (1890, 29)
    cited = {it.name: it for it in published.OTHERS_100}
    assert (cited["ADGM"].value, cited["ADGM"].spread) == (0.96, 0.02)
    cited = {it.name: it for it in published.OTHERS_SVHN}
    assert cited["VAE, M1+M2"].value == 36.02
    assert cited["VAT"].value == 24.63


def test_faces_have_both_numbers_of_the_paper():
    assert [it.value for it in published.OTHERS_FACES if it.name.startswith("AAE")] == [2252, 2522]


def test_the_papers_numbers_are_those_of_its_presets():
    from aaeframe.configuration.presets import read_about

    for row in EXPERIMENTS.values():
        if row.paper is None:
            continue
        number = f"{row.paper.value:.2f}" if row.unit == "%" else f"{row.paper.value:g}"
        told = read_about(row.columns["paper"].preset).reproduces
        assert number in told or number.rstrip("0") in told, row.name


def test_a_folder_is_named_by_row_column_and_seed(tmp_path):
    (cell,) = cells([(EXPERIMENTS["likelihood-10m"], "modern")], tmp_path, seeds=1)
    assert cell.folder == Path(tmp_path, "likelihood", "modern", "seed-0")
    assert cell.commands() == (
        "aaeframe train --preset modern-mnist-likelihood --seed 0 --out likelihood/modern/seed-0",
        "aaeframe evaluate likelihood/modern/seed-0 --likelihood --samples 10000000",
    )


@pytest.mark.parametrize("words", OPTIONS)
def test_an_option_more_or_less_is_a_run_that_can_be_made(words):
    """With and without differ in the keys that the settings name, and in nothing else."""
    registry = Registry.load()
    row = EXPERIMENTS[f"100-labels-{words.replace(' ', '-')}"]
    column = row.columns["label-free"]
    changed = resolve(compose(column.preset, None, {}, column.overrides), registry).config.model_dump()
    plain = resolve(compose(column.preset, None, {}), registry).config.model_dump()
    keys = {setting.partition(".")[0] for setting in column.overrides}
    assert {key for key in plain if changed[key] != plain[key]} == keys
