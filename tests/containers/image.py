"""The image to test with: pulled where a registry can be reached, else built from the two wheels."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import tarfile
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from vecmigrate.embedded import find_binaries
from vecmigrate.errors import EmbeddedError

LOCAL_IMAGE = "vecmigrate-test-redis:local"
SECONDS_TO_REACH = 3.0
SECONDS_TO_PULL = 120

DOCKERFILE = """\
FROM scratch
COPY root /
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["/redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", \
"--loadmodule", "/modules/redisearch.so", "BG_INDEX_SLEEP_GAP", "10", "--loadmodule", "/modules/rejson.so"]
"""


class NoImageError(Exception):
    """The image cannot be pulled, and none can be built here."""


def provide(wanted: str, host: str) -> str:
    """Return the image to use on the engine at `host`: `wanted`, or a local one where no registry answers.

    Raises:
        NoImageError: The registry does not have `wanted`, or nothing can be pulled and no wheels are here.
    """
    with contextlib.closing(docker.DockerClient(base_url=host, timeout=SECONDS_TO_PULL)) as client:
        with contextlib.suppress(ImageNotFound):
            client.images.get(wanted)
            print(f"image: {wanted}, there already")
            return wanted
        reason = _pull(client, wanted)
        if reason is None:
            print(f"image: {wanted}, pulled")
            return wanted
        print(f"image: {wanted} cannot be pulled ({reason}); building one from the wheels", flush=True)
        try:
            _build(client)
        except (EmbeddedError, DockerException) as error:
            raise NoImageError(f"{wanted} cannot be pulled ({reason}), nor another built: {error}") from error
        print(f"image: {LOCAL_IMAGE}")
        return LOCAL_IMAGE


def _pull(client: docker.DockerClient, image: str) -> str | None:
    """Pull the image; return None, or why that cannot be done here."""
    registry = _registry(image)
    if not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy")):
        try:
            socket.create_connection((registry, 443), timeout=SECONDS_TO_REACH).close()
        except OSError as error:
            return f"no answer from {registry}: {error.strerror or error}"
    try:
        client.images.pull(image)
    except NotFound as error:
        raise NoImageError(f"{registry} has no image {image}: {error.explanation}") from error
    except (APIError, OSError) as error:  # OSError: the engine said nothing for SECONDS_TO_PULL
        return str(getattr(error, "explanation", None) or error)
    return None


def _registry(image: str) -> str:
    first, slash, _ = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first.partition(":")[0] if named else "registry-1.docker.io"


def _build(client: docker.DockerClient) -> None:
    """Make an image that holds redis-server, the two modules, their shared libraries and nothing else."""
    binaries = find_binaries()
    files = {
        "root/redis-server": binaries.server,
        "root/modules/redisearch.so": binaries.search,
        "root/modules/rejson.so": binaries.json,
    }
    for binary in tuple(files.values()):
        files |= {f"root{library}": Path(library).resolve() for library in _libraries(binary)}
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        _add_text(tar, "Dockerfile", DOCKERFILE)
        _add_text(tar, "root/etc/passwd", "root:x:0:0::/:/\n")
        for name, file in files.items():
            tar.add(file, name)
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=LOCAL_IMAGE, rm=True)


def _libraries(binary: Path) -> set[str]:
    if not shutil.which("ldd"):
        raise EmbeddedError("no ldd to find the libraries of redis-server with")
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    if "not found" in listed:
        raise EmbeddedError(f"libraries of {binary} are missing: {listed}")
    return set(re.findall(r"(?:=> |^\s*)(/\S+) \(", listed, re.MULTILINE))


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(text.encode()))
