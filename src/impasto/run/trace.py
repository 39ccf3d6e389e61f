"""The losses of a run, step by step."""

from collections.abc import Sequence

from impasto.objective.evaluate import Evaluation

ROWS = 400
"""Of the trace that goes into a manifest, at most; longer ones are thinned."""


def _row(index: int, step: int, seconds: float, here: Evaluation) -> tuple[float, ...]:
    values = (float(here.loss), *here.by_term.values())
    return (index + 1, step, round(seconds, 2), *(float(f"{value:.5g}") for value in values))


def _thinned(rows: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The last row and as many before it, evenly, as there is room for."""
    every = -(-len(rows) // ROWS)
    return [row for place, row in enumerate(rows, start=1) if (len(rows) - place) % every == 0]
