"""The panel: its data, and its page."""
