"""What Jacobians are for: least squares."""
