"""Specs against specs: what changes, what that means for a running system, and what it costs."""
