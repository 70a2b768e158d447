from __future__ import annotations

import json

import pytest


@pytest.fixture
def quick(monkeypatch):
    """Evaluations that take no time; what they measure is tested where they are."""
    block = dict.fromkeys(("sliced_wasserstein", "sliced_wasserstein_floor"), 0.125)
    block |= dict.fromkeys(("mmd", "mmd_floor", "two_sample"), 0.5)
    block |= {"two_sample_interval": [0.4, 0.6], "two_sample_by": {"trees": 0.5}, "tested": True}

    def evaluate(model, dataset, split, seed, **given):
        reconstruction = {"error": 1.0, "mean_image_error": 4.0, "ratio": 0.25, "shuffled_error": 6.0}
        rows = len(dataset.split(split))
        return {"split": split, "rows": rows, "reconstruction": reconstruction, "blocks": {"swissroll": block}}

    monkeypatch.setattr("aaeframe.runs.measuring.evaluate", evaluate)


def shown(path):
    """The runs that a page holds."""
    text = path.read_text().partition('id="data">')[2].partition("</script>")[0]
    return json.loads(text)["runs"]


def test_the_report_is_in_the_folder_of_the_run(done, quick, run):
    assert done("report", run).out == f"report    {run / 'report.html'}\n"

    (found,) = shown(run / "report.html")
    assert (found["name"], found["rows"]) == (run.name, {"count": 180, "of": 180, "split": "validation"})
    assert not (run / "test_accesses.jsonl").exists()


def test_out_split_and_points_are_obeyed(done, quick, run, tmp_path):
    out = tmp_path / "new" / "page.html"

    told = done("report", run, "--out", out, "--split", "test", "--points", "7", "--json")

    assert told.json == {"report": str(out), "runs": [str(run)]}
    assert shown(out)[0]["rows"] == {"count": 7, "of": 360, "split": "test"}
    assert "evaluate" in (run / "test_accesses.jsonl").read_text()
    assert "evaluate" in out.read_text().partition("Test accesses")[2]


def test_several_runs_are_on_one_page(done, quick, run, digits_run):
    done("report", run, digits_run)

    assert [it["name"] for it in shown(run / "comparison.html")] == [str(run), str(digits_run)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "page.png"], "ends in .png, which is no format here; give a file that ends in .html"),
        (["--out", "-", "--json"], "--json and --out - both write to standard output"),
        (["--points", "0"], "Invalid value for '--points'"),
        (["--split", "all"], "'all' is not one of 'validation', 'test', 'train'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_work(cli, refused, run, arguments, words):
    refused(cli("report", run, *arguments), words)


def test_a_run_is_named_once(cli, refused, run):
    refused(cli("report", run, run), "report takes different runs", "name each once")


def test_what_is_no_run_is_refused(cli, refused, tmp_path):
    refused(cli("report", tmp_path), "is not a run: it has no config.toml")


def test_a_link_in_the_place_of_the_page_is_replaced_not_followed(done, quick, run):
    (run / "elsewhere").write_text("kept")
    (run / "report.html").symlink_to("elsewhere")

    done("report", run)

    assert (run / "elsewhere").read_text() == "kept"
    assert not (run / "report.html").is_symlink()


@pytest.mark.slow
def test_training_names_the_command(done, quick, tmp_path, table):
    small = ["--network", "mlp(hidden=[4])", "--discriminator", "mlp(hidden=[4])", "--prior", "swissroll"]
    out = done("train", "--data", table, "--epochs", "1", *small, "--out", tmp_path / "a run").out

    assert f"look      aaeframe report '{tmp_path / 'a run'}'\n" in out


def test_more_images_than_a_page_takes_are_refused_before_work(cli, refused, run, monkeypatch):
    monkeypatch.setattr("aaeframe.report.pictures.MOST_SIDE", 16)

    refused(
        cli("report", run, "--points", "9"), "room for 4 of these images (8 x 8 pixels each), found 9", "--points 4"
    )
