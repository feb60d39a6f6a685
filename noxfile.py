"""The tests under every supported Python and redis-py: `pip install 'vecmigrate[matrix]' && nox`."""

from __future__ import annotations

import nox

nox.options.reuse_existing_virtualenvs = True


@nox.session(python=["3.11", "3.12", "3.13"])
@nox.parametrize("redis", ["5", "6", "8"])
def tests(session: nox.Session, redis: str) -> None:
    """Unit, integration and crash tests with one major version of redis-py."""
    session.install("-e", ".[test]", f"redis=={redis}.*")
    session.run("pytest", "-m", "not container and not coexist", *session.posargs)
