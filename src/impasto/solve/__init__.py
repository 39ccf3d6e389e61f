"""Solvers over an explicit state, and the plan of scales (floor 5)."""
