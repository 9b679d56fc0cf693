"""What the page's buttons do: who has brought what, the works on it, and the queue of the device. Knows no page."""

from __future__ import annotations

from pathlib import Path

from deoldify_video.web.film import FilmWork
from deoldify_video.web.jobs import JobQueue
from deoldify_video.web.networks import Networks
from deoldify_video.web.photo import PhotoWork
from deoldify_video.web.visits import Visit, Visits

Work = PhotoWork | FilmWork


class Desk:
    """Visitors by session: each has one upload at a time."""

    def __init__(self, visits: Visits) -> None:
        self.visits, self.queue, self.networks = visits, JobQueue(), Networks()
        self._by_session: dict[str, Visit] = {}
        self._works: dict[str, Work] = {}

    def arrive(self, session: str, upload: Path) -> tuple[Visit, Work]:
        """Take what a visitor has dropped, in the place of what they had before. Raises `InputError`."""
        old = self._by_session.pop(session, None)
        if old is not None:
            self.visits.forget(old)
        visit = self.visits.admit(upload)
        try:
            work = (PhotoWork if visit.info.kind == "photo" else FilmWork)(visit, self.networks)
        except BaseException:
            self.visits.forget(visit)
            raise
        self._works = {key: work for key, work in self._works.items() if self.visits.find(key)}
        self._by_session = {key: visit for key, visit in self._by_session.items() if self.visits.find(visit.key)}
        self._works[visit.key], self._by_session[session] = work, visit
        return visit, work

    def has(self, session: str) -> tuple[Visit, Work] | None:
        """What a visitor has here, unless it was deleted."""
        visit = self._by_session.get(session)
        if visit is None or self.visits.find(visit.key) is None:
            return None
        return visit, self._works[visit.key]

    def work(self, key: str) -> Work | None:
        """The work on the upload with that address."""
        return self._works.get(key) if self.visits.find(key) else None

    def stop(self, session: str) -> None:
        """End the visitor's job, because they say so or have closed the page; what they brought stays for its hour."""
        found = self.has(session)
        if found is not None and found[0].job is not None:
            found[0].job.stop()

    def close(self) -> None:
        """End all jobs."""
        self.queue.close()
