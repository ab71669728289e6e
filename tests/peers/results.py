"""What one test did in one mode; one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Result:
    """What one test did in one mode.

    Attributes:
        test: its id for pytest, from the folder of the package.
        outcome: "passed", "failed", "skipped", "no result" where its process ended.
        error: type and text of the exception.
        asserted: name and hash of each assertion that has passed.
        ran: how often each function of the module ran.
        phases: how often JAX has traced, lowered and compiled each function.
        left: what is not as it was before the test.
        findings: of the region, as `kind function path`.
        false_findings: those of them whose array holds no NaN and no Inf.
        raised: whether jaxdbg's failure is what ended the test.
        notices: what the report says of jaxdbg itself.
        seconds: how long it took.
    """

    test: str
    outcome: str = "no result"
    error: str = ""
    asserted: list[str] = field(default_factory=list)
    ran: dict[str, int] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    false_findings: list[str] = field(default_factory=list)
    raised: bool = False
    notices: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_line(self) -> str:
        """The result as one line."""
        return json.dumps(asdict(self)) + "\n"


def read(file: Path) -> dict[str, Result]:
    """The results that a process has written, by test."""
    if not file.exists():
        return {}
    lines = file.read_text().splitlines()
    return {r.test: r for r in (Result(**json.loads(line)) for line in lines)}
