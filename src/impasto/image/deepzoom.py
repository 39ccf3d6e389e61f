"""Deep-zoom pyramids: a picture in small tiles at every scale, for viewers that load only what they show.

`out.dzi` holds the size of the picture, and `out_files/LEVEL/COLUMN_ROW.jpg` are its tiles. Level 0 is one
pixel, and each level is twice the size of the one before. `out.szi` is the same in one zip file, uncompressed
so that a viewer can fetch single tiles from it. The manifest lies beside the levels as `manifest.json`.
"""

import os
import re
import shutil
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.errors import ImageError, ImpastoWarning
from impasto.image.formats import DZI_NAMESPACE, HEAD, SZI, describe
from impasto.image.header import read_errors, vips_reason
from impasto.image.srgb import to_vips
from impasto.storage.atomic import atomic_write, hidden_folder
from impasto.storage.paths import check_writable, is_protected

TILE = 254
"""Pixels from one tile to the next. With the overlap on both sides a tile has 256, as viewers expect."""
OVERLAP = 1
"""Pixels that a tile repeats of its neighbour on each inner side, so that no seam shows when zoomed in."""

_MANIFEST = "manifest.json"
_LARGEST = 64 * 2**20  # the most bytes that are read of a manifest
# libvips' own list of properties. It contains the time of writing, so no two files would be equal.
_VIPS_LIST = "vips-properties.xml"
_DESKTOP = (".DS_Store", "Thumbs.db", "desktop.ini")  # files that desktops leave in folders
_TILE_NAME = re.compile(r"\d+_\d+\.(jpe?g|png|webp)")
_SZI_LIST = (
    '<?xml version="1.0"?>\n<image xmlns="http://www.pathozoom.com/szi" version="1.0">\n  <properties>\n'
    "{}  </properties>\n</image>\n"
)
_SZI_ENTRY = '    <property>\n      <name>{}</name>\n      <value type="gint">{}</value>\n    </property>\n'


def check_pyramid(name: str) -> None:
    """Refuse a path if its `.dzi` or tiles could not be written, or would replace anything but a pyramid.

    Args:
        name: 'out.dz' or 'out.dzi'.
    Raises:
        ImageError: `check_writable` refuses the `.dzi`; one of the two is a link, so that they would not lie
            side by side; the tiles are read-only; or their folder holds something else than a pyramid.
        OSError: the name is too long.
    """
    index, tiles = _places(name)
    check_writable(str(Path(name).with_suffix(".dzi")))
    for part in (index, tiles):
        if part.is_symlink():
            raise ImageError(
                f"'{name}': '{part.name}' is a link, and a deep-zoom picture is a file and a folder side by "
                "side. Remove the link or choose another name."
            )
    try:
        tiles.lstat()
    except FileNotFoundError:
        return
    stranger = _stranger(tiles)
    if stranger is not None:
        raise ImageError(
            f"'{name}': its tiles would go to '{tiles.name}', where '{stranger}' is, which is no part of a "
            "deep-zoom picture. Choose another name, or move that away."
        )
    if is_protected(tiles):
        raise ImageError(
            f"'{name}': '{tiles.name}' is read-only. Choose another name, or allow writing to it."
        )


