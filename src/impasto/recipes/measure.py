"""Measuring stylized pictures with networks and statistics that did not paint them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from typing_extensions import Unpack

from impasto.errors import ImageError, SettingsError
from impasto.image.picture import Picture
from impasto.image.read import Source, read_single_picture
from impasto.image.resize import fit, fit_within, resized_pixels
from impasto.metrics.histogram import histogram_distance
from impasto.metrics.lpips import lpips_alexnet, lpips_vgg16
from impasto.metrics.neighbors import neighbor_distance
from impasto.metrics.networks import inception_responses, vgg16_responses
from impasto.metrics.self_similarity import self_similarity_distance
from impasto.metrics.sifid import frechet_distance
from impasto.metrics.speckle import crispness, speckle
from impasto.metrics.weights import WEIGHT_DIGESTS, JudgeWeights, load_judges
from impasto.settings.keywords import MeasureOptions, with_options
from impasto.settings.measure import MeasureSettings
from impasto.shapes import Image
from impasto.system.device import choose_compute, use_threads
from impasto.system.memory import memory_errors

PAIR_SIZE = 256
"""Longest side, in pixels, for measures that compare all positions with each other. Their cost grows with the
fourth power of it."""

LEAST_SIDE = 32
"""Shortest side of a picture, in pixels. AlexNet needs 31."""

LEAST_PAIR_SIDE = 12
"""Shortest side at `PAIR_SIZE`, in pixels: three positions of VGG-16's conv3_3, which make a patch."""

_NEIGHBOR_LAYERS = ("conv2_2", "conv3_3")
_SIMILARITY_LAYER = "conv3_1"


@dataclass(frozen=True)
class PictureMeasures:
    """The measures of one picture, as docs/measure.md defines them. For all but `crispness`, less is better.

    Attributes:
        name: the picture's file, or its type if it was in memory.
        width, height: its size in pixels, at which speckle and crispness are measured.
        measured_width, measured_height: the size at which the networks saw it, in pixels.
        lpips_alexnet, lpips_vgg16: distance from the photo, LPIPS 0.1.
        self_similarity: distance from the photo's self-similarity, 0..1.
        neighbors_conv2_2, neighbors_conv3_3: distance between its patches and the painting's, 0..1.
        sifid: Fréchet distance from the painting's responses.
        histogram: distance from the painting's colours, 0..1.
        speckle: specks where the photo is flat, in 1/255.
        crispness: gradient at the photo's contours. Below 0.8, the picture is blurred.
        notes: what was resized, as sentences.
    """

    name: str
    width: int
    height: int
    measured_width: int
    measured_height: int
    lpips_alexnet: float
    lpips_vgg16: float
    self_similarity: float
    neighbors_conv2_2: float
    neighbors_conv3_3: float
    sifid: float
    histogram: float
    speckle: float
    crispness: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Measures:
    """The result of `measure`.

    Attributes:
        photo, painting: names of the pictures that were compared with.
        size: longest side at which the networks saw a picture, in pixels.
        weights: SHA-256 of the tensors of each judging network, by name.
        pictures: the measures of each picture, in order.
    """

    photo: str
    painting: str
    size: int
    weights: dict[str, str]
    pictures: tuple[PictureMeasures, ...]


def measure(
    photo: Source,
    painting: Source,
    pictures: Source | Sequence[Source],
    settings: MeasureSettings | None = None,
    **options: Unpack[MeasureOptions],
) -> Measures:
    """Measure stylized pictures with networks and statistics that no objective of Impasto uses.

    Each picture is measured at its own size, or shrunk to a long side of `settings.size`. The photo is
    resized to the picture's size, and the painting to its long side. See docs/measure.md.

    Args:
        photo, painting: the pictures' sources: files, `PIL.Image`s, arrays or tensors.
        pictures: one or several pictures to measure.
        settings: size, device and threads; if omitted, `MeasureSettings()`.
        options: fields of `MeasureSettings`, which change the settings.
    Raises:
        SettingsError: there are no pictures, or a bad setting.
        ImageError: a picture cannot be read, or is too small or too narrow.
        WeightsError: the networks cannot be fetched.
        DeviceError: the device does not exist, or has too little memory.
    """
    settings = with_options(MeasureSettings, settings, options)
    sources = _several(pictures)
    if not sources:
        raise SettingsError("there is no picture to measure; name at least one after photo and painting.")
    use_threads(settings.threads)
    device = choose_compute(settings.device, "float32").device
    originals = read_single_picture(photo, "photo"), read_single_picture(painting, "painting")
    read = [read_single_picture(source, "picture") for source in sources]
    # Check all sizes before networks are fetched and the first picture is measured.
    for picture in read:
        _sizes(picture, originals[1], settings.size)
    judges = load_judges(device)
    measured = []
    for picture in read:
        with (
            torch.inference_mode(),
            memory_errors(f"measuring {picture.name}", "Measure at a smaller --size."),
        ):
            measured.append(_measured(picture, *originals, judges, settings.size, device))
    names = [original.name for original in originals]
    return Measures(names[0], names[1], settings.size, dict(WEIGHT_DIGESTS), tuple(measured))


