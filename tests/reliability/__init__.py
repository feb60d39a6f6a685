"""The fault suite behind docs/reliability.md: `python -m tests.reliability`, or `make reliability`."""
