"""Every option of FT.CREATE: beside each spec here lies the command that it must become."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecmigrate.search.ddl import format_command, ft_create
from vecmigrate.spec.load import load_specs

SPECS = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_becomes_exactly_this_command(path: Path) -> None:
    (spec,) = load_specs([path]).specs
    assert format_command(ft_create(spec)) + "\n" == path.with_suffix(".txt").read_text("utf-8")


def test_every_spec_has_a_command_and_every_command_a_spec() -> None:
    assert len(SPECS) > 10
    assert {path.stem for path in SPECS} == {path.stem for path in Path(__file__).parent.glob("*.txt")}
