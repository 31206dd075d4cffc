"""Order: products of Jacobians that are multiplied only as a plan says.

``chain`` plans a chain of widths, ``jacobian`` holds a network's as structured factors,
``elimination`` goes through programs of numbers vertex by vertex;
``uses`` (least squares) and ``curvature`` are what they are for.
"""
