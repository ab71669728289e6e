"""The causes of a retrace: one table of what is known of each.

A new cause is an entry here, and the code that detects it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetraceCause:
    """What is known of a cause.

    Attributes:
        name: short name, as in `Reason.cause`.
        avoidable: whether a small change of the program avoids it; None where that
            depends on the program.
        fix: the shortest correct fix; `{name}` stands for the argument, `{dtype}` for
            its dtype before. Empty for a compilation that had to be.
        described: how it is described where before and after say nothing; by default
            its name.
    """

    name: str
    avoidable: bool | None
    fix: str = ""
    described: str = ""


_ONE_DTYPE = "make it an array of one dtype: jnp.asarray({name}, jnp.{dtype})"

FIXES = {
    "static field": (
        "{name} is static in its pytree, so that each value of it is a program of its "
        "own: hold what changes as an array, in a leaf"
    ),
    "optimizer": "make the optimizer once, outside the loop, and pass that one object",
    "one object": "make it once, outside the loop, and pass that one object",
    "growing list": (
        "stack it into one array of its final length (jnp.stack, padded) and mask what "
        "is not there yet"
    ),
    "keys": "give it the same keys and arguments in each call",
    "restored": (
        "restore it into a tree of the same type, as "
        "flax.serialization.from_state_dict does with a target"
    ),
    "frozen": (
        "give it one type in each call: flax.core.freeze({name}), or flax.core.unfreeze"
    ),
    "container": "give it the same type of container in each call",
    "None": "give it the same tree in each call: zeros (or ones) in place of None",
    "keys of random": (
        "use one kind of key in each call: jax.random.key(seed), or "
        "jax.random.wrap_key_data of a raw one"
    ),
    "bool": "give it one dtype in each call: bool, or a number",
    "one dtype": _ONE_DTYPE,
    "lowered type": (
        "lower it for what it is called with: "
        "jax.ShapeDtypeStruct(shape, jnp.{after_dtype})"
    ),
    "lowered sharding": (
        "lower it for what it is called with: "
        "jax.ShapeDtypeStruct(shape, dtype, sharding=x.sharding)"
    ),
    "growing slice": (
        "give it its final size from the start and mask the rest (a sum over x[:i] is "
        "jnp.cumsum(x)[i - 1])"
    ),
    "growing result": "make it once, at its final length, and mask the rest",
    "pass it": (
        "make and jit the function once, outside the loop, and pass {captured} as an "
        "argument"
    ),
    "pass it as static": (
        "make and jit the function once, outside the loop, and pass {captured} as an "
        "argument; what has to be a Python value goes into static_argnames"
    ),
    "new body": (
        "define it once, with what changes among its operands, or jit what is around "
        "it, and call that"
    ),
    "body of a library": (
        "jit what is around it, and call that: the library makes it anew in each call"
    ),
    "none": "",
}
"""Fixes for what changed, where the cause alone does not say: by a name for it."""

_CAUSES = (
    RetraceCause(
        "shape", None, "pad it to few sizes: each shape is a program of its own"
    ),
    # A guess, which `Reason.note` calls one: only the first axis became smaller.
    RetraceCause(
        "partial batch",
        True,
        "drop the last batch, or pad it to the full size and mask what was added",
    ),
    RetraceCause("dtype", True, _ONE_DTYPE),
    RetraceCause("weak type", True, _ONE_DTYPE),
    RetraceCause("Python scalar", True, _ONE_DTYPE),
    RetraceCause(
        "static value",
        None,
        "pass it as an array, if it may be one: what is in static_argnames (or "
        "static_argnums) compiles once for each value",
    ),
    RetraceCause(
        "static identity",
        True,
        "use one object, or compare it by what it holds: @dataclass(frozen=True)",
    ),
    RetraceCause(
        "pytree",
        True,
        "give it the same keys and types in each call: zeros in place of None",
    ),
    RetraceCause(
        "call form", True, "pass it in one way in all calls: by position or by name"
    ),
    RetraceCause(
        "new function",
        True,
        "make and jit the function once, outside the loop, and pass what changes as "
        "an argument",
        described="a new function object of the same code",
    ),
    RetraceCause("cell run again", False, described="its cell was run again"),
    RetraceCause("config", None, "set it once, before the first call"),
    RetraceCause("mesh", None, "enter the mesh once, around all calls"),
    RetraceCause(
        "sharding",
        True,
        "place it before the first call too: jax.device_put({name}, sharding)",
    ),
    RetraceCause(
        "committed",
        True,
        "place it before the first call too: jax.device_put({name}, device)",
    ),
    RetraceCause(
        "device", None, "keep it on one device: jax.device_put({name}, device)"
    ),
    RetraceCause(
        "jit options",
        True,
        "jit the function once, with one set of options, and call that",
    ),
    RetraceCause(
        "NNX structure",
        True,
        "make every variable before the first call (what sow adds, too, or nnx.pop it "
        "after each), and nnx.split and nnx.merge the module in one way",
    ),
    RetraceCause(
        "NNX attribute",
        False,
        "give train and eval a jitted function each, with a model.eval() view",
    ),
    RetraceCause(
        "cleared cache",
        None,
        "leave out jax.clear_caches(), or what else has made JAX forget it",
        described="JAX had forgotten it",
    ),
    RetraceCause("failed before", False, described="an earlier attempt raised"),
    # A function made again inside another that was traced again.
    RetraceCause(
        "nested", False, described="another function that calls it was traced"
    ),
    RetraceCause(
        "eager loop",
        True,
        "collect in a list and jnp.stack it once, or fill an array with x.at[i].set",
    ),
    # It makes no function run again: only a `Remark` has it.
    RetraceCause(
        "stale closure", None, "pass it as an argument: what is closed over is frozen"
    ),
    # Nor does this: only a `Remark` has it.
    RetraceCause(
        "replaced body", None, "jax.clear_caches() makes JAX trace the new body"
    ),
    RetraceCause("unknown", None, described="the reason is not known"),
)

CAUSES = {cause.name: cause for cause in _CAUSES}
"""By name.

A static argument that cannot be hashed is no cause: JAX refuses the call before any
phase begins, and says so itself.
"""

GROWS = "grows with each call"
"""How the note of such a shape begins."""

PAD_TO = (
    "pad it to a few lengths and mask the rest: {count} fit ({lengths}), with "
    "{padding} padding if each length is as frequent"
)
"""The fix for an argument of many lengths."""

GROWING_SHAPE = RetraceCause(
    "shape",
    True,
    "give it its final size from the start and mask the rest, or pad it to few sizes "
    "(powers of two)",
)
"""A shape of which one axis grows with each call."""

CHANGING_NUMBER = RetraceCause(
    "NNX attribute",
    True,
    "keep it in a variable, nnx.Variable(jnp.asarray(...)): a plain attribute is a "
    "part of the program",
)
"""An attribute of a module that is not one of two, as train and eval are."""


def cause_named(name: str) -> RetraceCause:
    """The cause; what a later version may have named is unknown here."""
    return CAUSES.get(name, RetraceCause(name, None, described=name))
