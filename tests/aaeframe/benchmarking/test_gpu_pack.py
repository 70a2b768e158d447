"""benchmarks/gpu_pack.py: what must travel, and gpu.py's refusals of what does not fit. Nothing is downloaded."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest


@pytest.fixture
def pack(script):
    return script("gpu_pack")


@pytest.fixture
def gpu(script):
    return script("gpu")


def test_everything_that_is_needed_is_found_with_its_version(pack):
    needed = pack.needed()
    assert "pydantic-core" in needed  # of a requirement's requirement
    assert {"torch", "tomli-w", "pytest-xdist", "execnet"} <= set(needed)
    assert "ruff" not in needed
    assert needed["torch"].contains("2.11")
    assert not needed["torch"].contains("2.10")


def test_a_version_there_that_does_not_suffice_is_brought(pack, downloads, tmp_path):
    listed = tmp_path / "environment.txt"
    old = {"tomli-w": "tomli-w==0.1", "pydantic": "pydantic==2.14.4"}
    listed.write_text("\n".join(old.get(name, name) for name in pack.needed()))
    assert pack.main(["--environment", str(listed), "--out", str(tmp_path / "packed")]) == 0
    (arguments,) = downloads
    assert [it for it in arguments if "==" in it] == [f"tomli-w=={metadata.version('tomli-w')}"]


def test_a_folder_of_something_else_is_not_replaced(pack, tmp_path, capsys):
    (tmp_path / "mine").touch()
    with pytest.raises(SystemExit, match="2"):
        pack.main(["--out", str(tmp_path)])
    assert "was not made by this script" in capsys.readouterr().err
    assert (tmp_path / "mine").exists()


def test_what_is_not_installed_here_is_named(pack):
    with pytest.raises(pack.CannotPack, match="no-such-package is not installed here"):
        pack.needed(["no-such-package"])


def test_a_list_of_packages_is_read_as_pip_writes_it(pack, tmp_path):
    file = tmp_path / "freeze.txt"
    file.write_text("# a comment\nPyYAML==6.0\nscikit_learn==1.9.1\nnumpy  # another\n\n")
    assert pack.listed(file) == {"pyyaml": "6.0", "scikit-learn": "1.9.1", "numpy": None}
    file.write_text("-e .\n")
    with pytest.raises(pack.CannotPack, match="is not a list of packages"):
        pack.listed(file)
    with pytest.raises(pack.CannotPack, match="No such file"):
        pack.listed(tmp_path / "none.txt")


@pytest.fixture
def downloads(pack, monkeypatch):
    """pip's downloads, asked for and not made; our wheel is built for real by tests/test_packaging.py."""
    asked = []

    def run(arguments, failure):
        if "build" in arguments:
            folder = Path(arguments[arguments.index("-o") + 1])
            folder.mkdir()
            (folder / "aaeframe-0.1.0-py3-none-any.whl").touch()
        else:
            asked.append(arguments)

    monkeypatch.setattr(pack, "run", run)
    return asked


def test_what_the_environment_lacks_is_downloaded_for_its_python(pack, downloads, tmp_path, monkeypatch):
    monkeypatch.delenv("AAEFRAME_DATA", raising=False)
    listed = tmp_path / "environment.txt"
    listed.write_text("\n".join(set(pack.needed()) - {"pydantic", "pydantic-core", "aaeframe"}))
    assert pack.main(["--environment", str(listed), "--python", "3.13", "--out", str(tmp_path / "packed")]) == 0
    (arguments,) = downloads
    wheels = [it for it in arguments if "==" in it]
    assert sorted(wheels) == [f"{name}=={metadata.version(name)}" for name in ("pydantic-core", "pydantic")]
    assert arguments[arguments.index("--python-version") + 1] == "3.13"
    assert "--no-deps" in arguments
    about = json.loads((tmp_path / "packed/about.json").read_text())
    assert about["wheels"] == ["aaeframe-0.1.0-py3-none-any.whl"]


