"""The text of `repro.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_OUTPUTS = 8
"""How many bad outputs of the call the script looks at."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The failing operation.

    Attributes:
        where: its line, and where that is: `model.py:7: y = jnp.log(x)`.
        names: of its operands, in order.
        types: of each operand shape and dtype: `float32[3,4]`.
        text: as Python; empty where it is a program of its own, `operation.mlirbc`.
        primitive: JAX's name of it.
        output: which of its results is bad.
    """

    where: str
    names: Sequence[str]
    types: Sequence[str]
    text: str
    primitive: str
    output: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What a script is about.

    Attributes:
        title: what went wrong, in one line.
        versions: of jaxdbg and JAX, and the platform.
        config: settings of JAX that change numbers.
        devices: how many the call needs.
        lapack: whether a program calls LAPACK.
        operation: the failing operation; None where it could not be found, as `why`
            says.
        call: the failing call, in words; empty where it cannot be exported.
        bad: its bad outputs: what each is called.
        check: whether what failed is a check, which is the first output.
        why: what is missing, and why.
    """

    title: str
    versions: str
    config: Mapping[str, object]
    devices: int = 1
    lapack: bool = False
    operation: Operation | None = None
    call: str = ""
    bad: Mapping[int, str] | None = None
    check: bool = False
    why: Sequence[str] = ()


def text(about: Text) -> str:
    """The script: Python that needs `jax` and `numpy` only."""
    operation, call = about.operation, about.call
    runs = bool(call or (operation and not operation.text))
    parts = [_head(about, runs), _LOAD, _TELL]
    if runs:
        parts.append(_RUN)
    if operation:
        parts.append(_operation(operation))
    if call:
        parts.append(_call(about))
    parts.append(_main(about))
    return "\n\n".join(parts)


def _head(about: Text, runs: bool) -> str:
    what = {
        (True, True): "the failing operation alone, and the whole call it is from",
        (True, False): "the failing operation alone",
        (False, True): "the failing call",
    }[bool(about.operation), bool(about.call)]
    lines = [
        f'"""{_plain(about.title)}',
        "",
        "    python repro.py",
        "",
        f"runs {what}, with plain JAX:",
        "jax and numpy are all it needs. It ends with status 0 if what was bad then is",
        "bad again, and with 1 if not.",
        "",
        *(f"{_plain(line)}" for line in about.why),
        *([""] if about.why else []),
        f"Written by {about.versions}.",
        '"""',
        "",
    ]
    if runs:
        lines += ["import dataclasses", "import json"]
    if about.devices > 1:
        lines += ["import os"]
    lines += ["import sys", "from pathlib import Path", ""]
    if about.devices > 1:
        flag = f"--xla_force_host_platform_device_count={about.devices}"
        lines += [
            "# Read when JAX starts: on a machine without that many devices, the CPU "
            "is them.",
            f'os.environ.setdefault("XLA_FLAGS", "{flag}")',
            "",
        ]
    lines += ["import jax", "import jax.numpy as jnp", "import numpy as np", ""]
    for key, value in about.config.items():
        text = json.dumps(value) if isinstance(value, str) else repr(value)
        lines += [f'jax.config.update("{key}", {text})']
    lines += [""] if about.config else []
    if about.lapack:
        lines += [
            "# JAX before 0.10 loads LAPACK only when it lowers a call of it.",
            "jnp.linalg.cholesky(jnp.eye(1))",
            "",
        ]
    return "\n".join([*lines, "HERE = Path(__file__).resolve().parent", ""])


_LOAD = '''\
def load(name):
    """The arrays of a file, in order; NumPy itself knows no bfloat16 and its kin."""
    with np.load(HERE / name) as file:
        dtypes = [jnp.dtype(name) for name in file["dtypes"].tolist()]
        return [jnp.asarray(file[f"a{i}"].view(d)) for i, d in enumerate(dtypes)]
'''

