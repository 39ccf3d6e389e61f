"""The losses of a run, step by step."""

from collections.abc import Sequence

from impasto.objective.evaluate import Evaluation

ROWS = 400
"""Of the trace that goes into a manifest, at most; longer ones are thinned."""


def trace_row(index: int, step: int, seconds: float, evaluation: Evaluation) -> tuple[float, ...]:
    """Scale and step from 1, seconds, the loss and its summands, rounded to five digits."""
    values = (float(evaluation.loss), *evaluation.by_term.values())
    return (index + 1, step, round(seconds, 2), *(float(f"{value:.5g}") for value in values))


def thinned(rows: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The last row and as many before it, evenly, as there is room for."""
    every = -(-len(rows) // ROWS)
    return [row for index, row in enumerate(rows, start=1) if (len(rows) - index) % every == 0]
