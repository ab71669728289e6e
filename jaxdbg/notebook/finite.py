"""`%finite`: whether a tree is finite, and what each of its leaves holds."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import re
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import (
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)

from jaxdbg.errors import did_you_mean
from jaxdbg.notebook.base import Installed, unknown

if TYPE_CHECKING:
    from jaxdbg.trees.finite_map import FiniteMap

DETAIL = "--detail"


@magics_class
class Finite(Installed):
    """Looks at trees."""

    @no_var_expand
    @output_can_be_silenced
    @line_magic
    def finite(self, line: str) -> FiniteMap | None:
        """Say whether a tree is finite, and what each leaf of it holds.

        ::

          %finite model               a module, an optimizer, gradients, any tree
          %finite state.params["net"]
          %finite --detail model      measure magnitudes even if the tree is large
          m = %finite model           the map: m.bad, m["model.head.kernel"], ...
        """
        from jaxdbg.trees.finite_map import (
            finite_map,  # not before it is used: it needs JAX
        )

        words = line.split()
        flags = [word for word in words[:1] if word.startswith("-")]
        if flags not in ([], [DETAIL]):
            raise unknown("option of %finite", flags[0], (DETAIL,))
        expression = line.strip()[len(DETAIL) :].strip() if flags else line.strip()
        if not expression:
            raise UsageError("%finite looks at a tree: `%finite model`.")
        tree = self._tree(expression)
        return finite_map(tree, expression, detail=True if flags else None)

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """The user's names; what follows a dot IPython completes itself."""
        typed = re.fullmatch(r"\s*%finite\s+(?:--detail\s+)?([\w-]*)", text)
        if typed is None:
            return (), ""
        names = [n for n, value in self.shell.user_ns.items() if _is_tree(n, value)]
        return (*names, DETAIL), typed[1]

    def _tree(self, expression: str) -> object:
        try:
            return self.shell.ev(expression)
        except NameError as error:
            near = did_you_mean(str(error.name), self.shell.user_ns)
            raise UsageError(f"%finite {expression}: {error}.{near}") from None
        except Exception as error:
            raise UsageError(
                f"%finite looks at a tree, and {expression!r} gives none: "
                f"{type(error).__name__}: {error}"
            ) from None


_NO_TREES = (type, ModuleType, FunctionType, MethodType, str, int, float)


def _is_tree(name: str, value: object) -> bool:
    if name.startswith("_") or name in ("In", "Out", "exit", "quit"):
        return False
    is_jitted = type(value).__name__ == "PjitFunction"
    return not is_jitted and not isinstance(value, _NO_TREES)
