"""Showing a layer as a picture: its filters' responses side by side, or its Gram matrix."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import Unpack

from impasto.errors import SettingsError
from impasto.image.picture import Picture
from impasto.image.quantile import quantile
from impasto.image.read import Source, read_single_picture
from impasto.image.resize import fit, resized_pixels
from impasto.layers import check_size
from impasto.network.vgg import load_vgg19
from impasto.objective.terms import gram
from impasto.settings.keywords import FeaturesOptions, with_options
from impasto.settings.paper import FeaturesSettings
from impasto.shapes import Features, Image
from impasto.system.device import choose_compute

GAP = 2
"""Gap between two responses, in pixels."""

WHITE = 0.995
"""Quantile of a response that is shown white. With the maximum, a few extremes would leave the rest dark."""

LARGEST_CELL, SMALLEST_CELL = 8, 1
"""Largest and smallest side of an entry of a Gram matrix, in pixels. In between, the picture's side is about
512 pixels."""


@dataclass(frozen=True)
class FeatureSheet:
    """A picture of a layer.

    Attributes:
        picture: grey, as RGB.
        layer: name of the layer.
        channels: the channels shown, from left to right, then from top to bottom. For a Gram matrix, its rows
            and columns.
        mean_responses: mean response of each channel shown, in the network's units (see `VGG19`).
    """

    picture: Picture
    layer: str
    channels: tuple[int, ...]
    mean_responses: tuple[float, ...]


def features(
    image: Source, settings: FeaturesSettings | None = None, **options: Unpack[FeaturesOptions]
) -> FeatureSheet:
    """Show the responses of a layer to an image, or their Gram matrix.

    They are F^l and G^l (Eq. 3) of Gatys et al. 2015 (arXiv:1508.06576).

    Args:
        image: a file, a `PIL.Image`, a NumPy array or a tensor.
        settings: the layer, the channels and so on; if omitted, `FeaturesSettings()`.
        options: fields of `FeaturesSettings`, which change the settings.
    Raises:
        SettingsError: an unknown layer, or a channel that the layer does not have.
        ImageError: the image cannot be read, or is too small for the layer.
        WeightsError: the weights cannot be loaded or fetched.
        DeviceError: the device does not exist.
    """
    settings = with_options(FeaturesSettings, settings, options)
    compute = choose_compute(settings.device, "float32")
    picture = read_single_picture(image, "image")
    size = fit(picture.height, picture.width, settings.size)
    check_size(*size, [settings.layer], role="image")
    network, _ = load_vgg19(
        settings.weights,
        pooling=settings.pooling,
        deepest_layer=settings.layer,
        compute=compute,
        fast=False,  # exact sums, because Winograd rounds more
    )
    with torch.no_grad():
        pixels = resized_pixels(picture, *size, compute.device)
        responses = network.features(pixels, [settings.layer])[settings.layer].cpu()
    strengths = responses.mean((0, 2, 3))
    channels = _chosen(strengths, settings)
    shown = responses[:, channels]
    pixels = gram_picture(shown) if settings.gram else feature_grid(shown)
    return FeatureSheet(
        Picture(pixels, name=f"{settings.layer} of {picture.name}"),
        settings.layer,
        tuple(channels),
        tuple(strengths[channels].tolist()),
    )


def _chosen(strengths: Float[Tensor, " N"], settings: FeaturesSettings) -> list[int]:
    """Return the channels that the settings name; otherwise all or some, the strongest first.

    Without names, a Gram matrix has all channels in the network's order.
    """
    count = len(strengths)
    if settings.chosen:
        beyond = [channel for channel in settings.chosen if channel >= count]
        if beyond:
            raise SettingsError(
                f"channel {beyond[0]} was asked of {settings.layer}, which has 0 to {count - 1}. "
                "Name channels in this range."
            )
        return list(settings.chosen)
    if settings.gram:
        return list(range(count))
    # A stable sort, so that equal channels have the same order on every machine.
    order = torch.argsort(strengths, descending=True, stable=True).tolist()
    return order[: settings.most] if settings.most else order


def feature_grid(responses: Features) -> Image:
    """Lay out responses side by side, as a picture that is about as wide as high.

    Each response goes from black (0) to white (its `WHITE` quantile). It is enlarged without smoothing until
    its long side has at least 96 pixels, so that the few positions of a deep layer remain visible as squares.

    Args:
        responses: (1, N, h, w), ≥ 0.
    Returns:
        (1, 3, H, W), grey, 0..1.
    """
    _, count, height, width = responses.shape
    zoom = max(1, math.ceil(96 / max(height, width)))
    # columns · width ≈ rows · height with columns · rows = count.
    columns = max(1, round(math.sqrt(count * height / width)))
    rows = math.ceil(count / columns)
    step_y, step_x = height * zoom + GAP, width * zoom + GAP
    sheet = torch.zeros(rows * step_y - GAP, columns * step_x - GAP)
    for index, response in enumerate(responses[0]):
        top, left = (index // columns) * step_y, (index % columns) * step_x
        response = response.float()
        tile = (response / max(quantile(response, WHITE), 1e-12)).clamp(0, 1)
        tile = tile.repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet.expand(1, 3, -1, -1).contiguous()


def gram_picture(responses: Features) -> Image:
    """Draw the Gram matrix as correlations G_ij / √(G_ii G_jj), from black (0) to white (1).

    Eq. 3 of Gatys et al. 2015 (arXiv:1508.06576).
    Differs: each entry is divided by the diagonal's, because raw entries differ too much to be seen side by
    side. Responses are ≥ 0, so the results are 0..1.

    Args:
        responses: (1, N, h, w), ≥ 0.
    Returns:
        (1, 3, H, W), grey, 0..1, symmetric.
    """
    matrix = gram(responses)[0]
    norms = matrix.diagonal().sqrt().clamp_min(1e-12)
    correlations = (matrix / norms / norms[:, None]).clamp(0, 1)
    cell = min(max(512 // len(norms), SMALLEST_CELL), LARGEST_CELL)
    shown = correlations.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    return shown.expand(1, 3, -1, -1).contiguous()
