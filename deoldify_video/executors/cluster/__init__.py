"""The engine that spreads an archive over a Ray cluster: needs the extra `cluster`."""

from __future__ import annotations

from deoldify_video.executors.cluster.executor import RayEngine

__all__ = ["RayEngine"]
