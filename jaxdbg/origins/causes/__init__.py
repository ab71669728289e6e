"""The classic causes of a NaN or an Inf, and what to do about each, by subject."""
