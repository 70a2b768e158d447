"""`aaeframe parzen --shard` and `aaeframe parzen merge`: the estimate of one process, in steps; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from aaeframe.evaluation import likelihood

ABOUT_ONE = 1e-9


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Rows in files: samples, test and validation, and others."""
    rng = np.random.default_rng(0)
    for name, count in [("s", 530), ("t", 30), ("v", 100), ("other", 30), ("samples", 530)]:
        np.save(tmp_path / f"{name}.npy", (0.2 * rng.normal(size=(count, 4))).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(likelihood, "CHUNK", 100)
    return tmp_path


class Killed(BaseException):
    """Raised to end a process."""


def parzen(*more, samples="s", test="t"):
    return ("parzen", "--samples", f"{samples}.npy", "--test", f"{test}.npy", *more)


@pytest.fixture
def states(done):
    """Computes shards, and gives their files."""

    def made(*more, of=3, only=None, out="p.safetensors", **files):
        numbers = list(range(of) if only is None else only)
        for i in numbers:
            done(*parzen(*more, "--shard", f"{i}/{of}", "--out", out, **files))
        return [out.replace(".", f"-{i:05}-of-{of:05}.") for i in numbers]

    return made


@pytest.mark.slow
def test_two_job_arrays_give_the_estimate_of_one_process(done, states):
    one = done(*parzen("--validation", "v.npy", "--json", "--out", "one.npy")).json
    first = states("--validation", "v.npy", out="v.safetensors")
    choice = done("parzen", "merge", *first, "--json").json
    assert choice["bandwidth"] == one["bandwidth"]
    assert choice["moved"] is None
    told = done("parzen", "merge", *first)
    assert told.out.startswith(f"bandwidth {one['bandwidth']!r}: log-likelihood of the validation rows ")
    assert f"with --bandwidth {one['bandwidth']!r} in place of --validation" in told.err
    second = states("--bandwidth", one["bandwidth"])
    found = done("parzen", "merge", *reversed(second), "--out", "merged.npy", "--json").json
    assert found["log_likelihood"] == pytest.approx(one["log_likelihood"], abs=ABOUT_ONE)
    np.testing.assert_allclose(np.load("merged.npy"), np.load("one.npy"), rtol=0, atol=ABOUT_ONE)
    assert "bandwidths" not in found
    both = done("parzen", "merge", *first, *second, "--json").json
    assert both.pop("validation_log_likelihoods") == pytest.approx(one.pop("validation_log_likelihoods"), abs=ABOUT_ONE)
    for name in ("log_likelihood", "standard_error"):
        assert both.pop(name) == pytest.approx(one.pop(name), abs=ABOUT_ONE)
    assert both | {"seconds": 0} == one | {"seconds": 0}


def test_rows_far_from_zero_are_centered_as_in_one_process(done, states):
    """In float64, by the mean of the test rows, for the validation rows, too."""
    for name in "stv":
        np.save(f"{name}.npy", np.load(f"{name}.npy").astype(np.float64) + 1e6)
    one = done(*parzen("--validation", "v.npy", "--json")).json
    first = states("--validation", "v.npy", out="v.safetensors")
    second = states("--bandwidth", one["bandwidth"])
    both = done("parzen", "merge", *first, *second, "--json").json
    assert both["log_likelihood"] == pytest.approx(one["log_likelihood"], abs=ABOUT_ONE)
    assert both["validation_log_likelihoods"] == pytest.approx(one["validation_log_likelihoods"], abs=ABOUT_ONE)


def test_states_merge_in_steps(done, states):
    a, b, c, d = states("--bandwidth", 0.1, of=4)
    out = done("parzen", "merge", a, d, "--out", "ad.safetensors").out
    assert out == "ad.safetensors: test rows under 230 of 530 samples, 2 shards of 4\n"
    found = done("parzen", "merge", "ad.safetensors", c, b, "--json").json
    one = done(*parzen("--bandwidth", 0.1, "--json")).json
    assert found["log_likelihood"] == pytest.approx(one["log_likelihood"], abs=ABOUT_ONE)


def test_a_grid_whose_best_is_at_its_edge_is_told_with_the_next_one(done, states):
    np.save("s.npy", np.load("s.npy") + 3)
    files = states("--validation", "v.npy")
    moved = done("parzen", "merge", *files, "--json").json["moved"]
    assert (
        f"one process would continue with this grid: --bandwidth {moved[0]!r} --bandwidth"
        in done("parzen", "merge", *files).err
    )
    grid = [it for value in moved for it in ("--bandwidth", value)]
    found = done("parzen", "merge", *states("--validation", "v.npy", *grid, out="w.safetensors"), "--json").json
    assert (found["bandwidths"], found["moved"]) == (moved, None)


def test_a_stopped_shard_resumes_and_leaves_only_its_state(cli, done, files, monkeypatch):
    monkeypatch.setattr(likelihood, "KEEP_EVERY", -1.0)
    rows, seen = likelihood.Stored.rows, []

    def killed(self, start, stop):
        seen.append(start)
        if start == 300:
            raise Killed
        return rows(self, start, stop)

    command = parzen("--bandwidth", 0.1, "--shard", "0/1", "--out", "p.safetensors")
    monkeypatch.setattr(likelihood.Stored, "rows", killed)
    with pytest.raises(Killed):
        cli(*command)
    assert len(list(files.glob("*.unfinished"))) == 1
    monkeypatch.setattr(likelihood.Stored, "rows", lambda self, *at: seen.append(at[0]) or rows(self, *at))
    seen.clear()
    done(*command)
    assert seen == [300, 400, 500]
    assert list(files.glob("*.unfinished")) == []
    found = done("parzen", "merge", "p-00000-of-00001.safetensors", "--json").json
    one = done(*parzen("--bandwidth", 0.1, "--json")).json
    assert found["log_likelihood"] == one["log_likelihood"]


@pytest.mark.parametrize(
    ("other", "parts"),
    [
        ({"samples": "samples"}, ["rows of --samples"]),
        ({"test": "other"}, ["rows of --test"]),
        ({"of": 4}, ["number of shards (3 and 4)"]),
        ({"more": ("--bandwidth", 0.2)}, ["bandwidths ([0.1] and [0.2])"]),
    ],
    ids=["samples", "test", "number", "bandwidth"],
)
def test_states_of_something_else_are_refused(cli, refused, states, other, parts):
    mine = states("--bandwidth", 0.1, only=[0, 1])
    more = other.pop("more", ("--bandwidth", 0.1))
    theirs = states(*more, only=[2], out="o.safetensors", **other)
    refused(cli("parzen", "merge", *mine, *theirs), "are not states of one estimate; different are", *parts)


@pytest.mark.parametrize("name", ["s", "t"])
def test_one_other_value_makes_other_rows(cli, refused, states, monkeypatch, name):
    """Every value of the test rows counts, even of a large file."""
    if name == "t":
        monkeypatch.setattr("aaeframe.data.identity.MOST_BYTES", 100)
        monkeypatch.setattr("aaeframe.cli.shards.LOOKED_AT", 100)
    mine = states("--bandwidth", 0.1, only=[0], of=2)
    rows = np.load(f"{name}.npy")
    rows[17, 2] += 1
    np.save(f"{name}.npy", rows)
    theirs = states("--bandwidth", 0.1, only=[1], of=2)
    refused(cli("parzen", "merge", *mine, *theirs), f"different are: rows of --{'samples' if name == 's' else 'test'}.")


@pytest.mark.slow
def test_missing_doubled_and_damaged_states_are_refused(cli, refused, states, files):
    a, b, c = states("--bandwidth", 0.1)
    refused(cli("parzen", "merge", a, c), "1 of 3 shards of the test rows are missing: 1/3", "--out FILE.safetensors")
    refused(cli("parzen", "merge", a, b, c, b), f"shard 1/3 is given twice: {b} and {b}")
    content = bytearray((files / b).read_bytes())
    content[-3] ^= 1
    (files / b).write_bytes(content)
    refused(cli("parzen", "merge", a, b, c), f"{b} cannot be read as a state", "its digest is not that of its content")
    (files / b).write_bytes(content[:-3])
    refused(cli("parzen", "merge", a, b, c), f"{b} cannot be read as a state")
    refused(cli("parzen", "merge", a, "s.npy"), "s.npy cannot be read as a state")
    refused(cli("parzen", "merge", "none.safetensors"), "none.safetensors: there is no such file")


@pytest.mark.slow
def test_a_bandwidth_that_the_validation_rows_do_not_choose_is_refused(cli, refused, states):
    both = *states("--validation", "v.npy", out="v.safetensors"), *states("--bandwidth", 0.5)
    refused(cli("parzen", "merge", *both), "has the bandwidth 0.5, and the validation rows choose", "again with")
    refused(cli("parzen", "merge", *both, "--out", "x.safetensors"), "holds one state", "merge them apart")
    refused(cli("parzen", "merge", *both[:3], "--out", "x.npy"), "is for the log-likelihood of test rows")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("parzen", "--samples", "s.npy", "--bandwidth", 0.1), ["--test not given"]),
        (("parzen", "--bandwidth", 0.1), ["--samples and --test not given"]),
        (parzen("--bandwidth", 0.1, "--shard", "0/2"), ["give --out FILE.safetensors"]),
        (parzen("--bandwidth", 0.1, "--shard", "2/2", "--out", "x.safetensors"), ["the last one is 1/2"]),
        (parzen("--bandwidth", 0.1, "--shard", "0/2", "--out", "x.npy"), ["ends in .npy", "ends in .safetensors"]),
        (parzen("--bandwidth", 0.1, "--shard", "0/2", "--out", "-"), ["is a stream, and a state is a file"]),
        (
            ("parzen", "--test", "t.npy", "merge", "x"),
            ["--test is an option of aaeframe parzen, not of"],
        ),
    ],
)
def test_what_makes_no_sense_is_refused(cli, refused, files, arguments, parts):
    before = sorted(files.iterdir())
    refused(cli(*arguments), *parts)
    assert sorted(files.iterdir()) == before
