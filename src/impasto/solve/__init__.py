"""Solvers over an explicit state."""
