"""Every check of a network accepts a good one and rejects one that lacks the property."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import constraints

from aaeframe import testing
from aaeframe.testing.networks import network_cases
from aaeframe.testing.plan import CHECKS


class Net:
    """A good network for any data."""

    num_features = 16

    def __init__(self, data, code_size) -> None:
        size = data.shape.numel()
        last = nn.Sigmoid() if data.support is constraints.unit_interval else nn.Identity()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, self.num_features), nn.Tanh())
        self.decoder = nn.Sequential(nn.Linear(code_size, size), nn.Unflatten(1, data.shape), last)


class Then(nn.Module):
    """A function as the last step of a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, value):
        return self.function(value)


class Forgetful(nn.Module):
    """A random tensor in an attribute that no state_dict holds."""

    def __init__(self):
        super().__init__()
        self.shift = torch.rand(1)

    def forward(self, value):
        return value + self.shift


class Counting(nn.Module):
    """A number that moves by use, and that no state_dict holds."""

    used = 0

    def forward(self, value):
        self.used += self.training
        return value + self.used


class Misremembered(Net):
    """Built anew for a checkpoint as something else."""

    @classmethod
    def from_state(cls, state, data, code_size):
        network = cls(data, code_size)
        network.decoder.append(Then(torch.neg))
        return network


def image(change, support=constraints.unit_interval):
    """A case of the good network, changed after it was built for tiny pictures."""

    def factory(*arguments):
        network = Net(*arguments)
        change(network)
        return network

    return testing.NetworkCase(factory, "image", (1, 2, 2), support)


def ending(encoder=None, decoder=None):
    """Add a last step to the encoder, the decoder or both."""

    def change(network):
        network.encoder = nn.Sequential(network.encoder, *([encoder()] if encoder else []))
        network.decoder = nn.Sequential(network.decoder, *([decoder()] if decoder else []))

    return change


def replacing(**parts):
    return lambda network: vars(network).update(parts)


def refusing(data, code_size):
    raise ValueError("only sounds")


def rescaling(data, code_size):
    data.std.mul_(2)
    return Net(data, code_size)


REJECTED = {
    "check_serves": [
        ([testing.NetworkCase(refusing)], "the component must serve one of these cases at least: table: only sounds"),
    ],
    "check_data_kept": [(testing.NetworkCase(rescaling), "a network must leave the mean and std")],
    "check_features": [
        (image(replacing(num_features=7)), "the features must have shape (4, 7), not (4, 16)"),
        (image(replacing(encoder=torch.flatten)), "a network's encoder must be an nn.Module"),
    ],
    "check_reconstruction": [
        (image(replacing(decoder=nn.Linear(3, 4))), "the reconstruction must have shape (4, 1, 2, 2), not (4, 4)"),
    ],
    "check_reconstruction_range": [
        (image(ending(decoder=lambda: Then(torch.logit))), "for data in [0, 1] the reconstruction must lie there too"),
        (
            image(ending(decoder=nn.Sigmoid), constraints.real),
            "for standardized data the reconstruction must be able to",
        ),
    ],
    "check_network_gradient": [
        (image(ending(encoder=lambda: Then(torch.sign))), "no gradient reaches the input x"),
        (image(ending(decoder=lambda: Then(torch.sign))), "no gradient reaches the representation"),
    ],
    "check_network_state": [
        (
            image(ending(encoder=Forgetful)),
            "the encoder of a second instance with the state_dict of the first",
        ),
        (
            image(ending(encoder=Counting)),
            "the encoder of a second instance with the state_dict of the first",
        ),
        (
            image(ending(decoder=Forgetful)),
            "the decoder of a second instance with the state_dict of the first",
        ),
        (testing.NetworkCase(Misremembered), "the decoder of an instance by from_state with the state_dict"),
    ],
    "check_network_device": [
        (image(ending(encoder=lambda: Then(torch.Tensor.cpu))), "the encoder fails after it was moved to meta"),
        (image(ending(decoder=lambda: Then(lambda it: torch.rand(4, 1, 2, 2)))), "the decoder was moved to meta, and"),
    ],
    "check_network_rows": [
        (image(ending(encoder=lambda: Then(lambda it: it.cumsum(0)))), "the features of a row depends on the rest"),
        (
            image(ending(decoder=lambda: Then(lambda it: it.cumsum(0)))),
            "the reconstruction of a row depends on the rest",
        ),
    ],
}


@pytest.mark.parametrize("case", network_cases(Net), ids=lambda case: case.label)
@pytest.mark.parametrize("check", [check for check in REJECTED if check != "check_serves"])
def test_a_good_network_is_accepted(check, case):
    getattr(testing, check)(case)


@pytest.mark.parametrize(
    ("check", "case", "message"), [(check, *broken) for check, cases in REJECTED.items() for broken in cases]
)
def test_a_broken_network_is_rejected(check, case, message):
    with pytest.raises(AssertionError) as raised:
        getattr(testing, check)(case)
    assert message in str(raised.value)


def test_every_check_of_a_network_has_a_broken_one_to_reject():
    assert {"check_serves", *(check.__name__ for check in CHECKS["network"])} == set(REJECTED)


def test_a_network_may_refuse_data_but_not_all():
    def images_only(data, code_size):
        if len(data.shape) != 3:
            raise ValueError("only images")
        return Net(data, code_size)

    checks = {check.id: check for check in testing.plan("network", images_only)}

    assert checks["builds[table]"].inapplicable == "refused: only images"
    assert "features[table]" not in checks
    checks["serves"].run()
    checks["features[odd-image]"].run()
