"""Typed helpers for applications, generated from specs."""
