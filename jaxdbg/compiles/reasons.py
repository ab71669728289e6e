"""Why a function was traced, lowered or compiled again: its calls, compared.

A call is compared with the earlier one that differs least from it, of several the most
recent, and all differences are listed. JAX's own explanation compares with the smallest
text, and names one category; see `jax_explain_cache_misses`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from jaxdbg.compiles.listener import Phase
from jaxdbg.compiles.placement import Placed
from jaxdbg.compiles.signatures import Signature
from jaxdbg.frameworks.attributes import Attribute
from jaxdbg.jax_internals.array_types import Leaf
from jaxdbg.jax_internals.cache_clears import is_remembered, were_cleared
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.jax_internals.identities import are_others
from jaxdbg.records import ArrayType, Reason
from jaxdbg.records.retrace_causes import CAUSES, FIXES, GROWING_SHAPE, GROWS
from jaxdbg.records.source import SourceFrame, cell_number
from jaxdbg.views.words import short_place

MAX_EARLIER = 16
"""With how many earlier calls of a function a new one is compared."""

MAX_WEIGHT = 200_000
"""How many arguments and attributes all remembered calls may have together."""

MAX_OTHERS = 50
"""How many further differences a reason lists."""

MAX_ALIKE = 3
"""How many differences that read the same are listed one by one."""

MAX_BUCKETS = 3
"""How many lengths of an argument may be buckets, and no growth."""

MISSING = "(not there)"


@dataclass(frozen=True, slots=True)
class CallDifference:
    """One thing that differs between two calls.

    Attributes:
        cause: short name of the cause that it would be.
        where: the argument or attribute, as the user would type it.
        before, after: what it was, and what it is now.
        before_type, after_type: of an array its types; None of anything else.
        fix: key of `FIXES`, where the fix is not that of the cause.
    """

    cause: str
    where: str
    before: str = ""
    after: str = ""
    before_type: ArrayType | None = None
    after_type: ArrayType | None = None
    fix: str = ""

    def __str__(self) -> str:
        if not (self.before or self.after):
            return self.where
        colon = ":" if self.before_type is None else ""
        return f"{self.where}{colon} {self.before} → {self.after}"


class History:
    """The earlier calls of each function, in each phase; bounded."""

    def __init__(self) -> None:
        self._calls: OrderedDict[Any, deque[Signature]] = OrderedDict()
        self._weight = 0
        self._all_cleared = 0
        self._cleared: Counter[Any] = Counter()

    def why(self, phase: Phase) -> Reason | None:
        """The reason of a phase that begins; None for the first of its function."""
        self._all_cleared += were_cleared()
        earlier = self._earlier(phase)
        if not earlier:
            return None
        self._note_clears(phase)
        reason = explain(phase.signature, earlier)
        if reason.cause == "unknown" and _was_cleared(phase, earlier):
            self._cleared[_key(phase)[2:]] += 1
            self._note_clears(phase)
            reason = explain(phase.signature, earlier)
        return None if _is_of_another(phase, reason) else reason

    def _earlier(self, phase: Phase) -> list[Signature]:
        found = [s for key in _keys(phase) for s in self._calls.get(key, ())]
        return list({id(s): s for s in found}.values())

    def _note_clears(self, phase: Phase) -> None:
        """How often JAX's caches were cleared of a function until now."""
        times = self._all_cleared + self._cleared[_key(phase)[2:]]
        if phase.signature.clears != times:
            phase.signature = replace(phase.signature, clears=times)

    def remember(self, phase: Phase) -> None:
        """Later phases are compared with this one."""
        self._note_clears(phase)
        for key in _keys(phase):
            calls = self._calls.setdefault(key, deque())
            self._calls.move_to_end(key)
            calls.append(phase.signature)
            self._weight += phase.signature.weight + 1
            if len(calls) > MAX_EARLIER:
                self._weight -= calls.popleft().weight + 1
        while self._weight > MAX_WEIGHT and len(self._calls) > 1:
            _, gone = self._calls.popitem(last=False)
            self._weight -= sum(s.weight + 1 for s in gone)

    def failed(self, phase: Phase) -> None:
        """A phase ended with an error: what comes after it runs again for that."""
        # A call is lowered and compiled with one signature.
        kinds = ("lower", "compile") if phase.phase == "compile" else (phase.phase,)
        for key in (key for kind in kinds for key in _keys(phase, kind)):
            calls = self._calls.get(key, deque())
            for i, signature in enumerate(calls):
                if signature is phase.signature:
                    calls[i] = replace(signature, failed=True)


