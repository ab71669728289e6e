"""The magic `%devices`, which is `jaxdbg.testing.devices`."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, no_var_expand

from jaxdbg import errors
from jaxdbg.notebook.base import Installed


@magics_class
class Devices(Installed):
    """Changes the number of CPU devices."""

    @no_var_expand
    @line_magic
    def devices(self, line: str) -> None:
        """Give this kernel another number of CPU devices, without a restart.

        ::

          %devices 8     eight devices, to try meshes, shardings and shard_map on
          %devices       how many there are

        What was compiled is gone: each function is traced and compiled again at its
        next call. Arrays from before can be read, and used where JAX may move them; one
        that was put on a device or a mesh has to be put there again.
        """
        import jax

        from jaxdbg.checks.cpu_devices import devices
        from jaxdbg.views.words import count

        typed = line.strip()
        if not typed:
            print(count(jax.device_count(), f"{jax.default_backend()} device"))
            return
        try:
            print(repr(devices(int(typed) if typed.isdecimal() else typed)))  # type: ignore[arg-type]
        except errors.UsageError as error:
            raise UsageError(str(error)) from None
