"""`%panel`: the panel of the region that ended last, or of a tree."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, no_var_expand

from jaxdbg.notebook.base import Installed
from jaxdbg.notebook.show import show


@magics_class
class ShowPanel(Installed):
    """Shows the panel when it is asked for."""

    @no_var_expand
    @line_magic
    def panel(self, line: str) -> None:
        """Show the panel.

        ::

          %panel             of the checked region that ended last
          %panel model       of a tree: a module, an optimizer, gradients, ...

        A terminal shows its text.
        """
        panel = self._tree(line.strip()) if line.strip() else self._last()
        if panel is not None:  # a terminal has no place for it
            print(panel)

    def _last(self) -> Any:
        try:
            return show()
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _tree(self, expression: str) -> Any:
        try:
            tree = self.shell.ev(expression)
        except Exception as error:
            raise UsageError(
                f"%panel shows a tree, and {expression!r} is none: "
                f"{type(error).__name__}: {error}"
            ) from None
        return show(tree, name=expression)
