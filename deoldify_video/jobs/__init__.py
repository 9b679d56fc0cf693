"""Whole jobs: a film with its journal, a photo."""
