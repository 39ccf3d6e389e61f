"""The queue and its worker: orders wait, are painted elsewhere, paused, stopped, resumed and steered."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import impasto
from impasto.choices import REGION_COLORS
from impasto.errors import BusyError, ImageError, ImpastoError, SettingsError
from impasto.image.color_mask import format_color, read_color_mask
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.write import write_picture
from impasto.results import manifest as manifests
from impasto.studio.job_queue import ROWS, JobQueue, thinned
from impasto.studio.messages import FORMATS, JobRequest, JobStatus, Limits
from impasto.studio.preview import without_paths
from small import scene

LONG = {"size": 128, "steps": 100_000, "optimizer": "adam", "scales": 1}
"""Never over by itself: Adam, unlike L-BFGS, does not end when it can gain nothing more."""

SHORT = {"size": 64, "steps": 6, "scales": 1, "precision": "float32"}


LIMITS = Limits(waiting=3, seconds=600)


def follow(queue: JobQueue, page: str) -> Iterator[JobStatus]:
    """The page's statuses as they change, until the job is settled."""
    seen = -1
    while True:
        status = queue.view(page)
        if status.version != seen:
            seen = status.version
            yield status
        if status.is_settled:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def one_desk(small_file: str, decoder_file: str) -> Iterator[JobQueue]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_DECODER", decoder_file)
        patch.setenv("OMP_NUM_THREADS", "1")
        desk = JobQueue(common={"weights": small_file}, limits=LIMITS)
        yield desk
        desk.close()
        assert not Path(desk.root).exists()


@pytest.fixture
def desk(one_desk: JobQueue) -> Iterator[JobQueue]:
    """A desk that nobody is at: all tests share its process, which takes seconds to begin."""
    yield one_desk
    for page in "abcdefgh":
        one_desk.close_page(page)
    one_desk.limits = LIMITS


def until(desk: JobQueue, page: str, true: Callable[[JobStatus], bool], limit: float = 60.0) -> JobStatus:
    """The page's view, once something is true of it."""
    began = time.monotonic()
    while not true(desk.view(page)):
        assert time.monotonic() - began < limit, desk.view(page)
        time.sleep(0.05)
    return desk.view(page)


def steps(view: JobStatus) -> int:
    return view.step["step"] if view.step else 0


def test_an_order_is_painted_saved_and_can_be_painted_again(
    desk: JobQueue, photo: str, painting: str, small_file: str
) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    views = list(follow(desk, "a"))
    assert [view.state for view in views][-1] == "finished"
    assert any(view.text.startswith("A first picture") for view in views)
    last = views[-1]
    assert last.picture.startswith(b"\xff\xd8")
    assert last.step is not None
    assert (last.step["width"], last.step["height"]) == (64, 48)
    assert [Path(file).name for file in last.files] == list(FORMATS)
    assert len(last.curve) == 6
    manifest = manifests.read(last.files[0])
    assert manifest["inputs"]["content"]["path"] == "photo.png"
    again = impasto.rerun(last.files[2], content=photo, style=painting, weights=small_file)
    assert (again.picture.pixels - read_picture(last.files[2]).pixels).abs().max() < 1e-4


def test_paused_stopped_and_resumed_it_goes_on_where_it_stood(
    desk: JobQueue, photo: str, painting: str
) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    until(desk, "a", lambda view: steps(view) > 5)
    desk.pause("a")
    paused = until(desk, "a", lambda view: view.is_settled)
    assert (paused.state, paused.files) == ("paused", ())
    desk.resume("a")
    until(desk, "a", lambda view: steps(view) > steps(paused) + 3)
    desk.stop("a")
    stopped = until(desk, "a", lambda view: view.is_settled)
    assert stopped.state == "stopped"
    assert not manifests.read(stopped.files[0])["result"]["complete"]
    desk.resume("a")
    later = until(desk, "a", lambda view: steps(view) > steps(stopped) + 3)
    assert later.curve[0] == stopped.curve[0]
    desk.stop("a")
    until(desk, "a", lambda view: view.is_settled)


