"""The plain script does the same training as our recipe, so that their times may be compared."""

from __future__ import annotations

import pytest
import torch

from aaeframe.benchmarking.baselines import PlainCompiled, PlainEager
from aaeframe.benchmarking.estimators import scikit_learn, torch_cdist
from aaeframe.benchmarking.inputs import decoder_like, digit_images
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.step import recipe_for
from aaeframe.protocols import Batch
from aaeframe_kernels.parzen.reference import log_likelihood

CPU, SIZES = torch.device("cpu"), Sizes(side=8, width=16, code=3)


@pytest.mark.parametrize("schedule", ["alternating", "joint"])
def test_the_plain_script_and_the_recipe_have_the_same_losses_step_by_step(schedule):
    pixels = digit_images(32, SIZES.side)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        recipe, script = recipe_for(SIZES, schedule, CPU), PlainEager(SIZES, CPU)
        model = recipe.model
        ours = {"encoder": model.encoder, "decoder": model.decoder, "discriminator": model.discriminators}
        with torch.no_grad():
            for name, part in ours.items():
                for theirs, weight in zip(script.parts[name].parameters(), part.parameters(), strict=True):
                    theirs.copy_(weight)
        their_step = script.step if schedule == "alternating" else script.joint_step
        for number in range(5):
            torch.manual_seed(number)  # the prior's samples
            found = recipe.step(Batch(pixels, None, torch.arange(32)))
            torch.manual_seed(number)
            expected = {name: loss.detach() for name, loss in their_step(pixels).items()}
            assert found["reconstruction"].item() == pytest.approx(expected["reconstruction"].item(), rel=1e-5)
            for name in ("discriminator", "generator"):
                assert found[f"{name}/gaussian"].item() == pytest.approx(expected[name].item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's, when it compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("step", ["step", "joint_step"])
def test_the_compiled_script_has_the_losses_of_the_eager_one_step_by_step(step):
    pixels = digit_images(32, SIZES.side)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        eager, compiled = PlainEager(SIZES, CPU), PlainCompiled(SIZES, CPU, backend="eager")
        compiled.parts.load_state_dict(eager.parts.state_dict())
        for number in range(3):
            torch.manual_seed(number)
            expected = getattr(eager, step)(pixels)
            torch.manual_seed(number)
            found = getattr(compiled, step)(pixels)
            for name, loss in expected.items():
                assert found[name].item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("estimator", [torch_cdist, scikit_learn])
def test_other_estimators_agree_with_the_specification(estimator):
    x, samples = digit_images(20, 8).flatten(1), decoder_like(50, 8).flatten(1)
    expected = log_likelihood(x, samples, torch.tensor([0.2]))[:, 0]
    found = estimator(x.float() / 255, samples, 0.2)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


def test_images_are_digits_of_the_wanted_size_and_always_the_same():
    images = digit_images(30, 28)
    assert images.dtype == torch.uint8
    assert images.shape == (30, 1, 28, 28)
    assert images.max() == 255
    assert torch.equal(images, digit_images(30, 28))
    assert not torch.equal(images, digit_images(30, 28, seed=1))


def test_samples_lie_inside_the_unit_interval_and_on_no_grid():
    samples = decoder_like(30, 28)
    assert 0 < samples.min() < samples.max() < 1
    steps = samples * 255
    assert (steps - steps.round()).abs().mean() > 0.2
