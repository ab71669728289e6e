"""Whether arrays are finite: the question asked after every checked call.

Two ways to look, chosen by `tests/bench/finite_strategies.py`:

- An array on the CPU is read where it lies, through NumPy. Nothing is dispatched and
  nothing compiled, which on small arrays is most of what a check by XLA costs. A
  finite sum of squares proves an array finite, and BLAS sums at the speed of memory.
  Where the sum overflows, and where BLAS knows no such numbers, an exact test follows,
  in integers: in an IEEE format Inf and NaN have the largest bit patterns of each
  sign, so the two maxima of the patterns, read once as signed and once as unsigned
  numbers, tell of any. (NumPy's own `isfinite` is ten times slower on bfloat16.)
- An array elsewhere, or one that is not computed yet and must not be waited for, is
  tested on its devices. The answers are shifted into one small array of flags, so that
  they come back in one transfer however many arrays there were.

What cannot be read (a deleted array, a token, a typed PRNG key, any object at all) is
no suspect: nothing here raises for what it is given.
"""

from __future__ import annotations

import cmath
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdbg.jax_internals.arrays import REF, Host
from jaxdbg.jax_internals.processes import are_several
from jaxdbg.trees.copies import is_gone

Test = Callable[[Host], bool]

_BLOCK = 1 << 19
"""Bytes read at a time: they stay in the L2 cache between the two maxima."""

_ROW = 1 << 13
"""Elements that BLAS sums in one go: for so few it starts no threads, which would spin
while the next step wants the cores."""

_SHORT_ROW = 1 << 11
"""The same where there are many rows: NumPy lets other threads run from 500 rows on."""

_FEW_ROWS = 8
"""So many are sooner summed one by one."""

_FLAGS = 1024
"""Answers that one array of flags holds."""


def suspects(arrays: Sequence[object]) -> list[int]:
    """Indices of the arrays that hold a NaN or an Inf; blocks until they are computed.

    Arguments:
        arrays: leaves of any kind, shape, dtype and sharding. Of an array that spans
            processes, the shards in this process are read.
    """
    bad: list[int] = []
    remote: list[int] = []
    for i, x in enumerate(arrays):
        if is_remote(x):
            remote.append(i)
        elif not _is_finite_at_once(x) and is_bad(x):
            bad.append(i)
    if remote:
        found = pending([arrays[i] for i in remote]).suspects()
        bad = sorted(bad + [remote[i] for i in found])
    return bad


def pending(arrays: Sequence[object]) -> Pending:
    """Asks the question of `suspects` without waiting for the values.

    The tests are enqueued on the devices before this returns, so an array may be
    donated or deleted right after. What is on the host already is read at once (and so
    is a Ref, which no jitted call returns).
    """
    known: list[int] = []
    asked: list[_Flags] = []
    for i, x in enumerate(arrays):
        if (is_remote(x) or _is_late(x)) and _ask(asked, i, x):
            continue
        if is_bad(x):
            known.append(i)
    return Pending(known, asked)


class Pending:
    """The answer of `pending`, on its way."""

    __slots__ = ("_asked", "_known")

    def __init__(self, known: list[int], asked: list[_Flags]):
        self._known = known
        self._asked = asked

    def ready(self) -> bool:
        """Whether `suspects` would answer without waiting."""
        return all(flags.ready() for flags in self._asked)

    def suspects(self) -> list[int]:
        """Indices of the arrays that hold a NaN or an Inf; blocks until known."""
        return sorted({*self._known, *(i for flags in self._asked for i in flags)})


# -- on the host -----------------------------------------------------------------------


class _Tests(dict[Any, "Test | None"]):
    """By dtype, the test that says whether an array holds NaN or Inf; None: it cannot.

    Filled as dtypes are met; two threads at once would write the same thing.
    """

    def __missing__(self, dtype: Any) -> Test | None:
        self[dtype] = test = _new_test(dtype)
        return test


_TESTS = _Tests()


def _new_test(dtype: Any) -> Test | None:
    if not jnp.issubdtype(dtype, np.inexact):  # also false for typed PRNG keys
        return None
    if dtype.itemsize == 1:
        return _table_test(dtype)
    part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    if part.itemsize > 8 or not dtype.isnative:
        return lambda a: not np.isfinite(a).all()
    return _maxima_test(part)


def _maxima_test(part: np.dtype[Any]) -> Test:
    """For the IEEE formats of 16 bits and more, and complex numbers made of them."""
    signed, unsigned = np.dtype(f"i{part.itemsize}"), np.dtype(f"u{part.itemsize}")
    inf = np.array([np.inf, -np.inf], part)
    positive, negative = int(inf.view(signed)[0]), int(inf.view(unsigned)[1])
    step = _BLOCK // part.itemsize
    in_blas = part.char in "fd"

    def test(a: Host) -> bool:
        if in_blas and _squares_are_finite(a):
            return False
        flat = a.ravel("K")
        s, u = flat.view(signed), flat.view(unsigned)
        for i in range(0, len(s), step):
            if s[i : i + step].max() >= positive or u[i : i + step].max() >= negative:
                return True
        return False

    return test


