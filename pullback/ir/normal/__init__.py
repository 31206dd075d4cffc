"""Normal forms: simplification that keeps meaning and digits."""
