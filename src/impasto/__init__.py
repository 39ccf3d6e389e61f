"""Impasto: the neural algorithm of artistic style (Gatys, Ecker and Bethge 2015, arXiv:1508.06576).

>>> import impasto
>>> painting = impasto.stylize("photo.jpg", "painting.jpg")  # doctest: +SKIP
>>> painting.save("out.png")  # doctest: +SKIP

Names are loaded on first use: `import impasto` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

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
    from impasto.image.files import read_picture, write_picture
    from impasto.image.picture import Picture
    from impasto.image.resize import resize
    from impasto.network.models import Model
    from impasto.network.models import load as load_model
    from impasto.network.vgg import VGG19
    from impasto.network.weights import load as load_weights
    from impasto.recipes.batch import BatchProgress, batch
    from impasto.recipes.contact_sheet import contact_sheet
    from impasto.recipes.export import export
    from impasto.recipes.fast import FastPainter, fast
    from impasto.recipes.fast_settings import FastSettings, TrainSettings
    from impasto.recipes.features import Sheet, features
    from impasto.recipes.figures import figure
    from impasto.recipes.job import Job, finish, run
    from impasto.recipes.loss import PaperLoss, paper_loss
    from impasto.recipes.pairs import Pair, grid, read_list
    from impasto.recipes.paper_settings import (
        FeaturesSettings,
        FigureSettings,
        LossSettings,
        ReconstructContentSettings,
        ReconstructStyleSettings,
    )
    from impasto.recipes.planning import Plan, examine
    from impasto.recipes.progress import Painting, Progress
    from impasto.recipes.reconstruct import reconstruct_content, reconstruct_style
    from impasto.recipes.rerun import resume
    from impasto.recipes.settings import StylizeSettings
    from impasto.recipes.stylize import prepare, stylize, stylize_steps
    from impasto.recipes.train import TrainProgress, train, train_steps
    from impasto.recipes.workshop import Workshop

_HOMES = {
    "BatchProgress": "recipes.batch",
    "CheckpointError": "errors",
    "DeviceError": "errors",
    "FastPainter": "recipes.fast",
    "FastSettings": "recipes.fast_settings",
    "FeaturesSettings": "recipes.paper_settings",
    "FigureSettings": "recipes.paper_settings",
    "ImageError": "errors",
    "ImpastoError": "errors",
    "ImpastoWarning": "errors",
    "Job": "recipes.job",
    "LossSettings": "recipes.paper_settings",
    "Model": "network.models",
    "OutOfMemoryError": "errors",
    "Painting": "recipes.progress",
    "Pair": "recipes.pairs",
    "PaperLoss": "recipes.loss",
    "Picture": "image.picture",
    "Plan": "recipes.planning",
    "Progress": "recipes.progress",
    "ReconstructContentSettings": "recipes.paper_settings",
    "ReconstructStyleSettings": "recipes.paper_settings",
    "SettingsError": "errors",
    "Sheet": "recipes.features",
    "StylizeSettings": "recipes.settings",
    "TrainProgress": "recipes.train",
    "TrainSettings": "recipes.fast_settings",
    "VGG19": "network.vgg",
    "WeightsError": "errors",
    "Workshop": "recipes.workshop",
    "batch": "recipes.batch",
    "contact_sheet": "recipes.contact_sheet",
    "examine": "recipes.planning",
    "export": "recipes.export",
    "fast": "recipes.fast",
    "features": "recipes.features",
    "figure": "recipes.figures",
    "finish": "recipes.job",
    "grid": "recipes.pairs",
    "load_model": "network.models:load",
    "load_weights": "network.weights:load",
    "paper_loss": "recipes.loss",
    "prepare": "recipes.stylize",
    "read_list": "recipes.pairs",
    "read_picture": "image.files",
    "reconstruct_content": "recipes.reconstruct",
    "reconstruct_style": "recipes.reconstruct",
    "resize": "image.resize:resize",
    "resume": "recipes.rerun",
    "run": "recipes.job",
    "stylize": "recipes.stylize",
    "stylize_steps": "recipes.stylize",
    "train": "recipes.train",
    "train_steps": "recipes.train",
    "write_picture": "image.files",
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
