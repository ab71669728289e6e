"""Draws small programs, as source text: each statement has a line of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

HEAD = """\
import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def soft(t):
    return jnp.log(jnp.exp(t) + 1.0)


@soft.defjvp
def soft_jvp(primals, tangents):
    (t,), (dt,) = primals, tangents
    return soft(t), dt / (1.0 + jnp.exp(-t))


@jax.custom_vjp
def root(t):
    return jnp.sqrt(t)


def root_fwd(t):
    return jnp.sqrt(t), t


def root_bwd(t, bar):
    return (bar / jnp.sqrt(t),)


root.defvjp(root_fwd, root_bwd)

"""

KINDS = {
    "s": """
        jnp.sum({v}) | jnp.max({v}) | jnp.mean({v}) | jnp.prod({v}) | {v} @ {v}
        jnp.linalg.norm({v}) | jax.nn.logsumexp({v}) | {v}[1] | {s} * {s} | {s} - {s}
        jnp.log({s}) | {s} / {s} | jnp.exp({s}) | jnp.var({v}) | jnp.sum({m})
        jnp.sum({v}, where={b}) | jnp.min({v}, initial=jnp.inf) | {v}[{i}[0]]
        jnp.where({b}[0], {s}, jnp.inf) | jnp.nanmean({v}) | jnp.std({v})
    """,
    "v": """
        jnp.log({v}) | jnp.exp({v}) | jnp.sqrt({v}) | 1.0 / {v} | {v} / {v} | {v} - {v}
        {v} * {v} | {v} + {v} | {v} ** 2 | {v} ** {v} | -{v} | jnp.abs({v})
        jnp.maximum({v}, {v}) | jnp.where({b}, {v}, {v}) | jnp.where({b}, {v}, -jnp.inf)
        jnp.where({b}, jnp.log({v}), 0.0) | jnp.where({b}, {v}, jnp.nan) | jnp.sort({v})
        jnp.cumsum({v}) | jnp.cumprod({v}) | {v}[::-1] | {v}[{i}] | {v} * {s}
        {v} - {s} | {v}.at[{i}].add({v}) | {v}.at[{i}].set({s}) | {v}.at[0].set(jnp.inf)
        {m} @ {v} | {m}.sum(0) | {m}.max(1) | {m}[1] | jnp.diagonal({m}) | {v} @ {m}
        jax.nn.softmax({v}) | jax.nn.relu({v}) | jax.nn.sigmoid({v}) | jnp.tanh({v})
        {v} * 1e30 | {v} * 1e-30 | {v}.astype(jnp.float16).astype(jnp.float32)
        {i}.astype(jnp.float32) | jnp.clip({v}, 0.0, 1.0) | jnp.nan_to_num({v})
        {v} - {v}.max() | jnp.concatenate([{v}[:2], {v}[2:]]) | jnp.arcsin({v})
        jnp.isfinite({v}) * {v} | jnp.minimum({v}, 1.0) | soft({v}) | root({v})
        jnp.roll({v}, 1) | jnp.expm1({v}) | jnp.log1p({v}) | jnp.hypot({v}, {v})
        {v} % {v} | lax.rsqrt({v}) | jnp.stack([{s}, {s}, {s}, {s}]) | {v} - K | {v} + K
        jnp.full(4, jnp.inf) | {h}.astype(jnp.float32) | lax.cummax({v})
        jnp.arctan2({v}, {v}) | jnp.logaddexp({v}, {v}) | jnp.arctanh({v})
        ({v} - {v}.mean()) / {v}.std() | {v} / jnp.linalg.norm({v})
        jnp.power(jnp.abs({v}), 0.5) | {v}.astype(jnp.bfloat16).astype(jnp.float32)
        jnp.take({v}, {i}, mode='clip') | jnp.where({v} != 0, 1 / {v}, 0.0)
    """,
    "m": """
        jnp.outer({v}, {v}) | {m} @ {m} | {m}.T | {m} * {v} | {m} - {v}[:, None]
        jnp.exp({m})
        jax.nn.softmax({m}) | jax.nn.log_softmax({m}, axis=0) | jnp.tril({m})
        jnp.where(jnp.tri(4, dtype=bool), {m}, -jnp.inf) | {m} / {m}
        jnp.broadcast_to({v}, (4, 4)) | jnp.log({m}) | {m}.at[{i}[0]].set({v})
        {m} + {s} | jnp.einsum('ij,kj->ik', {m}, {m}) | jnp.sort({m}, axis=-1)
        jnp.cumprod({m}, axis=0) | {m} / {m}.sum(-1, keepdims=True)
    """,
    "i": """
        jnp.argsort({v}) | {i} + 1 | {i} // 2 | {i} % 3 | {i} & 1
        jnp.sign({v}).astype(int)
        jnp.cumsum({i}) | {i} * {i} | {i} // {i} | jnp.where({b}, {i}, 0) | {i}[::-1]
    """,
    "b": """
        {v} > 0 | {v} < {v} | jnp.isnan({v}) | ~{b} | {b} & {b} | {i} > 1 | {v} >= {s}
    """,
    "h": """
        {v}.astype(jnp.float16) | {h} * {h} | {h} + {h} | jnp.exp({h}) | {h} / {h}
    """,
}
"""By kind of result (scalar, vector, matrix, integers, booleans, half precision) the
operations; a letter in braces is an operand of that kind."""

OPERATIONS = {
    kind: [o.strip() for o in re.split(r"[|\n]", text.replace("|", "\n")) if o.strip()]
    for kind, text in KINDS.items()
}

AROUND = {
    "v": """
        jax.jit({F})({v}) | jax.checkpoint({F})({v}) | {F}({v})
        lax.cond({s} > 0, {F}, {F}, {v}) | lax.switch({i}[0], [{F}, {F}], {v})
        lax.fori_loop(0, 3, lambda _, t: {F}(t), {v})
        lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, {F}(c[1])), (0, {v}))[1]
        lax.scan(lambda c, t: ({F}(c), c.sum() + t), {v}, {v})[1]
        lax.scan(lambda c, t: ({F}(c * t), None), {v}, {v}, reverse=True)[0]
        jax.grad(lambda t: jnp.sum({F}(t)))({v}) | jax.vmap({F})({m})[1]
        jax.jvp({F}, ({v},), ({v},))[1] | jax.vjp({F}, {v})[1]({v})[0]
        jax.vmap(lambda t: lax.while_loop(lambda c: c < 9, lambda c: c * c + 1, t))({v})
        jax.vmap(lambda t: lax.cond(t > 0, jnp.log, jnp.exp, t))({v})
        jax.grad(lambda t: lax.scan(lambda c, _: ({F}(c), 0), t, None, 2)[0][1])({v})
        lax.map(lambda t: jnp.log(t) * {s}, {v}) | jax.grad(lambda t: {F}(t)[0])({v})
        jax.vmap(jax.grad(lambda t: jnp.sqrt(t) * t))({v}) | lax.map({F}, {m})[0]
        jax.checkpoint(jax.vmap({F}))({m})[1]
        lax.scan(lambda c, t: ({F}(c), {F}(t)[0]), {v}, {m})[1]
        jax.grad(jax.checkpoint(lambda t: {F}(t).sum()))({v})
    """,
}
"""Operations with a function of a vector in them, `{F}`: a body with its own lines."""

WITH_BODY = [o.strip() for o in AROUND["v"].replace("|", "\n").split("\n") if o.strip()]

NUMBERS = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 90.0, 1e-30, 2e38, -3e38, -0.0)


@dataclass(frozen=True, slots=True)
class Program:
    """The source of a function `f(x, y, m, n)`, and what it is called with."""

    source: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    m: tuple[float, ...]
    n: tuple[int, ...]


class _Writer:
    """Writes statements, one per line; knows which names there are of each kind."""

    def __init__(self, draw: st.DrawFn, names: dict[str, list[str]], prefix: str):
        self._draw, self._prefix = draw, prefix
        self.names = {kind: list(of) for kind, of in names.items()}
        self.lines: list[str] = []
        self._bodies = 0

    def statement(self, bodies: bool) -> None:
        kind = self._draw(st.sampled_from("vvvvvvssmmibh"))
        with_body = bodies and kind == "v" and self._draw(st.integers(0, 3)) == 0
        table = WITH_BODY if with_body else OPERATIONS[kind]
        text = self._filled(self._draw(st.sampled_from(table)))
        self.let(kind, text)

    def let(self, kind: str, text: str) -> None:
        name = f"{self._prefix}{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.names[kind].append(name)

    def _filled(self, template: str) -> str:
        def operand(match: re.Match[str]) -> str:
            kind = match[1]
            return self._body() if kind == "F" else self._name(kind)

        return re.sub(r"\{(\w)\}", operand, template)

    def _name(self, kind: str) -> str:
        names = self.names[kind]
        back = self._draw(st.integers(0, min(2, len(names) - 1)))
        return names[-1 - back]

    def _body(self) -> str:
        name = f"{self._prefix}f{self._bodies}"
        self._bodies += 1
        inner = _Writer(self._draw, self.names, f"{name}_")
        inner.names["v"].append("t")
        nested = self._prefix == "a" and self._draw(st.integers(0, 3)) == 0
        for _ in range(self._draw(st.integers(0, 2))):
            inner.statement(bodies=nested)
        last = self._draw(st.sampled_from(OPERATIONS["v"]))
        inner.let("v", inner._filled(last))
        result = inner.lines[-1].partition(" ")[0]
        self.lines += [f"def {name}(t):", *(f"    {line}" for line in inner.lines)]
        self.lines.append(f"    return {result}")
        return name


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A program, and arguments."""
    names = {"s": ["x[0]"], "v": ["x", "y"], "m": ["m"], "i": ["n"], "b": ["(y > 0)"]}
    writer = _Writer(draw, {**names, "h": ["y.astype(jnp.float16)"]}, "a")
    for _ in range(draw(st.integers(2, 14))):
        writer.statement(bodies=True)
    made = [n for of in writer.names.values() for n in of if n[0] == "a"]
    others = draw(st.lists(st.sampled_from(made), max_size=2, unique=True))
    results = list(dict.fromkeys([made_last(writer.lines), *others]))
    body = "\n".join(f"    {line}" for line in writer.lines)
    constant = draw(_values(4))
    source = (
        f"{HEAD}K = jnp.array({_text(constant)})\n\n\n"
        f"def f(x, y, m, n):\n{body}\n    return {', '.join(results)},\n"
    )
    whole = st.tuples(*[st.integers(-1, 5)] * 4)
    return Program(
        source, draw(_values(4)), draw(_values(4)), draw(_values(16)), draw(whole)
    )


def made_last(lines: Sequence[str]) -> str:
    """The name that the last statement defines."""
    return next(
        n for n in (x.partition(" ")[0] for x in reversed(lines)) if n[:1] == "a"
    )


@st.composite
def _values(draw: st.DrawFn, n: int) -> tuple[float, ...]:
    """Numbers, most of them plain; once in a while a NaN or an Inf among them."""
    values = draw(st.lists(st.sampled_from(NUMBERS[:7]), min_size=n, max_size=n))
    if draw(st.integers(0, 1)) == 1:
        values[draw(st.integers(0, n - 1))] = draw(st.sampled_from(NUMBERS[7:]))
    if draw(st.integers(0, 9)) == 9:
        values[draw(st.integers(0, n - 1))] = draw(
            st.sampled_from([math.nan, math.inf])
        )
    return tuple(values)


def _text(values: Sequence[float]) -> str:
    known = {"nan": "jnp.nan", "inf": "jnp.inf"}
    return f"[{', '.join(known.get(str(v), repr(v)) for v in values)}]"
