"""Views: each takes a frozen report and returns text, and knows nothing of JAX."""
