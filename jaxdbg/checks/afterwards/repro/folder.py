"""Writes the folder of `Finding.repro`: a script, and the arrays it needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdbg.checks.afterwards import kept_calls
from jaxdbg.checks.afterwards.kept_calls import KeptCall
from jaxdbg.checks.afterwards.repro import operations, programs, script
from jaxdbg.jax_internals.arrays import Host, spans_processes
from jaxdbg.jax_internals.chex.functionalise import functionalise
from jaxdbg.jax_internals.chex.under_vmap import has_checks
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.jax_internals.jaxprs.effects import replayable
from jaxdbg.jax_internals.jaxprs.evaluate import bind_equation
from jaxdbg.jax_internals.names import jax_version, jaxpr_as_fun
from jaxdbg.origins.found import Birth
from jaxdbg.origins.search.search import first_birth, search
from jaxdbg.records import Finding
from jaxdbg.records.finding_kinds import kind_of
from jaxdbg.records.keeper import inputs_not_kept
from jaxdbg.records.shown import Printed
from jaxdbg.views import words

FILES = (
    "repro.py",
    "call.txt",
    "call.json",
    "call.mlirbc",
    "inputs.npz",
    "operation.json",
    "operation.mlirbc",
    "operation.npz",
)
"""Everything that is ever written; of these none is left from an earlier time."""

CONFIG = ("jax_enable_x64", "jax_default_matmul_precision")
"""Settings, off by default, that change what the script computes."""


@dataclass(frozen=True, slots=True)
class Written(Printed):
    """The folder that was written.

    Attributes:
        path: where it is.
        sizes: bytes of each file.
        notes: what is missing in it, and why.
    """

    path: Path
    sizes: dict[str, int]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        files = ", ".join(f"{name} {words.size(n)}" for name, n in self.sizes.items())
        lines = [f"wrote {self.path}: {files}"]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join([*lines, f"run it: python {self.path / 'repro.py'}"])


def write(finding: Finding, path: Any, overwrite: bool) -> Written:
    """What `Finding.repro` does; see there."""
    call = _kept(finding)
    folder = _empty(Path(path), overwrite)
    with our_own_work():
        return _Folder(finding, call, folder).write()


def _kept(finding: Finding) -> KeptCall:
    if kind_of(finding.kind).subject == "budget":
        raise RuntimeError(
            f"Nothing to reproduce: {finding.function} was over its budget of "
            f"{finding.kind}, which is no value that went bad."
        )
    call = kept_calls.of(finding)
    if call is None:
        raise inputs_not_kept()
    if lost := call.lost:
        what = call.names[lost[0]] + (f" and {len(lost) - 1} more" * (len(lost) > 1))
        raise RuntimeError(
            f"What {call.call.in_words} was given is gone: {what} was donated to it or "
            "to a later call, or was written to in place. Run it again without "
            "--keep-donation, and call repro before the next step."
        )
    if any(map(spans_processes, call.args)):
        raise RuntimeError(
            f"{call.call.in_words} ran in several processes, and this one has a part "
            "of what it was given: that reproduces nothing. Run it in one process."
        )
    return call


def _empty(folder: Path, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. repro writes a folder: name one.")
    strangers = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if strangers and not overwrite:
        raise FileExistsError(
            f"The folder {folder} is not empty: it holds {strangers[0]}. Name a new "
            "one, or say overwrite=True to replace what an earlier repro wrote there."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    return folder


class _Folder:
    """A folder that is being written."""

    def __init__(self, finding: Finding, call: KeptCall, folder: Path):
        self._finding, self._call, self._folder = finding, call, folder
        self._kind = kind_of(finding.kind)
        self._notes: list[str] = []
        self._devices, self._lapack = 1, False

    def write(self) -> Written:
        """Writes all of it."""
        finding, call = self._finding, self._call
        title = finding.headline
        operation = None if self._kind.subject == "check" else self._operation()
        call_text = self._whole()
        if operation is None and not call_text:
            raise RuntimeError(
                "Nothing of this can be taken along: " + "; ".join(self._notes) + "."
            )
        about = script.Text(
            title=title,
            versions=f"jaxdbg {metadata.version('jaxdbg')} with JAX "
            f"{jax_version()} on {jax.default_backend()}",
            config={k: v for k in CONFIG if (v := getattr(jax.config, k, None))},
            devices=self._devices,
            lapack=self._lapack,
            operation=operation,
            call=call_text,
            bad=call.bad,
            check=self._kind.subject == "check",
            why=self._notes,
        )
        (self._folder / "repro.py").write_text(script.text(about))
        sizes = {p.name: p.stat().st_size for p in sorted(self._folder.iterdir())}
        sizes = {name: sizes[name] for name in FILES if name in sizes}
        return Written(self._folder, sizes, tuple(self._notes))

    # -- the whole call --------------------------------------------------------------

    def _whole(self) -> str:
        call, jaxpr = self._call, self._call.jaxpr
        avals = jaxpr.in_avals
        (self._folder / "call.txt").write_text(_call_text(call))
        try:
            program = programs.exported(self._function(), avals)
        except Exception as error:
            first = str(error).partition("\n")[0]
            self._notes.append(
                f"the call itself is not here: JAX cannot export it ({first})"
            )
            return ""
        pairs = zip(call.args, avals, strict=True)
        self._save("inputs.npz", [programs.host(a, aval) for a, aval in pairs])
        self._save_program("call", program)
        return call.call.in_words

    def _function(self) -> Callable[..., list[Any]]:
        """The call as a function of its flat arguments; a check is its first output."""
        kind, jaxpr = self._kind, self._call.jaxpr
        if kind.subject != "check" and not has_checks(jaxpr):
            return jaxpr_as_fun(replayable(jaxpr))
        errors = (kind.name,) if kind.optional else ()
        checked = functionalise(jaxpr, errors)
        run = jaxpr_as_fun(replayable(checked.jaxpr))

        def function(*args: Any) -> list[Any]:
            error, outs = checked.split(run(*args))
            flags = [e for e in jax.tree.leaves(error) if e.dtype == bool]
            failed = jax.numpy.stack([f.any() for f in flags]).any()
            return [failed, *outs] if kind.subject == "check" else outs

        return function

    # -- the operation alone ---------------------------------------------------------

    def _operation(self) -> script.Operation | None:
        try:
            birth = self._birth()
        except Exception as error:
            self._notes.append(
                f"the operation alone is not here: {type(error).__name__}: {error}"
            )
            return None
        if birth is None:
            self._notes.append("the operation alone is not here: it was not found")
            return None
        return self._written(birth)

    def _birth(self) -> Birth | None:
        call = self._call
        if call.bad:
            found = list(search(call.jaxpr, call.args, list(call.bad)).values())
        else:
            first = first_birth(call.jaxpr, call.args)
            found = [first] if first else []
        return next((f.birth for f in found if f.birth is not None), None)

    def _written(self, birth: Birth) -> script.Operation | None:
        eqn, operands = birth.site.eqn, list(birth.operands)
        origin = self._finding.origin
        known = [o.name for o in origin.operands] if origin else []
        names = operations.variables(eqn, known if len(known) == len(operands) else [])
        avals = [v.aval for v in eqn.invars]
        arrays = [programs.host(a, v) for a, v in zip(operands, avals, strict=True)]
        text = operations.spelled(eqn, names)
        output = 0
        given = [jax.numpy.asarray(a) for a in arrays]
        if text is None or not operations.evaluates_to(
            text, names, given, birth.result
        ):
            text, output = "", _which(eqn, operands, birth)
            try:
                program = programs.exported(
                    lambda *a: bind_equation(eqn, list(a)), avals
                )
            except Exception as error:
                first = str(error).partition("\n")[0]
                self._notes.append(
                    f"the operation alone is not here: JAX cannot export it ({first})"
                )
                return None
            self._save_program("operation", program)
        self._save("operation.npz", arrays)
        return script.Operation(
            where=self._where(),
            names=names,
            types=[_type(a) for a in arrays],
            text=text,
            primitive=eqn.primitive.name,
            output=output,
        )

    def _where(self) -> str:
        origin = self._finding.origin
        if origin is None or origin.source is None:
            return self._finding.location
        line = " ".join(origin.source.code.split())
        return f"{words.place(origin.source)}: {line}"

    # -- files -----------------------------------------------------------------------

    def _save(self, name: str, arrays: Sequence[Host]) -> None:
        dtypes = np.array([str(a.dtype) for a in arrays], "U32")
        named: dict[str, Any] = {f"a{i}": a for i, a in enumerate(arrays)}
        np.savez(self._folder / name, dtypes=dtypes, **named)

    def _save_program(self, name: str, program: programs.Program) -> None:
        self._devices = max(self._devices, program.about["devices"])
        self._lapack |= b"lapack" in program.code
        (self._folder / f"{name}.mlirbc").write_bytes(program.code)
        (self._folder / f"{name}.json").write_text(json.dumps(program.about))


def _which(eqn: Any, operands: Sequence[Any], birth: Birth) -> int:
    """Which result of an equation is the bad one."""
    if len(eqn.outvars) == 1:
        return 0
    want = np.asarray(birth.result)
    for i, out in enumerate(bind_equation(eqn, list(operands))):
        if np.array_equal(np.asarray(out), want, equal_nan=True):
            return i
    return 0


def _call_text(call: KeptCall) -> str:
    """What `call.txt` says."""
    jaxpr = call.jaxpr
    lines = [call.call.in_words, "", "inputs.npz:"]
    named = zip(call.names, jaxpr.in_avals, strict=True)
    lines += [f"  a{i}  {aval.str_short()}  {n}" for i, (n, aval) in enumerate(named)]
    lines += ["", "outputs that are bad:"]
    lines += [f"  {i}  {name}" for i, name in call.bad.items()] or ["  none"]
    return "\n".join([*lines, "", "its jaxpr:", "", str(jaxpr), ""])


def _type(array: Host) -> str:
    return words.array(str(array.dtype), array.shape)
