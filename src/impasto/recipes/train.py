"""Training a model: a network that stylizes in one pass."""

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
    """Train a model for one or several paintings, and wait for it.

    Johnson, Alahi and Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer" (arXiv:1603.08155).
    Differs: one network may have several styles (Dumoulin et al. 2017, arXiv:1610.07629), and the losses are
    Impasto's, whose weights mean the same at any size.

    Args:
        style: one or several paintings. Each becomes a style of the model.
        images: a folder of photographs. A few hundred suffice; more are better.
        settings: steps, size and so on; if omitted, `TrainSettings()`.
        resume: a file written by `TrainProgress.save`, to continue from.
        options: fields of `TrainSettings`, such as `steps=2000`, which change the settings.
    Returns:
        The trained model.
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
    """Train a model as `train` does, and yield after every step.

    Everything is read and checked before the first step.

    Args:
        style, images, settings, resume, options: as in `train`.
    Raises:
        SettingsError: a bad setting.
        ImageError: a painting or the photographs cannot be read.
        WeightsError: the weights cannot be loaded or fetched.
        DeviceError: the device does not exist.
        CheckpointError: `resume` is no training file, is damaged, or belongs to another training.
    """
    # Not a generator itself, so that errors come at the call and not at the first step.
    run = Trainer(
        style, images, with_options(TrainSettings, settings, options, parameters=["settings", "resume"])
    )
    if resume:
        run.restore(resume)
    return run.steps()
