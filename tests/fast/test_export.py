"""An exported ONNX file paints what the model paints in PyTorch, at any size, and describes itself."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import typer
from typer.testing import CliRunner

from impasto.cli.export import export as command
from impasto.errors import SettingsError, WeightsError
from impasto.fast import onnx_graph as module
from impasto.fast.models import Model
from impasto.fast.onnx_graph import OPSETS
from impasto.fast.transformer_net import TransformerNet
from impasto.image.read import read_picture
from impasto.recipes.export import export_onnx
from impasto.version import __version__
from small import scene

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_paint.py"
MANIFEST = {"format": 1, "impasto": __version__, "settings": {"strength": 0.5, "place": "Étretat"}}


@pytest.fixture(scope="module")
def model() -> Model:
    """A model of two styles that differ, as after training."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    network = TransformerNet(width=4, blocks=1, styles=2).requires_grad_(False)
    for name, numbers in network.named_parameters():
        if name.endswith(("scale", "shift", "bias")):
            numbers += 0.3 * torch.randn(numbers.shape, generator=generator)
    return Model(network, ("wave", "Übermut"), MANIFEST, "sea")


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def painted(path: Path, image: torch.Tensor) -> torch.Tensor:
    (output,) = session(path).run(["painting"], {"image": image.numpy()})
    return torch.from_numpy(output)


@pytest.mark.parametrize("size", [(64, 64), (77, 131), (131, 77), (34, 50), (16, 17), (99, 18)])
def test_onnx_equals_torch_at_every_size(model: Model, size: tuple[int, int]) -> None:
    path = export_onnx(model, "net.onnx", blend="1,3")
    image = scene(*size)
    expected = model.network(image, torch.tensor([[0.25, 0.75]]))
    assert expected.std() > 0.05  # more than a flat grey
    assert (painted(path, image) - expected).abs().max() < 1e-5


def test_a_batch_equals_its_pictures_one_by_one(model: Model) -> None:
    path = export_onnx(model, "net.onnx")
    batch = torch.cat([scene(40, 33), scene(40, 33, seed=1).flip(3)])
    singles = torch.cat([painted(path, image[None]) for image in batch])
    assert (painted(path, batch) - singles).abs().max() < 1e-6


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_passes_the_checker_and_paints_the_same(model: Model, opset: int) -> None:
    path = export_onnx(model, "net.onnx", opset=opset)
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    assert [entry.version for entry in graph.opset_import] == [opset]
    expected = model.network(scene(21, 38), torch.tensor([[0.5, 0.5]]))
    assert (painted(path, scene(21, 38)) - expected).abs().max() < 1e-5


def test_input_and_output_have_names_and_any_size(model: Model) -> None:
    network = session(export_onnx(model, "net.onnx"))
    for (tensor,), name in ((network.get_inputs(), "image"), (network.get_outputs(), "painting")):
        assert (tensor.name, tensor.type) == (name, "tensor(float)")
        assert tensor.shape == ["batch", 3, "height", "width"]


def test_a_blend_is_part_of_the_file_and_equal_by_default(model: Model) -> None:
    image = scene(32, 32)
    paths = {
        blend: export_onnx(model, f"net-{blend}.onnx", blend=blend) for blend in ("", "1,0", "0,2", "3,1")
    }
    outputs = {blend: painted(path, image) for blend, path in paths.items()}
    for blend, shares in (("", (0.5, 0.5)), ("1,0", (1, 0)), ("0,2", (0, 1)), ("3,1", (0.75, 0.25))):
        expected = model.network(image, torch.tensor([shares], dtype=torch.float32))
        assert (outputs[blend] - expected).abs().max() < 1e-5
    assert (outputs["1,0"] - outputs["0,2"]).abs().max() > 0.05


