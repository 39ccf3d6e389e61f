"""Several paintings at once: the target is the weighted mean of their Gram matrices."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from impasto import ReconstructStyleSettings, StylizeSettings, reconstruct_style, stylize
from impasto.cli.main import app
from impasto.errors import SettingsError
from impasto.image.read import read_picture
from impasto.objective.build import style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.results import manifest as manifests
from impasto.style.style_images import read_styles
from small import save, scene, small_network, stripes

LAYERS = dict.fromkeys(("conv1_1", "conv3_1"), 0.5)


@pytest.fixture
def other(tmp_path: Path) -> str:
    return save(scene(56, 64, seed=3), tmp_path / "other.png")


def test_the_target_is_the_shares_times_the_gram_matrices() -> None:
    network, canvas = small_network(dtype=torch.float64), (32, 32)
    a, b = stripes(32, 48).double(), scene(40, 32).double()

    def targets(*styles: tuple[torch.Tensor, float]) -> list[torch.Tensor]:
        terms = style_terms_from_images(network, styles, LAYERS, canvas=canvas, weight=1.0, formula="paper")
        return [term.target for term in terms]

    for blend, first, second in zip(
        targets((a, 0.25), (b, 0.75)), targets((a, 1.0)), targets((b, 1.0)), strict=True
    ):
        torch.testing.assert_close(blend, 0.25 * first + 0.75 * second, rtol=1e-12, atol=0)


def test_a_blend_is_nearer_to_the_style_with_the_larger_share(small_file: str) -> None:
    """As the share of the second style grows, the distance to the first rises and to the second falls."""
    network, canvas = small_network(), (48, 48)
    a, b = stripes(48, 48), scene(48, 48)

    def objective_of(style: torch.Tensor) -> Objective:
        return Objective(
            style_terms_from_images(
                network, [(style, 1.0)], LAYERS, canvas=canvas, weight=1.0, formula="balanced"
            )
        )

    distances = []
    for blend in ("1,0", "2,1", "1,2", "0,1"):
        settings = ReconstructStyleSettings(
            layers=LAYERS, size="48", style_size=48, scales=1, steps=40, blend=blend, weights=small_file,
            precision="float32",
        )  # fmt: skip
        pixels = reconstruct_style([a, b], settings).picture.pixels
        distances.append([float(evaluator(network, objective_of(style))(pixels).loss) for style in (a, b)])
    to_a, to_b = zip(*distances, strict=True)
    assert list(to_a) == sorted(to_a)
    assert list(to_b) == sorted(to_b, reverse=True)


def test_a_share_of_0_and_a_repeated_painting_change_nothing(
    photo: str, painting: str, other: str, small_file: str
) -> None:
    def painted(styles: str | list[str], blend: str = "", steps: int = 3) -> torch.Tensor:
        settings = StylizeSettings(
            size=32, steps=steps, scales=1, blend=blend, weights=small_file, precision="float32"
        )
        return stylize(photo, styles, settings).picture.pixels

    single = painted(painting)
    assert torch.equal(painted([painting, other], "2,0"), single)
    assert torch.equal(painted([painting]), single)
    assert not torch.allclose(painted([painting, other]), single, atol=1e-2)
    # The mean of two equal targets is rounded. After three steps L-BFGS had made it 4e-4 on one machine.
    single = painted(painting, steps=1)
    torch.testing.assert_close(painted([painting, painting], steps=1), single, rtol=0, atol=1e-4)
    assert not torch.allclose(painted([painting, other], steps=1), single, atol=1e-3)


def test_the_command_takes_several_paintings_and_can_be_rerun(
    photo: str, painting: str, other: str, small_file: str
) -> None:
    runner = CliRunner()
    options = ["--weights", small_file, "--size", "32", "--steps", "2", "--scales", "1", "--blend", "1,3"]
    options += ["--precision", "float32"]
    result = runner.invoke(app, ["stylize", photo, painting, other, *options])
    assert result.exit_code == 0, result.output
    name = "photo-painting-other.png"
    inputs = manifests.read(name)["inputs"]
    assert [Path(inputs[role]["path"]).stem for role in ("style", "style-2")] == ["painting", "other"]
    result = runner.invoke(app, ["rerun", name])
    assert result.exit_code == 0, result.output
    rerun = "photo-painting-other-rerun.png"
    assert torch.equal(read_picture(name).pixels, read_picture(rerun).pixels)
    result = runner.invoke(app, ["rerun", name, "--style", other])
    assert result.exit_code == 1
    assert "has 2 style images; 1 were given" in result.stderr
    result = runner.invoke(app, ["rerun", name, "--style", other, "--style", painting])
    assert "has changed" in result.stderr
    Path(other).unlink()
    result = runner.invoke(app, ["rerun", name])
    assert "Say where it is with --style FILE" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ("1", "1 shares for 2 paintings"),
        ("1,2,3", "3 shares for 2 paintings"),
        ("0,0", "one share must be above 0"),
        ("1,-1", "is -1; it must be a number, 0 or more"),
        ("1,much", "is much; it must be a number"),
        ("1,,2", "is ; it must be a number"),
    ],
)
def test_bad_shares_are_refused(blend: str, message: str, painting: str, other: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_styles([painting, other], blend)


def test_the_settings_check_shares() -> None:
    with pytest.raises(SettingsError, match="it must be a number"):
        StylizeSettings(blend="a,b")
    with pytest.raises(SettingsError, match="it must be a number"):
        ReconstructStyleSettings(blend="a,b")