def write_pyramid(values: NDArray[np.uint8], name: str, quality: int, manifest: str | None) -> None:
    """Write a pyramid, whole or not at all.

    Everything is made in a hidden folder beside its final place. A `.szi` is one file, and one rename puts it
    there. A `.dzi` and its tiles are two, and no system renames two at once. So the old `.dzi` is moved away
    first, then the old tiles; the new tiles follow, and the new `.dzi` comes last. Viewers open the `.dzi`,
    so in between they find no picture, and never new tiles with an old size. If a rename fails, or Ctrl-C
    comes, the renames are undone. If the process is killed or the power fails in between, there is no picture
    of that name, and the old and the new lie in the hidden folder ('.impasto-…'). If the renames cannot be
    undone, the folder is kept as well, and the message names it. What an earlier process left when it was
    killed at any other moment is removed.

    Args:
        values: (H, W, 3), whose tiles become JPEG, or (H, W, 4), whose tiles become PNG.
        name: '….dz', '….dzi' or '….szi', checked before.
        quality: of JPEG tiles, 1..100.
        manifest: JSON text to store.
    Raises:
        ImageError: the disk is full, libvips fails otherwise, or an old picture could not be put back.
        OSError: a file cannot be written.
    Warns:
        ImpastoWarning: what is left of the old tiles could not be removed.
    """
    single = Path(name).suffix.lower() in SZI.suffixes
    target = Path(os.path.realpath(name)) if single else _places(name)[0]  # a link to a .szi stays a link
    with hidden_folder(target, _holds_old_picture) as work:
        try:
            _make(values, work, quality, manifest)
            if single:
                _zip(work, target, values.shape[1], values.shape[0])
            else:
                _swap(work, target, name)
        except pyvips.Error as error:
            reason = re.search("system error: (.+)", error.detail or "")
            raise ImageError(
                f"cannot write '{name}': {reason[1] if reason else vips_reason(error)}. "
                "Free some space or choose another folder."
            ) from error
        finally:
            _clear(work)


def read_pyramid_manifest(name: str, subject: str) -> str | None:
    """Read the manifest in a pyramid; None if it has none.

    Args:
        name: '….dz' (which means `….dzi`), '….dzi' or '….szi'.
        subject: what to call it in messages.
    Raises:
        ImageError: the file cannot be read, or is not a pyramid.
    """
    if Path(name).suffix.lower() in SZI.suffixes:
        return _zipped_manifest(name, subject)
    index, tiles = _places(name)
    with read_errors(str(index), subject), open(index, "rb") as file:
        head = file.read(HEAD)
    if DZI_NAMESPACE not in head:
        raise ImageError(f"{subject} is no deep-zoom picture: it is {describe(head)}. Give the .dzi of one.")
    kept = tiles / _MANIFEST
    if not kept.exists():
        return None
    with read_errors(str(kept), f"the manifest of {subject}"), open(kept, "rb") as file:
        return file.read(_LARGEST).decode(errors="replace")


def _places(name: str) -> tuple[Path, Path]:
    """Return the paths of the `.dzi` and of the tiles' folder beside it, with links above them followed."""
    path = Path(name)
    folder = Path(os.path.realpath(path.parent))
    return folder / f"{path.stem}.dzi", folder / f"{path.stem}_files"


def _stranger(tiles: Path) -> str | None:
    """Return the first entry of the tiles' folder that no pyramid has, or None."""
    if not tiles.is_dir():
        return tiles.name

    def closed(error: OSError) -> None:
        raise error

    for folder, levels, files in os.walk(tiles, onerror=closed):
        top = Path(folder) == tiles
        odd = [level for level in levels if not (top and level.isdecimal())]
        odd += [
            file
            for file in files
            if file not in _DESKTOP
            and not (file in (_MANIFEST, _VIPS_LIST) if top else _TILE_NAME.fullmatch(file))
        ]
        if odd:
            return os.path.relpath(os.path.join(folder, odd[0]), tiles.parent)
    return None


def _make(values: NDArray[np.uint8], work: Path, quality: int, manifest: str | None) -> None:
    """Write `new.dzi` and `new_files` to the work folder."""
    # The profile costs 480 bytes a tile. Without one, some browsers show a tile in the screen's own colours.
    suffix = (
        f".jpg[Q={quality},optimize_coding,profile=srgb]" if values.shape[2] == 3 else ".png[profile=srgb]"
    )
    options: dict[str, Any] = {"tile_size": TILE, "overlap": OVERLAP, "keep": "none"}
    # As bytes, because a folder's name need not be UTF-8.
    to_vips(values, "srgb", None).dzsave(os.fsencode(work / "new"), suffix=suffix, **options)
    tiles = work / "new_files"
    (tiles / _VIPS_LIST).unlink(missing_ok=True)
    if manifest is not None:
        # UTF-8 cannot hold half a surrogate pair: it becomes its JSON escape.
        (tiles / _MANIFEST).write_bytes(manifest.encode(errors="backslashreplace"))


