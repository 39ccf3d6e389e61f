"""Impasto: the neural algorithm of artistic style (Gatys, Ecker and Bethge 2015, arXiv:1508.06576).

>>> import impasto
>>> painting = impasto.stylize("photo.jpg", "painting.jpg")  # doctest: +SKIP
>>> painting.save("out.png")  # doctest: +SKIP

Names are imported on first use, so `import impasto` does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from impasto.version import __version__ as __version__

# Each public name stands three times, and a test compares the three: here for type checkers and editors, in
# `_HOMES` for the import on first use, and in `__all__`, which editors read only as a literal.
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
    from impasto.fast.stylizer import FastStylizer
    from impasto.fast.trainer import TrainProgress
    from impasto.image.picture import Picture
    from impasto.image.read import read_picture
    from impasto.image.resize import resize
    from impasto.image.write import write_picture
    from impasto.network.download import report_downloads
    from impasto.network.vgg import VGG19
    from impasto.network.weights import load as load_weights
    from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
    from impasto.objective.custom import TermContext, TermFactory, custom_term
    from impasto.objective.evaluate import Evaluation, evaluator
    from impasto.objective.neighbors import NeighborTerm
    from impasto.objective.objective import Objective
    from impasto.objective.style_loss import StyleTerm
    from impasto.objective.terms import ContentTerm, PixelTerm, Term, gram
    from impasto.recipes.batch import BatchProgress, BatchResult, batch, iter_batch
    from impasto.recipes.contact_sheet import contact_sheet
    from impasto.recipes.export import export_onnx
    from impasto.recipes.fast import stylize_fast
    from impasto.recipes.features import FeatureSheet, features
    from impasto.recipes.figure import FigureProgress, figure, iter_figure
    from impasto.recipes.loss import PaperLoss, paper_loss
    from impasto.recipes.mask import mask, matching_masks
    from impasto.recipes.measure import Measures, PictureMeasures, measure
    from impasto.recipes.pairs import Pair, all_pairs, read_pairs
    from impasto.recipes.reconstruct import (
        iter_reconstruct_content,
        iter_reconstruct_style,
        reconstruct_content,
        reconstruct_style,
    )
    from impasto.recipes.rerun import rerun, resume
    from impasto.recipes.stylize import iter_stylize, plan_stylize, stylize
    from impasto.recipes.train import iter_train, train
    from impasto.results.painting import Painting
    from impasto.run.estimate import Estimate, estimate
    from impasto.run.loop import iter_run
    from impasto.run.plan import RunPlan
    from impasto.run.progress import Progress
    from impasto.settings.fast import FastSettings, TrainSettings
    from impasto.settings.mask import MaskSettings
    from impasto.settings.measure import MeasureSettings
    from impasto.settings.paper import (
        FeaturesSettings,
        FigureSettings,
        LossSettings,
        ReconstructContentSettings,
        ReconstructStyleSettings,
    )
    from impasto.settings.stylize import StylizeSettings
    from impasto.style.cache import Cache

_HOMES = {
    "BatchProgress": "recipes.batch",
    "BatchResult": "recipes.batch",
    "Cache": "style.cache",
    "CheckpointError": "errors",
    "ContentTerm": "objective.terms",
    "DeviceError": "errors",
    "Estimate": "run.estimate",
    "Evaluation": "objective.evaluate",
    "FastSettings": "settings.fast",
    "FastStylizer": "fast.stylizer",
    "FeatureSheet": "recipes.features",
    "FeaturesSettings": "settings.paper",
    "FigureProgress": "recipes.figure",
    "FigureSettings": "settings.paper",
    "ImageError": "errors",
    "ImpastoError": "errors",
    "ImpastoWarning": "errors",
    "LossSettings": "settings.paper",
    "MaskSettings": "settings.mask",
    "MeasureSettings": "settings.measure",
    "Measures": "recipes.measure",
    "Model": "fast.models",
    "NeighborTerm": "objective.neighbors",
    "Objective": "objective.objective",
    "OutOfMemoryError": "errors",
    "Painting": "results.painting",
    "Pair": "recipes.pairs",
    "PaperLoss": "recipes.loss",
    "Picture": "image.picture",
    "PictureMeasures": "recipes.measure",
    "PixelTerm": "objective.terms",
    "Progress": "run.progress",
    "ReconstructContentSettings": "settings.paper",
    "ReconstructStyleSettings": "settings.paper",
    "RunPlan": "run.plan",
    "SettingsError": "errors",
    "StyleTerm": "objective.style_loss",
    "StylizeSettings": "settings.stylize",
    "Term": "objective.terms",
    "TermContext": "objective.custom",
    "TermFactory": "objective.custom",
    "TrainProgress": "fast.trainer",
    "TrainSettings": "settings.fast",
    "VGG19": "network.vgg",
    "WeightsError": "errors",
    "all_pairs": "recipes.pairs",
    "batch": "recipes.batch",
    "contact_sheet": "recipes.contact_sheet",
    "content_terms": "objective.build",
    "custom_term": "objective.custom",
    "estimate": "run.estimate",
    "evaluator": "objective.evaluate",
    "export_onnx": "recipes.export",
    "features": "recipes.features",
    "figure": "recipes.figure",
    "gram": "objective.terms",
    "iter_batch": "recipes.batch",
    "iter_figure": "recipes.figure",
    "iter_reconstruct_content": "recipes.reconstruct",
    "iter_reconstruct_style": "recipes.reconstruct",
    "iter_run": "run.loop",
    "iter_stylize": "recipes.stylize",
    "iter_train": "recipes.train",
    "load_model": "fast.models:load",
    "load_weights": "network.weights:load",
    "mask": "recipes.mask",
    "matching_masks": "recipes.mask",
    "measure": "recipes.measure",
    "paper_loss": "recipes.loss",
    "plan_stylize": "recipes.stylize",
    "prior_terms": "objective.build",
    "read_pairs": "recipes.pairs",
    "read_picture": "image.read",
    "reconstruct_content": "recipes.reconstruct",
    "reconstruct_style": "recipes.reconstruct",
    "report_downloads": "network.download",
    "rerun": "recipes.rerun",
    "resize": "image.resize",
    "resume": "recipes.rerun",
    "style_terms_from_images": "objective.build",
    "stylize": "recipes.stylize",
    "stylize_fast": "recipes.fast",
    "train": "recipes.train",
    "write_picture": "image.write",
}

__all__ = [
    "VGG19",
    "BatchProgress",
    "BatchResult",
    "Cache",
    "CheckpointError",
    "ContentTerm",
    "DeviceError",
    "Estimate",
    "Evaluation",
    "FastSettings",
    "FastStylizer",
    "FeatureSheet",
    "FeaturesSettings",
    "FigureProgress",
    "FigureSettings",
    "ImageError",
    "ImpastoError",
    "ImpastoWarning",
    "LossSettings",
    "MaskSettings",
    "MeasureSettings",
    "Measures",
    "Model",
    "NeighborTerm",
    "Objective",
    "OutOfMemoryError",
    "Painting",
    "Pair",
    "PaperLoss",
    "Picture",
    "PictureMeasures",
    "PixelTerm",
    "Progress",
    "ReconstructContentSettings",
    "ReconstructStyleSettings",
    "RunPlan",
    "SettingsError",
    "StyleTerm",
    "StylizeSettings",
    "Term",
    "TermContext",
    "TermFactory",
    "TrainProgress",
    "TrainSettings",
    "WeightsError",
    "all_pairs",
    "batch",
    "contact_sheet",
    "content_terms",
    "custom_term",
    "estimate",
    "evaluator",
    "export_onnx",
    "features",
    "figure",
    "gram",
    "iter_batch",
    "iter_figure",
    "iter_reconstruct_content",
    "iter_reconstruct_style",
    "iter_run",
    "iter_stylize",
    "iter_train",
    "load_model",
    "load_weights",
    "mask",
    "matching_masks",
    "measure",
    "paper_loss",
    "plan_stylize",
    "prior_terms",
    "read_pairs",
    "read_picture",
    "reconstruct_content",
    "reconstruct_style",
    "report_downloads",
    "rerun",
    "resize",
    "resume",
    "style_terms_from_images",
    "stylize",
    "stylize_fast",
    "train",
    "write_picture",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), and keep it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, _, inner = home.partition(":")
    value = getattr(import_module(f"impasto.{module}"), inner or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every name, imported yet or not, for completion in a shell."""
    return sorted([*globals(), *_HOMES])
