"""Under each of JAX's contexts a region is as if it were not there, and finds what is.

A program runs twice under a context, without a region and in one: the results, the
exception, how often its Python ran (its traces), and what JAX logs are the same. What
is bad is found, or is the exception that JAX itself raises for it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import itertools
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax._src import config
from jax.experimental import checkify

import jaxdbg
from jaxdbg.jax_internals import neutral
from jaxdbg.jax_internals.interpose import our_own_work

JAX_0_9 = jax.__version_info__ < (0, 10)

Context = Callable[[], AbstractContextManager[Any]]


def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((1,), ("x",))


@contextlib.contextmanager
def _numpy_raises() -> Iterator[None]:
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


CONTEXTS: dict[str, Context] = {
    "jax.allow_f16_reductions": lambda: jax.allow_f16_reductions(False),
    "jax.array_garbage_collection_guard": lambda: jax.array_garbage_collection_guard(
        "log"
    ),
    "jax.auto_pcast": lambda: jax.auto_pcast(False),
    "jax.check_tracer_leaks": jax.checking_leaks,
    "jax.debug_infs": lambda: jax.debug_infs(True),
    "jax.debug_key_reuse": lambda: jax.debug_key_reuse(True),
    "jax.debug_nans": lambda: jax.debug_nans(True),
    "jax.default_device": lambda: jax.default_device(jax.devices()[-1]),
    "jax.default_matmul_precision": lambda: jax.default_matmul_precision("highest"),
    "jax.default_prng_impl": lambda: jax.default_prng_impl("rbg"),
    "jax.disable_jit": jax.disable_jit,
    "jax.enable_checks": lambda: jax.enable_checks(True),
    "jax.enable_custom_prng": lambda: jax.enable_custom_prng(True),
    "jax.enable_x64": lambda: jax.enable_x64(True),
    "jax.ensure_compile_time_eval": jax.ensure_compile_time_eval,
    "jax.explain_cache_misses": lambda: jax.explain_cache_misses(True),
    "jax.legacy_prng_key": lambda: jax.legacy_prng_key("error"),
    "jax.log_compiles": lambda: jax.log_compiles(True),
    "jax.named_scope": lambda: jax.named_scope("scope"),
    "jax.no_execution": lambda: jax.no_execution(True),
    "jax.no_tracing": lambda: jax.no_tracing(True),
    "jax.numpy_dtype_promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "jax.numpy_rank_promotion": lambda: jax.numpy_rank_promotion("raise"),
    "jax.remove_size_one_mesh_axis_from_type": lambda: (
        jax.remove_size_one_mesh_axis_from_type(True)
    ),
    "jax.set_mesh": lambda: jax.set_mesh(_mesh()),
    "jax.sharding.Mesh": _mesh,
    "jax.sharding.no_collectives": lambda: jax.sharding.no_collectives({"x"}),
    "jax.softmax_custom_jvp": lambda: jax.softmax_custom_jvp(False),
    "jax.thread_guard": lambda: jax.thread_guard(True),
    "jax.threefry_partitionable": lambda: jax.threefry_partitionable(False),
    "jax.transfer_guard": lambda: jax.transfer_guard("disallow"),
    "jax.transfer_guard, explicit": lambda: jax.transfer_guard("disallow_explicit"),
    "jax.transfer_guard_device_to_device": lambda: jax.transfer_guard_device_to_device(
        "disallow_explicit"
    ),
    "jax.transfer_guard_device_to_host": lambda: jax.transfer_guard_device_to_host(
        "disallow_explicit"
    ),
    "jax.transfer_guard_host_to_device": lambda: jax.transfer_guard_host_to_device(
        "disallow_explicit"
    ),
    "jax.core.eval_context": lambda: jax.core.eval_context(),
    "jax.profiler.TraceAnnotation": lambda: jax.profiler.TraceAnnotation("t"),
    "numpy that raises": _numpy_raises,
}
"""By name; a comma follows where there are several of one."""

LEFT_OUT = {
    "jax.enable_custom_vjp_by_custom_transpose": "only in JAX 0.9, without effect here",
    "jax.jax2tf_associative_scan_reductions": "of jax2tf alone",
    "jax.use_abstract_mesh": "for use under a trace",
    "jax.core.ensure_compile_time_eval": "jax.ensure_compile_time_eval",
    "jax.sharding.AbstractMesh": "without devices nothing runs",
    "jax.sharding.set_mesh": "jax.set_mesh",
    "jax.sharding.use_abstract_mesh": "for use under a trace",
    "jax.profiler.ProfileSession": "writes a profile",
    "jax.profiler.StepTraceAnnotation": "jax.profiler.TraceAnnotation with a number",
    "jax.profiler.trace": "writes a profile",
}

MODULES = ("jax", "jax.core", "jax.sharding", "jax.profiler", "jax.debug", "jax.numpy")


def _is_context(value: Any) -> bool:
    if inspect.isclass(value):
        return hasattr(value, "__enter__")
    made_of = getattr(value, "__wrapped__", None)
    return isinstance(value, config.State) or inspect.isgeneratorfunction(made_of)


def test_each_context_of_jax_is_here():
    """A new JAX has new ones: they go into one of the two lists."""
    found = {
        f"{module}.{name}"
        for module in MODULES
        for name, value in vars(importlib.import_module(module)).items()
        if not name.startswith("_") and _is_context(value)
    }
    assert found - CONTEXTS.keys() - LEFT_OUT.keys() == set()


def _is_there(name: str) -> bool:
    path = name.partition(",")[0]
    if not path.startswith("jax."):
        return True
    module, _, attribute = path.rpartition(".")
    return hasattr(importlib.import_module(module), attribute)


# -- programs --------------------------------------------------------------------------

Traces = list[str]
Program = Callable[[Traces], Callable[[], Any]]
"""Given a list that the jitted function appends to, the program, ready to run."""


def cold(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(x):
        traces.append("step")
        return x * 2

    x = jnp.ones(3)
    return lambda: [step(x), step(x)]


def warm(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(x):
        traces.append("step")
        return jnp.sin(x) * 2

    x = jnp.ones(3)
    step(x)
    return lambda: [step(x), step(x)]


def warm_bad(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(x):
        traces.append("step")
        return jnp.log(x - 1) / 0.0 - 1

    x = jnp.ones(3)
    step(x)
    return lambda: step(x)


def bad(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(x):
        traces.append("step")
        return jnp.log(x) - jnp.log(x)

    x = jnp.zeros(3)
    return lambda: step(x)


def thrown_away(traces: Traces) -> Callable[[], Any]:
    """A NaN that `every_op` marks, and that leaves no call."""

    @jax.jit
    def step(x):
        traces.append("step")
        return jnp.where(x > 0, jnp.log(x), 0.0)

    x = -jnp.ones(3)
    return lambda: step(x)


def eager(traces: Traces) -> Callable[[], Any]:
    x = jnp.arange(1.0, 4.0)
    jnp.log(x + x)
    return lambda: [jnp.exp(x) + x, x / x]


def eager_bad(traces: Traces) -> Callable[[], Any]:
    x = jnp.zeros(3)
    return lambda: x / x


def from_host(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(x):
        traces.append("step")
        return x * 2

    step(np.ones(3, np.float32))
    return lambda: step(np.ones(3, np.float32))


def chexified(traces: Traces) -> Callable[[], Any]:
    def step(x):
        traces.append("step")
        chex.assert_tree_all_finite(x)
        return x + 1

    x = jnp.ones(3)
    checked = chex.chexify(jax.jit(step), async_check=False)
    return lambda: checked(x)


def donating(traces: Traces) -> Callable[[], Any]:
    @functools.partial(jax.jit, donate_argnums=0)
    def step(x):
        traces.append("step")
        return x + 1

    x = jnp.ones(3)

    def run() -> Any:
        y = step(x)
        return y, x.is_deleted()

    return run


def scanning(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(x):
        traces.append("step")
        return jax.lax.scan(lambda c, y: (c / y, c), x[0], x)

    x = jnp.arange(3.0)
    return lambda: step(x)


def gradient(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    @jax.grad
    def step(x):
        traces.append("step")
        return jnp.sqrt(x).sum()

    x = jnp.zeros(3)
    return lambda: step(x)


def drawing(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(key):
        traces.append("step")
        return jax.random.normal(key, (3,))

    return lambda: step(jax.random.key(0))


def drawing_twice(traces: Traces) -> Callable[[], Any]:
    @jax.jit
    def step(key):
        traces.append("step")
        return jax.random.normal(key, (3,))

    key = jax.random.key(0)
    return lambda: [step(key), step(key)]


def module(traces: Traces) -> Callable[[], Any]:
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    @nnx.jit
    def step(model, x):
        traces.append("step")
        return model(x).sum()

    x = jnp.ones((2, 2))
    return lambda: step(model, x)


QUICK = (cold, warm_bad, thrown_away, from_host)
PROGRAMS: tuple[Program, ...] = (
    *QUICK,
    warm,
    bad,
    eager,
    eager_bad,
    chexified,
    donating,
    scanning,
    gradient,
    drawing,
    drawing_twice,
    module,
)
BAD = {warm_bad, bad, eager_bad, scanning, gradient}


def asserting(assertion: Callable[[Any], None]) -> Program:
    """A program that plain JAX refuses to trace, since nobody has chexified it."""

    def program(traces: Traces) -> Callable[[], Any]:
        @jax.jit
        def step(x):
            traces.append("step")
            assertion(x)
            return jnp.ones(2)

        x = jnp.full(3, jnp.nan)
        return lambda: step(x)

    return program


# -- what is seen ----------------------------------------------------------------------


class Seen(NamedTuple):
    """What a program shows to who runs it."""

    outcome: str
    traces: int
    logged: Counter[str]


def _outcome(value: Any) -> str:
    leaves = jax.tree.leaves(value)
    return repr([np.asarray(x).tolist() for x in leaves])


def _plainly(text: str) -> str:
    """A text without seconds, addresses, and what depends on the memory."""
    text = text.partition("\n  but seen another function")[0]
    return re.sub(r"0x[0-9a-f]+|id=\d+|\d+\.\d+(e-\d+)?", "#", text)


@contextlib.contextmanager
def logged() -> Iterator[Counter[str]]:
    """What JAX logs while this is open."""
    texts: Counter[str] = Counter()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts[_plainly(record.getMessage())] += 1

    logger, handler = logging.getLogger("jax"), Handler()
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)


def seen(program: Program, *contexts: AbstractContextManager[Any]) -> Seen:
    """Runs a program in contexts, the outermost first."""
    traces: Traces = []
    run = program(traces)
    before = len(traces)
    with logged() as texts:
        try:
            with contextlib.ExitStack() as stack:
                for context in contexts:
                    stack.enter_context(context)
                result = run()
            outcome = _outcome(result)
        except Exception as error:
            outcome = _plainly(f"{type(error).__name__}: {error}")
        return Seen(outcome, len(traces) - before, texts)


def _compilation(text: str) -> bool:
    return text.startswith(("Compiling jit(step)", "Finished XLA")) or (
        text.startswith("Finished jaxpr to MLIR")
    )


@pytest.fixture(scope="module", autouse=True)
def _after_a_region():
    """The first region of a process has each function leave the fast path once."""
    with jaxdbg.checked():
        pass


OPTIONS: dict[str, dict[str, Any]] = {"default": {}, "every_op": {"every_op": True}}


def _combinations() -> Iterator[Any]:
    for name, program, option in itertools.product(CONTEXTS, PROGRAMS, OPTIONS):
        quick = program in QUICK and option == "default"
        quick |= program is thrown_away and name in ("jax.debug_nans", "jax.no_tracing")
        quick |= name in ("jax.check_tracer_leaks", "jax.log_compiles") and (
            option == "default"
        )
        marks = [] if quick else [pytest.mark.slow]
        label = f"{name}-{program.__name__}-{option}"
        yield pytest.param(name, program, option, id=label, marks=marks)


@pytest.mark.parametrize(("name", "program", "option"), [*_combinations()])
def test_a_region_is_as_if_it_were_not_there(name, program, option, capfd):
    if not _is_there(name):
        pytest.skip(f"this JAX has no {name}")
    context = CONTEXTS[name]
    if program not in QUICK or name == "jax.log_compiles":
        seen(program, context())  # so that what it does eagerly is compiled
        capfd.readouterr()
    plain = seen(program, context())
    printed = capfd.readouterr().out
    region = jaxdbg.checked(record=True, **OPTIONS[option])
    if option == "default":
        checked = seen(program, region, context())
    else:
        checked = seen(program, context(), region)
    assert region.report.notices == ()
    if (program, name) != (chexified, "jax.ensure_compile_time_eval"):
        # There JAX says that the check is not chexified; in a region it need not be.
        assert checked.outcome == plain.outcome
        assert capfd.readouterr().out == printed
    raised = not plain.outcome.startswith("[")
    if program in BAD:
        # JAX's own search for a NaN is eager code, whose operations are checked.
        assert region.report.findings or raised
    elif program is not thrown_away and name != "jax.disable_jit":
        assert not region.report.findings
        if not (JAX_0_9 and name == "jax.debug_key_reuse"):
            # There what is on the fast path is not traced again for this setting.
            assert checked.traces == plain.traces
    assert not _logged_more(checked, plain, option)
    assert not plain.logged - checked.logged
    if name == "jax.log_compiles" and program is not chexified:
        _assert_counted(region.report, checked.logged)


def _logged_more(checked: Seen, plain: Seen, option: str) -> Counter[str]:
    """What is logged in a region alone, and for no reason."""
    more = checked.logged - plain.logged
    if option == "every_op":
        # The program with flags is the user's function, compiled once more.
        more = Counter(t for t in more if not _compilation(t))
    if JAX_0_9:
        # There each call off the fast path logs a trace, be it found in a cache.
        more = Counter(t for t in more if not t.startswith("Finished tracing"))
    return more


def _assert_counted(report: jaxdbg.Report, logged: Counter[str]) -> None:
    for text, counts in (
        ("Finished tracing step for", report.traces),
        ("Finished XLA compilation of jit(step)", report.compiles),
    ):
        if not (JAX_0_9 and "tracing" in text):
            times = sum(n for t, n in logged.items() if t.startswith(text))
            assert counts.get("step", 0) == times


@pytest.mark.parametrize("name", CONTEXTS)
def test_an_assertion_that_fails_is_found(name):
    if not _is_there(name):
        pytest.skip(f"this JAX has no {name}")
    context = CONTEXTS[name]
    plain = seen(asserting(lambda x: None), context())
    for assertion, says in (
        (lambda x: chex.assert_scalar_positive(x[0]), "got nan"),
        (chex.assert_tree_all_finite, "finite"),
    ):
        if name == "jax.disable_jit":  # then there is no traced code
            continue
        with jaxdbg.checked(record=True) as region:
            checked = seen(asserting(assertion), context())
        assert region.report.notices == ()
        if plain.outcome.startswith("["):
            assert checked.outcome == plain.outcome
            (finding,) = region.report.findings
            assert says in finding.message


# -- on its own ------------------------------------------------------------------------


def test_settings_that_are_put_to_neutral_exist():
    names = {
        *neutral.NEUTRAL,
        *neutral.GUARDS,
        neutral.CACHE_FOLDER,
        neutral.SHORTEST_TO_WRITE,
    }
    assert names <= config.config_states.keys()


def test_by_default_nothing_has_to_be_put_to_neutral():
    """On the way of each call this costs a microsecond, and the rest twenty."""
    assert neutral.put_to_neutral([]) is None


def test_global_settings_hold_again_after_work_of_ours():
    flags = {
        "jax_debug_nans": True,
        "jax_numpy_rank_promotion": "raise",
        "jax_transfer_guard_device_to_host": "log",
    }
    before = {name: jax.config.values[name] for name in flags}
    function = jax.jit(jnp.log)
    try:
        for name, value in flags.items():
            jax.config.update(name, value)
        with our_own_work():
            assert not jax.config.jax_debug_nans
            assert jax.config.values["jax_numpy_rank_promotion"] == "allow"
        for name, value in flags.items():
            assert jax.config.values[name] == value
        for _ in range(3):  # the first call, and those on the fast path
            with pytest.raises(FloatingPointError):
                function(-1.0)
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_work_of_ours_within_work_of_ours():
    with jax.debug_nans(True):
        with our_own_work(), our_own_work():
            pass
        assert config.debug_nans.value


def test_the_persistent_cache_is_the_users(tmp_path: Path):
    flags = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: jax.config.values[name] for name in flags}
    reset = importlib.import_module("jax.experimental.compilation_cache")
    reset = reset.compilation_cache.reset_cache

    def written() -> set[str]:
        return {p.name.rsplit("-", 2)[0] for p in tmp_path.glob("*-cache")}

    def program(scale: float) -> Any:
        return jax.jit(lambda x: jnp.sin(x) * scale)

    try:
        for name, value in flags.items():
            jax.config.update(name, value)
        reset()
        x = jnp.full(3, jnp.inf)
        function = program(3.0)
        function(x)
        plain = written()
        assert plain
        for options in OPTIONS.values():
            with jaxdbg.checked(record=True, **options) as region:
                function(x)
            assert region.report.findings
            assert written() == plain
        with jaxdbg.checked():  # what the user compiles is written in a region, too
            jax.jit(lambda x: jnp.cos(x) * 3).lower(jnp.ones(3)).compile()
            function_of_user = jax.jit(jnp.tanh)
            function_of_user(jnp.ones(3))
        assert "jit_tanh" in written() - plain
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        reset()


def test_no_tracing_refuses_what_needs_a_trace():
    function = jax.jit(lambda x: x * 2)
    x = jnp.ones(3)
    function(x)
    other = jnp.ones(4)
    with jaxdbg.checked(), jax.no_tracing():
        function(x)
        with pytest.raises(RuntimeError, match="re-tracing function"):
            function(other)
        with pytest.raises(RuntimeError, match="re-tracing function"):
            jax.vmap(function)(x)
    assert not hasattr(config.no_tracing, "_plain")


def test_a_nan_under_debug_nans_has_the_line_of_the_operation(capfd):
    @jax.jit
    def step(x):
        y = x - 1
        return jnp.log(y)

    x = jnp.zeros(3)
    with jax.debug_nans(True):
        with pytest.raises(FloatingPointError) as plain:
            step(x)
        another_program = jaxdbg.checked(every_op=True)
        with pytest.raises(FloatingPointError) as checked, another_program:
            step(x)
    assert str(checked.value) == str(plain.value)
    assert "invalid value (nan) encountered in log" in str(plain.value)


def test_errors_that_the_user_handles_fail_all_the_same():
    """As docs/limits.md says."""

    def function(x):
        return jnp.log(x) - jnp.log(x)

    checked = jax.jit(checkify.checkify(function, errors=checkify.float_checks))
    x = jnp.zeros(2)
    error, _ = checked(x)
    assert "nan generated" in error.get()
    with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
        checked(x)
    with jaxdbg.checked(record=True) as region:
        error, _ = checked(x)
    assert "nan generated" in error.get()
    assert region.report.findings
    with nullcontext(), jaxdbg.checked():
        error, _ = checked(jnp.ones(2))  # nothing is bad: nothing fails
    assert error.get() is None
