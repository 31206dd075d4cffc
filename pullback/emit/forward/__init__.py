"""A forward pass as one compiled program, for one sample or for many."""
