"""Words, numbers and symbols of a report."""
