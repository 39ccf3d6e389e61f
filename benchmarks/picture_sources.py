"""Which photographs and paintings the picture benchmarks use, and where they lie."""

from pathlib import Path
from typing import NamedTuple

from common import IMAGES

PHOTOS = {
    "astronaut": "a portrait",
    "cat": "an animal",
    "coffee": "a still life before a flat background",
    "dandelion": "a flower before a flat background",
    "mountain-path": "a landscape",
    "stream": "a landscape of fine detail",
    "sunset": "a sky",
    "temple": "a building",
}
PAINTINGS = {
    "arcimboldo-spring": "Renaissance",
    "auvers-church": "strokes of thick paint",
    "great-wave": "a woodblock print",
    "kandinsky": "abstract, geometric",
    "langlois-bridge": "Post-Impressionist",
    "moulin-de-la-galette": "Impressionist",
}


class Pair(NamedTuple):
    """A photograph and the painting whose style it gets, by name."""

    photo: str
    painting: str

    def __str__(self) -> str:
        return f"{self.photo} × {self.painting}"


ALL_PAIRS = tuple(Pair(photo, painting) for painting in PAINTINGS for photo in PHOTOS)

FRONT_PAIRS = (
    Pair("astronaut", "arcimboldo-spring"),
    Pair("coffee", "arcimboldo-spring"),
    Pair("astronaut", "auvers-church"),
    Pair("stream", "auvers-church"),
    Pair("dandelion", "great-wave"),
    Pair("mountain-path", "great-wave"),
    Pair("cat", "kandinsky"),
    Pair("temple", "kandinsky"),
    Pair("dandelion", "langlois-bridge"),
    Pair("temple", "langlois-bridge"),
    Pair("coffee", "moulin-de-la-galette"),
    Pair("sunset", "moulin-de-la-galette"),
)
"""The pairs that are painted at several strengths: every photo at least once, every painting twice."""

SUBFOLDERS = {"photo": ("", "content"), "painting": ("", "style")}
"""Where a folder of pictures may keep each kind: in itself, or in a subfolder."""

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif")


class Originals(NamedTuple):
    """The files of photographs and paintings, by name."""

    photos: dict[str, Path]
    paintings: dict[str, Path]

    def of(self, pair: Pair) -> tuple[Path, Path]:
        return self.photos[pair.photo], self.paintings[pair.painting]

    def have(self, pair: Pair) -> bool:
        return pair.photo in self.photos and pair.painting in self.paintings


def locate(folder: Path = IMAGES) -> tuple[Originals, list[str]]:
    """The files of PHOTOS and PAINTINGS in a folder, and the names of those that are missing there."""
    photos = {name: _locate(folder, name, "photo") for name in PHOTOS}
    paintings = {name: _locate(folder, name, "painting") for name in PAINTINGS}
    missing = [name for name, path in {**photos, **paintings}.items() if path is None]
    return Originals(
        {name: path for name, path in photos.items() if path},
        {name: path for name, path in paintings.items() if path},
    ), missing


def _locate(folder: Path, name: str, kind: str) -> Path | None:
    for subfolder in SUBFOLDERS[kind]:
        for ending in ENDINGS:
            path = folder / subfolder / f"{name}{ending}"
            if path.is_file():
                return path
    return None


def all_in(folder: Path, most: int) -> dict[str, Path]:
    """The first `most` pictures of a folder by name, each under its name without the ending."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    return {path.stem: path for path in files[:most]}


SUBJECTS = {
    "tubingen-starry": ("tubingen", "starry-night"),
    "tubingen-scream": ("tubingen", "the-scream"),
    "tubingen-shipwreck": ("tubingen", "shipwreck"),
    "butterfly-starry": ("butterfly", "starry-night-nnst"),
}
"""Published pictures by what they show: photo and painting. A picture's file is SUBJECT-by-MAKER.jpg."""


class Anchor(NamedTuple):
    """A picture made by others, and what it was made from."""

    subject: str
    maker: str
    photo: Path
    painting: Path
    published: Path


def anchors(folder: Path) -> list[Anchor]:
    """The published pictures in a folder, those of one subject together.

    Raises:
        SystemExit: there is none, or a photo or painting is missing.
    """
    listed = []
    for subject, names in SUBJECTS.items():
        published = sorted(folder.glob(f"{subject}-by-*.jpg"))
        photo, painting = (folder / f"{name}.jpg" for name in names)
        for path in (photo, painting):
            if published and not path.is_file():
                raise SystemExit(f"{published[0].name} cannot be compared: {path} is missing.")
        for file in published:
            listed.append(Anchor(subject, file.stem.partition("-by-")[2], photo, painting, file))
    if not listed:
        raise SystemExit(
            f"no published pictures in {folder}; their names are {', '.join(SUBJECTS)}-by-….jpg."
        )
    return listed
