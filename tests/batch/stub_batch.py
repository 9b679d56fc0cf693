"""The program with stub workers, as a process of its own: the command line, and before it what is to happen to the driver.

`KILL_AT`: it is killed before the write to the manifest that has this number. `WRITES`: a file for the number of all writes.
`TRIAL`: plans try the network, as they do for a user.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "executors"), str(HERE.parent), str(HERE.parents[1])]

if __name__ == "__main__":
    from functools import partial

    import stub_worker

    from deoldify_video.batch import estimate
    from deoldify_video.batch.manifest import Manifest
    from deoldify_video.cli.app import main
    from deoldify_video.executors import local

    local.LocalExecutor = partial(local.LocalExecutor, entry=stub_worker.run_worker)
    if not os.environ.get("TRIAL"):
        estimate.try_one = lambda plan, kind: (0.01, "a guess")
    change, kill_at, writes = Manifest.change, int(os.environ.get("KILL_AT", "0")), 0

    def counted(self, *args):
        global writes  # noqa: PLW0603
        writes += 1
        if writes == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(self, *args)

    Manifest.change = counted
    if path := os.environ.get("WRITES"):
        atexit.register(lambda: Path(path).write_text(str(writes)))
    main()
