"""The classic causes of a NaN or an Inf, each with what to do about it.

A cause is recognised by the operation, by what went into it at the guilty element, by
what made that, and by the user's line. Where the last is all there is, it is likely.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jaxdbg.jax_internals import source_info as provenance
from jaxdbg.origins import numbers, producers as lineage, wider_type as wider
from jaxdbg.origins.found import Birth, Found
from jaxdbg.origins.producers import Operand as Atom


@dataclass(frozen=True, slots=True)
class Cause:
    """A classic cause.

    Attributes:
        name: short: "log of 0".
        advice: what to do about it.
        likely: whether it is likely, and not certain.
    """

    name: str
    advice: str
    likely: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known where a bad value was born.

    Attributes:
        birth: the operation.
        atoms: where each operand of it stands in the jaxpr.
        line: the user's source line, or lines.
        function: source of the user's function around it, where it can be had.
        library: name of the library's function it happened in, or empty.
        backward: whether it is in the backward pass, or made for it.
        forward_line: the forward line it differentiates, or empty.
        turns: what the value became later.
        turn_atoms: the operands of each turn, as `atoms`.
        wider: what a wider type would do, as `wider.wider` says it.
        growth: largest magnitude in the last calls, oldest first.
    """

    birth: Birth
    atoms: tuple[Atom, ...] = ()
    line: str = ""
    function: str = ""
    library: str = ""
    backward: bool = False
    forward_line: str = ""
    turns: tuple[Birth, ...] = ()
    turn_atoms: tuple[tuple[Atom, ...], ...] = ()
    wider: str = ""
    growth: tuple[float, ...] = ()

    @property
    def primitive(self) -> str:
        """JAX's name of the operation."""
        return str(self.birth.site.eqn.primitive.name)

    @property
    def dtype(self) -> str:
        """Of the result."""
        return str(getattr(self.birth.result, "dtype", ""))

    @property
    def code(self) -> str:
        """The line that counts: in the backward pass the one it differentiates."""
        return self.forward_line or self.line

    def value(self, n: int) -> float | None:
        """What operand `n` is at the guilty element; None where that is not known."""
        return _value(self.birth, n)

    def maker(self, n: int) -> lineage.Producer | None:
        """The equation that made operand `n`."""
        return lineage.producer(self.atoms[n]) if n < len(self.atoms) else None


def recognise(scene: Scene) -> Cause | None:
    """The first classic cause that fits, from the most special to the most general."""
    for rule in _RULES:
        cause = rule(scene)
        if cause is not None:
            return cause
    return None


def came_in(is_parameter: bool, made_by: str) -> Cause | None:
    """The cause of a bad value that was there before the call."""
    if is_parameter:
        since = f"; {made_by} made it" if made_by else ""
        return Cause(
            "a parameter that was already bad before the call",
            f"look at what wrote it last{since}: a checkpoint, an initialiser, or an "
            "update outside of this region",
        )
    return None


# -- what the rules ask ----------------------------------------------------------------


def _value(birth: Birth, n: int) -> float | None:
    if n >= len(birth.operands):
        return None
    array = numbers.host(birth.operands[n])
    elements = birth.operand_elements
    element = elements[n] if n < len(elements) else None
    if array is None:
        return None
    value = array[()] if array.ndim == 0 else numbers.at(array, element)
    if value is None or np.iscomplexobj(value):
        return None
    return float(value)


_DIVIDES = ("div", "rem")
_ROOTS = re.compile(
    r"\b(sqrt|rsqrt|norm|global_norm|std|hypot|safe_norm|l2_normalize|cosine_\w+)\s*\("
    r"|\*\*\s*0?\.5\b|\*\*\s*\(1 ?/ ?2\)|\.std\("
)
_SPREADS = re.compile(r"\b(std|var|variance|sigma|stddev)\b|\.(std|var)\(")
_SOFTMAX = re.compile(r"softmax|attention")
_WHERE = re.compile(r"\b(where|select|cond)\s*\(")


def _is_zero(value: float | None) -> bool:
    return value is not None and value == 0


def _is_infinite(value: float | None) -> bool:
    return value is not None and math.isinf(value)


def _ancestry(atom: Atom, depth: int = 6) -> list[lineage.Producer]:
    """The equations above an operand, nearest first, a few of them."""
    found: list[lineage.Producer] = []
    level = [atom]
    for _ in range(depth):
        steps = [s for a in level if (s := lineage.producer(a)) is not None]
        found += steps
        level = [a for s in steps for a in s.operands][:8]
        if len(found) > 32:
            break
    return found