def _squares_are_finite(a: Host) -> bool:
    """Whether no sum of squares overflows; then all is finite."""
    if a.size <= _ROW:
        return cmath.isfinite(np.vdot(a, a))
    flat = a.ravel("K")
    if a.size <= _FEW_ROWS * _ROW:
        parts = (flat[i : i + _ROW] for i in range(0, len(flat), _ROW))
        return all(cmath.isfinite(np.vdot(part, part)) for part in parts)
    whole = len(flat) // _SHORT_ROW * _SHORT_ROW
    rows, rest = flat[:whole].reshape(-1, _SHORT_ROW), flat[whole:]
    with np.errstate(all="ignore"):
        total = np.add.reduce(np.vecdot(rows, rows))
    return cmath.isfinite(total) and cmath.isfinite(np.vdot(rest, rest))


def _table_test(dtype: np.dtype[Any]) -> Test | None:
    """For formats of a byte or less: some have no Inf, some no NaN, some neither."""
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(np.arange(256, dtype=np.uint8).view(dtype))

    def test(a: Host) -> bool:
        flat = a.ravel("K").view(np.uint8)
        blocks = range(0, len(flat), _BLOCK)
        return any(bad[flat[i : i + _BLOCK]].any() for i in blocks)

    return test if bad.any() else None


def _is_finite_at_once(x: Any) -> bool:
    """Proves small arrays finite, of which a step gives many; False says nothing."""
    if type(x) is not _implementation or not x.is_fully_replicated:
        return False
    try:
        a = np.asarray(x)
    except RuntimeError:  # deleted
        return False
    few = a.size <= _FEW_ROWS * _ROW and a.dtype.char in "fdFD"
    return few and _squares_are_finite(a)


def is_bad(x: Any) -> bool:
    """Whether a value of any kind holds NaN or Inf, read on the host."""
    if isinstance(x, (float, complex)):
        return not cmath.isfinite(x)
    dtype = getattr(x, "dtype", None)
    # The dtypes of keys, and of what others call arrays, are none of NumPy's.
    test = _TESTS[dtype] if isinstance(dtype, np.dtype) else None
    if test is None:
        return False
    has_values = _has_values(x)
    if not has_values and isinstance(x, jax.core.Tracer):
        return False
    try:
        if has_values and x.is_fully_replicated:
            return test(np.asarray(x))  # its first shard, and on the CPU no copy
        return any(test(part) for _, part in parts(x))
    except RuntimeError:
        if is_gone(x):  # nothing is left to read
            return False
        raise


def here(x: Any) -> Host | None:
    """An array where it lies; None where it is not whole in the memory of the CPU."""
    if isinstance(x, np.ndarray):
        return x
    if not _has_values(x) or not _is_whole_here(x.sharding):
        return None
    try:
        return np.asarray(x) if isinstance(x.dtype, np.dtype) else None
    except RuntimeError:  # deleted
        return None


@functools.lru_cache(maxsize=256)
def _is_whole_here(sharding: Any) -> bool:
    on_cpu = next(iter(sharding.device_set)).platform == "cpu"
    return bool(on_cpu and sharding.is_fully_replicated)


_ARRAY: Any = jax.Array  # is_ready() is documented, but missing in the class


def parts(x: Any) -> Iterator[tuple[tuple[int, ...], Host]]:
    """The parts of an array that are in this process, each with where it begins."""
    return ((origin, np.asarray(shard)) for origin, shard in shards(x))


