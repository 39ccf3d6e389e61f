"""Paints and measures the pictures of a benchmark, and keeps both on disk, so that a stopped run continues.

A picture's folder is named by the SHA-256 of photo, painting and settings, and its file by that of the code
that painted it. Measures are kept under the SHA-256 of the files compared and of the code that measures.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

import impasto
from impasto.fast.stylizer import cached_stylizer
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.resize import fit, resized_pixels
from impasto.image.write import write_picture
from impasto.metrics.weights import WEIGHT_DIGESTS
from impasto.network.weight_records import cache_folder
from impasto.network.weights import expected_digest
from impasto.recipes.measure import measure
from impasto.recipes.stylize import plan_stylize
from impasto.results.painting import Painting
from impasto.run.estimate import STARTUP, estimate
from impasto.run.loop import complete
from impasto.settings.fast import FastSettings
from impasto.settings.measure import MeasureSettings
from impasto.settings.options import to_json
from impasto.settings.stylize import StylizeSettings
from impasto.storage.atomic import atomic_write
from impasto.style.cache import Cache
from impasto.system.device import compute_for_settings, describe_machine

SOURCE = Path(impasto.__file__).parent

NOT_PAINTING = ("cli", "metrics", "studio", "web")
"""Folders of the package that do not affect pictures."""

MEASURING = ("image", "metrics")
"""Folders of the package that affect measures, together with `recipes/measure.py`."""

Method = Literal["photo", "painting", "adain", "descent"]


@dataclass(frozen=True)
class Recipe:
    """How a picture is made from a pair.

    Attributes:
        method: "photo" is the photo itself, and "painting" the painting cropped to the photo's shape.
        settings: settings of "adain" and "descent"; None for the other two.
        size: long side in pixels.
    """

    method: Method
    settings: StylizeSettings | FastSettings | None
    size: int

    def facts(self) -> dict[str, Any]:
        """Everything that the pixels depend on, except the pair, as JSON values."""
        if self.settings is None:
            return {"method": self.method, "size": self.size}
        compute = compute_for_settings(self.settings)
        # an effort keeps its name when its numbers change
        resolved = getattr(self.settings, "resolved", lambda: self.settings)()
        return {
            "method": self.method,
            "settings": to_json(resolved),
            "device": compute.device.type,
            "precision": str(compute.dtype),
            "weights": _weights(self.settings.weights),
        }


_weights = lru_cache(expected_digest)


def cache_key(photo: str, painting: str, facts: Mapping[str, Any]) -> str:
    """SHA-256 of what a picture is made from.

    Args:
        photo, painting: digests of the files.
        facts: see `Recipe.facts`.
    """
    return digest_of({"photo": photo, "painting": painting, **facts})


def digest_of(values: Any) -> str:
    """SHA-256 of JSON values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@lru_cache
def file_digest(path: Path) -> str:
    """SHA-256 of a file, which is read once."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_digest(files: Iterable[Path], root: Path) -> str:
    """SHA-256 of Python files: their paths relative to a root, and their text."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def painting_code() -> str:
    """The digest of the package's code, without NOT_PAINTING."""
    files = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in NOT_PAINTING]
    return code_digest(files, SOURCE)


def measuring_code() -> str:
    """The digest of the code that measures pictures."""
    files = [path for folder in MEASURING for path in (SOURCE / folder).rglob("*.py")]
    return code_digest([*files, SOURCE / "recipes" / "measure.py"], SOURCE)


def default_folder() -> Path:
    """The cache's default folder, beside that of the weights."""
    weights = cache_folder()
    return weights.with_name(f"{weights.name}-benchmarks")


