"""Programs whose failing call has a name in the line that makes it, with that name.

Each ends its work with `here()`, where the names are those of the user's frame: the
test evaluates there what a finding names, and compares it with what the call returned.
The truth was written before the first run.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

Here = Callable[[], None]


@dataclass(frozen=True)
class Program:
    """A program and the truth about its first finding.

    Attributes:
        run: the program; it calls what it is given where the names are known.
        paths: of the bad results, in their order.
        passed: by parameter, the expression that the calling line passes for it, where
            the parameter is in the story and the expression is not just its name; None
            where a program is not about that.
    """

    run: Callable[[Here], Any]
    paths: tuple[str, ...]
    passed: dict[str, str] | None = None

    def __str__(self) -> str:
        return self.run.__name__


PROGRAMS: list[Program] = []


def program(
    *paths: str, passed: dict[str, str] | None = None
) -> Callable[[Callable[[Here], Any]], Callable[[Here], Any]]:
    def add(run: Callable[[Here], Any]) -> Callable[[Here], Any]:
        PROGRAMS.append(Program(run, paths, passed))
        return run

    return add


GOOD = jnp.array([1.0, 2.0, 4.0])
BAD = jnp.array([1.0, -1.0, 4.0])
X = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, 6.0], [7.0, 8.0]], np.float32)


class Pair(NamedTuple):
    params: Any
    loss: Any


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params", "loss"], meta_fields=[]
)
@dataclass
class Record:
    params: Any
    loss: Any


@jax.jit
def value(x: Any) -> Any:
    return jnp.log(x).sum()


@jax.jit
def step(state: Any, x: Any) -> Any:
    loss = jnp.log(x).sum()
    return jax.tree.map(lambda p: p - loss, state), loss


@jax.jit
def nested(params: Any, opt: Any, x: Any) -> Any:
    loss = jnp.log(x).sum()
    return (params - loss, opt + 1), {"loss": loss}


@jax.jit
def four(x: Any) -> Any:
    loss = jnp.log(x).sum()
    return [loss, loss + 1, loss + 2, loss + 3]


@jax.jit
def pair(x: Any) -> Any:
    loss = jnp.log(x).sum()
    return Pair({"w": loss + x}, loss)


@jax.jit
def record(x: Any) -> Any:
    loss = jnp.log(x).sum()
    return Record({"w": loss + x}, loss)


@jax.jit
def by_number(x: Any) -> Any:
    loss = jnp.log(x).sum()
    return {0: loss, 1: loss + x}


@jax.jit
def whole(x: Any) -> Any:
    return jnp.log(x)[:2]


@jax.jit
def fold(total: Any, x: Any) -> Any:
    return total + jnp.log(x).sum()


@jax.jit
def of_rows(w: Any, batch: Any) -> Any:
    return (batch * w).sum()


def weights() -> dict[str, Any]:
    return {"b": jnp.zeros(2), "w": jnp.ones(3)}


# -- what the line assigns to ----------------------------------------------------------


@program('state["b"]', 'state["w"]', "loss", passed={})
def a_pair(here: Here) -> None:
    state, x = weights(), BAD
    state, loss = step(state, x)
    here()


@program("params", 'aux["loss"]')
def a_nested_tuple(here: Here) -> None:
    params, opt = jnp.ones(2), jnp.zeros(())
    (params, opt), aux = nested(params, opt, BAD)
    here()


@program("first", "rest[0]", "rest[1]", "rest[2]")
def a_star(here: Here) -> None:
    first, *rest = four(BAD)
    here()


@program("first", "middle[0]", "middle[1]", "last")
def a_star_in_the_middle(here: Here) -> None:
    [first, *middle, last] = four(BAD)
    here()


class Trainer:
    def __init__(self) -> None:
        self.state: Any = weights()
        self.loss: Any = None
        self.jitted = jax.jit(lambda s, x: step(s, x))

    def attributes(self, here: Here) -> None:
        self.state, self.loss = step(self.state, BAD)
        here()

    def returns(self, x: Any) -> Any:
        return self.jitted(self.state, x)

    @functools.partial(jax.jit, static_argnums=0)
    def method(self, x: Any) -> Any:
        return jnp.log(x).sum()


@program('self.state["b"]', 'self.state["w"]', "self.loss", passed={"x": "BAD"})
def attributes(here: Here) -> None:
    Trainer().attributes(here)


@program('states[i]["b"]', 'states[i]["w"]', "losses[i - 1]")
def subscripts(here: Here) -> None:
    states, losses, i = [weights(), weights()], [0.0, 0.0], 1
    states[i], losses[i - 1] = step(states[i], BAD)
    here()


@program("loss")
def annotated(here: Here) -> None:
    loss: jax.Array = value(BAD)
    here()


@program("loss")
def a_walrus(here: Here) -> None:
    if (loss := value(BAD)) is not None:
        here()


@program("value(...)")
def augmented(here: Here) -> None:
    total = jnp.zeros(())
    total += value(BAD)


@program("best")
def chained(here: Here) -> None:
    best = last = value(BAD)
    here()


@program('step(...)[0]["b"]', 'step(...)[0]["w"]', "step(...)[1]")
def a_loop_over_the_result(here: Here) -> None:
    for _part in step(weights(), BAD):
        pass


@program('step(...)[0]["b"]', 'step(...)[0]["w"]', "step(...)[1]")
def inside_an_expression(here: Here) -> None:
    loss = step(weights(), BAD)[1] + 1


@program('step(...)[0]["b"]', 'step(...)[0]["w"]', "loss")
def a_part_of_the_result(here: Here) -> None:
    loss = step(weights(), BAD)[1]
    here()


@program('step(...)[0]["b"]', 'step(...)[0]["w"]', "loss")
def thrown_away(here: Here) -> None:
    _, loss = step(weights(), BAD)
    here()


@program("four(...)[0]", "four(...)[1]", "two", "three")
def two_of_one_name(here: Here) -> None:
    one, one, two, three = four(BAD)
    here()


@program('out[0]["b"]', 'out[0]["w"]', "out[1]")
def kept_whole(here: Here) -> None:
    out = step(weights(), BAD)
    here()


@program('out.params["w"]', "out.loss")
def a_named_tuple(here: Here) -> None:
    out = pair(BAD)
    here()


@program('params["w"]', "loss")
def a_named_tuple_unpacked(here: Here) -> None:
    params, loss = pair(BAD)
    here()


@program('out.params["w"]', "out.loss")
def a_dataclass(here: Here) -> None:
    out = record(BAD)
    here()


@program("by_number(...)[0]", "by_number(...)[1]")
def a_dict_unpacked_into_its_keys(here: Here) -> None:
    a, b = by_number(BAD)


@program("whole(...)")
def an_array_unpacked_into_its_elements(here: Here) -> None:
    a, b = whole(BAD)


# -- which call of the line ------------------------------------------------------------


@program("b")
def two_on_a_line(here: Here) -> None:
    a, b = value(GOOD), value(BAD)
    here()


@program("loss")
def a_conditional(here: Here) -> None:
    good = False
    loss = value(GOOD) if good else value(BAD)
    here()


@program("outer")
def the_argument_of_another(here: Here) -> None:
    outer = value(value(GOOD) - 10)
    here()


@program("value(...)")
def a_comprehension(here: Here) -> None:
    losses = [value(x) for x in (GOOD, BAD)]


@program("value(...)")
def a_map(here: Here) -> None:
    losses = list(map(value, (GOOD, BAD)))


@program("value(...)")
def the_next_of_a_map(here: Here) -> None:
    each = map(value, (BAD,))
    loss = next(each)


@program("fold(...)")
def a_reduce(here: Here) -> None:
    total = functools.reduce(fold, (GOOD, BAD), jnp.zeros(()))


@program("value(...)")
def a_key(here: Here) -> None:
    best = max([BAD], key=value)


@program("value(...)")
def a_tree_map(here: Here) -> None:
    losses = jax.tree.map(value, {"a": BAD})


@program("value(...)")
def transformed_eagerly(here: Here) -> None:
    rows = jax.vmap(value)(BAD[:, None])


# -- what is between the line and the call ---------------------------------------------


def passing(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def changing(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)[1]

    return wrapper


@program('state["b"]', 'state["w"]', "loss")
def a_wrapper(here: Here) -> None:
    state, loss = passing(step)(weights(), BAD)
    here()


@program('step(...)[0]["b"]', 'step(...)[0]["w"]', "step(...)[1]")
def a_wrapper_that_returns_a_part(here: Here) -> None:
    wrapped = changing(step)
    loss = wrapped(weights(), BAD)


@program('trainer.state["b"]', 'trainer.state["w"]', "loss")
def a_method_that_returns_the_call(here: Here) -> None:
    trainer = Trainer()
    trainer.state, loss = trainer.returns(BAD)
    here()


class Loss:
    @functools.partial(jax.jit, static_argnums=0)
    def __call__(self, x: Any) -> Any:
        return jnp.log(x).sum()


@program("loss", passed={"x": "BAD"})
def an_object_that_is_called(here: Here) -> None:
    loss_of = Loss()
    loss = loss_of(BAD)
    here()


def returning_another(x: Any) -> Any:
    try:
        return value(x)
    finally:
        return 0.0  # noqa: B012, SIM107


@program("value(...)")
def a_function_that_returns_another_value(here: Here) -> None:
    loss = returning_another(BAD)


@program('state["b"]', 'state["w"]', "loss")
def a_lambda(here: Here) -> None:
    with_bad = lambda state: step(state, BAD)  # noqa: E731
    state, loss = with_bad(weights())
    here()


@program("loss", passed={"x": "np.asarray(batches[1])"})
def a_jitted_method(here: Here) -> None:
    trainer, batches = Trainer(), [GOOD.tolist(), BAD.tolist()]
    loss = trainer.method(np.asarray(batches[1]))
    here()


@program('new["b"]', 'new["w"]', "loss", passed={"x": "-GOOD"})
def a_partial(here: Here) -> None:
    with_state = functools.partial(step, weights())
    new, loss = with_state(-GOOD)
    here()


@program("loss", passed={"x": "jnp.negative(GOOD)"})
def made_in_the_line(here: Here) -> None:
    loss = jax.jit(lambda x: jnp.log(x).sum())(jnp.negative(GOOD))
    here()


@program("loss")
def a_coroutine(here: Here) -> None:
    async def train() -> None:
        await asyncio.sleep(0)
        loss = value(BAD)
        here()

    asyncio.run(train())


@program("value(...)")
def a_call_without_source(here: Here) -> None:
    exec("loss = value(BAD)", {"value": value, "BAD": BAD})


# -- what it passes --------------------------------------------------------------------


@program("loss", passed={"batch": "X[idx]"})
def rows_of_an_array(here: Here) -> None:
    w, idx = jnp.ones(2), np.array([0, 2])
    loss = of_rows(w, X[idx])
    here()


@program("loss", passed={"batch": "next(batches)"})
def by_keyword_over_lines(here: Here) -> None:
    batches = iter([X.copy()])
    loss = of_rows(
        batch=next(batches),
        w=jnp.ones(2),
    )
    here()


@program("loss", passed={})
def under_its_own_name(here: Here) -> None:
    batch = X.copy()
    loss = of_rows(jnp.ones(2), batch)
    here()


@program("loss", passed={})
def with_a_star(here: Here) -> None:
    loss = of_rows(*[jnp.ones(2), X + 0])
    here()


@program("of_rows(...)", passed={"batch": 'X[:3] * np.array([1, 2], "f")'})
def nothing_is_assigned(here: Here) -> None:
    print(of_rows(jnp.ones(2), X[:3] * np.array([1, 2], "f")))


# -- libraries of models ---------------------------------------------------------------


@program(
    'state.params["params"]["bias"]',
    'state.params["params"]["kernel"]',
    'state.opt_state[0].trace["params"]["bias"]',
    'state.opt_state[0].trace["params"]["kernel"]',
    "loss",
)
def linen(here: Here) -> None:
    model = nn.Dense(1)
    params = model.init(jax.random.key(0), jnp.ones((1, 2)))
    tx = optax.sgd(0.1, momentum=0.9)
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    @jax.jit
    def train_step(state: Any, x: Any) -> Any:
        def loss_of(params: Any) -> Any:
            return jnp.sqrt(-1 - jnp.abs(state.apply_fn(params, x))).mean()

        loss, grads = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=grads), loss

    state, loss = train_step(state, jnp.ones((4, 2)))
    here()


@program("model.weight", "model.bias", "loss")
def equinox(here: Here) -> None:
    @eqx.filter_jit
    def train_step(model: Any, x: Any) -> Any:
        loss = jnp.log(-jnp.abs(model(x))).sum()
        return eqx.apply_updates(model, jax.tree.map(lambda p: p * loss, model)), loss

    model = eqx.nn.Linear(2, 1, key=jax.random.key(0))
    model, loss = train_step(model, jnp.ones(2))
    here()


class Net(eqx.Module):
    w: jax.Array

    @eqx.filter_jit
    def loss(self, x: Any) -> Any:
        return jnp.log(-self.w * x).sum(), x


@program("loss")
def a_method_of_equinox(here: Here) -> None:
    net = Net(jnp.ones(2))
    loss, _ = net.loss(jnp.ones(2))
    here()


@program(
    'params["w"]',
    'opt_state[0].mu["w"]',
    'opt_state[0].nu["w"]',
)
def optax_and_a_dict(here: Here) -> None:
    tx = optax.adam(1e-3)

    @jax.jit
    def update(params: Any, opt_state: Any, x: Any) -> Any:
        grads = {"w": params["w"] * jnp.log(x).sum()}
        updates, opt_state = tx.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state

    params = {"w": jnp.ones(2)}
    opt_state = tx.init(params)
    params, opt_state = update(params, opt_state, BAD)
    here()


@program("model.kernel", "loss", 'aux["twice"]')
def nnx_module(here: Here) -> None:
    @nnx.jit
    def train_step(model: Any, x: Any) -> Any:
        loss = jnp.log(-x).sum()
        model.kernel[...] = model.kernel[...] * loss
        return loss, {"twice": loss * 2}

    model = nnx.Linear(2, 1, use_bias=False, rngs=nnx.Rngs(0))
    loss, aux = train_step(model, jnp.ones(2))
    here()
