"""A few films and photos, one after the other in this process: a batch without a manifest, for `colorize` with several inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from deoldify_video.batch.naming import collision, folded, output_name
from deoldify_video.errors import DeoldifyVideoError, DependencyError, InputError, OutputError, StoppedError
from deoldify_video.media.files import output_errors
from deoldify_video.media.probe import probe
from deoldify_video.options import FilmOptions
from deoldify_video.report import OnProgress, Report


def plan_files(inputs: Sequence[Path], output: Path, codec: str) -> list[tuple[Path, Path]]:
    """Pairs of source and target in the folder `output`, which is made; of folders among `inputs` all films and photos are taken.

    A source keeps its name where its format can be written and hold the codec, else an ending is added that can. Raises `InputError`
    for a folder without films and photos, `OutputError` when `output` is no folder, `UsageError` when two sources would share a
    target, also when only some disks take their names for one.
    """
    sources = [found for path in inputs for found in (_media_in(path) if path.is_dir() else [(path, _kind(path))])]
    if output.exists() and not output.is_dir():
        raise OutputError("is a file", path=output, remedy="with several inputs name a folder")
    planned: dict[str, tuple[Path, Path]] = {}
    for source, kind in sources:
        name = output_name(source.name, kind or "film", codec=codec)  # what is neither is reported in its turn
        if folded(name) in planned:
            raise collision(source, output / name, *planned[folded(name)])
        planned[folded(name)] = source, output / name
    with output_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    return list(planned.values())


def colorize_files(
    files: Sequence[tuple[Path, Path]],
    options: FilmOptions,
    *,
    follow: Callable[[Path], OnProgress],
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Path, Report | DeoldifyVideoError]]:
    """Colorize all `files`, pairs of source and target, with one network; gives each source with its report, or with what was wrong.

    `follow` makes, for a source, what is called after every frame of it. Raises `DependencyError`, for every file would meet it,
    `StoppedError`, and whatever is wrong with a file that is the only one, if possible before a network is loaded.
    """
    from deoldify_video.colorize import colorize_item

    alone, colorizer = len(files) == 1, None
    if not alone:
        from deoldify_video.models.colorizer import Colorizer

        colorizer = Colorizer(options.color)
    for source, target in files:
        outcome: Report | DeoldifyVideoError
        try:
            outcome = colorize_item(
                source, target, options, colorizer=colorizer, on_progress=follow(source), should_stop=should_stop
            )
        except DeoldifyVideoError as error:
            if alone or isinstance(error, DependencyError | StoppedError):
                raise
            outcome = error
        yield source, outcome


def _media_in(folder: Path) -> list[tuple[Path, str]]:
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    found = [(path, kind) for path in files if (kind := _kind(path))]
    if not found:
        raise InputError("holds no film and no picture", path=folder)
    return found


def _kind(path: Path) -> str | None:
    """`film` or `photo`; None for what is neither."""
    try:
        return probe(path).kind
    except InputError:
        return None
