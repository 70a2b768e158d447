"""Conformance checks for the authors of components.

Each public `check_...` tests one property of what a factory builds. It raises AssertionError with a message that says
what is wrong. `conformance_cases` gives all that apply to an installed plugin, ready for pytest:

    from aaeframe.testing import conformance_cases

    @pytest.mark.parametrize("check", conformance_cases("aaeframe-torus"))
    def test_conformance(check):
        check()

`conformance_cases("aaeframe-torus", "torus(tube=0.1)")` also checks with these options. `plugin_checks` gives the same
checks to programs that do not use pytest. Use `checks_for` for a component that no installed plugin offers yet: it
gives pairs of id and check, as in `checks_for("prior", Torus)`. `aaeframe plugins check NAME` runs the same checks, and
`python -m aaeframe.testing PATH` runs them on a source tree that is not installed.

Checks draw the same random numbers in every run and restore torch's generator. Checks of a distribution reject a
correct one with probability 1e-5.
"""

from __future__ import annotations

from aaeframe.testing.benchmarks import BenchmarkCase, check_result, check_suite
from aaeframe.testing.conformance import conformance_cases
from aaeframe.testing.data_sets import DataSetCase, check_rows, check_same_rows
from aaeframe.testing.discriminators import (
    DiscriminatorCase,
    check_discriminator_device,
    check_discriminator_rows,
    check_discriminator_state,
    check_head,
    check_logit,
    check_logit_gradient,
    check_logit_labels,
    check_logit_range,
)
from aaeframe.testing.encoders import (
    EncoderCase,
    check_code_blocks,
    check_code_gradient,
    check_code_noise,
    check_code_support,
    check_decoder_kept,
    check_encoder_device,
    check_encoder_rows,
    check_encoder_state,
    check_posterior,
)
from aaeframe.testing.factories import check_builds, check_options, check_serves
from aaeframe.testing.hook_module import ImportCost, check_hook_module, import_cost
from aaeframe.testing.metrics import MetricCase, check_same_value, check_value
from aaeframe.testing.networks import (
    NetworkCase,
    check_data_kept,
    check_features,
    check_network_device,
    check_network_gradient,
    check_network_rows,
    check_network_state,
    check_reconstruction,
    check_reconstruction_range,
)
from aaeframe.testing.observers import (
    ObserverCase,
    check_observer_calls,
    check_observer_members,
    check_observer_memory,
    check_observer_output,
    check_observer_random_state,
    check_observer_resume,
)
from aaeframe.testing.plan import Check, checks_for, plan
from aaeframe.testing.plugin import plugin_checks
from aaeframe.testing.presets import PresetCase, check_about, check_configuration
from aaeframe.testing.prior_abilities import (
    check_bind,
    check_follow,
    check_label_classes,
    check_label_marginal,
    check_labels,
    check_log_prob_fit,
    check_log_prob_shape,
    check_prior_loss,
)
from aaeframe.testing.priors import (
    PriorCase,
    check_batch_shape,
    check_prior_state,
    check_sample_device,
    check_sample_dtype,
    check_sample_gradient,
    check_sample_rows,
    check_sample_seed,
    check_sample_shape,
    check_sample_support,
    check_support_reachable,
)
from aaeframe.testing.recipes import (
    RecipeCase,
    check_captured_step,
    check_losses,
    check_phases,
    check_resumed_step,
    check_waiting,
)
from aaeframe.testing.repeats import check_inputs_kept, check_instances, check_many_calls, check_surroundings

__all__ = [
    "BenchmarkCase",
    "Check",
    "DataSetCase",
    "DiscriminatorCase",
    "EncoderCase",
    "ImportCost",
    "MetricCase",
    "NetworkCase",
    "ObserverCase",
    "PresetCase",
    "PriorCase",
    "RecipeCase",
    "check_about",
    "check_batch_shape",
    "check_bind",
    "check_builds",
    "check_captured_step",
    "check_code_blocks",
    "check_code_gradient",
    "check_code_noise",
    "check_code_support",
    "check_configuration",
    "check_data_kept",
    "check_decoder_kept",
    "check_discriminator_device",
    "check_discriminator_rows",
    "check_discriminator_state",
    "check_encoder_device",
    "check_encoder_rows",
    "check_encoder_state",
    "check_features",
    "check_follow",
    "check_head",
    "check_hook_module",
    "check_inputs_kept",
    "check_instances",
    "check_label_classes",
    "check_label_marginal",
    "check_labels",
    "check_log_prob_fit",
    "check_log_prob_shape",
    "check_logit",
    "check_logit_gradient",
    "check_logit_labels",
    "check_logit_range",
    "check_losses",
    "check_many_calls",
    "check_network_device",
    "check_network_gradient",
    "check_network_rows",
    "check_network_state",
    "check_observer_calls",
    "check_observer_members",
    "check_observer_memory",
    "check_observer_output",
    "check_observer_random_state",
    "check_observer_resume",
    "check_options",
    "check_phases",
    "check_posterior",
    "check_prior_loss",
    "check_prior_state",
    "check_reconstruction",
    "check_reconstruction_range",
    "check_result",
    "check_resumed_step",
    "check_rows",
    "check_same_rows",
    "check_same_value",
    "check_sample_device",
    "check_sample_dtype",
    "check_sample_gradient",
    "check_sample_rows",
    "check_sample_seed",
    "check_sample_shape",
    "check_sample_support",
    "check_serves",
    "check_suite",
    "check_support_reachable",
    "check_surroundings",
    "check_value",
    "check_waiting",
    "checks_for",
    "conformance_cases",
    "import_cost",
    "plan",
    "plugin_checks",
]
