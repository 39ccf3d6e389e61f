"""The weights of the networks that judge pictures, fetched when a picture is measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.network.weight_records import INCEPTION, LPIPS_ALEXNET, LPIPS_VGG16
from impasto.network.weights import load_measure_tensors


@dataclass(frozen=True)
class JudgeWeights:
    """The tensors of the networks that judge pictures, by name.

    Attributes:
        alexnet, vgg16: filters `conv….weight`, `conv….bias` and LPIPS's `lpips1.weight` … `lpips5.weight`.
        inception: `conv1` … `conv3`, each with `.weight`, `.bias` and the batch norm's `.mean` and `.var`.
    """

    alexnet: Mapping[str, Tensor]
    vgg16: Mapping[str, Tensor]
    inception: Mapping[str, Tensor]


WEIGHT_DIGESTS = {record.name: record.tensors_sha256 for record in (LPIPS_ALEXNET, LPIPS_VGG16, INCEPTION)}
"""The SHA-256 of each network's tensors, by record, to identify the weights behind a value."""


def load_judges(device: torch.device | None = None) -> JudgeWeights:
    """Load the weights of all networks that judge pictures, from the cache; fetch them if missing.

    Args:
        device: where to put them; default: the CPU.
    Raises:
        WeightsError: they cannot be fetched.
    """
    alexnet, vgg16, inception = (
        {name: tensor.to(device) for name, tensor in load_measure_tensors(record).items()}
        for record in (LPIPS_ALEXNET, LPIPS_VGG16, INCEPTION)
    )
    return JudgeWeights(alexnet, vgg16, inception)