def _keys(phase: Phase, kind: str = "") -> list[Any]:
    """Calls are compared if they are of the same code, and the same use of it."""
    function, code = phase.function, phase.signature.code
    # A function and its gradient are two programs of the same code.
    is_users = code is not None and function.user
    whats: list[Any] = [(code, phase.signature.kind) if is_users else function]
    # Of a library's code, many functions of the user's may be made: on one line, a
    # loop makes them anew.
    if function.made_of:
        whats = [function, (function.source, phase.signature.line)]
    return [(kind or phase.phase, phase.role, function.name, what) for what in whats]


def _key(phase: Phase) -> Any:
    return _keys(phase)[0]


def _was_cleared(phase: Phase, earlier: Iterable[Signature]) -> bool:
    """Whether JAX has forgotten a function that it has traced: `f.clear_cache()`."""
    if phase.phase != "trace" or phase.fun is None:
        return False
    made = phase.signature.made
    if made is None or not any(s.made and made.same(s.made) for s in earlier):
        return False
    return is_remembered(phase.fun) is False


def _is_of_another(phase: Phase, reason: Reason) -> bool:
    """Whether it is another object of a library, as another net: nothing runs again."""
    is_librarys = bool(phase.function.made_of) and not phase.signature.bodies
    return is_librarys and _is_new(reason) and bool(reason.others)


def _is_new(reason: Reason) -> bool:
    return reason.cause == "new function"


def explain(now: Signature, earlier: Sequence[Signature]) -> Reason:
    """Why a phase runs again, given the earlier calls of it, the oldest first."""
    before, differing = closest(now, earlier)
    if not differing:
        return _nothing_differs(now, before)
    others = differing[1:]
    first, note, avoidable = _seen_together(differing, now, before, earlier)
    if now.outer != before.outer and first.cause in ("shape", "dtype", "weak type"):
        note = (
            note or f"inside {now.outer or 'no'}; before inside {before.outer or 'no'}"
        )
        note = note.replace("inside no", "in no other trace")
    return Reason(
        cause=first.cause,
        where=first.where,
        before=first.before,
        after=first.after,
        others=tuple(str(d) for d in others[:MAX_OTHERS]),
        avoidable=_avoidable(first) if avoidable is None else avoidable,
        note=note,
        advice=_fix(first, now, before),
        before_type=first.before_type,
        after_type=first.after_type,
    )


def _fix(first: CallDifference, now: Signature, before: Signature) -> str:
    """The fix of what differs, where that of its cause does not fit."""
    after = first.after_type.numpy_dtype if first.after_type else ""
    captured = ", ".join(_captured(now, before))
    return FIXES[first.fix or "none"].format(
        name=first.where, after_dtype=after or "float32", captured=captured
    )


def closest(
    now: Signature, earlier: Sequence[Signature]
) -> tuple[Signature, list[CallDifference]]:
    """The earlier call that differs least, of several the last, and how it differs."""
    compared = [(s, _folded(differences(now, s))) for s in reversed(earlier)]
    return min(compared, key=lambda pair: len(pair[1]))


def differences(now: Signature, before: Signature) -> Iterator[CallDifference]:
    """All that differs between two calls, what explains the rest first."""
    yield from _functions(now, before)
    yield from _bodies(now, before)
    yield from _contexts(now, before)
    if now.attributes or before.attributes:
        yield from _attributes(now, before)
    else:
        yield from _structures(now, before)
        yield from _beside(now, before)
        yield from _leaves(now, before)
    yield from _statics(now, before)
    yield from _forms(now, before)
    yield from _placements(now, before)
    yield from _options(now, before)


def _folded(differing: Iterable[CallDifference]) -> list[CallDifference]:
    """Differences that read the same as one: `x and 41 more: f32 → bf16`."""
    differing = list(differing)
    count = Counter((d.cause, d.before, d.after) for d in differing)
    folded: dict[Any, CallDifference] = {}
    for i, d in enumerate(differing):
        alike = (d.cause, d.before, d.after)
        if count[alike] <= MAX_ALIKE:
            folded[i] = d
        elif alike not in folded:
            more = f"{d.where} and {count[alike] - 1} more"
            folded[alike] = replace(d, where=more)
    return list(folded.values())


