"""Data sets that plugins offer: loaded by name, with options, in a training and after it."""

from __future__ import annotations

import numpy as np
import pytest

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.data import data_sets, load, load_rows
from aaeframe.errors import AmbiguousComponent, BrokenComponent, ConfigError, DataError, OptionError

SOURCE = """
from pathlib import Path
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_data_sets():
    names = ("moons", "table", "ready", "failing", "refusing", "texts", "nothing", "stored")
    return [Component(it, f"aaeframe_moons:{it}", f"the data set {it}") for it in names]

def points(rows, seed):
    import numpy as np
    return np.random.default_rng(seed).normal(size=(rows, 3)).astype("float32")

def moons(*, rows: int = 60, seed: int = 0, where: Path | None = None):
    import numpy as np
    print("drawing")
    return points(rows, seed), np.arange(rows) % 2

def table(*, path: Path):
    return path

def ready():
    from aaeframe.data import from_arrays
    return from_arrays(points(40, 0), name="ready made")

def failing():
    raise RuntimeError("no license")

def refusing(*, rows: int = 1):
    raise ValueError("rows must be even")

class Rows:
    shape, dtype, bounds, fingerprint = (60, 3), "float32", (0, 25, 60), None

    def read(self, chunk):
        return points(60, 0)[self.bounds[chunk] : self.bounds[chunk + 1]]

def stored():
    return Rows()

def texts():
    return "moons"

def nothing():
    return None
"""
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1}


@pytest.fixture
def moons(install):
    install("aaeframe-moons", {"aaeframe_moons": SOURCE}, version="2.0")


def test_options_choose_the_rows_and_options_for_reading_apply_as_to_a_file(moons, capsys):
    data = load("moons(rows=80, seed=3)", held_out=[10, 20])

    assert (data.name, len(data.train), len(data.validation), len(data.test)) == ("moons", 50, 10, 20)
    rows = np.random.default_rng(3).normal(size=(80, 3)).astype("float32")
    np.testing.assert_array_equal(data.split("all").array(), rows)
    assert data.num_classes == 2
    np.testing.assert_array_equal(load_rows("aaeframe-moons:moons(rows=80, seed=3)").rows.array(), rows)
    assert capsys.readouterr().out == ""  # what a factory prints is no result


def test_rows_by_number_stay_where_they_are(moons):
    data = load("stored", held_out=[10, 20])

    assert data.train.is_stored
    np.testing.assert_array_equal(data.split("all").array(), np.random.default_rng(0).normal(size=(60, 3)).astype("f4"))


def test_a_path_is_read_by_the_reader_of_its_format(moons, tmp_path):
    (tmp_path / "a.csv").write_text("a;b;kind\n" + "1,5;2;x\n2,5;3;y\n" * 10)

    data = load(f"table(path='{tmp_path / 'a.csv'}')", label_key="kind", decimal=",")

    assert (data.name, data.columns, data.class_names) == ("table", ("a", "b"), ("x", "y"))
    assert data.train.array()[:, 0].max() == 2.5
    with pytest.raises(DataError, match=r"'table' of aaeframe-moons 2.0 names .*none.csv, which does not exist"):
        load(f"table(path='{tmp_path / 'none.csv'}')")


def test_a_dataset_is_taken_as_it_is_and_options_for_reading_come_too_late(moons):
    assert load("ready").name == "ready made"
    with pytest.raises(DataError, match="ready: is read in its own way; leave held_out out"):
        load("ready", held_out=[1, 1])


