"""The module an equation is in, as the user would type it; and what that costs them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import chex
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chex._src import asserts_internal
from flax import nnx

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals.fresh_traces import fresh_traces
from jaxdbg.jax_internals.interpose import Invocation, interposed
from jaxdbg.jax_internals.jaxprs.site import Site
from jaxdbg.jax_internals.stack import running_call
from jaxdbg.origins.location.where import Context, Where, locate
from jaxdbg.trees.names import Names

X = np.ones((2, 4), np.float32)


class Block(nnx.Module):
    def __init__(self, rngs):
        self.ln1 = nnx.LayerNorm(4, rngs=rngs)
        self.lin = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        return x + jnp.log(self.lin(self.ln1(x)) * self.scale())

    def scale(self):
        return jnp.sqrt(jnp.abs(self.lin.bias[...]) + 1)


class Net(nnx.Module):
    def __init__(self, rngs, depth=3):
        self.blocks = nnx.List([Block(rngs) for _ in range(depth)])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Scanned(nnx.Module):
    def __init__(self, rngs):
        make = nnx.vmap(Block, in_axes=0, out_axes=0)
        self.blocks = make(rngs.split(3))

    def __call__(self, x):
        go = nnx.scan(
            lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry
        )
        return go(self.blocks, x)


def loss(model, x):
    return model(x).mean()


class Located:
    """Looks at each equation of the calls that run."""

    def __init__(self, **namespace: Any):
        self.names = Names(namespace)
        self.found: list[tuple[str, Where]] = []

    def jitted(self, call: Invocation) -> list[Any]:
        jaxpr = call.params["jaxpr"]
        user_call = running_call(sys._getframe())
        context = Context(
            jaxpr, call.args, user_call, self.names, function=call.params["name"]
        )
        self._walk(jaxpr, context)
        return call.answer()

    def compiled(self, *_: Any) -> Any:
        raise NotImplementedError

    def _walk(self, jaxpr, context, outer=(), path=(), loop=()):
        for n, eqn in enumerate(jaxpr.eqns):
            site = Site(eqn, outer, (*path, (n, 0)), loop)
            self.found.append((eqn.primitive.name, locate(site, context)))
            length = eqn.params.get("length") if eqn.primitive.name == "scan" else None
            inside = (*loop, ("scan", 1, length)) if length else loop
            for key in ("jaxpr", "call_jaxpr"):
                if key in eqn.params:
                    body = eqn.params[key]
                    self._walk(body, context, (*outer, eqn), (*path, (n, 0)), inside)

    def modules(self, primitive: str) -> list[str]:
        return [w.module for name, w in self.found if name == primitive]


def located(call: Any, *args: Any, **namespace: Any) -> Located:
    """Where all equations stand in a call of a jitted function."""
    handler = Located(**namespace)
    with interposed(handler):
        call(*args)
    assert not [w.notes for _, w in handler.found if w.notes]
    return handler


def each(path: str) -> list[str]:
    return [f"model.blocks[{i}]{path}" for i in range(3)]


@pytest.fixture
def model():
    return Net(nnx.Rngs(0))


def test_twelve_equal_blocks():
    model = Net(nnx.Rngs(0), depth=12)
    found = located(nnx.jit(loss), model, X, model=model)
    assert found.modules("rsqrt") == [f"model.blocks[{i}].ln1" for i in range(12)]


def test_the_module_of_a_function_that_was_traced_before(model):
    step = nnx.jit(loss)
    step(model, X)
    found = located(step, model, X, model=model)
    assert found.modules("rsqrt") == each(".ln1")
    assert found.modules("dot_general") == each(".lin")
    assert found.modules("log") == each("")


def test_a_method_is_in_its_module(model):
    found = located(nnx.jit(loss), model, X, model=model)
    assert found.modules("sqrt") == each("")


def test_forward_and_backward_in_a_training_step(model):
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def train_step(model, optimizer, x):
        value, grads = nnx.value_and_grad(loss)(model, x)
        optimizer.update(model, grads)
        return value

    found = located(train_step, model, optimizer, X, model=model, opt=optimizer)
    matmuls = {
        (w.module, w.direction) for name, w in found.found if name == "dot_general"
    }
    passes = ("forward", "backward")
    assert matmuls == {(m, d) for m in each(".lin") for d in passes}


def test_modules_as_arguments_of_plain_jit(model):
    found = located(jax.jit(loss), model, X, model=model)
    assert found.modules("log") == each("")


def test_a_module_that_a_plain_jit_closes_over(model):
    found = located(jax.jit(lambda x: loss(model, x)), X, model=model)
    assert found.modules("log") == each("")


def test_modules_merged_in_what_is_differentiated(model):
    graphdef, state = nnx.split(model)

    @jax.jit
    def step(state, x):
        return jax.grad(lambda s: loss(nnx.merge(graphdef, s), x))(state)

    found = located(step, state, X, model=model, state=state)
    assert set(found.modules("dot_general")) == set(each(".lin"))
    found = located(step, state, X, state=state)
    assert found.modules("log") == [f"state.blocks[{i}]" for i in range(3)]


def test_a_state_is_called_by_the_module_that_holds_it_too(model):
    _, state = nnx.split(model)
    assert Names({"a": state, "model": model}).of(state.blocks[0].ln1.scale[...]) == (
        "model.blocks[0].ln1.scale"
    )


@pytest.mark.parametrize("transform", [lambda f: f, nnx.value_and_grad])
def test_a_scan_over_layers_has_the_index_of_its_step(transform):
    model = Scanned(nnx.Rngs(0))

    @nnx.jit
    def step(model, x):
        return transform(loss)(model, x)

    found = located(step, model, X, model=model)
    forward = {
        (n, w.module) for n, w in found.found if w.module and w.direction == "forward"
    }
    assert ("rsqrt", "model.blocks[1].ln1") in forward
    assert ("log", "model.blocks[1]") in forward
    assert set(found.modules("dot_general")) == {"model.blocks[1].lin"}


def test_vmapped_modules_have_the_path_of_the_stack():
    model = Scanned(nnx.Rngs(0))

    @nnx.jit
    def ensemble(model, x):
        return nnx.vmap(lambda b, x: b(x), in_axes=(0, None))(model.blocks, x)

    found = located(ensemble, model, X, model=model)
    assert found.modules("rsqrt") == ["model.blocks.ln1"]


def test_through_remat_and_inner_jit(model):
    inner = nnx.jit(lambda block, x: block(x))

    @nnx.jit
    def step(model, x):
        for block in model.blocks:
            x = nnx.remat(Block.__call__)(block, inner(block, x))
        return x

    found = located(step, model, X, model=model)
    assert found.modules("log") == [p for p in each("") for _ in range(2)]


def test_tree_mode(model):
    found = located(nnx.jit(loss, graph=False), model, X, model=model)
    assert found.modules("log") == each("")


def test_linen_modules_have_the_scopes_of_linen():
    class Small(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            return flax.linen.LayerNorm(name="ln1")(x)

    net = Small()
    params = net.init(jax.random.key(0), X)
    found = located(jax.jit(net.apply), params, X)
    assert found.modules("rsqrt") == ["Small/ln1"]


def test_a_function_has_no_module():
    assert located(jax.jit(jnp.log), X).modules("log") == [""]


def test_static_arguments_stay_static():
    def power(x, n, *, root):
        return jnp.log(x) ** n if root else x

    step = jax.jit(power, static_argnums=1, static_argnames="root")
    handler = Located()
    with interposed(handler):
        step(X, 3, root=True)
    assert [w.notes for name, w in handler.found if name == "log"] == [()]


# Nothing of the user's is changed.


def test_the_user_notices_nothing(model):
    traced = []

    @nnx.jit
    def step(model, x):
        traced.append(1)
        return loss(model, x)

    before, classes = nnx.to_pure_dict(nnx.state(model)), dict(vars(Block))
    attributes = [sorted(vars(m)) for _, m in nnx.iter_graph(model) if vars_of(m)]
    plain = step(model, X)
    with interposed(OnlyAnswers()):
        step(model, X)
    in_cache = step.jitted_fn._cache_size()
    located(step, model, X, model=model)
    assert len(traced) == 2, "once by the user, once for us"
    assert np.array_equal(step(model, X), plain, equal_nan=True)
    assert len(traced) == 2, "the trace of the user was found again"
    assert step.jitted_fn._cache_size() == in_cache
    assert dict(vars(Block)) == classes
    assert attributes == [
        sorted(vars(m)) for _, m in nnx.iter_graph(model) if vars_of(m)
    ]
    chex.assert_trees_all_equal(before, nnx.to_pure_dict(nnx.state(model)))
    model.blocks[0].new = nnx.Param(jnp.zeros(3))  # no trace level is left behind


class OnlyAnswers(Located):
    def jitted(self, call: Invocation) -> list[Any]:
        return call.answer()


def vars_of(value: Any) -> bool:
    return isinstance(value, nnx.Module)


def test_traces_are_not_counted_for_chex():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(x):
        return jnp.log(x)

    located(step, X)
    step(X)


def test_chex_counts_in_other_threads_meanwhile():
    chex.clear_trace_counter()
    counter = asserts_internal.TRACE_COUNTER

    @chex.assert_max_traces(n=1)
    def step(x):
        return x + 1

    def traces() -> None:
        jax.make_jaxpr(lambda x: step(x))(1.0)

    def refused() -> None:
        with pytest.raises(AssertionError, match="is traced > 1 times"):
            traces()

    with ThreadPoolExecutor(1) as elsewhere, fresh_traces():
        traces()
        elsewhere.submit(traces).result()
        with fresh_traces():
            traces()
        elsewhere.submit(refused).result()
    assert asserts_internal.TRACE_COUNTER is counter
    assert list(counter.values()) == [2]


# What is not certain is said.


def test_a_function_that_cannot_be_traced_again(model):
    times = []

    @nnx.jit
    def step(model, x):
        times.append(1)
        if len(times) > 1:
            raise ValueError("only once")
        return loss(model, x)

    handler = Located(model=model)
    with interposed(handler):
        step(model, X)
    found = [w for name, w in handler.found if name == "rsqrt"]
    assert [w.module for w in found] == each(".ln1")
    assert found[1].notes == (
        "its module is that of the nearest parameter, model.blocks[1].ln1.scale: "
        "tracing it again failed (ValueError: only once)",
    )


def test_a_function_that_is_another_by_now(model):
    times = []

    @nnx.jit
    def step(model, x):
        times.append(1)
        return loss(model, x) + (jnp.sin(x).sum() if len(times) > 1 else 0)

    handler = Located(model=model)
    with interposed(handler):
        step(model, X)
    notes = {w.notes for name, w in handler.found if name == "rsqrt"}
    assert all("another program" in note for (note,) in notes)


# Custom derivative rules have their own lines.


@jax.custom_vjp
def safe_log(x):
    return jnp.log(x)


safe_log.defvjp(
    lambda x: (safe_log(x), x),
    lambda x, ct: (ct / x,),  # <- backward rule
)


@jax.custom_jvp
def half(x):
    return x / 2


@half.defjvp
def half_jvp(primals, tangents):
    return half(*primals), tangents[0] * jnp.tan(primals[0])  # <- derivative rule


def outside(x):
    return safe_log(x).sum()  # <- safe_log


def outside_half(x):
    return half(x).sum()  # <- half


def lines_with(mark: str) -> int:
    with open(__file__) as file:
        return next(n for n, text in enumerate(file, 1) if f"# <- {mark}\n" in text)


@pytest.mark.parametrize("wrapped", [lambda f: f, jax.jit, jax.checkpoint])
@pytest.mark.parametrize(
    ("function", "primitive", "rule", "forward"),
    [
        (outside, "div", "backward rule", "safe_log"),
        (outside_half, "tan", "derivative rule", "half"),
    ],
)
def test_a_derivative_rule_has_its_own_line(
    wrapped, function, primitive, rule, forward
):
    found = located(jax.jit(jax.grad(wrapped(function))), X)
    wheres = [
        w
        for name, w in found.found
        if name == primitive and w.source.line == lines_with(rule)
    ]
    assert wheres
    assert {w.direction for w in wheres} == {"backward"}
    assert {w.forward_source.line for w in wheres} == {lines_with(forward)}


@pytest.mark.parametrize("transform", [jax.grad, jax.value_and_grad])
def test_what_is_prepared_for_the_backward_pass_is_backward(transform):
    def norm(x):
        return jnp.sqrt((x**2).sum())

    found = located(jax.jit(transform(norm)), X)
    told = [(n, w.direction) for n, w in found.found if n in ("sqrt", "div")]
    assert told == [("sqrt", "forward"), ("div", "backward")]


def test_threads_that_trace_afresh_leave_nothing_in_whatever_order_they_end():
    def seen() -> tuple[Any, ...]:
        return jax.custom_vjp.__call__, sys.stdout, vars(Block)["__call__"]

    plain = seen()
    first, second = tracing_afresh(), tracing_afresh()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        one.submit(first.__exit__, None, None, None).result()
        for now, before in zip(seen(), plain, strict=True):
            assert now is not before
        other.submit(second.__exit__, None, None, None).result()
    for now, before in zip(seen(), plain, strict=True):
        assert now is before


@contextmanager
def tracing_afresh() -> Iterator[None]:
    nothing = (lambda _: None, lambda _: None)
    found = (f.scopes(*nothing, may_set_attribute=True) for f in loaded())
    with ExitStack() as opened:
        opened.enter_context(fresh_traces())
        for scopes in filter(None, found):
            opened.enter_context(scopes.installed())
        yield


def test_other_threads_print_while_one_traces_afresh(capsys):
    with ThreadPoolExecutor(1) as other, tracing_afresh():
        print("dropped")
        other.submit(print, "shown").result()
    print("after")
    assert capsys.readouterr().out == "shown\nafter\n"