_TELL = '''\
def tell(what, array):
    """Prints where an array is not finite; returns whether it is so anywhere."""
    host = np.asarray(array)
    if host.dtype.kind == "V":
        host = host.astype(np.float32)
    bad = np.argwhere(~np.isfinite(host))
    if len(bad) == 0:
        print(f"{what}: finite")
        return False
    if host.ndim == 0:
        print(f"{what}: {host}")
        return True
    first = tuple(bad[0].tolist())
    print(f"{what}: {len(bad)} of {host.size} elements are bad", end=", ")
    print(f"the first at {list(first)}: {host[first]}")
    return True
'''

_RUN = '''\
def run(name, args):
    """The outputs of a saved program, which is portable StableHLO.

    A file of jax.export would need the package flatbuffers. So another program with
    the same inputs and outputs is exported here, and gets the code of the saved one.
    """
    about = json.loads((HERE / f"{name}.json").read_text())
    outputs, platforms = about.pop("outputs"), about.pop("platforms")
    devices = about.pop("devices")

    def alike(*args):
        return [jnp.zeros(shape, dtype) for shape, dtype in outputs]

    here = jax.default_backend()
    platform = here if here in platforms else platforms[0]
    chosen = jax.devices(platform)[:devices]
    mesh = jax.sharding.Mesh(np.array(chosen), ("devices",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    args = [jax.device_put(arg, everywhere) for arg in args]
    like = jax.export.export(jax.jit(alike), platforms=platforms)(*args)
    about["module_kept_var_idx"] = tuple(about["module_kept_var_idx"])
    code = (HERE / f"{name}.mlirbc").read_bytes()
    saved = dataclasses.replace(
        like, mlir_module_serialized=code, nr_devices=devices, **about
    )
    return jax.jit(saved.call)(*args)
'''


def _operation(operation: Operation) -> str:
    names = ", ".join(operation.names)
    operands = ", ".join(
        f"{n}: {t}" for n, t in zip(operation.names, operation.types, strict=True)
    )
    where = _plain(operation.where or "Its line is not known.")
    lines = [
        "def operation():",
        f'    """{operation.primitive}: {where}"""',
    ]
    unpacked = f"{names}," if len(operation.names) == 1 else names
    if operation.text:
        lines += [
            f"    # {operands}",
            f'    {unpacked} = load("operation.npz")',
            f"    return {operation.text}",
        ]
    else:
        lines += [
            f"    # one equation of the jaxpr; {operands}",
            '    outputs = run("operation", load("operation.npz"))',
            f"    return outputs[{operation.output}]",
        ]
    return "\n".join([*lines, ""])


def _call(about: Text) -> str:
    return (
        "def call():\n"
        f'    """{_plain(about.call)}: all its outputs.\n\n'
        "    Its jaxpr, and the names of what goes in and out, are in call.txt.\n"
        '    """\n'
        '    return run("call", load("inputs.npz"))\n'
    )


def _main(about: Text) -> str:
    lines = ["def main():", "    bad = []"]
    if about.operation:
        lines.append('    bad.append(tell("the operation alone", operation()))')
    if about.call and about.check:
        lines += [
            "    failed = bool(call()[0])",
            '    print("the call: the check", "fails" if failed else "passes")',
            "    bad.append(failed)",
        ]
    elif about.call:
        shown = dict(list((about.bad or {}).items())[:MAX_OUTPUTS])
        lines.append("    outputs = call()")
        for i, name in shown.items():
            title = json.dumps(f"the call: {name}")
            lines.append(f"    bad.append(tell({title}, outputs[{i}]))")
    lines += [
        "    if all(bad):",
        '        print("Reproduced.")',
        "        return 0",
        '    print("Not reproduced: not everything is bad that was bad then. Another")',
        '    print("version of JAX, or another device, may compute in another order.")',
        "    return 1",
        "",
        "",
        'if __name__ == "__main__":',
        "    sys.exit(main())",
        "",
    ]
    return "\n".join(lines)


def _plain(line: str) -> str:
    """A line that can stand in a docstring."""
    return line.replace("\\", "/").replace('"""', "'''")
