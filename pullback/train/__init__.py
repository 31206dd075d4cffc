"""Training: epochs, engines, checkpoints, optimisers."""