def shards(x: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """The same; what is elsewhere than on the CPU is left there, as a `jax.Array`."""
    if isinstance(x, REF):
        x = x[...]
    if not isinstance(x, jax.Array):
        yield (0,) * np.ndim(x), np.asarray(x)
        return
    far = is_remote(x)
    seen = set()
    for shard in x.addressable_shards:
        origin = tuple(s.start or 0 for s in shard.index)
        if origin not in seen:  # the others are replicas
            seen.add(origin)
            yield origin, shard.data if far else np.asarray(shard.data)


def kinds(block: Host) -> tuple[Host, Host, Host]:
    """Which elements are NaN, +Inf, -Inf."""
    halves = [block.real, block.imag] if block.dtype.kind == "c" else [block]
    nan = np.logical_or.reduce([np.isnan(p) for p in halves])
    positive = np.logical_or.reduce([np.isinf(p) & (p > 0) for p in halves]) & ~nan
    negative = np.logical_or.reduce([np.isinf(p) & (p < 0) for p in halves])
    return nan, positive, negative & ~nan & ~positive


# -- on devices ------------------------------------------------------------------------


class _Flags:
    """Answers for arrays of one set of devices, the latest one last.

    A shift register rather than a numbered store: an index would be an operand to send
    with each question, or a compilation for each.
    """

    __slots__ = ("_answers", "_asked", "_devices")

    def __init__(self, devices: object):
        self._devices = devices
        self._asked: list[int] = []
        self._answers = _no_flags()

    def takes(self, devices: object) -> bool:
        return devices == self._devices and len(self._asked) < _FLAGS

    def ask(self, index: int, x: jax.Array, masks: bool = True) -> None:
        shift_in = _shift_in if masks else _shift_in_unless_mask
        self._answers = shift_in(self._answers, x)
        self._asked.append(index)

    def ready(self) -> bool:
        return bool(self._answers.is_ready())

    def __iter__(self) -> Iterator[int]:
        """Indices of what is bad; waits for the devices."""
        # An explicit transfer, which the user's transfer guard lets pass.
        answers = jax.device_get(self._answers)[_FLAGS - len(self._asked) :]
        return (i for i, bad in zip(self._asked, answers, strict=True) if bad)


_PLACES: dict[int, tuple[Any, bool]] = {}
"""Shardings that were met, by id, and whether they lie elsewhere than on the CPU: what
one program gives shares them."""

_MANY_PLACES = 1 << 14


def is_remote(x: Any) -> bool:
    """Whether an array is on devices other than the CPU."""
    if not _has_values(x):
        return False
    where: Any = x.sharding
    known = _PLACES.get(id(where))
    if known is None or known[0] is not where:
        if len(_PLACES) >= _MANY_PLACES:
            _PLACES.clear()
        # Not x.platform(), which kills the process where x is deleted (JAX 0.10).
        device: Any = next(iter(where.device_set))
        known = _PLACES[id(where)] = where, device.platform != "cpu"
    return known[1]


def _is_late(x: Any) -> bool:
    """Whether an array is still being computed."""
    if not _has_values(x) or not isinstance(x.dtype, np.dtype):
        return False  # typed keys have a dtype of their own, and no is_ready()
    # The order matters: is_ready() too kills the process where x is deleted.
    return not x.is_deleted() and not x.is_ready()


def _has_values(x: Any) -> bool:
    """Whether something is an array of JAX; a tracer is one without values."""
    global _implementation
    if type(x) is _implementation:
        return True
    if not isinstance(x, _ARRAY) or isinstance(x, jax.core.Tracer):
        return False
    if isinstance(x.dtype, np.dtype):  # typed keys are of another class
        _implementation = type(x)
    return True


_implementation: Any = None
"""The class that arrays of JAX are of: asking `isinstance` takes ten times longer."""


def _ask(asked: list[_Flags], index: int, x: Any) -> bool:
    """Enqueues the test of an array; whether that was possible."""
    if _TESTS[x.dtype] is None:
        return True
    try:
        if are_several():
            _ask_shards(asked, index, x)
        else:
            _ask_on(asked, x.sharding.device_set).ask(index, x)
    except (RuntimeError, ValueError):  # deleted; of another mesh than the context's
        return False
    return True


def _ask_on(asked: list[_Flags], devices: object) -> _Flags:
    """The flags on these devices."""
    flags = next((f for f in asked if f.takes(devices)), None)
    if flags is None:
        flags = _Flags(devices)
        asked.append(flags)
    return flags


def _ask_shards(asked: list[_Flags], index: int, x: Any) -> None:
    """Asks of the shards in this process: in the others no program of ours may run.

    What is -Inf may be a mask. No call in several processes is evaluated again to tell,
    so it does not count, and a flag alone says that a call has failed.
    """
    origins = set()
    with jax.set_mesh(_NO_MESH):
        for shard in x.addressable_shards:
            origin = tuple(s.start for s in shard.index)
            if origin not in origins:
                origins.add(origin)
                flags = _ask_on(asked, shard.data.sharding.device_set)
                flags.ask(index, shard.data, masks=False)


_NO_MESH = jax.sharding.Mesh(np.empty((), object), ())
"""The mesh of a context in which a program may run on one device."""


@jax.jit
def _no_flags() -> jax.Array:
    return jnp.zeros(_FLAGS, bool)


@jax.jit
def _shift_in(flags: jax.Array, x: jax.Array) -> jax.Array:
    bad = ~jnp.isfinite(x).all()
    return jnp.concatenate([flags[1:], bad[None]])


@jax.jit
def _shift_in_unless_mask(flags: jax.Array, x: jax.Array) -> jax.Array:
    bad = (~jnp.isfinite(x) & (x != -jnp.inf)).any()
    return jnp.concatenate([flags[1:], bad[None]])
