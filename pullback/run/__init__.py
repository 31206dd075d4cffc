"""Networks at work: values and gradients, training, optimisers, checkpoints, checks."""
