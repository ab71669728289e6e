"""Compilations as a table to compute with: a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxdbg.records import CompileEvent

_REASON = ("cause", "where", "before", "after", "avoidable", "advice", "note")
_COLUMNS = (
    *("function", "title", "phase", "start", "duration", "self_time", "thread"),
    "parent",
    *("cell", "file", "line", "cache", "saved", "user", "failed", "role"),
    *_REASON,
)


def frame(events: Sequence[CompileEvent]) -> Any:
    """A row for each phase.

    What its columns are is said in `Compilations.to_pandas`.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"to_pandas() needs pandas: `pip install pandas` ({error}). Without it, "
            "to_json() has all of it."
        ) from None
    table = pandas.DataFrame([_row(e) for e in events], columns=list(_COLUMNS))
    table["start"] = pandas.to_datetime(table["start"], unit="s", utc=True)
    return table


def _row(event: CompileEvent) -> dict[str, Any]:
    row = {name: getattr(event, name) for name in _COLUMNS if hasattr(event, name)}
    if event.source is not None:
        row |= {"file": event.source.file, "line": event.source.line}
    if event.reason is not None:
        row |= {name: getattr(event.reason, name) for name in _REASON}
    return row
