"""A run that cannot be written to, as on a mount of others; its evaluation and its figures elsewhere."""

import json
from pathlib import Path

import aaeframe

run = aaeframe.load("shared/run")
Path("report.json").write_text(json.dumps(run.evaluate()))
run.plot_figures(out=Path("figures"))
