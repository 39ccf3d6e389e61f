"""The studio's page in a real browser: Debian's chromium, headless."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, sync_playwright

from impasto.image.color_mask import read_color_mask
from impasto.image.picture import Picture
from impasto.image.read import read_picture
from impasto.image.write import write_picture
from impasto.results import manifest as manifests
from impasto.studio.brush_masks import masks_from_strokes
from served import studio
from small import save, scene, stripes

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
PATIENCE = 90_000
"""Milliseconds. They are many, because the browser renders on the processor, which other tests use too."""


@pytest.fixture(scope="module")
def server(small_file: str, decoder_file: str) -> Iterator[tuple[str, psutil.Process]]:
    with studio(small_file, decoder_file) as address_and_process:
        yield address_and_process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM and "CI" not in os.environ:
        pytest.skip("no chromium here: apt-get install chromium")
    assert CHROMIUM, "these tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Iterator[BrowserContext]:
    """A context that visitors with a large screen share. It caches the page's scripts."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def visit(
    browser: Browser, desktop: BrowserContext, server: tuple[str, psutil.Process]
) -> Iterator[Callable[..., Page]]:
    """Open the page as a new visitor. Errors of its scripts and foreign requests fail the test.

    Options are those of Playwright's `new_context`, and give the visitor a context of its own.
    """
    errors: list[str] = []
    pages: list[Page] = []

    def open_page(**options: object) -> Page:
        page = browser.new_page(**options) if options else desktop.new_page()  # type: ignore[arg-type]
        pages.append(page)
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.append(request.url) if _is_foreign(request.url) else None)
        page.goto(server[0])
        page.wait_for_selector("#photo input[type=file]", state="attached")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not errors


def _is_foreign(url: str) -> bool:
    return not re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", url)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("uploads")
    return save(scene(96, 128), folder / "photo.png"), save(stripes(96, 96), folder / "painting.png")


def state(page: Page, tab: str = "paint") -> str:
    return page.get_attribute(f"#{tab}-status .impasto-status", "data-state") or ""


def status_value(page: Page, name: str, tab: str = "paint") -> float:
    value = page.get_attribute(f"#{tab}-status .impasto-status", f"data-{name}")
    return float(value) if value else float("nan")


def until(page: Page, condition: Callable[[], bool], limit: float = PATIENCE / 1000) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, page.inner_text("body")[-1500:]
        page.wait_for_timeout(50)


def upload(page: Page, element: str, path: str) -> None:
    page.set_input_files(f"#{element} input[type=file]", path)
    page.wait_for_selector(f"#{element} img")


def choose(page: Page, pictures: tuple[str, str], steps: int = 100_000, size: int = 128) -> None:
    """Upload both pictures and set up a run of exactly so many steps: Adam does not end earlier."""
    upload(page, "photo", pictures[0])
    upload(page, "painting", pictures[1])
    set_number(page, "size", size)
    unfold(page, "Advanced settings", "#set-steps textarea")
    for name, value in (("steps", steps), ("scales", 1)):
        set_number(page, name, value)
    page.fill("#set-optimizer input", "adam")
    page.keyboard.press("Enter")
    page.wait_for_selector("#forecast [data-seconds]")


def unfold(page: Page, title: str, inside: str) -> None:
    """Open a folded part of the page. A click during the layout can be lost, and is repeated.

    A part that has opened, but is slow to show what is inside, is not clicked again: that would fold it.
    """
    title_text = page.get_by_text(title, exact=True)
    for _ in range(12):
        if not title_text.evaluate("element => element.closest('button').classList.contains('open')"):
            title_text.click()
        try:
            page.wait_for_selector(inside, timeout=4_000)
        except TimeoutError:
            continue
        return
    raise AssertionError(title)


def set_number(page: Page, name: str, value: float) -> None:
    box = page.locator(f"#set-{name} input[type=number], #set-{name} textarea").first
    box.fill(str(value))
    box.press("Tab")


def click(page: Page, element: str) -> None:
    """Click the first such element after a pause, no sooner than a person could.

    An event that begins just as the server closes the last stream of updates may get no updates, about once
    in 30 such clicks. According to Gradio's code, the browser takes the closing stream for an open one.
    """
    page.wait_for_timeout(700)
    page.locator(element).first.click()


