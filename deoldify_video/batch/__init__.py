"""Whole archives: found, planned, worked through, and told of."""
