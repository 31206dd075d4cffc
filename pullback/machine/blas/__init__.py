"""Matrix products of our own."""
