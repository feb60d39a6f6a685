"""Moving items out of legacy monolithic hashes, in batches, while services run."""
