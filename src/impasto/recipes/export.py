"""Exporting a trained network as ONNX."""

import os
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from impasto.errors import SettingsError, WeightsError
from impasto.fast.models import Model, load
from impasto.fast.onnx_graph import OPSET, OPSETS, import_onnx, onnx_file
from impasto.recipes.inputs import model_file
from impasto.storage.atomic import atomic_write
from impasto.storage.outputs import InputFile, OutputFile, check_outputs

TOLERANCE = 1e-3
"""Largest difference of a pixel (0..1) from PyTorch's result. Above it the file is not written."""

TRIED = (37, 50)
"""Height and width of the picture on which each file is tested. Sides that cannot be halved twice reveal
errors in rounding sizes."""


def export_onnx(
    model: str | os.PathLike[str] | Model,
    output: str | os.PathLike[str],
    *,
    blend: str = "",
    opset: int = OPSET,
) -> Path:
    """Write a model as ONNX, whole or not at all.

    The input is `image` and the output is `painting`, both (batch, 3, height, width), RGB, 0..1, of any size.
    The file's metadata describe both, and how the model was trained. Before anything is written, `onnx`
    checks the graph, and its result on a small picture is compared with PyTorch's.

    Args:
        model: a model, its file, or the name of a bundled model.
        output: a file name that ends in .onnx.
        blend: a share for each of the model's styles, separated by commas; "": equal shares. The shares are
            fixed in the file, so its users cannot choose among the styles.
        opset: version of ONNX's operators, 13 to 21.
    Returns:
        The path of the file.
    Raises:
        SettingsError: onnx or onnxruntime is not installed; another ending; the output is the model itself;
            bad shares or opset.
        WeightsError: the model does not exist or is damaged; the file cannot be written; ONNX gives other
            pixels than PyTorch.
    """
    if not os.fspath(output).lower().endswith(".onnx"):
        raise SettingsError(f"output is {os.fspath(output)!r}; the name of an ONNX file ends in .onnx.")
    if opset not in OPSETS:
        raise SettingsError(f"opset is {opset}; it must be from {OPSETS[0]} to {OPSETS[-1]}.")
    source = "" if isinstance(model, Model) else model_file(model)
    check_outputs([OutputFile("-o", os.fspath(output), "onnx")], [InputFile("the model", source)])
    # Imported first, so that a missing package is reported before any work.
    onnx, onnxruntime = import_onnx()
    model = model if isinstance(model, Model) else load(model)
    shares = model.shares(blend)
    data = onnx_file(onnx, model, shares, opset)
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
    """Stylize a small picture with ONNX and with PyTorch, and compare.

    Raises:
        WeightsError: a pixel differs by more than `TOLERANCE`.
    """
    # A fixed seed, so that the same model always passes or always fails.
    image = torch.rand(1, 3, *TRIED, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.network(image, shares)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (actual,) = session.run(["painting"], {"image": image.numpy()})
    off = float((torch.from_numpy(actual) - expected).abs().max())
    if not off <= TOLERANCE:  # written this way so that NaN is refused as well
        raise WeightsError(
            f"as ONNX {model.name or 'the model'} paints otherwise than in PyTorch: pixels are off by up "
            f"to {off:.2g}; {TOLERANCE:g} is allowed. Nothing was written. Try another onnxruntime."
        )
