"""The steps of a derivation."""
