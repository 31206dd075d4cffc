"""Explore: a local page on which one picks a network and sees at once what follows."""
