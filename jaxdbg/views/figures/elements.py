"""The elements of an array as a picture: its last two axes, one part beside the other.

What is NaN or infinite has the colour of what is bad, whatever the range of the rest.
"""

from __future__ import annotations

from typing import Any

from matplotlib import colormaps

from jaxdbg.views.colours import BAD, INK
from jaxdbg.views.figures.drawing import Drawing, quiet

MOST = 256
"""Elements that are drawn along an axis; of more, each second, third, ..."""


def elements(name: str, array: Any) -> Drawing:
    """The elements of an array of NumPy, small ones dark and large ones light."""
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    down, across = (-(-n // MOST) or 1 for n in rows.shape)
    shown = rows[::down, ::across]
    numbers = abs(shown) if shown.dtype.kind == "c" else shown.astype("float64")
    figure = Drawing(6, 4)
    axes: Any = figure.subplots()
    quiet(axes)
    every = f", each {down} x {across}" if down * across > 1 else ""
    shape = ",".join(map(str, array.shape))
    title = f"{name} {array.dtype}[{shape}]{every}"
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    colours = colormaps["cividis"].with_extremes(bad=BAD)
    image = axes.imshow(numbers, colours, aspect="auto", interpolation="nearest")
    figure.colorbar(image)
    return figure
