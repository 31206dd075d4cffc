"""Where a program is emitted to: one file a language."""
