"""A film from its source to its finished file: checked, made in segments that survive a kill, put together."""
