"""The evaluator's loss and gradient, compared with autograd through the network and the terms."""

import pytest
import torch

from impasto.choices import Pooling
from impasto.network.vgg import VGG19
from impasto.objective.build import content_terms, prior_terms, style_terms_from_images
from impasto.objective.evaluate import evaluator, measure
from impasto.objective.objective import Objective
from small import scene, small_network, stripes


def objective(size: tuple[int, int], pooling: Pooling, wrap: bool) -> Objective:
    """Every kind of term: content and style on the same layer, style on a pooling layer, priors."""
    network = small_network(dtype=torch.float64, pooling=pooling)
    content, style = scene(*size, seed=1).double(), stripes(*size).double()
    contents = {"relu3_2": 0.5, "conv2_1": 1.0}
    styles = {"conv1_1": 0.2, "conv2_1": 0.3, "pool2": 0.1, "conv4_1": 0.4}
    return Objective(
        (
            *content_terms(network, content, contents, weight=1.0, formula="balanced"),
            *style_terms_from_images(
                network, [(style, 1.0)], styles, canvas=size, weight=5.0, formula="balanced"
            ),
            *prior_terms(size, variation=0.5, gamut=3.0, circular=wrap),
        )
    )


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", [(48, 32), (37, 51)])
def test_loss_and_gradient_equal_autograd(size: tuple[int, int], pooling: Pooling, wrap: bool) -> None:
    network = small_network(dtype=torch.float64, pooling=pooling)
    network = network.with_padding("circular") if wrap else network
    total = objective(size, pooling, wrap)
    image = (1.2 * scene(*size).double() - 0.1).requires_grad_(True)
    values = total.score(measure(network, total, image))
    (gradient,) = torch.autograd.grad(values.sum(), image)
    evaluation = evaluator(network, total)(image.detach())
    torch.testing.assert_close(evaluation.values, values.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(evaluation.gradient, gradient, rtol=1e-9, atol=1e-14)
    assert not evaluation.gradient.requires_grad


def test_priors_alone_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VGG19, "responses", None)
    monkeypatch.setattr(VGG19, "pull_back", None)
    image = scene(8, 9).double()
    terms = prior_terms((8, 9), variation=1.0, gamut=1.0)
    evaluation = evaluator(small_network(dtype=torch.float64), Objective(terms))(image)
    assert float(evaluation.loss) > 0
    assert evaluation.gradient.shape == image.shape


def test_an_evaluation_changes_neither_targets_nor_image() -> None:
    """The backward pass overwrites gradients only, so a second evaluation gives the same."""
    network = small_network(dtype=torch.float64)
    evaluate = evaluator(network, objective((48, 32), "average", False))
    image = scene(48, 32).double()
    before = image.clone()
    first, second = evaluate(image), evaluate(image)
    assert torch.equal(image, before)
    assert torch.equal(first.gradient, second.gradient)
    assert torch.equal(first.values, second.values)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_bfloat16_features_are_as_accurate_as_autograd_with_bfloat16(pooling: Pooling) -> None:
    """The loss agrees to 2 %; the gradient is as near to float32's as autograd's with bfloat16 features."""
    size, image = (48, 64), scene(48, 64)
    losses, ours, autograds = {}, {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        network = small_network(dtype=dtype, pooling=pooling)
        shares = {"conv1_1": 0.5, "conv4_1": 0.5}
        total = Objective(
            (
                *content_terms(
                    network, scene(*size, seed=1), {"conv4_2": 1.0}, weight=1.0, formula="balanced"
                ),
                *style_terms_from_images(
                    network, [(stripes(*size), 1.0)], shares, canvas=size, weight=5.0, formula="balanced"
                ),
            )
        )
        evaluation = evaluator(network, total)(image)
        assert evaluation.gradient.dtype == torch.float32
        losses[dtype], ours[dtype] = float(evaluation.loss), evaluation.gradient.flatten()
        pixels = image.clone().requires_grad_(True)
        loss = total.score(measure(network, total, pixels)).sum()
        autograds[dtype] = torch.autograd.grad(loss, pixels)[0].flatten()
    assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], rel=0.02)
    our_cosine, autograd_cosine = (
        float(torch.cosine_similarity(gradients[torch.bfloat16], autograds[torch.float32], dim=0))
        for gradients in (ours, autograds)
    )
    assert our_cosine > autograd_cosine - 1e-3
    assert our_cosine > 0.95


def test_by_kind_adds_up_the_values_of_each_kind_of_term() -> None:
    """`by_kind` reads the kind from a term's name, because a checkpoint keeps only the names."""
    total = objective((24, 32), "max", False)
    image = 2 * scene(24, 32).double() - 0.5  # out of range, for the gamut term
    evaluation = evaluator(small_network(dtype=torch.float64), total)(image)
    expected = dict.fromkeys(("content", "style", "variation", "gamut"), 0.0)
    for term, value in zip(total.terms, evaluation.values.tolist(), strict=True):
        expected[term.kind] += value
    assert min(expected.values()) > 0
    assert evaluation.by_kind == pytest.approx(expected, rel=1e-12)
