"""A whole film: segments that survive a kill, then one file with every stream, which appears only when it is finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from deoldify_video.film.finalize import finalize_film, finalize_report
from deoldify_video.film.job import FilmJob, NetworkFacts
from deoldify_video.film.journal import Journal
from deoldify_video.film.preflight import preflight
from deoldify_video.film.segments import make_segments, rest_of_film
from deoldify_video.media.probe import MediaInfo, probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.preview.auto_render_factor import with_film_factor
from deoldify_video.report import OnProgress, Report

log = logging.getLogger(__name__)


def colorize_film(
    source: Path | str | MediaInfo,
    output: Path | str,
    options: FilmOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    colorizer: Colorizer | None = None,
) -> Report:
    """Colorize the film `source`, a path or what `probe` found there, into `output`, whose ending names the container.

    `colorizer` may be shared between films; by default one is made from `options.color`. `on_progress` is called after every
    frame, `should_stop` after every segment. The output appears under its name only when it is whole; until then finished
    segments lie in a hidden work folder beside it, and the same call goes on from them. Raises the errors of
    `deoldify_video.errors`.
    """
    options, output = options or FilmOptions(), Path(output)
    began = time.monotonic()
    info = source if isinstance(source, MediaInfo) else probe(Path(source))
    found = preflight(info, output, options)
    colorizer = colorizer or Colorizer(options.color)
    options, notes = with_film_factor(info, options, colorizer)
    job = FilmJob(found, output, options, NetworkFacts.of(colorizer))
    journal = Journal(output, job.fingerprint(), restart=options.job.restart)
    resumed = journal.frames
    if resumed:
        log.info("going on after %d frames in %d segments", resumed, len(journal.segments))
    finished = False
    try:
        job.check_room(resumed)
        segment_range = rest_of_film(journal.segments)
        reader = job.reader(segment_range.seek_point)
        making = make_segments(
            job, colorizer, journal.folder, segment_range, reader, on_progress=on_progress, should_stop=should_stop
        )
        with closing(making):
            for number, segment in making:
                journal.add(number, segment)
        result = finalize_film(job, journal.folder, journal.segments, reader.stats)
        finished = True
    finally:
        journal.close(remove=finished or not journal.segments)
    report = replace(finalize_report(job, journal.segments, result, resumed, time.monotonic() - began), notes=notes)
    log.info("%s", report)
    return report
