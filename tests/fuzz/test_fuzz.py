"""Every parser takes its input or raises an error of ours: the short form of long.py."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from fuzzing.targets import TARGETS

SHORT = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of cases too long to be printed
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_only_errors_of_ours_come_out(target, tmp_path):
    outcomes = set()

    @SHORT
    @given(case=target.cases)
    def parse(case):
        outcomes.add(target.outcome(case, tmp_path / "case"))

    parse()
    assert "accepted" in outcomes
    assert len(outcomes) > 1