# --- what differs -------------------------------------------------------------------


def _functions(now: Signature, before: Signature) -> Iterator[CallDifference]:
    """The same code in a new function object: JAX's caches go by the object."""
    if now.made is None or before.made is None or now.made.same(before.made):
        return
    if not now.function.user:  # an eager operation: JAX makes one for its parameters
        return
    what = f"{_article(now.kind)} {now.kind}"
    where = "the function"
    if now.outer:
        text = f"made again while {now.outer} was traced"
        yield CallDifference("nested", where, what, f"{what} {text}")
    elif _cell_run_again(now, before):
        yield CallDifference("cell run again", where, what, "defined again")
    else:
        again = f"another {now.kind} of the same code"
        fix = _fix_of_captured(now, before)
        if now.is_body:
            fix = "body of a library" if now.function.made_of else "new body"
        yield CallDifference("new function", where, what, again, fix=fix)


def _bodies(now: Signature, before: Signature) -> Iterator[CallDifference]:
    """New functions in control flow that runs outside of jit."""
    seen = set[str]()
    pairs = [*zip(now.bodies, before.bodies, strict=False)]
    pairs.sort(key=lambda pair: pair[0].given.same(pair[1].given))  # others first
    for new, old in pairs:
        place = new.place.format(name=now.function.name)
        if new.traced.same(old.traced) or place in seen:
            continue
        seen.add(place)
        what = f"{_article(new.kind)} {new.kind}"
        after, fix = f"another {new.kind} of the same code", "new body"
        if new.given.same(old.given):
            after = f"the same {new.kind} in a new function of the library"
            fix = "body of a library"
        elif new.function.made_of:
            fix = "body of a library"
        yield CallDifference("new function", place, what, after, fix=fix)


def _captured(now: Signature, before: Signature) -> list[str]:
    """The names of plain values that a function is made with, and that differ."""
    pairs = [(before.captured, now.captured)]
    pairs += [
        (old.captured, new.captured)
        for old, new in zip(before.bodies, now.bodies, strict=False)
    ]
    changed = (name for old, new in pairs for name, _, _ in _changed(old, new))
    return list(dict.fromkeys(changed))


def _fix_of_captured(now: Signature, before: Signature) -> str:
    """What to do about the values a function is made with: not all may be arrays."""
    names = _captured(now, before)
    if not names:
        return ""
    values = [now.captured.get(name, "") for name in names]
    return "pass it" if all(map(_is_real, values)) else "pass it as static"


def _is_real(text: str) -> bool:
    """Whether a number is no size, axis, or number of steps."""
    return text[:1] not in ("'", '"') and ("." in text or "e-" in text)


def _article(noun: str) -> str:
    """The article of a noun by its sound: an abbreviation is spelled."""
    word = noun.partition(".")[0]
    is_spelled = not set("aeiouy") & set(word)
    return "an" if word[0] in ("fhlmnrsx" if is_spelled else "aeiou") else "a"


def _cell_run_again(now: Signature, before: Signature) -> bool:
    # Compiled anew, the code is equal and another object; in a loop it is the same.
    if now.cell is not None and before.cell is not None:
        return now.cell != before.cell
    return now.code is not before.code


def _contexts(now: Signature, before: Signature) -> Iterator[CallDifference]:
    if not (now.context and before.context):
        return
    for name, old, new in _changed(before.context, now.context):
        if "mesh" in name:
            yield CallDifference("mesh", "the mesh", old or "none", new or "none")
        else:
            yield CallDifference("config", name, old or MISSING, new or MISSING)


def _structures(now: Signature, before: Signature) -> Iterator[CallDifference]:
    missing = set(now.leaves) ^ set(before.leaves)
    for path, old, new in _changed(before.nodes, now.nodes):
        if path in missing:
            continue  # a leaf has come in its place
        if any(_within(m, [path]) for m in missing) and _type(old) == _type(new):
            continue  # the leaf that was added says it better
        fix = _fix_of_nodes(path, old or "", new or "")
        yield CallDifference("pytree", path, old or MISSING, new or MISSING, fix=fix)


