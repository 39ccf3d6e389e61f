"""A job's picture, state and losses, as HTML and data for the page."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from impasto.formatting import format_bytes, format_duration
from impasto.studio.messages import JobEstimate, JobStatus

SPEAK = """() => document.querySelectorAll('[id$=-said]').forEach(element => {
    element.setAttribute('role', 'status');
    element.setAttribute('aria-live', 'polite');
})"""
"""Makes screen readers speak the state sentences when they change. Only elements that stay are spoken,
so the role goes to Gradio's element, not to the HTML that is replaced inside it."""

STYLE = """
.impasto-stage { margin: 0; min-height: 12rem; display: flex; align-items: center; justify-content: center;
  background: var(--background-fill-secondary); border-radius: var(--radius-lg); overflow: hidden; }
.impasto-stage img { width: 100%; max-height: 75vh; object-fit: contain; display: block; }
.impasto-stage p { padding: 2rem; color: var(--body-text-color-subdued); text-align: center; }
.impasto-status { display: grid; gap: .3rem; }
.impasto-status progress { width: 100%; height: 1rem; accent-color: var(--color-accent); }
.impasto-status p { margin: 0; }
.impasto-said .said { font-weight: 600; margin: 0; }
.impasto-where { gap: .3rem !important; }
.impasto-said .said[data-state=failed], .impasto-forecast .bad { color: var(--error-text-color, #b91c1c); }
.impasto-forecast { font-size: .95rem; }
.gradio-container { max-width: 1280px !important; margin: auto; }
.gradio-container .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; }
.gradio-container .grid-container > * { min-width: 0; }
.gradio-container .caption-label { max-width: 100%; }
@media (max-width: 640px) { .gradio-container { padding: .5rem !important; } }
"""
"""The page's CSS. Colours come from the theme, so that light and dark follow the visitor's choice."""

NOTHING = "The painting will appear here."


# The data attributes below are for the tests of the page.


def stage(view: JobStatus) -> str:
    """Return the current picture, or a placeholder."""
    if not view.picture:
        return f'<figure class="impasto-stage" data-picture="0"><p>{escape(NOTHING)}</p></figure>'
    data = base64.b64encode(view.picture).decode()
    about = f"The picture so far: {facts(view)}" if not view.is_settled else "The picture."
    return (
        f'<figure class="impasto-stage" data-picture="{view.version}">'
        f'<img src="data:image/jpeg;base64,{data}" alt="{escape(about)}"></figure>'
    )


def status(view: JobStatus) -> str:
    """Return the progress, as a bar and in figures."""
    step = view.step or {}
    share = 1.0 if view.state == "finished" else _share(step)
    loss = "" if "loss" not in step else f' data-loss="{step["loss"]:.6g}"'
    parts = "".join(f' data-{name}="{step[name]:.6g}"' for name in ("content", "style") if name in step)
    return (
        f'<div class="impasto-status" data-state="{view.state}" data-serial="{view.version}"{loss}{parts}>'
        f'<progress max="1" value="{share:.3f}" aria-label="How far the painting is"></progress>'
        f"<p>{escape(facts(view))}</p></div>"
    )


def sentence(view: JobStatus) -> str:
    """Return the state as a sentence, in HTML."""
    return f'<p class="said" data-state="{view.state}">{escape(announcement(view))}</p>'


def announcement(view: JobStatus) -> str:
    """Return the state as a sentence."""
    if view.state == "waiting":
        before = view.position - 1
        return (
            "Waiting: next in line."
            if before == 0
            else f"Waiting: {before} {'job' if before == 1 else 'jobs'} ahead."
        )
    if view.text:
        return view.text
    return {"nothing": "Nothing is being painted.", "working": "Painting."}.get(view.state, "")


def facts(view: JobStatus) -> str:
    """Size, step and remaining time, as text."""
    if not view.step:
        return ""
    step = view.step
    words = f"{step['width']}×{step['height']}, size {step['scale']} of {step['scales']}, "
    words += f"step {step['step']} of {step['steps']}"
    if view.state == "working" and step["eta"] > 0:
        words += f"; about {span(step['eta'])} to go"
    return words + f"; {format_duration(step['seconds'])} so far"


def _share(step: Any) -> float:
    if not step:
        return 0.0
    whole = step["seconds"] + step["eta"]
    return float(step["seconds"] / whole) if whole else 0.0


def curve(view: JobStatus) -> dict[str, Sequence[Any]]:
    """Return the losses so far, as columns of a table with a row for each step and part of the loss."""
    columns: dict[str, list[Any]] = {"seconds": [], "loss": [], "part": []}
    for seconds, _, content, style in view.curve:
        for part, value in (("content", content), ("style", style)):
            if value > 0:  # a reconstruction has only one of them
                columns["seconds"].append(seconds)
                columns["loss"].append(value)
                columns["part"].append(part)
    return dict(columns)


def forecast(needs: "JobEstimate | str") -> str:
    """Return the estimate of a painting, or the reason why it cannot be painted, as HTML."""
    if isinstance(needs, str):
        kind = "bad" if needs else "none"  # "": no estimate yet
        return f'<p class="impasto-forecast"><span class="{kind}" role="alert">{escape(needs)}</span></p>'
    size, memory = f"{needs.width}×{needs.height} pixels", format_bytes(needs.bytes)
    words = (
        f"{size}; about {span(needs.seconds)} and {memory} of memory ({format_bytes(needs.limit)} available)."
    )
    return f'<p class="impasto-forecast" data-seconds="{needs.seconds:.1f}">{escape(words)}</p>'


def span(seconds: float) -> str:
    """Return a duration in rough words; `seconds` may be any number.

    >>> span(42), span(200)
    ('45 seconds', '3 minutes')
    """
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
