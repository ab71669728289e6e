"""checks."""

from jaxdbg.checks.afterwards import keeper

keeper.register()  # a finding may be asked as soon as there is one
