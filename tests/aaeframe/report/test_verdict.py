from __future__ import annotations

from aaeframe.report.verdict import verdict
from aaeframe.training.diagnosis import failures

WON = {"accuracy/z": 0.99, "reconstruction": 1.0, "mean_image_error": 4.0}
EVEN = {**WON, "accuracy/z": 0.6}


def test_a_run_without_failures_is_good(measured):
    found = verdict(measured([EVEN] * 6))

    assert (found.outcome, found.failures, found.passed) == ("good", (), ())
    assert found.headline.startswith("Codes follow the prior,")
    assert "Rows are reconstructed with 25% of the error that the mean row makes." in found.facts


def test_a_match_that_is_not_close_is_not_called_one(measured):
    assert "in part" in verdict(measured(two_sample=0.7)).headline


def test_what_the_monitor_warned_of_last_comes_first_with_its_curves(measured):
    rows = [EVEN] * 3 + [WON] * 4
    (expected,) = failures(rows).values()

    found = verdict(measured(rows))

    assert found.outcome == "failed"
    (failure,) = found.failures
    assert failure.sentence == f"B{expected[1:]}"
    assert failure.keys == ("accuracy/z",)


def test_a_warning_that_passed_is_told_with_its_epoch(measured):
    found = verdict(measured([WON] * 3 + [EVEN] * 3))

    assert found.outcome == "good"
    (sentence,) = found.passed
    assert sentence.startswith("Epoch 3: block z: the discriminator has separated")


def test_what_came_after_the_best_epoch_says_nothing_of_its_weights(measured):
    rows = [{**row, "step": 4 * at} for at, row in enumerate([EVEN] * 3 + [WON] * 4, 1)]
    assert verdict(measured(rows)).outcome == "good"  # of step 12, the end of the third epoch


def test_a_block_that_misses_its_prior_fails(measured):
    found = verdict(measured(two_sample=0.9, two_sample_interval=[0.8, 0.95]))

    assert [it.keys for it in found.failures] == [("mismatch/z", "accuracy/z")]
    assert "do not follow its prior: a classifier tells them from prior samples in 90%" in found.failures[0].sentence


def test_a_decoder_worse_than_the_mean_row_fails(measured):
    found = verdict(measured(ratio=1.2))

    assert found.failures[0].sentence.startswith("The reconstruction error is 120% of that of the mean row")


def test_a_run_that_ended_early_is_not_called_finished(measured):
    found = verdict(measured([EVEN] * 2, finished=False))

    assert found.outcome == "unfinished"
    assert any("2 of 100 epochs" in it for it in found.facts)


def test_measures_that_need_more_rows_are_left_out(measured):
    found = verdict(measured(ratio=None, two_sample=None))

    assert (found.headline, found.facts) == ("No failure was found.", ())
