"""What the processor runs: functions as machine code, products of matrices, a cache on disk."""
