"""What a forecast says."""
