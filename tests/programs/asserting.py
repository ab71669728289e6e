"""Programs in which an assertion over values fails, with what is true of the failure.

Each is called in a region and raises there. The truth was written before the first run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


@dataclass(frozen=True)
class Program:
    """A program, and the truth about the assertion that fails in it.

    Attributes:
        run: the program.
        says: parts of the message, in their order.
        path: of the leaf that is named, as the line of the assertion calls it.
        index: of its element.
        never: what the message must not say.
    """

    run: Callable[[], Any]
    says: tuple[str, ...]
    path: str = ""
    index: tuple[int, ...] = ()
    never: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.run.__name__


PROGRAMS: list[Program] = []


def program(
    *says: str, path: str = "", index: tuple[int, ...] = (), never: tuple[str, ...] = ()
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(run: Callable[[], Any]) -> Callable[[], Any]:
        PROGRAMS.append(Program(run, says, path, index, never))
        return run

    return add


GOOD = np.ones(3, np.float32)


class Net(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(3)])

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def spoilt() -> Net:
    net = Net()
    kernel = net.layers[1].kernel
    kernel[...] = kernel[...].at[2, 3].set(jnp.nan)
    return net


@program(
    "1 of 6 leaves is not finite: model.layers[1].kernel[2, 3] is NaN",
    "step (call 1",
    path="model.layers[1].kernel",
    index=(2, 3),
    never=("Array(", "State("),
)
def state_of_a_model() -> None:
    @nnx.jit
    def step(model: Net, x: Any) -> Any:
        chex.assert_tree_all_finite(nnx.state(model))
        return model(x).sum()

    step(spoilt(), jnp.ones((2, 4)))


@program(
    '1 of 2 leaves is not finite: tree["dec"]["w"][1] is Inf',
    path='tree["dec"]["w"]',
    index=(1,),
)
def a_dict() -> None:
    @jax.jit
    def plain(tree: Any) -> Any:
        chex.assert_tree_all_finite(tree)
        return tree["enc"]["w"] * 2

    plain({"enc": {"w": jnp.ones(3)}, "dec": {"w": jnp.array([1.0, jnp.inf])}})


@program(
    '2 of 3 leaves are not finite: grads["b"] is -Inf', path='grads["b"]', index=()
)
def gradients() -> None:
    @jax.jit
    def step(grads: Any) -> Any:
        chex.assert_tree_all_finite(grads)
        return grads["a"] + 1

    step({"a": jnp.ones(2), "b": -jnp.inf, "c": jnp.array([[1.0, jnp.nan]])})


@program(
    "1 of 2 leaves is not finite: b is NaN",
    "NaN was born in `jnp.log`",
    path="b",
    never=('{"',),
)
def born_before_it_and_in_a_display() -> None:
    @jax.jit
    def step(x: Any) -> Any:
        a = x * 2
        b = jnp.log(x)
        chex.assert_tree_all_finite({"first": a, "second": b})
        return a

    step(jnp.float32(-1.0))


@program("1 of 1 leaf is not finite: c is NaN", "scan step 3 of 4", path="c")
def in_a_scan() -> None:
    @jax.jit
    def run(x: Any) -> Any:
        def body(c: Any, v: Any) -> Any:
            c = c + jnp.sqrt(v)
            chex.assert_tree_all_finite(c)
            return c, c

        return jax.lax.scan(body, jnp.float32(0), x)[0]

    run(jnp.array([1.0, 1.0, -9.0, 1.0]))


@program("The argument must be positive, got -4.0", "scan step 4 of 4")
def a_scalar_in_a_scan() -> None:
    @jax.jit
    def run(x: Any) -> Any:
        def body(c: Any, v: Any) -> Any:
            chex.assert_scalar_positive(c)
            return c + v, c

        return jax.lax.scan(body, x[0], x)[0]

    run(jnp.array([1.0, 1.0, -9.0, 1.0]) + jnp.array([1.0, 1.0, -1.0, 0.0]))


@program("1 of 1 leaf is not finite: row[1] is NaN", "row 4", path="row", index=(1,))
def under_vmap() -> None:
    @jax.jit
    def rows(x: Any) -> Any:
        def one(row: Any) -> Any:
            chex.assert_tree_all_finite(row)
            return row * 2

        return jax.vmap(one)(x)

    rows(jnp.ones((6, 3)).at[4, 1].set(jnp.nan))


class Holder(eqx.Module):
    inner: eqx.nn.Linear


@program(
    "1 of 2 leaves is not finite: model.inner.weight[0, 1] is NaN",
    path="model.inner.weight",
    index=(0, 1),
)
def an_equinox_model() -> None:
    @eqx.filter_jit
    def step(model: Holder, x: Any) -> Any:
        chex.assert_tree_all_finite(eqx.filter(model, eqx.is_array))
        return model.inner(x)

    model = Holder(eqx.nn.Linear(2, 2, key=jax.random.key(0)))
    bad = model.inner.weight.at[0, 1].set(jnp.nan)
    step(eqx.tree_at(lambda m: m.inner.weight, model, bad), jnp.ones(2))


@program(
    "1 of 2 leaves is not finite: tree['b'][0] is NaN".replace("'", '"'),
    path='tree["b"]',
    index=(0,),
)
def eagerly() -> None:
    tree = {"a": jnp.ones(2), "b": np.array([np.nan, 1.0])}
    chex.assert_tree_all_finite(tree)


@program(
    '1 of 2 leaves differs: new["w"][1, 0] is 3 and old["w"][1, 0] is 1',
    path='new["w"]',
    index=(1, 0),
)
def trees_that_are_not_close() -> None:
    @jax.jit
    def step(new: Any, old: Any) -> Any:
        chex.assert_trees_all_close(new, old, rtol=0.1)
        return new["w"]

    old = {"b": jnp.ones(2), "w": jnp.ones((2, 2))}
    new = {"b": jnp.ones(2), "w": jnp.array([[1.0, 1.5], [3.0, 1.0]])}
    step(new, old)


@program("2 of 2 leaves differ: b[2] is 7 and a[2] is 0", path="b", index=(2,))
def trees_that_are_not_equal() -> None:
    @jax.jit
    def step(a: Any, b: Any) -> Any:
        chex.assert_trees_all_equal((b, a), (a, b))
        return a

    step(jnp.array([0, 0, 0]), jnp.array([1, 0, 7]))


@program('new["w"][1] is 2 and old["w"][1] is 1', path='new["w"]', index=(1,))
def trees_that_are_not_close_eagerly() -> None:
    old, new = {"w": jnp.ones(2)}, {"w": jnp.array([1.0, 2.0])}
    chex.assert_trees_all_close(new, old)


@program("assert_equal", "x.sum() is 3 and n is 4", path="x.sum()", never=("Traced",))
def equal_scalars() -> None:
    @jax.jit
    def step(x: Any, n: Any) -> Any:
        chex.assert_equal(x.sum(), n)
        return x

    step(jnp.ones(3), jnp.float32(4))


@program(
    "1 of 1 leaf is not finite: self.scale[0] is Inf", path="self.scale", index=(0,)
)
def in_a_method() -> None:
    class Layer(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.array([jnp.inf]))

        def __call__(self, x: Any) -> Any:
            chex.assert_tree_all_finite(self.scale)
            return x

    @nnx.jit
    def step(model: Any, x: Any) -> Any:
        return model(x)

    step(Layer(), jnp.ones(1))


@program("the element [1] is NaN", index=(1,), never=("tree[", "Array("))
def where_the_line_says_no_name() -> None:
    check = chex.assert_tree_all_finite

    @jax.jit
    def step(x: Any) -> Any:
        list(map(check, [x]))
        return x

    step(jnp.array([1.0, jnp.nan]))


@program(
    "1 of 6 leaves is not finite: model.layers[1].kernel[2, 3] is NaN",
    "1 of its 16 elements is not finite: float32[4,4]",
    "in code that is not jitted",
    path="model.layers[1].kernel",
    index=(2, 3),
    never=("State(", "Nonfinite"),
)
def state_of_a_model_eagerly() -> None:
    model = spoilt()
    chex.assert_tree_all_finite(nnx.state(model))


@program(
    "model.layers[1].kernel[2, 3] is NaN",
    path="model.layers[1].kernel",
    index=(2, 3),
)
def a_whole_model_eagerly() -> None:
    model = spoilt()
    chex.assert_tree_all_finite(model)


@program(
    'after["w"][1] is 5 and before["w"][1] is 1 (rtol=0.5, atol=0.0). '
    "Custom message: step 3.",
    path='after["w"]',
    index=(1,),
)
def with_a_message_and_values_eagerly() -> None:
    before, after = {"w": jnp.ones(2)}, {"w": jnp.array([1.4, 5.0])}
    chex.assert_trees_all_close(
        after,
        before,
        rtol=0.5,
        custom_message="step {}",
        custom_message_format_vars=(3,),
    )


@program("x[2] is 9 and y[2] is 3", path="x", index=(2,))
def of_two_types_eagerly() -> None:
    x, y = jnp.array([1, 2, 9]), np.array([1.0, 2.0, 3.0])
    chex.assert_trees_all_equal(x, y)


@program("a[1] is 1.0000002 and b[1] is 1 (maxulp=1)", path="a", index=(1,))
def units_in_the_last_place() -> None:
    @jax.jit
    def step(a: Any, b: Any) -> Any:
        chex.assert_trees_all_close_ulp(a, b)
        return a

    ones = np.ones(2, np.float32)
    step(ones + np.float32([0, 2.4e-7]), ones)


@program("assert_is_divisible", "7 is not divisible by 2", never=("Traced",))
def divisible() -> None:
    @jax.jit
    def step(n: Any) -> Any:
        chex.assert_is_divisible(n, 2)
        return n

    step(jnp.int32(7))


@program(
    '1 of 2 leaves differs: got["n"] is 3 and the other is 4', path='got["n"]', index=()
)
def equal_dicts() -> None:
    @jax.jit
    def step(got: Any) -> Any:
        chex.assert_equal(got, {"a": 1, "n": 4})
        return got

    step({"a": jnp.int32(1), "n": jnp.int32(3)})


@program(
    "assert_trees_all_equal_comparator",
    'new["w"] and old["w"] are not equal by the comparator',
    never=('new["b"]', "Traced"),
)
def by_a_comparator() -> None:
    @jax.jit
    def step(new: Any, old: Any) -> Any:
        chex.assert_trees_all_equal_comparator(
            lambda x, y: jnp.abs(x - y).max() < 0.5, lambda x, y: "far", new, old
        )
        return new

    step(
        {"b": jnp.ones(2), "w": jnp.ones(2)}, {"b": jnp.ones(2), "w": jnp.array([1, 3])}
    )


@program('1 of 1 leaf is not finite: tree["w"][1] is Inf', path='tree["w"]', index=(1,))
def chexified_by_the_user() -> None:
    @chex.chexify
    @jax.jit
    def step(tree: Any) -> Any:
        chex.assert_tree_all_finite(tree)
        return tree["w"] * 2

    step({"w": jnp.array([1.0, jnp.inf])})


@program("a[1] is 2 and b[1] is 1", path="a", index=(1,))
def chexified_by_the_user_and_waited_for() -> None:
    def step(a: Any, b: Any) -> Any:
        chex.assert_trees_all_equal(a, b)
        return a

    chex.chexify(jax.jit(step), async_check=False)(
        jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0])
    )


@program("x[1] is NaN. Custom message: at 3 of {4}.", path="x", index=(1,))
def with_a_message_and_traced_values() -> None:
    @jax.jit
    def step(x: Any, n: Any) -> Any:
        chex.assert_tree_all_finite(
            x,
            custom_message="at {} of {{4}}",
            custom_message_format_vars=(n,),
        )
        return x

    step(jnp.array([1.0, jnp.nan]), jnp.int32(3))


@program("must be positive, got -1.0. Custom message: of {a}.")
def a_scalar_with_a_message() -> None:
    @jax.jit
    def step(x: Any) -> Any:
        chex.assert_scalar_positive(x, custom_message="of {a}")
        return x

    step(jnp.float32(-1))
