"""What a migration can do: one file an operation."""

from vecmigrate.operations.progress import Progress
from vecmigrate.operations.recorder import Recorder
from vecmigrate.operations.run import Cursor

__all__ = ["Cursor", "Progress", "Recorder"]
