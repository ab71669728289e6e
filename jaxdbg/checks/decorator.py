"""A region as a decorator: for functions of each kind that Python has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

Function = Callable[..., Any]


class Region(AbstractContextManager["Region"], Protocol):
    """What a decorated function asks of a region."""

    def left(self) -> AbstractContextManager[None]:
        """While this is open nothing is checked."""


def decorated(function: Function, new_region: Callable[[], Region]) -> Function:
    """The function, with a region around each run of its code.

    A generator's region is open while the generator runs, not while it waits: what its
    caller does between two values is the caller's.
    """
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, new_region)
    if inspect.isgeneratorfunction(function):
        return _generator(function, new_region)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, new_region)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with new_region(), _NOT_IN_TRACEBACKS:
            return function(*args, **kwargs)

    return checked


class _NotInTracebacks:
    """Takes the frame that it is used in out of the tracebacks of what passes."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: object, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if error is not None and tb is not None:
            error.__traceback__ = tb.tb_next


_NOT_IN_TRACEBACKS = _NotInTracebacks()


def _coroutine(function: Function, new_region: Callable[[], Region]) -> Function:
    @functools.wraps(function)
    async def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with new_region(), _NOT_IN_TRACEBACKS:
            return await function(*args, **kwargs)

    return checked


def _generator(function: Function, new_region: Callable[[], Region]) -> Function:
    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        with new_region() as region, _NOT_IN_TRACEBACKS:
            steps = function(*args, **kwargs)
            resume = functools.partial(next, steps)
            while True:
                try:
                    value = resume()
                except StopIteration as stop:
                    return stop.value
                try:
                    with region.left():
                        resume = functools.partial(steps.send, (yield value))
                except BaseException as error:  # also GeneratorExit, from close()
                    resume = functools.partial(steps.throw, error)

    return checked


def _async_generator(function: Function, new_region: Callable[[], Region]) -> Function:
    @functools.wraps(function)
    async def checked(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        __tracebackhide__ = True
        with new_region() as region, _NOT_IN_TRACEBACKS:
            steps = function(*args, **kwargs)
            resume = steps.__anext__
            while True:
                try:
                    value = await resume()
                except StopAsyncIteration:
                    return
                try:
                    with region.left():
                        resume = functools.partial(steps.asend, (yield value))
                except BaseException as error:  # also GeneratorExit, from aclose()
                    resume = functools.partial(steps.athrow, error)

    return checked
