"""Pictures, as matplotlib draws them; the only room that imports it.

A file for each: `timeline.timeline(events)` draws compilations.
"""
