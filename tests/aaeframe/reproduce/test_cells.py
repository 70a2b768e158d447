from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from aaeframe.errors import ConfigError
from aaeframe.reproduce.cells import DataOverride, cells, selected
from aaeframe.reproduce.experiments import EXPERIMENTS

OUT = Path("reproduction")


def names(chosen):
    return [(experiment.name, column) for experiment, column in chosen]


def test_by_default_the_main_columns_of_every_row_on_mnist():
    found = names(selected([], []))
    assert ("100-labels", "label-free") in found
    assert ("100-labels", "adversarial") in found
    assert ("likelihood-10m", "modern") in found
    assert {column for _, column in found} == {"label-free", "adversarial", "modern"}
    assert not {"svhn-1000-labels", "faces-likelihood"} & {row for row, _ in found}


def test_rows_and_columns_by_name():
    assert names(selected(["svhn-1000-labels"], [])) == [
        ("svhn-1000-labels", "label-free"),
        ("svhn-1000-labels", "baseline"),
    ]
    assert names(selected([], ["terms"])) == [
        ("100-labels", "terms"),
        ("16-clusters", "terms"),
        ("30-clusters", "terms"),
    ]
    assert names(selected(["likelihood", "100-labels"], ["paper"])) == [
        ("100-labels", "paper"),
        ("likelihood", "paper"),
    ]


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (["16-cluster"], [], "no row is named '16-cluster'; did you mean '16-clusters'?; there are: 100-labels, "),
        ([], ["labelfree"], "no column is named 'labelfree'; did you mean 'label-free'?; there are: "),
        (["100-labels", "likelihood"], ["terms"], "the row 'likelihood' has no column 'terms'; it has: modern, "),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest_and_all(rows, columns, words):
    with pytest.raises(ConfigError) as refused:
        selected(rows, columns)
    assert words in str(refused.value)


def test_more_seeds_than_a_preset_fixes_are_refused():
    with pytest.raises(ConfigError, match="11 seeds were asked for, but the preset 'modern-mnist-16-clusters'"):
        cells(selected(["16-clusters"], ["label-free"]), OUT, seeds=11)


def test_more_seeds_than_a_generator_has_are_refused():
    with pytest.raises(ConfigError, match="4 seeds were asked for, but the generator 'gan' fixes 3, which are 0, 1, 2"):
        cells(selected(["likelihood"], ["gan"]), OUT, seeds=4)


def test_a_generator_is_made_by_the_command_that_made_it():
    chosen = selected(["likelihood"], ["gmmn", "gan"])
    todo = cells(chosen, OUT, seeds=2)
    assert [(cell.column, cell.seed) for cell in todo] == [("gan", 0), ("gan", 1), ("gmmn", 0), ("gmmn", 1)]
    assert todo[1].folder == OUT / "likelihood" / "gan" / "seed-1"
    assert todo[1].commands() == ("aaeframe reproduce likelihood --column gan --seeds 2 --out .",)
    (own,) = cells(chosen[:1], OUT, seeds=1, data=DataOverride("my digits.npz", (100, 200)))
    assert own.commands() == (
        "aaeframe reproduce likelihood --column gmmn --seeds 1 --data 'my digits.npz' --held-out 100 200 --out .",
    )
    (labeled,) = cells(chosen[:1], OUT, seeds=1, data=DataOverride("own.npz", label_key="digit"))
    assert labeled.commands() == (
        "aaeframe reproduce likelihood --column gmmn --seeds 1 --data own.npz --label-key digit --out .",
    )


def test_cells_are_filled_as_a_budget_is_best_spent():
    todo = cells(selected([], []), OUT, seeds=None)
    turns = [key for key, _ in groupby((cell.column, cell.index) for cell in todo)]
    in_time = [("label-free", place) for place in range(3)] + [("modern", place) for place in range(3)]
    assert turns[:6] == in_time
    assert turns[6:9] == [("adversarial", place) for place in range(3)]
    first = [cell for cell in todo if (cell.column, cell.index) == ("label-free", 0)]
    assert [cell.experiment.name for cell in first][:5] == [
        "100-labels",
        "1000-labels",
        "all-labels",
        "16-clusters",
        "30-clusters",
    ]
    early = [cell.experiment.name for cell in todo if (cell.column, cell.index) == ("adversarial", 1)]
    assert early[:2] == ["100-labels", "30-clusters"]
    late = todo[next(i for i, cell in enumerate(todo) if cell.index >= cell.filled_by.priority_seeds) :]
    assert all(cell.index >= cell.filled_by.priority_seeds for cell in late)


def test_what_is_named_twice_is_there_once():
    assert names(selected(["16-clusters", "16-clusters"], ["paper", "paper"])) == [("16-clusters", "paper")]


def test_generators_which_cannot_be_resumed_come_last_in_their_turn():
    todo = cells(selected(["likelihood"], ["gan", "universal", "modern"]), OUT, seeds=None)
    early = [cell.column for cell in todo if cell.index < cell.filled_by.priority_seeds]
    assert early == ["modern"] * 3 + ["universal"] + ["gan"] * 3


def test_data_of_ones_own_is_that_of_the_run_and_its_command():
    faces = [(EXPERIMENTS["faces-likelihood"], "modern")]
    (cell,) = cells(faces, OUT, seeds=1, data=DataOverride("my faces.npz", (100, 200)))
    assert cell.config().data.source == "my faces.npz"
    assert cell.config().data.held_out == (100, 200)
    assert "--set 'data.held_out=[100, 200]' --data 'my faces.npz'" in cell.commands()[0]
    (cell,) = cells(faces, OUT, seeds=1, data=DataOverride("faces.npz", label_key="mood"))
    assert cell.config().data.label_key == "mood"
    assert "--data faces.npz --label-key mood" in cell.commands()[0]
    (cell,) = cells(faces, OUT, seeds=1, data=DataOverride("faces.npz"))
    assert cell.config().data.held_out is None
    assert "held_out" not in cell.commands()[0]
    assert "label-key" not in cell.commands()[0]


def test_arithmetic_of_ones_own_is_that_of_the_run_and_its_command():
    rows = [(EXPERIMENTS["likelihood"], column) for column in ("modern", "gan")]
    run, generator = cells(rows, OUT, seeds=1, precision="fp32")
    assert run.config().training.precision == "fp32"
    assert "--precision fp32 --seed 0" in run.commands()[0]
    assert generator == cells(rows, OUT, seeds=1)[1]
    own = replace(run, precision=None)
    assert own.config().training.precision == "bf16"
    assert "--precision" not in own.commands()[0]
    assert own.made_with(run.actual_data, "fp32") == run
    assert run.made_with(run.actual_data, "bf16") == own
