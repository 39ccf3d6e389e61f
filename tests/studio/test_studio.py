"""The queue and its worker process: jobs wait, are painted, paused, stopped, resumed and steered."""

import os
import shutil
import signal
import tempfile
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
from impasto.image.resize import resize
from impasto.image.write import write_picture
from impasto.results import manifest as manifests
from impasto.studio import folders
from impasto.studio.job_queue import ROWS, JobQueue, in_hours, thinned
from impasto.studio.messages import FORMATS, JobRequest, JobStatus, Limits
from impasto.studio.preview import without_paths
from impasto.system.scratch import scratch
from small import scene

LONG = {"size": 128, "steps": 100_000, "optimizer": "adam", "scales": 1}
"""Does not end by itself: Adam, unlike L-BFGS, continues even if the loss hardly falls."""

SHORT = {"size": 64, "steps": 6, "scales": 1, "precision": "float32"}

LIMITS = Limits(waiting=3, seconds=600)


def follow(queue: JobQueue, page: str) -> Iterator[JobStatus]:
    """The page's statuses as they change, until the job is settled."""
    version = -1
    while True:
        status = queue.view(page)
        if status.version != version:
            version = status.version
            yield status
        if status.is_settled:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def shared_queue(small_file: str, decoder_file: str) -> Iterator[JobQueue]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_DECODER", decoder_file)
        patch.setenv("OMP_NUM_THREADS", "1")
        queue = JobQueue(common={"weights": small_file}, limits=LIMITS)
        yield queue
        queue.close()
        assert not Path(queue.root).exists()


@pytest.fixture
def queue(shared_queue: JobQueue) -> Iterator[JobQueue]:
    """An empty queue. All tests share its worker, which takes seconds to start."""
    yield shared_queue
    for page in "abcdefgh":
        shared_queue.close_page(page)
    shared_queue.limits = LIMITS


@pytest.fixture
def endless(photo: str, painting: str) -> JobRequest:
    return JobRequest(content=photo, styles=(painting,), settings=LONG)


@pytest.fixture
def short(photo: str, painting: str) -> JobRequest:
    return JobRequest(content=photo, styles=(painting,), settings=SHORT)


def until(
    queue: JobQueue, page: str, condition: Callable[[JobStatus], bool], limit: float = 60.0
) -> JobStatus:
    """Wait until the condition holds for the page's status, and return the status."""
    began = time.monotonic()
    while not condition(queue.view(page)):
        assert time.monotonic() - began < limit, queue.view(page)
        time.sleep(0.05)
    return queue.view(page)


def settled(queue: JobQueue, page: str) -> JobStatus:
    """Wait until the page's job has ended or is paused, and return its status."""
    return until(queue, page, lambda view: view.is_settled)


def steps(view: JobStatus) -> int:
    return view.step["step"] if view.step else 0


def kill_worker() -> None:
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)


def test_a_draft_is_told_with_the_size_of_its_picture(queue: JobQueue, short: JobRequest) -> None:
    """Its last step is at half of that size."""
    queue.submit("a", replace(short, settings={**short.settings, "size": 96, "scales": 2, "finest_steps": 0}))
    last = settled(queue, "a")
    assert last.state == "finished"
    assert last.step is not None
    assert (last.step["width"], last.step["height"]) == (96, 72)
    picture = read_picture(last.files[0])
    assert (picture.width, picture.height) == (96, 72)


def test_a_job_is_painted_and_saved_and_can_be_rerun(
    queue: JobQueue, photo: str, painting: str, small_file: str, short: JobRequest
) -> None:
    queue.submit("a", short)
    views = list(follow(queue, "a"))
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
    rerun = impasto.rerun(last.files[2], content=photo, style=painting, weights=small_file)
    assert (rerun.picture.pixels - read_picture(last.files[2]).pixels).abs().max() < 1e-4


def test_a_paused_or_stopped_job_resumes_where_it_was(queue: JobQueue, endless: JobRequest) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: steps(view) > 5)
    queue.pause("a")
    paused = settled(queue, "a")
    assert (paused.state, paused.files) == ("paused", ())
    queue.resume("a")
    until(queue, "a", lambda view: steps(view) > steps(paused) + 3)
    queue.stop("a")
    stopped = settled(queue, "a")
    assert (stopped.state, stopped.text) == ("stopped", "Stopped; this is the picture so far.")
    assert not manifests.read(stopped.files[0])["result"]["complete"]
    queue.resume("a")
    later = until(queue, "a", lambda view: steps(view) > steps(stopped) + 3)
    assert later.curve[0] == stopped.curve[0]
    queue.stop("a")
    settled(queue, "a")


