"""The versions of the JSON that jaxdbg has written, and which of them it reads."""

from __future__ import annotations

import json
from typing import Any

REPORT = 3
"""Version of the JSON that `Report.to_json` writes.

Format 1 had no origins, compilations and histories, format 2 no types of the arrays in
a `Reason`; both are still read.
"""

COMPILATIONS = 2
"""Version of the JSON that `Compilations.to_json` writes.

Format 1 had no types of the arrays in a `Reason`; it is still read.
"""


def report(text: str) -> dict[str, Any]:
    """The fields of a saved `Report`.

    Raises:
        ValueError: the text is not such a report, or of a newer format.
    """
    fields = json.loads(text)
    version = _version(fields, "jaxdbg_report")
    if version not in range(1, REPORT + 1):
        raise ValueError(
            f"Not a jaxdbg report of format 1 to {REPORT}: {_has(version)}. Expected "
            "what Report.to_json() wrote; a newer format needs a newer jaxdbg."
        )
    return _without(fields, "jaxdbg_report")


def compilations(text: str) -> dict[str, Any]:
    """The fields of saved `Compilations`, or of a saved `Report`.

    Raises:
        ValueError: the text is neither, or of a newer format.
    """
    fields = json.loads(text)
    if _version(fields, "jaxdbg_report") is not None:
        return report(text)
    version = _version(fields, "jaxdbg_compilations")
    if version not in range(1, COMPILATIONS + 1):
        raise ValueError(
            f"Not compilations that jaxdbg has saved in format 1 to {COMPILATIONS}: "
            f"{_has(version)}. Expected what Compilations.to_json() or "
            "Report.to_json() wrote; a newer format needs a newer jaxdbg."
        )
    return _without(fields, "jaxdbg_compilations")


def _version(fields: Any, name: str) -> Any:
    return fields.get(name) if isinstance(fields, dict) else None


def _has(version: Any) -> str:
    return f"the text has format {version}" if version else "the text names no format"


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}
