"""`aaeframe presets`."""

from __future__ import annotations

import tomllib

from aaeframe.configuration.presets import preset_names, read_about, read_preset


def test_the_list_names_every_preset_whole_with_title_and_duration(done):
    outcome = done("presets", "list")
    for name in preset_names():
        assert name in outcome.out
    assert "title" in outcome.out
    assert "takes" in outcome.out


def test_the_list_as_json(done):
    found = done("presets", "list", "--json").json["presets"]
    assert [it["name"] for it in found] == preset_names()
    about = read_about("modern-mnist-16-clusters")
    name = "modern-mnist-16-clusters"
    assert {"name": name, "title": about.title, "takes": about.takes, "distribution": "aaeframe"} in found


def test_a_preset_is_shown_in_words_and_then_as_toml_that_can_be_used(done, tmp_path):
    name = "modern-mnist-2d-20-clusters"
    outcome = done("presets", "show", name)
    words, _, toml = outcome.out.partition("\n[data]")
    about = read_about(name)
    told = " ".join(words.split())
    for sentence in (about.title, about.reproduces, about.takes, *about.deviates):
        assert sentence in told
    assert "aaeframe train --preset modern-mnist-2d-20-clusters" in words
    assert max(map(len, words.splitlines())) <= 100
    assert tomllib.loads(f"[data]{toml}") == read_preset(name)


def test_a_preset_as_json(done):
    found = done("presets", "show", "paper-mnist-100-labels", "--json").json
    assert found["name"] == "paper-mnist-100-labels"
    assert found["about"]["seeds"] == [0, 1, 2]
    assert found["configuration"] == read_preset("paper-mnist-100-labels")


def test_an_unknown_preset_is_refused_with_the_nearest(cli, refused):
    refused(cli("presets", "show", "modern-mnist-16-cluster"), "did you mean 'modern-mnist-16-clusters'?")