def _fix_of_nodes(path: str, old: str, new: str) -> str:
    """What to do about another container, or one more."""
    types = {_type(old), _type(new)}
    if "None" in types:
        return "None"
    if not (old and new):
        return "growing list" if _is_item(path) and not old else "keys"
    if "FrozenDict" in types:
        return "frozen"
    if len(types) == 1:
        return "growing list" if types <= {"list", "tuple"} else "keys"
    numbered = types & {"list", "tuple"} and '"0"' in old + new
    return "restored" if numbered else "container"


def _is_item(path: str) -> bool:
    return path.endswith("]") and path[path.rfind("[") + 1 : -1].isdecimal()


def _beside(now: Signature, before: Signature) -> Iterator[CallDifference]:
    """What a tree holds beside its leaves: static fields, aux data."""
    for path in now.beside:
        old, new = before.beside.get(path), now.beside[path]
        if old is None:
            continue  # another node has come in its place, or a part of this one
        if old.text != new.text:
            yield CallDifference("pytree", path, old.text, new.text, fix="static field")
        elif are_others(old.identities, new.identities):
            two = _two_objects(path, new.text)
            yield replace(two, cause="pytree", fix=_made_anew(new.text))


def _made_anew(text: str) -> str:
    return "optimizer" if text.startswith("GradientTransformation") else "one object"


def _type(node: str | None) -> str:
    return (node or "").partition(" ")[0]


def _within(path: str, others: Iterable[str]) -> bool:
    """Whether a path leads through one of the others."""
    return any(path.startswith((f"{o}.", f"{o}[")) for o in others)


def _leaves(now: Signature, before: Signature) -> Iterator[CallDifference]:
    nodes = _changed(before.nodes, now.nodes)
    replaced = [p for p, old, new in nodes if _type(old) != _type(new)]
    for path, old, new in _changed(before.leaves, now.leaves):
        if old is not None and new is not None:
            cause = _of_leaves(old, new)
            fix = _LOWERED.get(cause, "") if before.lowered and not now.lowered else ""
            yield replace(_between(cause, path, old, new), fix=fix)
        elif not (
            path in now.statics or path in before.statics or _within(path, replaced)
        ):
            was = str(old or before.nodes.get(path, MISSING))
            now_is = str(new or now.nodes.get(path, MISSING))
            types = _array_type(old), _array_type(new)
            texts = (t if t != MISSING else "" for t in (was, now_is))
            fix = _fix_of_nodes(path, *texts)
            yield CallDifference("pytree", path, was, now_is, *types, fix=fix)


_LOWERED = {"dtype": "lowered type", "sharding": "lowered sharding"}
"""What to do where a function was lowered ahead of time for another type."""


def _between(cause: str, path: str, old: Leaf, new: Leaf) -> CallDifference:
    types = _array_type(old), _array_type(new)
    return CallDifference(cause, path, str(old), str(new), *types)


def _array_type(leaf: Leaf | None) -> ArrayType | None:
    if leaf is None or leaf.python:
        return None
    return ArrayType(leaf.dtype, leaf.shape)


def _of_leaves(old: Leaf, new: Leaf) -> str:
    if old.python != new.python:
        return "Python scalar"
    if old.dtype != new.dtype:
        return "dtype"
    if old.shape != new.shape:
        return "shape"
    return "weak type" if old.weak != new.weak else "sharding"


def _attributes(now: Signature, before: Signature) -> Iterator[CallDifference]:
    replaced: set[str] = set()
    for path in dict.fromkeys((*now.attributes, *before.attributes)):
        old, new = before.attributes.get(path), now.attributes.get(path)
        if old is not None and new is not None and old.shown == new.shown:
            if are_others(old.identities, new.identities):
                two = _two_objects(path, new.text)
                yield replace(two, fix=_of_statics(new.text))
            continue
        if not replaced.isdisjoint(_ancestors(path)):
            continue  # an ancestor of it differs
        cause = _of_attributes(old, new)
        if cause == "NNX structure":
            replaced.add(path)
        if old is not None and new is not None and old.leaf == new.leaf:
            yield CallDifference(cause, path, old.text, new.text)
        elif old is not None and new is not None and old.leaf and new.leaf:
            yield _between(cause, path, old.leaf, new.leaf)
        else:
            yield CallDifference(cause, path, str(old or MISSING), str(new or MISSING))


