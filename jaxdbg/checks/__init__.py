"""Regions: a call is run checked, judged, and what it was given is kept."""

from jaxdbg.checks import keeper

keeper.register()  # a finding may be asked as soon as there is one
