"""The "Paint" tab."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from impasto.errors import ImpastoError
from impasto.settings.stylize import StylizeSettings
from impasto.studio.folders import KEPT
from impasto.studio.job_queue import JobQueue
from impasto.studio.messages import JobRequest
from impasto.web import html
from impasto.web.artworks import Artwork, bundled_artworks, met_artworks, search
from impasto.web.controls import PAINTING_OPTIONS, PLAIN, bounded, control, settings
from impasto.web.job_panel import ANSWERED, FOLLOWING, QUIET, JobPanel, page_of
from impasto.web.notices import show_errors
from impasto.web.region_editor import editor_value, fill_editors, region_editors, strokes
from impasto.web.upload import checked_upload, upload

MOST = 3
"""Most paintings that can be blended on the page."""

SHOWN = 24
"""Most paintings of the museum shown at once."""

SEEN = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")
"""Extensions of photos that browsers can show."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """The controls of the tab, in the order in which handlers receive their values."""

    photo: gr.Image
    paintings: list[gr.Image]
    shares: list[gr.Slider]
    controls: list[gr.components.Component]
    strokes: list[gr.ImageEditor]
    keep_unpainted: gr.Checkbox

    @property
    def all(self) -> list[gr.components.Component]:
        """All controls."""
        return [self.photo, *self.paintings, *self.shares, *self.controls, *self.strokes, self.keep_unpainted]


class PaintTab:
    """Photo, painting and controls, and the picture while it is painted.

    Args:
        queue, backlog: as in `JobPanel`.
    """

    def __init__(self, queue: JobQueue, backlog: Callable[[str], int]) -> None:
        self.queue = queue
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.inputs = self._choose()
            with gr.Column(scale=5, min_width=300):
                self.live = JobPanel(queue, "paint", "Paint", backlog)
                with gr.Accordion("Compare with the photo", open=False):
                    self.compare = gr.ImageSlider(
                        label="Before and after",
                        type="filepath",
                        interactive=False,
                        elem_id="compare",
                        buttons=[],
                    )
                with gr.Accordion("The pictures of this visit", open=False):
                    self.history = gr.Gallery(
                        label="Pictures so far",
                        columns=4,
                        height="auto",
                        interactive=False,
                        elem_id="history",
                    )
        self.kept = gr.State([])
        self._wire()

    def _choose(self) -> Inputs:
        with gr.Row():
            photo = upload("Photo", "photo")
            paintings = [upload("Painting", "painting")]
        self.shelf = gr.Gallery(
            _captioned(bundled_artworks()), label="Or pick a painting", columns=4, height=190,
            allow_preview=False, interactive=False, elem_id="shelf", buttons=[],
        )  # fmt: skip
        # Handlers are connected to both, even if the museum's package is not installed.
        self.words = gr.Textbox(visible=False)
        self.museum = gr.Gallery(visible=False)
        if met_artworks():
            with gr.Accordion(f"{len(met_artworks())} paintings of the Metropolitan Museum", open=False):
                self.words = gr.Textbox(
                    label="Search by title, artist or date", placeholder="Gogh", elem_id="museum-search"
                )
                self.museum = gr.Gallery(
                    _captioned(met_artworks()[:SHOWN]), label="The museum", columns=4, height=300,
                    allow_preview=False, interactive=False, elem_id="museum", buttons=[],
                )  # fmt: skip
        controls = [
            control(option, longest=self.queue.limits.size) for option in PAINTING_OPTIONS[: len(PLAIN)]
        ]
        self.forecast = gr.HTML(html.forecast(""), elem_id="forecast")
        with gr.Accordion("More paintings", open=False):
            shares = [gr.Slider(0, 4, 1, step=0.1, label="Share of the first painting", elem_id="share-1")]
            for number, name in enumerate(("second", "third"), start=2):
                paintings.append(upload(f"{name.capitalize()} painting", f"painting-{number}"))
                shares.append(
                    gr.Slider(
                        0, 4, 1, step=0.1, label=f"Share of the {name} painting", elem_id=f"share-{number}"
                    )
                )
        with gr.Accordion("Regions", open=False):
            self.editors = region_editors()
        with gr.Accordion("Advanced settings", open=False):
            controls += [
                control(option, longest=self.queue.limits.size) for option in PAINTING_OPTIONS[len(PLAIN) :]
            ]
        return Inputs(
            photo,
            paintings,
            shares,
            controls,
            [self.editors.photo, self.editors.painting],
            self.editors.keep_unpainted,
        )

    def _wire(self) -> None:
        live, inputs = self.live, self.inputs
        pictures = [inputs.photo, inputs.paintings[0]]
        after = (self._compared, [inputs.photo, self.kept], [self.compare, self.history, self.kept])
        painted = live.go.click(self._paint, inputs.all, live.outputs, **FOLLOWING)
        painted.then(*after, **QUIET)
        live.wire(after)
        self.shelf.select(_picked(bundled_artworks()), None, inputs.paintings[0], **ANSWERED)
        self.words.change(_searched, self.words, self.museum, trigger_mode="always_last", **ANSWERED)
        self.museum.select(self._picked_there, self.words, inputs.paintings[0], **ANSWERED)
        self.editors.load.click(
            lambda *paths: [self._background(path, "picture") for path in paths],
            pictures, inputs.strokes, **QUIET,
        )  # fmt: skip
        self.editors.find.click(self._find("regions"), pictures, inputs.strokes, **QUIET)
        self.editors.subject.click(self._find("subject"), pictures, inputs.strokes[:1], **QUIET)
        estimated = [inputs.photo, *inputs.paintings, *inputs.controls]
        changes = [control.change for control in (inputs.photo, *inputs.paintings)]
        changes += [_settled(control) for control in inputs.controls]
        gr.on(
            changes, self._estimate, estimated, self.forecast, trigger_mode="always_last",
            concurrency_limit=4, **QUIET,
        )  # fmt: skip
        strength = inputs.controls[PLAIN.index("strength")]
        size = inputs.controls[PLAIN.index("style_scale")]
        # These sliders, and the shares below, also change a picture that is being painted.
        for slider, name in ((strength, "strength"), (size, "style_scale")):
            _settled(slider)(self._steer(name), slider, None, **ANSWERED)
        for share in inputs.shares:
            share.release(self._steer_shares, [*inputs.paintings, *inputs.shares], None, **ANSWERED)

    def _request(self, values: Sequence[Any], folder: str = "") -> JobRequest:
        """Return the job for the values of the controls.

        Args:
            values: in the order of `Inputs.all`.
            folder: where brush strokes are written.
        Raises:
            ImpastoError: a picture is missing, or a value is not allowed.
        """
        limits, rest = self.queue.limits, list(values)
        photo, paintings = rest[0], rest[1 : 1 + MOST]
        shares, rest = rest[1 + MOST : 1 + 2 * MOST], rest[1 + 2 * MOST :]
        controls, (on_photo, on_painting, stays) = rest[:-3], rest[-3:]
        photo = checked_upload(photo, "photo", limits)
        chosen = [(path, share) for path, share in zip(paintings, shares, strict=True) if path]
        if not chosen:
            checked_upload(None, "painting", limits)  # for its error
        chosen_settings = settings(StylizeSettings, PAINTING_OPTIONS, controls)
        bounded(chosen_settings, limits.size)
        if len(chosen) > 1:
            chosen_settings["blend"] = _blend([share for _, share in chosen])
        drawn = [
            strokes(value, folder, what, limits)
            for value, what in ((on_photo, "strokes-photo"), (on_painting, "strokes-painting"))
        ]
        return JobRequest(
            content=photo,
            styles=tuple(checked_upload(path, "painting", limits) for path, _ in chosen),
            settings=chosen_settings,
            strokes=tuple(drawn) if drawn[0] else (),
            keep_unpainted=bool(stays),
        )

    async def _paint(self, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        page = page_of(request, "paint")
        # The queue copies the strokes, so that their files may go when the job ends.
        with show_errors(), tempfile.TemporaryDirectory(dir=self.queue.folder(page)) as folder:
            async for update in self.live.begin(request, self._request(values, folder)):
                yield update

    async def _estimate(self, *values: Any) -> str:
        photo, paintings, controls = values[0], values[1 : 1 + MOST], values[1 + MOST :]
        if not photo or not any(paintings):
            return html.forecast("")
        # Shares and strokes hardly change time and memory, and strokes would have to be written to files.
        shares = [1.0] * MOST
        try:
            request = self._request([photo, *paintings, *shares, *controls, None, None, False])
            return html.forecast(await asyncio.to_thread(self.queue.estimate, request))
        except ImpastoError as error:
            return html.forecast(str(error))
        except TimeoutError:
            return html.forecast("The estimate follows when the current step ends.")

    def _compared(
        self, photo: str | None, kept: list[Any], request: gr.Request
    ) -> tuple[Any, Any, list[Any]]:
        """Compare photo and painting side by side, and add the painting to those of this visit."""
        view = self.queue.view(page_of(request, "paint"))
        files = [file for file in view.files if file.endswith(".png")]
        if not files or view.state not in ("finished", "stopped") or not photo:
            return gr.skip(), gr.skip(), kept
        # The newest, so that the page of a long visit stays light; the queue removes old jobs' files.
        kept = [file for file in kept if file != files[0] and Path(file).exists()][1 - KEPT :] + files[:1]
        sides = (photo, files[0]) if Path(photo).suffix.lower() in SEEN else None
        return sides, kept, kept

    def _steer(self, name: str) -> Any:
        def steered(value: float, request: gr.Request) -> None:
            self.queue.steer(page_of(request, "paint"), {name: float(value)})

        return steered

    def _steer_shares(self, request: gr.Request, *values: Any) -> None:
        paintings, shares = values[:MOST], values[MOST:]
        chosen = [share for path, share in zip(paintings, shares, strict=True) if path]
        if len(chosen) > 1:
            self.queue.steer(page_of(request, "paint"), {"blend": _blend(chosen)})

    def _background(self, path: str | None, what: str) -> Any:
        with show_errors():
            file = checked_upload(path, what, self.queue.limits)
        return editor_value(file)

    def _find(self, recipe: Literal["regions", "subject"]) -> Any:
        def find(photo: str | None, painting: str | None, request: gr.Request) -> Any:
            with show_errors():
                folder = self.queue.folder(page_of(request, "paint"))
                values = fill_editors(self.queue, recipe, photo, painting, folder)
            return values if recipe == "regions" else values[0]

        return find

    def _picked_there(self, words: str, event: gr.SelectData) -> str:
        return search(met_artworks(), words)[:SHOWN][int(event.index)].path


def _blend(shares: Sequence[float]) -> str:
    return ",".join(f"{share:g}" for share in shares)


def _settled(control: Any) -> Any:
    """Return the event of a control's final value: for a slider, when the visitor lets go of it."""
    return control.release if isinstance(control, gr.Slider) else control.change


def _captioned(paintings: Sequence[Artwork]) -> list[tuple[str, str]]:
    return [(painting.small or painting.path, painting.caption) for painting in paintings]


def _searched(words: str) -> list[tuple[str, str]]:
    return _captioned(search(met_artworks(), words)[:SHOWN])


def _picked(paintings: Sequence[Artwork]) -> Any:
    def picked(event: gr.SelectData) -> str:
        return paintings[int(event.index)].path

    return picked
