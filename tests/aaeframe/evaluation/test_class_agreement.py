from __future__ import annotations

import pytest
import torch
from torch.distributions import constraints

from aaeframe.errors import DataError
from aaeframe.evaluation import class_agreement
from aaeframe.protocols import LabeledSample


class Corners:
    """Class k is a blot of this width around the k-th of four corners."""

    support = constraints.independent(constraints.real, 1)
    event_shape = torch.Size([2])
    num_classes = 4
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

    def __init__(self, width):
        self.width = width

    def sample_labeled(self, sample_shape=()):
        labels = torch.randint(4, sample_shape)
        return LabeledSample(self.corners[labels] + self.width * torch.randn(*sample_shape, 2), labels)

    def sample(self, sample_shape=()):
        return self.sample_labeled(sample_shape).value


LABELS = torch.arange(1500) % 4


def test_codes_at_the_corners_of_their_classes_agree():
    found = class_agreement(Corners.corners[LABELS], LABELS, Corners(0.05), seed=0, samples=400)
    assert found.as_dict() == {"agreement": 1.0, "prior_agreement": 1.0, "chance": 0.25}


def test_the_share_of_codes_elsewhere_is_missing():
    wrong = torch.where(torch.arange(1500) < 300, (LABELS + 1) % 4, LABELS)
    found = class_agreement(Corners.corners[wrong], LABELS, Corners(0.05), seed=0, samples=400)
    assert found.agreement == pytest.approx(0.8)


def test_the_prior_itself_falls_short_where_its_classes_overlap():
    prior = Corners(0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        codes, labels = prior.sample_labeled(torch.Size([2000]))
        unrelated = torch.randint(4, (2000,))
    found = class_agreement(codes, labels, prior, seed=0, samples=2000)
    assert 0.4 < found.prior_agreement < 0.8
    assert found.agreement == pytest.approx(found.prior_agreement, abs=0.05)
    blind = class_agreement(codes, unrelated, prior, seed=0, samples=2000)
    assert blind.agreement == pytest.approx(blind.chance, abs=0.04)


def test_the_seed_decides_and_the_callers_random_state_stands():
    before = torch.get_rng_state()
    first = class_agreement(Corners.corners[LABELS] + 0.5, LABELS, Corners(0.5), seed=0, samples=300)
    assert torch.equal(torch.get_rng_state(), before)
    assert class_agreement(Corners.corners[LABELS] + 0.5, LABELS, Corners(0.5), seed=0, samples=300) == first
    assert class_agreement(Corners.corners[LABELS] + 0.5, LABELS, Corners(0.5), seed=1, samples=300) != first


def test_labels_that_do_not_fit_are_refused():
    codes = torch.zeros(5, 2)
    with pytest.raises(DataError, match=r"the classes are 0 to 3, found labels from 0 to 4. .* a prior of as many"):
        class_agreement(codes, torch.arange(5), Corners(0.1), seed=0)
    with pytest.raises(DataError, match=r"one label for each of 5 rows .* \(3,\)"):
        class_agreement(codes, torch.arange(3), Corners(0.1), seed=0)
    with pytest.raises(DataError, match="samples have 2 numbers, the codes 3"):
        class_agreement(torch.zeros(4, 3), torch.arange(4), Corners(0.1), seed=0, samples=10)
