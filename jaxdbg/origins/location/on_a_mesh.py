"""An equation inside a map over devices, as the program has it.

What `shard_map` maps is evaluated as another program, on whole arrays. Where it was
written is known of the equation that another is made of.
"""

from __future__ import annotations

from dataclasses import replace

from jaxdbg.jax_internals.jaxprs.higher_order import Loop, Sharded, bodies, structure
from jaxdbg.jax_internals.jaxprs.shard_map import Path, path_in_body
from jaxdbg.jax_internals.jaxprs.site import Site


def as_written(site: Site) -> Site:
    """The site of the equation of the program; the same outside of `shard_map`."""
    depth = mapped_at(site)
    path = None if depth is None else way_inside(site)
    if depth is None or path is None:
        return site
    outer, jaxpr = list(site.outer[: depth + 1]), bodies(site.outer[depth])[0].jaxpr
    for n, which in path:
        eqn = jaxpr.eqns[n]
        outer.append(eqn)
        inside = bodies(eqn)
        if inside:
            jaxpr = inside[which].jaxpr
    *outer, eqn = outer
    loops = sum(isinstance(structure(o), Loop) for o in outer)
    return replace(
        site,
        eqn=eqn,
        outer=tuple(outer),
        path=(*site.path[: depth + 1], *path),
        loop=site.loop[:loops],
    )


def mapped_at(site: Site) -> int | None:
    """The index of the `shard_map` among the equations around a site, or None."""
    inner = list(map(structure, site.outer))
    found = [i for i, around in enumerate(inner) if isinstance(around, Sharded)]
    return found[0] if found else None


def way_inside(site: Site) -> Path | None:
    """From the body of the `shard_map` around a site to the equation of the program."""
    paths = map(path_in_body, (site.eqn, *reversed(site.outer)))
    return next(filter(None, paths), None)
