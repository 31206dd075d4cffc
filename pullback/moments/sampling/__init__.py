"""The law of δ by draws."""
