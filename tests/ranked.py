"""Losses, gradients and runs of one picture by several processes; test_ranks.py starts this and compares."""

import sys

import torch

from forked import forked
from guided import guided
from impasto.objective.bands import Band
from impasto.objective.custom import TermContext, custom_term
from impasto.objective.evaluate import evaluator
from impasto.objective.objective import Objective
from impasto.objective.terms import gram
from impasto.run.scales import FINEST_LEVELS
from impasto.solve import descent
from impasto.solve.space import Space
from impasto.system.distributed import join_process_group, leave_process_group, rank, world_size
from small import scene, small_network
from tiled import KEEPS, SIZES, SUBSETS, objective_for

TORI = [((48, 80), True), ((96, 32), True)]

CASES = [
    (size, (0, 16, 48)[index % 3], ("average", "max")[index % 2], SUBSETS[index % 5], dtype, wrap, keep)
    for index, (size, wrap) in enumerate([*((size, False) for size in SIZES), *TORI])
    for dtype, keep in [((torch.float32, torch.float64)[index // 2 % 2], KEEPS[index % 3])]
]
"""Size, tile, pooling, style layers, dtype, whether on a torus, where the targets are kept."""


def evaluations() -> list[dict[str, torch.Tensor]]:
    """The loss and the gradient of the whole image in each case."""
    results = []
    for size, tile, pooling, layers, dtype, wrap, keep in CASES:
        options = {"wrap": wrap, "tile": 0 if wrap else tile, "keep": keep}
        network, objective, image = objective_for(size, pooling, layers, dtype, **options)  # type: ignore[arg-type]
        band = Band.of(*size, circular=wrap)
        evaluation = evaluator(network, objective, tile=tile, band=band)(band.local_rows(image))
        results.append({"values": evaluation.values, "gradient": band.gather(evaluation.gradient)})
    return results


def controls() -> list[dict[str, torch.Tensor]]:
    """Loss and gradient with regions and each style statistic, then with custom losses, in float64."""
    results = []
    for kind, tile in (("gram", 0), ("gaussian", 48), ("histogram", 0), ("neighbors", 0), ("neighbors", 16)):
        network, objective, image = guided((77, 65), kind, torch.float64, tile=tile)
        band = Band.of(77, 65)
        evaluation = evaluator(network, objective, tile=tile, band=band)(band.local_rows(image))
        matches = {f"matches {number}": m for number, m in enumerate(objective.matches)}
        results.append({"values": evaluation.values, "gradient": band.gather(evaluation.gradient), **matches})
    return [*results, custom_losses()]


def custom_losses() -> dict[str, torch.Tensor]:
    """The loss and the gradient of custom terms on a layer and on the pixels, in float64."""
    network, image = small_network(dtype=torch.float64), scene(77, 65).double()
    context = TermContext(77, 65, network, image, world_size=world_size())
    terms = (
        custom_term("deep", gram, layer="conv3_1", score=lambda mean: (mean - 0.1).square().sum()),
        custom_term("gold", lambda x: x.sum((0, 2, 3)), score=lambda mean: (mean - 0.8).square().sum()),
    )
    band = Band.of(77, 65)
    objective = Objective(tuple(term.make(context) for term in terms))
    evaluation = evaluator(network, objective, band=band)(band.local_rows(image))
    return {"values": evaluation.values, "gradient": band.gather(evaluation.gradient)}


def runs() -> list[torch.Tensor]:
    """The image and the solver's point after five steps of each solver in each space, in float64."""
    results = []
    size = (49, 50)
    network, objective, image = objective_for(size, "average", SUBSETS[4], torch.float64)
    for level_steps in ((), FINEST_LEVELS):
        space = Space(Band.of(*size), level_steps, chroma_steps=(0.25, 0.5))
        evaluate = space.evaluator(evaluator(network, objective, band=space.band))
        for method in ("lbfgs", "adam"):
            state = descent.start(evaluate, space.point(image), descent.Solver(method), history=4)  # type: ignore[arg-type]
            for _ in range(5):
                state = descent.step(evaluate, state)
            whole = space.gather(state.point)
            assert torch.equal(space.local(whole), state.point)
            results += [space.whole_image(state.point), whole]
    return results


def report(path: str) -> None:
    """Compute everything in one process of the group; rank 0 saves the results."""
    join_process_group()
    results = {"ranks": world_size(), "evaluations": evaluations(), "controls": controls(), "runs": runs()}
    if rank() == 0:
        torch.save(results, path)
    leave_process_group()


if __name__ == "__main__":
    for count in map(int, sys.argv[1:]):
        forked(count, lambda count=count: report(f"{count}.pt"))  # type: ignore[misc]