def _ancestors(path: str) -> Iterator[str]:
    while path := path[: max(path.rfind("."), path.rfind("["), 0)]:
        yield path


def _of_attributes(old: Attribute | None, new: Attribute | None) -> str:
    if old is None or new is None or old.kind != new.kind:
        return "NNX structure"
    if old.leaf and new.leaf and old.leaf.kind == new.leaf.kind:
        alike = old.leaf == new.leaf
        return "NNX attribute" if alike else _of_leaves(old.leaf, new.leaf)
    return "NNX attribute" if old.kind == "static" else "NNX structure"


def _statics(now: Signature, before: Signature) -> Iterator[CallDifference]:
    cause = "static value" if now.function.user else "shape"
    for path in dict.fromkeys((*now.statics, *before.statics)):
        old, new = before.statics.get(path), now.statics.get(path)
        if old is None or new is None:
            was, now_is = before.leaves.get(path), now.leaves.get(path)
            before_text = str(old or was or MISSING)
            after_text = str(new or now_is or MISSING)
            yield CallDifference(cause, path, before_text, after_text)
        elif old.text != new.text:
            yield CallDifference(cause, path, old.text, new.text)
        elif are_others(old.identities, new.identities):
            yield replace(_two_objects(path, new.text), fix=_of_statics(new.text))


def _of_statics(text: str) -> str:
    return _made_anew(text) if text.startswith(_MADE) else ""


_MADE = ("GradientTransformation", "function ", "jitted function ", "partial ")
"""How the texts of those begin that no `__eq__` can be given to."""


def _two_objects(path: str, text: str) -> CallDifference:
    after = f"another {text}, equal only to itself"
    return CallDifference("static identity", path, f"a {text}", after)


def _forms(now: Signature, before: Signature) -> Iterator[CallDifference]:
    for name, old, new in _changed(before.form, now.form):
        if old is not None and new is not None:  # else its leaves say so
            yield CallDifference("call form", name, f"passed {old}", f"passed {new}")


def _placements(now: Signature, before: Signature) -> Iterator[CallDifference]:
    if not (now.placed and before.placed):
        return
    for name, old, new in _changed(before.placed, now.placed):
        if old is not None and new is not None and _runs_elsewhere(old, new):
            yield CallDifference(_of_places(old, new), name, _place(old), _place(new))


def _runs_elsewhere(old: Placed, new: Placed) -> bool:
    return bool(old.committed or new.committed)


def _of_places(old: Placed, new: Placed) -> str:
    if old.committed != new.committed and old.sharding == new.sharding:
        return "committed" if old.devices in (new.devices, "") else "device"
    return "sharding" if old.sharding != new.sharding else "device"


def _place(place: Placed) -> str:
    if not place.committed:
        return "not committed"
    return " ".join(filter(None, (place.sharding, "on", place.devices)))


def _options(now: Signature, before: Signature) -> Iterator[CallDifference]:
    for name, old, new in _changed(before.options, now.options):
        if old is not None and new is not None:
            yield CallDifference("jit options", name, old, new)


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Any]:
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield name, old, new


# --- what it means ------------------------------------------------------------------


def _nothing_differs(now: Signature, before: Signature) -> Reason:
    if before.failed:
        return Reason(
            "failed before",
            "the call",
            "an attempt that raised",
            "the same again",
            avoidable=False,
        )
    if now.clears != before.clears:
        return Reason(
            "cleared cache", "the call", "in JAX's caches", "not in them any more"
        )
    if not (now.exact and before.exact):
        return Reason("unknown", note="no argument of it is known to have changed")
    if now.outer != before.outer:
        outer = _where(before), _where(now)
        return Reason("nested", "called", outer[0], outer[1], avoidable=False)
    by_text = [p for p, s in (*now.statics.items(), *now.beside.items()) if s.by_text]
    if by_text:
        note = f"{', '.join(by_text[:4])} can only be compared by type"
        return Reason("unknown", note=note)
    return Reason("unknown", note="all that can be compared is as it was")