def start(page: Page) -> None:
    click(page, "#paint-go")
    until(page, lambda: state(page) == "working" and page.locator("#paint-stage img").count() == 1)


def resume(page: Page) -> None:
    click(page, "#paint-resume")
    until(page, lambda: state(page) == "working")


def download(page: Page, kind: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.click(f"#paint-{kind}")
    target = folder / waiting.value.suggested_filename
    waiting.value.save_as(target)
    return target


def test_paint_watch_steer_stop_resume_and_download(
    visit: Callable[..., Page], pictures: tuple[str, str], tmp_path: Path
) -> None:
    page = visit()
    choose(page, pictures)
    # Wait for the new forecast; before that, the page shows the one for the earlier values.
    until(page, lambda: "128×96 pixels" in page.inner_text("#forecast"))
    assert re.search(r"pixels; about [\d.]+ (seconds|minutes|hours)", page.inner_text("#forecast"))
    start(page)
    images: set[str | None] = set()
    until(page, lambda: images.add(page.get_attribute("#paint-stage img", "src")) or len(images) >= 4)  # type: ignore[func-returns-value]
    assert "to go" in page.inner_text("#paint-status")
    assert status_value(page, "style") > 0
    set_number(page, "strength", 0)  # during the run, the style's weight becomes 0
    until(page, lambda: status_value(page, "style") == 0)
    assert re.search(r"strength 0\b", page.inner_text("#paint-status"))
    page.click("#paint-stop")
    until(page, lambda: state(page) == "stopped")
    before = page.inner_text("#paint-status")
    resume(page)
    page.click("#paint-pause")
    until(page, lambda: state(page) == "paused")
    resume(page)
    page.wait_for_timeout(500)
    page.click("#paint-stop")
    until(page, lambda: state(page) == "stopped")
    assert _step(page.inner_text("#paint-status")) > _step(before)
    for kind, bits in (("png", 8), ("jpeg", 8), ("tiff", 16)):
        file = download(page, kind, tmp_path)
        manifest = manifests.read(file)
        assert manifest["settings"]["size"] == 128
        assert manifest["turns"][0]["settings"] == {"strength": 0}
        assert [entry["path"] for entry in manifest["inputs"].values()] == ["photo.png", "painting.png"]
        picture = read_picture(file)
        assert (picture.width, picture.height) == (128, 96)
        levels = picture.pixels * (2**bits - 1)
        assert (levels - levels.round()).abs().max() < 0.01
    page.get_by_text("Compare with the photo", exact=True).click()
    page.wait_for_selector("#compare img")
    page.get_by_text("The pictures of this visit", exact=True).click()
    until(page, lambda: page.locator("#history img").count() >= 2)  # of both stops


def _step(text: str) -> int:
    match = re.search(r"step (\d+)", text)
    assert match, text
    return int(match[1])


def test_bundled_and_museum_paintings_can_be_chosen(
    visit: Callable[..., Page], pictures: tuple[str, str]
) -> None:
    page = visit()
    upload(page, "photo", pictures[0])
    click(page, "#shelf button.thumbnail-item")
    page.wait_for_selector("#painting img")
    first = page.get_attribute("#painting img", "src")
    page.get_by_text("paintings of the Metropolitan Museum").click()
    page.fill("#museum-search input, #museum-search textarea", "gogh")
    until(page, lambda: 0 < page.locator("#museum button.thumbnail-item").count() < 24)
    captions = page.locator("#museum .caption-label").all_inner_texts()
    assert captions
    assert all("van Gogh" in caption for caption in captions), captions
    click(page, "#museum button.thumbnail-item")
    until(page, lambda: page.get_attribute("#painting img", "src") != first)
    set_number(page, "size", 64)
    click(page, "#paint-go")
    until(page, lambda: state(page) == "finished")


def test_a_painting_is_picked_without_the_stream_of_updates(visit: Callable[..., Page]) -> None:
    """The page can miss the result of an event if the stream closes as it begins."""
    page = visit()
    page.route("**/queue/data*", lambda route: None)  # not answered
    page.locator("#shelf button.thumbnail-item").first.click()
    page.wait_for_selector("#painting img", timeout=20_000)
    page.unroute_all()


def test_the_shares_of_several_paintings_can_be_steered(
    visit: Callable[..., Page], pictures: tuple[str, str], tmp_path: Path
) -> None:
    page = visit()
    choose(page, pictures)
    page.get_by_text("More paintings", exact=True).click()
    upload(page, "painting-2", pictures[0])
    set_share(page, 2, 3)
    start(page)
    set_share(page, 1, 0.5)
    until(page, lambda: "blend 0.5,3" in page.inner_text("#paint-status"))
    page.click("#paint-stop")
    until(page, lambda: state(page) == "stopped")
    manifest = manifests.read(download(page, "png", tmp_path))
    assert manifest["settings"]["blend"] == "1,3"
    assert [turn["settings"] for turn in manifest["turns"]] == [{"blend": "0.5,3"}]


def set_share(page: Page, painting: int, value: float) -> None:
    box = page.locator(f"#share-{painting} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def test_the_page_reports_a_file_that_is_too_large(visit: Callable[..., Page], tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(70_000_000)
    page = visit()
    page.set_input_files("#photo input[type=file]", str(large))
    page.get_by_text(re.compile(r'exceed the maximum allowed size .*"large\.png"')).first.wait_for()
    assert page.locator("#photo img").count() == 0


def open_regions(visit: Callable[..., Page], pictures: tuple[str, str]) -> Page:
    """Open the page, set up a short run and unfold the regions."""
    page = visit()
    choose(page, pictures, steps=5, size=64)
    page.get_by_text("Regions", exact=True).click()
    return page


def test_a_region_is_drawn_with_the_brush(
    visit: Callable[..., Page], pictures: tuple[str, str], tmp_path: Path
) -> None:
    page = open_regions(visit, pictures)
    page.click("#regions-load")
    page.get_by_label("What I leave unpainted on the photo stays a photo").check()
    canvas = page.locator("#regions-photo canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 30, y)
    page.mouse.down()
    for stroke in range(5):
        page.mouse.move(x - 30 + 12 * stroke, y + 8 * (stroke % 3 - 1))
    page.mouse.up()
    page.wait_for_timeout(1000)
    click(page, "#paint-go")
    until(page, lambda: state(page) in ("finished", "failed"))
    assert state(page) == "finished", page.inner_text("#paint-status")
    manifest = manifests.read(download(page, "png", tmp_path))
    assert manifest["settings"]["keep"] == "black"
    assert manifest["inputs"]["regions"]["path"] == "regions-0.png"


def test_regions_found_by_the_studio_are_painted(
    visit: Callable[..., Page], pictures: tuple[str, str], tmp_path: Path
) -> None:
    page = open_regions(visit, pictures)
    page.click("#regions-find")
    page.locator("#regions-painting canvas").first.wait_for()
    page.wait_for_timeout(2000)
    click(page, "#paint-go")
    until(page, lambda: state(page) in ("finished", "failed"))
    assert state(page) == "finished", page.inner_text("#paint-status")
    inputs = manifests.read(download(page, "png", tmp_path))["inputs"]
    assert inputs["regions"]["path"] == "regions-0.png"
    assert inputs["style-regions"]["path"] == "regions-1.png"


def test_the_paper_tab_paints_a_reconstruction_and_features(
    visit: Callable[..., Page], pictures: tuple[str, str]
) -> None:
    page = visit()
    page.get_by_role("tab", name="Paper").click()
    upload(page, "paper-picture", pictures[0])
    click(page, "#paper-go")
    until(page, lambda: state(page, "paper") == "finished")
    reconstruction = page.get_attribute("#paper-stage img", "src")
    page.get_by_label("What a layer's filters respond to (features)").check()
    click(page, "#paper-go")
    until(
        page,
        lambda: (
            state(page, "paper") == "finished"
            and page.get_attribute("#paper-stage img", "src") != reconstruction
        ),
    )
    assert "channels of conv4_2" in page.inner_text("#paper-status")


def test_a_second_page_waits_until_the_first_is_closed(
    visit: Callable[..., Page], pictures: tuple[str, str]
) -> None:
    first, second = visit(), visit()
    # Both are set up before one paints: a page is slow while a job keeps the processors busy.
    choose(first, pictures)
    choose(second, pictures, steps=5)
    start(first)
    click(second, "#paint-go")
    until(second, lambda: state(second) == "waiting")
    assert "Waiting: next in line." in second.inner_text("#paint-status")
    first.close()
    until(second, lambda: state(second) == "finished")
    assert second.locator("#paint-stage img").count() == 1


def test_a_page_can_paint_again_after_its_worker_has_died(
    visit: Callable[..., Page], pictures: tuple[str, str], server: tuple[str, psutil.Process]
) -> None:
    page = visit()
    choose(page, pictures)
    start(page)
    (worker,) = [child for child in server[1].children() if "spawn_main" in " ".join(child.cmdline())]
    os.kill(worker.pid, signal.SIGKILL)
    until(page, lambda: state(page) == "failed")
    assert "memory ran out" in page.inner_text("#paint-status")
    set_number(page, "steps", 5)
    click(page, "#paint-go")
    until(page, lambda: state(page) == "finished")


def test_many_clicks_start_one_job(visit: Callable[..., Page], pictures: tuple[str, str]) -> None:
    page, other = visit(), visit()
    choose(page, pictures)
    choose(other, pictures, steps=5)
    page.wait_for_timeout(700)
    page.evaluate("for (let n = 0; n < 30; n++) document.querySelector('#paint-go').click()")
    until(page, lambda: state(page) == "working")
    page.evaluate("for (let n = 0; n < 30; n++) document.querySelector('#paint-go').click()")
    click(other, "#paint-go")
    until(other, lambda: state(other) == "waiting")
    assert "Waiting: next in line." in other.inner_text("#paint-status")
    page.click("#paint-stop")
    until(other, lambda: state(other) == "finished")
    until(page, lambda: state(page) == "stopped")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    visit: Callable[..., Page], pictures: tuple[str, str], scheme: str
) -> None:
    page = visit(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, color_scheme=scheme
    )
    upload(page, "photo", pictures[0])
    for text in ("More paintings", "Advanced settings", "How the loss falls"):
        page.get_by_text(text, exact=True).click()
    page.wait_for_timeout(500)
    for tab in ("Paper", "Paint"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", background)[:3])
    assert (red + green + blue < 200) == (scheme == "dark")


def test_every_control_has_a_name_and_the_keyboard_reaches_the_main_ones(visit: Callable[..., Page]) -> None:
    page = visit()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select, img, progress')]
        .filter(e => e.offsetParent !== null && !(e.innerText || '').trim()
            && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby') && !e.title && !e.alt
            && !(e.labels && e.labels.length)).map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    controls, reached = {"paint-go", "set-strength", "set-size"}, set()
    for _ in range(100):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('[id]')?.id"))
        if controls <= reached:
            break
    assert controls <= reached
    live = page.locator("#paint-status [role=status]")
    until(page, lambda: live.count() == 1)  # the page fills it once it has loaded


def test_a_bad_value_and_a_missing_picture_are_reported(
    visit: Callable[..., Page], pictures: tuple[str, str]
) -> None:
    page = visit()
    click(page, "#paint-go")
    page.get_by_text("There is no photo. Drop one, or pick one.").first.wait_for()
    upload(page, "photo", pictures[0])
    upload(page, "painting", pictures[1])
    unfold(page, "Advanced settings", "#set-layers")
    page.fill("#set-layers textarea, #set-layers input", "conv9_9")
    page.keyboard.press("Tab")
    page.get_by_text("conv9_9").nth(0).wait_for()
    until(page, lambda: "conv9_9" in page.inner_text("#forecast"))
    click(page, "#paint-go")
    page.locator(".toast-body", has_text="conv9_9").first.wait_for()
    assert state(page) == "nothing"


def test_masks_from_strokes_have_the_colours_of_the_strokes(tmp_path: Path) -> None:
    """The soft edge of a stroke on black does not become a third colour."""
    strokes = scene(40, 40) * 0
    strokes[:, 0] = 1
    alpha = strokes[:, :1] * 0
    alpha[..., 5:20, 5:20] = 1
    alpha[..., 20:22, 5:20] = 0.5
    write_picture(Picture(strokes, alpha, "strokes"), tmp_path / "s.png")
    files, keep = masks_from_strokes([str(tmp_path / "s.png"), ""], 3, False, str(tmp_path))
    assert keep == "black"
    assert [len(read_color_mask(read_picture(file)).colors) for file in files] == [2, 1, 1, 1]
