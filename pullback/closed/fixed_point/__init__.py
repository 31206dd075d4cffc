"""A weight that is used for ever: its fixed point and the derivative through it."""
