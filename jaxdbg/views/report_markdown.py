"""A report as Markdown: the headline, the findings in full, the compilations folded."""

from __future__ import annotations

import re

from jaxdbg.records import Compilations, Report
from jaxdbg.views import compiles_text, report_text

MAX_FINDINGS = 5
"""How many findings are there in full; the rest have a line each."""


def markdown(report: Report) -> str:
    """The report, without a line break at its end."""
    head, *rest = report_text.text(report).split("\n")
    parts = [f"### jaxdbg: {head}"]
    parts += [_fenced(f.message) for f in report.findings[:MAX_FINDINGS]]
    if not report.findings or len(report.findings) > MAX_FINDINGS:
        parts += [_fenced("\n".join(rest))] if rest else []
    if report.compilations:
        table = _fenced(compiles_text.text(Compilations.from_report(report)))
        folded = "<details><summary>compilations</summary>"
        parts += [f"{folded}\n\n{table}\n\n</details>"]
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    """As a block of code; the fence is longer than any that the text has."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
