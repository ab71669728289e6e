"""How often programs trace and compile where nobody records: `python -m`, for others.

It prints, by name of the program, how often each Python function ran, and how often
each function was compiled, by the public events of `jax.monitoring`.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections import Counter
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax

from tests.programs.compiles import PROGRAMS, counting
from tests.programs.reported import REPORTED
from tests.programs.retraces import MORE

COMPILE = "/jax/core/compile/backend_compile_duration"


def main() -> None:
    warnings.simplefilter("ignore")
    compiled: Counter[str] = Counter()

    def began(event: str, value: float, **more: Any) -> None:
        if event == COMPILE:
            name = more["fun_name"]
            compiled[name.removeprefix("jit(").removesuffix(")")] += 1

    jax.monitoring.register_scalar_listener(began)
    found = {}
    for program in [*PROGRAMS, *MORE, *REPORTED]:
        if sys.argv[1:] and program.name not in sys.argv[1:]:
            continue
        ran, traced = counting()
        jax.clear_caches()
        compiled.clear()
        program.run(traced)
        found[program.name] = {"ran": dict(ran), "compiled": dict(compiled)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
