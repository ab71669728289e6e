"""How a record shows itself: the one way from values up to the views of them.

A view is named by text here, and loaded when it is used: views know the records, and
records know no view.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, ClassVar


class Printed:
    """A value that IPython shows in a terminal as `print` does."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        # IPython takes the `__repr__` of a dataclass before an inherited method.
        cls._repr_pretty_ = Printed._repr_pretty_  # type: ignore[method-assign]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


class Shown(Printed):
    """A record that shows itself as text, `VIEW` naming its view."""

    __slots__ = ()
    VIEW: ClassVar[str]

    def __str__(self) -> str:
        text: str = view(f"{self.VIEW}_text").text(self)
        return text


class ShownAsHtml(Shown):
    """A record that shows itself as HTML in a notebook, and as text elsewhere."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = view(f"{self.VIEW}_html").html(self)
        return html


def view(name: str) -> ModuleType:
    """A module of `jaxdbg.views`: `report_text` has `text(report)`."""
    return importlib.import_module(f"jaxdbg.views.{name}")
