"""The product of a network's local Jacobians at one x, and what is constant in it."""
