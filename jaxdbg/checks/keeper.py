"""Answers a finding that asks for the arguments or the results of its call."""

from __future__ import annotations

import os
from typing import Any

from jaxdbg.records import Finding, keeper


class _Keeper:
    # Loaded when first asked: writing a repro needs `jax.export`.

    def output(self, finding: Finding, path: str | None) -> Any:
        from jaxdbg.checks.afterwards import last

        return last.output(finding, path)

    def repro(
        self, finding: Finding, path: str | os.PathLike[str], overwrite: bool
    ) -> Any:
        from jaxdbg.checks.afterwards.repro import folder

        return folder.write(finding, path, overwrite)


def register() -> None:
    """Makes this the keeper that findings ask."""
    keeper.register(_Keeper())
