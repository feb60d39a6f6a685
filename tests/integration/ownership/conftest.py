"""The project that these tests write migrations into."""

from tests.project import cli_project as project

__all__ = ["project"]
