"""A custom term has the value and gradient of a built-in one, on the whole image and in pieces."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import impasto
from checkpoints import read_facts
from impasto.errors import CheckpointError, SettingsError
from impasto.image.read import read_picture
from impasto.layers import find_layer
from impasto.network.vgg import VGG19
from impasto.objective import custom, evaluate
from impasto.objective.build import prior_terms, style_terms_from_images
from impasto.objective.custom import TermContext, TermFactory, custom_term
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.objective.terms import gram
from impasto.recipes.rerun import plan_rerun
from impasto.results import manifest as manifests
from impasto.run import checkpoint
from small import scene, small_network, stripes
from tiled import distance

SIZE = (77, 101)


def context(network: VGG19, size: tuple[int, int] = SIZE, **options: int) -> TermContext:
    return TermContext(*size, network, scene(*size).to(network.dtype), **options)


def gram_terms(network: VGG19) -> tuple[Objective, TermFactory]:
    """The built-in style term on conv2_1, and a custom term that computes the same."""
    style = stripes(40, 60).double()
    (term,) = style_terms_from_images(
        network, [(style, 1.0)], {"conv2_1": 1.0}, canvas=SIZE, weight=3.0, formula="paper"
    )
    responses = network.features(style, ["conv2_1"])["conv2_1"]
    positions, channels = responses.shape[2] * responses.shape[3], responses.shape[1]
    target = gram(responses) / positions
    added = custom_term(
        "mine",
        gram,
        layer="conv2_1",
        weight=3.0,
        score=lambda mean: (mean - target).square().sum() / (4 * channels**2),
    )
    return Objective((term,)), added


@pytest.mark.parametrize("tile", [0, 16, 48])
def test_a_custom_gram_term_equals_the_built_in_style_term(tile: int) -> None:
    """Value and gradient to 1e-10 in float64, whole and in tiles. Autograd gives Eq. 4 and 6."""
    network, image = small_network(dtype=torch.float64), scene(*SIZE).double()
    papers, added = gram_terms(network)
    expected = evaluator(network, papers)(image)
    objective = Objective((added.make(context(network, tile=tile)),))
    evaluation = evaluator(network, objective, tile=tile)(image)
    torch.testing.assert_close(evaluation.values, expected.values, rtol=1e-10, atol=0)
    assert distance(evaluation.gradient, expected.gradient) < 1e-10
    assert evaluation.names == ("mine",)


def test_custom_and_built_in_terms_of_one_layer_add_up() -> None:
    network, image = small_network(dtype=torch.float64), scene(*SIZE).double()
    papers, added = gram_terms(network)
    combined = Objective((*papers.terms, added.make(context(network))))
    once, twice = evaluator(network, papers)(image), evaluator(network, combined, tile=48)(image)
    assert float(twice.loss) == pytest.approx(2 * float(once.loss), rel=1e-10)
    assert distance(twice.gradient, 2 * once.gradient) < 1e-10


def test_a_term_of_pixels_has_its_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is w Σ_c (mean_c − aim)², a pixel's gradient 2 w (mean_c − aim) / (H W); in strips as well."""
    network, image = small_network(dtype=torch.float64), scene(*SIZE).double()
    added = custom_term(
        "gold", lambda x: x.sum((0, 2, 3)), score=lambda mean: (mean - 0.8).square().sum(), weight=7.0
    )
    mean = image.mean((0, 2, 3))
    slope = (14.0 * (mean - 0.8) / (SIZE[0] * SIZE[1])).view(1, 3, 1, 1).expand_as(image)
    for strip in (evaluate.STRIP, 5 * SIZE[1]):
        monkeypatch.setattr(evaluate, "STRIP", strip)
        monkeypatch.setattr(custom, "STRIP", strip)
        evaluation = evaluator(network, Objective((added.make(context(network)),)))(image)
        assert float(evaluation.loss) == pytest.approx(7.0 * float((mean - 0.8).square().sum()), rel=1e-12)
        torch.testing.assert_close(evaluation.gradient, slope, rtol=1e-10, atol=1e-15)


