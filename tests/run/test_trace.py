"""The trace of losses: all steps share one list, and each step sees the rows up to its own."""

import pytest

from impasto.run.trace import ROWS, Trace, thinned


def test_each_step_sees_the_rows_up_to_it() -> None:
    traces = [Trace()]
    for step in range(1, 6):
        traces.append(traces[-1].with_row((1, step, 0.5)))
    for count, trace in enumerate(traces):
        assert len(trace) == count
        assert list(trace) == [(1, step, 0.5) for step in range(1, count + 1)]
        assert trace[:2] == list(trace)[:2]
    assert traces[3][-1] == traces[3][2] == (1, 3, 0.5)
    with pytest.raises(IndexError):
        _ = traces[3][3]


def test_steps_share_their_rows() -> None:
    first = Trace().with_row((1, 1, 0.5))
    second = first.with_row((1, 2, 0.5))
    assert second._rows is first._rows
    assert len(first) == 1


def test_two_runs_from_the_same_step_have_separate_rows() -> None:
    start = Trace([(1.0, 1.0, 0.5)])
    first, second = start.with_row((1, 2, 0.7)), start.with_row((1, 2, 0.9))
    assert [row[2] for row in first.with_row((1, 3, 0.8))] == [0.5, 0.7, 0.8]
    assert [row[2] for row in second.with_row((1, 3, 1.0))] == [0.5, 0.9, 1.0]
    assert list(start) == [(1.0, 1.0, 0.5)]


def test_a_thinned_trace_ends_with_the_last_row() -> None:
    trace = Trace((1, step, 0.0) for step in range(1, 3 * ROWS))
    rows = thinned(trace)
    assert len(rows) <= ROWS
    assert rows[-1] == trace[-1]
