"""What the pictures have in common: no state of pyplot's, and colours for all eyes."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

from jaxdbg.views.colours import INK


class Drawing(Figure):
    """A figure on a transparent ground, which shows itself in a notebook.

    It is not one of pyplot's: nothing has to close it, and no cell shows it twice.
    """

    def __init__(self, width: float, height: float):
        super().__init__(
            figsize=(width, height), facecolor="none", layout="constrained"
        )

    def png(self, dpi: int) -> bytes:
        """The picture as a file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png(dpi=144)


def quiet(axes: Any) -> None:
    """Takes the frame away, and draws what is left in `INK`."""
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=INK, length=0)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(INK)