def test_a_bfloat16_network_is_measured_in_float32() -> None:
    dtypes = []

    def measure(features: Tensor) -> Tensor:
        dtypes.append(features.dtype)
        return features.sum()

    network = small_network(dtype=torch.bfloat16)
    added = custom_term("mine", measure, layer="conv3_1").make(context(network))
    evaluation = evaluator(network, Objective((added,)))(scene(*SIZE))
    assert set(dtypes) == {torch.float32}
    assert evaluation.gradient.dtype == torch.float32
    assert bool(evaluation.gradient.any())


def differences(image: Tensor) -> Tensor:
    """Squared differences of neighbours. Where an image is cut, the pairs across the cut are missing."""
    return (image[:, :, 1:] - image[:, :, :-1]).square().sum() + (
        image[..., 1:] - image[..., :-1]
    ).square().sum()


def test_a_measure_of_neighbours_works_on_the_whole_image_and_is_refused_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, image = small_network(dtype=torch.float64), scene(*SIZE).double()
    added = custom_term("rough", differences, weight=0.5)
    evaluation = evaluator(network, Objective((added.make(context(network)),)))(image)
    expected = evaluator(network, Objective(prior_terms(SIZE, variation=0.5, gamut=0.0)))(image)
    assert float(evaluation.loss) == pytest.approx(float(expected.loss), rel=1e-12)
    assert distance(evaluation.gradient, expected.gradient) < 1e-12
    on_layer = custom_term("rough", differences, layer="conv1_1")
    on_layer.make(context(network))
    for refused in (
        partial(on_layer.make, context(network, tile=48)),
        partial(on_layer.make, context(network, world_size=2)),
        partial(added.make, context(network, world_size=2)),
    ):
        with pytest.raises(SettingsError, match=r"'rough' does not add up: .* measured in pieces"):
            refused()
    monkeypatch.setattr(custom, "STRIP", 5 * SIZE[1])
    with pytest.raises(SettingsError, match="'rough' does not add up"):
        added.make(context(network))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda x: x.mean(), "'mine' is the same of two copies side by side: an average"),
        (lambda x: x.amax((2, 3)), "'mine' is the same of two copies side by side: an average"),
        (lambda x: x.sum((0, 1, 2)), r"'mine' gives shapes \(3,\) and \(6,\) and \(12,\)"),
        (lambda x: x.sum((0, 2, 3)), r"score of 'mine' has shape \(3,\); it must be one number"),
        (lambda x: x.detach().sum(), "'mine' gives no gradient"),
        (
            lambda x: (x - torch.zeros(1, 3, 48, 64)).sum(),
            r"'mine' fails on random numbers of shape \(1, 3, h, w\), RuntimeError",
        ),
        (lambda x: 3.0, "'mine' fails on"),
    ],
)
def test_an_unusable_measure_is_refused_with_the_reason(
    measure: Callable[[Tensor], Tensor], message: str
) -> None:
    added = custom_term("mine", measure)
    with pytest.raises(SettingsError, match=message):
        added.make(context(small_network()))


def test_name_layer_and_weight_are_checked_when_the_term_is_declared() -> None:
    for name in ("", "content mine", "style", "variation"):
        with pytest.raises(SettingsError, match="cannot be the name of a term"):
            custom_term(name, torch.sum)
    with pytest.raises(SettingsError, match="conv9_1"):
        custom_term("mine", torch.sum, layer="conv9_1")
    with pytest.raises(SettingsError, match="weight of 'mine' is nan"):
        custom_term("mine", torch.sum, weight=float("nan"))


# In a run


def golden(weight: float = 2000.0) -> TermFactory:
    return custom_term(
        "golden",
        lambda image: image.sum((0, 2, 3)),
        score=lambda mean: (mean - torch.tensor([0.8, 0.6, 0.2])).square().sum(),
        weight=weight,
    )


@pytest.fixture
def quick(small_file: str) -> impasto.StylizeSettings:
    return impasto.StylizeSettings(
        size=64, steps=8, finest_steps=5, scales=2, precision="float32", recipe=1, weights=small_file
    )


