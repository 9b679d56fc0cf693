"""`web`: the page in the browser."""

from __future__ import annotations

import ipaddress
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console

from deoldify_video.errors import DependencyError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(web)


def web(
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.", min=0, max=65535)] = 8501,
    host: Annotated[str, typer.Option(help="Address to serve at; any but 127.0.0.1 lets others in.")] = "127.0.0.1",
    max_megabytes: Annotated[int, typer.Option(help="The largest file that the page takes.")] = 4000,
    max_minutes: Annotated[float, typer.Option(help="The longest film that the page takes.")] = 180.0,
) -> None:
    """Serve a page on which photos and films are coloured in the browser; Ctrl-C ends it."""
    from deoldify_video.web.limits import Limits

    limits = Limits(max_megabytes * 1_000_000, max_minutes * 60)
    console = Console(stderr=True, soft_wrap=True)
    if find_spec("gradio") is None:
        raise DependencyError("the page needs gradio", remedy="install it with: pip install 'deoldify-video[web]'")
    from deoldify_video.web.server import serve

    local = is_local(host)
    if not local:
        console.print(
            f"[yellow]Warning:[/] everybody who can reach {host} can use the page and this computer's time.", highlight=False
        )
    serve(
        host,
        port,
        limits,
        local=local,
        on_ready=lambda url: console.print(f"The page is at {url}; Ctrl-C ends it.", highlight=False),
    )


def is_local(host: str) -> bool:
    """Whether only this computer can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
