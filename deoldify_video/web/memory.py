"""Memory that is lent: who needs much of it waits until those before have given theirs back."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class MemoryBudget:
    """Lends up to `total_bytes`, in the order of asking, so that large wishes are not passed over for ever."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = self._free_bytes = total_bytes
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def lend(self, wanted_bytes: int) -> Iterator[None]:
        """Wait for `wanted_bytes` and have them while the block runs; who wants more than all gets all, and is alone."""
        bytes_, ticket = min(wanted_bytes, self.total_bytes), object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._free_bytes >= bytes_)
                self._free_bytes -= bytes_
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free_bytes += bytes_
                self._changed.notify_all()
