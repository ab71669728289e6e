"""The classic causes of a NaN or an Inf, each with what to do about it.

A cause is recognised by the operation, by the values of its operands at the bad
element, by what produced these, and by the user's line. A cause that only the line
speaks for is likely, not certain.

The rules are tried in the order of this file, the most special first. Where two may fit
the same birth, `after` names the one that goes first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from jaxdbg.jax_internals import source_info
from jaxdbg.origins.found import Found
from jaxdbg.origins.scene import Moment, Scene


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


class Fit(Enum):
    """A cause that fits, but for which only the user's line speaks."""

    LIKELY = "likely"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a cause is recognised.

    Attributes:
        name, advice: of the cause; `{scene.dtype}` in them is filled in.
        primitives: the operations it is looked for at; empty for all.
        fits: whether a scene shows the cause.
    """

    name: str
    advice: str
    primitives: tuple[str, ...]
    fits: Callable[[Scene], bool | Fit]

    def cause(self, scene: Scene) -> Cause | None:
        """The cause, where it fits."""
        if self.primitives and scene.primitive not in self.primitives:
            return None
        fit = self.fits(scene)
        if not fit:
            return None
        name, advice = (t.format(scene=scene) for t in (self.name, self.advice))
        return Cause(name, advice, likely=fit is Fit.LIKELY)


RULES: list[Rule] = []
"""All rules, in the order in which they are tried."""

_Fits = Callable[[Scene], bool | Fit]


def cause(
    name: str, *, advice: str, primitives: Sequence[str] = (), after: Sequence[str] = ()
) -> Callable[[_Fits], _Fits]:
    """Registers the rule of a cause.

    Arguments:
        name, advice, primitives: as of `Rule`.
        after: names of causes that are tried before this one, and must be.
    """
    if missing := set(after) - {rule.name for rule in RULES}:
        raise ValueError(f"{name} is to be tried after {missing}")

    def register(fits: _Fits) -> _Fits:
        RULES.append(Rule(name, advice, tuple(primitives), fits))
        return fits

    return register


def recognise(scene: Scene) -> Cause | None:
    """The first classic cause that fits, from the most special to the most general."""
    return next(filter(None, (rule.cause(scene) for rule in RULES)), None)


def came_in(is_parameter: bool, made_by: str) -> Cause | None:
    """The cause of a non-finite value that was there before the call."""
    if not is_parameter:
        return None
    since = f"; {made_by} made it" if made_by else ""
    return Cause(
        "a parameter that was already bad before the call",
        f"look at what wrote it last{since}: a checkpoint, an initialiser, or an "
        "update outside of this region",
    )


# -- operations with one cause ---------------------------------------------------------


@cause(
    "a matrix that is not positive definite",
    primitives=["cholesky"],
    advice="Cholesky gives NaN for it. Add to its diagonal: "
    "`a + 1e-6 * jnp.eye(n)`, and see that it is symmetric",
)
def _not_positive_definite(scene: Scene) -> bool:
    return True


@cause(
    "an index out of range",
    primitives=["gather"],
    advice="inside jit a read out of range gives NaN (`mode='fill'`). Look at the "
    "index: a label, a token id, a padding value. `--errors index` fails there",
)
def _out_of_range(scene: Scene) -> bool:
    return True


# -- gradients -------------------------------------------------------------------------

_WHERE = re.compile(r"\b(where|select|cond)\s*\(")


@cause(
    "where-gradient trap",
    advice="`where` throws this branch away, but its gradient is 0 times Inf, "
    "which is NaN. Make the argument safe before: "
    "`safe = jnp.where(ok, x, 1)`, then `jnp.where(ok, f(safe), 0)` (the "
    "double where)",
)
def _where_trap(scene: Scene) -> bool | Fit:
    says_where = bool(_WHERE.search(scene.line) or _WHERE.search(scene.function))
    for moment in _zeros_times_nan(scene):
        selected = any(
            moment.is_zero(n) and moment.comes_from(n, "select_n", "clamp")
            for n in range(2)
        )
        if selected and not says_where and scene.function:
            continue  # of a maximum or a clip
        if selected or says_where:
            return selected or Fit.LIKELY
    return False


def _zeros_times_nan(scene: Scene) -> list[Moment]:
    """Products of the backward pass, with 0 as a factor, that gave the NaN."""
    moments: list[Moment] = [scene] if scene.backward else []
    moments += [turn for turn in scene.turns if turn.is_backward]
    return [
        moment
        for moment in moments
        if moment.kind == "nan"
        and moment.primitive in ("mul", "div")
        and (moment.is_zero(0) or moment.is_zero(1))
    ]


_ROOTS = re.compile(
    r"\b(sqrt|rsqrt|norm|global_norm|std|hypot|safe_norm|l2_normalize|cosine_\w+)\s*\("
    r"|\*\*\s*0?\.5\b|\*\*\s*\(1 ?/ ?2\)|\.std\("
)
_OF_A_ROOT = ("div", "mul", "pow", "rsqrt", "integer_pow")
"""The operations in the derivative of a square root."""


@cause(
    "gradient of norm at 0",
    primitives=_OF_A_ROOT,
    after=["where-gradient trap"],
    advice="the derivative of norm at 0 is infinite. "
    "Use `jnp.sqrt(jnp.sum(x * x) + eps)`, or optax.safe_norm",
)
def _norm_gradient(scene: Scene) -> bool:
    return _differentiates_a_root(scene) and _is_norm(scene)


@cause(
    "gradient of sqrt at 0",
    primitives=_OF_A_ROOT,
    after=["where-gradient trap"],
    advice="the derivative of sqrt at 0 is infinite. "
    "Add a small constant under the root: `jnp.sqrt(x + eps)`",
)
def _root_gradient(scene: Scene) -> bool:
    return _differentiates_a_root(scene) and not _is_norm(scene)


def _differentiates_a_root(scene: Scene) -> bool:
    if not scene.backward:
        return False
    if scene.literal(0) == 0.5:
        root = scene.producer(1)
        return root is not None and root.name == "sqrt"
    return bool(_ROOTS.search(scene.code))


def _is_norm(scene: Scene) -> bool:
    return "norm" in scene.code or "norm" in scene.library


# -- division, logarithm and root of 0 -------------------------------------------------

_HALF_EPS = (
    "the constant that is added to keep this from 0 is itself 0 in {scene.dtype}; "
    "use a larger one (%s), or compute this part in float32"
)
_MAY_BE_OF_0 = {"div": 1, "rem": 1, "log": 0, "rsqrt": 0, "sqrt": 0}
"""The operand of an operation that must not be 0."""


@cause(
    "eps that underflows in {scene.dtype}",
    primitives=tuple(_MAY_BE_OF_0),
    after=["gradient of norm at 0", "gradient of sqrt at 0"],
    advice=_HALF_EPS % "1e-3 or more",
)
def _eps_underflow_in_float16(scene: Scene) -> bool:
    return scene.dtype == "float16" and _eps_underflows(scene)


@cause(
    "eps that underflows in {scene.dtype}",
    primitives=tuple(_MAY_BE_OF_0),
    after=["gradient of norm at 0", "gradient of sqrt at 0"],
    advice=_HALF_EPS % "one it can hold",
)
def _eps_underflow(scene: Scene) -> bool:
    return scene.dtype != "float16" and scene.is_half and _eps_underflows(scene)


def _eps_underflows(scene: Scene) -> bool:
    n = _MAY_BE_OF_0[scene.primitive]
    return scene.is_zero(n) and scene.adds_literal_zero(n)


_SOFTMAX = re.compile(r"softmax|attention")


@cause(
    "softmax over a row that is masked altogether",
    primitives=["sub", "div"],
    advice="every entry of the row is -Inf, so that softmax is 0/0. Mask with a large "
    "negative number (`jnp.finfo(x.dtype).min`), or let a row without a valid "
    "entry see itself and drop it afterwards",
)
def _masked_softmax(scene: Scene) -> bool | Fit:
    masked = all(scene.value(n) == -math.inf for n in range(2))
    rows = scene.primitive == "sub" and masked
    empty = scene.primitive == "div" and all(scene.is_zero(n) for n in range(2))
    # A line may hold a softmax and another function, in which this happened.
    if _SOFTMAX.search(scene.library or scene.code):
        return rows or empty
    return Fit.LIKELY if rows and scene.comes_from(1, "reduce_max") else False


_SPREADS = re.compile(r"\b(std|var|variance|sigma|stddev)\b|\.(std|var)\(")


@cause(
    "variance of 0 without eps",
    primitives=["div", "rsqrt"],
    after=["eps that underflows in {scene.dtype}"],
    advice="what is constant has variance 0. Add a small constant: "
    "`x / (std + eps)`, or `jax.lax.rsqrt(var + eps)`, with an eps like 1e-5",
)
def _no_variance(scene: Scene) -> bool | Fit:
    n = _MAY_BE_OF_0[scene.primitive]
    if not scene.is_zero(n):
        return False
    if _SPREADS.search(scene.code) or "normalize" in scene.library:
        return True
    squares = scene.primitive == "rsqrt" and scene.comes_from(n, "square")
    return Fit.LIKELY if squares else False


@cause(
    "log of 0",
    primitives=["log1p"],
    advice="the argument of log1p is -1; keep it above",
)
def _log1p_of_minus_1(scene: Scene) -> bool:
    return scene.value(0) == -1


@cause(
    "gradient of log at 0",
    primitives=["div"],
    after=["variance of 0 without eps"],
    advice="the derivative of log at 0 is infinite. Keep the argument above 0: "
    "`jnp.log(jnp.maximum(x, eps))`, or work with logits "
    "(jax.nn.log_softmax)",
)
def _log_gradient(scene: Scene) -> bool:
    of_log = re.search(r"\blog\w*\(|entropy", scene.code)
    return scene.backward and scene.is_zero(1) and bool(of_log)


@cause(
    "log of a negative number",
    primitives=["log"],
    advice="look at why the argument is negative: a probability that is rounded, or "
    "a scale without `softplus` or `exp`",
)
def _log_of_negative(scene: Scene) -> bool:
    value = scene.value(0)
    return value is not None and value < 0


@cause(
    "log of 0",
    primitives=["log"],
    after=["eps that underflows in {scene.dtype}"],
    advice="keep the argument above 0: `jnp.log(jnp.maximum(x, eps))`; for "
    "probabilities work with logits (jax.nn.log_softmax). Where -Inf is meant, place "
    "it: `jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1)), -jnp.inf)`",
)
def _log_of_zero(scene: Scene) -> bool:
    return scene.is_zero(0)


# -- overflow --------------------------------------------------------------------------


@cause(
    "exploding values",
    after=["log of 0"],
    advice="the values have grown from call to call. Lower the learning rate, warm it "
    "up, or clip gradients: `optax.clip_by_global_norm(1.0)`",
)
def _exploding(scene: Scene) -> bool | Fit:
    if scene.kind == "nan" or scene.primitive in ("div", "rem"):
        return False
    return Fit.LIKELY if scene.grows else False


@cause(
    "overflow of {scene.dtype}",
    after=["exploding values"],
    advice="compute this part in float32 (`x.astype(jnp.float32)`), or scale it down "
    "before: loss scaling, a smaller learning rate, a division before the sum",
)
def _half_overflow(scene: Scene) -> bool:
    # The narrowest types have no Inf: they overflow to NaN.
    overflowed = scene.kind != "nan" or scene.dtype.startswith("float8")
    return overflowed and scene.is_half and bool(scene.wider)


@cause(
    "overflow of {scene.primitive}",
    primitives=["exp", "exp2", "expm1", "cosh", "sinh"],
    after=["exploding values", "overflow of {scene.dtype}"],
    advice="{scene.primitive} of {scene.argument} is more than {scene.dtype} "
    "holds. Subtract the largest value first (jax.nn.softmax, logsumexp do), or "
    "clip the argument",
)
def _exp_overflow(scene: Scene) -> bool:
    return scene.is_finite(0)


@cause(
    "overflow of {scene.dtype}",
    after=["overflow of {scene.primitive}"],
    advice="look at why the operands are this large: a learning rate, a recurrence "
    "without normalisation, a loss that is summed where a mean was meant",
)
def _overflow(scene: Scene) -> bool:
    return scene.kind != "nan" and bool(scene.wider)


# -- two infinities, or one and 0 ------------------------------------------------------


@cause(
    "Inf - Inf",
    primitives=["sub", "add", "add_any"],
    after=["softmax over a row that is masked altogether"],
    advice="both sides are infinite: look at where these come from",
)
def _inf_minus_inf(scene: Scene) -> bool:
    return scene.is_infinite(0) and scene.is_infinite(1)


@cause(
    "0 * Inf",
    primitives=["mul"],
    after=["where-gradient trap"],
    advice="a mask that multiplies does not hide an Inf; `jnp.where(mask, x, 0)` does",
)
def _zero_times_inf(scene: Scene) -> bool:
    pairs = ((0, 1), (1, 0))
    return any(scene.is_zero(a) and scene.is_infinite(b) for a, b in pairs)


@cause("Inf / Inf", primitives=["div"], advice="look at where these come from")
def _inf_by_inf(scene: Scene) -> bool:
    return scene.is_infinite(0) and scene.is_infinite(1)


# -- outside of the domain -------------------------------------------------------------

_CLIP = (
    "the argument is %s, often by rounding; clip it into the domain "
    "first: `jnp.clip`, `jnp.maximum`"
)


@cause(
    "square root of a negative number",
    primitives=["sqrt", "rsqrt"],
    advice=_CLIP % "below 0",
)
def _root_of_negative(scene: Scene) -> bool:
    value = scene.value(0)
    return value is not None and -math.inf < value < 0


def _domain(name: str, primitive: str, outside: str) -> None:
    """Registers the cause of a function that is defined for some numbers only."""
    register = cause(name, primitives=[primitive], advice=_CLIP % outside)
    register(lambda scene: scene.is_finite(0))


_domain("arccos outside of [-1, 1]", "acos", "outside of [-1, 1]")
_domain("arcsin outside of [-1, 1]", "asin", "outside of [-1, 1]")
_domain("arccosh below 1", "acosh", "below 1")
_domain("arctanh outside of (-1, 1)", "atanh", "outside of (-1, 1)")


# -- division by zero, where nothing more special fits ---------------------------------


@cause(
    "division by zero",
    primitives=["div", "rem"],
    after=["variance of 0 without eps", "gradient of log at 0"],
    advice="keep the denominator from 0: `x / jnp.maximum(d, eps)`, or choose another "
    "result there: `jnp.where(d == 0, 0, x / jnp.where(d == 0, 1, d))`",
)
def _division(scene: Scene) -> bool:
    return scene.is_zero(1)


@cause(
    "division by zero",
    primitives=["pow", "integer_pow", "rsqrt"],
    after=["gradient of sqrt at 0", "variance of 0 without eps"],
    advice="a negative power of 0 is infinite. Keep the base from 0: add a small eps",
)
def _negative_power_of_zero(scene: Scene) -> bool:
    return scene.is_zero(0)


@cause(
    "power of a negative number",
    primitives=["pow"],
    advice="a negative number has no real power that is not whole; use `jnp.abs(x)`, "
    "or keep the base positive",
)
def _power_of_negative(scene: Scene) -> bool:
    value = scene.value(0)
    return value is not None and value < 0


def is_log_of_nothing(found: Found, inside: Sequence[str] = ()) -> bool:
    """Whether a -Inf is logsumexp of a row that is all -Inf: right, and no failure.

    Arguments:
        found: the result of the search.
        inside: names of functions that an eager operation was called in.
    """
    birth = found.birth
    if birth is None or birth.kind != "-inf" or found.turns:
        return False
    if birth.site.eqn.primitive.name != "log":
        return False
    eqns = [birth.site.eqn, *birth.site.outer]
    functions = {f.function for eqn in eqns for f in source_info.frames(eqn)}
    return "logsumexp" in functions.union(inside)
