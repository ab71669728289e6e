"""What runs on each device of a mesh, as one program on whole arrays.

`shard_map` runs its body once per device. `vmap` with the names of the mesh's axes does
the same on one device: collectives become sums over an axis. So a search can look into
it; inside, arrays have the axes of the mesh in front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.jaxprs.evaluate import (
    Frame,
    Visitor,
    bind_equation,
    evaluate,
)
from jaxdbg.jax_internals.jaxprs.forms import shape_of
from jaxdbg.jax_internals.jaxprs.higher_order import Call, HigherOrder, Sharded
from jaxdbg.jax_internals.names import as_written
from jaxdbg.jax_internals.primitives import ON_A_MESH

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Atom, ClosedJaxpr, JaxprEqn

_Spec = list[tuple[str, ...]]
"""For each dimension of an array, the axes of the mesh that split it."""


def unsharded(eqn: JaxprEqn, sharded: Sharded) -> ClosedJaxpr:
    """The closed jaxpr that does on whole arrays what a `shard_map` equation does.

    Raises:
        NotImplementedError: `vmap` has no rule for an operation in the body.
    """
    sizes = sharded.sizes
    in_specs = list(map(_spec, sharded.in_axes, eqn.invars))
    out_specs = list(map(_spec, sharded.out_axes, eqn.outvars))

    def on_a_device(*xs: Any) -> list[Any]:
        return evaluate(sharded.body.jaxpr, xs, _OnADevice())

    def whole(*args: Any) -> list[Any]:
        parts = [_split(x, s, sizes) for x, s in zip(args, in_specs, strict=True)]
        each: Callable[..., list[Any]] = on_a_device
        for name in reversed(sizes):
            mapped = tuple(0 if _mentions(s, name) else None for s in in_specs)
            each = jax.vmap(each, mapped, axis_name=name, axis_size=sizes[name])
        outs = each(*parts)
        return [_joined(o, s, sizes) for o, s in zip(outs, out_specs, strict=True)]

    struct: Any = jax.ShapeDtypeStruct
    avals: list[Any] = [v.aval for v in eqn.invars]
    shapes = [struct(aval.shape, aval.dtype) for aval in avals]
    return jax.make_jaxpr(whole)(*shapes)


def _spec(axes: tuple[tuple[str, ...], ...], variable: Atom) -> _Spec:
    return [*axes, *[()] * (len(shape_of(variable)) - len(axes))]


def _mentions(spec: _Spec, name: str) -> bool:
    return any(name in axes for axes in spec)


def _split(x: Any, spec: _Spec, sizes: dict[str, int]) -> Any:
    """With the axes that split it in front, in the order of the mesh."""
    shape: list[int] = []
    at: dict[str, int] = {}
    for size, axes in zip(x.shape, spec, strict=True):
        for name in axes:
            at[name] = len(shape)
            shape.append(sizes[name])
            size //= sizes[name]
        shape.append(size)
    front = [at[name] for name in sizes if name in at]
    return jnp.moveaxis(x.reshape(shape), front, range(len(front)))


def _joined(x: Any, spec: _Spec, sizes: dict[str, int]) -> Any:
    """The opposite; where an axis splits nothing all its devices have the same."""
    here = list(sizes)
    for name in [n for n in sizes if not _mentions(spec, n)]:
        x = jax.lax.index_in_dim(x, 0, here.index(name), keepdims=False)
        here.remove(name)
    order, shape = [], []
    for dim, axes in enumerate(spec):
        order += [*(here.index(name) for name in axes), len(here) + dim]
    moved = x.transpose(order)
    sizes_left = iter(moved.shape)
    for axes in spec:
        size = 1
        for _ in range(len(axes) + 1):
            size *= next(sizes_left)
        shape.append(size)
    return moved.reshape(shape)


class _OnADevice(Visitor[Any]):
    """Evaluates the body of a `shard_map` under vmap."""

    def enters(self, frame: Frame, n: int, inner: HigherOrder) -> bool:
        return isinstance(inner, Call) and super().enters(frame, n, inner)

    def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
        eqn = frame.eqns[n]
        name = eqn.primitive.name
        if name in ON_A_MESH:
            return ins
        with as_written(eqn):
            if name == "psum_invariant":
                total: Any = jax.lax.psum
                return [total(ins[0], eqn.params["axes"])]
            return bind_equation(eqn, ins, in_context=False)
