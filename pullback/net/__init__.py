"""Networks and expressions: values, gradients and everything by name."""
