"""Born, placed, or came in: what fails a call, and what every failure carries."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

import jaxdbg
from jaxdbg.checks import diagnosis
from jaxdbg.origins import batch_rows
from jaxdbg.origins.location import trace_afresh
from jaxdbg.origins.search import evaluate
from jaxdbg.origins.story import describe

NAN = np.nan


def f32(*values):
    return np.array(values, np.float32)


def log_of(x):
    return jnp.log(x)


def failure(function, *args, **options):
    """The finding of a call that fails."""
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked(**options):
        function(*args)
    return caught.value.finding


# -- the rule --------------------------------------------------------------------------


def test_a_minus_inf_that_is_born_fails():
    finding = failure(jax.jit(jnp.log), f32(0, 1))
    assert (finding.kind, finding.nan, finding.inf) == ("inf", 0, 1)
    assert finding.message.startswith("-Inf in log(...), from ")
    assert finding.origin.kind == "-inf"


def test_a_minus_inf_that_was_placed_does_not():
    mask = jax.jit(lambda x: jnp.where(x > 0, 0.0, -jnp.inf))
    with jaxdbg.checked() as region:
        mask(f32(1, -1))
    assert region.report.placed == ("<lambda>: <lambda>(...)",)


def test_a_model_is_named_before_the_state_of_its_optimizer():
    @jax.jit
    def step(state, x):
        moment = state["opt_state"]["mu"] + jnp.log(x)
        return {"opt_state": {"mu": moment}, "params": {"w": moment * 2}}, moment.sum()

    state = {"opt_state": {"mu": f32(0)}, "params": {"w": f32(0)}}
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        state, _loss = step(state, f32(-1))
    finding = caught.value.finding
    assert finding.paths == (
        'state["params"]["w"]',
        'state["opt_state"]["mu"]',
        "_loss",
    )
    assert finding.path == 'state["params"]["w"]'


def test_missing_data_that_stays_is_listed():
    scale = jax.jit(lambda x: (x - 1) * 2)
    with jaxdbg.checked() as region:
        scale(f32(1, NAN))
        scale(f32(1, NAN))
    assert region.report.findings == ()
    assert region.report.placed == ("<lambda>: <lambda>(...)",)


def test_missing_data_that_spreads_fails():
    batch = {"x": np.ones((32, 4), np.float32)}
    batch["x"][17, 3] = NAN
    loss = jax.jit(lambda w, batch: (batch["x"] @ w).mean())
    finding = failure(loss, np.ones((4, 2), np.float32), batch)
    origin = finding.origin
    assert (origin.verdict, origin.argument) == ("came in", 'batch["x"][17, 3]')
    assert origin.element == (17, 3)
    assert origin.rows == (('batch["x"]', 17),)
    assert finding.message.splitlines()[2:4] == [
        '  NaN came in through batch["x"][17, 3], and spread',
        '    batch batch["x"]: row 17 alone causes it',
    ]


def test_a_mask_is_searched_for_once(monkeypatch):
    searches = []
    plain = diagnosis.search

    def counted(*args, **kwargs):
        searches.append(args)
        return plain(*args, **kwargs)

    monkeypatch.setattr(diagnosis, "search", counted)
    mask = jax.jit(lambda x: jnp.where(x > 0, 0.0, -jnp.inf))
    with jaxdbg.checked():
        for _ in range(5):
            mask(f32(1, -1))
    assert len(searches) == 1


def test_a_call_that_made_what_came_in_is_named():
    prepare = jax.jit(lambda x: jnp.where(x > 1, jnp.nan, x))
    total = jax.jit(lambda h: (h * 2).sum())
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        data = f32(1, 2)
        prepared = prepare(data)
        total(prepared)
    origin = caught.value.finding.origin
    assert (origin.argument, origin.argument_leaf) == ("prepared[1]", "prepared")
    assert origin.made_by == "<lambda> (call 1)"
    assert origin.made_at.verdict == "placed"


def test_what_follows_from_a_failure_is_told_once():
    root = jax.jit(lambda x: jnp.sqrt(x))
    data = f32(1, -1)
    total = jax.jit(lambda h: h.sum())
    with jaxdbg.checked(record=True) as region:
        h = root(data)
        for _ in range(4):
            total(h)
    second = region.report.findings[1]
    assert len(region.report.findings) == 2
    assert second.origin.verdict == "came in"
    assert second.origin.made_by == "<lambda> (call 1)"
    assert second.origin.made_at.primitive == "sqrt"
    assert "use values of an earlier finding" in region.report.notices[0]
    # And it is no mask that a later region would let pass.
    bad = np.asarray(h)
    assert failure(total, bad).origin.verdict == "came in"


# -- every door has an origin ----------------------------------------------------------


def test_async_and_record_and_threads():
    logs = jax.jit(lambda x: jnp.log(x))
    assert failure(logs, f32(-1), async_=True).origin.primitive == "log"
    with jaxdbg.checked(record=True) as region:
        logs(f32(-1))
        thread = threading.Thread(target=logs, args=(f32(2, -1),))
        thread.start()
        thread.join()
    first, second = (f.origin for f in region.report.findings)
    assert (first.element, second.element) == ((0,), (1,))


def test_an_eager_operation_knows_the_line_it_stands_in():
    # JAX remembers only the line that called it first.
    jnp.arccosh(f32(3))

    def elsewhere():
        return jnp.arccosh(f32(0.5))

    for options in ({}, {"async_": True}):
        origin = failure(elsewhere, **options).origin
        assert origin.source.line == elsewhere.__code__.co_firstlineno + 1
        assert origin.source.code.strip() == "return jnp.arccosh(f32(0.5))"
        assert origin.notes == ()


def test_every_op():
    discards = jax.jit(lambda x: jnp.where(x > 0, jnp.log(x), 0).sum())
    finding = failure(discards, f32(1, -1), every_op=True)
    assert finding.origin.primitive == "log"
    assert finding.origin.headline == "NaN inside <lambda> (call 1 in this region)"


def test_a_chex_assertion():
    import chex

    @jax.jit
    def step(x):
        h = {"a": jnp.log(x), "b": x / 2}
        chex.assert_tree_all_finite(h)
        return h["b"].sum()

    with pytest.raises(jaxdbg.CheckError) as caught, jaxdbg.checked():
        step(f32(1, 0))
    finding = caught.value.finding
    assert finding.kind == "check"
    assert finding.origin.primitive == "log"
    assert "  -Inf was born in `jnp.log` at " in finding.message
    assert caught.value.report.notices == ()


def test_an_assertion_about_something_else_has_none():
    import chex

    @jax.jit
    def step(x):
        chex.assert_trees_all_close(x, jnp.ones(2))
        return jnp.where(x > 0, jnp.log(x), 0.0)

    with pytest.raises(jaxdbg.CheckError) as caught, jaxdbg.checked():
        step(f32(1, -1))
    assert caught.value.finding.origin is None


def test_an_aot_call_is_not_looked_into():
    compiled = jax.jit(lambda x: jnp.log(x)).lower(f32(1, 1)).compile()
    finding = failure(compiled, f32(1, -1))
    assert finding.origin.verdict == "not reproduced"
    assert finding.origin.source is None
    assert finding.message.splitlines()[2:4] == [
        "  where it was born is not known",
        "  note: an AOT-compiled function cannot be looked into",
    ]


def test_what_is_not_reproduced_has_no_line():
    calls = []

    def fickle(x):
        calls.append(x)
        return np.float32(np.nan if len(calls) == 1 else 1) * x

    @jax.jit
    def step(x):
        return jax.pure_callback(fickle, jax.ShapeDtypeStruct((), jnp.float32), x) * 2

    finding = failure(step, np.float32(1))
    origin = finding.origin
    assert (origin.verdict, origin.source, finding.location) == (
        "not reproduced",
        None,
        "",
    )
    assert "  where it was born is not known\n  note: " in finding.message
    assert finding.paths == ("step(...)",)


# -- what happens when it is not wanted, or breaks -------------------------------------


def test_an_interrupt_leaves_the_plain_failure(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    for module, name in ((diagnosis, "search"), (batch_rows, "failing_rows")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupted)
            finding = failure(jax.jit(lambda x: jnp.log(x).sum(1)), -np.ones((4, 2)))
        assert finding.paths == ("<lambda>(...)",)
        assert "interrupted" in " ".join(finding.origin.notes)
    assert finding.origin.primitive == "log"  # what was found before it is told


@pytest.mark.parametrize("part", ["_scene", "_batch", "_sum"])
def test_a_part_of_ours_that_breaks_is_ours(monkeypatch, part):
    def broken(*args, **kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr(describe, part, broken)
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        jax.jit(lambda x: jnp.log(x) * x)(f32(1, 0))
    (notice,) = caught.value.report.notices
    assert notice.startswith("a part of jaxdbg broke while ")
    assert caught.value.finding.origin.primitive == "log"
    assert "  -Inf was born in `jnp.log` at " in str(caught.value)


def test_where_tracing_again_breaks_the_origin_is_told_without_a_module(monkeypatch):
    def broken(*_: object) -> None:
        raise KeyError("of ours")

    # In the function, too, what is ours is told as ours.
    scope = SimpleNamespace(naming=broken, installed=nullcontext)
    for name, part in (("_flat", broken), ("_scopes", lambda *_: [scope])):
        with monkeypatch.context() as patch:
            patch.setattr(trace_afresh, name, part)
            with jaxdbg.checked(record=True) as region:
                jax.jit(log_of)(f32(-1, 1))
        (finding,) = region.report.findings
        assert finding.origin.primitive == "log"
        (notice,) = region.report.notices
        assert notice.startswith("a part of jaxdbg broke while tracing log_of again")


def test_a_shard_map_that_cannot_be_looked_into_is_opaque_or_told(monkeypatch):
    mesh = jax.sharding.Mesh(jax.devices(), ("a",))
    spec = PartitionSpec("a")
    sharded = jax.shard_map(jnp.log, mesh=mesh, in_specs=spec, out_specs=spec)
    bad = jnp.array([1.0, -1.0])
    # JAX has no rule, or we have broken: a failure of ours is no opaque operation.
    for error, notices in ((NotImplementedError("no rule"), 0), (KeyError("ours"), 1)):

        def refuses(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(evaluate, "unsharded", refuses)
        with jaxdbg.checked(record=True) as region:
            jax.jit(sharded)(bad)
        (finding,) = region.report.findings
        assert len(region.report.notices) == notices
        assert (finding.origin.primitive == "shard_map") is (not notices)


def test_a_slow_search_says_so(monkeypatch, capsys):
    monkeypatch.setattr(diagnosis.TimeLimit, "SLOW", 0.0)
    failure(jax.jit(lambda x: jnp.log(x)), f32(-1))
    assert capsys.readouterr().err == (
        "jaxdbg: a value that is not finite in <lambda> (call 1 in this region); "
        "looking for where it was born (a minute at most, interrupt to go without).\n"
    )


# -- the rows of the batch -------------------------------------------------------------


def step_on(x, y):
    scaled = x / jnp.abs(x).max(-1, keepdims=True)
    return ((scaled.sum(-1) - y) ** 2).mean()


def batch(*blank):
    x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    x[list(blank)] = 0
    return x, np.ones(64, np.float32)


@pytest.mark.parametrize(
    ("blank", "note", "found"),
    [
        ((17,), "row 17 alone", (17,)),
        ((0,), "row 0 alone", (0,)),
        ((3, 17, 60), "rows 3, 17, 60", (3, 17, 60)),
        (tuple(range(64)), "many: each row that was tried fails by itself", ()),
        (tuple(range(1, 32)), "many", ()),
    ],
)
def test_rows_that_fail(blank, note, found):
    origin = failure(jax.jit(step_on), *batch(*blank)).origin
    assert origin.rows_note == note
    assert origin.rows == tuple(("x", row) for row in found)


def test_rows_are_found_with_the_step_that_failed():
    step = jax.jit(lambda w, x, y: w * step_on(x, y), donate_argnums=0)
    good, (x, y) = batch(), batch(17)
    before = x.copy()
    w = step(jnp.ones(3), *good)
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked() as region:
        step(w, x, y)
    assert caught.value.finding.origin.rows_note == "row 17 alone"
    assert region.report.compiles == {}  # the same executable
    assert (x == before).all()  # the user's batch is as it was
    assert not w.is_deleted()


def test_rows_are_not_looked_for_where_the_step_talks_to_the_world():
    said = []

    @jax.jit
    def step(x, y):
        jax.debug.callback(said.append, y[0])
        return step_on(x, y)

    origin = failure(step, *batch(17)).origin
    assert origin.rows_note == (
        "not looked for: the step prints, calls back, or writes a Ref"
    )
    assert len(said) == 1


def test_a_model_is_no_batch():
    model = nnx.Linear(8, 8, rngs=nnx.Rngs(0))
    x, _ = batch(17)
    run = nnx.jit(lambda model, x: model(x / jnp.abs(x).max(-1, keepdims=True)).sum())
    assert failure(run, model, x).origin.rows == (("x", 17),)


def test_runs_are_bounded(monkeypatch):
    monkeypatch.setattr(batch_rows, "MAX_RUNS", 2)
    origin = failure(jax.jit(step_on), *batch(3, 17)).origin
    assert origin.rows_note == "not found in 2 runs of the step"


# -- a wider type ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "x", "told"),
    [
        (
            lambda x: x * x,
            np.float16([300]),
            "float16 range (largest 6.55e+04): finite in float32 (9e+04)",
        ),
        (
            lambda x: x.sum(),
            np.float16([6e4, 6e4]),
            "float16 range (largest 6.55e+04): finite in float32 (1.2e+05)",
        ),
        (
            lambda x: x @ x,
            np.float16([300, 300]),
            "float16 range (largest 6.55e+04): finite in float32 (1.8e+05)",
        ),
        (
            lambda x: x.astype(jnp.float8_e5m2),
            f32(1e5),
            "float8_e5m2 range (largest 5.734e+04): finite in float32 (1e+05)",
        ),
        (
            lambda x: x.astype(jnp.float8_e4m3fn),
            f32(1e5),
            "float8_e4m3fn range (largest 448): finite in float32 (1e+05)",
        ),
        (
            jnp.exp,
            f32(100),
            "float32 range (largest 3.403e+38): finite in float64 (2.688e+43)",
        ),
        (
            lambda x: jax.lax.reduce_precision(x, 4, 3),
            f32(300),
            "4 exponent bits (largest 240): finite in float32 (300)",
        ),
        (lambda x: 1 / x, f32(0), ""),
    ],
)
def test_a_wider_type(function, x, told):
    origin = failure(jax.jit(function), x).origin
    assert origin.wider == told


# -- the device ------------------------------------------------------------------------


def test_the_device_that_holds_the_bad_element():
    mesh = jax.make_mesh((2,), ("d",), devices=jax.devices()[:2])
    rows_over_devices = jax.sharding.NamedSharding(mesh, jax.P("d"))
    logs = jax.jit(lambda x: jnp.log(x))
    x = np.ones((4, 2), np.float32)
    x[3, 1] = -1
    origin = failure(logs, jax.device_put(x, rows_over_devices)).origin
    assert origin.device == "cpu:1"
    assert "    on cpu:1" in str(origin)
    assert failure(logs, x).origin.device == ""
