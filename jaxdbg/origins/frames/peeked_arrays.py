"""The array of a name in a call: over the iterations of the loops that it is in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.jaxprs.evaluate import is_key
from jaxdbg.origins.frames.inside import axes_of_batch
from jaxdbg.origins.frames.peeked_values import Met

SOME = "iterations that bind it"
"""What is iterated over where not each iteration of each loop binds a name."""

Loops = tuple[tuple[str, int], ...]


class PeekedArray(np.ndarray[Any, np.dtype[Any]]):
    """An array of NumPy that knows what it is.

    Attributes:
        name: of the variable.
        loops: the leading axes that are iterations of loops, from outside in: the kind
            of each loop, and how many iterations.
        batch_axes: the axes that vmap has put in.
    """

    name: str = ""
    loops: Loops = ()
    batch_axes: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, array: Any, name: str, loops: Loops = (), batch_axes: tuple[int, ...] = ()
    ) -> Self:
        """An array with what is known of it."""
        made = np.asarray(array).view(cls)
        made.name, made.loops, made.batch_axes = name, loops, batch_axes
        return made

    def figure(self) -> Any:
        """The elements, as a picture of matplotlib.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from jaxdbg.views.figures.elements import elements

        return elements(self.name, np.asarray(self))


@dataclass(slots=True)
class Iterations:
    """The values of a marker in the iterations of the loops around it."""

    met: list[Met] = field(default_factory=list)

    def array(self, name: str) -> Any:
        """All of them as one array; of keys of random numbers an array of JAX."""
        ordered, loops = in_rows(self.met)
        lengths = tuple(n for _, n in loops)
        values = [m.value for m in ordered]
        if is_key(values[0]):
            return jnp.stack(values).reshape((*lengths, *values[0].shape))
        whole = np.stack([np.asarray(v) for v in values])
        axes = (a + len(loops) for a in axes_of_batch(ordered[0].dims))
        shaped = whole.reshape((*lengths, *whole.shape[1:]))
        return PeekedArray.of(shaped, name, loops, tuple(axes))


def in_rows(met: Sequence[Met]) -> tuple[list[Met], Loops]:
    """Values of one marker in the order of the rows of its loops, and these loops.

    Where not each iteration of each loop is among them, these are one axis.
    """
    ordered = sorted(met, key=lambda m: tuple(row for _, row, _ in m.loop))
    if not ordered[0].loop:
        return ordered, ()
    columns = list(zip(*(m.loop for m in ordered), strict=True))
    loops = tuple((c[0][0], len({row for _, row, _ in c})) for c in columns)
    lengths = [c[0][2] for c in columns]
    is_whole = math.prod(n for _, n in loops) == len(ordered) and all(
        known in (None, n) for (_, n), known in zip(loops, lengths, strict=True)
    )
    return ordered, loops if is_whole else ((SOME, len(ordered)),)
