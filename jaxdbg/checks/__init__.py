"""Regions: each call is run, checked and judged; a failing call keeps its arrays."""

from jaxdbg.checks import keeper

keeper.register()  # a finding may be asked as soon as there is one
