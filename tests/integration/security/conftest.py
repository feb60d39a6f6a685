"""The project fixture under its usual name."""

from tests.project import cli_project as project

__all__ = ["project"]
