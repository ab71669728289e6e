"""After a failure: what is kept of its call, and what can be asked of it."""
