"""Flax NNX: modules that are graphs of variables."""