def _comes_from(atom: Atom, *primitives: str) -> bool:
    return any(step.name in primitives for step in _ancestry(atom))


def _zero_literal_added(scene: Scene, n: int) -> bool:
    """Whether operand `n` is a sum with a literal that is 0 in its type."""
    if n >= len(scene.atoms):
        return False
    for step in _ancestry(scene.atoms[n], depth=3):
        if step.name not in ("add", "max"):
            continue
        for atom in step.operands:
            literal = lineage.source(atom).literal
            if literal is not None and np.ndim(literal) == 0 and literal == 0:
                return True
    return False


def _roots(scene: Scene) -> bool:
    """Whether this is the derivative of a square root, or of a norm."""
    if not scene.backward:
        return False
    if scene.primitive in ("div", "mul", "pow", "rsqrt", "integer_pow"):
        numerator = scene.atoms[0].literal if scene.atoms else None
        root = scene.maker(1)
        if numerator is not None and np.ndim(numerator) == 0 and numerator == 0.5:
            return root is not None and root.name == "sqrt"
        return bool(_ROOTS.search(scene.code))
    return False


# -- the rules -------------------------------------------------------------------------

_EPS_IN_HALF = (
    "the constant that is added to keep this from 0 is itself 0 in {dtype}; use a "
    "larger one ({eps}), or compute this part in float32"
)


def _eps_underflow(scene: Scene) -> Cause | None:
    n = {"div": 1, "rem": 1, "log": 0, "rsqrt": 0, "sqrt": 0}.get(scene.primitive)
    if n is None or not wider.is_half(scene.dtype) or not _is_zero(scene.value(n)):
        return None
    if not _zero_literal_added(scene, n):
        return None
    eps = "1e-3 or more" if scene.dtype == "float16" else "one it can hold"
    advice = _EPS_IN_HALF.format(dtype=scene.dtype, eps=eps)
    return Cause(f"eps that underflows in {scene.dtype}", advice)


def _where_trap(scene: Scene) -> Cause | None:
    """The gradient of a branch that `where` has thrown away."""
    for birth, atoms in [
        (scene.birth, scene.atoms),
        *zip(scene.turns, scene.turn_atoms, strict=False),
    ]:
        if birth.kind != "nan" or birth.site.eqn.primitive.name not in ("mul", "div"):
            continue
        zeros = [n for n in range(2) if _is_zero(_value(birth, n))]
        selected = any(
            n < len(atoms) and _comes_from(atoms[n], "select_n", "clamp") for n in zeros
        )
        text = bool(_WHERE.search(scene.line) or _WHERE.search(scene.function))
        in_backward = scene.backward if birth is scene.birth else _is_backward(birth)
        if selected and not text and scene.function:
            continue  # of a maximum or a clip
        if zeros and in_backward and (selected or text):
            return Cause(
                "where-gradient trap",
                "`where` throws this branch away, but its gradient is 0 times Inf, "
                "which is NaN. Make the argument safe before: "
                "`safe = jnp.where(ok, x, 1)`, then `jnp.where(ok, f(safe), 0)` (the "
                "double where)",
                likely=not selected,
            )
    return None


def _is_backward(birth: Birth) -> bool:
    eqns = [birth.site.eqn, *birth.site.outer]
    return any("transpose" in provenance.transforms(eqn) for eqn in eqns)


def _root_gradient(scene: Scene) -> Cause | None:
    if not _roots(scene):
        return None
    norm = "norm" in scene.code or "norm" in scene.library
    what = "norm" if norm else "sqrt"
    return Cause(
        f"gradient of {what} at 0",
        f"the derivative of {what} at 0 is infinite. "
        + (
            "Use `jnp.sqrt(jnp.sum(x * x) + eps)`, or optax.safe_norm"
            if norm
            else "Add a small constant under the root: `jnp.sqrt(x + eps)`"
        ),
    )


