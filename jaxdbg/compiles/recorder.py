"""The log of what was traced, lowered and compiled in this process.

It runs from `%load_ext jaxdbg` on, or while a region is open, whichever is longer, and
is bounded: of the log the last `MAX_EVENTS` phases are kept, of the signatures that
later calls are compared with the last `MAX_EARLIER` of each function, and `MAX_WEIGHT`
entries (an argument or attribute each) of all. Filled to the brim that is 85 MB, and
more phases do not make it more.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from jaxdbg.compiles import reasons
from jaxdbg.compiles.listener import Listener, Phase, PhaseWatcher
from jaxdbg.compiles.stale_closures import Closures
from jaxdbg.errors import broken
from jaxdbg.records import CompileEvent, Remark
from jaxdbg.records.advice import advised
from jaxdbg.records.costs import MAX_BETWEEN, PHASES
from jaxdbg.records.read_only import ReadOnly

MAX_EVENTS = 10_000
"""How many phases the log keeps."""

MAX_SIGNATURES = 500
"""Of how many phases the log keeps the signature."""


class Recorder:
    """Records while it is wanted; watchers hear of each phase."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._log: deque[Phase] = deque(maxlen=MAX_EVENTS)
        self._count = 0
        self._wanted = 0
        self._listener: Listener | None = None
        self._history = reasons.History()
        self._closures = Closures()
        self._watchers: tuple[PhaseWatcher, ...] = ()
        self._notices: dict[str, None] = {}

    # -- on and off ------------------------------------------------------------------

    def want(self) -> None:
        """Begins to record, unless it does already; `unwant` once for each."""
        with self._lock:
            if self._listener is None:
                listener = Listener(self)
                listener.start()
                self._listener = listener
            self._wanted += 1

    def unwant(self) -> None:
        """Stops recording when nobody wants it any more."""
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0 and self._listener is not None:
                listener, self._listener = self._listener, None
                listener.stop()

    @property
    def is_on(self) -> bool:
        """Whether phases are recorded now."""
        return self._listener is not None

    @contextlib.contextmanager
    def running(self, watcher: PhaseWatcher) -> Iterator[None]:
        """Records, and lets `watcher` hear, while this is open."""
        self.want()
        with self._lock:
            self._watchers = (*self._watchers, watcher)
        try:
            yield
        finally:
            with self._lock:
                self._watchers = tuple(w for w in self._watchers if w is not watcher)
            self.unwant()

    # -- a watcher -------------------------------------------------------------------

    def began(self, phase: Phase) -> None:
        try:
            with self._lock:
                if not phase.hidden:
                    why = self._history.why(phase)
                    phase.reason = None if self._is_of_the_first(phase) else why
        except Exception as error:
            self.broke("comparing a call with earlier ones", error)
        for watcher in self._watchers:
            watcher.began(phase)  # what it raises stops the phase: it is not recorded
        if phase.hidden:
            return
        with self._lock:
            self._history.remember(phase)
            if phase.phase == "trace" and phase.function.user:
                self._closures.traced(phase)
            self._log.append(phase)
            self._count += 1
            if len(self._log) > MAX_SIGNATURES:
                self._log[-MAX_SIGNATURES - 1].let_go()

    def _is_of_the_first(self, phase: Phase) -> bool:
        """Whether it belongs to the first trace of its function.

        Another thread may have lowered the function before this one does.
        """
        for last in islice(reversed(self._log), MAX_BETWEEN):
            if (last.thread, last.role) != (phase.thread, phase.role):
                continue
            if last.function == phase.function:
                is_before = PHASES.index(last.phase) < PHASES.index(phase.phase)
                return is_before and last.reason is None and not last.failed
        return False

    def ended(self, phase: Phase) -> None:
        if phase.failed:
            with self._lock:
                self._history.failed(phase)
        for watcher in self._watchers:
            watcher.ended(phase)

    def broke(self, doing: str, error: Exception) -> None:
        self._notices[broken(doing, error)] = None
        for watcher in self._watchers:
            watcher.broke(doing, error)

    def lost(self, doing: str, error: Exception) -> None:
        self._notices[broken(doing, error)] = None
        for watcher in self._watchers:
            watcher.lost(doing, error)

    # -- what is known ---------------------------------------------------------------

    def position(self) -> int:
        """How many phases were recorded so far, ever."""
        return self._count

    def events(self, since: int | None = None) -> tuple[CompileEvent, ...]:
        """What the log holds, frozen; only what began after a `mark`, where given."""
        with self._lock:
            phases = list(self._log)
            first = self._count - len(phases)
        return frozen(phases if since is None else phases[max(0, since - first) :])

    def names(self) -> set[str]:
        """The names of the functions in the log."""
        with self._lock:
            functions = [p.function for p in self._log]
        return {name for f in functions for name in (f.name, f.title)}

    def running_trace(self) -> Phase | None:
        """The innermost trace that runs in this thread; None where none was seen."""
        thread = threading.current_thread().name
        with self._lock:
            running = (p for p in reversed(self._log) if not p.ended)
            return next(
                (p for p in running if p.phase == "trace" and p.thread == thread), None
            )

    def stale(self) -> tuple[Remark, ...]:
        """Closed-over values that have changed since the trace, each reported once."""
        with self._lock:
            return tuple(self._closures.stale())

    def notices(self) -> tuple[str, ...]:
        """What jaxdbg has to say about itself."""
        return tuple(self._notices)

    def forget(self) -> None:
        """Empties the log, and forgets the earlier calls."""
        with self._lock:
            self._log.clear()
            self._history = reasons.History()
            self._closures = Closures()
            self._notices.clear()


def frozen(phases: Iterable[Phase]) -> tuple[CompileEvent, ...]:
    """Phases as records; a parent that is not among them is none."""
    known = list(phases)
    index = {id(phase): i for i, phase in enumerate(known)}
    return advised([_frozen(phase, index.get(id(phase.parent), -1)) for phase in known])


def _frozen(phase: Phase, parent: int) -> CompileEvent:
    return CompileEvent(
        function=phase.function.name,
        phase=phase.phase,
        start=phase.start,
        duration=phase.duration,
        self_time=max(0.0, phase.duration - phase.inside),
        thread=phase.thread,
        parent=parent,
        source=phase.source,
        defined=phase.function.source,
        cell=phase.cell,
        signature=ReadOnly(phase.signature.texts()),
        reason=phase.reason,
        cache=phase.cache,
        saved=phase.saved,
        user=phase.function.user,
        failed=phase.failed,
        role="body" if phase.signature.is_body else phase.role,
        bodies=phase.function.bodies,
        equations=phase.equations,
    )


_recorder = Recorder()
_held = False


def recorder() -> Recorder:
    """The recorder of this process."""
    return _recorder


def start() -> None:
    """Records from now on, until `stop`; a second time changes nothing."""
    global _held
    if not _held:
        _recorder.want()
        _held = True


def stop() -> None:
    """Stops what `start` began; regions go on recording for their own time."""
    global _held
    if _held:
        _held = False
        _recorder.unwant()


def events(since: int | None = None) -> tuple[CompileEvent, ...]:
    """What was recorded, of all threads; see `Recorder.events`."""
    return _recorder.events(since)


def stale() -> tuple[Remark, ...]:
    """Values that a function has closed over and that have changed since its trace."""
    return _recorder.stale()


def position() -> int:
    """A point in the log, for `events(since=...)`."""
    return _recorder.position()


def forget() -> None:
    """Empties the log."""
    _recorder.forget()
