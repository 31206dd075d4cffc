"""torch: modules to networks and back, losses, and initialisations measured and applied."""
