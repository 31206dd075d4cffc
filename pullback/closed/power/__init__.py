"""Powers of one matrix: eigenvalues, blocks, scaled powers, recurrences."""