def _where(call: Signature) -> str:
    return f"inside {call.outer}" if call.outer else "by itself"


def _seen_together(
    differing: Sequence[CallDifference],
    now: Signature,
    before: Signature,
    earlier: Sequence[Signature],
) -> tuple[CallDifference, str, bool | None]:
    """What the differences, or the earlier calls, are together.

    Returns:
        The first difference, with a cause that fits all; a note; and whether it is
        avoidable, None where the cause decides.
    """
    first = differing[0]
    there = [s for s in earlier if s.line == now.line]
    if not now.function.user:
        grows = first.cause == "shape" and _growing(first.where, [*there, now])
        if not grows or now.by_library:
            return first, "", None
        fix = _GROWING.get(now.function.name, "growing slice")
        loop = replace(first, cause="eager loop", fix=fix)
        return loop, "an eager operation in a loop", None
    if first.cause == "new function":
        return first, _made(now, before), None
    if any(d.cause != "shape" for d in differing):
        return first, "", None
    sizes = _growing(first.where, [*there, now])
    if len(sizes) > MAX_BUCKETS:
        note = f"{GROWS}: {', '.join(map(str, sizes[-4:]))}"
        return first, note, GROWING_SHAPE.avoidable
    # In a loop it is one line that gets both; elsewhere it may be any other batch.
    if now.line == before.line and _is_partial(now, before):
        note = "possibly the last partial batch"
        return replace(first, cause="partial batch"), note, None
    return first, "", None


_GROWING = {"concatenate": "", "iota": "growing result"}
"""What to do where a slice is not what grows, by the operation."""


def _made(now: Signature, before: Signature) -> str:
    """With what a function is made anew, and where, if it is not where it is called."""
    captured, code = ", ".join(_captured(now, before)), now.code
    is_written = now.kind in ("function", "lambda") and code is not None
    place = (code.co_filename, code.co_firstlineno) if is_written and code else None
    if place is None or place == now.line or not is_user_file(place[0]):
        return f"each made with another {captured}" if captured else ""
    at = short_place(SourceFrame(*place, cell=cell_number(place[0])))
    other = f" with another {captured}" if captured else " anew"
    return f"each made{other} at {at}"


def _growing(path: str, calls: Sequence[Signature]) -> list[int]:
    """The sizes of the one axis that has grown with each of the last calls."""
    shapes = [leaf.shape for s in calls if (leaf := _leaf_at(s, path))]
    if len(shapes) < 3 or len({len(s) for s in shapes}) > 1:
        return []
    for axis in range(len(shapes[0])):
        sizes = [s[axis] for s in shapes]
        rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
        if len(rest) == 1 and all(isinstance(n, int) for n in sizes):
            numbers = [int(n) for n in sizes]
            if _is_growth(numbers):
                return numbers
    return []


def _is_growth(sizes: Sequence[int]) -> bool:
    """Whether sizes grow step by step; a few buckets of sizes do not."""
    steps = {b - a for a, b in pairwise(sizes)}
    return len(steps) == 1 and min(steps) > 0 and (steps == {1} or len(sizes) > 4)


def _leaf_at(signature: Signature, path: str) -> Leaf | None:
    attribute = signature.attributes.get(path)
    return attribute.leaf if attribute else signature.leaves.get(path)


def _is_partial(now: Signature, before: Signature) -> bool:
    """Whether all that changed is a first axis that all share, and it is smaller."""
    paths = [*now.attributes] or [*now.leaves]
    sizes = set()
    for path in paths:
        old, new = _leaf_at(before, path), _leaf_at(now, path)
        if old is None or new is None or old.shape == new.shape:
            continue
        if not (old.shape and new.shape and old.shape[1:] == new.shape[1:]):
            return False
        sizes.add((old.shape[0], new.shape[0]))
    if len(sizes) != 1:
        return False
    was, size = sizes.pop()
    return isinstance(was, int) and isinstance(size, int) and 0 < size < was


def _avoidable(first: CallDifference) -> bool | None:
    if first.cause in ("NNX attribute", "static value"):
        # Train and eval are two programs; a number that changes makes many.
        if {first.before, first.after} <= {"True", "False"}:
            return False
        return True if first.cause == "NNX attribute" else None
    return CAUSES[first.cause].avoidable
