"""What a step of training keeps and what it computes again, under a limit in bytes."""
