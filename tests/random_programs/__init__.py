"""Random programs, run plain and in a region, against an oracle of its own.

`programs` draws the source of a program, `tape` evaluates its jaxpr operation by
operation, `oracle` says from the tape where each bad value was born, and `comparison`
compares that with what a region says. Nothing here uses how jaxdbg searches.
"""
