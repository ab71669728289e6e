"""Views of records, which need the standard library alone.

A view is a module with one function: `X_text.text(record)` or `X_html.html(record)`
gives a record as text. What two views have in common is in a module of its own.
"""
