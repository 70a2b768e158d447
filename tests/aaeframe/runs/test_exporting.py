"""The rows that check an export, from whatever `encode` takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_runs import LABELS, ROWS

from aaeframe.data import Split
from aaeframe.errors import DataError
from aaeframe.runs.exporting import rows_for_check

SINGLE = ROWS.astype(np.float32)


@pytest.mark.parametrize(
    ("data", "type_of"),
    [
        (SINGLE, np.float32),
        (ROWS, np.float64),
        (Split(SINGLE, labels=LABELS), np.float32),
        (torch.from_numpy(SINGLE).requires_grad_(), np.float32),
        (torch.from_numpy(ROWS).bfloat16(), np.float32),
        (torch.from_numpy(ROWS).to(torch.int64), np.float64),
    ],
    ids=["array", "float64", "split", "with gradient", "bfloat16", "whole numbers"],
)
def test_rows_that_can_be_encoded_can_check_an_export(finished, data, type_of):
    rows, _ = rows_for_check(finished, data)

    assert (rows.shape, rows.dtype) == ((64, 4), type_of)
    torch.testing.assert_close(finished.encode(rows), {k: z[:64] for k, z in finished.encode(data).items()})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ROWS.astype(str), "rows are real numbers"),
        (ROWS.astype(complex), "rows are real numbers"),
        (np.ma.masked_greater(ROWS, 5), "masked arrays would lose their masks"),
        (np.where(ROWS > 5, np.nan, ROWS), "some values are not finite, the first in row"),
        (ROWS[:0], "N > 0"),
    ],
    ids=["texts", "complex", "masked", "not a number", "no row"],
)
def test_rows_that_cannot_be_encoded_are_refused(finished, data, words):
    with pytest.raises(DataError, match=words):
        rows_for_check(finished, data)
