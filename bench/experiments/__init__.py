"""Experiments as data: a question to a file, and the matrix of runs that answers it."""
