"""Facts about JAX's primitives that more than one part of jaxdbg rests on.

A primitive that is new to JAX, or that behaves like one of these, is added here.
"""

from __future__ import annotations

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "composite": "jaxpr",
    "custom_vmap_call": "call",
    "eval_jaxpr": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
}
"""Primitives that call one jaxpr with all their operands, and its parameter."""

ON_A_MESH = frozenset(
    {"pvary", "pcast", "reduced_vary_cast", "vary_unreduced_cast", "pbroadcast"}
)
"""Primitives that only say on which devices of a mesh a value may differ."""

PLACES = frozenset(
    {
        "layout_constraint",
        "mesh_cast",
        "relayout",
        "reshard",
        "sharding_constraint",
        "with_memory_space_constraint",
    }
)
"""Primitives that only say where the shards of a value lie, and in what layout."""

KEEPS = PLACES | {
    "copy",
    "copy_p",
    "device_put",
    "imag",
    "neg",
    "optimization_barrier",
    "real",
    "stop_gradient",
}
"""Primitives that keep each element in its place, but for its sign or one part."""

REARRANGES = frozenset(
    {
        "broadcast_in_dim",
        "expand_dims",
        "reshape",
        "rev",
        "slice",
        "split",
        "squeeze",
        "transpose",
    }
)
"""Primitives whose result holds elements of one array in other places."""

SELECTS = frozenset(
    {"concatenate", "dynamic_slice", "dynamic_update_slice", "select_n"}
)
"""Primitives whose result holds elements of one of some arrays, or from an index."""

MOVES = KEEPS | REARRANGES | SELECTS
"""Primitives that only move values: what is non-finite in a result was so before."""

ROUNDS = frozenset({"convert_element_type", "reduce_precision"})
"""Primitives that give each element in another type, and may overflow."""

MOVES_ONE = ROUNDS | (KEEPS | REARRANGES) - {
    "device_put",
    "imag",
    "real",
    "split",
}
"""Primitives of one operand and one result that holds its values, but for a sign."""

NO_ARITHMETIC = MOVES | {"iota", "name", "pad"}
"""Primitives whose results no rounding has touched."""

PLACES_INF = frozenset(
    {
        "argmax",
        "argmin",
        "bitcast_convert_type",
        "cummax",
        "cummin",
        "iota",
        "reduce_max",
        "reduce_min",
        "reduce_window_max",
        "reduce_window_min",
        "rng_bit_generator",
        "random_bits",
        # What it fills in was asked for; a NaN is what jnp.take gives for an index
        # that is out of range.
        "gather",
    }
)
"""Primitives that may put an Inf where there was none, without any arithmetic."""

PLACES_NAN = frozenset({"bitcast_convert_type", "rng_bit_generator"})
"""Primitives that may put a NaN, too: they make values from bits."""

PRODUCTS = frozenset({"mul", "div", "dot_general", "conv_general_dilated"})
"""Primitives that multiply elements of one operand by those of the other."""

ABSORBS = (
    ROUNDS
    | REARRANGES
    | SELECTS
    | PLACES
    | {
        "add",
        "add_any",
        "cbrt",
        "conv_general_dilated",
        "copy",
        "cos",
        "cosh",
        "cumprod",
        "cumsum",
        "div",
        "dot_general",
        "exp",
        "exp2",
        "expm1",
        "gather",
        "integer_pow",
        "log",
        "log1p",
        "logistic",
        "mul",
        "neg",
        "pad",
        "psum",
        "reduce_prod",
        "reduce_sum",
        "rsqrt",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "sub",
        "tan",
        "tanh",
    }
)
"""Primitives whose result is NaN where an operand is that it is made of."""

OPERATORS = {
    "add": "+",
    "add_any": "+",
    "div": "/",
    "dot_general": "@",
    "mul": "*",
    "pow": "**",
    "rem": "%",
    "sub": "-",
}
"""Primitives of two operands that Python has an operator for."""
