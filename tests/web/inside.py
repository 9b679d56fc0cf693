"""Lists the routes of the page, and tries what gradio does without a guard before it: JSON, by `python inside.py PATH`.

In a process of its own, because gradio leaves sockets open.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Any


def main(path: str) -> None:
    """Print all routes as [method, path], and what comes of a forged upload of `path` when nothing but gradio checks it."""
    from deoldify_video.web.limits import Limits
    from deoldify_video.web.server import build_app
    from deoldify_video.web.store import SessionStore

    with SessionStore(Limits()) as store:
        os.environ["GRADIO_TEMP_DIR"] = str(store.uploads.root)
        app = build_app(store, local=True)
        found = {"routes": sorted(set(routes(app.routes))), "events": asyncio.run(forge(app, path))}
    print(json.dumps(found))


def routes(parts: Any) -> Iterator[tuple[str, str]]:
    """Methods and paths, of mounted and included applications as well."""
    for part in parts:
        inner = getattr(part, "routes", None) or getattr(getattr(part, "original_router", None), "routes", None)
        if inner is not None:
            yield from routes(inner)
        else:
            for method in part.methods:
                yield method, part.path


async def forge(app: Any, path: str) -> list[str]:
    """The kinds of events that a visitor is sent."""
    import httpx

    gradio = app.routes[-1].app
    body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, 21, 1, "natural", "compact"], "fn_index": 0}
    transport = httpx.ASGITransport(gradio)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        joined = await client.post("/gradio_api/queue/join", json={**body, "session_hash": "forger"})
        joined.raise_for_status()
        told = await client.get("/gradio_api/queue/data?session_hash=forger")
        return [json.loads(line[len("data: ") :])["msg"] for line in told.text.splitlines() if line.startswith("data: ")]


if __name__ == "__main__":
    main(sys.argv[1])
