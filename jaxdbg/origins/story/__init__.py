"""The story of a bad value, from what a search has found."""
