"""docs/review.md, made from the rules: `python -m vecmigrate.diff.docs > docs/review.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from vecmigrate.diff.findings import Rule
from vecmigrate.diff.rules import RULES

_INTRODUCTION: Final = """\
# Review

<!-- Made from vecmigrate/diff/rules.py by `python -m vecmigrate.diff.docs`; edit that file instead. -->

`vecmigrate review --base main` tells what a change means before it is merged. It compares specs, migrations
and generated code in the working tree with the commit where HEAD parted from the base, and says of each index

- what changes, and of which type that is: *nothing to do*, *in place*, *create*, *rebuild*, *drop*, *rewrite*
  or *re-embed*;
- what it costs: without a server in words and in bytes a document, with one in documents, memory and time,
  from FT.INFO alone;
- the Redis commands of the migrations that the base does not have;
- in which order to deploy (expand, deploy, contract), and in which to go back. It asks of each change whose
  helpers fail with whose index. Where only the old helpers fail with the new index, as those of HNSW do
  with FLAT, the helpers go first, and on the way back the index; where only the new helpers fail with the
  old index, it is the other way round; where both fail, it takes two releases;

and then what is wrong or needs a decision: a code, a place, and what to do.

| option | |
| --- | --- |
| `--base REF` | branch, tag or commit; without it the main branch of origin, or of this repository |
| `--format` | `text`, `markdown` (for a comment), `github` (shown beside the lines), `json` |
| `--fail-on` | `error` (the default), `warning`, `info` or `never`: from which level on the exit code is 3 |
| `--server` | ask the configured server; `vecmigrate --redis URL review` names one |

What specs, scripts, names and servers say is shown as text: line ends, control characters, marks of direction
and what GitHub Actions takes for commands are written out as escapes. `--format github` prints commands on
purpose, with escaped values.

The base is only read, by git, into a temporary folder. The migrations of the working tree are executed to
record what they do, as `upgrade --dry-run` executes them: they touch no server, but they are Python. So run
it on pull requests as one runs their tests, without secrets. `docs/ci/github-actions.yml` is a workflow that
does.

## Allowing a finding

```yaml
    # vecmigrate: allow[metric-changed] thresholds were measured anew, see docs/thresholds.md
    metric: ip
```

- In a spec the comment counts for its own line or, on a line of its own, for the next one that is no comment.
- In a migration it counts for the whole script, and for each change of an index that the script is about.
  That is the place for changes, which happen once: the comment stays there and is in nobody's way later.
- In the configuration file it counts for what belongs to no other file.

Several codes are separated by commas. The reason is needed. What a comment allows is listed in the report and
fails nothing. A comment that allows nothing is a finding itself, except in migrations of the base, which must
not be edited.

## Problems in specs

Whatever `vecmigrate validate` finds is part of the report, under its own code (see docs/specs.md), such as
`prefix-overlap` where the prefix of one spec is inside another's. None of it can be allowed.

## Rules
"""


def render() -> str:
    """The whole page."""
    lines = ["| code | level | what |", "| --- | --- | --- |"]
    lines += [f"| [`{rule.code}`](#{rule.code}) | {rule.level} | {rule.what} |" for rule in RULES.values()]
    for rule in RULES.values():
        lines += _section(rule)
    return _INTRODUCTION + "\n" + "\n".join(lines) + "\n"


def _section(rule: Rule) -> Iterator[str]:
    # A line of a spec that goes or comes is shown as a diff.
    language = "diff" if rule.example.startswith(("-", "+")) else "text"
    yield from ("", f"### {rule.code}", "", f"*{rule.level}.* {rule.what} {rule.why}", "")
    yield from (f"```{language}", rule.example, "```", "", rule.fix)


if __name__ == "__main__":
    sys.stdout.write(render())
