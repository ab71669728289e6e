"""compiles."""
