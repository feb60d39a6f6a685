"""`vecmigrate dev`: a private server in the foreground."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecmigrate.cli.app import App, Command, format_option, pass_app

if TYPE_CHECKING:
    from vecmigrate.embedded import EmbeddedRedis


@click.command(cls=Command)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder to keep the data in.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1. Default: any free one.")
@click.option("--unix-socket", type=click.Path(path_type=Path), help="Listen here instead of on a port.")
@format_option()
@pass_app
def dev(app: App, *, data: Path | None, port: int | None, unix_socket: Path | None) -> None:
    """Run a private Redis with RediSearch until Ctrl-C.

    Prints its URL, on a line of its own.
    """
    from vecmigrate.embedded import serve_forever

    if port is not None and unix_socket is not None:
        raise click.UsageError("--port and --unix-socket exclude each other.")

    def announce(server: EmbeddedRedis) -> None:
        app.out(json.dumps({"url": server.url, "pid": server.pid}) if app.json else server.url)
        kept = f"data in {data}" if data else "nothing is kept"
        app.note(f"Redis with RediSearch is ready ({kept}); Ctrl-C ends it.")

    serve_forever(announce, directory=data, port=port, unix_socket=unix_socket)
