"""Short programs whose place is hard to say, with the truth beside each of them.

Which of several births is the first, in which step of which loop, which row of the
batch, what the user calls the operation, and whether the compiled program is known to
do the same. The bad line is marked with a comment, `# <- origin`; further births that
have nothing to do with it are marked with names of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.experimental import checkify, pallas as pl
from optax import cosine_similarity

from tests.programs.origins import Built, Loop, f32, grid


@dataclass(frozen=True)
class Place:
    """A program and the truth about the place of its first bad value.

    Attributes:
        build: makes it anew, so that each run starts with its own traces.
        kind: "nan", "inf" or "-inf", of the value that is born; empty for any.
        loop: the loops around it, with the index of the data in each.
        direction: "forward" or "backward".
        expression: the operation as the user wrote it; None where any is fine.
        rows: the rows of the batch that cause it; None where any answer is fine.
        candidate: whether the compiled program may have made it elsewhere.
        others: marks of the lines of further births, in the order of execution.
        paths: the bad leaves, in the order they are made; None where any order is fine.
        function: the name of the function that failed.
        argument: what it came in through; empty for one that was born.
        compiled: what XLA makes of the result, "inf" or "finite", where the truth
            depends on what it rewrites; another version may leave it as it is.
    """

    build: Callable[[], Built]
    kind: str = ""
    loop: Loop = ()
    direction: str = "forward"
    expression: str | None = None
    rows: tuple[tuple[str, int], ...] | None = None
    candidate: bool = False
    others: tuple[str, ...] = ()
    paths: tuple[str, ...] | None = None
    function: str = ""
    argument: str = ""
    compiled: str = ""

    @property
    def name(self) -> str:
        """Of the function that builds it."""
        return self.build.__name__

    def line(self, mark: str = "origin") -> int:
        """The number of the marked line in this file."""
        text, first = inspect.getsourcelines(self.build)
        return next(n for n, t in enumerate(text, first) if f"# <- {mark}\n" in t)


PLACES: list[Place] = []
QUIET: list[Place] = []


def place(**truth: Any) -> Callable[..., Callable[[], Built]]:
    """Adds a program that goes wrong, with the truth about the place."""

    def add(build: Callable[[], Built]) -> Callable[[], Built]:
        PLACES.append(Place(build, **truth))
        return build

    return add


def quiet(build: Callable[[], Built], compiled: str = "") -> Callable[[], Built]:
    """Adds a program in which nothing is wrong."""
    QUIET.append(Place(build, compiled=compiled))
    return build


# -- which birth is the first ---------------------------------------------------------


@place(kind="nan", others=("later",), paths=('f(...)["z"]', 'f(...)["a"]'))
def the_alphabet_is_not_the_order() -> Built:
    @jax.jit
    def f(x):
        z = jnp.log(x - 5)  # <- origin
        a = 1 / (x - x)  # <- later
        return {"a": a, "z": z}

    return Built(f, (f32(1, 2),))


@place(kind="-inf", others=("weights",), paths=('f(...)["loss"]', 'f(...)["w"]'))
def minus_inf_first_and_a_nan_after_it() -> Built:
    @jax.jit
    def f(p, counts):
        loss = -jnp.log(p).mean()  # <- origin
        w = counts / counts.sum()  # <- weights
        return {"loss": loss, "w": w}

    return Built(f, (f32(0.5, 0), f32(0, 0, 0)))


@place(kind="nan", others=("root",), paths=("step(...)[0]", "step(...)[1]"))
def forward_before_a_derivative_of_an_earlier_line() -> Built:
    def loss(w, mask):
        size = jnp.sqrt(w).sum()  # <- root
        share = (mask / mask.sum()).max()  # <- origin
        return size + share

    @jax.jit
    def step(w, mask):
        return jax.value_and_grad(loss)(w, mask)

    return Built(step, (f32(1, 0), f32(0, 0)))


@place(kind="nan", others=("second", "third"))
def three_births_that_have_nothing_to_do_with_each_other() -> Built:
    @jax.jit
    def metrics(x, y):
        a = jnp.sqrt(x.min())  # <- origin
        b = y.sum() / (y > 9).sum()  # <- second
        c = jnp.arccos(2 + x.max())  # <- third
        return a, b, c

    return Built(metrics, (f32(-1, 1), f32(1, 2)))


@place(kind="nan", others=("second",))
def two_terms_of_one_loss() -> Built:
    @jax.jit
    def loss(x, y):
        first = jnp.log(x).sum()  # <- origin
        second = jnp.sqrt(y).sum()  # <- second
        return first + second

    return Built(loss, (f32(1, -1), f32(-4, 4)))


@place(kind="nan", others=(), paths=('f(...)["b"]', 'f(...)["a"]'))
def one_birth_that_reaches_two_leaves() -> Built:
    @jax.jit
    def f(x):
        y = jnp.log(x)  # <- origin
        b = y * 2
        return {"a": (b + 1) / (b + 1), "b": b}

    return Built(f, (f32(1, -2),))


@place(kind="nan", others=())
def a_division_by_what_is_already_nan() -> Built:
    @jax.jit
    def f(x):
        root = jnp.sqrt(x)  # <- origin
        return root.sum(), x / root, 0 * root

    return Built(f, (f32(4, -4),))


@quiet
def a_bad_branch_beside_a_good_loss() -> Built:
    @jax.jit
    def f(x, mask):
        ratio = jnp.where(mask, x / (x - 1), 0.0)
        floor = jnp.where(mask, x, -jnp.inf)
        return {"a": ratio.sum(), "z": jnp.exp(floor).sum(), "floor": floor}

    return Built(f, (f32(1, 2), jnp.array([False, True])))


# -- proof or candidate ---------------------------------------------------------------


@place(kind="inf", compiled="inf")
def likelihood_of_a_spread_that_vanished() -> Built:
    """XLA takes `log(exp(z))` for `z`: only the quotient is bad when compiled."""

    @jax.jit
    def nll(z, error):
        sigma = jnp.exp(z)
        entropy = jnp.log(sigma)
        misfit = (error / sigma) ** 2  # <- origin
        return (entropy + misfit).sum()

    return Built(nll, (f32(0.5, -150, 1), f32(1, 1, 1)))


@place(kind="inf", others=(), compiled="inf")
def a_masked_inf_is_not_the_one_that_counts() -> Built:
    """XLA selects where the program multiplies by a mask."""

    @jax.jit
    def loss(x, mask, z):
        per_row = jnp.sqrt(x) / x
        kept = (mask * per_row).sum()
        return kept + jnp.exp(z).sum()  # <- origin

    return Built(loss, (f32(0, 4), jnp.array([False, True]), f32(1, 200)))


@place(kind="-inf", candidate=False)
def a_sigmoid_by_hand_is_no_candidate() -> Built:
    @jax.jit
    def loss(z):
        p = 1 / (1 + jnp.exp(-z))
        return jnp.log(p).sum()  # <- origin

    return Built(loss, (f32(1, -200),))


@functools.partial(quiet, compiled="finite")
def log_of_exp() -> Built:
    @jax.jit
    def f(z):
        return jnp.log(jnp.exp(z)).sum()

    return Built(f, (f32(200, -200, 1),))


# -- steps of loops -------------------------------------------------------------------


@place(loop=(("scan", 1, 5),), expression="reward / spread")
def advantages_from_the_end() -> Built:
    @jax.jit
    def gae(rewards, spreads):
        def back(after, row):
            reward, spread = row
            scaled = reward / spread  # <- origin
            return scaled + 0.9 * after, after

        return jax.lax.scan(back, 0.0, (rewards, spreads), reverse=True)

    return Built(gae, (f32(1, 2, 3, 4, 5), f32(1, 0, 1, 1, 1)))


@place(loop=(("scan", 1, 5),), direction="backward")
def gradient_of_a_checkpointed_scan() -> Built:
    def loss(w, xs):
        @jax.checkpoint
        def body(c, x):
            return c + jnp.sqrt(w * x), None  # <- origin

        return jax.lax.scan(body, 0.0, xs)[0]

    return Built(jax.jit(jax.grad(loss)), (jnp.float32(2), f32(1, 0, 3, 4, 5)))


@place(loop=(("scan", 3, 5),), direction="backward")
def gradient_of_a_checkpointed_scan_from_the_end() -> Built:
    def loss(w, xs):
        @jax.checkpoint
        def body(c, x):
            return c + jnp.sqrt(w * x), None  # <- origin

        return jax.lax.scan(body, 0.0, xs, reverse=True)[0]

    return Built(jax.jit(jax.grad(loss)), (jnp.float32(2), f32(1, 2, 3, 0, 5)))


@place(loop=(("scan", 2, 3), ("scan", 1, 4)), expression="jnp.log")
def a_scan_in_a_scan_from_the_end() -> Built:
    @jax.jit
    def f(xs):
        def inner(c, x):
            return c + jnp.log(x), None  # <- origin

        def outer(c, row):
            return jax.lax.scan(inner, c, row)[0], c

        return jax.lax.scan(outer, 0.0, xs, reverse=True)

    return Built(f, (jnp.ones((3, 4)).at[2, 1].set(-1),))


@place(loop=(("scan", 2, 4),), expression="1 / row.sum()")
def a_map_over_rows() -> Built:
    @jax.jit
    def f(xs):
        return jax.lax.map(lambda row: 1 / row.sum(), xs)  # <- origin

    return Built(f, (jnp.ones((4, 2)).at[2].set(0),))


@place(loop=(("fori_loop", 3, 6),), expression="c / xs[i]")
def a_fori_loop() -> Built:
    @jax.jit
    def f(xs):
        def body(i, c):
            return c / xs[i]  # <- origin

        return jax.lax.fori_loop(0, 6, body, 1.0)

    return Built(f, (jnp.ones(6).at[3].set(0),))


@place(loop=(("fori_loop(3, 6)", 1, 3),), expression="c / xs[i]")
def a_fori_loop_from_3() -> Built:
    """The second of three steps: its index is 4."""

    @jax.jit
    def f(xs):
        def body(i, c):
            return c / xs[i]  # <- origin

        return jax.lax.fori_loop(3, 6, body, 1.0)

    return Built(f, (jnp.ones(6).at[4].set(0),))


@place(loop=(("fori_loop(2, ...)", 1, None),), expression="c / xs[i]")
def a_fori_loop_from_2_of_unknown_length() -> Built:
    @jax.jit
    def f(xs, n):
        def body(i, c):
            return c / xs[i]  # <- origin

        return jax.lax.fori_loop(2, n, body, 1.0)

    return Built(f, (jnp.ones(6).at[3].set(0), 6))


@place(loop=(("fori_loop", 3, None),), expression="c / xs[i]")
def a_fori_loop_of_unknown_length() -> Built:
    @jax.jit
    def f(xs, n):
        def body(i, c):
            return c / xs[i]  # <- origin

        return jax.lax.fori_loop(0, n, body, 1.0)

    return Built(f, (jnp.ones(6).at[3].set(0), 6))


@place(loop=(("fori_loop", 1, 4),), direction="backward")
def gradient_of_a_fori_loop() -> Built:
    def loss(xs):
        @jax.checkpoint
        def term(x):
            return jnp.sqrt(x)  # <- origin

        return jax.lax.fori_loop(0, 4, lambda i, c: c + term(xs[i]), 0.0)

    return Built(jax.jit(jax.grad(loss)), (f32(1, 0, 4, 9),))


@place(loop=(("while", 2, None),))
def a_while_stays_one() -> Built:
    @jax.jit
    def f(x):
        def body(state):
            i, y = state
            return i + 1, y + 1 / (2 - i)  # <- origin

        return jax.lax.while_loop(lambda s: s[0] < 5, body, (0, x))[1]

    return Built(f, (jnp.float32(1),))


@quiet
def loops_that_are_fine() -> Built:
    @jax.jit
    def f(xs):
        def term(x):
            return jnp.where(x > 0, 1 / x, 0.0)

        total = jax.lax.fori_loop(0, 4, lambda i, c: c + term(xs[i]), 0.0)
        return total, jax.lax.scan(lambda c, x: (c + term(x), c), 0.0, xs, reverse=True)

    return Built(f, (f32(1, 0, 4, 9),))


# -- rows of the batch ----------------------------------------------------------------


@place(rows=(("x", 2),))
def a_batch_of_the_shape_of_a_weight() -> Built:
    @jax.jit
    def step(w, x):
        def loss(w):
            return jnp.log(jnp.abs(x @ w).sum(1)).mean()  # <- origin

        value, grad = jax.value_and_grad(loss)(w)
        return w - grad, value

    return Built(step, (grid(4, 4) + 2, (grid(4, 4) + 2).at[2].set(0)))


@place(rows=(('batch["x"]', 1),))
def a_batch_beside_a_tree_of_weights() -> Built:
    @jax.jit
    def step(params, batch):
        def loss(params):
            h = batch["x"] @ params["w"] + params["b"]
            p = jax.nn.softmax(h)
            return -(batch["y"] * jnp.log(p)).sum(1).mean()  # <- origin

        value, grads = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - g, params, grads), value

    params = {"w": jnp.eye(4) * 500, "b": jnp.zeros(4)}
    batch = {"x": jnp.zeros((4, 4)).at[1, 2].set(1), "y": jnp.eye(4)}
    return Built(step, (params, batch))


@place(rows=(("signal", 3),))
def a_batch_of_no_usual_name() -> Built:
    @jax.jit
    def fit(theta, signal):
        power = (signal * theta).sum(1)
        return jnp.sqrt(power).mean()  # <- origin

    signal = jnp.ones((5, 5)).at[3].set(-1)
    return Built(fit, (f32(1, 2, 3, 4, 5), signal))


@place(rows=(), argument="w[1, 2]")
def a_weight_that_came_in() -> Built:
    @jax.jit
    def predict(w, x):
        return x @ w

    return Built(predict, (grid(3, 3).at[1, 2].set(jnp.nan), jnp.ones((3, 3))))


@place(rows=(), argument="theta[0]")
def a_vector_of_weights_that_came_in() -> Built:
    @jax.jit
    def predict(theta, signal):
        return (signal * theta).sum(1)

    return Built(predict, (f32(1, 2, 3).at[0].set(jnp.nan), jnp.ones((3, 3))))


@place(rows=(), expression="1 / scale")
def weights_that_are_wrong_by_themselves() -> Built:
    @jax.jit
    def predict(scale, features):
        return features @ (1 / scale)  # <- origin

    return Built(predict, (f32(1, 0, 2), jnp.ones((4, 3))))


# -- what the user calls it -----------------------------------------------------------


@place(expression="z.std(0)", direction="backward")
def derivative_of_a_method() -> Built:
    def loss(z):
        return z.std(0).sum()  # <- origin

    return Built(jax.jit(jax.grad(loss)), (jnp.ones((3, 2)),))


@place(expression="jnp.average", kind="nan")
def an_average_of_no_weight() -> Built:
    @jax.jit
    def f(x, w):
        return 1 + jnp.average(x, weights=w)  # <- origin

    return Built(f, (f32(1, 2), f32(0, 0)))


@place(expression="cosine_similarity", kind="nan")
def a_function_of_a_library_imported_by_name() -> Built:
    @jax.jit
    def f(x, y):
        return cosine_similarity(x, y, epsilon=0.0).sum()  # <- origin

    return Built(f, (jnp.ones((2, 3)), jnp.zeros((2, 3))))


@place(expression="optax.cosine_similarity", kind="nan")
def a_function_of_a_library() -> Built:
    @jax.jit
    def f(x, y):
        return optax.cosine_similarity(x, y, epsilon=0.0).sum()  # <- origin

    return Built(f, (jnp.ones((2, 3)), jnp.zeros((2, 3))))


@place(expression="jax.scipy.special.logit", kind="inf")
def a_function_of_scipy() -> Built:
    @jax.jit
    def f(p):
        return jax.scipy.special.logit(p).sum()  # <- origin

    return Built(f, (f32(0.5, 1),))


@place(function="f", kind="nan", expression="jnp.log")
def a_checkified_function() -> Built:
    def f(x):
        checkify.check(x.sum() > -99, "too small")
        return jnp.log(x)  # <- origin

    return Built(jax.jit(checkify.checkify(f)), (f32(1, -1),))


@place(kind="nan", expression="jnp.log")
def a_kernel_of_pallas() -> Built:
    def kernel(x_ref, out_ref):
        x = x_ref[...]
        out_ref[...] = jnp.log(x) + 1  # <- origin

    @jax.jit
    def f(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pl.pallas_call(kernel, out_shape=shape, interpret=True)(x)

    return Built(f, (f32(1, 2, -1, 4),))


@place(kind="nan", expression="jnp.sqrt")
def a_ref_made_in_the_call() -> Built:
    @jax.jit
    def f(x):
        total = jax.new_ref(jnp.zeros(3))
        total[...] = total[...] + jnp.sqrt(x)  # <- origin
        return total[...] * 2

    return Built(f, (f32(1, -2, 3),))


@place(kind="nan", expression="jnp.log", loop=(("scan", 2, 4),))
def a_ref_made_in_the_call_and_written_in_a_scan() -> Built:
    @jax.jit
    def f(xs):
        total = jax.new_ref(jnp.float32(0))

        def body(c, x):
            total[...] = total[...] + jnp.log(x)  # <- origin
            return c, None

        jax.lax.scan(body, 0, xs)
        return total[...]

    return Built(f, (f32(1, 2, -1, 4),))


@quiet
def a_ref_that_is_overwritten() -> Built:
    @jax.jit
    def f(x):
        scratch = jax.new_ref(jnp.log(x))
        scratch[...] = jnp.abs(x)
        return functools.reduce(jnp.add, scratch[...])

    return Built(f, (f32(1, -2, 3),))


@place(expression="jnp.log")
def a_ref_that_the_call_is_given() -> Built:
    @jax.jit
    def f(ref, x):
        ref[...] = ref[...] + jnp.log(x)  # <- origin
        return x

    return Built(f, (jax.new_ref(jnp.zeros(2)), jnp.array([1.0, -1.0])))


@place(loop=(("scan", 1, 3),), expression="jnp.log")
def a_ref_that_the_call_is_given_in_a_scan() -> Built:
    @jax.jit
    def f(ref, x):
        def body(c, v):
            ref[0] = ref[0] + jnp.log(v)  # <- origin
            return c + ref[0], None

        return jax.lax.scan(body, 0.0, x)[0]

    return Built(f, (jax.new_ref(jnp.zeros(2)), jnp.array([1.0, -1.0, 1.0])))
