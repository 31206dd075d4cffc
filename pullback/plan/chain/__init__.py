"""The cheapest bracketing of a product."""