def test_a_running_job_can_be_steered(queue: JobQueue, endless: JobRequest) -> None:
    queue.submit("a", endless)
    before = until(queue, "a", lambda view: steps(view) > 5)
    queue.steer("a", {"strength": 0.0})
    assert before.step is not None
    assert before.step["style"] > 0
    after = until(queue, "a", lambda view: view.step is not None and view.step["style"] == 0)
    assert after.state == "working"
    queue.steer("a", {"size": 64})
    until(queue, "a", lambda view: "size cannot change" in view.text)
    queue.stop("a")
    view = settled(queue, "a")
    (turn,) = manifests.read(view.files[0])["turns"]
    assert turn["settings"] == {"strength": 0.0}


def test_other_pages_wait_in_order_and_see_their_position(
    queue: JobQueue, endless: JobRequest, short: JobRequest
) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: view.state == "working")
    for page in ("b", "c", "d"):
        queue.submit(page, short)
    for _ in range(100):
        queue.submit("b", short)  # a hundred clicks submit one job
    assert [queue.view(page).position for page in "abcd"] == [0, 1, 2, 3]
    queue.steer("b", {"strength": 0.7})  # before it begins, this only changes its settings
    queue.stop("c")  # cancelled
    assert queue.view("c").state == "nothing"
    assert [queue.view(page).position for page in "abd"] == [0, 1, 2]
    queue.pause("a")  # lets the others begin
    assert settled(queue, "d").state == "finished"
    manifest = manifests.read(queue.view("b").files[0])
    assert manifest["settings"]["strength"] == 0.7
    assert "turns" not in manifest
    assert queue.view("a").state == "paused"


def test_too_many_jobs_and_pages_are_refused(queue: JobQueue, endless: JobRequest) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: view.state == "working")
    for page in ("b", "c", "d"):
        queue.submit(page, endless)
    with pytest.raises(BusyError, match="3 pictures are waiting already; the limit is 3"):
        queue.submit("e", endless)
    queue.limits = replace(queue.limits, pages=5)
    queue.close_page("d")
    queue.submit("f", endless)
    with pytest.raises(BusyError, match="3 pictures are waiting"):
        queue.submit("g", endless)
    queue.limits = replace(queue.limits, pages=4, waiting=4)
    with pytest.raises(BusyError, match="4 pages are open, and all are painting"):
        queue.submit("h", endless)


def test_closing_a_page_ends_its_job_and_removes_its_files(
    queue: JobQueue, endless: JobRequest, short: JobRequest
) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: steps(view) > 2)
    queue.submit("b", endless)
    queue.submit("c", short)
    folder = Path(queue.folder("a"))
    assert folder.is_dir()
    queue.close_page("b")
    queue.close_page("a")
    assert not folder.exists()
    assert settled(queue, "c").state == "finished"
    assert queue.view("a") == queue.view("b") == JobStatus()


def test_a_worker_that_is_killed_is_replaced(queue: JobQueue, endless: JobRequest, short: JobRequest) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: steps(view) > 2)
    queue.submit("b", short)
    kill_worker()
    failed = settled(queue, "a")
    assert failed.state == "failed"
    assert "memory ran out" in failed.text
    assert settled(queue, "b").state == "finished"


def test_a_job_that_fails_says_why_and_the_next_one_is_painted(
    queue: JobQueue, photo: str, short: JobRequest, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(photo).read_bytes()[:500])
    queue.submit("a", replace(short, content=str(bad)))
    view = settled(queue, "a")
    assert (view.state, "cut off or damaged" in view.text) == ("failed", True)
    queue.submit("a", replace(short, settings={**SHORT, "nonsense": 1}))
    view = settled(queue, "a")
    assert (view.state, "went wrong in Impasto" in view.text) == ("failed", True)
    queue.submit("a", short)
    assert settled(queue, "a").state == "finished"


def test_the_queue_estimates_size_time_and_memory(
    queue: JobQueue, endless: JobRequest, short: JobRequest
) -> None:
    estimate = queue.estimate(short, timeout=60)
    assert (estimate.width, estimate.height) == (64, 48)
    assert estimate.seconds > 0
    assert 10_000_000 < estimate.bytes < estimate.limit
    queue.submit("a", endless)
    until(queue, "a", lambda view: steps(view) > 2)
    assert queue.estimate(short, timeout=60).width == 64  # the worker answers between two steps
    with pytest.raises(SettingsError, match="strength is 7"):
        queue.estimate(replace(short, settings={"strength": 7}), timeout=60)


def test_a_job_is_stopped_at_the_time_limit_and_resumed_for_as_long_again(
    queue: JobQueue, endless: JobRequest
) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: steps(view) > 2)
    assert queue.view("a").state == "working"
    queue.limits = replace(LIMITS, seconds=1.8)
    stopped = settled(queue, "a")
    assert stopped.state == "stopped"
    assert stopped.text == "Stopped after 0.0005 hours, the studio's limit; this is the picture so far."
    queue.resume("a")
    again = settled(queue, "a")
    assert again.text == stopped.text
    assert steps(again) > steps(stopped)


