"""Versioned migrations, specs and typed helpers for vector indexes in Redis."""

__version__ = "0.1.0"
