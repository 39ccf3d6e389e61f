"""The benchmarks' arithmetic: fronts, Bradley–Terry, drawn sides, cache keys, the plain run's clock."""

import json
import math
import random
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.settings.options import to_json
from impasto.settings.stylize import StylizeSettings

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def load(name: str) -> Any:
    """Import a module of the benchmarks, which are scripts that import each other from their folder."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


fronts = load("picture_fronts")
sources = load("picture_sources")
report = load("picture_report")
bradley_terry = load("bradley_terry")
blind = load("blind")


# ---- comparison at equal LPIPS

FRONT = [(0.2, 9.0), (0.4, 5.0), (0.6, 4.0)]


@pytest.mark.parametrize(
    ("lpips", "style"),
    [(0.2, 9.0), (0.25, 8.0), (0.4, 5.0), (0.5, 4.5), (0.6, 4.0), (0.19, None), (0.61, None)],
)
def test_a_front_is_linear_between_its_points_and_undefined_beyond(lpips: float, style: float | None) -> None:
    assert fronts.at_equal_content(FRONT, lpips) == (style and pytest.approx(style))


def test_of_several_crossings_the_worst_counts() -> None:
    """A front that turns back passes LPIPS 0.4 at style 7, 4 and 2."""
    back = [(0.2, 9.0), (0.6, 5.0), (0.3, 3.5), (0.5, 0.5)]
    assert fronts.at_equal_content(back, 0.4) == pytest.approx(7)
    assert fronts.at_equal_content(back[::-1], 0.4) == pytest.approx(7)


def point(lpips: float, style: float) -> dict[str, float]:
    return {"lpips_vgg16": lpips, **dict.fromkeys(fronts.STYLES, style)}


def test_a_rival_is_beaten_only_by_a_lower_style_distance_on_the_front() -> None:
    front = [point(*at) for at in FRONT]
    rivals = [point(0.5, 4.6), point(0.5, 4.5), point(0.5, 4.4), point(0.1, 99.0), point(0.7, 99.0)]
    assert fronts.wins([(front, rival) for rival in rivals], "sifid") == (1, 5, 2)


def test_strength_is_monotone_within_the_tolerance() -> None:
    assert fronts.monotone([1, 2, 1.97, 3], 1)  # back by 1.5 %
    assert not fronts.monotone([1, 2, 1.95, 3], 1)  # by 2.5 %
    assert fronts.monotone([3, 2, 2.03, 1], -1)
    assert not fronts.monotone([1, 1, 1], 1)
    assert fronts.obeys_strength([point(0.1, 3), point(0.2, 2)], "sifid")
    assert not fronts.obeys_strength([point(0.2, 3), point(0.1, 2)], "sifid")
    assert not fronts.obeys_strength([point(0.1, 2), point(0.2, 3)], "sifid")


# ---- the tables


def result(
    pair: tuple[str, str], row: str, strength: float | None, size: int = 384, **measures: float
) -> Any:
    task = report.Task(sources.Pair(*pair), row, size, strength)
    return report.Result(task, Path("x.png"), dict.fromkeys(report.COLUMNS, 1.0) | measures, None)


def test_rivals_are_compared_with_our_front_of_the_same_pair_and_size() -> None:
    """The first pair's AdaIN is above our front, the second's beyond its ends; the photo is no rival."""
    results = []
    for pair, at in ((("a", "x"), 0.3), (("b", "x"), 0.9)):
        for strength, lpips, style in ((0.8, 0.4, 2.0), (0.2, 0.2, 4.0), (0.5, 0.25, 3.2)):
            measures = dict.fromkeys(fronts.STYLES, style)
            results.append(result(pair, "default", strength, lpips_vgg16=lpips, **measures))
            lower = dict.fromkeys(fronts.STYLES, style / 10)
            results.append(result(pair, "default", strength, 256, lpips_vgg16=lpips, **lower))
        rival = dict.fromkeys(fronts.STYLES, 5.0) | {"sifid": 2.85, "histogram": 2.75}
        results.append(result(pair, "adain", None, lpips_vgg16=at, **rival))
        results.append(result(pair, "photo", None, lpips_vgg16=0.3, **rival))
    (line,) = report.wins_table(results)
    assert line == {
        "size": 384, "rival": "adain", "pictures": 2, "pairs": 2, "outside_our_front": 1,
        "sifid": 1, "neighbors_conv2_2": 1, "neighbors_conv3_3": 1, "histogram": 0,
    }  # fmt: skip


def test_speckle_is_relative_to_the_old_default_and_the_painting() -> None:
    results = [
        result(("a", "x"), "default", 0.5, speckle=2.0, crispness=1.1),
        result(("a", "x"), "old", 0.5, speckle=8.0, crispness=1.2),
        result(("b", "x"), "default", 0.5, speckle=2.0),  # left out, for lack of an old picture
        result(("a", "x"), "default", 0.8, speckle=9.0),
        result(("a", "x"), "old", 0.8, speckle=9.0),
    ]
    grains = {line.task: 0.4 if line.task.row == "default" else 0.8 for line in results}
    painting = report.PaintingSpeckle(flat=4.0, whole=10.0, grain=0.5)
    (line,) = report.speckle_table(results, {("x", 384): painting}, grains)
    assert (line["ours_over_old"], line["crispness"]) == (0.25, 1.1)
    assert (line["ours_over_painting_flat"], line["ours_over_painting_whole"]) == (0.5, 0.2)
    assert (line["grain_over_old"], line["grain_over_painting"]) == (0.5, 0.8)


def test_grain_tells_sand_from_strokes_of_any_contrast() -> None:
    everywhere = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    noise = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    strokes = 0.5 + 0.4 * torch.sin(torch.arange(64.0) / 2).expand(1, 1, 64, 64)

    def grain(light: Tensor) -> float:
        return float(load("speckle").grain(light.expand(1, 3, 64, 64), everywhere))

    assert grain(noise) > 2
    assert grain(strokes) < 0.3
    assert grain(0.5 + 0.1 * (strokes - 0.5)) == pytest.approx(grain(strokes), rel=1e-4)


def test_the_pairs_with_fronts_cover_every_photo_and_painting() -> None:
    assert len(set(sources.FRONT_PAIRS)) == 12
    assert {pair.photo for pair in sources.FRONT_PAIRS} == set(sources.PHOTOS)
    assert {pair.painting for pair in sources.FRONT_PAIRS} == set(sources.PAINTINGS)
    assert set(sources.FRONT_PAIRS) <= set(sources.ALL_PAIRS)
    assert len(set(sources.ALL_PAIRS)) == 48


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "cat.jpg").touch()
    (tmp_path / "kandinsky.png").touch()
    originals, missing = sources.locate(tmp_path)
    assert originals == ({"cat": tmp_path / "content" / "cat.jpg"}, {"kandinsky": tmp_path / "kandinsky.png"})
    assert set(missing) == (set(sources.PHOTOS) | set(sources.PAINTINGS)) - {"cat", "kandinsky"}


# ---- the benchmark's tasks and the cache


def test_every_task_is_in_exactly_one_part() -> None:
    pictures = load("pictures")
    tasks = pictures.tasks_of(
        sources.ALL_PAIRS, sources.FRONT_PAIRS, ["photo", "default", "old", "draft"],
        size=384, strengths=pictures.STRENGTHS, presets=True,
    )  # fmt: skip
    at_384 = [task for task in tasks if task.size == 384]
    assert len(at_384) == 48 * 4 + 12 * 2 * 4  # one strength for all rows, four more for two rows
    assert len(tasks) - len(at_384) == 12 * (1 + 2 * 5 + 2)  # photo, two fronts, two presets
    parts = [pictures.part_of(tasks, f"{number}/5") for number in range(1, 6)]
    assert sorted(map(str, tasks)) == sorted(str(task) for part in parts for task in part)
    for wrong in ("0/2", "3/2", "2", "a/b"):
        with pytest.raises(SystemExit, match="N/M"):
            pictures.part_of(tasks, wrong)


def test_the_cache_key_changes_with_every_setting_and_file() -> None:
    cache_key = load("picture_cache").cache_key

    def key(photo: str = "p", painting: str = "q", **changes: object) -> str:
        settings = to_json(StylizeSettings(**changes))  # type: ignore[arg-type]
        return str(cache_key(photo, painting, {"method": "descent", "settings": settings}))

    others = [
        key("other"), key(painting="other"), key("q", "p"), key(strength=0.51), key(size=384), key(seed=1),
        key(layers={"conv1_1": 1.0}), key(init="noise"),
    ]  # fmt: skip
    assert key() not in others
    assert len(set(others)) == len(others)
    assert key() == key(strength=0.5)
    assert cache_key("p", "q", {"a": 1, "b": 2}) == cache_key("p", "q", {"b": 2, "a": 1})


def test_changed_code_invalidates_the_cache_unless_it_is_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("picture_cache")
    (tmp_path / "code").mkdir()
    (code := tmp_path / "code" / "a.py").write_text("1")
    before = module.code_digest([code], tmp_path)
    code.write_text("2")
    module.file_digest.cache_clear()
    assert module.code_digest([code], tmp_path) != before

    for name, text in (("photo.jpg", b"p"), ("painting.jpg", b"q")):
        (tmp_path / name).write_bytes(text)
    files, recipe = (tmp_path / "photo.jpg", tmp_path / "painting.jpg"), module.Recipe("photo", None, 64)
    monkeypatch.setattr(module, "painting_code", lambda: "before" * 8)
    old = module.PictureCache(tmp_path).path(recipe, *files)
    old.parent.mkdir(parents=True)
    old.touch()
    assert module.PictureCache(tmp_path).find(recipe, *files) == old
    monkeypatch.setattr(module, "painting_code", lambda: "after" * 8)
    assert module.PictureCache(tmp_path).find(recipe, *files) is None
    assert module.PictureCache(tmp_path, any_code=True).find(recipe, *files) == old


def test_published_pictures_are_not_written_into_the_repository(tmp_path: Path) -> None:
    check_sheet = load("picture_anchors").check_sheet
    check_sheet(tmp_path / "sheet.jpg")
    with pytest.raises(SystemExit, match="not ours"):
        check_sheet(BENCHMARKS / "results" / "sheet.jpg")


# ---- the plain implementation's time


class GradientDescent:
    """Replaces L-BFGS, whose first use imports for seconds. It moves the toy picture towards ½."""

    def __init__(self, images: list[torch.Tensor], **_: object) -> None:
        (self.image,) = images

    def zero_grad(self) -> None:
        self.image.grad = None

    def step(self, closure: Any) -> torch.Tensor:
        value: torch.Tensor = closure()
        assert self.image.grad is not None
        self.image.data -= 5e-5 * self.image.grad
        return value


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the plain implementation reads; add to its only element to let time pass."""
    clock = [0.0]
    monkeypatch.setattr(load("baseline").time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr("torch.optim.LBFGS", GradientDescent)
    return clock


def plain_run(seconds: list[float], goal: dict[str, float], limit: float) -> Any:
    """Run with a toy picture: 1 s an evaluation, 100 s a measurement, SIFID = mean distance from ½.

    As a picture, its style is worse by 0.015 than what the solver sees.
    """

    def terms(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seconds[0] += 1
        return (image - 0.5).square().sum(), (image - 0.5).square().mean()

    def judge(image: torch.Tensor) -> dict[str, float]:
        seconds[0] += 100
        distance = image - 0.5
        return {"sifid": float(distance.abs().mean()), "style": float(distance.square().mean()) + 0.015}

    return load("default").plain_run(terms, torch.zeros(1, 3, 4, 4), goal, judge, limit)


def test_measuring_is_not_on_the_plain_runs_clock(seconds: list[float]) -> None:
    goal = {"content": 0.0, "style": 0.0, "style_weight": 1.0, "sifid": 0.0, "seconds": 2.0}
    moments, points = plain_run(seconds, goal, limit=22)
    assert [point["evaluations"] for point in points] == [10, 12, 14, 17, 20, 22]
    assert all(point["seconds"] == point["evaluations"] for point in points)
    assert list(moments) == ["end"]
    sentences = load("default").summary(goal, moments)
    assert sentences["sifid_reached"] == "default 2.0 s, plain not reached after 22.0 s (ratio > 11.0)"


def test_the_plain_run_ends_at_the_first_measured_picture_as_near_as_the_default(
    seconds: list[float],
) -> None:
    goal = {"content": 1.0, "style": 0.02, "style_weight": 1.0, "sifid": 0.1, "seconds": 2.0}
    moments, points = plain_run(seconds, goal, limit=1000)
    assert moments["style_reached"] == moments["end"] == points[-1]
    assert points[-1]["style"] <= 0.02 < min(point["style"] for point in points[:-1])
    near = [point for point in points if point["sifid"] <= 0.1]
    assert moments["sifid_reached"] == near[0] != points[-1]
    # The solver is there first, with an image that is not yet a picture.
    assert moments["solver_style_reached"]["style"] <= 0.02
    assert moments["solver_style_reached"]["seconds"] < moments["style_reached"]["seconds"]
    total = moments["solver_sum_reached"]
    assert total["content"] + total["style"] <= 1.02
    ratio = points[-1]["seconds"] / 2
    assert load("default").summary(goal, moments)["style_reached"].endswith(f"ratio {ratio:.1f}")


# ---- Bradley–Terry


def games(first: str, second: str, won: int, lost: int, tied: int = 0) -> list[Any]:
    compare = bradley_terry.Comparison
    return [
        *[compare(first, second, 1.0)] * won,
        *[compare(second, first, 1.0)] * lost,
        *[compare(first, second, 0.5)] * tied,
    ]


def test_two_strengths_differ_by_the_log_odds() -> None:
    """Without a prior, θ_a − θ_b = log(wins_a / wins_b), with variance 1 / wins_a + 1 / wins_b."""
    fitted = bradley_terry.fit(["a", "b"], games("a", "b", 30, 12), prior=0)
    value, low, high = fitted.interval("a")
    assert 2 * value == pytest.approx(math.log(30 / 12))
    assert high - low == pytest.approx(1.959964 * math.sqrt(1 / 30 + 1 / 12), rel=1e-6)
    assert fitted.preferred("a", "b")[0] == pytest.approx(30 / 42)
    ends = [math.log(share / (1 - share)) for share in fitted.preferred("a", "b")[1:]]
    assert ends == pytest.approx([2 * low, 2 * high])
    assert fitted.preferred("b", "a")[1] == pytest.approx(1 - fitted.preferred("a", "b")[2])


def test_a_tie_is_half_a_win_for_each() -> None:
    fitted = bradley_terry.fit(["a", "b"], games("a", "b", 10, 4, tied=8), prior=0)
    assert fitted.preferred("a", "b")[0] == pytest.approx(14 / 22)


def simulated(theta: dict[str, float], rounds: int, seed: int) -> list[Any]:
    generator, systems = random.Random(seed), list(theta)
    comparisons = []
    for _ in range(rounds):
        a, b = generator.sample(systems, 2)
        won = generator.random() < 1 / (1 + math.exp(theta[b] - theta[a]))
        comparisons.append(bradley_terry.Comparison(a, b, float(won)))
    return comparisons


THETA = {"a": 0.9, "b": 0.1, "c": -0.2, "d": -0.8}


def test_strengths_agree_with_zermelos_iteration() -> None:
    """It finds the maximum independently: p_i ← wins_i / Σ_j n_ij / (p_i + p_j) (Zermelo 1929)."""
    comparisons, systems = simulated(THETA, 300, 1), list(THETA)
    wins = np.zeros((4, 4))
    for a, b, won in comparisons:
        wins[systems.index(a), systems.index(b)] += won
        wins[systems.index(b), systems.index(a)] += 1 - won
    p = np.ones(4)
    for _ in range(2000):
        p = wins.sum(1) / ((wins + wins.T) / (p[:, None] + p)).sum(1)
        p /= np.exp(np.log(p).mean())
    assert bradley_terry.fit(systems, comparisons, prior=0).theta == pytest.approx(np.log(p), abs=1e-9)


def test_intervals_hold_the_true_strength_in_95_of_100_cases() -> None:
    inside = 0
    for seed in range(50):
        fitted = bradley_terry.fit(list(THETA), simulated(THETA, 200, seed))
        for system, truth in THETA.items():
            _, low, high = fitted.interval(system)
            inside += low <= truth <= high
    assert 0.92 <= inside / 200 <= 0.98


def test_the_order_of_systems_and_of_sides_does_not_matter() -> None:
    comparisons = simulated(THETA, 100, 2)
    swapped = [bradley_terry.Comparison(b, a, 1 - won) for a, b, won in reversed(comparisons)]
    first, second = bradley_terry.fit("abcd", comparisons), bradley_terry.fit("dbca", swapped)
    for system in THETA:
        assert first.interval(system) == pytest.approx(second.interval(system), abs=1e-9)


def test_a_system_that_won_every_game_is_finite_only_with_the_prior() -> None:
    """By symmetry θ solves 20 σ(−2θ) = σ(θ) − ½: each system has 20 games, and a tie against strength 0."""
    with pytest.raises(ValueError, match="Use a prior"):
        bradley_terry.fit(["a", "b"], games("a", "b", 20, 0), prior=0)
    value, low, high = bradley_terry.fit(["a", "b"], games("a", "b", 20, 0)).interval("a")
    sigma = bradley_terry.logistic
    assert 20 * sigma(-2 * value) == pytest.approx(sigma(value) - 0.5)
    assert 0 < low < value < high < 6
    with pytest.raises(ValueError, match="Use a prior"):
        bradley_terry.fit(["a", "b", "c"], games("a", "b", 3, 2), prior=0)


def test_systems_without_comparisons_fall_into_groups() -> None:
    comparisons = [*games("a", "b", 1, 1), *games("c", "d", 1, 1)]
    assert sorted(map(sorted, bradley_terry.groups("abcd", comparisons))) == [["a", "b"], ["c", "d"]]
    assert bradley_terry.groups("abcd", [*comparisons, *games("b", "d", 1, 0)]) == [set("abcd")]


# ---- the blind comparison


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders with 21 pictures in common and one more in each."""
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        for index in range(21):
            (tmp_path / folder / f"{index}.png").write_text(f"{folder} {index}")
        (tmp_path / folder / f"only-{folder}.png").touch()
        (tmp_path / folder / "notes.txt").touch()
    return [tmp_path / "ours", tmp_path / "theirs"]


def test_sides_are_drawn_at_random_in_equal_halves(folders: list[Path]) -> None:
    listing = blind.list_folders(folders)
    questions = blind.draw_questions(listing, 5)
    assert sorted(question.name for question in questions) == sorted(f"{index}.png" for index in range(21))
    draws = []
    for seed in range(40):
        drawn = blind.draw_questions(listing, seed)
        left = [question.name for question in drawn if question.left == "ours"]
        assert len(left) in (10, 11)
        draws.append(tuple(sorted(left)))
    assert len(set(draws)) > 30  # the pictures on the left change with the seed
    assert {len(left) for left in draws} == {10, 11}
    assert blind.draw_questions(listing, 5) == questions
    assert blind.draw_questions(blind.list_folders(folders[::-1]), 5) == questions


def test_three_folders_are_compared_in_all_pairs(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "3.png").touch()
    questions = blind.draw_questions(blind.list_folders([*folders, tmp_path / "third"]), 0)
    assert len({question.key for question in questions}) == len(questions) == 23


def test_an_interrupted_session_does_not_repeat_questions(folders: list[Path], tmp_path: Path) -> None:
    listing, path = blind.list_folders(folders), tmp_path / "answers.jsonl"
    first = blind.Session(listing, path)
    for choice in ("left", "right", "tie"):
        assert first.answer(first.state()["index"], choice)
    assert not first.answer(0, "right")  # answered already
    with path.open("ab") as file:
        file.write(b'{"name": "7.png", "left": "ou')  # killed while writing
    again = blind.Session(listing, path)
    assert again.state() == {"index": 3, "done": 3, "total": 21}
    again.answer(3, "left")
    answers = blind.read_answers(path)
    assert [answer.choice for answer in answers] == ["left", "right", "tie", "left"]
    assert [answer.question for answer in answers] == again.questions[:4]
    other_seed = blind.Session(listing, path, seed=9)
    assert other_seed.state()["done"] == 4
    answered = {question.key for question in again.questions[:4]}
    while (index := other_seed.state()["index"]) is not None:
        assert other_seed.questions[index].key not in answered
        other_seed.answer(index, "tie")
    assert len(blind.read_answers(path)) == 21
    assert blind.Session(listing, path, judge="someone else").state()["done"] == 0


def test_the_report_counts_each_answer_once_for_the_chosen_folder(
    folders: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "answers.jsonl"
    session = blind.Session(blind.list_folders(folders), path)
    for index, question in enumerate(session.questions):
        ours = "left" if question.left == "ours" else "right"
        session.answer(index, ours if index < 15 else "tie")
    answers = blind.read_answers(path)
    text = blind.report([*answers, *answers[:5]])  # the same answer twice counts once
    assert "| ours | 21 | 18 |" in text
    assert "| ours to theirs | 18 of 21 |" in text
    with pytest.raises(SystemExit, match="no answers"):
        blind.report([])


@contextmanager
def served(session: Any) -> Iterator[str]:
    server = blind.serve(session, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetch(address: str, data: object = None, **headers: str) -> tuple[int, bytes]:
    body = None if data is None else json.dumps(data).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, kind | headers)) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_page_serves_only_the_listed_pictures_and_saves_answers(
    folders: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_text("secret")
    session = blind.Session(blind.list_folders(folders), tmp_path / "answers.jsonl")
    question = session.questions[0]
    with served(session) as address:
        status, page = fetch(address)
        assert status == 200
        assert b"ours" not in page
        for side, folder in (("left", question.left), ("right", question.right)):
            assert fetch(f"{address}/picture/0/{side}") == (
                200, f"{folder} {question.name.removesuffix('.png')}".encode()
            )  # fmt: skip
        secrets = ["secret.png", "picture/0/../secret.png", "../secret.png"]
        for path in ("picture/21/left", "picture/0/..", *secrets):
            assert fetch(f"{address}/{path}")[0] == 404
        status, state = fetch(f"{address}/answer", {"index": 0, "choice": "left"})
        assert (status, json.loads(state)) == (200, {"index": 1, "done": 1, "total": 21})
        assert b"ours" not in state
        assert fetch(f"{address}/answer", {"index": 0, "choice": "best"})[0] == 400
        assert fetch(f"{address}/answer", {"choice": "left"})[0] == 400
        for headers in ({"Host": "example.org"}, {"Origin": "http://example.org"}):
            assert fetch(f"{address}/answer", {"index": 1, "choice": "left"}, **headers)[0] == 403
            assert fetch(f"{address}/state", None, **headers)[0] == 403
    assert [answer.question for answer in blind.read_answers(session.path)] == [question]