def test_limits_are_told_in_hours() -> None:
    assert [in_hours(seconds) for seconds in (3600, 7200, 1800)] == ["1 hour", "2 hours", "0.5 hours"]


def test_a_refused_job_does_not_take_the_place_of_another_page(queue: JobQueue, short: JobRequest) -> None:
    queue.submit("a", short)
    files = settled(queue, "a").files
    queue.limits = replace(LIMITS, pages=1, waiting=0)
    with pytest.raises(BusyError, match="0 pictures are waiting already; the limit is 0"):
        queue.submit("b", short)
    assert queue.view("a").files == files
    assert all(Path(file).exists() for file in files)


def test_a_page_keeps_the_files_of_its_newest_jobs(
    queue: JobQueue, endless: JobRequest, short: JobRequest
) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: view.state == "working")
    for _ in range(folders.KEPT + 3):
        queue.submit("b", short)
        queue.stop("b")  # cancelled, because it waits
    assert len(list(Path(queue.folder("b")).iterdir())) == folders.KEPT


def test_a_new_job_takes_the_place_of_a_checkpoint(
    queue: JobQueue, endless: JobRequest, short: JobRequest
) -> None:
    queue.submit("a", endless)
    until(queue, "a", lambda view: steps(view) > 2)
    queue.stop("a")
    picture = Path(settled(queue, "a").files[0])
    checkpoint = picture.parents[1] / "checkpoint"
    assert checkpoint.exists()
    queue.submit("a", short)
    assert picture.exists()  # the page still shows it
    assert not checkpoint.exists()


def test_the_oldest_folders_make_room_for_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "KEPT", 3)
    (tmp_path / "another").mkdir()
    made = []
    for number in range(6):
        made.append(folders.new_folder(str(tmp_path), "job-"))
        os.utime(made[-1], (number, number))
    assert {str(path) for path in tmp_path.iterdir()} == {*made[-3:], str(tmp_path / "another")}


def test_the_queues_files_are_where_large_temporary_files_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    for folder in (str(tmp_path), ""):
        monkeypatch.setenv("TMPDIR", folder) if folder else monkeypatch.delenv("TMPDIR")
        queue = JobQueue(devices=())
        assert str(Path(queue.root).parent) == (folder or scratch())
        queue.close()


def test_closing_removes_the_files_even_if_it_is_interrupted_and_may_be_repeated() -> None:
    class Stubborn:
        class thread:
            @staticmethod
            def join(timeout: float) -> None:
                raise KeyboardInterrupt

    queue = JobQueue(devices=())
    queue._workers = [Stubborn]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        queue.close()
    assert not Path(queue.root).exists()
    queue._workers = []
    queue.close()


@pytest.mark.parametrize("recipe", ["content", "style", "features"])
def test_the_papers_recipes_are_painted(queue: JobQueue, photo: str, painting: str, recipe: str) -> None:
    settings = {
        "content": {"layer": "conv2_1", "size": 48, "steps": 5, "scales": 1},
        "style": {"layers": "conv1_1,conv2_1", "size": "48", "steps": 5, "scales": 1},
        "features": {"layer": "conv2_1", "size": 64},
    }[recipe]
    styles = (painting,) if recipe == "style" else ()
    content = "" if recipe == "style" else photo
    queue.submit("a", JobRequest(recipe=recipe, content=content, styles=styles, settings=settings))  # type: ignore[arg-type]
    view = settled(queue, "a")
    assert view.state == "finished", view.text
    assert read_picture(view.files[0]).width > 0


def test_a_figures_panels_appear_one_after_another(queue: JobQueue, photo: str, painting: str) -> None:
    job = JobRequest(recipe="figure", content=photo, styles=(painting,), settings={"size": 32, "steps": 2})
    queue.submit("a", job)
    counts = [len(view.files) for view in follow(queue, "a")]
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    view = queue.view("a")
    assert view.state == "finished", view.text
    assert Path(view.files[0]).name == "figure.png"
    assert len(view.files) == 11


def test_matching_regions_are_found_as_layers_for_the_editor(
    queue: JobQueue, photo: str, painting: str, tmp_path: Path
) -> None:
    job = JobRequest(recipe="regions", content=photo, styles=(painting,), folder=str(tmp_path))
    layers = [read_picture(file) for file in queue.find_masks(job).files]
    assert [layer.pixels.shape[2:] for layer in layers] == [
        read_picture(file).pixels.shape[2:] for file in (photo, painting)
    ]
    colors = {format_color(color) for layer in layers for color in read_color_mask(layer).colors}
    assert len(colors) > 1
    assert colors <= set(REGION_COLORS)
    with pytest.raises(ImageError, match=r"no such file|does not exist|there is no"):
        queue.find_masks(replace(job, content=str(tmp_path / "none.png")))


