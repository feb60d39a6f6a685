"""What all commands of one run share: the global options, the configuration, and where output goes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from vecmigrate.errors import printable, printable_lines

if TYPE_CHECKING:
    from vecmigrate.commands.database import Session
    from vecmigrate.config import Config

EXIT_BROKEN_PIPE = 128 + 13  # what a shell reports for a program that SIGPIPE ended

C = TypeVar("C", bound=Callable[..., Any])

# A step down, which would be taken for an option otherwise.
_STEP_DOWN = re.compile(r"-\d+")
# Options that a user of a command may look for behind it.
_GLOBAL_OPTIONS = ("-x", "-c", "--config", "--redis", "--namespace", "-q", "--quiet", "--debug")


class Result(Protocol):
    """What every command returns."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""


@dataclass
class App:
    """The global options, and what is made from them on demand."""

    config_file: Path | None = None
    redis_url: str | None = None
    namespace: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    verbosity: int = 0
    quiet: bool = False
    debug: bool = False
    format: str = "text"
    # The command line as it was given, to keep the passwords in it out of what is printed.
    words: list[str] = field(default_factory=list)
    # What to tell after Ctrl-C.
    when_interrupted: str | None = None
    _config: Config | None = None

    @property
    def json(self) -> bool:
        """Whether results and errors are JSON."""
        return self.format == "json"

    @property
    def config(self) -> Config:
        """The configuration; raises ConfigError."""
        if self._config is None:
            from vecmigrate.config import load_config

            self._config = load_config(self.config_file)
        return self._config

    def session(self, *, wait: float | None = None) -> AbstractContextManager[Session]:
        """A connection to the server that the options name; raises ConfigError, ServerError.

        `wait` is for how many seconds a server is waited for that will answer in a while; None where the
        command has no option for it.
        """
        from vecmigrate.commands.database import open_session
        from vecmigrate.config import check_namespace

        if self.namespace is not None:
            check_namespace(self.namespace)
        self.when_interrupted = _how_to_go_on()
        return open_session(
            self.config,
            redis_url=self.redis_url,
            namespace=self.namespace,
            variables=self.variables,
            wait=wait,
        )

    def conceal(self, text: str) -> str:
        """`text` without the passwords of the URLs that this run was given.

        Our own messages hold none. This is for what others make: a traceback, a usage error that repeats a
        word in the wrong place.
        """
        configured = self._config.redis if self._config is not None else None
        given = [
            self.redis_url,
            os.environ.get("VECMIGRATE_REDIS_URL"),
            os.environ.get("REDIS_URL"),
            configured,
        ]
        # `--redis=URL` is one word.
        words = [word[word.find("=") + 1 :] if word.startswith("-") else word for word in self.words]
        urls = [url for url in (*given, *words) if url and ("@" in url or "://" in url)]
        if not urls:
            return text
        from vecmigrate.runtime.urls import secrets_of

        hidden = {secret for url in urls for secret in secrets_of(url)}
        for secret in sorted(hidden, key=len, reverse=True):
            for form in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}:
                text = text.replace(form, "***")
        return text

    def emit(self, result: Result, text: str | Callable[[], str | Iterable[str]]) -> None:
        """Print a result on stdout: `text`, as for `out`, or the result as JSON where that is wanted."""
        if self.json:
            click.echo(as_json(result.to_dict(), indent=2))
        else:
            self.out(text if isinstance(text, str) else text())

    def out(self, text: str | Iterable[str]) -> None:
        """Print on stdout: lines, or a text whose line ends are meant.

        Nothing that comes from specs, scripts or servers gets past here as anything but text.
        """
        shown = printable_lines(text) if isinstance(text, str) else "\n".join(map(printable, text))
        if shown:
            click.echo(shown)

    def annotate(self, commands: Iterable[str]) -> None:
        """Print workflow commands for GitHub Actions, whose values are escaped already."""
        shown = "\n".join(commands)
        if shown:
            click.echo(shown)

    def end_output(self) -> int:
        """Whoever read stdout went away: say no more, and return the exit code that is usual then."""
        # Python flushes stdout once more at exit; that shall go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE

    def note(self, text: str) -> None:
        """Tell something in passing, on stderr."""
        if not self.quiet and not self.json:
            click.echo(printable_lines(text), err=True)

    def set_up_logging(self) -> None:
        """Log to stderr: warnings, with -v what is going on, with -vv everything."""
        import logging

        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbosity, 2)]
        handler = logging.StreamHandler(sys.stderr)

        class Formatter(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return printable_lines(super().format(record))

        handler.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("vecmigrate")
        logger.handlers[:] = [handler]
        logger.setLevel(logging.ERROR if self.quiet else level)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that can be shown anywhere; see `errors.printable` for what is written out."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    if not text.replace("\n", "").isprintable():
        text = "".join(
            letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text
        )
    return text.replace("##[", "#\\u0023[")


def _how_to_go_on() -> str | None:
    """What to say to whoever interrupts the command that is being run."""
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    name = context.info_name
    if name in ("upgrade", "downgrade"):
        return f"the ledger knows how far it got: `vecmigrate {name}` goes on from there"
    return f"run `vecmigrate {name}` again"


class Command(click.Command):
    """A command that takes `-1` as a revision, and says where global options belong."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words behind the command's name."""
        words = [f"current{word}" if _STEP_DOWN.fullmatch(word) else word for word in args]
        try:
            return super().parse_args(ctx, words)
        except click.NoSuchOption as error:
            if error.option_name not in _GLOBAL_OPTIONS:
                raise
            place = f"vecmigrate {error.option_name} … {self.name}"
            raise click.UsageError(f"{error.message} It comes before the command: {place}", ctx) from None


def format_option(*formats: str) -> Callable[[C], C]:
    """The option `--format`, which sets `App.format`."""

    def remember(ctx: click.Context, _parameter: click.Parameter, value: str) -> None:
        app = ctx.find_object(App)
        assert app is not None  # noqa: S101 - `run` made it
        app.format = value

    return click.option(
        "--format",
        type=click.Choice(formats or ("text", "json")),
        default="text",
        show_default=True,
        expose_value=False,
        callback=remember,
        help="How results are printed.",
    )


# Gives the App to a command as its first argument.
pass_app = click.make_pass_decorator(App)
