"""Training carried by jax: on its devices, over its processes."""
