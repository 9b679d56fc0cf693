"""Looks at a few shots: before the work to choose, after it to see what came out."""
