"""Products with windows, pooling and layouts of our own, the samples of a batch side by side."""
