"""The outcome of a run in words: failures first, and the curves that show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from aaeframe.evaluation.evaluate import misses
from aaeframe.report.subject import Subject
from aaeframe.training.diagnosis import Monitor, failures

Outcome: TypeAlias = Literal["good", "unfinished", "failed"]

HEADLINES: Final[Mapping[Outcome, str]] = {
    "good": "No failure was found.",
    "unfinished": "This run has not trained all its epochs.",
    "failed": "This run failed.",
}
CLOSE: Final = 0.6
"""The accuracy of the two-sample test below which codes are said to follow the prior; half is a perfect match."""
CURVES: Final = {
    "discriminator_won": ("accuracy",),
    "discriminator_blind": ("accuracy", "mismatch"),
    "reconstruction_stuck": ("reconstruction", "validation/reconstruction", "mean_image_error"),
    "category_collapse": ("entropy",),
}
"""The metrics that show a failure, by the name of the rule that found it."""


@dataclass(frozen=True)
class Failure:
    """A reason why a run failed."""

    sentence: str
    keys: tuple[str, ...] = ()
    """The metrics whose curves show it."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one run."""

    outcome: Outcome
    headline: str
    failures: tuple[Failure, ...]
    facts: tuple[str, ...]
    """Sentences on match, reconstruction and classes."""
    passed: tuple[str, ...]
    """Warnings of the training that no longer held at the epoch of the weights, with their epochs."""


def verdict(subject: Subject) -> Verdict:
    """The outcome of a run: what the training's monitor warned of, and what the evaluation found."""
    found = tuple(_failures(subject))
    outcome: Outcome = "failed" if found else "good" if subject.finished else "unfinished"
    headline = _matching(subject) if outcome == "good" else HEADLINES[outcome]
    return Verdict(outcome, headline, found, tuple(_facts(subject)), tuple(_passed(subject)))


def _matching(subject: Subject) -> str:
    """The match of the worst block with its prior in words, for a run that did not fail."""
    accuracies = [it["two_sample"] for it in subject.evaluation["blocks"].values() if it["two_sample"] is not None]
    if not accuracies:
        return HEADLINES["good"]
    how = "follow the prior" if max(accuracies) < CLOSE else "follow the prior in part"
    return f"Codes {how}, and rows are reconstructed."


def _failures(subject: Subject) -> Iterator[Failure]:
    for key, sentence in failures(_epochs(subject)).items():
        rule, _, block = key.partition("/")
        keys = CURVES.get(rule, ())
        yield Failure(_capitalized(sentence), tuple(f"{it}/{block}" if block else it for it in keys))
    for name, sentence in _misses(subject.evaluation):
        yield Failure(_capitalized(sentence), (f"mismatch/{name}", f"accuracy/{name}"))
    ratio = subject.evaluation["reconstruction"]["ratio"]
    if ratio is not None and ratio >= 1:
        yield Failure(
            f"The reconstruction error is {ratio:.0%} of that of the mean row: the decoder does not use the codes.",
            CURVES["reconstruction_stuck"],
        )


def _misses(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each block that misses its prior, with the sentence of `evaluate`."""
    for name, block in evaluation["blocks"].items():
        for sentence in misses({"blocks": {name: block}}):
            yield name, sentence


def _facts(subject: Subject) -> Iterator[str]:
    report = subject.evaluation
    for name, block in report["blocks"].items():
        if (accuracy := block["two_sample"]) is not None:
            low, high = block["two_sample_interval"]
            yield (
                f"Block {name!r}: a classifier tells codes from prior samples in {accuracy:.0%} of cases "
                f"({low:.0%} to {high:.0%}); half is chance."
            )
    ratio = report["reconstruction"]["ratio"]
    if ratio is not None:
        yield f"Rows are reconstructed with {ratio:.0%} of the error that the mean row makes."
    if "classification" in report:
        yield f"Classes: {report['classification']['error']:.2%} of rows are wrong."
    if "clustering" in report:
        it = report["clustering"]
        yield f"Clusters: {it['error']:.2%} of rows are in a cluster of another class, by the paper's protocol."
        yield f"{it['clusters_used']} of {len(it['names'])} clusters are used."
    if subject.stopped is not None:
        yield subject.stopped
    if not subject.finished:
        total = subject.config.training.epochs
        yield f"It ended after {len(subject.metrics)} of {total} epochs. Resume it with aaeframe train --resume."


def _passed(subject: Subject) -> Iterator[str]:
    """The warnings given up to the epoch of the weights that do not stand there."""
    rows = _epochs(subject)
    monitor, last = Monitor(), set(failures(rows).values())
    for index, row in enumerate(rows):
        for sentence in monitor.observe(row):
            if sentence not in last and not _still(sentence, last):
                yield f"Epoch {row.get('epoch', index + 1)}: {sentence}"


def _epochs(subject: Subject) -> list[Mapping[str, Any]]:
    """The metrics of the epochs that the weights were trained for: those of the best epoch have no later ones."""
    return [row for row in subject.metrics if row.get("step", 0) <= subject.step]


def _still(sentence: str, last: set[str]) -> bool:
    """Whether a failure that stands at the end is the same one, with newer numbers."""
    begin = sentence[:40]
    return any(it.startswith(begin) for it in last)


def _capitalized(sentence: str) -> str:
    """A sentence of the command line as one of a page."""
    return f"{sentence[:1].upper()}{sentence[1:]}{'' if sentence.endswith('.') else '.'}"
