"""Solvers of the mixture problem: descent within bounds, constrained problems, certificates."""
