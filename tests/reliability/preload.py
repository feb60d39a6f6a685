"""Imports everything that a command line may need, in the process from which they are forked."""

from __future__ import annotations

import importlib
import pkgutil

import vecmigrate

_RUN_AS_SCRIPTS = ("vecmigrate.__main__", "vecmigrate._embedded_watcher", "vecmigrate.testing")

for _module in pkgutil.walk_packages(vecmigrate.__path__, "vecmigrate."):
    if not _module.name.startswith(_RUN_AS_SCRIPTS):
        importlib.import_module(_module.name)
