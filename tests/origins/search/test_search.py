"""From a bad output back to the operation in which its badness was born."""

from __future__ import annotations

import linecache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdbg.jax_internals.jaxprs.effects import NotReplayable
from jaxdbg.origins.found import Found
from jaxdbg.origins.search import numpy_rules
from jaxdbg.origins.search.evaluate import Recorder
from jaxdbg.origins.search.search import first_birth, search
from jaxdbg.origins.search.time_limit import OutOfTime, TimeLimit

F32 = np.float32
NAN, INF = np.nan, np.inf


def found(function: Any, *args: Any, output: int = 0) -> Found:
    """Where the badness of one output of a function comes from."""
    jaxpr = jax.make_jaxpr(function)(*args)
    return search(jaxpr, jax.tree.leaves(args), [output])[output]


def born(function: Any, *args: Any, output: int = 0) -> str:
    """What was born where, as `nan log`, with the turns after it."""
    got = found(function, *args, output=output)
    assert got.verdict == "born"
    births = [got.birth, *got.turns]
    return ", ".join(f"{b.kind} {b.site.eqn.primitive}" for b in births if b)


def line(eqn: Any) -> str:
    """The line of this file that an equation stands in."""
    frames = eqn.source_info.traceback.frames
    number = next(f.line_num for f in frames if f.file_name == __file__)
    return linecache.getline(__file__, number).strip()


def scanned(x):
    def body(c, row):
        return c * row, jnp.sqrt(c)

    return lax.scan(body, F32(1), x)[1]


def scanned_back(x):
    return lax.scan(lambda c, row: (c * row, jnp.sqrt(c)), F32(1), x, reverse=True)[1]


def counted(x):
    return lax.while_loop(
        lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] / (3 - s[0])), (0, x)
    )[1]


@jax.custom_jvp
def with_jvp(x):
    return jnp.log(x)


with_jvp.defjvp(lambda p, t: (with_jvp(*p), t[0] / p[0]))


@jax.custom_vjp
def with_vjp(x):
    return jnp.log(x)


with_vjp.defvjp(lambda x: (with_vjp(x), x), lambda x, g: (g / x,))


@jax.custom_batching.custom_vmap
def with_vmap(x):
    return jnp.log(x)


with_vmap.def_vmap(lambda size, batched, x: (jnp.log(x), batched[0]))


BORN = {
    "0/0": (lambda x: x / x, (F32(0),), "nan div"),
    "log of a negative": (jnp.log, (F32(-1),), "nan log"),
    "log of 0": (lambda x: -jnp.log(x), (F32(0),), "-inf log"),
    "overflow": (jnp.exp, (F32(1e3),), "inf exp"),
    "to float16": (
        lambda x: x.astype(jnp.float16),
        (F32(1e6),),
        "inf convert_element_type",
    ),
    "to bfloat16": (
        lambda x: x.astype(jnp.bfloat16),
        (F32(3.4e38),),
        "inf convert_element_type",
    ),
    "to float8": (
        lambda x: x.astype(jnp.float8_e4m3fn),
        (F32(1e6),),
        "nan convert_element_type",
    ),
    "reduced precision": (
        lambda x: lax.reduce_precision(x, 5, 10),
        (F32(1e6),),
        "inf reduce_precision",
    ),
    "Inf - Inf": (lambda x: jnp.exp(x) - jnp.exp(x), (F32(1e3),), "inf exp, nan sub"),
    "0 * Inf": (lambda x: jnp.log(x) * x, (F32(0),), "-inf log, nan mul"),
    "sum": (jnp.sum, (np.full(4, 3e38, F32),), "inf reduce_sum"),
    "cumulative sum": (jnp.cumsum, (np.full(4, 3e38, F32),), "inf cumsum"),
    "associative scan": (
        lambda x: lax.associative_scan(jnp.multiply, x),
        (np.full(4, 1e30, F32),),
        "inf mul",
    ),
    "product of matrices": (
        lambda x: x @ x,
        (np.full((2, 2), 1e30, F32),),
        "inf dot_general",
    ),
    "cholesky": (jnp.linalg.cholesky, (-np.eye(2, dtype=F32),), "nan cholesky"),
    "triangular solve": (
        lambda a: jax.scipy.linalg.solve_triangular(a, jnp.ones(2)),
        (np.zeros((2, 2), F32),),
        "nan triangular_solve",
    ),
    "singular": (
        lambda a: jnp.linalg.solve(a, jnp.ones(2)),
        (np.ones((2, 2), F32),),
        "nan triangular_solve",
    ),
    "custom_vmap": (with_vmap, (F32(-1),), "nan log"),
    "out of range": (
        lambda x: jnp.take(x, np.array([0, 9])),
        (np.ones(3, F32),),
        "nan gather",
    ),
    "all masked": (
        lambda x: jax.nn.softmax(jnp.where(x > 0, x, -jnp.inf)),
        (np.zeros(3, F32),),
        "nan sub",
    ),
    "jit": (jax.jit(jnp.log), (F32(-1),), "nan log"),
    "remat": (jax.checkpoint(jnp.log), (F32(-1),), "nan log"),
    "custom_jvp": (with_jvp, (F32(-1),), "nan log"),
    "custom_vjp": (with_vjp, (F32(-1),), "nan log"),
    "backward of custom_vjp": (jax.grad(with_vjp), (F32(0),), "inf div"),
    "gradient of sqrt": (jax.grad(jnp.sqrt), (F32(0),), "inf div"),
    "gradient of norm": (
        jax.grad(lambda x: jnp.linalg.norm(x)),
        (np.zeros(3, F32),),
        "inf div, nan mul",
    ),
    "where in a gradient": (
        jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)),
        (F32(0),),
        "inf div, nan mul",
    ),
    "median": (lambda x: jnp.median(jnp.log(x)), (-np.ones(4, F32),), "nan log"),
    "a NaN for a NaN": (
        lambda x: jnp.where(jnp.isnan(x / x), jnp.nan, x),
        (F32(0),),
        "nan div",
    ),
    "complex": (lambda x: 1 / (x + 0j), (F32(0),), "nan div"),
}


