"""Trees that are watched from call to call."""
