"""Jacobians of networks by plan."""
