"""Exporting a trained network as ONNX."""

import os
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from impasto.errors import SettingsError, WeightsError
from impasto.fast.models import Model, load
from impasto.fast.onnx_graph import OPSET, OPSETS, _Graph, _guests, _metadata, _painter, style_shares
from impasto.recipes.inputs import painter_file
from impasto.storage.atomic import atomic_write
from impasto.storage.outputs import InputFile, OutputFile, check_outputs

TOLERANCE = 1e-3
"""How far, of 0..1, a pixel may be from PyTorch's before the file is refused."""
TRIED = (37, 50)
"""Height and width of the picture at which each file is tried; sides that no halving divides."""


def export_onnx(
    model: str | os.PathLike[str] | Model,
    output: str | os.PathLike[str],
    *,
    blend: str = "",
    opset: int = OPSET,
) -> Path:
    """Write a painter as ONNX, whole or not at all.

    The input is `image`, the output `painting`, both (batch, 3, height, width), RGB, 0..1, of any size. The
    file's metadata say so, and what the painter was trained with. Before anything is written the graph is
    checked by `onnx`, and its picture held against PyTorch's.

    Args:
        model: a painter, its file, or the name of one that is shipped.
        output: a name that ends in .onnx.
        blend: a share for each of the painter's styles, with commas between them; "": equally much of each.
            They are part of the file: its user has no choice of style any more.
        opset: the version of ONNX's operators, 13 to 21.
    Returns:
        Where it was written.
    Raises:
        SettingsError: onnx or onnxruntime is not installed, the ending is another, the output is the model,
            or bad shares or opset.
        WeightsError: no such painter, damaged, cannot be written there, or paints otherwise as ONNX.
    """
    if not os.fspath(output).lower().endswith(".onnx"):
        raise SettingsError(f"output is {os.fspath(output)!r}; the name of an ONNX file ends in .onnx.")
    if opset not in OPSETS:
        raise SettingsError(f"opset is {opset}; it must be from {OPSETS[0]} to {OPSETS[-1]}.")
    source = "" if isinstance(model, Model) else painter_file(model)
    check_outputs([OutputFile("-o", os.fspath(output), "onnx")], [InputFile("the model", source)])
    onnx, onnxruntime = _guests()
    model = model if isinstance(model, Model) else load(model)
    shares = style_shares(blend, len(model.styles))
    graph = _Graph(onnx)
    painting = _painter(graph, model.network, shares)
    data = graph.file(painting, _metadata(model, shares), opset)
    onnx.checker.check_model(data, full_check=True)
    _check_picture(onnxruntime, data, model, shares)
    target = Path(output)
    try:
        with atomic_write(Path(os.path.realpath(target))) as file:
            file.write(data)
    except OSError as problem:
        raise WeightsError(f"{target} cannot be written: {problem.strerror or problem}.") from problem
    return target


def _check_picture(onnxruntime: ModuleType, data: bytes, model: Model, shares: Tensor) -> None:
    """Paint one small picture with both; an error if they do not agree."""
    image = torch.rand(1, 3, *TRIED, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.network(image, shares)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (actual,) = session.run(["painting"], {"image": image.numpy()})
    off = float((torch.from_numpy(actual) - expected).abs().max())
    if not off <= TOLERANCE:
        raise WeightsError(
            f"as ONNX {model.name or 'the painter'} paints otherwise than in PyTorch: pixels are off by up "
            f"to {off:.2g}; {TOLERANCE:g} is allowed. Nothing was written. Try another onnxruntime."
        )
