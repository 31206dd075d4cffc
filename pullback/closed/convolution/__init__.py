"""Linear maps that are the same at every place: circular ones, windows, and sequences."""
