"""Bugs that a script plants in models of other people's making, to score jaxdbg."""