def test_strokes_of_a_brush_become_regions(
    queue: JobQueue, photo: str, painting: str, tmp_path: Path
) -> None:
    """The strokes are red on the left of both pictures; the unpainted rest of the photo is kept."""
    files = []
    for name, height, width in (("photo", 36, 48), ("painting", 40, 40)):
        strokes = scene(height, width) * 0
        strokes[:, 0] = 1
        alpha = (strokes[:, :1] * 0).clone()
        alpha[..., : width // 2] = 1
        write_picture(Picture(strokes, alpha, name), tmp_path / f"{name}.png")
        files.append(str(tmp_path / f"{name}.png"))
    job = JobRequest(
        content=photo, styles=(painting,), settings=SHORT, strokes=tuple(files), keep_unpainted=True
    )
    queue.submit("a", job)
    view = settled(queue, "a")
    assert view.state == "finished", view.text
    manifest = manifests.read(view.files[0])
    assert manifest["settings"]["keep"] == "black"
    assert sorted(manifest["inputs"]) == ["content", "regions", "style", "style-regions"]
    painted = read_picture(view.files[2]).pixels
    difference = (painted - resize(read_picture(photo).pixels, 48, 64)).abs().amax(1)[0]
    assert difference[:, 40:].max() < 2e-3  # kept
    assert difference[:, :24].mean() > 0.02


def test_settings_changed_while_paused_apply_after_resuming(queue: JobQueue, endless: JobRequest) -> None:
    queue.submit("a", endless)
    before = until(queue, "a", lambda view: steps(view) > 5)
    queue.steer("a", {"strength": 0.0})
    queue.pause("a")  # perhaps before the worker has received the change
    settled(queue, "a")
    queue.steer("a", {"style_scale": 0.5})
    queue.resume("a")
    assert before.step is not None
    assert before.step["style"] > 0
    until(queue, "a", lambda view: view.step is not None and view.step["style"] == 0)
    queue.stop("a")
    view = settled(queue, "a")
    turns = manifests.read(view.files[0])["turns"]
    assert {k: v for turn in turns for k, v in turn["settings"].items()} == {
        "strength": 0.0,
        "style_scale": 0.5,
    }


def test_uploads_may_be_deleted_while_a_job_waits_or_is_paused(
    queue: JobQueue, photo: str, painting: str, tmp_path: Path
) -> None:
    uploads = [shutil.copy(path, tmp_path) for path in (photo, painting)]
    job = JobRequest(content=uploads[0], styles=(uploads[1],), settings=LONG)
    queue.submit("a", job)
    for path in uploads:
        Path(path).unlink()
    until(queue, "a", lambda view: steps(view) > 2)
    queue.pause("a")
    paused = settled(queue, "a")
    queue.resume("a")
    until(queue, "a", lambda view: steps(view) > steps(paused) + 2)
    with pytest.raises(ImageError, match="is no longer here"):
        queue.submit("b", job)


def test_a_job_paused_before_it_began_can_be_resumed(queue: JobQueue, short: JobRequest) -> None:
    queue.submit("a", short)
    queue.pause("a")
    settled(queue, "a")
    queue.submit("a", short)
    until(queue, "a", lambda view: view.state == "working")
    queue.pause("a")
    if settled(queue, "a").state == "paused":
        queue.resume("a")
    assert settled(queue, "a").state == "finished"


def test_an_idle_worker_that_dies_is_replaced_for_the_next_job(queue: JobQueue, short: JobRequest) -> None:
    queue.estimate(short, timeout=60)
    kill_worker()
    time.sleep(1.0)  # the queue checks its worker when there is a job
    queue.submit("a", short)
    assert settled(queue, "a").state == "finished"


def test_an_estimate_that_fails_unexpectedly_raises_an_error(queue: JobQueue, short: JobRequest) -> None:
    with pytest.raises(ImpastoError):
        queue.estimate(replace(short, settings={**SHORT, "layers": 7}), timeout=60)
    queue.submit("a", short)
    assert settled(queue, "a").state == "finished"


def test_messages_name_files_without_their_folders() -> None:
    job = JobRequest(content="/tmp/x/photo.png", styles=("/tmp/y/painting.png",), folder="/tmp/z")
    text = without_paths("content image '/tmp/x/photo.png' and /tmp/z/mask.png, '/tmp/y/painting.png'", job)
    assert text == "content image 'photo.png' and mask.png, 'painting.png'"


def test_a_long_curve_is_thinned() -> None:
    curve: tuple[int, ...] = ()
    for number in range(10 * ROWS):
        curve = thinned((*curve, number))
    assert len(curve) <= ROWS + 1
    assert curve[0] == 0
    assert curve[-1] == 10 * ROWS - 1
    assert list(curve) == sorted(set(curve))
