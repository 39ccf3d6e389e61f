"""Layers for the brush's editors that are found, not drawn: matched regions, or a photo's subject."""

import warnings
from pathlib import Path

import torch

from impasto.errors import ImpastoWarning
from impasto.image.color_mask import read_color
from impasto.image.picture import Picture
from impasto.image.write import write_picture
from impasto.recipes.mask import mask, matching_masks
from impasto.shapes import Image
from impasto.studio.folders import new_folder
from impasto.studio.messages import BRUSH_COLORS, FoundMasks, JobRequest
from impasto.studio.preview import without_paths


def found_masks(job: JobRequest, weights: str) -> FoundMasks:
    """Find what a job with the recipe "regions" or "subject" asks for.

    Args:
        job: with a folder, where the files go.
        weights: VGG-19's, as in `StylizeSettings`.
    Raises:
        ImpastoError: as `mask` and `matching_masks`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImpastoWarning)
        if job.recipe == "subject":
            # Where the mask is half and more, the first brush; a drawn mask has hard borders as well.
            where = mask(job.content).pixels[:, :1] >= 0.5
            layers = [torch.tensor(read_color(BRUSH_COLORS[0]))[:, None, None] / 255 * where]
        else:
            layers = [part.pixels for part in matching_masks(job.content, job.styles[0], weights=weights)]
    notes = [str(item.message) for item in caught if issubclass(item.category, ImpastoWarning)]
    return FoundMasks(
        tuple(_layer_file(pixels, job.folder) for pixels in layers), without_paths(" ".join(notes), job)
    )


def _layer_file(mask: Image, folder: str) -> str:
    """Return a file of a mask as a layer: its colours, and nothing where it is black."""
    alpha = (mask.amax(1, keepdim=True) > 0).float()
    file = Path(new_folder(folder, "found-")) / "layer.png"
    write_picture(Picture(mask, alpha, "layer"), file)
    return str(file)
