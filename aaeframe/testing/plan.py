"""The checks that apply to each component."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import nn

from aaeframe.components.registry import Kind
from aaeframe.errors import ConfigError
from aaeframe.global_state import guarded
from aaeframe.model.priors import checked_prior, is_trained
from aaeframe.protocols import (
    SupportsBinding,
    SupportsFollowing,
    SupportsHead,
    SupportsLabels,
    SupportsLogProb,
    SupportsLoss,
    SupportsPosterior,
    supports_head,
)
from aaeframe.testing import (
    benchmarks,
    data_sets,
    discriminators,
    encoders,
    metrics,
    networks,
    observers,
    presets,
    prior_abilities,
    priors,
    recipes,
    repeats,
)
from aaeframe.testing.case import REFUSALS, ComponentCase, refusal
from aaeframe.testing.factories import check_builds, check_options, check_serves
from aaeframe.testing.variants import variant

Checks: TypeAlias = Mapping[Callable[..., str | None], type | None]
"""The checks of a kind, each with the capability it requires or None."""

CHECKS: Final[Mapping[Kind, Checks]] = {
    "prior": {
        priors.check_sample_shape: None,
        priors.check_batch_shape: None,
        priors.check_sample_dtype: None,
        priors.check_sample_device: None,
        priors.check_sample_gradient: None,
        priors.check_sample_seed: None,
        priors.check_sample_rows: None,
        priors.check_sample_support: None,
        priors.check_support_reachable: None,
        priors.check_prior_state: nn.Module,
        prior_abilities.check_follow: SupportsFollowing,
        prior_abilities.check_prior_loss: SupportsLoss,
        prior_abilities.check_bind: SupportsBinding,
        prior_abilities.check_log_prob_shape: SupportsLogProb,
        prior_abilities.check_log_prob_fit: SupportsLogProb,
        prior_abilities.check_labels: SupportsLabels,
        prior_abilities.check_label_classes: SupportsLabels,
        prior_abilities.check_label_marginal: SupportsLabels,
    },
    "encoder": {
        encoders.check_code_blocks: None,
        encoders.check_code_support: None,
        encoders.check_code_gradient: None,
        encoders.check_code_noise: None,
        encoders.check_encoder_state: None,
        encoders.check_encoder_device: None,
        encoders.check_decoder_kept: None,
        encoders.check_encoder_rows: None,
        encoders.check_posterior: SupportsPosterior,
    },
    "discriminator": {
        discriminators.check_logit: None,
        discriminators.check_logit_range: None,
        discriminators.check_logit_gradient: None,
        discriminators.check_discriminator_state: None,
        discriminators.check_discriminator_device: None,
        discriminators.check_discriminator_rows: None,
        discriminators.check_head: SupportsHead,
    },
    "network": {
        networks.check_data_kept: None,
        networks.check_features: None,
        networks.check_reconstruction: None,
        networks.check_reconstruction_range: None,
        networks.check_network_gradient: None,
        networks.check_network_state: None,
        networks.check_network_device: None,
        networks.check_network_rows: None,
    },
    "recipe": {
        recipes.check_losses: None,
        recipes.check_phases: None,
        recipes.check_waiting: None,
        recipes.check_captured_step: None,
    },
    "data-set": {data_sets.check_rows: None, data_sets.check_same_rows: None},
    "metric": {metrics.check_value: None, metrics.check_same_value: None},
    "preset": {presets.check_configuration: None, presets.check_about: None},
    "observer": {
        observers.check_observer_members: None,
        observers.check_observer_calls: None,
        observers.check_observer_resume: None,
        observers.check_observer_memory: None,
        observers.check_observer_random_state: None,
        observers.check_observer_output: None,
    },
    "benchmark": {benchmarks.check_suite: None, benchmarks.check_result: None},
}
REPEATS: Final[Checks] = {
    repeats.check_inputs_kept: None,
    repeats.check_many_calls: None,
    repeats.check_instances: None,
    repeats.check_surroundings: None,
}
ONCE: Final[Mapping[Kind, Checks]] = {
    **dict.fromkeys(("prior", "encoder", "discriminator", "network"), REPEATS),
    "recipe": {recipes.check_resumed_step: None},
}
"""Further checks, only for the first case that is served: they take hundreds of calls."""
VARIED: Final[Mapping[Kind, Checks]] = {
    "prior": CHECKS["prior"],
    "encoder": {
        encoders.check_code_blocks: None,
        encoders.check_code_support: None,
        encoders.check_code_noise: None,
        encoders.check_encoder_state: None,
        encoders.check_posterior: SupportsPosterior,
    },
    "discriminator": {
        discriminators.check_logit: None,
        discriminators.check_discriminator_state: None,
    },
    "network": {
        networks.check_features: None,
        networks.check_reconstruction: None,
        networks.check_network_state: None,
    },
}
"""The checks that run once more with options other than the defaults, on the first case that is served."""
UNBUILT: Final = ("data-set", "metric", "preset")
"""The kinds that are not built to plan their checks: building may read data, and no check needs a capability."""
ONE_CASE: Final[Mapping[Kind, type[ComponentCase]]] = {
    "prior": priors.PriorCase,
    "data-set": data_sets.DataSetCase,
    "metric": metrics.MetricCase,
    "preset": presets.PresetCase,
    "observer": observers.ObserverCase,
    "benchmark": benchmarks.BenchmarkCase,
}
SEVERAL_CASES: Final[Mapping[Kind, Callable[[Callable[..., Any]], Sequence[ComponentCase]]]] = {
    "encoder": encoders.encoder_cases,
    "discriminator": discriminators.discriminator_cases,
    "network": networks.network_cases,
    "recipe": recipes.recipe_cases,
}

MISSING_CAPABILITY: Final[Mapping[type, str]] = {
    nn.Module: "is not an nn.Module",
    SupportsBinding: "has no bind",
    SupportsFollowing: "has no follow",
    SupportsLoss: "has no parameters to train",
    SupportsLogProb: "has no log_prob",
    SupportsLabels: "has no sample_labeled and num_classes",
    SupportsPosterior: "has no posterior",
    SupportsHead: "has no body and head",
}
"""The members that are missing from a component without this capability."""
LABEL_CHECKS: Final[Checks] = {discriminators.check_logit_labels: None}
"""The additional checks of a discriminator with classes."""


class Check(NamedTuple):
    """One check. Call it to run it; its id is its `str`."""

    id: str
    run: Callable[[], str | None]
    """Raises AssertionError if the component lacks the property; returns the reason if that cannot be tested."""
    inapplicable: str | None = None
    """The reason why the check does not apply; None if it does."""

    def __call__(self) -> None:
        """Run the check."""
        self.run()

    def __str__(self) -> str:
        return self.id


def checks_for(kind: Kind, factory: Callable[..., Any]) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """The checks that apply to the factory's component, each with an id such as "sample-shape"."""
    for check in plan(kind, factory):
        if check.inapplicable is None:
            yield check.id, check.run


