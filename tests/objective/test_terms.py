"""The objective agrees with the paper: values computed in NumPy, derivatives as published, properties."""

import numpy as np
import pytest
import torch

from impasto.choices import Formula
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.objective.style_loss import StyleTerm
from impasto.objective.terms import ContentTerm, gram, squared_differences, squared_overshoot
from small import plain_features, scene, small_layers, small_network, stripes

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def random_features(seed: int = 0, channels: int = 5, height: int = 4, width: int = 7) -> torch.Tensor:
    """Rectified, in float64: about half of the entries are exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64).relu()


def through_rectification(term: ContentTerm | StyleTerm, raw: torch.Tensor) -> torch.Tensor:
    """∂score/∂(what enters the rectification), by autograd."""
    raw = raw.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(term.score(term.measure(raw.relu())), raw)
    return gradient


def raw_features(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 5, 4, 7, generator=generator, dtype=torch.float64)


def test_content_derivative_is_the_papers_eq_2() -> None:
    """∂L/∂F_ij = (F − P)_ij where F_ij > 0, and 0 where F_ij < 0."""
    raw, target = raw_features(1), random_features(2)
    features = raw.relu()
    expected = torch.where(raw > 0, features - target, 0.0)
    ours = through_rectification(ContentTerm("conv4_2", target, 1.0), raw)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    assert bool((expected == 0).any())
    assert bool((ours[raw < 0] == 0).all())


def test_style_derivative_is_the_papers_eq_6() -> None:
    """∂E/∂F_ij = 1/(N² M²) (Fᵀ(G − A))_ji where F_ij > 0, and 0 where F_ij < 0."""
    raw = raw_features(3)
    style = random_features(4)
    n, m = 5, 28
    flat = raw.relu().reshape(n, m).numpy()
    painted = style.reshape(n, m).numpy()
    inner = (flat.T @ (flat @ flat.T - painted @ painted.T)).T / (n**2 * m**2)
    expected = np.where(raw.reshape(n, m).numpy() > 0, inner, 0.0).reshape(raw.shape)
    ours = through_rectification(StyleTerm("conv1_1", gram(style) / m, m, 1.0), raw)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-10, atol=1e-14)
    assert bool((ours[raw < 0] == 0).all())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_gram_of_ones_and_symmetry(dtype: torch.dtype, tolerance: float) -> None:
    """Symmetric to rounding: a BLAS may sum the two halves in different orders."""
    assert torch.equal(gram(torch.ones(1, 2, 3, 4, dtype=dtype)), torch.full((1, 2, 2), 12.0, dtype=dtype))
    matrix = gram(random_features().to(dtype))
    torch.testing.assert_close(matrix, matrix.transpose(1, 2), rtol=tolerance, atol=0)
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e3 * tolerance


def test_gram_does_not_depend_on_positions() -> None:
    features = random_features()
    order = torch.randperm(28, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(2)[:, :, order].reshape(features.shape)
    torch.testing.assert_close(gram(features), gram(shuffled), rtol=1e-12, atol=1e-12)


def test_totals_add_up_over_positions() -> None:
    """Tiles and several processes rely on this."""
    features, target = random_features(1, width=8), random_features(2, width=8)
    whole_gram, whole_error = gram(features), ContentTerm("x", target, 1.0).measure(features)
    parts = features.split(3, dim=3), target.split(3, dim=3)
    torch.testing.assert_close(sum(gram(part) for part in parts[0]), whole_gram)
    errors = [ContentTerm("x", t, 1.0).measure(f) for f, t in zip(*parts, strict=True)]
    torch.testing.assert_close(sum(errors), whole_error)


def test_half_precision_features_are_summed_in_float32() -> None:
    features = random_features(height=40, width=70).bfloat16()
    exact = gram(features.double())
    assert gram(features).dtype == torch.float32
    torch.testing.assert_close(gram(features).double(), exact, rtol=1e-5, atol=1e-4)


def test_variation_of_a_checkerboard() -> None:
    board = ((torch.arange(6)[:, None] + torch.arange(8)) % 2).float().expand(1, 3, 6, 8)
    assert float(squared_differences(board)) == 3 * (5 * 8 + 6 * 7)
    assert float(squared_differences(torch.full((1, 3, 6, 8), 0.7))) == 0


def test_overshoot_counts_values_outside_0_to_1() -> None:
    image = torch.tensor([-0.5, 0.0, 0.4, 1.0, 1.1, 0.2]).reshape(1, 3, 1, 2)
    assert float(squared_overshoot(image)) == pytest.approx(0.25 + 0.01)


def test_priors_of_weight_zero_are_left_out() -> None:
    assert prior_terms((4, 4), variation=0.0, gamut=0.0) == ()
    assert [term.name for term in prior_terms((4, 4), variation=1.0, gamut=1.0)] == ["variation", "gamut"]


def objective_for(
    content: torch.Tensor, style: torch.Tensor, formula: Formula, *, content_weight: float
) -> Objective:
    """Content on conv4_2 and style on five layers of the small network, in the dtype of `content`."""
    network, canvas = small_network(dtype=content.dtype), (content.shape[2], content.shape[3])
    shares = dict.fromkeys(LAYERS, 0.2)
    return Objective(
        (
            *content_terms(network, content, {"conv4_2": 1.0}, weight=content_weight, formula=formula),
            *style_terms_from_images(
                network, [(style, 1.0)], shares, canvas=canvas, weight=1.0, formula=formula
            ),
        )
    )


def paper_objective(content: torch.Tensor, style: torch.Tensor) -> Objective:
    """In float64, with α = 1e-3 and β = 1."""
    return objective_for(content.double(), style.double(), "paper", content_weight=1e-3)


def balanced_objective(content: torch.Tensor, style: torch.Tensor) -> Objective:
    return objective_for(content, style, "balanced", content_weight=1.0)


def numpy_total(image: np.ndarray, content: np.ndarray, style: np.ndarray) -> float:
    """Eq. 1, 3, 4, 5 and 7 of the paper, with α = 1e-3 and β = 1."""
    features = {k: plain_features(small_layers(), v, [*LAYERS, "conv4_2"]) for k, v in
          (("image", image), ("content", content), ("style", style))}  # fmt: skip
    l_content = 0.5 * ((features["image"]["conv4_2"] - features["content"]["conv4_2"]) ** 2).sum()
    l_style = 0.0
    for name in LAYERS:
        f = features["image"][name].reshape(features["image"][name].shape[0], -1)
        s = features["style"][name].reshape(f.shape[0], -1)
        n, m = f.shape
        l_style += 0.2 * ((f @ f.T - s @ s.T) ** 2).sum() / (4 * n**2 * m**2)
    return 1e-3 * l_content + l_style


def as_numpy(image: torch.Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).double().numpy()


def test_the_papers_total_loss_equals_numpy() -> None:
    content, style, image = scene(35, 41), stripes(35, 41), scene(35, 41, seed=7)
    objective = paper_objective(content, style)
    ours = evaluator(small_network(dtype=torch.float64), objective)(image.double())
    theirs = numpy_total(as_numpy(image), as_numpy(content), as_numpy(style))
    assert float(ours.loss) == pytest.approx(theirs, rel=1e-10)
    assert sum(ours.by_term.values()) == pytest.approx(float(ours.loss), rel=1e-12)


def test_gradient_equals_finite_differences() -> None:
    network = small_network(dtype=torch.float64)
    objective = paper_objective(scene(24, 24), stripes(24, 24))
    objective = Objective((*objective.terms, *prior_terms((24, 24), variation=0.5, gamut=3.0)))
    evaluate = evaluator(network, objective)
    image = 1.4 * scene(24, 24, seed=3).double() - 0.2  # some of it out of range
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    step = 1e-6
    rise = float(evaluate(image + step * direction).loss - evaluate(image - step * direction).loss)
    assert rise / (2 * step) == pytest.approx(float((evaluate(image).gradient * direction).sum()), rel=1e-5)


def test_loss_and_gradient_of_the_target_itself_are_0() -> None:
    image = scene(32, 32).double()
    evaluation = evaluator(small_network(dtype=torch.float64), paper_objective(image, image))(image)
    assert float(evaluation.loss) == pytest.approx(0, abs=1e-20)
    assert float(evaluation.gradient.abs().max()) == pytest.approx(0, abs=1e-12)


def test_balanced_weights_do_not_depend_on_size() -> None:
    """The same picture repeated 2×2 has nearly the same losses; the paper's content is 4 times larger."""
    content, image, style = scene(128, 128), stripes(128, 128).flip(3), stripes(128, 128)
    once = evaluator(small_network(), balanced_objective(content, style))(image).by_term
    tiled = [x.tile(1, 1, 2, 2) for x in (content, style, image)]
    twice = evaluator(small_network(), balanced_objective(*tiled[:2]))(tiled[2]).by_term
    for name, value in once.items():  # not equal: borders are a larger share of the smaller picture
        assert 1 / 1.5 < twice[name] / value < 1.5, name
    paper = [
        evaluator(small_network(dtype=torch.float64), paper_objective(c, s))(i.double()).by_term[
            "content conv4_2"
        ]
        for c, s, i in ((content, style, image), tiled)
    ]
    assert 3 < paper[1] / paper[0] < 5


