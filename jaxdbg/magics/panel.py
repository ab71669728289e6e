"""`%panel`: the panel of the region that ended last, or of a tree."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, no_var_expand

from jaxdbg.magics.installed import Installed
from jaxdbg.magics.showing import show


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
        """
        expression = line.strip()
        if not expression:
            show()
            return
        try:
            tree = self.shell.ev(expression)
        except Exception as error:
            raise UsageError(
                f"%panel shows a tree, and {expression!r} is none: "
                f"{type(error).__name__}: {error}"
            ) from None
        show(tree, name=expression)
