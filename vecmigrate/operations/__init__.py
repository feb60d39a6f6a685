"""What a migration can do: one file an operation."""
