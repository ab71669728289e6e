"""What the arguments of a call are made of, by path: arrays, static values, modules."""

from __future__ import annotations

from typing import NamedTuple

from jaxdbg.jax_internals.array_types import Leaf
from jaxdbg.jax_internals.identities import Identity


class Attribute(NamedTuple):
    """What is at a path.

    Attributes:
        kind: "array", "static", "node" or "shared".
        text: what it is; of an array, what is known beside its type.
        leaf: the type of an array.
        identities: of what a static value holds that is equal only to itself.
    """

    kind: str
    text: str
    leaf: Leaf | None = None
    identities: tuple[Identity, ...] = ()

    @property
    def shown(self) -> tuple[str, str, Leaf | None]:
        """What text can show of it: all but what is equal only to itself."""
        return self.kind, self.text, self.leaf

    def __str__(self) -> str:
        return self.text if self.leaf is None else str(self.leaf)