def test_an_environment_that_lacks_nothing_needs_no_download(pack, downloads, tmp_path):
    listed = tmp_path / "environment.txt"
    listed.write_text("\n".join(pack.needed()))
    assert pack.main(["--environment", str(listed), "--out", str(tmp_path / "packed")]) == 0
    assert downloads == []


def test_mnist_travels_if_it_is_here_and_else_it_is_said(pack, tmp_path, monkeypatch, capsys):
    source = tmp_path / "here/mnist"
    source.mkdir(parents=True)
    (source / "file.gz").touch()
    monkeypatch.setenv("AAEFRAME_DATA", str(source.parent))
    pack.copy_mnist(tmp_path / "there")
    assert (tmp_path / "there/mnist/file.gz").exists()
    monkeypatch.delenv("AAEFRAME_DATA")
    pack.copy_mnist(tmp_path / "elsewhere")
    assert "without MNIST" in capsys.readouterr().out


def test_a_failure_leaves_the_old_folder(pack, monkeypatch, tmp_path, capsys):
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "about.json").touch()

    def fail(arguments, failure):
        raise pack.CannotPack(f"{failure}: no index")

    monkeypatch.setattr(pack, "run", fail)
    assert pack.main(["--out", str(packed)]) == 2
    assert "our wheel could not be built: no index" in capsys.readouterr().err
    assert [it.name for it in tmp_path.iterdir()] == ["packed"]
    assert [it.name for it in packed.iterdir()] == ["about.json"]


@pytest.fixture
def bare(gpu, monkeypatch, tmp_path):
    """An environment without aaeframe, and an empty folder for what travels."""
    monkeypatch.setattr(gpu, "installed", lambda: False)
    monkeypatch.setattr(gpu, "PACKED", tmp_path / "packed")
    (tmp_path / "packed/wheels").mkdir(parents=True)
    return tmp_path / "packed"


def test_without_wheels_it_says_what_to_run(gpu, bare, capsys):
    assert gpu.main(["--dry"]) == 2
    assert "has no wheels: run benchmarks/gpu_pack.py first" in capsys.readouterr().err


def test_wheels_of_other_sources_are_refused(gpu, bare, capsys):
    (bare / "wheels/aaeframe-0.1.0-py3-none-any.whl").touch()
    (bare / "about.json").write_text(json.dumps({"sources": "of another day", "commit": "0123"}))
    assert gpu.main(["--dry"]) == 2
    assert "the sources have changed since" in capsys.readouterr().err


@pytest.mark.slow
def test_wheels_that_do_not_install_are_told_of(gpu, bare, capsys):
    (bare / "wheels/aaeframe-0.1.0-py3-none-any.whl").touch()
    (bare / "about.json").write_text(json.dumps({"sources": gpu.digest_of_sources(), "commit": "0123"}))
    assert gpu.main(["--dry"]) == 2
    assert "pip could not install" in capsys.readouterr().err


def test_where_git_is_not_the_commit_is_the_one_that_was_packed(gpu, bare, monkeypatch):
    monkeypatch.setenv("PATH", str(bare))
    assert gpu.commit() is None
    (bare / "about.json").write_text(json.dumps({"commit": "0123+"}))
    assert gpu.commit() == "0123+"


def test_a_change_of_the_sources_changes_their_digest(gpu, monkeypatch, tmp_path):
    for name in gpu.SOURCES:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "aaeframe/a.py").write_text("1")
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    before = gpu.digest_of_sources()
    (tmp_path / "aaeframe/__pycache__").mkdir()
    (tmp_path / "aaeframe/__pycache__/a.pyc").write_text("compiled")
    assert gpu.digest_of_sources() == before
    (tmp_path / "aaeframe/a.py").write_text("2")
    assert gpu.digest_of_sources() != before


def test_the_environment_that_is_listed_is_the_one_that_was_met(pack):
    listed = pack.listed(pack.ROOT / "benchmarks/gpu_environment.txt")
    assert {"torch", "triton", "numpy", "pytest"} <= set(listed)
    assert not {"pydantic", "pydantic-core", "tomli-w", "aaeframe"} & set(listed)
