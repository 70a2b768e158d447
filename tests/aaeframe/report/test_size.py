from __future__ import annotations

import os

import pytest
from reported_runs import subject_of

import aaeframe
from aaeframe import data
from aaeframe.report.page import render


@pytest.mark.slow
@pytest.mark.skipif("AAEFRAME_DATA" not in os.environ, reason="no AAEFRAME_DATA")
def test_a_page_of_mnist_with_the_papers_network_is_below_ten_megabytes():
    images = data.load("mnist").test.array()[:6500]
    run = aaeframe.train(images, batch_size=4000, epochs=1, keep=False, progress=False)

    page = render([subject_of(run, "train")])

    assert '"kind": "dense"' in page
    assert len(page.encode()) < 10e6
