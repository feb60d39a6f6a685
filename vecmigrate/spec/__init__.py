"""Specs: what an index is, as YAML text and as frozen values."""
