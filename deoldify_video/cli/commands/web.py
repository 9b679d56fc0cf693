"""`web`: the page in the browser."""

from __future__ import annotations

import ipaddress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deoldify_video.errors import DependencyError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(web)


def web(
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.", min=0, max=65535)] = 8501,
    host: Annotated[str, typer.Option(help="Address to serve at; any but 127.0.0.1 lets others in.")] = "127.0.0.1",
    auth: Annotated[Path | None, typer.Option(help="Ask for a password: a file of users, made with --add-user.")] = None,
    add_user: Annotated[str | None, typer.Option(help="Ask for this user's password, write it to --auth, and end.")] = None,
    max_megabytes: Annotated[int, typer.Option(help="The largest file that the page takes.")] = 4000,
    max_minutes: Annotated[float, typer.Option(help="The longest film that the page takes.")] = 180.0,
    memory_megabytes: Annotated[
        int, typer.Option(help="Memory for photos, beside the network: the largest needs it all.")
    ] = 800,
    disk_gigabytes: Annotated[float, typer.Option(help="Disk for all uploads and results.")] = 40.0,
    keep_hours: Annotated[
        float, typer.Option(help="How long uploads and results are kept after the last work on them.")
    ] = 24.0,
) -> None:
    """Serve a page on which photos and films are coloured in the browser; Ctrl-C ends it."""
    from deoldify_video.web.limits import Limits
    from deoldify_video.web.passwords import Passwords

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if add_user is not None:
        _add_user(auth, add_user, console)
        return
    limits = Limits(
        max_bytes=max_megabytes * 1_000_000,
        max_duration_s=max_minutes * 60,
        memory_bytes=memory_megabytes * 1_000_000,
        disk_bytes=int(disk_gigabytes * 1e9),
        keep_s=keep_hours * 3600,
    )
    passwords = Passwords(auth) if auth is not None else None
    if find_spec("gradio") is None:
        raise DependencyError("the page needs gradio", remedy="install it with: pip install 'deoldify-video[web]'")
    from deoldify_video.web.server import serve

    local = is_local(host)
    if not local:
        console.print(f"[yellow]Warning:[/] {_what_open_means(host, asks=passwords is not None)}")
    serve(
        host,
        port,
        limits,
        local=local,
        passwords=passwords,
        on_ready=lambda url: console.print(f"The page is at {url}; Ctrl-C ends it."),
    )


def is_local(host: str) -> bool:
    """Whether only this computer can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _add_user(auth: Path | None, name: str, console: Console) -> None:
    from deoldify_video.web.passwords import add_user

    if auth is None:
        raise UsageError("--add-user writes to a file of users; name it with --auth FILE.")
    add_user(auth, name, typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True))
    console.print(f"{name} is in {auth}; serve the page with: deoldify-video web --auth {auth}")


def _what_open_means(host: str, *, asks: bool) -> str:
    everywhere = host in ("0.0.0.0", "::")
    where = "any network that this computer is in, the internet too where it is let through," if everywhere else f"{host}"
    who = "and has a password" if asks else "without any password (--auth FILE asks for one)"
    return (
        f"everybody who can reach {where} {who}, can use the page, this computer's time and its disk. "
        "They do not see each other's files. All of it travels unencrypted: put a server that speaks HTTPS before it."
    )