@pytest.mark.parametrize("name", BORN)
def test_born(name):
    function, args, expected = BORN[name]
    assert born(function, *args) == expected


PLACED = {
    "literal": (lambda x: jnp.where(x > 0, x, jnp.nan), (F32(-1),)),
    "moved": (lambda x: jnp.where(x > 0, x, -jnp.inf)[::-1] * 2, (np.zeros(2, F32),)),
    "constant": (lambda x: x + np.array([NAN, 1], F32), (F32(1),)),
    "running maximum": (lambda x: jnp.max(x, initial=-jnp.inf), (np.zeros(0, F32),)),
    "bits": (lambda x: lax.bitcast_convert_type(x, F32), (np.int32(0x7F800000),)),
    "through a matrix product": (
        lambda x: jnp.where(x > 0, x, jnp.nan) @ x,
        (np.zeros((2, 2), F32),),
    ),
}


@pytest.mark.parametrize("name", PLACED)
def test_placed(name):
    function, args = PLACED[name]
    assert found(function, *args).verdict == "placed"


# -- what is known of a birth ---------------------------------------------------------


def test_a_birth_has_its_values():
    x, y = np.array([4, 0, 0], F32), np.array([2, 1, 0], F32)
    got = found(lambda x, y: (2 * (x / y)).sum(), x, y)
    birth = got.birth
    assert birth.element == (2,)
    assert birth.operand_elements == ((2,), (2,))
    np.testing.assert_array_equal(birth.operands[0], x)
    np.testing.assert_array_equal(birth.operands[1], y)
    np.testing.assert_array_equal(birth.result, np.array([2, 0, NAN], F32))
    assert got.output_element == ()


def test_a_broadcast_operand_has_its_own_element():
    got = found(lambda x: x / x.sum(1, keepdims=True), np.array([[1, 1], [0, 0]], F32))
    assert got.birth.element == (1, 0)
    assert got.birth.operand_elements == ((1, 0), (1, 0))


def test_the_site_leads_to_the_equation():
    @jax.jit
    def inner(x):
        y = x * 2
        return jnp.log(y)

    jaxpr = jax.make_jaxpr(lambda x: inner(x + 1))(F32(-2))
    site = search(jaxpr, [F32(-2)], [0])[0].birth.site
    assert line(site.eqn) == "return jnp.log(y)"
    assert [e.primitive.name for e in site.outer] == ["jit"]
    (outer, body), (index, _) = site.path
    assert body == 0
    assert jaxpr.eqns[outer].params["jaxpr"].eqns[index] is site.eqn


