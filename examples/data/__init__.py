"""Texts of the demo, and their embeddings."""