def test_a_painting_follows_the_extra_terms_and_its_manifest_names_them(
    photo: str, painting: str, quick: impasto.StylizeSettings
) -> None:
    plain = impasto.stylize(photo, painting, quick)
    deep = custom_term("deep", lambda x: x.square().sum(), layer="conv5_2", weight=1e-6)
    golden_painting = impasto.stylize(photo, painting, quick, extra_terms=[golden(), deep])
    gold = torch.tensor([0.8, 0.6, 0.2])
    distances = [
        float((p.picture.pixels.mean((0, 2, 3)) - gold).square().sum()) for p in (plain, golden_painting)
    ]
    assert distances[1] < distances[0] / 4
    result = golden_painting.manifest["result"]["by_term"]
    assert 0 < result["golden"] < 2000.0 * distances[0] / 4
    assert result["deep"] > 0
    assert golden_painting.manifest["extra_terms"] == [
        {"name": "golden", "layers": ["image"], "weight": 2000.0},
        {"name": "deep", "layers": [find_layer("conv5_2").name], "weight": 1e-6},
    ]
    assert "extra_terms" not in plain.manifest
    with pytest.raises(SettingsError, match="2 extra terms are called 'golden'"):
        impasto.plan_stylize(photo, painting, quick, extra_terms=[golden(), golden()])


def test_rerun_and_resume_need_the_same_extra_terms(
    photo: str, painting: str, quick: impasto.StylizeSettings, tmp_path: Path
) -> None:
    plan = impasto.plan_stylize(photo, painting, quick, extra_terms=[golden()])
    steps = list(impasto.iter_run(plan))
    picture, saved = str(tmp_path / "golden.png"), str(tmp_path / "checkpoint")
    steps[-1].painting().save(picture, bits=16)
    checkpoint.save(saved, steps[3].snapshot(), {"manifest": plan.manifest, "output": {}})
    assert read_facts(saved)["manifest"]["extra_terms"] == manifests.read(picture)["extra_terms"]
    for repeated in (
        impasto.rerun(picture, extra_terms=[golden()]),
        impasto.resume(saved, extra_terms=[golden()]),
    ):
        assert torch.equal(repeated.picture.pixels, steps[-1].painting().picture.pixels)
    for path, run in ((picture, impasto.rerun), (saved, impasto.resume)):
        with pytest.raises(
            CheckpointError, match=r"extra terms .* 'golden' on image, weight 2000; given: none"
        ):
            run(path)
        with pytest.raises(CheckpointError, match="given: 'golden' on image, weight 49"):
            run(path, extra_terms=[golden(49.0)])
    plain = str(tmp_path / "plain.png")
    impasto.stylize(photo, painting, quick, steps=2, finest_steps=2).save(plain)
    with pytest.raises(CheckpointError, match=r"extra terms .*: none; given: 'golden'"):
        plan_rerun(plain, extra_terms=[golden()])


def test_a_batch_repaints_a_picture_painted_with_extra_terms(
    photo: str, painting: str, quick: impasto.StylizeSettings, tmp_path: Path
) -> None:
    """Files and settings are the same, but without the term the picture is another."""
    settings = replace(quick, steps=2, finest_steps=2)
    target = tmp_path / "out.png"
    impasto.stylize(photo, painting, settings, extra_terms=[golden()]).save(target)
    before = read_picture(target).pixels
    (result,) = impasto.batch([(photo, painting, "out.png")], tmp_path, settings)
    assert result.state == "painted"
    assert not torch.equal(read_picture(target).pixels, before)


def test_a_batch_with_extra_terms_skips_pictures_painted_with_the_same_terms(
    photo: str, painting: str, quick: impasto.StylizeSettings, tmp_path: Path
) -> None:
    settings = replace(quick, steps=2, finest_steps=2)
    pairs = [(photo, painting, "out.png")]
    states = [
        impasto.batch(pairs, tmp_path, settings, extra_terms=[golden(weight)])[0].state
        for weight in (2000.0, 2000.0, 49.0)
    ]
    assert states == ["painted", "skipped", "painted"]
    single = impasto.stylize(photo, painting, settings, extra_terms=[golden(49.0)])
    single.save(tmp_path / "single.png")
    assert torch.equal(
        read_picture(tmp_path / "out.png").pixels, read_picture(tmp_path / "single.png").pixels
    )
