"""A report as one HTML file to send to a colleague: the panel, without a server."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from jaxdbg.records import Report
from jaxdbg.views import report_html
from jaxdbg.views.panel.data import panel_data

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 1rem auto; max-width: 1100px; padding: 0 1rem }}
{style}
</style>
<main id="jaxdbg-panel"></main>
<noscript>{plain}</noscript>
<script type="application/json" id="jaxdbg-data">{data}</script>
<script type="module">
{script}
</script>
</html>
"""


@cache
def script() -> str:
    """The panel's ES module, as esbuild made it of js/."""
    return _built("panel.js")


@cache
def style() -> str:
    """The panel's style sheet."""
    return _built("panel.css")


def html(report: Report) -> str:
    """The page of a report."""
    return page(panel_data(report), report_html.html(report))


def page(data: dict[str, Any], plain: str) -> str:
    """A whole HTML document that needs nothing else.

    Arguments:
        data: what `panel_data` returns.
        plain: HTML to show where scripts do not run.
    """
    return _PAGE.format(
        title=escape(f"jaxdbg: {data['title']}"),
        style=style(),
        plain=plain,
        # Only `<` could end the element that holds the text.
        data=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        script=script(),
    )


def _built(name: str) -> str:
    return (files("jaxdbg.views.panel") / name).read_text(encoding="utf-8")
