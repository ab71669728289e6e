"""A failure with what is kept of its call: what the judge hands to the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxdbg.checks.afterwards.kept_calls import KeptCall
from jaxdbg.errors import Failure
from jaxdbg.origins.frames.inside import Inside


@dataclass(frozen=True, slots=True)
class Judgement:
    """A failure, and what is kept of its call.

    Attributes:
        failure: the error, with its finding.
        inputs: the arguments of the call; None if they are not kept.
        outputs: the bad results that are kept, by path.
        process: which process of the job found it; None for this one.
        inside: the user's frames inside the call where the value was born.
        follows: whether the call only passed on a value of an earlier finding.
    """

    failure: Failure
    inputs: KeptCall | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    inside: Inside | None = None
    follows: bool = False
    process: int | None = None
