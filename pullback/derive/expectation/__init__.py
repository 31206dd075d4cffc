"""Means and second moments of expressions over Gaussian tensors."""
