"""The observer `tensorboard`: TensorBoard's own reader finds what a run wrote."""

from __future__ import annotations

import numpy as np
import pytest

import aaeframe

reading = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="no extra 'integrations'"
)

ROWS = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "batch_size": 20, "device": "cpu"}
STEPS = 4


class Stops:
    def stepped(self, step, losses):
        if step == STEPS + 3:
            raise aaeframe.StopRun


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The events of a run that was stopped after 7 of 12 steps, of which 6 are then lost, resumed, and evaluated."""
    out = tmp_path_factory.mktemp("board") / "run"
    with pytest.warns(UserWarning, match="ended the run"):
        aaeframe.train(
            ROWS, observers=["tensorboard(every=2)", Stops()], epochs=3, checkpoint_every=1, out=out, **SMALL
        )
    (newest,) = (out / "checkpoints").glob("step-00000007")
    newest.rename(out / "lost")
    run = aaeframe.resume(out, data=ROWS)
    report = run.evaluate(split="validation")
    run.plot_figures(split="validation")
    events = reading.EventAccumulator(str(out / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return run, report, events


def scalars(events, tag):
    return [(it.step, it.value) for it in events.Scalars(tag)]


def test_each_step_and_epoch_is_there_once(found):
    run, _, events = found

    assert [step for step, _ in scalars(events, "step/reconstruction")] == [2, 4, 6, 8, 10, 12]
    assert scalars(events, "epoch/reconstruction") == [
        (row["step"], pytest.approx(row["reconstruction"])) for row in run.metrics
    ]


def test_evaluations_and_figures_are_there(found):
    run, report, events = found

    assert scalars(events, "validation/reconstruction/error") == [
        (run.step, pytest.approx(report["reconstruction"]["error"]))
    ]
    figures = {path.stem for path in run.folder.figures.glob("*.png")}
    assert figures <= set(events.Tags()["images"])
    image = events.Images(sorted(figures)[0])[0]
    assert (image.step, image.width > 100) == (run.step, True)
