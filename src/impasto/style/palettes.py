"""Mapping the photo's colours to the paintings' palettes, as a whole or region by region."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from impasto.image.oklab import to_oklab
from impasto.image.palette import Palette, PaletteMap, match_palette, with_chroma
from impasto.image.picture import Picture
from impasto.image.resize import fit_within, resized_pixels
from impasto.shapes import Image, Mask
from impasto.style.regions import Regions
from impasto.style.style_images import StyleImages

MEASURED = 512
"""Palettes are measured on pictures with at most this long side, in pixels."""

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class PhotoPalette:
    """Maps a photo's a and b in Oklab to the palettes of the paintings.

    Attributes:
        maps: one for each region, or a single one for the whole photo.
        regions: the regions of the maps; None: the whole photo.
    """

    maps: tuple[PaletteMap, ...]
    regions: Regions | None

    @classmethod
    def of(cls, paintings: StyleImages, photo: Picture, layers: Iterable[str]) -> "PhotoPalette":
        """Measure the photo and its paintings, region by region.

        Several paintings make one palette, to which each contributes by its mean share.

        Args:
            paintings: with their shares and regions.
            photo: the content image.
            layers: the style layers, over which shares are averaged.
        """
        names, regions = list(layers), paintings.regions
        sources = _palettes(photo, regions, None)
        targets = [_palettes(picture, regions, number) for number, picture in enumerate(paintings.pictures)]
        maps = []
        for index, source in enumerate(sources):
            shares = [paintings.neighbor_share(index, number, names) for number in range(len(targets))]
            maps.append(match_palette(source, Palette.mixed([t[index] for t in targets], shares)))
        return cls(tuple(maps), regions)

    def recolor(self, image: Image, photo: Image) -> Image:
        """Give a painted image the photo's mapped colours. It keeps its own lightness.

        Args:
            image: (1, 3, H, W), sRGB-encoded, 0..1.
            photo: the photo at the same size.
        Returns:
            (1, 3, H, W), sRGB-encoded, on the CPU.
        """
        image, chroma = image.cpu(), to_oklab(photo.cpu())[:, 1:]
        if self.regions is None:
            return with_chroma(image, self.maps[0](chroma))
        # Kept areas keep the photo's colours, so that the filter mixes no others into their edges.
        mapped = chroma.clone()
        for painted, map_region in zip(self.regions.painted, self.maps, strict=True):
            share = self.regions.photo.soft(painted, *image.shape[2:])
            mapped += share * (map_region(chroma) - chroma)
        return with_chroma(image, mapped)


def _palettes(picture: Picture, regions: Regions | None, number: int | None) -> list[Palette]:
    """Measure the palette of each region.

    Args:
        picture: the photo or a painting.
        regions: None: the whole picture is one region.
        number: of the painting; None: the picture is the photo.
    Returns:
        A palette for each region. A painting without a mask, or without the area, gives its whole palette.
    """
    # A palette needs no detail, and pictures smaller than this are not enlarged.
    size = fit_within(picture.height, picture.width, MEASURED)
    image = resized_pixels(picture, *size, CPU)
    if regions is None:
        return [Palette.of(image)]
    numbers = range(len(regions.painted))
    areas: list[Mask | None]
    if number is None:
        areas = [regions.photo.soft(regions.painted[region], *size) for region in numbers]
    else:
        areas = [regions.style_area(region, number, *size) for region in numbers]
    whole = Palette.of(image)
    return [whole if area is None else Palette.of(image, area) for area in areas]
