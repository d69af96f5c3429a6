"""The ``tuplet serve`` command: searches over HTTP, with a page."""

from __future__ import annotations

import shlex
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from tuplet.errors import InputError, importing, in_range

if TYPE_CHECKING:
    from tuplet.store._ask import Desk

KEPT = 2**30
"""Bytes of candidates that stay in memory between searches."""
LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Serve:
    """Answer the searches of `tuplet search` over HTTP, on a page and as JSON (needs tuplet[serve])."""

    index: Positional[Path]
    """A folder of `tuplet index`, or embeddings as `tuplet embed` writes them. It is only read."""
    host: str = "127.0.0.1"
    """Address to listen at. Others than this machine may ask at 0.0.0.0; there is no password."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    objective: str | None = None
    """Whose score ranks, such as cone [default: that of the index, or the mean cosine]."""
    model: Path | None = None
    """Folder of the model that reads words, pictures and sounds [default: the one that made the embeddings]."""
    largest: int = 10_000_000
    """Bytes of a request; a larger one is refused."""


def serve(command: Serve) -> None:
    """Listen until a signal ends it."""
    in_range("port", command.port, 0, 65536)
    in_range("largest", command.largest, 1)
    with importing("tuplet serve needs {package}; run pip install 'tuplet[serve]'"):
        import python_multipart  # noqa: F401
        import uvicorn

        from tuplet.store._service import application
    from tuplet.cli.search import desk_of

    desk = desk_of(command.index, command.objective, command.model, KEPT)
    hosts = (*LOCAL, command.host) if command.host in LOCAL else ("*",)
    app = application(desk, largest=command.largest, hosts=hosts)
    listening = _listening(command.host, command.port)
    address = f"http://{command.host}:{listening.getsockname()[1]}"
    example = _example(desk)
    print(f"{desk.index}\n{address}  (Ctrl-C ends it)\ncurl -F {shlex.quote(example)} -F k=1 {address}/search", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=3)).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """Take a port."""
    try:
        taken = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InputError(f"port {port} of {host} cannot be taken ({error.strerror}); choose another with --port") from None
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on sockets of its own only: 40 ms an answer
    return taken


def _example(desk: Desk) -> str:
    """Write a field of a request, and search with it once: the first search loads what the others use."""
    from tuplet.store._ask import Raw

    names, id = desk.names("text") if desk.place else (), str(desk.index.stored.ids[0])
    with suppress(InputError):  # of an index of a single item
        desk.ask([Raw("text", name, name) for name in names[:1]], like=None if names else id, k=1)
    return f"text.{names[0]}={names[0]}" if names else f"like={id}"
