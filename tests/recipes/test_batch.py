"""Batches paint each picture as if it were alone and none twice; a failure stops no other picture."""

import io
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.distributed import TCPStore
from typer.testing import CliRunner, Result

import impasto
from impasto import StylizeSettings
from impasto.cli.main import app
from impasto.cli.progress_bars import RunBar
from impasto.errors import DeviceError, ImageError, ImpastoWarning, SettingsError, WeightsError
from impasto.image.read import read_picture
from impasto.image.resize import resized_pixels
from impasto.network.vgg import VGG19
from impasto.network.weight_files import by_tensor, save_tensors
from impasto.network.weights import expected_digest, load
from impasto.objective.targets import style_targets
from impasto.recipes import batch as batches
from impasto.recipes import contact_sheet as sheets
from impasto.recipes.batch import BatchProgress, iter_batch
from impasto.recipes.contact_sheet import CELL, GAP, MISSING, contact_sheet, thumbnail
from impasto.recipes.pairs import Pair, all_pairs, read_pairs, with_outputs
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.run.loop import iter_run
from impasto.style import cache as cache_module
from impasto.style import style_images
from impasto.style.style_images import read_styles
from impasto.system.distributed import wait_for_ranks
from small import save, scene, small_layers, stripes


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    options = {"layers": {"conv1_1": 1.0}, "content_layers": {"conv2_1": 1.0}, "precision": "float32"}
    options |= {"style_loss": "gram", "painting_detail": 0.0}
    return StylizeSettings(size=32, steps=2, finest_steps=1, scales=2, weights=small_file, **options)  # type: ignore[arg-type]


def save_pictures(folder: str, count: int, make: Callable[[int, int], torch.Tensor] = scene) -> list[str]:
    """Write pictures of different heights, 32 pixels wide, into a new folder."""
    Path(folder).mkdir()
    return [save(make(24 + 2 * index, 32), Path(folder) / f"{folder}{index}.png") for index in range(count)]


