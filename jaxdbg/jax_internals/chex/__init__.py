"""chex."""