def test_balanced_terms_are_relative_errors() -> None:
    """An image without features has the loss share · weight in every term, whatever the photo's contrast."""
    network = small_network()
    objective = balanced_objective(scene(32, 32), stripes(32, 32))
    content, *styles = objective.terms
    grey = torch.zeros_like(network.features(scene(32, 32), [content.layer])[content.layer])
    total = content.part(content.layer, slice(0, 4), slice(0, 4)).measure(grey)
    assert content.weight * float(content.score(total)) == pytest.approx(1, rel=1e-5)
    for term in styles:
        assert term.weight * float(term.score(torch.zeros(term.total_shape))) == pytest.approx(0.2, rel=1e-5)


def test_a_style_target_is_a_mean_over_positions() -> None:
    """So a style image repeated 2×2 has the same target, apart from its borders."""
    network = small_network()
    once = style_terms_from_images(
        network, [(stripes(64, 64), 1.0)], {"conv1_1": 1.0}, canvas=(64, 64), weight=1.0, formula="paper"
    )
    twice = style_terms_from_images(
        network,
        [(stripes(64, 64).tile(1, 1, 2, 2), 1.0)],
        {"conv1_1": 1.0},
        canvas=(64, 64),
        weight=1.0,
        formula="paper",
    )
    torch.testing.assert_close(once[0].target, twice[0].target, rtol=0.05, atol=0.05)