def damage(path: str) -> bytes:
    """Cut a picture file in half; return its bytes from before."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])
    return data


def states(stream: Iterator[BatchProgress]) -> dict[str, str]:
    """The state of each result by its file name, in order."""
    results = [progress for progress in stream if progress.state != "painting"]
    assert [progress.done for progress in results] == list(range(1, len(results) + 1))
    return {Path(progress.pair.output).name: progress.state for progress in results}


def run_command(small_file: str, *arguments: str) -> Result:
    size = ["--size", "32", "--steps", "2", "--finest-steps", "1", "--scales", "2"]
    return CliRunner().invoke(app, ["batch", *arguments, "-o", "out", *size, "--weights", small_file])


def inodes_and_times() -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path("out").iterdir()}


def no_network(*_: object, **__: object) -> None:
    raise AssertionError("the network was asked for")


def test_a_corrupt_photo_fails_alone_and_the_next_run_paints_only_what_is_missing(
    painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = save_pictures("a", 12)
    undamaged = damage(photos[4])
    first = run_command(small_file, "a", "--style", painting)
    assert first.exit_code == 1
    (failure,) = [line for line in first.stderr.splitlines() if line.startswith("Error")]
    assert failure.startswith(f"Error: {photos[4]} × {painting}: content image '{photos[4]}' is cut off")
    assert "11 painted, 0 skipped, 1 failed." in first.stderr
    expected = {f"a{index}-painting.png" for index in range(12) if index != 4}
    before = inodes_and_times()
    assert set(before) == expected
    assert all(manifests.read(f"out/{name}")["command"] == "stylize" for name in expected)

    with monkeypatch.context() as patch:
        patch.setattr(VGG19, "build", no_network)
        second = run_command(small_file, "a", "--style", painting)
    assert second.exit_code == 1
    assert "0 painted, 11 skipped, 1 failed." in second.stderr
    assert inodes_and_times() == before

    Path(photos[4]).write_bytes(undamaged)
    third = run_command(small_file, "a", "--style", painting)
    assert third.exit_code == 0
    assert "1 painted, 11 skipped, 0 failed." in third.stderr
    assert {name: stat for name, stat in inodes_and_times().items() if name in before} == before


def test_a_grid_holds_the_pictures_that_stylize_paints(quick: StylizeSettings) -> None:
    pairs = all_pairs(save_pictures("a", 2), save_pictures("b", 2, stripes))
    stream = list(iter_batch(pairs, "out", quick))
    assert [p.pair.output for p in stream if p.state == "painted"] == [
        f"out/{content}-{style}.png" for style in ("b0", "b1") for content in ("a0", "a1")
    ]
    assert all(p.step is not None for p in stream)
    for content, style, _ in pairs:
        impasto.stylize(content, style, quick).save("single.png")
        name = f"out/{Path(content).stem}-{Path(style).stem}.png"
        assert torch.equal(read_picture(name).pixels, read_picture("single.png").pixels)


def test_network_and_styles_are_loaded_once_whatever_the_order(
    quick: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    for module, name in (
        (cache_module, "load_vgg19"),
        (cache_module, "read_styles"),
        (style_images, "style_means"),
    ):

        def counted(
            *arguments: Any, _name: str = name, _original: Any = getattr(module, name), **options: Any
        ) -> Any:
            calls[_name] += 1
            return _original(*arguments, **options)

        monkeypatch.setattr(module, name, counted)
    photos, paintings = save_pictures("a", 3), save_pictures("b", 2, stripes)
    mixed = [(photo, style) for photo in photos for style in paintings]
    stream = [p for p in iter_batch(mixed, "out", quick) if p.state != "painting"]
    assert [p.state for p in stream] == ["painted"] * 6
    assert [p.number for p in stream] == [1, 3, 5, 2, 4, 6]
    assert calls == {"load_vgg19": 1, "read_styles": 2, "style_means": 2 * 2}  # styles × scales


def test_a_shared_cache_gives_each_plan_its_own_network_and_targets(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    """Styles, layers, networks and sizes alternate, and so do files and pictures in memory."""
    cache = impasto.Cache()
    other = read_picture(photo)
    cases = [
        (painting, quick),
        (other, quick),
        (painting, replace(quick, layers={"conv2_1": 1.0})),
        (painting, replace(quick, layers={"conv2_1": 1.0}, pooling="average")),
        ([painting, photo], replace(quick, blend="1,3")),
        (painting, replace(quick, size=48)),
    ]
    for style, settings in [*cases, *reversed(cases)]:
        plan = plan_stylize(photo, style, settings, cache=cache)
        assert plan.problem.network.pooling == settings.pooling
        assert plan.manifest["weights"]["sha256"] == expected_digest(settings.weights)
        paintings = read_styles(style, settings.blend)
        total_weight = sum(share.weight for share in paintings.shares)
        for scale, layout in zip(plan.scales, plan.layouts, strict=True):
            at_scale = [
                (paintings.at(number, size, plan.problem.network.device), share.weight / total_weight)
                for number, (size, share) in enumerate(
                    zip(paintings.sizes(scale.width, 1), paintings.shares, strict=True)
                )
            ]
            expected = style_targets(plan.problem.network, at_scale, list(settings.layers))
            terms = {term.name: term for term in plan.problem.objective(scale, layout).terms}
            for name, target in expected.items():
                assert torch.equal(terms[f"style {name}"].target, target)  # type: ignore[attr-defined]
    cpu = torch.device("cpu")
    for size in (16, 24):
        for picture in (other, read_picture(painting)):
            resized = cache.resized_pixels(picture, size, size, cpu)
            assert torch.equal(resized, resized_pixels(picture, size, size, cpu))
            assert cache.resized_pixels(picture, size, size, cpu) is resized


def test_the_bar_waits_for_the_first_painting() -> None:
    """Until then weights may still be downloading, which has its own bar."""
    console = Console(file=io.StringIO(), width=200)
    with RunBar(console) as bar:
        for state in ("skipped", "failed"):
            bar.batch(BatchProgress(Pair("a.png", "b.png", "out/x.png"), 1, 1, 2, state))  # type: ignore[arg-type]
            assert bar.task is None


def test_a_picture_is_painted_again_when_its_settings_or_files_changed(
    quick: StylizeSettings, tmp_path: Path
) -> None:
    photos, paintings = save_pictures("a", 2), save_pictures("b", 2, stripes)
    pairs = all_pairs(photos, paintings)

    def painted(settings: StylizeSettings = quick) -> set[str]:
        by_name = states(iter_batch(pairs, "out", settings))
        return {name.removesuffix(".png") for name, state in by_name.items() if state == "painted"}

    everything = {"a0-b0", "a1-b0", "a0-b1", "a1-b1"}
    assert painted() == everything
    assert painted() == set()
    shutil.copy(quick.weights, "elsewhere.safetensors")
    assert painted(replace(quick, device="cpu", threads=1, weights="elsewhere.safetensors")) == set()
    assert painted(replace(quick, strength=0.4)) == everything
    assert painted(replace(quick, strength=0.4)) == set()
    save(stripes(30, 30), Path(paintings[1]))
    assert painted(replace(quick, strength=0.4)) == {"a0-b1", "a1-b1"}
    save(scene(30, 30), Path(photos[0]))
    assert painted(replace(quick, strength=0.4)) == {"a0-b0", "a0-b1"}
    save_tensors(by_tensor(small_layers(seed=1)), tmp_path / "other.safetensors")
    assert painted(replace(quick, strength=0.4, weights=str(tmp_path / "other.safetensors"))) == everything
    start = save(scene(24, 32, seed=5), tmp_path / "start.png")
    assert painted(replace(quick, init=start)) == everything
    assert painted(replace(quick, init=start)) == set()
    save(scene(24, 32, seed=6), tmp_path / "start.png")
    assert painted(replace(quick, init=start)) == everything


def test_only_a_finished_painting_by_impasto_is_skipped(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    plan = plan_stylize(photo, painting, quick)
    first = next(iter_run(plan))
    Path("out").mkdir()
    first.painting().save("out/photo-painting.png")
    assert manifests.read("out/photo-painting.png")["result"]["complete"] is False
    assert states(iter_batch([(photo, painting)], "out", quick)) == {"photo-painting.png": "painted"}
    for content in (b"no picture", Path(photo).read_bytes()):
        Path("out/photo-painting.png").write_bytes(content)
        assert states(iter_batch([(photo, painting)], "out", quick)) == {"photo-painting.png": "painted"}
    impasto.reconstruct_content(
        photo, impasto.ReconstructContentSettings(size=32, steps=1, weights=quick.weights)
    ).save("out/photo-painting.png")
    assert states(iter_batch([(photo, painting)], "out", quick)) == {"photo-painting.png": "painted"}
    assert states(iter_batch([(photo, painting)], "out", quick)) == {"photo-painting.png": "skipped"}


def test_leaving_the_loop_keeps_the_finished_pictures(painting: str, quick: StylizeSettings) -> None:
    pairs = all_pairs(save_pictures("a", 3), [painting])
    for progress in iter_batch(pairs, "out", quick):
        if progress.number == 2:
            break
    assert [path.name for path in Path("out").iterdir()] == ["a0-painting.png"]
    assert list(states(iter_batch(pairs, "out", quick)).values()) == ["skipped", "painted", "painted"]


def interrupt_second_run(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise `error` after the first step of the second picture's run."""
    count = iter(range(100))

    def interrupted(plan: Any) -> Iterator[Any]:
        stream = iter_run(plan)
        if next(count) == 1:
            yield next(stream)
            raise error
        yield from stream

    monkeypatch.setattr(batches, "iter_run", interrupted)


