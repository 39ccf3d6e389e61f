"""The trace of a run: its losses, step by step."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, overload

from impasto.objective.evaluate import Evaluation

ROWS = 400
"""Most rows of a trace in a manifest. Longer traces are thinned."""


Row: TypeAlias = tuple[float, ...]
"""Scale and step from 1, seconds, the loss and its summands."""


class Trace(Sequence[Row]):
    """The rows of a run up to a step. Rows of later steps are not visible.

    All steps share one list that only grows, so a step costs one row instead of a copy of all rows.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = list(rows)
        self._length = len(self._rows)

    def with_row(self, row: Row) -> "Trace":
        """Return a trace with one more row."""
        # If a run has already continued from here, the list has other rows after ours, so ours are copied.
        longer = Trace.__new__(Trace)
        longer._rows = self._rows if len(self._rows) == self._length else self._rows[: self._length]
        longer._rows.append(row)
        longer._length = self._length + 1
        return longer

    def widened(self, columns: int) -> "Trace":
        """Return a trace whose rows have at least this many numbers. The new ones are 0."""
        return Trace((*row, *[0.0] * (columns - len(row))) for row in self)

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
        return self._rows[places] if isinstance(places, int) else [self._rows[number] for number in places]


def trace_row(index: int, step: int, seconds: float, evaluation: Evaluation, terms: Iterable[str]) -> Row:
    """Return scale and step from 1, seconds, the loss and its summands, rounded to five digits.

    Args:
        terms: the names of the summands. One that the objective no longer has is 0, as with a weight of 0.
    """
    values = (float(evaluation.loss), *(evaluation.by_term.get(name, 0.0) for name in terms))
    return (index + 1, step, round(seconds, 2), *(float(f"{value:.5g}") for value in values))


def thinned(rows: Sequence[Row]) -> list[Row]:
    """Keep at most `ROWS` rows at even distances, the last one among them."""
    every = -(-len(rows) // ROWS)
    return [row for index, row in enumerate(rows, start=1) if (len(rows) - index) % every == 0]
