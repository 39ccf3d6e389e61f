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
# `_NAMES` for the import on first use, and in `__all__`, which editors read only as a literal.
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
    from impasto.recipes.rerun import rerun
    from impasto.recipes.resume import resume
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

_NAMES = {
    "errors": "CheckpointError DeviceError ImageError ImpastoError "
    "ImpastoWarning OutOfMemoryError SettingsError WeightsError",
    "fast.models": "Model load_model:load",
    "fast.stylizer": "FastStylizer",
    "fast.trainer": "TrainProgress",
    "image.picture": "Picture",
    "image.read": "read_picture",
    "image.resize": "resize",
    "image.write": "write_picture",
    "network.download": "report_downloads",
    "network.vgg": "VGG19",
    "network.weights": "load_weights:load",
    "objective.build": "content_terms prior_terms style_terms_from_images",
    "objective.custom": "TermContext TermFactory custom_term",
    "objective.evaluate": "Evaluation evaluator",
    "objective.neighbors": "NeighborTerm",
    "objective.objective": "Objective",
    "objective.style_loss": "StyleTerm",
    "objective.terms": "ContentTerm PixelTerm Term gram",
    "recipes.batch": "BatchProgress BatchResult batch iter_batch",
    "recipes.contact_sheet": "contact_sheet",
    "recipes.export": "export_onnx",
    "recipes.fast": "stylize_fast",
    "recipes.features": "FeatureSheet features",
    "recipes.figure": "FigureProgress figure iter_figure",
    "recipes.loss": "PaperLoss paper_loss",
    "recipes.mask": "mask matching_masks",
    "recipes.measure": "Measures PictureMeasures measure",
    "recipes.pairs": "Pair all_pairs read_pairs",
    "recipes.reconstruct": "iter_reconstruct_content iter_reconstruct_style "
    "reconstruct_content reconstruct_style",
    "recipes.rerun": "rerun",
    "recipes.resume": "resume",
    "recipes.stylize": "iter_stylize plan_stylize stylize",
    "recipes.train": "iter_train train",
    "results.painting": "Painting",
    "run.estimate": "Estimate estimate",
    "run.loop": "iter_run",
    "run.plan": "RunPlan",
    "run.progress": "Progress",
    "settings.fast": "FastSettings TrainSettings",
    "settings.mask": "MaskSettings",
    "settings.measure": "MeasureSettings",
    "settings.paper": "FeaturesSettings FigureSettings "
    "LossSettings ReconstructContentSettings ReconstructStyleSettings",
    "settings.stylize": "StylizeSettings",
    "style.cache": "Cache",
}
"""Public names by module; `public:inner` where the module calls it otherwise."""

_HOMES = {
    public: (module, inner or public)
    for module, names in _NAMES.items()
    for public, _, inner in (name.partition(":") for name in names.split())
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
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, inner = _HOMES[name]
    value = getattr(import_module(f"impasto.{module}"), inner)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every name, imported yet or not, for completion in a shell."""
    return sorted([*globals(), *_HOMES])
