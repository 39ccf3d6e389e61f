"""Trained networks as files: in half precision, with a manifest. A few come with Impasto."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from impasto.errors import SettingsError, WeightsError
from impasto.fast.transformer_net import TransformerNet
from impasto.settings.blend import parse_blend
from impasto.storage.tensor_file import FileKind, TensorReader, open_tensors, write_tensors

BUNDLED = Path(__file__).parent / "bundled"
"""The folder of the networks that come with Impasto."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with its facts.

    Attributes:
        network: on the CPU, in float32, without gradients.
        styles: the names of its styles, in order.
        manifest: how it was trained: settings, pictures, losses.
        name: what the user called it.
        sha256: the digest of the tensors in its file; "" if it has none.
    """

    network: TransformerNet
    styles: tuple[str, ...]
    manifest: Mapping[str, Any]
    name: str = ""
    sha256: str = ""

    def shares(self, blend: str) -> Float[Tensor, "1 S"]:
        """Parse the shares of the network's styles, and scale them to sum 1.

        Args:
            blend: the shares as typed, such as "1,3"; "" for equal shares.
        Raises:
            SettingsError: the shares cannot be parsed, are not as many as the styles, or name layers.
        """
        shares = parse_blend(blend, len(self.styles))
        if any(share.layers is not None for share in shares):
            raise SettingsError(
                f"blend is {blend!r}; a model's styles count in every layer. Give numbers, as in 1,3."
            )
        total = sum(share.weight for share in shares)
        return torch.tensor([[share.weight / total for share in shares]])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network in half precision, completely or not at all.

        Raises:
            WeightsError: the file cannot be written.
        """
        # 1.9 MB for a bundled model instead of 3.8.
        tensors = {name: tensor.half() for name, tensor in self.network.state_dict().items()}
        facts = {"shape": self.network.shape, "styles": list(self.styles), "manifest": dict(self.manifest)}
        write_tensors(path, _kind(), tensors, facts)


def bundled_models() -> dict[str, Path]:
    """Return the files of the networks that come with Impasto, by name."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.safetensors"))}


def load(model: str | os.PathLike[str]) -> Model:
    """Load a trained network: a bundled one by its name, or one from a file.

    Raises:
        WeightsError: there is no such name or file, or the file is damaged, of another kind or of a later
            version.
    """
    name = os.fspath(model)
    known = bundled_models()
    kind = _kind()
    with open_tensors(known.get(name, Path(name).expanduser()), kind) as file, file.parsing(RuntimeError):
        network = TransformerNet(**file.facts["shape"])
        network.load_state_dict({key: file.tensor(key).float() for key in file.names})
        styles, manifest = file.facts["styles"], file.facts["manifest"]
        # The digest says only that the file is as it was written, not that Impasto wrote it.
        named = isinstance(styles, list) and all(isinstance(style, str) for style in styles)
        if not named or len(styles) != network.styles or not isinstance(manifest, dict):
            raise ValueError(f"styles {styles} of {network.styles}, and {type(manifest).__name__}")
        digest = file.tensors_sha256()
    if not all(bool(tensor.isfinite().all()) for tensor in network.parameters()):
        raise WeightsError(f"{name} holds values that are infinite or not numbers. {kind.advice}")
    network.requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(network, tuple(styles), manifest, name, digest)


def _kind() -> FileKind:
    """Return the file kind of trained networks; its advice names the bundled ones."""
    bundled = ", ".join(bundled_models()) or "none"
    return FileKind(
        "Impasto painter",
        2,
        TensorReader.tensors_sha256,
        WeightsError,
        f"Name a file that `impasto train` wrote, or one that is shipped: {bundled}.",
    )


def initialize_from(model: Model, network: TransformerNet) -> None:
    """Copy a model's weights to a new network, each of whose styles begins with the mean of the model's.

    Args:
        model: the trained network.
        network: the new network, which is changed; its number of styles may be another.
    Raises:
        SettingsError: the two have different sizes.
    """
    other = model.network
    if (other.width, other.blocks) != (network.width, network.blocks):
        raise SettingsError(
            f"the model {model.name} has width {other.width} and {other.blocks} blocks; {network.width} "
            f"and {network.blocks} are wanted. Use --width {other.width} --blocks {other.blocks}."
        )
    state = other.state_dict()
    for name, tensor in state.items():
        if name.endswith((".scale", ".shift")):
            state[name] = tensor.mean(0, keepdim=True).expand(network.styles, -1)
    network.load_state_dict(state)
