"""Local solvers, the lanes that run them in batches, and the multistart search."""
