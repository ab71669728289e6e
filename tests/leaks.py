"""What jaxdbg could leave behind: looked at before a test, and compared after it."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import chex
import jax
from chex._src import asserts_internal
from jax._src import config, monitoring, pjit, util
from jax._src.interpreters import batching
from jax.experimental import checkify

from jaxdbg.checks.hub import hub
from jaxdbg.jax_internals.chex import traced_values, tree_assertions
from jaxdbg.jax_internals.config import region_state

Snapshot = dict[str, Any]

_LISTENERS = (
    "_event_listeners",
    "_event_duration_secs_listeners",
    "_event_time_span_listeners",
    "_scalar_listeners",
)


def snapshot() -> Snapshot:
    """Everything that a region touches, by name, as it is now."""
    ours = {
        "open regions": list(hub.regions()),
        "region state": region_state().value,
        "Thread.start": threading.Thread.start,
        "ThreadPoolExecutor.submit": ThreadPoolExecutor.submit,
        "the handler of interrupts": signal.getsignal(signal.SIGINT),
    }
    return {**ours, **of_jax()}


def of_jax() -> Snapshot:
    """The part of a snapshot that JAX and chex have without jaxdbg, too."""
    return {
        "jit's call implementation": pjit._pjit_call_impl_python,
        "jit's tracing function": pjit._trace_for_jit,
        "Compiled.__call__": jax.stages.Compiled.__call__,
        "custom_vjp.__call__": jax.custom_vjp.__call__,
        "custom_jvp.__call__": jax.custom_jvp.__call__,
        "the trace listener": util.test_event_listener,
        "trace context": config.trace_context(),
        **{f"config {k}": v for k, v in jax.config.values.items()},
        **{name: list(getattr(monitoring, name)) for name in _LISTENERS},
        "checkify's rules": dict(checkify.checkify.__globals__["error_checks"]),
        "batching rules": dict(batching.fancy_primitive_batchers),
        **_chex(),
        "threads": {t for t in threading.enumerate() if not _foreign(t)},
    }


def _foreign(thread: threading.Thread) -> bool:
    # JAX and the test runner start daemons; chexify keeps a thread for each function.
    return thread.daemon or thread.name.startswith("async_chex")


def _chex() -> Snapshot:
    storage = asserts_internal.CHEXIFY_STORAGE
    found: Snapshot = {"chex storage": storage, "chex level": storage.level}
    found["checkify.check"] = checkify.check  # chex replaces it while it works
    for name in (*traced_values.FORMS, *tree_assertions.TREE_ASSERTIONS):
        cells = getattr(chex, name).__closure__
        found[f"chex.{name}"] = [cell.cell_contents for cell in cells]
    return found


def left_behind(before: Snapshot, after: Snapshot) -> list[str]:
    """The names of what is not as it was; what is new to JAX's tables is JAX's own."""
    return [name for name, value in before.items() if not _same(value, after[name])]


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, dict):  # importing a JAX module may add rules
        return all(after.get(key) is value for key, value in before.items())
    if isinstance(before, tuple):  # and add a setting to the trace context
        return bool(after[: len(before)] == before)
    if isinstance(before, set):  # a thread of an earlier test may have ended
        return bool(after <= before)
    return bool(before == after)
