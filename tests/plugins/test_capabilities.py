"""Capabilities of first-party components are seen by `isinstance` under the rules of every Python."""

from __future__ import annotations

import inspect

import pytest
from typing_extensions import get_protocol_members

from aaeframe.components.registry import Registry
from aaeframe.protocols import SupportsFollowing, SupportsLabels, SupportsLogProb, SupportsPosterior
from aaeframe.testing import EncoderCase, PriorCase
from aaeframe.testing.factories import needed_options
from aaeframe_plugins.priors.categorical import categorical

ASKED = {
    "prior": (PriorCase, [SupportsFollowing, SupportsLabels, SupportsLogProb]),
    "encoder": (EncoderCase, [SupportsPosterior]),
}
CASES = [
    pytest.param(case(offer.factory()).build(), capability, id=f"{offer.full_name}-{capability.__name__}")
    for offer in Registry.load().offers()
    if offer.kind in ASKED and not needed_options(offer.factory())
    for case, capabilities in [ASKED[offer.kind]]
    for capability in capabilities
]
CASES.append(pytest.param(categorical(follow=0.1), SupportsFollowing, id="aaeframe:categorical(follow)"))


@pytest.mark.parametrize(("component", "capability"), CASES)
def test_what_a_component_offers_stands_where_isinstance_looks(component, capability):
    """Since Python 3.12, `isinstance` looks with `getattr_static`, which sees no parameter, buffer or submodule."""
    members = get_protocol_members(capability)
    offered = all(hasattr(component, member) for member in members)
    assert all(inspect.getattr_static(component, member, None) is not None for member in members) == offered
    assert isinstance(component, capability) == offered
