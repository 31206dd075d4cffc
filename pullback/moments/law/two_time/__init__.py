"""Recurrence with tied weights: the covariances over time of values and errors."""
