"""Every command as a typed function that returns a frozen result: the public API.

Importing this package costs nothing: a name is imported from its module when it is first used, and only then
come redis, numpy and the others. Results have `to_dict()`, which gives what `--format json` prints.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vecmigrate.commands.adopt import import_redisvl as import_redisvl
    from vecmigrate.commands.adopt import introspect as introspect
    from vecmigrate.commands.agreement import autogenerate as autogenerate
    from vecmigrate.commands.agreement import check as check
    from vecmigrate.commands.compare import drift as drift
    from vecmigrate.commands.database import current as current
    from vecmigrate.commands.database import open_session as open_session
    from vecmigrate.commands.database import rejects as rejects
    from vecmigrate.commands.database import status as status
    from vecmigrate.commands.database import unlock as unlock
    from vecmigrate.commands.healing import heal as heal
    from vecmigrate.commands.kept import complete as complete
    from vecmigrate.commands.kept import rollback as rollback
    from vecmigrate.commands.layouts import list_templates as list_templates
    from vecmigrate.commands.ledger import ensure_version as ensure_version
    from vecmigrate.commands.migrate import downgrade as downgrade
    from vecmigrate.commands.migrate import upgrade as upgrade
    from vecmigrate.commands.pausing import pause as pause
    from vecmigrate.commands.pausing import resume as resume
    from vecmigrate.commands.pull_request import review as review
    from vecmigrate.commands.scripts import branches as branches
    from vecmigrate.commands.scripts import edit as edit
    from vecmigrate.commands.scripts import heads as heads
    from vecmigrate.commands.scripts import history as history
    from vecmigrate.commands.scripts import init as init
    from vecmigrate.commands.scripts import merge as merge
    from vecmigrate.commands.scripts import revision as revision
    from vecmigrate.commands.scripts import show as show
    from vecmigrate.commands.specs import generate as generate
    from vecmigrate.commands.specs import show_ddl as show_ddl
    from vecmigrate.commands.specs import validate as validate
    from vecmigrate.commands.stamping import abandon as abandon
    from vecmigrate.commands.stamping import stamp as stamp

_MODULES = {
    "adopt": ("import_redisvl", "introspect"),
    "compare": ("drift",),
    "layouts": ("list_templates",),
    "ledger": ("ensure_version",),
    "agreement": ("autogenerate", "check"),
    "pull_request": ("review",),
    "scripts": ("branches", "edit", "heads", "history", "init", "merge", "revision", "show"),
    "specs": ("generate", "show_ddl", "validate"),
    "kept": ("complete", "rollback"),
    "database": ("current", "open_session", "rejects", "status", "unlock"),
    "healing": ("heal",),
    "stamping": ("abandon", "stamp"),
    "migrate": ("downgrade", "upgrade"),
    "pausing": ("pause", "resume"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - made from the one list of names above


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
