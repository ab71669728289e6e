"""What is said about a failure, word for word."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.views import words


@jax.jit
def logs(x):
    return {"log": jnp.log(x), "twice": [x * 2]}


def message(function, *args, **options):
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked(**options):
        function(*args)
    return str(caught.value)


HERE = f"{__file__}:{logs.__wrapped__.__code__.co_firstlineno + 2}"
BAD = np.array([[1, -1], [2, 3]], np.float32)


def test_a_nan():
    assert message(logs, BAD) == (
        'NaN in logs(...)["log"], from logs (call 1 in this region)\n'
        '  logs(...)["log"][0, 1] is the only bad element of 4: 1 NaN in float32[2,2]\n'
        f"  NaN was born in `jnp.log` at {HERE}\n"
        '      return {"log": jnp.log(x), "twice": [x * 2]}\n'
        "                     ^^^^^^^^^^\n"
        "    argument of log `x` is -1 at [0, 1]; 1 negative in 4\n"
        "  cause: log of a negative number\n"
        "    likely fix: look at why the argument is negative: a probability that is "
        "rounded,\n"
        "                or a scale without `softplus` or `exp`\n"
        "  next: the results were not used, so what the call would have updated still "
        "holds\n"
        "    its last good values. jaxdbg.origin() shows the whole story; pdb.pm() "
        "opens in your frame.\n"
        f'  meant? `# jaxdbg: allow nan` on {HERE}, or allow="nan".'
    )


def test_of_several_leaves_the_first_is_shown_and_the_rest_are_named():
    @jax.jit
    def many(x):
        return [jnp.log(x) + i for i in range(6)]

    lines = message(many, BAD).splitlines()
    assert lines[0] == "NaN in many(...)[0], from many (call 1 in this region)"
    assert lines[2] == (
        "  also bad: many(...)[1], many(...)[2], many(...)[3] and 2 more"
    )


def test_a_whole_array_that_is_bad():
    assert "  all of it is bad: 1 NaN in float32[]\n" in message(
        jax.jit(lambda x: x / x), np.float32(0)
    )


def test_an_inf_and_a_nan():
    @jax.jit
    def both(x):
        return 1 / x, x / x

    lines = message(both, np.float32([0, 1])).splitlines()
    assert lines[0] == "Inf in both(...)[0], from both (call 1 in this region)"
    assert lines[2] == "  also bad: both(...)[1]"


def test_a_nan_that_came_of_an_inf():
    lines = message(jax.jit(lambda x: jnp.log(x) * x), np.float32(0)).splitlines()
    assert lines[2].startswith("  -Inf was born in `jnp.log` at ")
    assert lines[5] == "    argument of log `x` is exactly 0"
    assert lines[6].startswith("  then NaN at -Inf * 0 at ")


def test_an_eager_operation():
    lines = message(lambda: jnp.log(np.float32(-1))).splitlines()
    assert lines[0] == "NaN in log(...), from eager op log (call 1 in this region)"
    assert lines[2].startswith(f"  NaN was born in `jnp.log` at {__file__}:")
    assert lines[5] == "    argument of log `np.float32(-1)` is -1"
    assert lines[-2] == (
        "  next: jaxdbg.origin() shows the whole story; pdb.pm() opens in your frame."
    )


def test_a_loop_says_which_step():
    @jax.jit
    def loop(x):
        return jax.lax.scan(lambda c, v: (c, jnp.log(v)), 0.0, x)[1]

    told = message(loop, np.float32([1, 2, -1, 3]))
    assert f"in `jnp.log` at {__file__}:" in told
    assert "    scan step 3 of 4\n    argument of log `v` is -1\n" in told
    assert "    batch x: row 2 alone causes it\n" in told


def test_every_op():
    @jax.jit
    def hidden(x):
        return jnp.where(x > 0, jnp.log(x), 0)

    told = message(hidden, BAD, every_op=True).splitlines()
    assert told[0] == "NaN inside hidden (call 1 in this region)"
    assert told[1].startswith("  NaN was born in `jnp.log` at ")


def test_in_async_and_record_it_says_what_has_happened_since():
    assert "what that updated is overwritten" in message(logs, BAD, async_=True)
    with jaxdbg.checked(record=True) as region:
        logs(BAD)
        logs(BAD)
    first, second = region.report.findings
    assert (
        "next: record=True let the program run on with these values. "
        "jaxdbg.origin() shows the whole story.\n"
    ) in first.message
    assert (first.call, second.call) == (1, 2)


def test_what_a_finding_holds():
    with pytest.raises(FloatingPointError) as caught, jaxdbg.checked() as region:
        logs(BAD)
    finding = caught.value.finding
    assert finding == region.report.findings[0]
    assert caught.value.report == region.report
    assert finding.message == str(caught.value)
    assert (finding.kind, finding.function, finding.call) == ("nan", "logs", 1)
    assert (finding.path, finding.index) == ('logs(...)["log"]', (0, 1))
    assert (finding.shape, finding.dtype) == ((2, 2), "float32")
    assert (finding.nan, finding.inf, finding.size) == (1, 0, 4)
    assert finding.location == HERE


def test_the_traceback_ends_in_the_users_line():
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        logs(BAD)
    frames = caught.traceback
    assert all(str(f.path) == __file__ for f in frames)
    assert caught.value.__cause__ is None
    assert not getattr(caught.value, "__notes__", [])


def test_budgets():
    @jax.jit
    def step(x):
        return x + 1

    with pytest.raises(jaxdbg.TraceBudgetError) as caught, jaxdbg.checked(max_traces=1):
        step(np.zeros(2, np.float32))
        step(np.zeros(3, np.float32))
    assert str(caught.value) == (
        "step is being traced for the 2nd time in this region; max_traces allows 1.\n"
        "  since the earlier time that is most like it:\n"
        "    x f32[2] → f32[3]\n"
        "  next: pad it to few sizes: each shape is a program of its own"
    )
    assert isinstance(caught.value, AssertionError)
    assert caught.value.finding.kind == "traces"


def test_a_search_that_is_interrupted_goes_without(monkeypatch):
    from jaxdbg.checks import diagnosis

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosis, "search", interrupted)
    assert (
        "  where it was born is not known\n  note: the search was interrupted\n"
    ) in message(logs, BAD)


def test_a_function_that_is_made_again():
    with pytest.raises(jaxdbg.TraceBudgetError) as caught, jaxdbg.checked(max_traces=2):
        for _ in range(3):
            jax.jit(lambda x: x + 1)(1.0)
    assert str(caught.value) == (
        "<lambda> is being traced for the 3rd time in this region; max_traces allows "
        "2.\n"
        "  since the earlier time that is most like it:\n"
        "    the function: a lambda → another lambda of the same code\n"
        "  next: make and jit the function once, outside the loop, and pass what\n"
        "    changes as an argument"
    )


class Awkward:
    """Static arguments may be anything."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __hash__(self):
        return id(self)


