"""The judging networks' weights, fetched when a picture is to be measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.network.weight_records import INCEPTION, LPIPS_ALEXNET, LPIPS_VGG16
from impasto.network.weights import load_measure_tensors


@dataclass(frozen=True)
class JudgeWeights:
    """The tensors of the networks that judge, by the names of their records.

    Attributes:
        alexnet, vgg16: filters `conv….weight`, `conv….bias` and LPIPS's `lpips1.weight` … `lpips5.weight`.
        inception: `conv1` … `conv3`, each with `.weight`, `.bias` and the batch norm's `.mean` and `.var`.
    """

    alexnet: Mapping[str, Tensor]
    vgg16: Mapping[str, Tensor]
    inception: Mapping[str, Tensor]


WEIGHT_DIGESTS = {record.name: record.tensors_sha256 for record in (LPIPS_ALEXNET, LPIPS_VGG16, INCEPTION)}
"""SHA-256 of each network's tensors, by record: which weights made a value."""


def load_judges(device: torch.device | None = None) -> JudgeWeights:
    """The weights of all judging networks on a device, from the cache; fetched when they are not there.

    Args:
        device: default: the CPU.
    Raises:
        WeightsError: they cannot be fetched.
    """
    alexnet, vgg16, inception = (
        {name: tensor.to(device) for name, tensor in load_measure_tensors(record).items()}
        for record in (LPIPS_ALEXNET, LPIPS_VGG16, INCEPTION)
    )
    return JudgeWeights(alexnet, vgg16, inception)
