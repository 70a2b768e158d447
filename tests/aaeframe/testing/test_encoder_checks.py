"""Every check of an encoder accepts a good one and rejects one that lacks the property."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from aaeframe import testing
from aaeframe.testing.plan import CHECKS


class Drawing(nn.Module):
    """A good encoder: Gaussian, with a posterior for the block on which it is one."""

    noise_shape = torch.Size([5])

    def __init__(self, network, blocks) -> None:
        super().__init__()
        self.body = network.encoder
        self.style, self.y = nn.Linear(network.num_features, 2), nn.Linear(network.num_features, 3)

    def forward(self, x, noise=None):
        features = self.body(x)
        noise = torch.randn(len(x), 5, device=x.device) if noise is None else noise
        return {"style": self.style(features) + noise[:, :2], "y": (self.y(features) + noise[:, 2:]).softmax(-1)}

    def posterior(self, x):
        return {"style": Independent(Normal(self.style(self.body(x)), 1.0), 1)}


class Forgetful(Drawing):
    """A random tensor in an attribute that no state_dict holds."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.shift = torch.rand(1)

    def forward(self, x, noise=None):
        code = super().forward(x, noise)
        return {**code, "style": code["style"] + self.shift}


class Counting(Drawing):
    """A number that moves by use, and that no state_dict holds."""

    used = 0

    def forward(self, x, noise=None):
        self.used += self.training
        code = super().forward(x, noise)
        return {**code, "style": code["style"] + self.used}


class Misremembered(Drawing):
    """Built anew for a checkpoint as something else."""

    sign = 1

    @classmethod
    def from_state(cls, state, network, blocks):
        encoder = cls(network, blocks)
        encoder.sign = -1
        return encoder

    def forward(self, x, noise=None):
        code = super().forward(x, noise)
        return {**code, "style": self.sign * code["style"]}


class Grasping(Drawing):
    """Changes the decoder, which is not its own."""

    def __init__(self, network, blocks):
        super().__init__(network, blocks)
        nn.init.zeros_(network.decoder.weight)