def test_what_prints_does_not_move_the_equations():
    def function(x):
        jax.debug.print("{x}", x=x)
        return jnp.log(x)

    assert found(function, F32(-1)).birth.site.path == ((1, 0),)


# -- loops and branches ---------------------------------------------------------------


def test_the_step_of_a_scan():
    got = found(scanned, np.array([1, -1, 1, 1], F32))
    assert got.birth.site.eqn.primitive.name == "sqrt"
    assert got.birth.site.loop == (("scan", 2, 4),)
    assert got.output_element == (2,)


def test_the_step_of_a_scan_that_runs_backwards():
    got = found(scanned_back, np.array([1, 1, -1, 1], F32))
    assert got.birth.site.loop == (("scan", 1, 4),)
    assert got.output_element == (1,)


def test_the_iteration_of_a_while():
    got = found(counted, F32(1))
    assert got.birth.site.loop == (("while", 3, None),)
    assert got.birth.site.path[0] == (0, 1)


def test_a_mapped_while():
    got = found(jax.vmap(counted), np.array([1, 2], F32))
    assert got.birth.site.loop == (("while", 3, None),)


def test_a_mapped_while_that_ends_earlier_for_some():
    def steps(n, x):
        def body(s):
            return s[0] + 1, jnp.sqrt(s[1]) - 1

        return lax.while_loop(lambda s: s[0] < n, body, (0, x))[1]

    n, x = np.array([1, 4]), np.array([0.0, 1.0], F32)
    got = found(jax.vmap(steps), n, x)
    assert got.output_element == (1,)
    assert got.birth.element == (1,)
    assert got.birth.site.loop == (("while", 2, None),)


def test_loops_in_loops():
    def function(x):
        def outer(c, row):
            return lax.scan(lambda c, v: (c + jnp.log(v), v), c, row)[0], None

        return lax.scan(outer, F32(0), x)[0]

    x = np.ones((3, 4), F32)
    x[1, 2] = -1
    site = found(function, x).birth.site
    assert site.loop == (("scan", 1, 3), ("scan", 2, 4))
    assert [e.primitive.name for e in site.outer] == ["scan", "scan"]


@pytest.mark.parametrize(("x", "branch", "what"), [(-1, 0, "log"), (1e3, 1, "exp")])
def test_the_branch_that_was_taken(x, branch, what):
    def function(x):
        return lax.cond(x > 0, jnp.exp, jnp.log, x)

    site = found(function, F32(x)).birth.site
    assert site.eqn.primitive.name == what
    assert site.branches == ((branch, 2),)
    assert site.path[-2][1] == branch


def test_a_mapped_branch():
    def function(x):
        return lax.cond(x > 0, jnp.sqrt, jnp.log, x)

    got = found(jax.vmap(function), np.array([4, 1, -2], F32))
    assert got.birth.site.eqn.primitive.name == "log"
    assert got.birth.element == (2,)


# -- element by element ---------------------------------------------------------------


def test_a_mask_beside_a_birth_is_not_blamed():
    def function(x):
        scores = jnp.where(x > 0, x, -jnp.inf)
        return (scores.at[1].set(jnp.log(x[0] - x[2]))).reshape(2, 2).T.sum(1)

    x = np.array([1, 1, 2, -1], F32)
    got = found(function, x)
    assert (got.kind, got.birth.site.eqn.primitive.name) == ("nan", "log")


def test_one_row_came_in_and_another_was_born():
    x = np.ones((4, 6), F32)
    x[1, 2], x[3] = NAN, 0
    got = found(lambda x: x / x.sum(1, keepdims=True), x)
    assert got.verdict == "born"
    assert got.birth.element == (3, 0)
    assert got.output_element == (3, 0)


def test_what_is_selected_away_is_not_blamed():
    def function(x):
        return jnp.where(x > 0, x * 0 + jnp.array([1, INF]), jnp.sqrt(x))

    got = found(function, np.array([-1, 1], F32))
    assert got.birth.site.eqn.primitive.name == "sqrt"


def test_a_dead_branch_is_not_blamed():
    def function(x):
        return jnp.where(x > 0, jnp.log(x), 0.0) + 1 / (x + 1)

    assert born(function, F32(-1)) == "inf div"


