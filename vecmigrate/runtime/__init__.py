"""The side that speaks to Redis: connection, ledger, lease, runner."""
