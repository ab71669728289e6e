"""The only rooms that know JAX's internals: they watch, and append what they saw."""
