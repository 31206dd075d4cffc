"""What Jacobians are for: least squares, Laplace, curvature."""
