"""From a call that gave a bad value to the story of where the value was born."""
