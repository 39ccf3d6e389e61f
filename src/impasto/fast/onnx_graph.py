"""Writing a trained network as an ONNX graph."""

import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from impasto.errors import SettingsError
from impasto.fast.models import Model
from impasto.fast.transformer_net import EPSILON, ConvNorm, TransformerNet
from impasto.results.manifest import to_text
from impasto.version import __version__

OPSET = 17
"""The version of ONNX's operators that is written. onnxruntime has had it since 2022, in browsers too."""
OPSETS = range(13, 22)
"""The versions in which all operators used here are written in the same way."""

INPUT = "float32 (batch, 3, height, width): RGB, encoded as in sRGB files, 0..1; any sides from 16 px on"
OUTPUT = "float32, of the input's shape: RGB, encoded as in sRGB files, 0..1"


def import_onnx() -> tuple[ModuleType, ModuleType]:
    """Import onnx and onnxruntime, which are optional.

    Raises:
        SettingsError: one of them is not installed.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise SettingsError(
            f"ONNX export needs packages that are not here ({error}). Run pip install 'impasto[onnx]'"
        ) from error
    return onnx, onnxruntime


def onnx_file(onnx: ModuleType, model: Model, shares: Tensor, opset: int) -> bytes:
    """Write a network as an ONNX file with the input `image` and the output `painting`.

    Args:
        onnx: the module.
        model: the network and its facts, which become the file's metadata.
        shares: of its styles, (1, S), with sum 1. They are fixed in the file.
        opset: the version of ONNX's operators, one of `OPSETS`.
    Returns:
        the bytes of the file.
    """
    graph = _Graph(onnx)
    return graph.file(_transformer(graph, model.network, shares), _metadata(model, shares), opset)


class _Graph:
    """An ONNX graph under construction. Responses and constants are passed on by their names.

    PyTorch has two exporters: the older is deprecated, the newer takes many seconds and one more package, and
    both differ between versions of PyTorch. A network here consists of a dozen kinds of operators, so they
    are written by hand.
    """

    def __init__(self, onnx: ModuleType) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(
        self, kind: str, *inputs: str, attributes: Mapping[str, Any] | None = None, name: str = ""
    ) -> str:
        """Add an operator, and return the name of its result."""
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name=name, **(attributes or {})))
        return name

    def constant(self, value: Tensor) -> str:
        """Add constant numbers, and return their name."""
        name = f"constant_{len(self.constants)}"
        numbers = value.detach().cpu().contiguous().numpy()
        self.constants.append(self.onnx.numpy_helper.from_array(numbers, name))
        return name

    def file(self, result: str, metadata: Mapping[str, str], opset: int) -> bytes:
        """Return the bytes of a file whose input is `image` and whose output is the given result."""
        helper = self.onnx.helper
        shape = ["batch", 3, "height", "width"]
        image, painting = (
            helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, shape)
            for name in ("image", result)
        )
        operators = [helper.make_opsetid("", opset)]
        made = helper.make_model(
            helper.make_graph(self.nodes, "painter", [image], [painting], self.constants),
            opset_imports=operators,
            # The oldest for these operators: by default onnx writes its newest, which older runtimes refuse.
            ir_version=helper.find_min_ir_version_for(operators),
            producer_name="Impasto",
            producer_version=__version__,
            doc_string=f"A model in one pass. image: {INPUT}. painting: {OUTPUT}.",
        )
        helper.set_model_props(made, dict(metadata))
        data: bytes = made.SerializeToString()
        return data


def _transformer(graph: _Graph, network: TransformerNet, shares: Tensor) -> str:
    """`TransformerNet.forward`, operator by operator."""
    # The same arithmetic in the same order as in PyTorch, so that the two agree to rounding.
    two, unit = (graph.constant(torch.tensor(value)) for value in (2.0, 1.0))
    response = graph.add("Sub", graph.add("Mul", "image", two), unit)
    sizes = []  # before each layer, for the doublings to return to
    for layer in network.down:
        sizes.append(_size(graph, response))
        response = graph.add("Relu", _layer(graph, layer, response, shares))
    pairs = iter(network.middle)
    for first, second in zip(pairs, pairs, strict=True):
        inner = graph.add("Relu", _layer(graph, first, response, shares))
        response = graph.add("Add", response, _layer(graph, second, inner, shares))
    for layer, size in zip(network.up, (sizes[2], sizes[1]), strict=True):
        response = graph.add("Relu", _layer(graph, layer, _doubled(graph, response, size), shares))
    last = network.last
    assert last.bias is not None
    painted = _convolved(graph, response, last.weight, 1, last.bias)
    return graph.add("Sigmoid", painted, name="painting")


def _layer(graph: _Graph, layer: Any, response: str, shares: Tensor) -> str:
    """`ConvNorm.forward`: a convolution, and the scale and shift of the styles in their shares."""
    assert isinstance(layer, ConvNorm)
    # The blend of styles is fixed in the file: scale and shift become constants, (filters,).
    convolved = _convolved(graph, response, layer.weight, layer.stride)
    scale, shift = (graph.constant((shares @ each.detach().cpu())[0]) for each in (layer.scale, layer.shift))
    return graph.add("InstanceNormalization", convolved, scale, shift, attributes={"epsilon": EPSILON})


def _convolved(graph: _Graph, response: str, weight: Tensor, stride: int, bias: Tensor | None = None) -> str:
    """Return a convolution over reflected edges, with ONNX's default attributes written out for WebGPU."""
    side = weight.shape[2]
    pads = graph.constant(torch.tensor([0, 0, side // 2, side // 2] * 2))
    mirrored = graph.add("Pad", response, pads, attributes={"mode": "reflect"})
    numbers = [graph.constant(tensor) for tensor in (weight, bias) if tensor is not None]
    shape = {"kernel_shape": [side] * 2, "strides": [stride] * 2, "dilations": [1, 1], "pads": [0] * 4}
    return graph.add("Conv", mirrored, *numbers, attributes={**shape, "group": 1})


def _size(graph: _Graph, response: str) -> str:
    """Return height and width, which are known only when a picture is given."""
    # The shape is (batch, channels, height, width).
    start, end = (graph.constant(torch.tensor([position])) for position in (2, 4))
    return graph.add("Slice", graph.add("Shape", response), start, end)


def _doubled(graph: _Graph, response: str, size: str) -> str:
    """Double height and width by nearest neighbours, and cut the result to a size, which may be odd."""
    scales = graph.constant(torch.tensor([1.0, 1.0, 2.0, 2.0]))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    doubled = graph.add("Resize", response, "", scales, attributes=nearest)
    start, axes = graph.constant(torch.tensor([0, 0])), graph.constant(torch.tensor([2, 3]))
    return graph.add("Slice", doubled, start, size, axes)


def _metadata(model: Model, shares: Tensor) -> dict[str, str]:
    """Return the file's metadata: input, output, styles, shares and the manifest of the training."""
    return {
        "impasto": __version__,
        "input": f"image: {INPUT}",
        "output": f"painting: {OUTPUT}",
        "styles": json.dumps(model.styles, ensure_ascii=False),
        "shares": json.dumps([round(share, 6) for share in shares[0].tolist()]),
        "manifest": to_text(model.manifest),
    }