def _masked_softmax(scene: Scene) -> Cause | None:
    rows = scene.primitive == "sub" and all(
        scene.value(n) == -math.inf for n in range(2)
    )
    empty = scene.primitive == "div" and all(_is_zero(scene.value(n)) for n in range(2))
    # A line may hold a softmax and another function, in which this happened.
    said = bool(_SOFTMAX.search(scene.library or scene.code))
    maximum = rows and (
        len(scene.atoms) > 1 and _comes_from(scene.atoms[1], "reduce_max")
    )
    if not (maximum or ((rows or empty) and said)):
        return None
    return Cause(
        "softmax over a row that is masked altogether",
        "every entry of the row is -Inf, so that softmax is 0/0. Mask with a large "
        "negative number (`jnp.finfo(x.dtype).min`), or let a row without a valid "
        "entry see itself and drop it afterwards",
        likely=not said,
    )


def _no_variance(scene: Scene) -> Cause | None:
    if scene.primitive == "div" and _is_zero(scene.value(1)):
        n = 1
    elif scene.primitive == "rsqrt" and _is_zero(scene.value(0)):
        n = 0
    else:
        return None
    spread = bool(_SPREADS.search(scene.code)) or "normalize" in scene.library
    squares = n < len(scene.atoms) and _comes_from(scene.atoms[n], "square")
    if not (spread or (scene.primitive == "rsqrt" and squares)):
        return None
    return Cause(
        "variance of 0 without eps",
        "what is constant has variance 0. Add a small constant: "
        "`x / (std + eps)`, or `jax.lax.rsqrt(var + eps)`, with an eps like 1e-5",
        likely=not spread,
    )


def _log(scene: Scene) -> Cause | None:
    if scene.primitive == "log1p":
        value = scene.value(0)
        if value is not None and value == -1:
            return Cause("log of 0", "the argument of log1p is -1; keep it above")
        return None
    if scene.primitive == "div" and scene.backward and _is_zero(scene.value(1)):
        if re.search(r"\blog\w*\(|entropy", scene.code):
            return Cause(
                "gradient of log at 0",
                "the derivative of log at 0 is infinite. Keep the argument above 0: "
                "`jnp.log(jnp.maximum(x, eps))`, or work with logits "
                "(jax.nn.log_softmax)",
            )
        return None
    if scene.primitive != "log":
        return None
    value = scene.value(0)
    if value is not None and value < 0:
        return Cause(
            "log of a negative number",
            "look at why the argument is negative: a probability that is rounded, or "
            "a scale without `softplus` or `exp`",
        )
    if not _is_zero(value):
        return None
    return Cause(
        "log of 0",
        "keep the argument above 0: `jnp.log(jnp.maximum(x, eps))`; for probabilities "
        "work with logits (jax.nn.log_softmax). Where -Inf is meant, place it: "
        "`jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1)), -jnp.inf)`",
    )


def _half_overflow(scene: Scene) -> Cause | None:
    if scene.birth.kind == "nan" and not scene.dtype.startswith("float8"):
        return None
    if not wider.is_half(scene.dtype) or not scene.wider:
        return None
    return Cause(
        f"overflow of {scene.dtype}",
        "compute this part in float32 (`x.astype(jnp.float32)`), or scale it down "
        "before: loss scaling, a smaller learning rate, a division before the sum",
    )


def _exploding(scene: Scene) -> Cause | None:
    if scene.birth.kind == "nan" or scene.primitive in _DIVIDES:
        return None
    if not _grows(scene.growth):
        return None
    return Cause(
        "exploding values",
        "the values have grown from call to call. Lower the learning rate, warm it "
        "up, or clip gradients: `optax.clip_by_global_norm(1.0)`",
        likely=True,
    )


def _grows(growth: Sequence[float]) -> bool:
    known = [g for g in growth if math.isfinite(g)]
    return len(known) >= 3 and known[-1] > 1e3 * max(known[0], 1e-30)


def _exp_overflow(scene: Scene) -> Cause | None:
    if scene.primitive not in ("exp", "exp2", "expm1", "cosh", "sinh"):
        return None
    value = scene.value(0)
    if value is None or not math.isfinite(value):
        return None
    return Cause(
        f"overflow of {scene.primitive}",
        f"{scene.primitive} of {numbers.said(value)} is more than {scene.dtype} "
        "holds. Subtract the largest value first (jax.nn.softmax, logsumexp do), or "
        "clip the argument",
    )


def _overflow(scene: Scene) -> Cause | None:
    if scene.birth.kind == "nan" or not scene.wider:
        return None
    return Cause(
        f"overflow of {scene.dtype}",
        "look at why the operands are this large: a learning rate, a recurrence "
        "without normalisation, a loss that is summed where a mean was meant",
    )


