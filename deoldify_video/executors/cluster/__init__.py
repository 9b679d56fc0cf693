"""The executor that spreads an archive over a Ray cluster: needs the extra `cluster`."""

from __future__ import annotations

from deoldify_video.executors.cluster.executor import RayExecutor

__all__ = ["RayExecutor"]
