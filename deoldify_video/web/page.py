"""The page: one place to drop a photo or film, and for each the ways to colour it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from deoldify_video.color.style import STYLES
from deoldify_video.errors import StoppedError, UsageError
from deoldify_video.formatting import format_timecode
from deoldify_video.models.registry import MODELS
from deoldify_video.options import ColorOptions, DecodeOptions, FilmOptions, JobOptions
from deoldify_video.web import fragments
from deoldify_video.web.error_messages import error_message, page_text
from deoldify_video.web.film import EXCERPT_S, FilmPreview, FilmResult, FilmSession
from deoldify_video.web.networks import installed_networks
from deoldify_video.web.photo import PhotoSession
from deoldify_video.web.queue import Run
from deoldify_video.web.session import Session
from deoldify_video.web.store import SessionStore

TITLE = "Old photos and films in colour"
_INTRO = (
    "Drop a black-and-white photo or film. It stays on the computer that runs this page, and is deleted after {hours:g} hours. "
    "The colours are plausible, not true: nobody knows what a dress was."
)
_GONE = "There is nothing here any more: files are deleted some time after the last work on them. Drop yours again."
_TELL_S = 0.3  # how often the page is told how a run goes
_DETAIL_RANGE = (7, 48)
_MOST_SATURATION = 3.0

Page = AsyncIterator[dict[Any, Any]]  # updates by component
Values = dict[Any, Any]  # what is in the form, by component


class Form:
    """The page's components, and what happens when they are used."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        networks = installed_networks()
        default = MODELS[networks[0]]
        gr.Markdown(f"# {TITLE}\n{_INTRO.format(hours=store.limits.keep_s / 3600)} Files may have {store.limits}.")
        self.drop = gr.File(label="A photo or a film", height=170, elem_id="drop")
        with gr.Row(elem_classes="dv-status"):
            self.status = gr.HTML(elem_id="status", elem_classes="dv-html", scale=8)
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop", scale=1, min_width=90)
        self.title = gr.HTML(elem_id="title", elem_classes="dv-html")
        with gr.Row(visible=False, elem_classes="dv-panel") as self.panel:
            with gr.Column(scale=5, min_width=320):
                self.film = gr.HTML(elem_id="film", elem_classes="dv-html")
                self.picture = gr.HTML(elem_id="picture", elem_classes="dv-html")
                self.save = gr.HTML(elem_id="save", elem_classes="dv-html")
            with gr.Column(scale=3, min_width=320):
                self.detail = gr.Slider(
                    *_DETAIL_RANGE,
                    value=default.photo_render_factor,
                    step=1,
                    label="Detail",
                    info="The render factor: more is finer and slower, less is calmer.",
                )
                self.saturation = gr.Slider(
                    0, _MOST_SATURATION, value=1.0, step=0.05, label="Colour strength", info="The saturation: 0 is grey."
                )
                self.style = gr.Radio([(name.capitalize(), name) for name in STYLES], value=STYLES[0], label="Style")
                self.network = gr.Dropdown(networks, value=networks[0], label="Network", info="What finds the colours.")
                with gr.Column(visible=False) as self.film_controls:
                    self.excerpt = gr.Button(f"Colour the first {EXCERPT_S:.0f} seconds", variant="primary")
                    self.whole = gr.Button("Colour the whole film", variant="primary")
                    self.again = gr.Button("New preview in this style")
                    self.force = gr.Checkbox(label="Replace colours that are there already")
                    self.deinterlace = gr.Checkbox(label="Take the comb lines out of an interlaced film")
                    self.truncated = gr.Checkbox(label="Take a damaged film as far as it goes")
        self._connect()

    def _connect(self) -> None:
        looks: set[Any] = {self.detail, self.saturation, self.style, self.network}
        rules: set[Any] = {self.force, self.deinterlace, self.truncated}
        changing = [self.drop, self.status, self.stop, self.title, self.panel, self.film, self.picture, self.save]
        # The device has a queue of its own; these only watch it.
        watching: dict[str, Any] = {
            "outputs": [*changing, self.detail, self.film_controls],
            "concurrency_limit": None,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        self.drop.upload(self._dropped, {self.drop, *looks}, **watching)
        gr.on([part.change for part in looks], self._looked, looks, trigger_mode="always_last", **watching)
        self.network.input(self._network_chosen, {self.network}, **watching)
        self.again.click(self._preview, looks, **watching)
        self.excerpt.click(self._color_excerpt, looks | rules, **watching)
        self.whole.click(self._color_whole, looks | rules, **watching)
        self.stop.click(self._stopped, **watching)

    async def _dropped(self, values: Values, request: gr.Request) -> Page:
        path = Path(values[self.drop])
        cleared = dict.fromkeys((self.title, self.film, self.picture, self.save), "")
        yield {self.drop: None, self.status: fragments.busy("Reading the file", 0.0), **cleared}
        try:
            session = await asyncio.to_thread(self._store.open, _tab(request), path)
        except Exception as error:
            yield {self.status: fragments.problem(error_message(error, path)), self.panel: gr.update(visible=False)}
            return
        values[self.detail] = _default_detail(values[self.network], session)
        yield {
            self.title: fragments.title(path.name, _about(session)),
            self.panel: gr.update(visible=True),
            self.film_controls: gr.update(visible=isinstance(session, FilmSession)),
            self.detail: values[self.detail],
        }
        options = self._options(values)
        async for updates in (
            self._preview_of(session, options) if isinstance(session, FilmSession) else self._view_of(session, options)
        ):
            yield updates

    async def _looked(self, values: Values, request: gr.Request) -> Page:
        """A photo follows the controls at once; a film waits for a button."""
        session = self._store.of_tab(_tab(request))
        if session is None:
            yield {self.status: fragments.problem(_GONE)}
        elif isinstance(session, FilmSession):
            yield gr.skip()
        else:
            async for updates in self._view_of(session, self._options(values)):
                yield updates

    async def _network_chosen(self, values: Values, request: gr.Request) -> Page:
        session = self._store.of_tab(_tab(request))
        yield {self.detail: _default_detail(values[self.network], session)} if session else gr.skip()

    async def _preview(self, values: Values, request: gr.Request) -> Page:
        async for updates in self._of_film(request, lambda film: self._preview_of(film, self._options(values))):
            yield updates

    async def _color_excerpt(self, values: Values, request: gr.Request) -> Page:
        async for updates in self._of_film(request, lambda film: self._colored(film, values, whole=False)):
            yield updates

    async def _color_whole(self, values: Values, request: gr.Request) -> Page:
        async for updates in self._of_film(request, lambda film: self._colored(film, values, whole=True)):
            yield updates

    async def _stopped(self, request: gr.Request) -> Page:
        self._store.stop(_tab(request))
        yield gr.skip()

    async def _of_film(self, request: gr.Request, show: Callable[[FilmSession], Page]) -> Page:
        """Updates of a run on the visitor's film, where they have one and it is not worked on."""
        session = self._store.of_tab(_tab(request))
        if not isinstance(session, FilmSession):
            yield {self.status: fragments.problem(_GONE)}
        elif session.busy:
            yield gr.skip()  # the run's own updates say what is going on
        else:
            async for updates in show(session):
                yield updates

    async def _view_of(self, session: Session, options: ColorOptions) -> Page:
        assert isinstance(session, PhotoSession)
        while session.busy:  # an earlier look at the same photo
            await asyncio.sleep(_TELL_S)

        def show(after: str) -> dict[Any, Any]:
            warned = ["The photo has colours already; they are replaced."] if session.colorful else []
            width, height = session.size
            words = f"Download in full size ({width} x {height})"
            return {
                self.status: fragments.notes(warned),
                self.picture: fragments.slider(session.before, after, session.size),
                self.save: fragments.download(f"/session/{session.key}/whole", words),
            }

        if session.has(options):  # no need of the device
            session.used_at = time.monotonic()
            yield show(await asyncio.to_thread(session.view, options))
            return
        async for updates in self._run(session, lambda run: session.color(run, options), show):
            yield updates

    def _preview_of(self, session: FilmSession, options: ColorOptions) -> Page:
        def show(found: FilmPreview) -> dict[Any, Any]:
            words = fragments.notes([page_text(text, session.source) for text in found.warnings])
            return {self.status: words, self.picture: fragments.preview(found.candidates)}

        return self._run(session, lambda run: session.make_preview(run, options), show)

    def _colored(self, session: FilmSession, values: Values, *, whole: bool) -> Page:
        options = FilmOptions(
            decode=DecodeOptions(deinterlace=values[self.deinterlace]),
            color=self._options(values),
            job=JobOptions(force=values[self.force], allow_truncated=values[self.truncated]),
        )

        def show(made: FilmResult) -> dict[Any, Any]:
            warned = fragments.notes([page_text(text, session.source) for text in made.warnings])
            return {
                self.status: fragments.done(f"Done: {made.frames:,} frames in colour.") + warned,
                self.film: fragments.player(made.view, made.download, made.name, made.size_bytes),
            }

        return self._run(session, lambda run: session.color(run, options, whole=whole), show)

    async def _run(self, session: Session, work: Callable[[Run], Any], show: Callable[[Any], dict[Any, Any]]) -> Page:
        """Put work into the queue, tell how it goes, and at its end show what came of it."""
        try:
            run = session.submit(work)
        except UsageError as error:
            yield {self.status: fragments.problem(str(error))}
            return
        while not run.ended:
            ahead = session.queue.ahead_of(run)
            doing = "Stopping" if run.stopping else run.doing
            words = fragments.waiting(ahead) if ahead else fragments.busy(doing, run.share)
            yield {self.status: words, self.stop: gr.update(visible=True)}
            await asyncio.sleep(_TELL_S)
        if session.unwanted:  # the page shows something else by now
            return
        session.used_at = time.monotonic()
        try:
            updates = show(run.result())
        except StoppedError:
            updates = {self.status: fragments.notes(["Stopped. With the same settings, the same button goes on from there."])}
        except Exception as error:
            updates = {self.status: fragments.problem(error_message(error, session.source))}
        yield {**updates, self.stop: gr.update(visible=False)}

    def _options(self, values: Values) -> ColorOptions:
        return ColorOptions(
            model=values[self.network],
            render_factor=int(values[self.detail]),
            style=values[self.style],
            saturation=float(values[self.saturation]),
        )


def build_page(store: SessionStore) -> gr.Blocks:
    """The page that shows the sessions of `store`."""

    def closed(request: gr.Request) -> None:
        store.stop(_tab(request))

    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        Form(store)
        page.unload(closed)
    page.queue(default_concurrency_limit=None, api_open=False)
    return page


def _tab(request: gr.Request) -> str:
    return str(request.session_hash)


def _default_detail(network: str, session: Session) -> int:
    spec = MODELS[network]
    return spec.photo_render_factor if session.info.kind == "photo" else spec.film_render_factor


def _about(session: Session) -> str:
    width, height = session.info.video.upright_size
    size = f"{session.info.kind.capitalize()}, {width} x {height}"
    return (
        f"{size}, {format_timecode(session.info.duration_s)}"
        if session.info.duration_s and session.info.kind == "film"
        else size
    )
