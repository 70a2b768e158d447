"""The page: one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aaeframe.report.curves import curve_panels
from aaeframe.report.explorer import explorer
from aaeframe.report.subject import Subject
from aaeframe.report.tables import access_rows, match_rows, measure_rows, settings
from aaeframe.report.verdict import verdict
from aaeframe.version import __version__

SCRIPTS: Final = (
    "base.js",
    "colors.js",
    "decoder.js",
    "rows.js",
    "scatter.js",
    "state.js",
    "explorer.js",
    "controls.js",
    "walks.js",
    "pins.js",
    "panels.js",
    "curves.js",
    "main.js",
)
"""The scripts in the order of the page. They share one strict scope; what a script uses stands in an earlier one."""
STYLE: Final = "page.css"


def render(subjects: Sequence[Subject]) -> str:
    """The page of one or more runs, as HTML."""
    environment = Environment(
        loader=PackageLoader("aaeframe.report", "web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    script, style = bundle(), text(STYLE)
    return environment.get_template("page.html").render(
        subjects=subjects,
        verdicts=[verdict(it) for it in subjects],
        settings=settings(subjects),
        match=match_rows(subjects),
        measures=measure_rows(subjects),
        accesses=access_rows(subjects),
        data={"runs": [explorer(it) for it in subjects], "panels": curve_panels(subjects)},
        script=Markup(script),
        style=Markup(style),
        policy=policy(script, style),
        version=__version__,
    )


def bundle() -> str:
    """All scripts of the page in one strict function, so that no name of theirs is global."""
    return "(() => {\n'use strict';\n" + "\n".join(map(text, SCRIPTS)) + "\n})();\n"


def policy(script: str, style: str) -> str:
    """The Content-Security-Policy: these two texts run, pictures come from the page itself, nothing is fetched."""
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def text(name: str) -> str:
    """The content of a file of the page."""
    return resources.files("aaeframe.report").joinpath("web", name).read_text("utf-8")


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
