"""Migration scripts on disk and the graph that they form."""
