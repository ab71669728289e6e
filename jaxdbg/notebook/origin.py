"""`%origin`: the whole story of a bad value."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import re
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)

from jaxdbg import errors
from jaxdbg.notebook.base import Installed


@magics_class
class Origins(Installed):
    """Shows where a bad value was born."""

    @no_var_expand
    @output_can_be_silenced
    @line_magic
    def origin(self, line: str) -> Any:
        """Show the whole story of a bad value: where it was born, and its way.

        ::

          %origin                 of the first finding of the cell that failed last
          %origin 2               of the second
          %origin model.kernel    of the one about this leaf

        Shown are the line, with the exact expression, the operation, the module, the
        step of each loop, what went into it, the rows of the batch that cause it,
        what it became on its way, the leaves it reached, and what to do. The value is
        a `jaxdbg` record: `story = %origin` keeps it.
        """
        from jaxdbg.checks.afterwards import last  # not before: it needs JAX

        word = line.strip()
        try:
            return last.origin(last.meant(word) if word else None)
        except errors.UsageError as error:
            raise UsageError(str(error)) from None

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """Numbers and paths of findings, after our magic."""
        typed = re.fullmatch(r"(?:.*=)?\s*%origin\s+(\S*)", text)
        if typed is None:
            return (), ""
        from jaxdbg.checks.afterwards import last

        found = last.findings()
        numbers = [str(n + 1) for n, f in enumerate(found) if f.origin is not None]
        paths = [p for f in found for p in (f.path, *f.paths) if p]
        return tuple(dict.fromkeys([*numbers, *paths])), typed[1]