def test_the_file_holds_manifest_styles_and_shares(model: Model) -> None:
    metadata = session(export_onnx(model, "net.onnx", blend="1,3")).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["manifest"]) == MANIFEST
    assert json.loads(metadata["styles"]) == ["wave", "Übermut"]
    assert json.loads(metadata["shares"]) == [0.25, 0.75]
    assert metadata["impasto"] == __version__
    assert "RGB" in metadata["input"]
    assert "0..1" in metadata["output"]


def test_a_saved_model_is_exported_from_its_file(model: Model) -> None:
    model.save("sea.safetensors")
    path = export_onnx("sea.safetensors", "net.onnx")
    expected = model.network(scene(40, 30), torch.tensor([[0.5, 0.5]]))
    assert (painted(path, scene(40, 30)) - expected).abs().max() < 0.02  # the file has half precision


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "net.pt"}, r"'net.pt'.*ends in \.onnx"),
        ({"opset": 12}, "opset is 12; it must be from 13 to 21"),
        ({"blend": "1"}, "blend is '1', 1 shares for 2"),
        ({"blend": "fine,coarse"}, "every layer. Give numbers, as in 1,3"),
        ({"blend": "0,0"}, "one share must be above 0"),
    ],
)
def test_bad_options_are_refused(model: Model, options: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        export_onnx(model, **{"output": "net.onnx", **options})
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_how_to_install_it(
    model: Model, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match=rf"{name}.*pip install 'impasto\[onnx\]'"):
        export_onnx(model, "net.onnx")


def test_a_damaged_model_is_refused(model: Model) -> None:
    path = Path("sea.safetensors")
    model.save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="damaged"):
        export_onnx(path, "net.onnx")
    assert not Path("net.onnx").exists()


def test_a_failed_write_leaves_nothing(model: Model) -> None:
    Path("net.onnx").mkdir()
    with pytest.raises(WeightsError, match=r"net\.onnx cannot be written"):
        export_onnx(model, "net.onnx")
    with pytest.raises(WeightsError, match=r"away/net.onnx cannot be written: No such file"):
        export_onnx(model, "away/net.onnx")
    assert [path.name for path in Path().iterdir()] == ["net.onnx"]
    assert not list(Path("net.onnx").iterdir())


def test_a_graph_that_paints_something_else_is_not_written(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EPSILON", 0.1)
    with pytest.raises(WeightsError, match=r"as ONNX sea paints otherwise.*Nothing was written"):
        export_onnx(model, "net.onnx")
    assert not list(Path().iterdir())


def invoke(*arguments: str) -> tuple[int, str]:
    """The exit code and the output as one line."""
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, " ".join(result.output.split())


def test_the_command_writes_beside_the_model_or_to_the_output(model: Model) -> None:
    Path("nets").mkdir()
    model.save("nets/sea.v2.safetensors")
    assert invoke("nets/sea.v2.safetensors") == (0, "Wrote nets/sea.v2.onnx.")
    assert invoke("nets/sea.v2.safetensors", "-o", "a.onnx", "--blend", "0,1")[0] == 0
    assert json.loads(session(Path("a.onnx")).get_modelmeta().custom_metadata_map["shares"]) == [0, 1]
    code, output = invoke("nets/sea.v2.safetensors", "--blend", "1,2,3")
    assert code == 2
    assert "3 shares for 2" in output
    assert invoke("nowhere.safetensors")[0] == 1


def test_the_example_paints_without_torch_and_without_impasto(model: Model, photo: str) -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    names = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in names if "impasto" in ast.unparse(node) or "torch" in ast.unparse(node)]
    export_onnx(model, "net.onnx")
    script = [sys.executable, "-W", "error", str(EXAMPLE), "net.onnx", photo]
    subprocess.run([*script, "out.png"], check=True)
    expected = model.network(read_picture(photo).pixels, torch.tensor([[0.5, 0.5]]))
    actual = read_picture("out.png").pixels
    assert np.abs((actual - expected).numpy()).max() < 0.6 / 255  # rounded to 8 bits
    subprocess.run([*script, "small.png", "24"], check=True)
    assert read_picture("small.png").pixels.shape == (1, 3, 18, 24)
