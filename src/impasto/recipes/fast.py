"""Stylizing a photo in one pass."""

from collections.abc import Sequence

from typing_extensions import Unpack

from impasto.fast.stylizer import FastStylizer
from impasto.image.read import Source
from impasto.results.painting import Painting
from impasto.settings.fast import FastSettings
from impasto.settings.keywords import FastOptions
from impasto.style.style_images import StyleSources


def stylize_fast(
    content: Source,
    style: StyleSources = (),
    settings: FastSettings | None = None,
    *,
    regions: Sequence[Source] = (),
    **options: Unpack[FastOptions],
) -> Painting:
    """Repaint `content` in the style of `style` in one pass.

    Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization"
    (arXiv:1703.06868). With `FastSettings.model`, a model trained after Johnson et al. 2016
    (arXiv:1603.08155).

    Args:
        content, regions: as in `stylize`.
        style: as in `stylize`; leave it out if the settings name a model.
        settings, options: as in `FastStylizer`.
    Raises:
        ImpastoError: see `FastStylizer`.
    """
    return FastStylizer(style, settings, **options).stylize(content, regions=regions)