def test_a_running_order_is_steered(desk: JobQueue, photo: str, painting: str) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    before = until(desk, "a", lambda view: steps(view) > 5)
    desk.steer("a", {"strength": 0.0})
    assert before.step is not None
    assert before.step["style"] > 0
    after = until(desk, "a", lambda view: view.step is not None and view.step["style"] == 0)
    assert after.state == "working"
    desk.steer("a", {"size": 64})
    until(desk, "a", lambda view: "size cannot change" in view.text)
    desk.stop("a")
    view = until(desk, "a", lambda view: view.is_settled)
    (turn,) = manifests.read(view.files[0])["turns"]
    assert turn["settings"] == {"strength": 0.0}


def test_others_wait_see_their_place_and_get_their_turn(desk: JobQueue, photo: str, painting: str) -> None:
    long, short = (JobRequest(content=photo, styles=(painting,), settings=s) for s in (LONG, SHORT))
    desk.submit("a", long)
    until(desk, "a", lambda view: view.state == "working")
    for page in ("b", "c", "d"):
        desk.submit(page, short)
    for _ in range(100):
        desk.submit("b", short)  # a hundred clicks leave one order
    assert [desk.view(page).position for page in "abcd"] == [0, 1, 2, 3]
    desk.steer("b", {"strength": 0.7})  # before its turn: an ordinary setting
    desk.stop("c")  # taken back
    assert desk.view("c").state == "nothing"
    assert [desk.view(page).position for page in "abd"] == [0, 1, 2]
    desk.pause("a")  # makes way
    assert until(desk, "d", lambda view: view.is_settled).state == "finished"
    manifest = manifests.read(desk.view("b").files[0])
    assert manifest["settings"]["strength"] == 0.7
    assert "turns" not in manifest
    assert desk.view("a").state == "paused"


def test_what_is_too_much_is_refused(desk: JobQueue, photo: str, painting: str) -> None:
    order = JobRequest(content=photo, styles=(painting,), settings=LONG)
    desk.submit("a", order)
    until(desk, "a", lambda view: view.state == "working")
    for page in ("b", "c", "d"):
        desk.submit(page, order)
    with pytest.raises(BusyError, match="3 pictures are waiting already; the limit is 3"):
        desk.submit("e", order)
    desk.limits = replace(desk.limits, pages=5)
    desk.close_page("d")
    desk.submit("f", order)  # the page of e has nothing on a worker, and makes way
    with pytest.raises(BusyError, match="3 pictures are waiting"):
        desk.submit("g", order)
    desk.limits = replace(desk.limits, pages=4)
    desk.close_page("g")
    with pytest.raises(BusyError, match="4 pages are open, and all are painting"):
        desk.submit("h", order)


def test_a_page_that_closes_frees_its_place_and_its_files(desk: JobQueue, photo: str, painting: str) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    until(desk, "a", lambda view: steps(view) > 2)
    desk.submit("b", JobRequest(content=photo, styles=(painting,), settings=LONG))
    desk.submit("c", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    folder = Path(desk.folder("a"))
    assert folder.is_dir()
    desk.close_page("b")
    desk.close_page("a")
    assert not folder.exists()
    assert until(desk, "c", lambda view: view.is_settled).state == "finished"
    assert desk.view("a") == desk.view("b") == JobStatus()


def test_a_worker_that_is_killed_is_replaced(desk: JobQueue, photo: str, painting: str) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    until(desk, "a", lambda view: steps(view) > 2)
    desk.submit("b", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
    failed = until(desk, "a", lambda view: view.is_settled)
    assert failed.state == "failed"
    assert "memory ran out" in failed.text
    assert until(desk, "b", lambda view: view.is_settled).state == "finished"


def test_an_order_that_cannot_be_says_why_and_the_next_one_is_painted(
    desk: JobQueue, photo: str, painting: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(photo).read_bytes()[:500])
    desk.submit("a", JobRequest(content=str(bad), styles=(painting,), settings=SHORT))
    view = until(desk, "a", lambda view: view.is_settled)
    assert (view.state, "cut off or damaged" in view.text) == ("failed", True)
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings={**SHORT, "nonsense": 1}))
    view = until(desk, "a", lambda view: view.is_settled)
    assert (view.state, "went wrong in Impasto" in view.text) == ("failed", True)
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    assert until(desk, "a", lambda view: view.is_settled).state == "finished"


