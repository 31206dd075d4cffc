"""Parts of a network that no law is known for, measured in draws of what they read."""