class Idle(Drawing):
    """A parameter that no code depends on."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.idle = nn.Parameter(torch.ones(1))


def drawing(**members):
    """A case of the good encoder with these members in place of its own."""
    return testing.EncoderCase(type("Drawing", (Drawing,), members))


def coding(transform):
    """A case of the good encoder whose codes are altered."""
    return drawing(forward=lambda self, x, noise=None: transform(Drawing.forward(self, x, noise)))


def taking(transform):
    """A case of the good encoder that alters its input and its noise, None included."""
    return drawing(forward=lambda self, x, noise=None: Drawing.forward(self, *transform(x, noise)))


def stating(posterior):
    """A case of the good encoder with another posterior of its style."""
    return drawing(posterior=lambda self, x: {"style": posterior(self.style(self.body(x)))})


def given(noise, transform):
    """The noise altered where it was given."""
    return None if noise is None else transform(noise)


def one_for_all(x, noise):
    """The noise; if none was given, one that all rows share."""
    return torch.randn(5).expand(len(x), 5) if noise is None else noise


REJECTED = {
    "check_code_blocks": [
        (coding(lambda code: code["style"]), "the code must be a mapping of blocks, not Tensor"),
        (coding(lambda code: {"z": code["y"]}), "the code must have the blocks ['style', 'y'], not ['z']"),
        (coding(lambda code: {**code, "y": code["style"]}), "the block 'y' must have shape (8, 3), not (8, 2)"),
        (coding(lambda code: {**code, "y": code["y"].double()}), "the block 'y' must be float32"),
        (coding(lambda code: {**code, "y": code["y"] / 0}), "the block 'y' must be finite"),
    ],
    "check_code_support": [
        (coding(lambda code: {**code, "y": 2 * code["y"]}), "the block 'y' must lie in Simplex(), as its support is"),
    ],
    "check_code_gradient": [
        (testing.EncoderCase(Idle), "no gradient reaches the parameter idle"),
        (taking(lambda x, noise: (x.detach(), noise)), "no gradient reaches the input x"),
        (coding(lambda code: {**code, "y": code["y"].detach()}), "no gradient reaches the parameter y.weight"),
        (
            testing.EncoderCase(lambda network, blocks: "text"),
            "an encoder must be an nn.Module, to be trained and saved",
        ),
    ],
    "check_code_noise": [
        (drawing(noise_shape=(5,)), "noise_shape must be a torch.Size, not (5,)"),
        (drawing(noise_shape=torch.Size()), "an encoder with an empty noise_shape must be deterministic"),
        (taking(lambda x, noise: (x, None)), "the same noise must give the same code"),
        (taking(lambda x, noise: (x, torch.ones(8, 5))), "with noise_shape (5,), noise=None must draw new noise"),
        (taking(lambda x, noise: (x, one_for_all(x, noise))), "noise=None must draw noise for each row"),
        (taking(lambda x, noise: (x, given(noise, torch.ones_like))), "different noise must change the code"),
        (taking(lambda x, noise: (x, given(noise, lambda it: it / it.norm()))), "zero noise must give a finite code"),
    ],
    "check_encoder_state": [
        (testing.EncoderCase(Forgetful), "with the state_dict of the first must give the same codes"),
        (testing.EncoderCase(Counting), "with the state_dict of the first must give the same codes"),
        (testing.EncoderCase(Misremembered), "an instance by from_state with the state_dict of the first must give"),
        (drawing(get_extra_state=lambda self: "text"), "the state_dict must hold tensors only: _extra_state"),
        (drawing(state_dict=lambda self: {}), "a second instance does not load the state_dict: "),
    ],
    "check_encoder_device": [
        (taking(lambda x, noise: (x, torch.zeros(len(x), 5))), "the encoder fails after it was moved to meta"),
        (taking(lambda x, noise: (x.cpu(), noise)), "Cannot copy out of meta tensor"),
        (coding(lambda code: {**code, "y": torch.zeros(8, 3)}), "gives tensors on cpu: make tensors with device=x.dev"),
        (taking(lambda x, noise: (x * x.mean().item(), noise)), "cannot be called on meta tensors"),
    ],
    "check_decoder_kept": [
        (testing.EncoderCase(Grasping), "an encoder must leave the decoder of its network as it is"),
    ],
    "check_encoder_rows": [
        (coding(lambda code: {**code, "y": code["y"].cumsum(0)}), "the code of a row depends on the rest of its batch"),
    ],
    "check_posterior": [
        (drawing(posterior=lambda self, x: {"z": None}), "posterior must give blocks among ['style', 'y'], not ['z']"),
        (stating(lambda mean: Normal(mean, 1.0)), "must have batch_shape (8,) and event_shape (2,), not (8, 2) and ()"),
        (
            stating(lambda mean: Independent(Normal(mean + 0.2, 1.0), 1)),
            "of 'style' do not follow their posterior",
        ),
        (stating(lambda mean: Independent(Normal(mean, 1.2), 1)), "the codes of 'style' do not follow their posterior"),
    ],
}


@pytest.mark.parametrize("check", REJECTED)
def test_a_good_encoder_is_accepted(check):
    getattr(testing, check)(testing.EncoderCase(Drawing))


@pytest.mark.parametrize(
    ("check", "case", "message"), [(check, *broken) for check, cases in REJECTED.items() for broken in cases]
)
def test_a_broken_encoder_is_rejected(check, case, message):
    with pytest.raises(AssertionError) as raised:
        getattr(testing, check)(case)
    assert message in str(raised.value)


def test_every_check_of_an_encoder_has_a_broken_one_to_reject():
    assert {check.__name__ for check in CHECKS["encoder"]} == set(REJECTED)


def test_an_encoder_may_refuse_the_product_but_not_all():
    def real_only(network, blocks):
        if list(blocks) != ["style"]:
            raise ValueError("one real block, please")
        return Real(network)

    class Real(Drawing):
        def __init__(self, network):
            super().__init__(network, {})

        def forward(self, x, noise=None):
            return {"style": super().forward(x, noise)["style"]}

        noise_shape = torch.Size([5])

    found = {check.id: check for check in testing.plan("encoder", real_only)}
    assert found["builds"].inapplicable == found["builds[y]"].inapplicable == "refused: one real block, please"
    for name in ("serves", "code-blocks[style]", "posterior[style]", "encoder-rows[style]"):
        found[name]()

    def refusing(network, blocks):
        raise ValueError("no")

    with pytest.raises(AssertionError, match="at least: a product of blocks: no; style: no; y: no"):
        dict(testing.checks_for("encoder", refusing))["serves"]()


def test_a_deterministic_encoder_needs_no_noise():
    deterministic = taking(lambda x, noise: (x, torch.zeros(len(x), 5)))
    deterministic.factory.noise_shape = torch.Size()

    testing.check_code_noise(deterministic)
    testing.check_encoder_rows(deterministic)
