"""From a non-finite value in a call to where it was born."""
