"""Which regions a call belongs to: those that are open in the context that makes it.

A task of asyncio has the context in which it was made, so what is made inside a region
belongs to it, and a task beside it does not. A thread begins with an empty context:
while a region is open, the threads that its context starts belong to it, and so does
the work that its context hands to a pool of threads, whenever these were started.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

Regions = tuple[int, ...]
"""Numbers of regions, the outermost first. Numbers: a context may live for ever."""

_of_context: ContextVar[Regions] = ContextVar("jaxdbg_regions")

_of_thread: weakref.WeakKeyDictionary[threading.Thread, Regions] = (
    weakref.WeakKeyDictionary()
)
"""For threads that were started inside a region: the regions that started them."""


def regions_here() -> Regions:
    """The regions that what is called here belongs to; some may have ended."""
    found = _of_context.get(None)
    if found is None:
        return _of_thread.get(threading.current_thread(), ())
    return found


def enter(region: int, is_open: Callable[[int], bool]) -> None:
    """From now on what is called in this context belongs to a region, too.

    Arguments:
        region: its number.
        is_open: whether a region is; one that ended in another context is dropped.
    """
    _of_context.set((*filter(is_open, regions_here()), region))


def leave(region: int) -> None:
    """What is called in this context belongs to a region no more."""
    here = regions_here()
    if region in here:
        _of_context.set(tuple(r for r in here if r != region))


@contextlib.contextmanager
def handed_on() -> Iterator[None]:
    """While open, threads and the work of pools belong to who starts them."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_here(self: threading.Thread) -> None:
        __tracebackhide__ = True
        if here := regions_here():
            _of_thread[self] = here
        start(self)

    def submit_here(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        __tracebackhide__ = True
        here = regions_here()
        # A thread that the pool starts for this serves others, too: it is not owned.
        before = _of_context.set(())
        try:
            work = _Owned(fn, here) if here else fn
            return submit(self, work, *args, **kwargs)
        finally:
            _of_context.reset(before)

    threading.Thread.start = start_here  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit_here  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        # Who has wrapped ours since then keeps it: it does nothing without a region.
        if threading.Thread.start is start_here:
            threading.Thread.start = start  # type: ignore[method-assign]
        if ThreadPoolExecutor.submit is submit_here:
            ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


class _Owned:
    """Work for a pool, with the regions that it belongs to."""

    def __init__(self, fn: Callable[..., Any], regions: Regions):
        self._fn = fn
        self._regions = regions

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        # The work may itself run in another context, and may enter regions.
        before = _of_context.set(self._regions)
        try:
            return self._fn(*args, **kwargs)
        except BaseException as error:
            if error.__traceback__ is not None:  # this frame is none of the user's
                error.__traceback__ = error.__traceback__.tb_next
            raise
        finally:
            _of_context.reset(before)
