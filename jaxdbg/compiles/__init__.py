"""What was compiled, and why again."""