def test_what_has_changed_is_listed():
    @partial(jax.jit, static_argnames=("mode", "how"))
    def step(batch, mode, how=None):
        return batch["x"] * 2

    x = np.zeros(3, np.float32)
    with jaxdbg.checked() as region:
        step({"x": x}, "train")
        step({"x": x}, "eval")
        step({"x": x[:2]}, "eval")
        step({"x": 1.0}, "eval")
        step({"x": x, "y": x}, mode="eval")
        step({"x": x}, "train", how=Awkward())
    told = [text.removeprefix("step: ") for text in region.report.retraces]
    assert told[:4] == [
        "mode: 'train' → 'eval'",
        'batch["x"] f32[3] → f32[2]',
        'batch["x"] f32[2] → Python float',
        'batch["y"]: (not there) → f32[3]; '
        "mode: passed by position → passed by keyword",
    ]
    assert told[4] == "how: (not there) → Awkward object"
    assert region.report.traces == {"step": 6}


def test_finding_the_origin_is_told_apart_from_checking() -> None:
    log, good, bad = jax.jit(jnp.log), jnp.ones(3), -jnp.ones(3)
    with jaxdbg.checked(record=True) as region:
        log(good)
        assert region.report.origin_seconds == 0 < region.report.check_seconds
        before = region.report.check_seconds
        log(bad)
    report = region.report
    # Rounding aside, it is a part of what checking has taken since.
    assert 0 < report.origin_seconds < report.check_seconds - before + 1e-6
    took = words.seconds(report.origin_seconds)
    assert f" checking · {took} finding the origin" in str(report)
