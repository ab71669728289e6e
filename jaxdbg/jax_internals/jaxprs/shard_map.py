"""What runs on each device of a mesh, as one program on whole arrays.

`shard_map` runs its body once per device. `vmap` with the names of the mesh's axes does
the same on one device: collectives become sums over an axis. So a search can look into
it; inside, arrays have the axes of the mesh in front.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxdbg.jax_internals.jaxprs.evaluate import (
    Frame,
    Visitor,
    Wanted,
    bind_equation,
    evaluate,
)
from jaxdbg.jax_internals.jaxprs.forms import in_avals, shape_of
from jaxdbg.jax_internals.jaxprs.higher_order import (
    Body,
    Cond,
    Loop,
    Sharded,
)
from jaxdbg.jax_internals.jaxprs.rebuild import rebuilt_cond, rebuilt_loop
from jaxdbg.jax_internals.mapped_axes import Axes, mapped_axes
from jaxdbg.jax_internals.names import as_written, is_of_axis
from jaxdbg.jax_internals.primitives import ON_A_MESH, PLACES
from jaxdbg.jax_internals.source_info import scopes
from jaxdbg.jax_internals.without_mesh import without_mesh

if TYPE_CHECKING:
    from jaxdbg.jax_internals.types import Atom, ClosedJaxpr, JaxprEqn

_Spec = list[tuple[str, ...]]
"""For each dimension of an array, the axes of the mesh that split it."""

Path = tuple[tuple[int, int], ...]
"""The way to an equation from the body of a `shard_map`, as in `Site.path`."""

_SCOPE = "jaxdbg:on_a_mesh:"
"""How the scope begins that says of which equation of the body another one is made."""


@dataclass(frozen=True, slots=True)
class Unsharded:
    """A `shard_map` as a program on whole arrays.

    Attributes:
        jaxpr: closed; it does on whole arrays what the equation does.
        axes: by the way to an equation of the body, for each of its results the axes
            of the mesh among its dimensions in `jaxpr`; not of those in loops.
    """

    jaxpr: ClosedJaxpr
    axes: dict[Path, list[Axes | None]]


def unsharded(eqn: JaxprEqn, sharded: Sharded) -> Unsharded:
    """What a `shard_map` equation does, on whole arrays.

    Raises:
        NotImplementedError: `vmap` has no rule for an operation in the body.
    """
    sizes = sharded.sizes
    in_specs = list(map(_spec, sharded.in_axes, eqn.invars))
    out_specs = list(map(_spec, sharded.out_axes, eqn.outvars))
    axes: dict[Path, list[Axes | None]] = {}

    def on_a_device(*xs: Any) -> list[Any]:
        return evaluate(sharded.body.jaxpr, xs, _OnADevice(axes))

    def whole(*args: Any) -> list[Any]:
        parts = [_split(x, s, sizes) for x, s in zip(args, in_specs, strict=True)]
        each: Callable[..., list[Any]] = on_a_device
        for name in reversed(sizes):
            mapped = tuple(0 if _mentions(s, name) else None for s in in_specs)
            each = jax.vmap(each, mapped, axis_name=name, axis_size=sizes[name])
        outs = each(*parts)
        return [_joined(o, s, sizes) for o, s in zip(outs, out_specs, strict=True)]

    shapes = [_abstract(v.aval) for v in eqn.invars]
    with without_mesh():
        return Unsharded(jax.make_jaxpr(whole)(*shapes), axes)


def path_in_body(eqn: JaxprEqn) -> Path | None:
    """The way to the equation of the body that another was made of by `unsharded`."""
    said = [s for s in scopes(eqn) if s.startswith(_SCOPE)]
    if not said:
        return None
    return tuple((int(n), int(which)) for n, which in _STEP.findall(said[-1]))


_STEP = re.compile(r"(\d+)\.(\d+)")


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
    """Evaluates the body of a `shard_map`, or one inside of it, under vmap.

    Arguments:
        axes: filled in, see `Unsharded`; None where no vmap is seen.
        above: the way to this body.
    """

    def __init__(self, axes: dict[Path, list[Axes | None]] | None, above: Path = ()):
        self._axes = axes
        self._above = above

    def bind(self, frame: Frame, n: int, ins: list[Any]) -> list[Any]:
        eqn = frame.eqns[n]
        if eqn.primitive.name in ON_A_MESH | PLACES:
            return ins
        with self._scope(frame, n):
            if eqn.primitive.name == "psum_invariant":
                total: Any = jax.lax.psum
                outs = [total(ins[0], eqn.params["axes"])]
            else:
                outs = bind_equation(eqn, ins, in_context=False)
        if self._axes is not None:
            self._axes[self._path(frame, n)] = list(map(mapped_axes, outs))
        return outs

    def cond(
        self, frame: Frame, n: int, inner: Cond, ins: list[Any], wanted: Wanted
    ) -> list[Any]:
        bodies = enumerate(inner.bodies)
        paths = [self._path(frame, n, which) for which, _ in bodies]
        pairs = zip(inner.bodies, paths, strict=True)
        branches = [_inside(branch, path) for branch, path in pairs]
        with self._scope(frame, n):
            return rebuilt_cond(ins, branches)

    def loop(self, frame: Frame, n: int, inner: Loop, ins: list[Any]) -> list[Any]:
        if inner.length == 0 or not all(map(is_of_axis, frame.eqns[n].effects)):
            return self.bind(frame, n, ins)
        step = _inside(inner.step, self._path(frame, n, len(inner.bodies) - 1))
        never = jnp.zeros((), bool)
        with self._scope(frame, n):
            outs, _ = rebuilt_loop(
                _with_test(inner), ins, lambda values: (step(*values), never), never
            )
        return outs

    def _path(self, frame: Frame, n: int, which: int = 0) -> Path:
        return (*self._above, *frame.path, (n, which))

    @contextmanager
    def _scope(self, frame: Frame, n: int) -> Iterator[None]:
        path = "-".join(f"{n}.{which}" for n, which in self._path(frame, n))
        with as_written(frame.eqns[n]), jax.named_scope(_SCOPE + path):
            yield


def _inside(body: Body, path: Path) -> Callable[..., list[Any]]:
    """A body inside of that of a `shard_map`, as a function."""
    return lambda *values: evaluate(body.jaxpr, values, _OnADevice(None, path))


def _with_test(loop: Loop) -> Loop:
    """A loop whose condition has none of the primitives that need a mesh."""
    if loop.test is None:
        return loop
    avals = in_avals(loop.test.jaxpr)
    made = jax.make_jaxpr(_inside(loop.test, ()))(*map(_abstract, avals))
    return replace(loop, test=Body(made, loop.test.operands))


def _abstract(aval: Any) -> Any:
    new: Any = jax.ShapeDtypeStruct
    return new(aval.shape, aval.dtype)
