"""Scalar functions: rows, derivatives, exact numbers."""
