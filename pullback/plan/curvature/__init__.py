"""Curvature of a loss and the tangent kernel, from δ and a of every use of a parameter."""