class PictureCache:
    """Pictures and measures on disk.

    Args:
        folder: the cache's folder, created if it does not exist.
        any_code: also use pictures that other versions of the code painted, the newest first.
    """

    def __init__(self, folder: Path, *, any_code: bool = False) -> None:
        self.folder, self.any_code = folder, any_code
        self.code, self._measuring = painting_code()[:16], measuring_code()
        self._painting_cache = Cache()

    def find(self, recipe: Recipe, photo: Path, painting: Path) -> Path | None:
        """The picture, or None if it has not been painted."""
        exact = self.path(recipe, photo, painting)
        if exact.is_file() or not self.any_code:
            return exact if exact.is_file() else None
        others = [path for path in exact.parent.glob("*.png") if not path.name.startswith(".")]
        return max(others, key=lambda path: path.stat().st_mtime, default=None)

    def paint(self, recipe: Recipe, photo: Path, painting: Path) -> Path:
        """Paint the picture and keep it, with a JSON file of its facts and the seconds it took."""
        path = self.path(recipe, photo, painting)
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        made = self._make(recipe, photo, painting)
        facts = {
            "photo": photo.name,
            "painting": painting.name,
            "seconds": round(time.perf_counter() - began, 3),
            "machine": describe_machine(),
            **recipe.facts(),
        }
        _write(path.with_suffix(".json"), facts)  # before the picture, which must not exist without it
        if isinstance(made, Painting):
            made.save(path)
        else:
            write_picture(made, path)
        return path

    def measure(self, files: Sequence[Path], photo: Path, painting: Path) -> list[dict[str, float]]:
        """The measures of pictures of one pair, as docs/measure.md defines them."""
        kept = {file: self._measured_path(file, photo, painting) for file in files}
        missing = [file for file, path in kept.items() if not path.is_file()]
        if missing:
            measures = measure(photo, painting, missing, MeasureSettings())
            for file, measured in zip(missing, measures.pictures, strict=True):
                numbers = {key: value for key, value in asdict(measured).items() if isinstance(value, float)}
                kept[file].parent.mkdir(parents=True, exist_ok=True)
                _write(kept[file], numbers)
        return [json.loads(kept[file].read_text()) for file in files]

    def plan_seconds(self, recipe: Recipe, photo: Path, painting: Path) -> float:
        """Seconds that painting will take, as `impasto plan` predicts, without the start of the process."""
        assert isinstance(recipe.settings, StylizeSettings)
        plan = plan_stylize(photo, painting, recipe.settings, cache=self._painting_cache)
        return max(0.0, estimate(plan, recipe.settings, again=True).seconds - STARTUP)

    def known_seconds(self) -> dict[str, list[float]]:
        """The seconds that pictures took on this machine with this code, by `speed_key`."""
        known: dict[str, list[float]] = {}
        for path in (self.folder / "painted").glob(f"*/{self.code}.json"):
            facts = json.loads(path.read_text())
            if facts.pop("machine") == describe_machine():
                seconds = facts.pop("seconds")
                known.setdefault(speed_key(facts), []).append(seconds)
        return known

    def path(self, recipe: Recipe, photo: Path, painting: Path) -> Path:
        """The file of the picture, whether or not this version of the code has painted it yet."""
        key = cache_key(file_digest(photo), file_digest(painting), recipe.facts())
        return self.folder / "painted" / key / f"{self.code}.png"

    def _measured_path(self, file: Path, photo: Path, painting: Path) -> Path:
        compared = [file_digest(path) for path in (file, photo, painting)]
        key = digest_of([*compared, to_json(MeasureSettings()), WEIGHT_DIGESTS, self._measuring])
        return self.folder / "measured" / f"{key}.json"

    def _make(self, recipe: Recipe, photo: Path, painting: Path) -> Painting | Picture:
        if isinstance(recipe.settings, StylizeSettings):
            return complete(plan_stylize(photo, painting, recipe.settings, cache=self._painting_cache))
        if recipe.settings is not None:
            return cached_stylizer(self._painting_cache, str(painting), recipe.settings).stylize(photo)
        picture = read_picture(photo)
        canvas = fit(picture.height, picture.width, recipe.size)
        if recipe.method == "painting":
            picture = cropped(read_picture(painting), *canvas)
        return Picture(resized_pixels(picture, *canvas, torch.device("cpu")))


def speed_key(facts: Mapping[str, Any]) -> str:
    """A key of pictures that take equally long: the digest of all facts except the pair and the strength."""
    settings = {**facts.get("settings", {}), "strength": None}
    same = {key: value for key, value in facts.items() if key not in ("photo", "painting")}
    return digest_of({**same, "settings": settings})


def cropped(picture: Picture, height: int, width: int) -> Picture:
    """The largest part of a picture, around its middle, with the proportions height : width."""
    rows = min(picture.height, max(1, round(picture.width * height / width)))
    columns = min(picture.width, max(1, round(picture.height * width / height)))
    top, left = (picture.height - rows) // 2, (picture.width - columns) // 2
    return Picture(picture.pixels[:, :, top : top + rows, left : left + columns])


def _write(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(values, indent=1, ensure_ascii=False).encode())