def _zero_division(scene: Scene) -> Cause | None:
    if scene.primitive not in _DIVIDES or not _is_zero(scene.value(1)):
        if scene.primitive in ("pow", "integer_pow", "rsqrt"):
            return _zero_power(scene)
        return None
    return Cause(
        "division by zero",
        "keep the denominator from 0: `x / jnp.maximum(d, eps)`, or choose another "
        "result there: `jnp.where(d == 0, 0, x / jnp.where(d == 0, 1, d))`",
    )


def _zero_power(scene: Scene) -> Cause | None:
    base = scene.value(0)
    if _is_zero(base):
        return Cause(
            "division by zero",
            "a negative power of 0 is infinite. Keep the base from 0: add a small eps",
        )
    if scene.primitive == "pow" and base is not None and base < 0:
        return Cause(
            "power of a negative number",
            "a negative number has no real power that is not whole; use `jnp.abs(x)`, "
            "or keep the base positive",
        )
    return None


def _cancelling(scene: Scene) -> Cause | None:
    a, b = scene.value(0), scene.value(1)
    sums = scene.primitive in ("sub", "add", "add_any")
    if sums and _is_infinite(a) and _is_infinite(b):
        return Cause(
            "Inf - Inf",
            "both sides are infinite: look at where these come from",
        )
    if scene.primitive == "mul" and (
        (_is_zero(a) and _is_infinite(b)) or (_is_zero(b) and _is_infinite(a))
    ):
        return Cause(
            "0 * Inf",
            "a mask that multiplies does not hide an Inf; `jnp.where(mask, x, 0)` does",
        )
    if scene.primitive == "div" and _is_infinite(a) and _is_infinite(b):
        return Cause("Inf / Inf", "look at where these come from")
    return None


def _cholesky(scene: Scene) -> Cause | None:
    if scene.primitive != "cholesky":
        return None
    return Cause(
        "a matrix that is not positive definite",
        "Cholesky gives NaN for it. Add to its diagonal: "
        "`a + 1e-6 * jnp.eye(n)`, and see that it is symmetric",
    )


def _out_of_range(scene: Scene) -> Cause | None:
    if scene.primitive != "gather":
        return None
    return Cause(
        "an index out of range",
        "inside jit a read out of range gives NaN (`mode='fill'`). Look at the index: "
        "a label, a token id, a padding value. `--errors index` fails there",
    )


_DOMAINS = {
    "sqrt": ("square root of a negative number", "below 0"),
    "rsqrt": ("square root of a negative number", "below 0"),
    "acos": ("arccos outside of [-1, 1]", "outside of [-1, 1]"),
    "asin": ("arcsin outside of [-1, 1]", "outside of [-1, 1]"),
    "acosh": ("arccosh below 1", "below 1"),
    "atanh": ("arctanh outside of (-1, 1)", "outside of (-1, 1)"),
}


def _domain(scene: Scene) -> Cause | None:
    known = _DOMAINS.get(scene.primitive)
    value = scene.value(0)
    if known is None or value is None or not math.isfinite(value):
        return None
    if scene.primitive in ("sqrt", "rsqrt") and value >= 0:
        return None
    return Cause(
        known[0],
        f"the argument is {known[1]}, often by rounding; clip it into the domain "
        "first: `jnp.clip`, `jnp.maximum`",
    )


_RULES: tuple[Callable[[Scene], Cause | None], ...] = (
    _cholesky,
    _out_of_range,
    _where_trap,
    _root_gradient,
    _eps_underflow,
    _masked_softmax,
    _no_variance,
    _log,
    _exploding,
    _half_overflow,
    _exp_overflow,
    _overflow,
    _cancelling,
    _domain,
    _zero_division,
)


def is_log_of_nothing(found: Found, inside: Sequence[str] = ()) -> bool:
    """Whether a -Inf is the logsumexp of nothing but -Inf: exact, and a mask still.

    Arguments:
        found: what the search gave.
        inside: names of functions that an eager operation was called in.
    """
    birth = found.birth
    if birth is None or birth.kind != "-inf" or found.turns:
        return False
    if birth.site.eqn.primitive.name != "log":
        return False
    eqns = [birth.site.eqn, *birth.site.outer]
    functions = {f.function for eqn in eqns for f in provenance.frames(eqn)}
    return "logsumexp" in functions.union(inside)
