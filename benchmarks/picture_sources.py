"""The photographs and paintings of the picture benchmarks, and where their files are."""

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
    """The names of a photograph and of the painting whose style it takes."""

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
"""Where a folder may keep pictures of each kind: directly, or in a subfolder."""

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif")


class Originals(NamedTuple):
    """The files of the photographs and paintings that exist, by name."""

    photos: dict[str, Path]
    paintings: dict[str, Path]

    def of(self, pair: Pair) -> tuple[Path, Path]:
        """The photo and the painting of a pair."""
        return self.photos[pair.photo], self.paintings[pair.painting]

    def have(self, pair: Pair) -> bool:
        """Whether both files of a pair exist."""
        return pair.photo in self.photos and pair.painting in self.paintings


def locate(folder: Path = IMAGES) -> tuple[Originals, list[str]]:
    """The files of PHOTOS and PAINTINGS in a folder, and the names that have no file there."""
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


def first_pictures(folder: Path, count: int) -> dict[str, Path]:
    """At most `count` pictures of a folder, in order of their names, which are given without ending."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    return {path.stem: path for path in files[:count]}


SUBJECTS = {
    "tubingen-starry": ("tubingen", "starry-night"),
    "tubingen-scream": ("tubingen", "the-scream"),
    "tubingen-shipwreck": ("tubingen", "shipwreck"),
    "butterfly-starry": ("butterfly", "starry-night-nnst"),
}
"""The photo and the painting of each published subject. A picture's file is SUBJECT-by-MAKER.jpg."""


class Anchor(NamedTuple):
    """A picture published by others, with the photo and the painting that it was made from."""

    subject: str
    maker: str
    photo: Path
    painting: Path
    published: Path


def anchors(folder: Path) -> list[Anchor]:
    """The published pictures in a folder, sorted by subject.

    Raises:
        SystemExit: there are none, or a photo or painting is missing.
    """
    pictures = []
    for subject, names in SUBJECTS.items():
        published = sorted(folder.glob(f"{subject}-by-*.jpg"))
        photo, painting = (folder / f"{name}.jpg" for name in names)
        for path in (photo, painting):
            if published and not path.is_file():
                raise SystemExit(f"{published[0].name} cannot be compared: {path} is missing.")
        for file in published:
            pictures.append(Anchor(subject, file.stem.partition("-by-")[2], photo, painting, file))
    if not pictures:
        raise SystemExit(
            f"{folder} has no published pictures. Their names are {', '.join(SUBJECTS)}, each followed by "
            "-by-MAKER.jpg."
        )
    return pictures
