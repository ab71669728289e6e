"""On which devices of a mesh a value was born."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from jaxdbg.jax_internals.jaxprs.forms import shape_of
from jaxdbg.jax_internals.jaxprs.higher_order import Sharded, structure
from jaxdbg.jax_internals.jaxprs.shard_map import unsharded
from jaxdbg.jax_internals.mapped_axes import Axes
from jaxdbg.origins.found import Birth
from jaxdbg.origins.location.on_a_mesh import as_written, mapped_at, way_inside
from jaxdbg.trees.holder import in_words

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import ClosedJaxpr, JaxprEqn


def is_mapped(birth: Birth) -> bool:
    """Whether the operation is inside of `shard_map` or `pmap`."""
    return mapped_at(birth.site) is not None


def of_birth(birth: Birth, args: Sequence[Any]) -> str:
    """The devices on which a value inside of `shard_map` or `pmap` was born, in words.

    Empty where each device has it, and where there is no telling.

    Arguments:
        birth: the operation.
        args: of the call.
    """
    at = mapped_at(birth.site)
    if at is None or birth.element is None:
        return ""
    eqn = birth.site.outer[at]
    sharded = cast("Sharded", structure(eqn))
    axes = _axes(birth, eqn, sharded)
    mesh = _mesh(eqn, args)
    if axes is None or mesh is None:
        return ""
    if not sharded.manual >= {n for n, size in mesh.shape.items() if size > 1}:
        return ""  # along the other axes the compiler has the choice
    here = {a: i for a, i in zip(axes, birth.element, strict=True) if a is not None}
    index = tuple(here.get(name, slice(None)) for name in mesh.axis_names)
    return in_words(list(np.ravel(mesh.devices[index]))) if here else ""


def of_shard(jaxpr: ClosedJaxpr, args: Sequence[Any], shard: int | None) -> str:
    """The device of a shard in a call with one `shard_map` or `pmap`, in words.

    Arguments:
        jaxpr, args: of the call.
        shard: which of the shards; None for none.
    """
    if shard is None:
        return ""
    maps = [e for e in jaxpr.eqns if isinstance(structure(e), Sharded)]
    mesh = _mesh(maps[0], args) if len(maps) == 1 else None
    if mesh is None or mesh.devices.size <= shard:
        return ""
    return in_words([mesh.devices.flat[shard]])


def _axes(birth: Birth, eqn: JaxprEqn, sharded: Sharded) -> Axes | None:
    """The axes of the mesh among the dimensions of the result that was born."""
    shape = np.shape(birth.result)
    path = way_inside(birth.site)
    if path is None:
        return None
    known = unsharded(eqn, sharded).axes.get(path)
    if known is None:
        own = as_written(birth.site).eqn.outvars
        known = [_only(shape, shape_of(v), sharded.sizes) for v in own]
    fitting = {a for a in known if a is not None and _fits(a, shape, sharded.sizes)}
    return fitting.pop() if len(fitting) == 1 else None


def _fits(axes: Axes, shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
    return len(axes) == len(shape) and all(
        name is None or sizes[name] == n for name, n in zip(axes, shape, strict=True)
    )


def _only(
    shape: tuple[int, ...], own: tuple[int, ...], sizes: dict[str, int]
) -> Axes | None:
    """The one way in which axes of a mesh can be among the dimensions of an array."""
    ways = set(itertools.islice(_ways(shape, own, sizes), 2))
    return ways.pop() if len(ways) == 1 else None


def _ways(
    shape: tuple[int, ...], own: tuple[int, ...], sizes: dict[str, int]
) -> Iterator[Axes]:
    for names in itertools.permutations(sizes, len(shape) - len(own)):
        for at in itertools.combinations(range(len(shape)), len(names)):
            left = tuple(n for i, n in enumerate(shape) if i not in at)
            named = dict(zip(at, names, strict=True))
            axes = tuple(named.get(i) for i in range(len(shape)))
            if left == own and _fits(axes, shape, sizes):
                yield axes


def _mesh(eqn: JaxprEqn, args: Sequence[Any]) -> jax.sharding.Mesh | None:
    """The mesh with its devices; an abstract one has them where the arguments lie."""
    mesh = eqn.params["mesh"]
    if isinstance(mesh, jax.sharding.Mesh):
        return mesh
    for arg in args:
        found = getattr(getattr(arg, "sharding", None), "mesh", None)
        if isinstance(found, jax.sharding.Mesh) and found.abstract_mesh == mesh:
            return found
    return None