def _files(folder: Path) -> list[Path]:
    """Return all files in a folder and in those below, sorted, in the same order on every system."""
    return sorted(Path(inside, file) for inside, _, files in os.walk(folder) for file in files)


def _swap(work: Path, index: Path, name: str) -> None:
    """Move the new pair into the place of the old, and the old into the work folder; see `write_pyramid`."""
    tiles = index.with_name(f"{index.stem}_files")
    for path in _files(work):  # all tiles reach the disk before anything points to them
        with open(path, "r+b") as file:
            os.fsync(file.fileno())
    for new, old in ((work / "new.dzi", index), (work / "new_files", tiles)):
        if old.exists():
            new.chmod(old.stat().st_mode & 0o777)
    last = (work / "new.dzi", index)
    moves = [(index, work / "old.dzi"), (tiles, work / "old_files"), (work / "new_files", tiles)]
    try:
        for source, destination in (*moves, last):
            if source.exists():
                os.replace(source, destination)
    except BaseException as error:
        if not last[0].exists():  # Ctrl-C after the last move: the new picture is complete
            raise
        try:
            for source, destination in reversed(moves):
                if destination.exists() and not source.exists():
                    os.replace(destination, source)
        except OSError as worse:
            raise ImageError(
                f"cannot write '{name}', and the older picture of that name could not be put back "
                f"({worse.strerror or worse}). Its parts are in '{work}'; move them back by hand."
            ) from error
        raise


def _holds_old_picture(work: Path) -> bool:
    """Return whether a work folder holds an old picture, or a part of it, that no new one has replaced."""
    unfinished = (work / "new.dzi").exists()
    return unfinished and ((work / "old.dzi").exists() or (work / "old_files").exists())


def _clear(work: Path) -> None:
    """Remove the work folder, unless it holds an old picture."""
    if _holds_old_picture(work):
        return
    shutil.rmtree(work, ignore_errors=True)
    if work.exists():
        warnings.warn(
            f"what is left in '{work}' could not be removed; it is no longer needed.",
            ImpastoWarning,
            stacklevel=4,
        )


def _zip(work: Path, target: Path, width: int, height: int) -> None:
    """Zip the pair in the work folder. Each tile is removed once it is zipped, so the disk holds one copy."""
    stem = os.fsencode(target.stem).decode(errors="replace")  # a zip file's names are UTF-8
    listed = "".join(_SZI_ENTRY.format(*entry) for entry in (("ImageWidth", width), ("ImageHeight", height)))
    with atomic_write(target) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, f"{stem}/scan-properties.xml", _SZI_LIST.format(listed).encode())
        _add(archive, f"{stem}/{stem}.dzi", (work / "new.dzi").read_bytes())
        for path in _files(work / "new_files"):
            inside = path.relative_to(work / "new_files").as_posix()
            _add(archive, f"{stem}/{stem}_files/{inside}", path.read_bytes())
            path.unlink()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add one member. Its bytes depend on neither day nor system, and everyone may read it once unpacked."""
    member = zipfile.ZipInfo(name)  # dated 1980, uncompressed
    member.create_system = 3
    member.external_attr = 0o644 << 16
    archive.writestr(member, data)


def _zipped_manifest(name: str, subject: str) -> str | None:
    """`read_pyramid_manifest` of a `.szi`."""
    with read_errors(name, subject), open(name, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                index = next((inside for inside in archive.namelist() if inside.endswith(".dzi")), None)
                if index is None:
                    raise ImageError(
                        f"{subject} is no deep-zoom picture: it is a zip archive without a .dzi."
                    )
                kept = f"{index.removesuffix('.dzi')}_files/{_MANIFEST}"
                if kept not in archive.namelist():
                    return None
                with archive.open(kept) as member:
                    return member.read(_LARGEST).decode(errors="replace")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ImageError(
                f"{subject} is cut off or damaged (zip: {error}). Copy or export it again."
            ) from error
