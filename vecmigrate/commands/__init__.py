"""Every command as a typed function that returns a result: the public API."""
