"""What a failing call gave is told, pictured and kept, though nothing holds it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxdbg
from jaxdbg import Finding, NonFiniteError, Region, Report, UsageError
from jaxdbg.checks import diagnosis
from jaxdbg.checks.afterwards import kept_calls
from jaxdbg.checks.afterwards.bad_outputs import GROUP, Bad, Limits, bad_of
from jaxdbg.records import LeafStats, PanelContent, TreeStats
from jaxdbg.views import panel_html
from jaxdbg.views.panel.data import panel_data


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    yield
    kept_calls.forget()


@jax.jit
def step(params: Any, x: Any) -> Any:
    """Row 17 of `w` becomes NaN, and the loss; `b` stays good."""
    w = params["w"] + jnp.log(x)[:, None]
    return {"w": w, "b": params["b"] + 1}, w.sum()


PARAMS = {"w": jnp.ones((100, 80)), "b": jnp.ones(3)}
X = jnp.ones(100).at[17].set(-1.0)
W, LOSS = 'step(...)[0]["w"]', "step(...)[1]"


def failing_region() -> Region:
    """A region in which the second call has failed."""
    params = PARAMS
    with jaxdbg.checked() as region:
        try:
            params, _ = step(params, jnp.ones(100))
            step(params, X)
        except NonFiniteError:
            pass
    return region


def failed() -> Finding:
    """What such a region has found."""
    return failing_region().report.findings[0]


def test_each_bad_result_is_measured() -> None:
    finding = failed()
    w, loss = finding.outputs
    assert [w.path, loss.path] == [*finding.paths] == [W, LOSS]
    assert (w.nan, w.posinf, w.size, w.first_bad) == (80, 0, 8000, (17, 0))
    assert (w.largest, w.zeros, w.dtype, w.shape) == (1.0, 0, "float32", (100, 80))
    assert (loss.nan, loss.size, loss.shape, loss.first_bad) == (1, 1, (), ())
    assert w.group == GROUP


def test_a_picture_shows_where() -> None:
    (picture,) = failed().pictures  # the loss is bad throughout, and needs none
    assert (picture.path, picture.rows, picture.columns) == (W, 50, 40)
    assert (picture.axes, picture.step) == ((0, 1), (2, 2))
    bad = {i // 40 for i, worst in enumerate(picture.worst) if worst == "2"}
    assert bad == {17 // 2}
    assert picture.largest[0] == 1.0


def test_it_goes_to_json_and_comes_back() -> None:
    failed()
    report = jaxdbg.last_report()
    assert report is not None
    assert report.findings[0].pictures
    assert Report.from_json(report.to_json()) == report


def test_the_array_is_there_to_be_looked_at() -> None:
    finding = failed()
    array = finding.output()
    assert array is finding.output(W) is jaxdbg.bad_output(W)
    assert np.isnan(array[17]).all()
    assert np.isfinite(array[:17]).all()
    assert np.isnan(jaxdbg.bad_output(LOSS, 1))
    assert jaxdbg.bad_output(LOSS, finding) is finding.output(LOSS)


def test_the_error_itself_leads_to_it() -> None:
    with pytest.raises(NonFiniteError) as caught, jaxdbg.checked():
        step(PARAMS, X)
    assert jaxdbg.bad_output(finding=caught.value).shape == (100, 80)
    assert not hasattr(caught.value, "outputs")  # an error that is kept keeps no arrays


def test_where_the_program_runs_on_a_copy_is_kept() -> None:
    @jax.jit
    def again(w: Any) -> Any:
        return w * 2

    donating = jax.jit(again, donate_argnums=0)
    with jaxdbg.checked(record=True) as region:
        params, _ = step(PARAMS, X)
        array = params["w"]
        donating(array)
    finding = region.report.findings[0]
    assert array.is_deleted()
    assert np.isnan(finding.output()[17]).all()


def test_the_results_of_a_compiled_call_are_kept_too() -> None:
    compiled = step.lower(PARAMS, X).compile()
    with pytest.raises(NonFiniteError) as caught, jaxdbg.checked():
        compiled(PARAMS, X)
    finding = caught.value.finding
    assert finding.path == "output 2 of step(...)"
    assert finding.outputs[0].nan == 80
    assert finding.pictures
    assert np.isnan(finding.output()[17]).all()


def test_gradients_that_are_returned_are_named_and_are_one_tree() -> None:
    @nnx.jit
    def train_step(model: nnx.Module, x: Any) -> Any:
        def loss(model: nnx.Module) -> Any:
            return (model(x) * (x[0, 0] / x[0, 0])).sum()

        return nnx.value_and_grad(loss)(model)

    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    with pytest.raises(NonFiniteError) as caught, jaxdbg.checked():
        train_step(model, jnp.zeros((1, 2)))
    finding = caught.value.finding
    gradients = [f'train_step(...)[1]["{name}"]' for name in ("bias", "kernel")]
    assert [*finding.paths] == ["train_step(...)[0]", *gradients]
    assert np.isnan(finding.output(gradients[1])).shape == (2, 3)
    (tree,) = panel_data(Report(findings=(finding,)))["trees"]
    assert (tree["name"], len(tree["paths"])) == ("train_step(...)", 3)


def test_the_static_report_says_that_a_tree_is_as_it_is_now() -> None:
    finding = Finding("nan", "f", 1, "NaN in model.w", "model.w", ("model.w",))
    report = Report(findings=(finding,))
    good = TreeStats("model", (LeafStats("model.w"),))
    other = TreeStats("opt", (LeafStats("opt.w"),))
    html = panel_html.html(PanelContent(report, (good, other)))
    assert html.count("as it is now: the failed call did not update it") == 1
    bad = TreeStats("model", (LeafStats("model.w", nan=1),))
    assert "as it is now" not in panel_html.html(PanelContent(report, (bad,)))


def test_a_later_region_drops_it() -> None:
    region = failing_region()  # somebody may hold it
    (finding,) = region.report.findings
    gone = weakref.ref(finding.output())
    with jaxdbg.checked():
        step(PARAMS, jnp.ones(100))
    gc.collect()
    assert gone() is None
    with pytest.raises(RuntimeError, match="gave is not kept") as caught:
        finding.output()
    assert str(caught.value) == (
        "What call 2 of step gave is not kept (any more): it is kept of the region "
        "that failed last, until a later checked region calls a jitted function, and "
        "never in a file. Run the failing code again in a checked region, and look "
        "before you go on. What it held is in `finding.outputs`."
    )
    assert finding.outputs[0].nan == 80


def test_what_was_not_bad_is_not_kept() -> None:
    finding = failed()
    with pytest.raises(UsageError) as caught:
        finding.output("step(...)[0]['w']")
    assert str(caught.value) == (
        "call 2 of step gave no bad \"step(...)[0]['w']\". Did you mean "
        f"'{W}'? Only bad results are kept, here {W}, {LOSS}."
    )


def test_a_number_that_no_finding_has_is_told() -> None:
    failed()
    with pytest.raises(UsageError, match=r"no finding 7\. Expected .* 1 to 1, or"):
        jaxdbg.bad_output(W, 7)


def test_a_finding_about_no_value_has_none() -> None:
    with pytest.raises(UsageError, match="names no bad result: f was traced"):
        Finding("traces", "f", 1, "f was traced\nagain").output()


def test_there_is_room_for_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_calls, "OUTPUTS", 31_999)
    finding = failed()
    assert np.isnan(finding.output(LOSS))  # what fits is kept all the same
    with pytest.raises(RuntimeError) as caught:
        finding.output(W)
    assert str(caught.value).startswith(
        f"{W} (32 kB), as call 2 of step gave it, is not kept: of the bad results of a "
        "region 32 kB are, the worst leaf first."
    )


def test_a_clean_call_pays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Bad:
        raise AssertionError("a good call was looked at")

    monkeypatch.setattr(diagnosis, "bad_of", never)
    with jaxdbg.checked() as region:
        step(PARAMS, jnp.ones(100))
    assert region.report.ok
    assert not region.report.notices


def test_a_region_keeps_so_much_and_no_more() -> None:
    def bad(n: int) -> Bad:
        array = np.ones((70, 3), np.float32)
        array[5, 1] = np.inf
        worst = array.copy()
        worst[6] = np.nan
        return bad_of([(f"a{i}", array) for i in range(n)] + [("b", worst)])

    limits = Limits(leaves=6, pictures=10)
    assert [leaf.path for leaf in limits.of(bad(4))] == ["a0", "a1", "a2", "a3", "b"]
    assert [leaf.path for leaf in limits.of(bad(4))] == ["b"]
    first = limits.pictures_of(bad(20))
    assert [p.path for p in first] == ["b", *(f"a{i}" for i in range(7))]
    assert len(limits.pictures_of(bad(20))) == 2
    assert limits.pictures_of(bad(20)) == ()
    assert first[0].worst[: 5 * 3] == "000" * 2 + "010"[:3] + "222" + "000"


def test_a_ref_is_kept_as_it_was() -> None:
    ref = jax.new_ref(jnp.array([1.0, jnp.nan]))
    bad = bad_of([("r", ref)])
    ref[...] = jnp.zeros(2)
    assert np.isnan(bad.arrays["r"][1])
    assert bad.worst.first_bad == (1,)
