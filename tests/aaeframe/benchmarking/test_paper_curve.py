"""benchmarks/paper_curve.py on digits: begun, resumed, recorded and drawn."""

from __future__ import annotations

import json

import pytest

SMALL = {
    "data": "digits",
    "network": "mlp(hidden=[16])",
    "discriminator": "mlp(hidden=[8])",
    "checkpoint_every": 1,
    "batch_size": 200,
    "labeled_batch_size": 50,
}


@pytest.mark.slow
def test_a_run_that_stopped_goes_on_and_is_recorded(script, tmp_path, monkeypatch):
    paper_curve = script("paper_curve")
    folder, kept = tmp_path / "curve", tmp_path / "record"

    measured = paper_curve.Watch.checkpoint_saved

    def stopping(self, path, step):
        measured(self, path, step)
        if step >= 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(paper_curve.Watch, "checkpoint_saved", stopping)
        with pytest.raises(KeyboardInterrupt):
            paper_curve.run(folder, epochs=4, **SMALL)
    assert list(paper_curve.curve(folder)) == [6, 12]

    with pytest.raises(SystemExit, match="leave precision out"):
        paper_curve.run(folder, data="digits", precision="bf16")
    first = (folder / "curve.jsonl").read_text().splitlines()[0]
    (folder / "curve.jsonl").write_text(first + "\n")  # as if killed before the second line
    paper_curve.run(folder, data="digits")
    found = paper_curve.curve(folder)
    assert list(found) == [6, 12, 18, 24]
    assert all(0 < error < 95 for error in found.values())

    tested = {"classification": {"error": 0.5}, "step": 24}
    (folder / "run/evaluation.json").write_text(json.dumps({"test": tested}))
    paper_curve.main(["record", str(folder), str(kept)])
    assert paper_curve.curve(kept) == found
    assert json.loads((kept / "evaluation.json").read_text())["test"] == tested
    newest = json.loads((kept / "newest.json").read_text())
    assert newest["checkpoint"] == "step-00000024"
    assert len(newest["sha256"]) == 64
    starts = [json.loads(line) for line in (kept / "starts.jsonl").read_text().splitlines()]
    assert [it["step"] for it in starts] == [0, 12]
    assert len(starts[-1]["commit"]) == 40
    paper_curve.main(["plot", str(kept), str(tmp_path / "curve.png")])
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    (kept / "evaluation.json").write_text(json.dumps({"validation": tested}))
    paper_curve.main(["plot", str(kept), str(tmp_path / "untested.png")])
    assert (tmp_path / "untested.png").read_bytes() != (tmp_path / "curve.png").read_bytes()
