"""What runs on each device of a mesh, as one program on whole arrays.

`shard_map` runs its body once per device. `vmap` with the names of the mesh's axes does
the same on one device: collectives become sums over an axis. So a search can look into
it; inside, arrays have the axes of the mesh in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.jaxprs import BODIES, bind_equation, evaluate
from jaxdbg.jax_internals.names import as_written

_SAME = ("pvary", "pcast", "reduced_vary_cast", "vary_unreduced_cast", "pbroadcast")
"""Primitives that only say on which devices a value may differ."""


def unsharded(eqn: Any) -> Any:
    """The closed jaxpr that does on whole arrays what a `shard_map` equation does.

    Raises:
        NotImplementedError: `vmap` has no rule for an operation in the body.
    """
    sizes = dict(eqn.params["mesh"].shape)
    in_specs = [_axes_of(s, v) for s, v in _specs(eqn, "in_specs", eqn.invars)]
    out_specs = [_axes_of(s, v) for s, v in _specs(eqn, "out_specs", eqn.outvars)]

    def on_a_device(*xs: Any) -> list[Any]:
        return evaluate(eqn.params["jaxpr"], xs, _equation)

    def whole(*args: Any) -> list[Any]:
        parts = [_split(x, s, sizes) for x, s in zip(args, in_specs, strict=True)]
        each: Callable[..., list[Any]] = on_a_device
        for name in reversed(sizes):
            mapped = tuple(0 if _mentions(s, name) else None for s in in_specs)
            each = jax.vmap(each, mapped, axis_name=name, axis_size=sizes[name])
        outs = each(*parts)
        return [_joined(o, s, sizes) for o, s in zip(outs, out_specs, strict=True)]

    struct: Any = jax.ShapeDtypeStruct
    shapes = [struct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    return jax.make_jaxpr(whole)(*shapes)


_Spec = list[tuple[str, ...]]
"""For each dimension of an array, the axes of the mesh that split it."""


def _specs(eqn: Any, name: str, variables: Any) -> Any:
    return zip(eqn.params[name], variables, strict=True)


def _axes_of(spec: Any, variable: Any) -> _Spec:
    per_dim = [() if a is None else a if isinstance(a, tuple) else (a,) for a in spec]
    return [*per_dim, *[()] * (len(variable.aval.shape) - len(per_dim))]


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


def _equation(eqn: Any, operands: Sequence[Any]) -> list[Any]:
    name = eqn.primitive.name
    if name in BODIES:
        return evaluate(eqn.params[BODIES[name]], operands, _equation)
    if name in _SAME:
        return list(operands)
    with as_written(eqn):
        if name == "psum_invariant":
            total: Any = jax.lax.psum
            return [total(operands[0], eqn.params["axes"])]
        return bind_equation(eqn, list(operands), in_context=False)
