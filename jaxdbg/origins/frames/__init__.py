"""The user's frames inside a jitted call, with the values of their variables."""
