"""Which calls are a region's: those of the context that opened it, and of no other."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdbg
from jaxdbg.checks import region as regions
from jaxdbg.checks.hub import hub


@jax.jit
def log(x):
    return jnp.log(x)


@jax.jit
def double(x):
    return x * 2


GOOD, BAD = np.ones(3, np.float32), np.array([1, -2, 3], np.float32)


def counts(region: jaxdbg.checked) -> tuple[dict[str, int], int, bool]:
    report = region.report
    return dict(report.calls_by_function), len(report.findings), report.ok


# -- tasks ----------------------------------------------------------------------------


class Turns:
    """Two tasks that take turns, each at the steps that the test says."""

    def __init__(self) -> None:
        self._begun: dict[str, asyncio.Event] = {}

    def _event(self, step: str) -> asyncio.Event:
        return self._begun.setdefault(step, asyncio.Event())

    async def after(self, step: str) -> None:
        await self._event(step).wait()

    def done(self, step: str) -> None:
        self._event(step).set()


def test_a_region_has_the_calls_of_its_task_alone() -> None:
    async def checks(turns: Turns) -> jaxdbg.checked:
        with jaxdbg.checked() as region:
            turns.done("open")
            await turns.after("called beside")
            double(GOOD)
        return region

    async def beside(turns: Turns) -> Any:
        await turns.after("open")
        result = log(BAD)
        turns.done("called beside")
        return result

    async def main() -> tuple[jaxdbg.checked, Any]:
        turns = Turns()
        return await asyncio.gather(checks(turns), beside(turns))

    region, result = asyncio.run(main())
    assert np.isnan(result[1])
    assert counts(region) == ({"double": 1}, 0, True)


@pytest.mark.parametrize("first", ["a", "b"])
def test_regions_of_two_tasks_overlap_and_end_in_any_order(first: str) -> None:
    last = "b" if first == "a" else "a"

    async def checks(turns: Turns, name: str, of: Callable[..., Any]) -> Any:
        with jaxdbg.checked(record=True) as region:
            turns.done(f"{name} is open")
            await turns.after(f"{'b' if name == 'a' else 'a'} is open")
            of(BAD)
            if name == last:
                await turns.after(f"{first} has ended")
                of(GOOD)
        turns.done(f"{name} has ended")
        return region

    async def main() -> Any:
        turns = Turns()
        return await asyncio.gather(checks(turns, "a", log), checks(turns, "b", double))

    a, b = asyncio.run(main())
    assert counts(a) == ({"log": 1 + (last == "a")}, 1, False)
    assert counts(b) == ({"double": 1 + (last == "b")}, 0, True)


def test_a_task_that_a_region_makes_is_the_regions() -> None:
    async def beside(x: Any) -> Any:
        await asyncio.sleep(0)
        return log(x)

    async def main() -> jaxdbg.checked:
        with jaxdbg.checked() as region:
            results = await asyncio.gather(
                beside(GOOD), beside(BAD), return_exceptions=True
            )
            assert isinstance(results[1], jaxdbg.NonFiniteError)
            await asyncio.to_thread(double, GOOD)
        return region

    assert counts(asyncio.run(main())) == ({"log": 2, "double": 1}, 1, False)


def test_a_task_that_outlives_its_region_is_checked_no_more() -> None:
    async def later(go: asyncio.Event) -> Any:
        await go.wait()
        return log(BAD)

    async def main() -> Any:
        go = asyncio.Event()
        with jaxdbg.checked() as region:
            task = asyncio.create_task(later(go))
            await asyncio.sleep(0)
        go.set()
        return region, await task

    region, result = asyncio.run(main())
    assert np.isnan(result[1])
    assert counts(region) == ({}, 0, True)


def test_async_with_and_await_in_a_region() -> None:
    @contextlib.asynccontextmanager
    async def loaded() -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield double(GOOD)
        await asyncio.sleep(0)

    async def main() -> None:
        with jaxdbg.checked() as region:
            async with loaded() as x:
                await asyncio.sleep(0)
                log(x)
        assert counts(region) == ({"double": 1, "log": 1}, 0, True)
        with pytest.raises(jaxdbg.NonFiniteError), jaxdbg.checked():
            async with loaded():
                log(BAD)

    asyncio.run(main())


def test_chex_is_as_ever_beside_a_region() -> None:
    @jax.jit
    def asserts(x):
        chex.assert_tree_all_finite(x)
        return x

    async def checks(turns: Turns) -> None:
        with jaxdbg.checked():
            turns.done("open")
            await turns.after("called beside")

    async def beside(turns: Turns) -> None:
        await turns.after("open")
        with pytest.raises(RuntimeError, match="chexify"):
            asserts(GOOD)
        turns.done("called beside")

    async def main() -> None:
        turns = Turns()
        await asyncio.gather(checks(turns), beside(turns))

    asyncio.run(main())


# -- threads --------------------------------------------------------------------------


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_thread_of_before_is_not_the_regions() -> None:
    go, results = threading.Event(), []

    def other() -> None:
        go.wait()
        results.append(log(BAD))

    thread = in_thread(other)
    with jaxdbg.checked() as region:
        double(GOOD)
        go.set()
        thread.join()
    assert np.isnan(results[0][1])
    assert counts(region) == ({"double": 1}, 0, True)


def test_a_thread_that_another_thread_starts_is_not_the_regions() -> None:
    go, results = threading.Event(), []

    def other() -> None:
        go.wait()
        in_thread(lambda: results.append(log(BAD))).join()

    thread = in_thread(other)
    with jaxdbg.checked() as region:
        go.set()
        thread.join()
    assert np.isnan(results[0][1])
    assert counts(region) == ({}, 0, True)


def test_each_of_two_threads_has_its_region() -> None:
    together, found = threading.Barrier(2), {}

    def checks(name: str, x: Any) -> None:
        with jaxdbg.checked(record=True) as region:
            together.wait()
            in_thread(lambda: log(x)).join()
            together.wait()
        found[name] = counts(region)

    threads = [
        in_thread(lambda n=n, x=x: checks(n, x))  # type: ignore[misc]
        for n, x in (("good", GOOD), ("bad", BAD))
    ]
    for thread in threads:
        thread.join()
    assert found == {"good": ({"log": 1}, 0, True), "bad": ({"log": 1}, 1, False)}


def test_work_for_a_pool_is_the_regions_that_hands_it_over() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # its thread runs from now on
        for _ in range(2):
            with jaxdbg.checked(record=True) as region:
                list(pool.map(log, [GOOD, BAD]))
            assert counts(region) == ({"log": 2}, 1, False)
        assert np.isnan(pool.submit(log, BAD).result()[1])


def test_a_pool_whose_thread_a_region_starts_serves_others_too() -> None:
    go, results = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:

        def other() -> None:
            go.wait()
            results.append(pool.submit(log, BAD).result())

        thread = in_thread(other)
        with jaxdbg.checked() as region:
            pool.submit(double, GOOD).result()
            go.set()
            thread.join()
    assert np.isnan(results[0][1])
    assert counts(region) == ({"double": 1}, 0, True)


def test_what_work_for_a_pool_raises_is_as_without_a_region() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    def frames(pool: ThreadPoolExecutor) -> list[str]:
        error = pool.submit(fails).exception()
        assert error is not None
        names, tb = [], error.__traceback__
        while tb is not None:
            names.append(tb.tb_frame.f_code.co_name)
            tb = tb.tb_next
        return names

    with ThreadPoolExecutor(1) as pool:
        plain = frames(pool)
        with jaxdbg.checked():
            assert frames(pool) == plain


def test_a_decorated_generator_that_another_thread_resumes() -> None:
    @jaxdbg.checked()
    def batches(*values: Any) -> Iterator[Any]:
        for x in values:
            yield log(x)

    steps, caught = batches(GOOD, BAD), []
    next(steps)

    def resumes() -> None:
        with pytest.raises(jaxdbg.NonFiniteError) as raised:
            next(steps)
        caught.append(raised.value)

    in_thread(resumes).join()
    assert len(caught) == 1


# -- regions that nobody ends ---------------------------------------------------------


def has_said_once(capsys: pytest.CaptureFixture[str]) -> bool:
    return capsys.readouterr().err.count("which ends it") == 1


def test_a_region_that_is_dropped_ends(capsys: pytest.CaptureFixture[str]) -> None:
    region = jaxdbg.checked()
    region.__enter__()
    double(GOOD)
    assert len(hub.regions()) == 1
    del region
    assert hub.regions() == ()
    assert has_said_once(capsys)
    report = jaxdbg.last_report()
    assert report is not None
    assert (dict(report.unchecked), report.calls) == ({regions.DROPPED: 0}, 1)
    assert np.isnan(log(BAD)[1])


def test_a_region_in_a_cycle_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    class Holder:
        def __init__(self) -> None:
            self.me = self
            self.region = jaxdbg.checked().__enter__()

    Holder()
    gc.collect()
    assert hub.regions() == ()
    assert has_said_once(capsys)


def test_a_generator_that_is_dropped_ends_its_region() -> None:
    def batches() -> Iterator[Any]:
        with jaxdbg.checked():
            yield log(GOOD)
            yield log(GOOD)

    steps = batches()
    next(steps)
    del steps
    gc.collect()
    assert hub.regions() == ()


@pytest.mark.parametrize("ends", [False, True])
def test_an_async_generator_that_is_dropped_ends_its_region(
    ends: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def batches() -> AsyncIterator[Any]:
        with jaxdbg.checked():
            yield log(GOOD)
            yield log(GOOD)

    steps = batches()

    async def main() -> None:
        nonlocal steps
        await anext(steps)
        if ends:
            del steps
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert hub.regions() == ()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()  # asyncio.run() would close the generator
    if not ends:
        del steps
        gc.collect()
        capsys.readouterr()
    assert hub.regions() == ()
    assert np.isnan(log(BAD)[1])