def test_it_is_foreseen_what_an_order_takes(desk: JobQueue, photo: str, painting: str) -> None:
    order = JobRequest(content=photo, styles=(painting,), settings=SHORT)
    found = desk.estimate(order, timeout=60)
    assert (found.width, found.height) == (64, 48)
    assert found.seconds > 0
    assert 10_000_000 < found.bytes < found.limit
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    until(desk, "a", lambda view: steps(view) > 2)
    assert desk.estimate(order, timeout=60).width == 64  # between two steps
    with pytest.raises(SettingsError, match="strength is 7"):
        desk.estimate(JobRequest(content=photo, styles=(painting,), settings={"strength": 7}), timeout=60)


def test_an_order_ends_when_its_time_is_over(desk: JobQueue, photo: str, painting: str) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    until(desk, "a", lambda view: steps(view) > 2)
    assert desk.view("a").state == "working"
    desk.limits = replace(LIMITS, seconds=0.5)
    assert until(desk, "a", lambda view: view.is_settled).state == "stopped"


@pytest.mark.parametrize("recipe", ["content", "style", "features"])
def test_the_papers_orders(desk: JobQueue, photo: str, painting: str, recipe: str) -> None:
    settings = {
        "content": {"layer": "conv2_1", "size": 48, "steps": 5, "scales": 1},
        "style": {"layers": "conv1_1,conv2_1", "size": "48", "steps": 5, "scales": 1},
        "features": {"layer": "conv2_1", "size": 64},
    }[recipe]
    styles = (painting,) if recipe == "style" else ()
    content = "" if recipe == "style" else photo
    desk.submit("a", JobRequest(recipe=recipe, content=content, styles=styles, settings=settings))  # type: ignore[arg-type]
    view = until(desk, "a", lambda view: view.is_settled)
    assert view.state == "finished", view.text
    assert read_picture(view.files[0]).width > 0


def test_a_figures_panels_appear_one_after_another(desk: JobQueue, photo: str, painting: str) -> None:
    order = JobRequest(recipe="figure", content=photo, styles=(painting,), settings={"size": 32, "steps": 2})
    desk.submit("a", order)
    counts = [len(view.files) for view in follow(desk, "a")]
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    view = desk.view("a")
    assert view.state == "finished", view.text
    assert Path(view.files[0]).name == "figure.png"
    assert len(view.files) == 11


def test_areas_that_match_are_found_as_layers_to_mend(
    desk: JobQueue, photo: str, painting: str, tmp_path: Path
) -> None:
    job = JobRequest(recipe="regions", content=photo, styles=(painting,), folder=str(tmp_path))
    layers = [read_picture(file) for file in desk.find_masks(job).files]
    assert [layer.pixels.shape[2:] for layer in layers] == [
        read_picture(file).pixels.shape[2:] for file in (photo, painting)
    ]
    colors = {format_color(color) for layer in layers for color in read_color_mask(layer).colors}
    assert len(colors) > 1
    assert colors <= set(REGION_COLORS)
    with pytest.raises(ImageError, match=r"no such file|does not exist|there is no"):
        desk.find_masks(replace(job, content=str(tmp_path / "none.png")))