def test_ctrl_c_keeps_the_finished_pictures(
    painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pictures("a", 3)
    interrupt_second_run(KeyboardInterrupt(), monkeypatch)
    result = run_command(small_file, "a", "--style", painting, "--contact-sheet", "sheet.png")
    assert result.exit_code == 130
    assert "1 painted, 0 skipped, 0 failed." in result.stderr
    assert list(inodes_and_times()) == ["a0-painting.png"]
    assert not Path("sheet.png").exists()


def test_a_picture_too_large_for_the_memory_fails_alone(
    painting: str, quick: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = all_pairs(save_pictures("a", 3), [painting])
    with monkeypatch.context() as patch:
        interrupt_second_run(DeviceError("the memory does not suffice for a picture of 32×26."), patch)
        assert list(states(iter_batch(pairs, "out", quick)).values()) == ["painted", "failed", "painted"]

    def out_of_memory(content: str, *arguments: Any, **options: Any) -> Any:
        if "a1" in content:
            raise MemoryError
        return plan_stylize(content, *arguments, **options)

    monkeypatch.setattr(batches, "plan_stylize", out_of_memory)
    errors = [progress.error for progress in iter_batch(pairs, "out", quick)]
    assert [error for error in errors if error] == [
        "the memory does not suffice to read the pictures. Make them smaller first."
    ]


def test_an_error_that_concerns_all_pictures_ends_the_batch(
    painting: str, quick: StylizeSettings, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = save_pictures("a", 2)
    pairs = all_pairs(photos, [painting])
    with pytest.raises(WeightsError, match="nowhere"):
        states(iter_batch(pairs, "new/folder", replace(quick, weights="nowhere.safetensors")))
    with pytest.raises(DeviceError, match="cuda:7"):
        states(iter_batch(pairs, "out", replace(quick, device="cuda:7")))
    with pytest.raises(ImageError, match=r"init image 'gone\.png' does not exist"):
        states(iter_batch(pairs, "out", replace(quick, init="gone.png")))
    with pytest.raises(ImageError, match=r"cannot make the folder '.*a0\.png/out': Not a directory"):
        states(iter_batch(pairs, f"{photos[0]}/out", quick))
    with pytest.raises(SettingsError, match=r"format is 'gif'; results are written as one of \.jpg"):
        states(iter_batch(pairs, "out", quick, format="gif"))
    with pytest.raises(ImageError, match=r"out/CONTENT-STYLE\.webp.*at most 16,383 pixels"):
        states(iter_batch(pairs, "out", replace(quick, size=20000), format="webp"))

    def disk_full(*_: object, **__: object) -> None:
        raise ImageError("cannot write: No space left on device.")

    monkeypatch.setattr("impasto.results.painting.write_picture", disk_full)
    result = run_command(small_file, "a", "--style", painting)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: cannot write: No space left on device. ")


def test_a_write_protected_result_fails_alone(painting: str, quick: StylizeSettings) -> None:
    pairs = all_pairs(save_pictures("a", 2), [painting])
    Path("out").mkdir()
    save(scene(20, 20), Path("out/a0-painting.png"))
    Path("out/a0-painting.png").chmod(0o444)
    assert list(states(iter_batch(pairs, "out", quick)).values()) == ["failed", "painted"]


def test_a_folder_stands_for_its_pictures(quick: StylizeSettings) -> None:
    photos = save_pictures("a", 2)
    Path("a/.hidden.png").write_bytes(b"")
    Path("a/notes.txt").write_text("buy paint")
    Path("a/inner").mkdir()
    Path(photos[0]).rename("a/without-ending")
    with pytest.warns(
        ImpastoWarning, match=r"left out of 'a', as no pictures that can be read: notes\.txt\."
    ):
        pairs = all_pairs(["a"], ["b.png", "c.png"])
    assert [pair.content for pair in pairs] == [photos[1], "a/without-ending"] * 2
    assert [pair.style for pair in pairs] == ["b.png"] * 2 + ["c.png"] * 2
    with pytest.raises(ImageError, match="no pictures in the folder 'a/inner'"):
        all_pairs(["a/inner"], ["b.png"])


def test_results_may_not_go_into_the_folder_of_the_inputs(painting: str, small_file: str) -> None:
    photos = save_pictures("a", 2)
    with pytest.raises(SettingsError, match="results would go into 'a', where the pictures are"):
        all_pairs(["a"], [painting], written=["./a"])
    result = run_command(small_file, "a", "--style", painting, "--contact-sheet", "a/sheet.png")
    assert result.exit_code == 2
    with pytest.raises(SettingsError, match=r"'a/a0\.png', would overwrite the content image"):
        with_outputs([(photos[0], painting, "a0.png")], "a", "png")


def test_two_results_with_the_same_name_are_refused(quick: StylizeSettings) -> None:
    with pytest.raises(
        SettingsError,
        match=r"a/x\.jpg × s\.jpg, 'out/x-s\.png', and the result of b/x\.jpg × s\.jpg, .* are one file",
    ):
        next(iter_batch([("a/x.jpg", "s.jpg"), ("b/x.jpg", "s.jpg")], "out", quick))
    with pytest.raises(SettingsError, match="are one file"):
        with_outputs([("a-b.jpg", "c.jpg"), ("a.jpg", "b-c.jpg")], "out", "png")
    with pytest.raises(SettingsError, match="no pairs to paint"):
        next(iter_batch([], "out", quick))
    assert not Path("out").exists()


def test_the_pairs_of_a_list_are_painted(painting: str, quick: StylizeSettings, small_file: str) -> None:
    Path("lists").mkdir()
    Path("lists/pairs.csv").write_text(
        "\ufeffContent, Style ,output\n\n# a comment, with commas\n"
        'a0.png,"b,0.png"\na1.png\tb1.png\tmonet/one.jpg\n a2.png , b1.png , two\n'
    )
    assert read_pairs("lists/pairs.csv") == [
        ("lists/a0.png", "lists/b,0.png", ""),
        ("lists/a1.png", "lists/b1.png", "monet/one.jpg"),
        ("lists/a2.png", "lists/b1.png", "two"),
    ]
    for name in ("a0", "a1", "a2", "b1"):
        save(scene(24, 32), Path(f"lists/{name}.png"))
    shutil.copy(painting, "lists/b,0.png")
    result = run_command(small_file, "--list", "lists/pairs.csv", "--format", "webp")
    assert result.exit_code == 0, result.output
    written = {str(path) for path in Path("out").rglob("*.*")}
    assert written == {"out/a0-b,0.webp", "out/monet/one.jpg", "out/two.webp"}


def test_bad_lines_are_named_and_nothing_is_painted(small_file: str) -> None:
    lines = [
        "a.png,b.png",
        "alone.png",
        "a.png,b.png,../c.png",
        ",b.png",
        "a.png,b.png,c.gif",
        'a.png,"b.png',
    ]
    Path("pairs.csv").write_text("\n".join(lines))
    result = run_command(small_file, "--list", "pairs.csv")
    assert result.exit_code == 2
    assert not Path("out").exists()
    for part in (
        "pairs.csv:2: 1 field instead of 2 or 3; pairs.csv:3: the output '../c.png' leads out",
        "pairs.csv:4: no content is named; and 2 more. A line is content,style",
    ):
        assert part in result.stderr
    for line, message in {
        "a,b,c,d": "4 fields",
        "a,": "no style",
        "a,b,/c.png": "leads out",
        "a,b,c.gif": "no known ending",
        'a,"b': "unexpected end",
    }.items():
        Path("pairs.csv").write_text(line)
        with pytest.raises(SettingsError, match=rf"^pairs\.csv:1: .*{message}"):
            read_pairs("pairs.csv")
    Path("pairs.csv").write_text("# nothing\n")
    with pytest.raises(SettingsError, match="names no pair"):
        read_pairs("pairs.csv")
    Path("pairs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="no UTF-8"):
        read_pairs("pairs.csv")
    with pytest.raises(SettingsError, match=r"gone\.csv' cannot be read: No such file"):
        read_pairs("gone.csv")


def test_the_command_needs_photos_and_a_style_or_a_list(photo: str, painting: str, small_file: str) -> None:
    for arguments in ([photo], ["--style", painting], [photo, "--list", "l.csv"], []):
        result = run_command(small_file, *arguments)
        assert result.exit_code == 2, arguments
        assert "batch needs either CONTENT... with --style, or --list alone" in result.stderr


def test_processes_share_the_pairs(
    quick: StylizeSettings, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = all_pairs(save_pictures("a", 3), save_pictures("b", 2, stripes))
    results = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        results.append(set(states(iter_batch(pairs, f"out{rank}", quick))))
    assert len(results[0]) == len(results[1]) == 3
    assert results[0] | results[1] == {f"a{i}-b{j}.png" for i in range(3) for j in range(2)}
    result = run_command(small_file, "a", "--style", painting)
    assert "Rank 1 of 2: 1 painted" in result.stderr
    result = run_command(small_file, "a", "--style", painting, "--contact-sheet", "sheet.png")
    assert result.exit_code == 2
    assert "Run again without torchrun afterwards" in result.stderr
    for bad in ("2", "-1", "one", ""):
        monkeypatch.setenv("RANK", bad)
        with pytest.raises(SettingsError, match=rf"RANK is '{bad}' of WORLD_SIZE '2'"):
            next(iter_batch(pairs, "out", quick))


def test_processes_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads stand for two processes, and a store made here for torchrun's."""
    wait_for_ranks()  # returns at once without torchrun
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    for name, value in {
        "TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True", "RANK": "0", "WORLD_SIZE": "2",
        "MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    other = threading.Thread(target=wait_for_ranks, daemon=True)
    other.start()
    time.sleep(0.5)
    assert other.is_alive()
    wait_for_ranks()
    other.join(10)
    assert not other.is_alive()


def cell(sheet: torch.Tensor, column: int, top: int, height: int) -> torch.Tensor:
    """The part of the sheet in a column of cells, from `top` on."""
    left = GAP + column * (CELL + GAP)
    return sheet[:, :, top : top + height, left : left + CELL]


def thumbnails(*paths: str) -> list[torch.Tensor]:
    images = [thumbnail(path, CELL) for path in paths]
    assert all(image is not None and max(image.shape) == CELL for image in images)
    return [image for image in images if image is not None]


def test_a_contact_sheet_of_a_grid_shows_each_result_in_its_cell(small_file: str) -> None:
    photos, paintings = save_pictures("a", 3), save_pictures("b", 2, stripes)
    damage(photos[1])
    arguments = ("a", "--style", "b", "--contact-sheet", "sheet.png")
    assert run_command(small_file, *arguments).exit_code == 1
    first = Path("sheet.png").read_bytes()
    sheet = read_picture("sheet.png").pixels
    rows = [thumbnails(*paintings)]
    rows += [thumbnails(photos[i], f"out/a{i}-b0.png", f"out/a{i}-b1.png") for i in (0, 2)]
    heights = [max(image.shape[2] for image in row) for row in rows]
    tallest = max(heights)  # the height of the damaged photo's row, which has no picture
    assert sheet.shape == (1, 3, sum(heights) + tallest + 5 * GAP, 3 * CELL + 4 * GAP)
    assert float(cell(sheet, 0, GAP, heights[0]).min()) == 1  # the corner is empty

    tops = [GAP, 2 * GAP + heights[0], 4 * GAP + heights[0] + heights[1] + tallest]
    for row, top, height in zip(rows, tops, heights, strict=True):
        for column, image in enumerate(row, start=3 - len(row)):
            drawn = cell(sheet, column, top + (height - image.shape[2]) // 2, image.shape[2])
            assert float((drawn - image).abs().max()) < 0.51 / 255
    for column in range(3):
        missing = cell(sheet, column, tops[1] + heights[1] + GAP, tallest)
        assert float((missing - MISSING).abs().max()) < 1 / 255

    Path("sheet.png").unlink()
    second = run_command(small_file, *arguments)
    assert "0 painted, 4 skipped, 2 failed." in second.stderr
    assert Path("sheet.png").read_bytes() == first


def test_a_contact_sheet_of_a_list_has_a_row_for_each_pair_and_a_size_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = save_pictures("a", 4)
    transparent = impasto.Picture(torch.zeros(1, 3, 16, 32), torch.zeros(1, 1, 16, 32))
    impasto.write_picture(transparent, "transparent.png")
    pairs = [Pair(photos[0], photos[1], photos[2]), Pair(photos[1], photos[3], "transparent.png")]
    sheet = contact_sheet(pairs).pixels
    top = GAP
    for pair in pairs:
        row = thumbnails(*pair)
        height = max(image.shape[2] for image in row)
        for column, image in enumerate(row):
            drawn = cell(sheet, column, top + (height - image.shape[2]) // 2, image.shape[2])
            assert torch.equal(drawn, image)
        top += height + GAP
    assert sheet.shape[2:] == (top, GAP + 3 * (CELL + GAP))
    assert float(cell(sheet, 2, top - GAP - 128, 128).min()) == 1  # white: the picture is transparent
    monkeypatch.setattr(sheets, "LONGEST", 200)
    many = contact_sheet([Pair(photos[0], photos[1], f"{index}.png") for index in range(11)]).pixels
    assert max(many.shape) <= 200
    assert many.shape[3] > many.shape[2] / 2
    assert contact_sheet([pairs[0]]).pixels.shape[2] <= 200
    empty = contact_sheet([Pair("1.png", "2.png"), Pair("3.png", "4.png")]).pixels
    assert {round(float(value), 2) for value in empty.unique()} == {MISSING, 1.0}


def test_the_expected_digest_is_that_of_the_weights_loaded(
    small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert expected_digest(small_file) == load(small_file).sha256
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    assert expected_digest() == load().sha256
    monkeypatch.delenv("IMPASTO_WEIGHTS")
    assert expected_digest().startswith("01c6b9f9")