def plan(kind: Kind, factory: Callable[..., Any]) -> Iterator[Check]:
    """All checks of a kind. Checks that do not apply are included, with the reason.

    The component is built once for each case, to find its capabilities. If that fails, the case has only the check
    "builds", which will fail too.
    """
    cases = _cases(kind, factory)
    yield Check("options", partial(check_options, cases[0]))
    if kind in UNBUILT:
        yield from (Check(_id(check), partial(check, cases[0])) for check in CHECKS[kind])
        return
    if kind in ("network", "encoder", "discriminator"):
        yield Check("serves", partial(check_serves, cases))
    once, served = ONCE.get(kind, {}), False
    for case in cases:
        planned = list(_plan_case(case, {**_checks(kind, case), **once}))
        yield from planned
        if len(planned) > 1:
            once, served = {}, True
    if served and kind in VARIED and (other := variant(factory, partial(_builds, kind))) is not None:
        yield from _plan_variant(kind, *other)


def _builds(kind: Kind, factory: Callable[..., Any]) -> bool:
    """Whether a factory serves a case, and gives no prior that runs refuse, such as one with a batch_shape."""
    served = [it for it in _cases(kind, factory) if refusal(it) is None]
    if kind != "prior" or not served:
        return bool(served)
    try:
        checked_prior("z", served[0].build())
    except ConfigError:
        return False
    return True


def _plan_variant(kind: Kind, words: str, factory: Callable[..., Any]) -> Iterator[Check]:
    """The checks of a component with other options than the defaults; none of a case that refuses them."""
    for case in _cases(kind, factory):
        if refusal(case) is None:
            for check in _plan_case(case, VARIED[kind]):
                name = check.id.partition("[")[0]
                yield check._replace(id=f"{name}[{words}]")
            return


def _cases(kind: Kind, factory: Callable[..., Any]) -> Sequence[ComponentCase]:
    return [ONE_CASE[kind](factory)] if kind in ONE_CASE else SEVERAL_CASES[kind](factory)


def _id(check: Callable[..., Any]) -> str:
    return check.__name__.removeprefix("check_").replace("_", "-")


def _checks(kind: Kind, case: ComponentCase) -> Checks:
    if isinstance(case, discriminators.DiscriminatorCase) and case.num_classes is not None:
        return {**CHECKS[kind], **LABEL_CHECKS}
    return CHECKS[kind]


def _plan_case(case: ComponentCase, checks: Checks) -> Iterator[Check]:
    suffix = f"[{case.label}]" if case.label else ""
    builds = Check(f"builds{suffix}", partial(check_builds, case))
    try:
        with torch.random.fork_rng(devices=[]), guarded():  # what building changes is reported by the checks
            built = case.build()
    except Exception as error:
        refused = not isinstance(case, priors.PriorCase | recipes.RecipeCase) and isinstance(error, REFUSALS)
        refused = refused or (isinstance(case, observers.ObserverCase) and observers.not_installed(error))
        yield builds._replace(inapplicable=f"refused: {error}") if refused else builds
        return
    yield builds
    for check, capability in checks.items():
        applies = capability is None or _offers(built, capability)
        missing = None if applies or capability is None else MISSING_CAPABILITY[capability]
        yield Check(f"{_id(check)}{suffix}", partial(check, case), missing)


def _offers(component: Any, capability: type) -> bool:
    if capability is SupportsHead:
        return supports_head(component)
    if capability is SupportsLoss:  # its check requires a loss of a prior with parameters; without them it is not used
        return is_trained(component)
    return isinstance(component, capability)
