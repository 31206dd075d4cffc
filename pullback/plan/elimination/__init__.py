"""Jacobians of straight-line programs: entry by entry, in the cheapest order of elimination."""
