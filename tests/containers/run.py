"""Run the integration suite and the fault tests against Redis in containers: `make test-containers`.

Sets up what is missing (an engine, an image) and takes it down again. Without any engine to be had, it says
why and skips, except with CI=true, where that is a failure. Arguments go to pytest; paths among them
replace the two suites.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from tests.containers.engine import NoEngineError, engine
from tests.containers.image import NoImageError, provide
from vecmigrate.testing.servers import image_for_tests


def main(arguments: list[str]) -> int:
    """Return pytest's exit code; 0 where the run is skipped."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        with engine() as variables:
            image = provide(image_for_tests(), variables["DOCKER_HOST"])
            return _pytest(arguments, {**variables, "VECMIGRATE_TEST_IMAGE": image})
    except (NoEngineError, NoImageError) as error:
        if os.environ.get("CI") == "true":
            print(f"FAILED: container tests cannot run: {error}", file=sys.stderr)
            return 1
        print(f"SKIPPED: container tests cannot run: {error}")
        return 0


def _pytest(arguments: list[str], variables: dict[str, str]) -> int:
    parallel = ["-n", "auto", "--dist", "worksteal"]  # a container for each worker
    command = [sys.executable, "-m", "pytest", "-m", "not embedded", *parallel, *arguments]
    environment = {
        "TC_MAX_TRIES": "30",
        **os.environ,
        **variables,
        "VECMIGRATE_TEST_BACKEND": "container",
        "CI": "true",  # the engine answers, so a test that finds none has to fail
    }
    environment.pop("VECMIGRATE_TEST_REDIS_URL", None)
    named = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    paths = () if named else ("tests/integration", "tests/containers")
    return subprocess.run([*command, *paths], env=environment, check=False).returncode


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
