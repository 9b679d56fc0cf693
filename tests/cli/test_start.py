"""How the program starts and how it is stopped, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path

import pytest
from synth import make_film

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "av", "cv2", "skimage", "numpy")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import deoldify_video",
        "from deoldify_video.cli.app import main; sys.argv[1:] = ['--help']; main()",
        "from deoldify_video.cli.app import main; sys.argv[1:] = ['colorize', '--help']; main()",
    ],
    ids=["import", "--help", "colorize --help"],
)
def test_starts_without_heavy_libraries(code):
    report = f"print('loaded', *({set(HEAVY)} & sys.modules.keys()), file=sys.stderr)"
    done = run("-c", f"import sys, atexit; atexit.register(lambda: {report}); {code}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "loaded"


@pytest.mark.parametrize("launcher", [[ROOT / "cli.py"], ["-m", "deoldify_video"]], ids=["cli.py", "-m"])
def test_launchers(launcher, tmp_path):
    done = run(*launcher, "colorize", "missing.mp4", "-o", "new.mp4", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == "Error: missing.mp4 does not exist.\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_two_interrupts_stop_at_once_and_leave_no_broken_film(tmp_path):
    film = make_film(tmp_path / "old.mp4", frames=500, audio=None, options={"preset": "ultrafast"})
    arguments = [sys.executable, "-m", "deoldify_video", "colorize", film, "-o", tmp_path / "new.mp4", "-r", "10"]
    with subprocess.Popen(list(map(str, arguments)), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        wait_for(lambda: list(tmp_path.glob(".new.mp4.work/????????.new")), process)
        process.send_signal(signal.SIGINT)
        said = list(takewhile(lambda line: "Stopping after this segment" not in line, process.stderr))
        assert process.poll() is None, said
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in "".join(said) + err
    assert not (tmp_path / "new.mp4").exists()
    assert not list(tmp_path.rglob("*.part*"))


def wait_for(ready, process):
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
