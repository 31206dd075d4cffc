"""Order: products of Jacobians that are multiplied only as a plan says.

``chain`` plans a chain of widths, ``jacobian`` holds a network's as structured factors,
``elimination`` goes through programs of numbers vertex by vertex;
``least_squares``, ``curvature`` and ``laplace`` use it.
"""
