"""Holding an index against the documents it is about: is everything in it, and does it find what is near."""
