"""The losses of a run, step by step."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, overload

from impasto.objective.evaluate import Evaluation

ROWS = 400
"""Of the trace that goes into a manifest, at most; longer ones are thinned."""


Row: TypeAlias = tuple[float, ...]
"""Scale and step from 1, seconds, the loss and its summands."""


class Trace(Sequence[Row]):
    """The rows of a run up to a step; what a later step adds is not seen.

    Steps share one list, to which rows are only added: a step costs one row, not a copy of all before it.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = list(rows)
        self._length = len(self._rows)

    def with_row(self, row: Row) -> "Trace":
        """These rows and another. Where another run has gone on from here before, they are copied once."""
        longer = Trace.__new__(Trace)
        longer._rows = self._rows if len(self._rows) == self._length else self._rows[: self._length]
        longer._rows.append(row)
        longer._length = self._length + 1
        return longer

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Row]:
        return (self._rows[index] for index in range(self._length))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        places = range(self._length)[index]
        return self._rows[places] if isinstance(places, int) else [self._rows[place] for place in places]


def trace_row(index: int, step: int, seconds: float, evaluation: Evaluation) -> tuple[float, ...]:
    """Scale and step from 1, seconds, the loss and its summands, rounded to five digits."""
    values = (float(evaluation.loss), *evaluation.by_term.values())
    return (index + 1, step, round(seconds, 2), *(float(f"{value:.5g}") for value in values))


def thinned(rows: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The last row and as many before it, evenly, as there is room for."""
    every = -(-len(rows) // ROWS)
    return [row for index, row in enumerate(rows, start=1) if (len(rows) - index) % every == 0]
