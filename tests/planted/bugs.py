"""The bugs, and what is right to advise on each.

What is divided by its largest value divides by 0 where it is 0 altogether.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """What an expression `{x}` is rewritten to.

    Attributes:
        text: the new expression.
        advice: a pattern of what helps, looked for in the cause and the advice.
        verdict: what its value is: "born" there, or "placed".
    """

    text: str
    advice: str
    verdict: str = "born"


BUGS: dict[str, Bug] = {
    "log": Bug("jnp.log({x})", "log (of|at) (0|a negative)"),
    "log of 0": Bug("jnp.log({x} - {x}.min())", "log (of|at) 0"),
    "sqrt": Bug("jnp.sqrt({x})", "below 0|sqrt at 0"),
    "sqrt at 0": Bug("jnp.sqrt(jnp.maximum({x}, 0))", "sqrt at 0"),
    "division": Bug("({x} / ({x} - {x}.max()))", "division by zero"),
    "0 / 0": Bug("(jnp.maximum({x}, 0) / jnp.maximum({x}, 0))", "division by zero"),
    "exp": Bug("jnp.exp(1e5 * {x})", "overflow of exp"),
    "softmax by hand": Bug(
        "(jnp.exp(1e5 * {x}) / jnp.exp(1e5 * {x}).sum())",
        "overflow of exp|exp that underflowed",
    ),
    "float16": Bug(
        "({x}.astype(jnp.float16) * 60000 * 60000).astype({x}.dtype)",
        "overflow of float16",
    ),
    "scale": Bug("({x} * 1e38 * 1e38)", "overflow of float32"),
    "norm": Bug("({x} + jnp.linalg.norm({x} - {x}))", "norm at 0"),
    "arccos": Bug("jnp.arccos({x} / jnp.abs({x}).max())", "arccos|division by zero"),
    "arctanh": Bug("jnp.arctanh({x} / jnp.abs({x}).max())", "arctanh|division by zero"),
    "power": Bug("(({x}) ** 0.3)", "power of a negative|negative power"),
    "where": Bug(
        "jnp.where({x} > 0, jnp.log(jnp.maximum({x}, 0)), {x})", "where-gradient"
    ),
    "std": Bug("(({x} - {x}) / ({x} - {x}).std())", "variance of 0|std at"),
    "mask": Bug(
        "jax.nn.softmax(jnp.where({x} > {x}.max(), {x}, -jnp.inf))",
        "masked altogether",
    ),
    "placed": Bug(
        "jnp.where({x} == {x}.max(), jnp.nan, {x})", "leave it out", "placed"
    ),
    "literal": Bug("({x} * jnp.nan)", "leave it out", "placed"),
    "gammaln": Bug(
        "jax.scipy.special.gammaln(jnp.floor(-jnp.abs({x})))", "pole of gammaln"
    ),
    "erfinv": Bug(
        "jax.scipy.special.erfinv({x} / jnp.abs({x}).max())", "erfinv|division by zero"
    ),
    "arctan2": Bug("({x} + jnp.arctan2({x} - {x}, {x} - {x}))", "arctan2"),
    "product": Bug(
        "jnp.log(jnp.cumprod(jnp.abs({x}) * 1e-9, 0) * 1e-30)",
        "underflow|log (of|at) 0",
    ),
    "logit": Bug(
        "jax.scipy.special.logit(jnp.abs({x}) / jnp.abs({x}).max())", "logit|clip"
    ),
}
EPS = Bug("{x}", "variance of 0|division by zero|sqrt at 0|log of 0|eps")
