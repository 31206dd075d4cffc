"""Syntax trees of source code, and the one printer."""
