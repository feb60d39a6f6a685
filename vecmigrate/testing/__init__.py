"""Fixtures for suites that test against a real Redis."""
