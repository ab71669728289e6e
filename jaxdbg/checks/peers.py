"""What the other processes of a job have found: without it they would be waited for.

A process that raises takes no part in the programs that come after, and the others
would wait for it in the next one. So it posts its finding in the key-value store of the
job's coordination service; the others look there before each call that runs in several
processes, and while they wait for one, and raise the same finding.

On the CPU a process that launches a program waits inside XLA for the others, where it
can learn of nothing. There the processes that have the region are kept in step: each
says which call it begins, and begins it when the others have judged the ones before. In
the first two calls the processes with the region find each other in the store; then
they say so by a `Wire`, and the store is asked only where there is something to read.

A process posts for a region, and reads what is posted for the same region elsewhere:
the one that is opened in the same line, for the same time, of those in which calls ran
in several processes. Nothing waits for a process without the region, and nothing waits
for ever.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import jax

from jaxdbg.checks.judgement import Judgement
from jaxdbg.checks.wire import Wire, host_towards
from jaxdbg.errors import CheckError, Failure, NonFiniteError, TraceBudgetError
from jaxdbg.jax_internals import processes
from jaxdbg.jax_internals.user_frames import user_frame
from jaxdbg.records import Finding
from jaxdbg.records.finding_kinds import kind_of
from jaxdbg.records.serial import plain, record

MOST_POSTED = 16
"""How many findings a process posts of one region."""

MOST_LEAVES = 64
"""How many bad leaves of a finding are described in what is posted."""

LOOK_SECONDS = 0.2
"""How often a process that waits looks for what others have found."""

LONGEST_SLEEP = 0.01
"""Seconds after which a process that waits asks again whether a call is done."""

LINE_SECONDS = 10.0
"""How long a process that fails without a line waits for others to find one."""

PATIENCE = 70.0
"""Seconds to wait for a process that is a call behind: a diagnosis takes a minute."""

_CALL = "call"
"""The key, in the folder of a process, of the call that it begins and its address."""

_FIRST = 2
"""In so many calls the processes with a region find each other: the first takes place
only when each has said that it begins."""

_LOOK = -1
"""Sent in place of a call: there is a finding in the store."""

_END = 1 << 62
"""The call of a process whose region has ended."""

_FAILURES: dict[str, type[Failure]] = {
    "value": NonFiniteError,
    "check": CheckError,
    "budget": TraceBudgetError,
}

_opened: Counter[str] = Counter()


class Peers:
    """The other processes of the job, as far as they have the same region.

    Made where a region is opened, by the line of the user that does it.

    Arguments:
        broke: notes that a part of jaxdbg broke, with what it was doing.
    """

    def __init__(self, broke: Callable[[str, BaseException], None]):
        self._broke = broke
        self._store = processes.store()
        self._posted = 0
        self._last_posted: Judgement | None = None
        self._unraised: list[Judgement] = []
        self._seen: set[tuple[int, str]] = set()
        self._calls = 0
        self._left: set[int] = set()
        self._at: dict[int, int] = {}
        self._wire: Wire | None = None
        self._must_look = False
        self._me = 0
        self._place = self._folder = ""
        if self._store is not None:
            self._me = processes.number()
            frame = user_frame(sys._getframe())
            if frame is not None:
                self._place = f"{os.path.basename(frame.file)}:{frame.line}"

    def post(self, judgement: Judgement) -> None:
        """Posts a finding of this process for the others."""
        from_here = judgement.process is None and self._posted < MOST_POSTED
        is_new = judgement is not self._last_posted
        if self._store is None or not (self._folder and from_here and is_new):
            return
        self._last_posted = judgement
        finding = judgement.failure.finding
        small = replace(finding, outputs=finding.outputs[:MOST_LEAVES], pictures=())
        key = f"{self._folder}{self._me}/{self._posted}"
        self._posted += 1
        try:
            self._store.key_value_set(key, json.dumps(plain(small)))
            self._send(_LOOK)
        except Exception as error:
            self._give_up("posting a finding for other processes", error)

    def found(self) -> list[Judgement]:
        """The findings of other processes that were not returned before."""
        if self._store is None or not self._folder:
            return []
        self._must_look = False
        known, self._unraised = self._unraised, []
        return known + self._new()

    def with_line(self, judgement: Judgement) -> Judgement:
        """A judgement of this process with the line that another one may have found.

        What is bad in all processes was born in one, which alone can say where. It is
        waited for those that have the region and judge the same call.
        """
        finding = judgement.failure.finding
        if self._store is None or not self._folder or _has_line(judgement):
            return judgement
        self.post(judgement)
        began, answers = time.perf_counter(), dict[int, Judgement]()
        while True:
            for other in self._new():
                posted = other.failure.finding
                same = (posted.function, posted.call) == (
                    finding.function,
                    finding.call,
                )
                if same and other.process is not None:
                    answers[other.process] = other
                else:
                    self._unraised.append(other)
            left = {p for p, at in self._at.items() if at == self._calls} - {*answers}
            waited = time.perf_counter() - began
            if not left or waited > LINE_SECONDS:
                break
            self._listen(_nap(waited))
        known = [answers[p] for p in sorted(answers) if _has_line(answers[p])]
        if not known:
            return judgement
        return replace(judgement, failure=known[0].failure, process=known[0].process)

    def _new(self) -> list[Judgement]:
        """The findings of other processes that are read for the first time."""
        try:
            posts = self._read()
            for (process, name), text in posts.items():
                if name == _CALL:
                    self._meet(process, text)
            new = {
                k: v for k, v in posts.items() if _CALL not in k and k not in self._seen
            }
            self._seen.update(new)
            return [_judgement(process, text) for (process, _), text in new.items()]
        except Exception as error:
            self._give_up("looking for what other processes have found", error)
            return []

    def _read(self) -> dict[tuple[int, str], str]:
        """What the other processes have posted, by process and name."""
        posts = {}
        for key, text in self._store.key_value_dir_get(self._folder):
            process, name = key.removeprefix(self._folder).split("/")
            if int(process) != self._me:
                posts[int(process), name] = text
        return posts

    def _meet(self, process: int, text: str) -> None:
        """Notes the call that another process says it begins, and connects to it."""
        call, _, address = text.partition(" ")
        self._at[process] = max(int(call), self._at.get(process, 0))
        if self._wire is not None and address:
            self._wire.connect(process, address)

    def _listen(self, seconds: float = 0) -> None:
        """Notes what other processes send; waits until there is something."""
        if self._wire is None:
            time.sleep(seconds)
            return
        for process, call in self._wire.receive(seconds):
            self._must_look |= call == _LOOK
            self._at[process] = max(call, self._at.get(process, 0))

    @property
    def _are_all_joined(self) -> bool:
        """Whether what other processes say comes by the wire alone."""
        wire, others = self._wire, [p for p, call in self._at.items() if call != _END]
        return wire is not None and all(map(wire.joins, others))

    def begin(self) -> list[Judgement]:
        """Before a call in several processes: what others have found by now.

        On the CPU it waits until they have judged all calls before this one.
        """
        self._calls += 1
        if self._calls == 1 and self._store is not None:
            self._open()
        self._listen()
        in_store = self._calls <= _FIRST or not self._are_all_joined
        if self._calls == 1 or (self.in_step and in_store):
            self._say(self._calls)
        self._send(self._calls)
        began = time.perf_counter()
        while True:
            waited = time.perf_counter() - began
            if (in_store or self._must_look) and (found := self.found()):
                return found
            behind = {p for p, call in self._at.items() if call < self._calls}
            if waited > PATIENCE:
                self._left |= behind
            if self._store is None or not self.in_step or behind <= self._left:
                return []
            in_store = not self._are_all_joined or waited > LOOK_SECONDS
            self._listen(LOOK_SECONDS if not in_store else _nap(waited))

    def _open(self) -> None:
        _opened[self._place] += 1
        self._folder = f"jaxdbg/{self._place}/{_opened[self._place]}/"
        try:
            self._wire = Wire(host_towards(processes.coordinator()), self._me)
        except (OSError, ValueError):  # then all is said in the store
            self._wire = None

    def _send(self, call: int) -> None:
        if self._wire is not None:
            self._wire.send(call)

    @property
    def in_step(self) -> bool:
        """Whether a call begins only when the others are as far."""
        return self._store is not None and jax.default_backend() == "cpu"

    def end(self) -> None:
        """The region ends here: nobody need wait for this process.

        Where no other process had the region it leaves no trace: the next one that is
        opened in this line is, in all of them, the same.
        """
        self.found()
        # In step, all that have the region have said so before its first call is done.
        if self._at or (self._posted and not self.in_step):
            self._say(_END)
            self._send(_END)
        elif self._store is not None and self._folder:
            _opened[self._place] -= 1
            try:
                self._store.key_value_delete(self._folder)
            except Exception as error:
                self._give_up("ending a region of several processes", error)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _say(self, call: int) -> None:
        if self._store is None or not self._folder:
            return
        key = f"{self._folder}{self._me}/{_CALL}"
        try:
            address = "" if self._wire is None else self._wire.address
            text = f"{call} {address}"
            self._store.key_value_set(key, text, allow_overwrite=True)
        except Exception as error:
            self._give_up("telling other processes which call begins", error)

    def wait(self, is_done: Callable[[], bool]) -> list[Judgement]:
        """Waits until something is done, or another process has found something."""
        began = looked = time.perf_counter()
        while not is_done():
            now = time.perf_counter()
            if self._must_look or now - looked >= LOOK_SECONDS:
                looked = now
                if found := self.found():
                    return found
            self._listen(_nap(now - began))
        return []

    def _give_up(self, doing: str, error: Exception) -> None:
        self._store = None
        self._hang_up()
        self._broke(doing, error)


def _has_line(judgement: Judgement) -> bool:
    """Whether a judgement says where a value was born, or came in."""
    origin = judgement.failure.finding.origin
    return origin is None or origin.verdict != "not reproduced"


def _nap(waited: float) -> float:
    """Seconds until a process that has waited so long asks again."""
    return min(waited / 20, LONGEST_SLEEP)


def _judgement(process: int, text: str) -> Judgement:
    """The judgement of another process, from what it has posted."""
    finding: Finding = record(Finding, json.loads(text))
    failure = _FAILURES[kind_of(finding.kind).subject](finding.message, finding)
    failure.add_note(f"found by process {process}, and raised in the others too")
    return Judgement(failure, process=process)