def test_a_file_that_a_browser_has_numbered_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits(1).csv").write_text("a,b\n" + "1,2\n3,4\n" * 10)
    assert load("digits(1).csv").columns == ("a", "b")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("failing", BrokenComponent, "the data set 'failing' of aaeframe-moons 2.0 fails: RuntimeError: no license"),
        ("refusing(rows=3)", OptionError, 'refuses its options {"rows": 3}: rows must be even'),
        (
            "texts",
            BrokenComponent,
            "'texts' of aaeframe-moons 2.0 returns str; return an aaeframe.data.Dataset, a",
        ),
        ("nothing", BrokenComponent, "'nothing' of aaeframe-moons 2.0 returns NoneType; return an aaeframe.data.Data"),
        ("moons(row=3)", OptionError, "has no option 'row'; did you mean 'rows'?"),
        ("moons(rows=0.5)", OptionError, "rows=0.5 does not fit the data set 'moons'"),
        ("moons(rows=3", ConfigError, "is not of the form name"),
        ("table", OptionError, "the data set 'table' of aaeframe-moons 2.0 needs path"),
        ("monos", DataError, "no data set and no file 'monos'. Did you mean 'moons'? Names are digits, mnist,"),
    ],
)
def test_what_is_wrong_is_said(moons, source, error, message):
    with pytest.raises(error) as caught:
        load(source)
    assert message in str(caught.value)


def test_a_name_of_two_distributions_needs_the_distribution(moons, install):
    install("aaeframe-tides", {"aaeframe_tides": SOURCE.replace("aaeframe_moons", "aaeframe_tides")})

    with pytest.raises(AmbiguousComponent, match="several plugins: aaeframe-moons:moons, aaeframe-tides:moons"):
        load("moons")
    assert load("aaeframe-tides:moons").name == "moons"
    assert "aaeframe-tides:moons" in data_sets()


def test_a_broken_plugin_is_named_where_its_data_set_is_missed(install):
    install("aaeframe-moons", {"aaeframe_moons": SOURCE.replace("return [", "return 1 / 0, [")})

    with pytest.raises(DataError, match=r"no data set and no file 'moons'.*not active: aaeframe-moons 1.0.*ZeroDiv"):
        load("moons")
    assert load("digits").name == "digits"


def test_listing_calls_no_factory(install):
    source = SOURCE.replace("aaeframe_moons:{it}", "aaeframe_far.away:{it}")
    install("aaeframe-moons", {"aaeframe_moons": source, "aaeframe_far.away": "raise RuntimeError('imported')"})

    assert "moons" in data_sets()
    with pytest.raises(BrokenComponent, match="imported"):
        load("moons")


@pytest.mark.slow
def test_a_run_stores_the_data_set_with_its_version_and_finds_it_again(moons, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = aaeframe.train("moons(rows=60)", out=tmp_path / "run", **SMALL)

    assert run.config.data.source == "aaeframe-moons:moons(rows=60, seed=0)"
    assert run.config.plugins["aaeframe-moons"] == "2.0"
    again = aaeframe.load(tmp_path / "run")
    assert again.evaluate()["rows"] == 6
    assert again.evaluate("moons(rows=9, seed=5)")["rows"] == 9
    with pytest.warns(UserWarning, match="nothing was trained"):
        assert aaeframe.resume(tmp_path / "run").finished
    codes = again.encode("moons(rows=5)")["gaussian"]
    assert codes.shape == (5, 2)


def test_without_its_plugin_a_run_works_and_only_its_data_are_missed(moons, tmp_path, monkeypatch):
    aaeframe.train("moons", out=tmp_path / "run", **SMALL)
    monkeypatch.setenv("AAEFRAME_NO_PLUGINS", "aaeframe-moons")

    run = aaeframe.load(tmp_path / "run")

    assert run.encode(np.zeros((2, 3), "float32"))["gaussian"].shape == (2, 2)
    with pytest.raises(DataError, match="which no active plugin offers\n  installed but not active: aaeframe-moons"):
        run.evaluate()


def test_a_plugin_that_is_blocked_offers_no_data(moons, tmp_path):
    run = aaeframe.train("moons", out=tmp_path / "run", **SMALL)
    with pytest.raises(DataError, match="no data set and no file 'moons'"):
        load("moons", registry=Registry.load(["aaeframe-moons"]))
    assert run.registry is not None
