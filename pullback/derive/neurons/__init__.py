"""Each neuron by itself: tables, its graph and the drawing of it."""
