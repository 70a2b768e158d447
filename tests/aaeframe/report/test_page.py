from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from reported_runs import ROWS, subject_of, trained

from aaeframe.data import from_arrays
from aaeframe.report.curves import curve_panels
from aaeframe.report.page import SCRIPTS, bundle, render, text
from aaeframe.report.tables import access_rows, match_rows, measure_rows, settings

HOSTILE = "</script><script>alert(1)</script> & \"quoted\" '<b>' \u2028"


class Page(HTMLParser):
    """The tags, attributes and texts of a page, as a browser takes them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.scripts, self.inside = [], [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def handle_endtag(self, tag):
        self.inside = None


@pytest.fixture(scope="module")
def subject():
    data = from_arrays(ROWS, np.arange(200) % 2)
    names = {"columns": (HOSTILE, *(f"c{k}" for k in range(5))), "class_names": (HOSTILE, "other")}
    run = trained(dataclasses.replace(data, **names))
    accesses = [{"time": "now", "purpose": HOSTILE, "step": 3}]
    return dataclasses.replace(subject_of(run), name=HOSTILE, accesses=accesses)


@pytest.fixture(scope="module")
def html(subject):
    return render([subject])


def test_names_stay_text(subject, html):
    page = Page(html)

    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "b" not in [tag for tag, _ in page.tags]
    assert HOSTILE in page.texts  # the heading, the purpose of an access
    data = json.loads(page.scripts[0])
    (run,) = data["runs"]
    assert run["name"] == run["columns"][0] == run["colors"][0]["names"][0] == HOSTILE


def test_only_its_own_script_and_style_run(html):
    page = Page(html)
    (policy,) = (it["content"] for _, it in page.tags if it.get("http-equiv") == "Content-Security-Policy")
    style = html.partition("<style>")[2].partition("</style>")[0]

    def digest(content):
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    assert f"script-src {digest(page.scripts[1])};" in policy
    assert f"style-src {digest(style)};" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "unsafe" not in policy


def test_nothing_is_loaded_from_anywhere(html):
    for tag, attributes in Page(html).tags:
        for key in ("src", "href", "action", "srcset", "data"):
            assert attributes.get(key, "#").startswith(("#", "data:")), (tag, attributes)
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", bundle() + text("page.css")))
    assert addresses == {"http://www.w3.org/2000/svg"}


def test_a_page_shows_several_runs(subject):
    other = dataclasses.replace(subject, name="second", points=5)

    data = json.loads(Page(render([subject, other])).scripts[0])

    assert [it["name"] for it in data["runs"]] == [HOSTILE, "second"]
    assert {it["run"] for panel in data["panels"] for it in panel["series"]} == {0, 1}


def test_every_script_of_the_page_is_listed():
    from importlib import resources

    found = {it.name for it in resources.files("aaeframe.report").joinpath("web").iterdir() if it.name.endswith(".js")}
    assert found == set(SCRIPTS)
    assert max(len(text(name).splitlines()) for name in SCRIPTS) <= 400


def test_curves_have_a_gap_where_a_metric_is_missing(measured):
    rows = [{"epoch": 1, "reconstruction": 2.0}, {"epoch": 2}, {"epoch": 3, "reconstruction": float("nan")}]

    (panel,) = curve_panels([measured(rows)])

    (series,) = panel["series"]
    assert (panel["title"], series["x"], series["y"]) == ("Reconstruction", [1, 2, 3], [2.0, None, None])


def test_curves_of_two_runs_share_a_panel(measured):
    rows = [{"epoch": 1, "accuracy/z": 0.5}]

    (panel,) = curve_panels([measured(rows), measured(rows)])

    assert [it["run"] for it in panel["series"]] == [0, 1]
    assert panel["references"] == {"chance": 0.5}


def test_a_collapse_has_the_curve_of_its_entropy(measured):
    (panel,) = curve_panels([measured([{"epoch": 1, "entropy/y": 0.1, "classes/y": 10}])])

    assert (panel["title"], panel["series"][0]["key"]) == ("Entropy of the mean code", "entropy/y")


def test_settings_tell_what_is_not_the_default_and_where_runs_differ(digits, subject):
    found = {it.key: it for it in settings([subject_of(digits), subject])}

    assert found["prior.swissroll"].values[0].startswith("swissroll(classes=10, turns=2.0")
    assert found["prior.swissroll"].values[1] == ""
    assert found["prior.swissroll.softening"].differs
    assert (found["training.epochs"].values, found["training.epochs"].is_default) == (["1", "1"], False)
    assert found["training.precision"].is_default
    assert found["training.batch_size"].differs


def test_measures_are_next_to_what_they_would_be_at_best(measured):
    assert match_rows([measured()]) == [["run", "z", "0.125 (0.0625)", "0.5 (0.25)", "55.0% (50.0% to 60.0%)"]]
    assert match_rows([measured(mmd=None)])[0][3] == "too few rows"


def test_each_measure_is_a_row_with_a_cell_for_each_run(measured):
    first, second = measured(), measured()
    second.evaluation["classification"] = {"error": 0.015, "standard_error": 0.001}
    second.evaluation["metrics"] = {"own": 0.5, "parts": {"a": None}}

    rows = {row[0]: row[1:] for row in measure_rows([first, second])}

    assert rows["reconstruction: half squared error"] == ["1", "1"]
    assert rows["classes: error"] == ["", "1.50% ± 0.10%"]
    assert (rows["own"], rows["parts, a"]) == (["", "0.5"], ["", "failed"])


def test_accesses_are_listed(subject):
    assert access_rows([subject]) == [[HOSTILE, "now", HOSTILE, "3"]]
