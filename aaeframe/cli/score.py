"""`aaeframe score`: anomaly scores of rows by a trained run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aaeframe.cli import options


class Kind(StrEnum):
    """The kinds of score."""

    density = "density"
    reconstruction = "reconstruction"
    prior = "prior"
    discriminator = "discriminator"


@options.with_row_options
def score(
    context: typer.Context,
    run: options.RunArgument,
    asked: options.RowOptions,
    kind: Annotated[
        Kind,
        typer.Option(
            metavar="KIND",
            help="density: residual and code under one Gaussian; reconstruction: the error; prior: -log p(z); "
            "discriminator: its negative logit.",
        ),
    ] = Kind.density,
    contamination: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Also write anomaly: 1 where the score is above that of this share of the training rows, else 0.",
        ),
    ] = None,
    reasons: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Also write the N columns that deviate most from what is expected, and how many standard deviations.",
        ),
    ] = None,
    out: options.OutFile = None,
    form: options.Form = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    shard: options.Shard = None,
    json: options.Json = False,
) -> None:
    """Score how odd each row is, (N,); higher is odder. Ids and labels come first, if there are any.

    A table (.csv, .parquet) has a row for each row: ids, labels, score, then what was asked for.
    """
    import numpy as np

    from aaeframe.anomaly.reasons import check_reasons
    from aaeframe.anomaly.scores import DECODED
    from aaeframe.cli.console import note
    from aaeframe.cli.sample_encode import known, output_of
    from aaeframe.cli.shards import share_of, work_of
    from aaeframe.runs.anomaly import AnomalyScorer
    from aaeframe.runs.new_data import decoder_labels_of
    from aaeframe.storage.results import Results

    share = share_of(shard)
    output = output_of(out, run / "scores.npz", form, json, share)
    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_not_read(output, asked.data, opened.config.data.source)
    scorer = AnomalyScorer(opened, note, asked.data_changed)
    if reasons is not None:
        check_reasons(opened.model, reasons)
    threshold = None if contamination is None else scorer.threshold(contamination, kind.value)
    work = work_of(opened, asked, share)
    found = work.found
    labels = decoder_labels_of(opened, found) if kind in DECODED or reasons is not None else None
    arrays = {"score": scorer.scores(found.rows, kind.value, labels)}
    if threshold is not None:
        arrays["anomaly"] = (arrays["score"] > threshold).astype(np.uint8)
    if reasons is not None:
        why = scorer.reasons(found.rows, reasons, labels)
        for k in range(reasons):
            arrays[f"reason_{k + 1}"] = why.columns[:, k]
            arrays[f"deviation_{k + 1}"] = why.deviations[:, k]
    results = Results(arrays, list(arrays), {name: [name] for name in arrays}, **known(found))
    fitted = share is not None and (kind is Kind.density or reasons is not None)
    own = {
        "density": scorer.density_digest() if fitted else None,
        "--kind": kind.value,
        "--contamination": contamination,
        "threshold": threshold,
        "--reasons": reasons,
    }
    work.write(output, results, json, command="score", **own)
    if threshold is not None and not json:
        note(f"{arrays['anomaly'][: work.count].sum():,} of {work.count:,} rows have a score above {threshold:.6g}")