def _several(pictures: Source | Sequence[Source]) -> list[Source]:
    """Return one picture or several as a list. An array or a tensor is one picture."""
    if isinstance(pictures, (str, os.PathLike, Picture, np.ndarray, torch.Tensor)):
        return [pictures]
    return list(pictures) if isinstance(pictures, Sequence) else [pictures]


def _sizes(picture: Picture, painting: Picture, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return height and width at which the networks see the picture and the painting.

    Raises:
        ImageError: a picture is too small or too narrow for the networks.
    """
    # Both at one long side: responses to strokes can be compared only if the strokes have the same scale.
    long = min(max(picture.height, picture.width), size)
    sizes = []
    for role, whole in (("picture", picture), ("painting", painting)):
        height, width = fit(whole.height, whole.width, long)
        if min(height, width) < LEAST_SIDE or min(fit_within(height, width, PAIR_SIZE)) < LEAST_PAIR_SIDE:
            raise ImageError(
                f"the {role} {whole.name} ({whole.width}×{whole.height}) would be measured at "
                f"{width}×{height}; each side needs {LEAST_SIDE} pixels, and the long one may be "
                f"{PAIR_SIZE // LEAST_PAIR_SIDE} times the short one. "
                "Take a larger picture or --size, or crop it."
            )
        sizes.append((height, width))
    return sizes[0], sizes[1]


def _measured(
    picture: Picture, photo: Picture, painting: Picture, judges: JudgeWeights, size: int, device: torch.device
) -> PictureMeasures:
    """Compute all measures of one picture."""
    whole = picture.height, picture.width
    canvas, painting_canvas = _sizes(picture, painting, size)
    image = resized_pixels(picture, *canvas, device)
    content = resized_pixels(photo, *canvas, device)
    style = resized_pixels(painting, *painting_canvas, device)

    image_features, content_features, style_features = (
        vgg16_responses(judges.vgg16, _for_pairs(pixels), (*_NEIGHBOR_LAYERS, _SIMILARITY_LAYER))
        for pixels in (image, content, style)
    )
    neighbors = [
        neighbor_distance(image_features[layer], style_features[layer]) for layer in _NEIGHBOR_LAYERS
    ]
    # Speckle and crispness need the full size, because shrinking removes specks.
    cpu = torch.device("cpu")
    full = resized_pixels(picture, *whole, cpu)
    full_photo = resized_pixels(photo, *whole, cpu)
    full_painting = resized_pixels(painting, *fit(painting.height, painting.width, max(whole)), cpu)
    return PictureMeasures(
        name=picture.name,
        width=whole[1],
        height=whole[0],
        measured_width=canvas[1],
        measured_height=canvas[0],
        lpips_alexnet=lpips_alexnet(judges.alexnet, image, content),
        lpips_vgg16=lpips_vgg16(judges.vgg16, image, content),
        self_similarity=self_similarity_distance(
            image_features[_SIMILARITY_LAYER], content_features[_SIMILARITY_LAYER]
        ),
        neighbors_conv2_2=neighbors[0],
        neighbors_conv3_3=neighbors[1],
        sifid=frechet_distance(
            inception_responses(judges.inception, image), inception_responses(judges.inception, style)
        ),
        histogram=histogram_distance(image, style),
        speckle=speckle(full, full_photo),
        crispness=crispness(full, full_photo, full_painting),
        notes=tuple(_notes(picture, photo, canvas)),
    )


def _for_pairs(image: Image) -> Image:
    """Shrink an image to a long side of at most `PAIR_SIZE`."""
    height, width = image.shape[2:]
    canvas = fit_within(height, width, PAIR_SIZE)
    return resized_pixels(Picture(image), *canvas, image.device)


def _notes(picture: Picture, photo: Picture, canvas: tuple[int, int]) -> list[str]:
    """Say what was resized."""
    notes = []
    if (photo.height, photo.width) != (picture.height, picture.width):
        notes.append(
            f"The photo ({photo.width}×{photo.height}) was brought to the size of {picture.name} "
            f"({picture.width}×{picture.height})."
        )
    if canvas != (picture.height, picture.width):
        notes.append(
            f"{picture.name} ({picture.width}×{picture.height}) was measured at {canvas[1]}×{canvas[0]}, "
            "speckle and crispness as it is."
        )
    return notes
