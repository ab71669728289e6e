"""The IPython extension; the only folder that imports IPython.

It translates: it parses, calls and displays. A file holds the magics of one subject, as
one class; the classes are listed here.
"""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from jaxdbg.notebook.base import Installed
from jaxdbg.notebook.checked import Checked
from jaxdbg.notebook.compiles import Compiles
from jaxdbg.notebook.devices import Devices
from jaxdbg.notebook.finite import Finite
from jaxdbg.notebook.origin import Origins
from jaxdbg.notebook.panel import ShowPanel
from jaxdbg.notebook.peek import Peeks
from jaxdbg.notebook.rewind import Rewind

ALL: tuple[type[Installed], ...] = (
    Checked,
    Compiles,
    Finite,
    Origins,
    Peeks,
    ShowPanel,
    Rewind,
    Devices,
)
"""The magics of the extension, in the order they are installed."""


def load(ip: InteractiveShell) -> None:
    """Installs the magics and begins to record; a second time changes nothing."""
    for kind in ALL:
        if _installed(ip, kind) is None:
            kind(ip).install()


def unload(ip: InteractiveShell) -> None:
    """Removes everything that `load` installed."""
    for kind in reversed(ALL):
        if magics := _installed(ip, kind):
            magics.uninstall()


def _installed(ip: InteractiveShell, kind: type[Installed]) -> Installed | None:
    found = ip.magics_manager.registry.get(kind.__name__)
    return found if isinstance(found, kind) else None
