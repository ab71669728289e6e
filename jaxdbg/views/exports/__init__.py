"""Records as files that other tools open."""