def test_the_earlier_of_two_births():
    def function(x):
        early = jnp.log(x)
        return early + jnp.sqrt(x)

    assert born(function, F32(-1)) == "nan log"


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.T,
        lambda x: x.reshape(-1),
        lambda x: x[::-1],
        lambda x: x[1:, 2:],
        lambda x: jnp.concatenate([x, -x]),
        lambda x: jnp.pad(x, 1),
        lambda x: x[jnp.array([2, 1, 1])],
        lambda x: jnp.zeros((4, 6)).at[:3, :4].set(x),
        lambda x: jnp.sort(x, axis=1),
        lambda x: lax.dynamic_slice(x, (1, 1), (2, 3)),
        lambda x: lax.dynamic_update_slice(jnp.ones((5, 5)), x, (1, 1)),
        lambda x: jnp.broadcast_to(x, (2, 3, 4)),
        lambda x: jnp.stack([x, x], axis=1),
        lambda x: jnp.split(x, 2, axis=1)[1],
        lambda x: jnp.where(x > 5, 0.0, x),
        lambda x: lax.top_k(x, 2)[0],
        lambda x: jnp.tile(x, (2, 1)),
    ],
)
def test_what_moves_is_followed(move):
    x = np.arange(12, dtype=F32).reshape(3, 4)
    x[1, 2] = NAN
    got = found(move, x)
    assert (got.verdict, got.argument, got.element) == ("came in", 0, (1, 2))
    assert not got.spread
    assert got.notes == ()


SPREAD = {
    "sum": jnp.sum,
    "mean": lambda x: x - x.mean(0),
    "matrix product": lambda x: x @ jnp.ones((4, 2)),
    "other side": lambda x: jnp.ones((2, 3)) @ x,
    "cumulative": lambda x: jnp.cumsum(x, axis=1),
    "scatter": lambda x: jnp.zeros(2).at[jnp.array([0, 1, 1])].add(x[:, 2]),
    "convolution": lambda x: jnp.convolve(x[1], jnp.ones(3)),
    "fft": lambda x: jnp.fft.fft(x),
    "maximum": lambda x: x.max(1),
    "quantile": lambda x: jnp.quantile(x, 0.3),
    "inverse": lambda x: jnp.linalg.inv(x[:3, 1:]),
    "pooling": lambda x: lax.reduce_window(
        x, -jnp.inf, lax.max, (2, 2), (1, 1), "SAME"
    ),
    "scan": lambda x: lax.scan(lambda c, r: (c + r.sum(), c), 0.0, x)[0],
    "into Infs": lambda x: x.sum() * 2,
}


@pytest.mark.parametrize("name", SPREAD)
def test_what_spreads_is_told(name):
    x = np.arange(12, dtype=F32).reshape(3, 4)
    x[1, 2] = NAN
    got = found(SPREAD[name], x)
    assert (got.verdict, got.argument, got.element) == ("came in", 0, (1, 2))
    assert got.spread


def test_the_largest_of_some_infs_has_not_spread():
    x = np.array([[1, INF], [2, 3]], F32)
    assert not found(lambda x: x.max(1), x).spread


def test_an_inf_that_came_in_and_turned():
    got = found(
        lambda w, x: w @ x - w @ x, np.array([[INF]], F32), np.ones((1, 1), F32)
    )
    assert (got.verdict, got.kind, got.argument) == ("came in", "inf", 0)
    assert got.spread
    assert [t.site.eqn.primitive.name for t in got.turns] == ["sub"]


def test_an_unknown_operation_is_followed_as_a_whole():
    @jax.jit
    def function(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda x: np.asarray(x) * 2, shape, x)

    got = found(function, np.array([1, NAN], F32))
    assert (got.verdict, got.element) == ("came in", (1,))
    assert got.notes == (
        "through pure_callback only whole arrays were followed, not elements",
    )


# -- when it is not so ----------------------------------------------------------------


def through_a_ref(x):
    ref = jax.new_ref(jnp.ones(3))
    ref[...] = jnp.log(x)
    return ref[...] * 2


def through_a_ref_in_a_loop(x):
    ref = jax.new_ref(jnp.ones(()))

    def step(c, v):
        ref[...] *= jnp.sqrt(v)
        return c, None

    lax.scan(step, 0.0, x)
    return ref[...]


@pytest.mark.parametrize("function", [through_a_ref, through_a_ref_in_a_loop])
def test_a_ref_is_not_followed(function):
    with pytest.raises(NotReplayable, match="it went through a Ref, which is not fol"):
        found(function, np.array([1, -1, 2], F32))


