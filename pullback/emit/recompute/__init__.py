"""Under a memory limit: which values are kept until they are read again, which computed again."""
