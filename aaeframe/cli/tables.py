"""The tables of an evaluation and of a likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

from aaeframe.cli.console import facts, table

TOO_FEW_ROWS: Final = "too few rows"
"""Shown in place of a measure that is missing from a report."""


def report_tables(report: Mapping[str, Any]) -> list[Table]:
    """The tables of an evaluation: match with the prior, reconstruction, classes."""
    where = f"{report['rows']} {report['split']} rows"
    tables = [_match_table(name, block, where) for name, block in report["blocks"].items()]
    tables.append(_reconstruction_table(report["reconstruction"], where))
    if "classification" in report:
        tables.append(_classification_table(report["classification"], where))
    if "clustering" in report:
        tables.append(_clustering_table(report["clustering"], where))
    if "leakage" in report:
        tables.append(_leakage_table(report["leakage"], where))
    if "metrics" in report:
        tables.append(_metrics_table(report["metrics"], where))
    return tables


def likelihood_table(report: Mapping[str, Any]) -> Table:
    """The table of a Parzen log-likelihood."""
    error = report["standard_error"]
    value = f"{report['log_likelihood']:.2f}" + ("" if error is None else f" ± {error:.2f}")
    rows = {
        "log-likelihood, nats": f"{value} (mean and standard error over rows)",
        "bandwidth": f"{report['bandwidth']:.4g}{_chosen(report)}",
        "samples served by": ", ".join(f"{path}: {count:,}" for path, count in report["paths"].items()),
        "seconds": f"{report['seconds']:.1f}",
    }
    if "precision" in report:
        rows["samples decoded in"] = report["precision"]
    if report.get("warning"):
        rows["warning"] = report["warning"]
    where = f"{report['rows']:,} {report.get('split', 'test')} rows under {report['samples']:,} samples"
    return facts(f"Parzen log-likelihood, {where}", rows)


def _chosen(report: Mapping[str, Any]) -> str:
    if "bandwidths" not in report:
        return ", as given"
    grid = report["bandwidths"]
    return f", most likely for the validation rows of {len(grid)} from {min(grid):.3g} to {max(grid):.3g}"


def _match_table(name: str, block: Mapping[str, Any], where: str) -> Table:
    rows = [
        ["sliced Wasserstein", _number(block["sliced_wasserstein"]), _number(block["sliced_wasserstein_floor"])],
        ["MMD²", _number(block["mmd"], ".5f"), _number(block["mmd_floor"], ".5f")],
        *_two_sample(block),
    ]
    if block.get("entropy") is not None:
        rows.append(["entropy of the mean code, nats", _number(block["entropy"]), _number(block["prior_entropy"])])
    if block.get("code_entropy") is not None:
        rows.append(["mean entropy of a code, nats", _number(block["code_entropy"]), "0"])
    if "classes" in block:
        classes = block["classes"]
        given = f"{classes['num_labels'] or 'no'} labels, chance {classes['chance']:.0%}"
        rows.append(
            [
                f"codes in their class's component ({given})",
                f"{classes['agreement']:.1%}",
                f"{classes['prior_agreement']:.1%}",
            ]
        )
    return table(f"Match of block {name!r} with its prior, {where}", ["", "codes", "prior against itself"], rows)


def _reconstruction_table(report: Mapping[str, float | None], where: str) -> Table:
    names = {
        "error": "half squared error",
        "shuffled_error": "the same, codes shuffled among rows",
        "mean_image_error": "the same, mean row",
    }
    mean_image = report["mean_image_error"]
    rows = [[name, _number(report[key]), _share(report[key], mean_image)] for key, name in names.items()]
    return table(f"Reconstruction, {where}", ["", "error", "of the mean row's"], rows)


def _classification_table(report: Mapping[str, Any], where: str) -> Table:
    rows = {
        "error": f"{report['error']:.2%} ± {report['standard_error']:.2%} (standard error over rows)",
        "mean confidence": f"{report['mean_confidence']:.3f}",
        "mean entropy of q(y|x), nats": _number(report["conditional_entropy"]),
    }
    return facts(f"Classes, {where}", rows)


def _clustering_table(report: Mapping[str, Any], where: str) -> Table:
    rows = {
        "error, clusters named by validation rows (the paper's protocol)": f"{report['error']:.2%}",
        "error, clusters named by most of these very rows": f"{report['majority_error']:.2%}",
        "error, one cluster a class": f"{report['hungarian_error']:.2%}",
        "normalized mutual information": f"{report['normalized_mutual_information']:.3f}",
        "adjusted Rand index": f"{report['adjusted_rand_index']:.3f}",
        "clusters used": f"{report['clusters_used']} of {len(report['names'])}",
        "entropy of the mean q(y|x), nats": f"{report['marginal_entropy']:.3f} of {report['uniform_entropy']:.3f}",
        "mean entropy of q(y|x), nats": _number(report["conditional_entropy"]),
    }
    return facts(f"Clusters, {where}", rows)


def _leakage_table(report: Mapping[str, Any], where: str) -> Table:
    rows = {
        f"class read from {name!r} by a linear probe": f"{it['accuracy']:.1%} (chance {it['chance']:.1%})"
        for name, it in report.items()
    }
    return facts(f"Leakage, {where}", rows)


def _metrics_table(report: Mapping[str, Any], where: str) -> Table:
    rows: dict[str, str] = {}
    for key, value in report.items():
        parts = {f"{key}, {name}": it for name, it in value.items()} if isinstance(value, Mapping) else {key: value}
        rows |= {name: "failed" if it is None else _number(it) for name, it in parts.items()}
    return facts(f"Metrics, {where}", rows)


def _number(value: float | None, form: str = ".4g") -> str:
    return TOO_FEW_ROWS if value is None else format(value, form)


def _two_sample(block: Mapping[str, Any]) -> list[list[str]]:
    """The larger accuracy with its interval, and the accuracy of each classifier."""
    title = "classifier two-sample accuracy"
    if not block["tested"]:
        return [[title, "not tested", "not tested"]]
    if block["two_sample"] is None:
        return [[title, TOO_FEW_ROWS, TOO_FEW_ROWS]]
    low, high = block["two_sample_interval"]
    chance = "0.5 (chance)"
    each = [[f"by {name}", f"{accuracy:.3f}", chance] for name, accuracy in block["two_sample_by"].items()]
    return [[title, f"{block['two_sample']:.3f} ({low:.3f} to {high:.3f})", chance], *each]


def _share(error: float | None, mean_image: float | None) -> str:
    if not mean_image:
        return "constant data"
    return TOO_FEW_ROWS if error is None else f"{error / mean_image:.3f}"