def test_what_is_finite_the_second_time_is_not_blamed():
    got = found(lambda x: x * 2, F32(1))
    assert got.verdict == "not reproduced"
    assert got.birth is None
    assert got.notes == ("evaluated again, operation by operation, it is finite",)


def test_the_compiled_program_gave_something_else():
    jaxpr = jax.make_jaxpr(lambda x: x / x)(F32(0))
    got = search(jaxpr, [F32(0)], [0], seen={0: F32(INF)})[0]
    assert got.notes == (
        "the compiled program gave Inf where the operations one by one give NaN",
    )


def test_time_is_limited():
    jaxpr = jax.make_jaxpr(jnp.log)(F32(-1))
    with pytest.raises(OutOfTime):
        search(jaxpr, [F32(-1)], [0], TimeLimit(0))


def test_many_outputs_are_evaluated_together(monkeypatch):
    recorded = []
    plain = Recorder.record

    def record(self, *args):
        recorded.append(1)
        plain(self, *args)

    monkeypatch.setattr(Recorder, "record", record)
    x = np.array([1, NAN], F32)
    jaxpr = jax.make_jaxpr(lambda x: tuple(x * n for n in range(8)))(x)
    assert {f.verdict for f in search(jaxpr, [x], range(8)).values()} == {"came in"}
    assert len(recorded) == 2


def test_after_the_first_failure_others_are_looked_at_for_a_short_time(monkeypatch):
    x = np.array([1, -1], F32)
    jaxpr = jax.make_jaxpr(lambda x: (jnp.log(x), x.sum() / (x - x)))(x)
    births = {i: f.birth.site.eqn.primitive.name for i, f in both(jaxpr, x).items()}
    assert births == {0: "log", 1: "div"}
    monkeypatch.setattr(TimeLimit, "short", lambda _: TimeLimit(-1))
    assert list(both(jaxpr, x)) == [0]


def both(jaxpr, x):
    return search(jaxpr, [x], [0, 1])


# -- with every operation -------------------------------------------------------------


def test_a_birth_that_reaches_no_output():
    def function(x):
        return jnp.where(x > 0, jnp.log(x), 0.0)

    got = first_birth(jax.make_jaxpr(function)(F32(-1)), [F32(-1)])
    assert got.birth.site.eqn.primitive.name == "log"


def test_the_first_birth_knows_its_infs():
    got = first_birth(jax.make_jaxpr(lambda x: jnp.log(x) * x)(F32(0)), [F32(0)])
    assert got.birth.site.eqn.primitive.name == "log"
    assert [t.site.eqn.primitive.name for t in got.turns] == ["mul"]


def test_a_good_program_has_no_birth():
    jaxpr = jax.make_jaxpr(lambda x: jnp.where(x > 0, x, -jnp.inf))(F32(-1))
    assert first_birth(jaxpr, [F32(-1)]) is None


# -- in numpy, and in XLA where that disagrees ----------------------------------------


def test_a_rule_that_fails_leaves_it_to_xla(monkeypatch):
    failing = {"exp": lambda eqn, x: eqn.params["not there"]}
    monkeypatch.setattr(numpy_rules, "_RULES", {**numpy_rules._RULES, **failing})
    assert born(lambda x: jnp.exp(x) * 2, F32(1e3)) == "inf exp"


@pytest.mark.parametrize("wrong", [np.nan, 1.0])
def test_numpy_is_not_believed(monkeypatch, wrong):
    wrongly = {"exp": lambda eqn, x: np.full_like(x, wrong)}
    monkeypatch.setattr(numpy_rules, "_RULES", {**numpy_rules._RULES, **wrongly})
    assert born(lambda x: jnp.exp(x) * 2, F32(1e3)) == "inf exp"
    assert found(lambda x: jnp.exp(x) * 2, F32(1)).verdict == "not reproduced"


def test_what_is_too_small_is_zero_as_in_compiled_code():
    x = F32(6e-39)
    assert np.isnan(jax.jit(lambda x: x / x)(x))
    got = found(lambda x: x / x, x)
    assert got.verdict == "born"
    assert got.birth.operands == (x, x)


def test_the_result_of_a_birth_is_what_xla_gives():
    result = found(lambda x: jnp.exp(x), F32(1e3)).birth.result
    assert isinstance(result, jax.Array)
