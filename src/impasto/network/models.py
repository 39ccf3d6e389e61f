"""Files of trained painters: half precision, with a manifest, a few of them shipped."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from impasto.errors import SettingsError, WeightsError
from impasto.network import sealed
from impasto.network.painter import Painter

KIND = "Impasto painter"
VERSION = 1
"""Raised when a file could no longer be read by an older Impasto."""

SHIPPED = Path(__file__).parent / "painters"
"""The painters that come with Impasto."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained painter.

    Attributes:
        painter: on the CPU in float32, without gradients.
        styles: what its styles are called, in their order.
        manifest: how it was trained: settings, pictures, losses.
        name: what the user called it.
        sha256: digest of the numbers in the file it is from, or "".
    """

    painter: Painter
    styles: tuple[str, ...]
    manifest: Mapping[str, Any]
    name: str = ""
    sha256: str = ""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it in half precision, whole or not at all.

        Raises:
            WeightsError: it cannot be written there.
        """
        tensors = {name: tensor.half() for name, tensor in self.painter.state_dict().items()}
        said = {"shape": self.painter.shape, "styles": list(self.styles), "manifest": dict(self.manifest)}
        sealed.write(path, tensors, said, kind=KIND, version=VERSION, error=WeightsError)


def shipped() -> dict[str, Path]:
    """The painters that come with Impasto, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.safetensors"))}


def load(model: str | os.PathLike[str]) -> Model:
    """A painter that is shipped, by its name, or one from a file.

    Raises:
        WeightsError: no such file or name; damaged; of another kind or a later version.
    """
    name = os.fspath(model)
    known = shipped()
    way_out = f"Name a file that `impasto train` wrote, or one that is shipped: {', '.join(known) or 'none'}."
    tensors, said, digest = sealed.read(
        known.get(name, Path(name).expanduser()),
        kind=KIND,
        version=VERSION,
        error=WeightsError,
        way_out=way_out,
    )
    try:
        painter = Painter(**said["shape"])
        painter.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{name} is damaged: its parts do not fit ({error}). {way_out}") from error
    if not all(bool(tensor.isfinite().all()) for tensor in painter.parameters()):
        raise WeightsError(f"{name} holds values that are infinite or not numbers. {way_out}")
    painter.requires_grad_(False)
    painter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(painter, tuple(said["styles"]), said["manifest"], name, digest)


def begin_from(model: Model, painter: Painter) -> None:
    """Give a painter another's weights; each of its styles begins with the mean of the other's.

    Raises:
        SettingsError: the other is of another size.
    """
    other = model.painter
    if (other.width, other.blocks) != (painter.width, painter.blocks):
        raise SettingsError(
            f"the painter {model.name} has width {other.width} and {other.blocks} blocks; {painter.width} "
            f"and {painter.blocks} are wanted. Use --width {other.width} --blocks {other.blocks}."
        )
    found = other.state_dict()
    for name, tensor in found.items():
        if name.endswith((".scale", ".shift")):
            found[name] = tensor.mean(0, keepdim=True).expand(painter.styles, -1)
    painter.load_state_dict(found)
