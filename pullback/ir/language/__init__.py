"""The language of expressions: read, checked and written."""
