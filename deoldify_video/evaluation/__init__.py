"""Measures how good the colours are, against true colour pictures and films."""
