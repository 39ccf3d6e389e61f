"""Impasto: the neural algorithm of artistic style (Gatys, Ecker and Bethge 2015, arXiv:1508.06576).

>>> import impasto
>>> painting = impasto.stylize("photo.jpg", "painting.jpg")  # doctest: +SKIP
>>> painting.save("out.png")  # doctest: +SKIP

Names are loaded on first use: `import impasto` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from impasto.version import __version__ as __version__

if TYPE_CHECKING:
    from impasto.errors import (
        CheckpointError,
        DeviceError,
        ImageError,
        ImpastoError,
        ImpastoWarning,
        OutOfMemoryError,
        SettingsError,
        WeightsError,
    )
    from impasto.fast.models import Model
    from impasto.fast.models import load as load_model
    from impasto.fast.stylizer import FastPainter
    from impasto.fast.trainer import TrainProgress
    from impasto.image.picture import Picture
    from impasto.image.read import read_picture
    from impasto.image.resize import resize
    from impasto.image.write import write_picture
    from impasto.network.vgg import VGG19
    from impasto.network.weights import load as load_weights
    from impasto.recipes.batch import BatchProgress, batch
    from impasto.recipes.contact_sheet import contact_sheet
    from impasto.recipes.export import export
    from impasto.recipes.fast import fast
    from impasto.recipes.features import Sheet, features
    from impasto.recipes.figure import figure
    from impasto.recipes.loss import PaperLoss, paper_loss
    from impasto.recipes.pairs import Pair, grid, read_list
    from impasto.recipes.reconstruct import reconstruct_content, reconstruct_style
    from impasto.recipes.rerun import resume
    from impasto.recipes.stylize import prepare, stylize, stylize_steps
    from impasto.recipes.train import train, train_steps
    from impasto.results.painting import Painting
    from impasto.run.estimate import Plan, examine
    from impasto.run.loop import finish, run
    from impasto.run.plan import Job
    from impasto.run.progress import Progress
    from impasto.settings.fast import FastSettings, TrainSettings
    from impasto.settings.paper import (
        FeaturesSettings,
        FigureSettings,
        LossSettings,
        ReconstructContentSettings,
        ReconstructStyleSettings,
    )
    from impasto.settings.stylize import StylizeSettings
    from impasto.style.cache import Workshop

_HOMES = {
    "BatchProgress": "recipes.batch",
    "CheckpointError": "errors",
    "DeviceError": "errors",
    "FastPainter": "fast.stylizer",
    "FastSettings": "settings.fast",
    "FeaturesSettings": "settings.paper",
    "FigureSettings": "settings.paper",
    "ImageError": "errors",
    "ImpastoError": "errors",
    "ImpastoWarning": "errors",
    "Job": "run.plan",
    "LossSettings": "settings.paper",
    "Model": "fast.models",
    "OutOfMemoryError": "errors",
    "Painting": "results.painting",
    "Pair": "recipes.pairs",
    "PaperLoss": "recipes.loss",
    "Picture": "image.picture",
    "Plan": "run.estimate",
    "Progress": "run.progress",
    "ReconstructContentSettings": "settings.paper",
    "ReconstructStyleSettings": "settings.paper",
    "SettingsError": "errors",
    "Sheet": "recipes.features",
    "StylizeSettings": "settings.stylize",
    "TrainProgress": "fast.trainer",
    "TrainSettings": "settings.fast",
    "VGG19": "network.vgg",
    "WeightsError": "errors",
    "Workshop": "style.cache",
    "batch": "recipes.batch",
    "contact_sheet": "recipes.contact_sheet",
    "examine": "run.estimate",
    "export": "recipes.export",
    "fast": "recipes.fast",
    "features": "recipes.features",
    "figure": "recipes.figure",
    "finish": "run.loop",
    "grid": "recipes.pairs",
    "load_model": "fast.models:load",
    "load_weights": "network.weights:load",
    "paper_loss": "recipes.loss",
    "prepare": "recipes.stylize",
    "read_list": "recipes.pairs",
    "read_picture": "image.read",
    "reconstruct_content": "recipes.reconstruct",
    "reconstruct_style": "recipes.reconstruct",
    "resize": "image.resize",
    "resume": "recipes.rerun",
    "run": "run.loop",
    "stylize": "recipes.stylize",
    "stylize_steps": "recipes.stylize",
    "train": "recipes.train",
    "train_steps": "recipes.train",
    "write_picture": "image.write",
}

__all__ = [
    "VGG19",
    "BatchProgress",
    "CheckpointError",
    "DeviceError",
    "FastPainter",
    "FastSettings",
    "FeaturesSettings",
    "FigureSettings",
    "ImageError",
    "ImpastoError",
    "ImpastoWarning",
    "Job",
    "LossSettings",
    "Model",
    "OutOfMemoryError",
    "Painting",
    "Pair",
    "PaperLoss",
    "Picture",
    "Plan",
    "Progress",
    "ReconstructContentSettings",
    "ReconstructStyleSettings",
    "SettingsError",
    "Sheet",
    "StylizeSettings",
    "TrainProgress",
    "TrainSettings",
    "WeightsError",
    "Workshop",
    "batch",
    "contact_sheet",
    "examine",
    "export",
    "fast",
    "features",
    "figure",
    "finish",
    "grid",
    "load_model",
    "load_weights",
    "paper_loss",
    "prepare",
    "read_list",
    "read_picture",
    "reconstruct_content",
    "reconstruct_style",
    "resize",
    "resume",
    "run",
    "stylize",
    "stylize_steps",
    "train",
    "train_steps",
    "write_picture",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, _, inner = home.partition(":")
    value = getattr(import_module(f"impasto.{module}"), inner or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
