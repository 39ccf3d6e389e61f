"""Whole jobs, each a stream of Progress (floor 6)."""
