"""A prior on the simplex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from aaeframe import Component, hookimpl

if TYPE_CHECKING:
    from torch.distributions import Dirichlet

aaeframe_api = 1


@hookimpl
def aaeframe_priors() -> list[Component]:
    """The one prior of this plugin."""
    return [Component("dirichlet", "aaeframe_dirichlet:dirichlet", "symmetric Dirichlet: codes are parts of 1")]


def dirichlet(
    *,
    size: Annotated[int, Field(ge=2, description="corners of the simplex, such as topics")] = 10,
    concentration: Annotated[
        float, Field(gt=0, description="below 1 codes keep to the corners, above 1 to the middle")
    ] = 1.0,
) -> Dirichlet:
    """Parts of 1, exchangeable: Dir(concentration, ..., concentration)."""
    import torch  # here, and not above: listing plugins imports this module
    from torch.distributions import Dirichlet

    # Not validated: to look at values is to wait for the device.
    return Dirichlet(torch.full((size,), concentration), validate_args=False)
