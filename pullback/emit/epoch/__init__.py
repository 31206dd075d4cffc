"""A whole epoch of training as one compiled program."""
