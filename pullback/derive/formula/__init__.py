"""A derivation as formulas: their trees, their algebra, and how they are written."""
