"""Training a network that stylizes in one pass."""

import os
from collections.abc import Iterator, Sequence

from typing_extensions import Unpack

from impasto.fast.models import Model
from impasto.fast.trainer import Trainer, TrainProgress
from impasto.image.read import Source
from impasto.settings.fast import TrainSettings
from impasto.settings.keywords import TrainOptions, with_options


def train(
    style: Source | Sequence[Source],
    images: str | os.PathLike[str],
    settings: TrainSettings | None = None,
    *,
    resume: str | os.PathLike[str] = "",
    **options: Unpack[TrainOptions],
) -> Model:
    """Train a painter for one painting or several, and wait for it.

    Johnson, Alahi and Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer" (arXiv:1603.08155).
    Differs: several styles in one network (Dumoulin et al. 2017, arXiv:1610.07629), and the losses are those
    of this house, in which weights mean the same at any size.

    Args:
        style: paintings, each of which becomes a style of the painter.
        images: a folder of photographs, the more the better; some hundreds do.
        settings: how; default `TrainSettings()`.
        options: fields of `TrainSettings`, such as `steps=2000`; they change the settings.
        resume: what `TrainProgress.save` wrote, to go on from there.
    Raises:
        ImpastoError: see `iter_train`.
    """
    *_, last = iter_train(style, images, settings, resume=resume, **options)
    return last.model()


def iter_train(
    style: Source | Sequence[Source],
    images: str | os.PathLike[str],
    settings: TrainSettings | None = None,
    *,
    resume: str | os.PathLike[str] = "",
    **options: Unpack[TrainOptions],
) -> Iterator[TrainProgress]:
    """The same, step by step. Everything is read and checked before the first.

    Raises:
        SettingsError, ImageError, WeightsError, DeviceError: before anything is computed.
        CheckpointError: `resume` is none, is damaged, or is of another training.
    """
    run = Trainer(
        style, images, with_options(TrainSettings, settings, options, parameters=["settings", "resume"])
    )
    if resume:
        run.restore(resume)
    return run.steps()
