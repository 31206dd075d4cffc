"""The law of δ: recursions, limits, finite widths."""
