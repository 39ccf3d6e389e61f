"""Photos to train on, from any folder, as random crops that depend on the seed and their number alone."""

import hashlib
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from impasto.errors import ImageError
from impasto.image.folders import is_picture
from impasto.image.read import read_picture
from impasto.image.resize import resize
from impasto.shapes import Image

CACHE_BYTES = 1 << 30
"""The most memory for decoded photos, in bytes."""

MARGIN = 1.25
"""The short side of a photo in memory relative to the crops' side. It leaves a choice of crops."""


class TrainingPhotos:
    """The photos of a folder and of the folders in it, as random square crops.

    The crop with a number is always the same, so a run can continue in the middle, and several processes can
    share it. A file that turns out to be broken is replaced by the next and counted.

    Args:
        folder: the folder.
        size: the side of the crops, in pixels.
        seed: for the order, the places and the mirroring.
        held: the number of photos to hold out for evaluation, but at most a tenth of all.
    Raises:
        ImageError: the folder does not exist or has no pictures.
    """

    def __init__(self, folder: str | os.PathLike[str], size: int, *, seed: int = 0, held: int = 4) -> None:
        self.folder, self.size, self.seed = Path(folder), size, seed
        files = pictures_in(self.folder)
        order = _order(len(files), seed, -1)
        self.broken: dict[str, str] = {}
        self._kept: dict[Path, UInt8[Tensor, "1 3 _ _"]] = {}
        self._room = CACHE_BYTES
        self._orders: dict[int, list[int]] = {}
        self.held = self._first_good(
            [files[index] for index in order], min(held, max(1, len(files) // 10)) if len(files) > 1 else 0
        )
        self.files = [path for path in files if path not in self.held]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def digest(self) -> str:
        """The SHA-256 of the names of all photos, which determine the order."""
        names = sorted(path.relative_to(self.folder).as_posix() for path in (*self.held, *self.files))
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def crop(self, number: int) -> Image:
        """Return the crop with a number, (1, 3, size, size), 0..1. Each round shows every photo once.

        Raises:
            ImageError: all photos are broken.
        """
        round_, index = divmod(number, len(self.files))
        if round_ not in self._orders:
            # Only the current round's order is kept.
            self._orders = {round_: _order(len(self.files), self.seed, round_)}
        pixels = self._good(self.files, self._orders[round_][index])
        draw = torch.Generator().manual_seed(_mixed(self.seed, number))
        top, left, mirror = torch.rand(3, generator=draw).tolist()
        height, width = pixels.shape[2:]
        top, left = int(top * (height - self.size + 1)), int(left * (width - self.size + 1))
        crop = pixels[:, :, top : top + self.size, left : left + self.size].float() / 255
        return crop.flip(3) if mirror < 0.5 else crop

    def held_out_crops(self) -> list[Image]:
        """Return the centres of the held-out photos, or of the only photo, each (1, 3, size, size), 0..1."""
        crops = []
        for index in range(len(self.held) or 1):
            pixels = self._good(self.held or self.files, index)
            top, left = ((side - self.size) // 2 for side in pixels.shape[2:])
            crops.append(pixels[:, :, top : top + self.size, left : left + self.size].float() / 255)
        return crops

    def _good(self, files: Sequence[Path], index: int) -> UInt8[Tensor, "1 3 _ _"]:
        """Return the photo with an index, or the next that is not broken."""
        for step in range(len(files)):
            path = files[(index + step) % len(files)]
            pixels = self._read(path)
            if pixels is not None:
                return pixels
        raise ImageError(
            f"all {len(files)} pictures in '{self.folder}' are broken; the last: {self.broken[str(path)]}"
        )

    def _first_good(self, files: Sequence[Path], count: int) -> list[Path]:
        """Return the first `count` files that can be read."""
        good = (path for path in files if self._read(path) is not None)
        return list(islice(good, count))

    def _read(self, path: Path) -> UInt8[Tensor, "1 3 _ _"] | None:
        """Read a photo and shrink it; keep it in memory while there is room. None, and noted, if broken."""
        if path in self._kept or str(path) in self.broken:
            return self._kept.get(path)
        try:
            pixels = read_picture(path, role="photograph").pixels
        except ImageError as error:
            self.broken[str(path)] = str(error)
            return None
        height, width = pixels.shape[2:]
        scale = max(round(self.size * MARGIN), self.size) / min(height, width)
        # At least the crop's size both ways; small photos are enlarged.
        smaller = resize(pixels, max(self.size, round(height * scale)), max(self.size, round(width * scale)))
        levels = (smaller.clamp(0, 1) * 255).round().to(torch.uint8)  # a quarter of float32's memory
        if self._room >= levels.numel():
            self._kept[path], self._room = levels, self._room - levels.numel()
        return levels


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder and in the folders in it, sorted by path, without hidden ones.

    Raises:
        ImageError: the folder does not exist or has no pictures.
    """
    if not folder.is_dir():
        raise ImageError(f"there is no folder '{folder}'. Name one with photographs: --images FOLDER.")
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and is_picture(path)
    )
    if not pictures:
        raise ImageError(f"the folder '{folder}' has no pictures in it, nor have its folders.")
    return pictures


def _order(count: int, seed: int, round_: int) -> list[int]:
    """Return a random order of the photos for each round; round -1 chooses those to hold out."""
    draw = torch.Generator().manual_seed(_mixed(seed, round_ + (1 << 40)))
    return torch.randperm(count, generator=draw).tolist()


def _mixed(seed: int, number: int) -> int:
    """Mix two numbers into a seed, so that neighbouring pairs give unrelated seeds."""
    return (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + 1) % (1 << 63)