def test_strokes_of_a_brush_become_regions(desk: JobQueue, photo: str, painting: str, tmp_path: Path) -> None:
    """Red on the left of both; the rest, unpainted, stays a photo."""
    drawn = []
    for name, height, width in (("photo", 36, 48), ("painting", 40, 40)):
        strokes = scene(height, width) * 0
        strokes[:, 0] = 1
        alpha = (strokes[:, :1] * 0).clone()
        alpha[..., : width // 2] = 1
        write_picture(Picture(strokes, alpha, name), tmp_path / f"{name}.png")
        drawn.append(str(tmp_path / f"{name}.png"))
    order = JobRequest(
        content=photo, styles=(painting,), settings=SHORT, strokes=tuple(drawn), keep_unpainted=True
    )
    desk.submit("a", order)
    view = until(desk, "a", lambda view: view.is_settled)
    assert view.state == "finished", view.text
    manifest = manifests.read(view.files[0])
    assert manifest["settings"]["keep"] == "black"
    assert sorted(manifest["inputs"]) == ["content", "regions", "style", "style-regions"]
    painted, before = read_picture(view.files[2]).pixels, read_picture(photo)
    from impasto.image.resize import resize

    here = resize(before.pixels, 48, 64)
    difference = (painted - here).abs().amax(1)[0]
    assert difference[:, 40:].max() < 2e-3  # kept
    assert difference[:, :24].mean() > 0.02


def test_what_is_steered_while_it_rests_holds_when_it_goes_on(
    desk: JobQueue, photo: str, painting: str
) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=LONG))
    before = until(desk, "a", lambda view: steps(view) > 5)
    desk.steer("a", {"strength": 0.0})
    desk.pause("a")  # before the worker has heard of the first
    until(desk, "a", lambda view: view.is_settled)
    desk.steer("a", {"style_scale": 0.5})
    desk.resume("a")
    assert before.step is not None
    assert before.step["style"] > 0
    until(desk, "a", lambda view: view.step is not None and view.step["style"] == 0)
    desk.stop("a")
    view = until(desk, "a", lambda view: view.is_settled)
    turns = manifests.read(view.files[0])["turns"]
    assert {k: v for turn in turns for k, v in turn["settings"].items()} == {
        "strength": 0.0,
        "style_scale": 0.5,
    }


def test_uploads_may_vanish_while_an_order_waits_or_rests(
    desk: JobQueue, photo: str, painting: str, tmp_path: Path
) -> None:
    own = [shutil.copy(path, tmp_path) for path in (photo, painting)]
    desk.submit("a", JobRequest(content=own[0], styles=(own[1],), settings=LONG))
    for path in own:
        Path(path).unlink()
    until(desk, "a", lambda view: steps(view) > 2)
    desk.pause("a")
    paused = until(desk, "a", lambda view: view.is_settled)
    desk.resume("a")
    until(desk, "a", lambda view: steps(view) > steps(paused) + 2)
    with pytest.raises(ImageError, match="is no longer here"):
        desk.submit("b", JobRequest(content=own[0], styles=(own[1],), settings=LONG))


def test_paused_before_it_began_it_begins_when_it_is_resumed(
    desk: JobQueue, photo: str, painting: str
) -> None:
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    desk.pause("a")
    until(desk, "a", lambda view: view.is_settled)
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    until(desk, "a", lambda view: view.state == "working")
    desk.pause("a")
    if until(desk, "a", lambda view: view.is_settled).state == "paused":
        desk.resume("a")
    assert until(desk, "a", lambda view: view.is_settled).state == "finished"


def test_a_worker_that_dies_while_it_rests_costs_nobody_a_painting(
    desk: JobQueue, photo: str, painting: str
) -> None:
    order = JobRequest(content=photo, styles=(painting,), settings=SHORT)
    desk.estimate(order, timeout=60)
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
    time.sleep(1.0)  # the desk looks after it when there is something to do
    desk.submit("a", order)
    assert until(desk, "a", lambda view: view.is_settled).state == "finished"


def test_a_question_that_fails_in_an_unforeseen_way_is_answered(
    desk: JobQueue, photo: str, painting: str
) -> None:
    order = JobRequest(content=photo, styles=(painting,), settings={**SHORT, "layers": 7})
    with pytest.raises(ImpastoError):
        desk.estimate(order, timeout=60)
    desk.submit("a", JobRequest(content=photo, styles=(painting,), settings=SHORT))
    assert until(desk, "a", lambda view: view.is_settled).state == "finished"


def test_messages_name_files_and_not_where_they_are() -> None:
    order = JobRequest(content="/tmp/x/photo.png", styles=("/tmp/y/painting.png",), folder="/tmp/z")
    said = without_paths("content image '/tmp/x/photo.png' and /tmp/z/mask.png, '/tmp/y/painting.png'", order)
    assert said == "content image 'photo.png' and mask.png, 'painting.png'"


def test_a_long_curve_is_thinned() -> None:
    curve: tuple[int, ...] = ()
    for number in range(10 * ROWS):
        curve = thinned((*curve, number))
    assert len(curve) <= ROWS + 1
    assert curve[0] == 0
    assert curve[-1] == 10 * ROWS - 1
    assert list(curve) == sorted(set(curve))
