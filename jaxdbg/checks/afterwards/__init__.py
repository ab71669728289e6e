"""afterwards."""
