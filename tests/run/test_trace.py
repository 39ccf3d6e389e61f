"""The trace of losses: all steps share one list, and each step sees the rows up to its own."""

from dataclasses import replace

import pytest

from impasto import StylizeSettings
from impasto.recipes.stylize import plan_stylize
from impasto.run.loop import iter_run
from impasto.run.steering import ReplayedSteering
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


def test_terms_that_steering_adds_and_removes_have_columns_of_their_own(
    photo: str, painting: str, small_file: str
) -> None:
    """A share of 0 removes a painting's neighbours, and a later share adds them again."""
    settings = StylizeSettings(
        weights=small_file, size=48, scales=1, steps=6, finest_steps=6, precision="float32", blend="1,0"
    )
    steering = ReplayedSteering(
        [
            {"scale": 1, "step": 2, "settings": {"blend": "1,1"}},
            {"scale": 1, "step": 4, "settings": {"blend": "0,1"}},
        ],
        lambda changes: plan_stylize(photo, [painting, photo], replace(settings, **changes)),
    )
    *_, last = steps = list(iter_run(plan_stylize(photo, [painting, photo], settings), steering=steering))
    trace = last.painting().manifest["trace"]
    assert len({frozenset(step.by_term) for step in steps}) == 3
    for step, row in zip(steps, trace["rows"], strict=True):
        values = dict(zip(trace["columns"][4:], row[4:], strict=True))
        assert {name: value for name, value in values.items() if value} == pytest.approx(
            {name: value for name, value in step.by_term.items() if value}, rel=1e-4
        )
