"""Many pictures in one run: each as if painted alone, none twice, and one that fails stops no other."""

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
from impasto.network.weight_files import save as save_weights
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
from impasto.style import cache as workshops
from impasto.style import style_images
from impasto.style.style_images import read_styles
from impasto.system.distributed import wait_for_ranks
from small import save, scene, small_layers, stripes


@pytest.fixture
def quick(small_file: str) -> StylizeSettings:
    few = {"layers": {"conv1_1": 1.0}, "content_layers": {"conv2_1": 1.0}, "precision": "float32"}
    few |= {"style_loss": "gram", "painting_detail": 0.0}
    return StylizeSettings(size=32, steps=2, finest_steps=1, scales=2, weights=small_file, **few)  # type: ignore[arg-type]


def pictures(folder: str, count: int, make: Callable[[int, int], torch.Tensor] = scene) -> list[str]:
    Path(folder).mkdir()
    return [save(make(24 + 2 * index, 32), Path(folder) / f"{folder}{index}.png") for index in range(count)]


def damage(path: str) -> bytes:
    """Cut a picture off; its bytes as they were."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])
    return data


def states(stream: Iterator[BatchProgress]) -> dict[str, str]:
    """Each result's file name and how it came about, in order."""
    ends = [progress for progress in stream if progress.state != "painting"]
    assert [progress.done for progress in ends] == list(range(1, len(ends) + 1))
    return {Path(progress.pair.output).name: progress.state for progress in ends}


def typed(small_file: str, *arguments: str) -> Result:
    size = ["--size", "32", "--steps", "2", "--finest-steps", "1", "--scales", "2"]
    return CliRunner().invoke(app, ["batch", *arguments, "-o", "out", *size, "--weights", small_file])


def marks() -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path("out").iterdir()}


def no_network(*_: object, **__: object) -> None:
    raise AssertionError("the network was asked for")


def test_one_corrupt_photo_of_twelve_and_a_second_run(
    painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = pictures("a", 12)
    sound = damage(photos[4])
    first = typed(small_file, "a", "--style", painting)
    assert first.exit_code == 1
    (failure,) = [line for line in first.stderr.splitlines() if line.startswith("Error")]
    assert failure.startswith(f"Error: {photos[4]} × {painting}: content image '{photos[4]}' is cut off")
    assert "11 painted, 0 skipped, 1 failed." in first.stderr
    expected = {f"a{index}-painting.png" for index in range(12) if index != 4}
    before = marks()
    assert set(before) == expected
    assert all(manifests.read(f"out/{name}")["command"] == "stylize" for name in expected)

    with monkeypatch.context() as patch:
        patch.setattr(VGG19, "build", no_network)
        second = typed(small_file, "a", "--style", painting)
    assert second.exit_code == 1
    assert "0 painted, 11 skipped, 1 failed." in second.stderr
    assert marks() == before

    Path(photos[4]).write_bytes(sound)
    third = typed(small_file, "a", "--style", painting)
    assert third.exit_code == 0
    assert "1 painted, 11 skipped, 0 failed." in third.stderr
    assert {name: mark for name, mark in marks().items() if name in before} == before


def test_a_grid_is_each_picture_painted_alone(quick: StylizeSettings) -> None:
    pairs = all_pairs(pictures("a", 2), pictures("b", 2, stripes))
    stream = list(iter_batch(pairs, "out", quick))
    assert [p.pair.output for p in stream if p.state == "painted"] == [
        f"out/{content}-{style}.png" for style in ("b0", "b1") for content in ("a0", "a1")
    ]
    assert all(p.step is not None for p in stream)
    for content, style, _ in pairs:
        impasto.stylize(content, style, quick).save("alone.png")
        name = f"out/{Path(content).stem}-{Path(style).stem}.png"
        assert torch.equal(read_picture(name).pixels, read_picture("alone.png").pixels)


def test_network_and_styles_are_made_once_in_any_order(
    quick: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Counter[str] = Counter()
    for home, name in ((workshops, "load_vgg19"), (workshops, "read_styles"), (style_images, "style_means")):

        def counted(
            *arguments: Any, _name: str = name, _whole: Any = getattr(home, name), **more: Any
        ) -> Any:
            made[_name] += 1
            return _whole(*arguments, **more)

        monkeypatch.setattr(home, name, counted)
    photos, paintings = pictures("a", 3), pictures("b", 2, stripes)
    mixed = [(photo, style) for photo in photos for style in paintings]
    stream = [p for p in iter_batch(mixed, "out", quick) if p.state != "painting"]
    assert [p.state for p in stream] == ["painted"] * 6
    assert [p.number for p in stream] == [1, 3, 5, 2, 4, 6]
    assert made == {"load_vgg19": 1, "read_styles": 2, "style_means": 2 * 2}  # styles × scales


def test_a_workshop_gives_each_job_its_own(photo: str, painting: str, quick: StylizeSettings) -> None:
    """Jobs with other styles, layers, networks and sizes in turns, from files and from memory."""
    workshop = impasto.Cache()
    other = read_picture(photo)
    jobs = [
        (painting, quick),
        (other, quick),
        (painting, replace(quick, layers={"conv2_1": 1.0})),
        (painting, replace(quick, layers={"conv2_1": 1.0}, pooling="average")),
        ([painting, photo], replace(quick, blend="1,3")),
        (painting, replace(quick, size=48)),
    ]
    for style, settings in [*jobs, *reversed(jobs)]:
        job = plan_stylize(photo, style, settings, cache=workshop)
        assert job.problem.network.pooling == settings.pooling
        assert job.manifest["weights"]["sha256"] == expected_digest(settings.weights)
        paintings = read_styles(style, settings.blend)
        total = sum(share.weight for share in paintings.shares)
        for scale, layout in zip(job.scales, job.layouts, strict=True):
            at_scale = [
                (paintings.at(number, size, job.problem.network.device), share.weight / total)
                for number, (size, share) in enumerate(
                    zip(paintings.sizes(scale.width, 1), paintings.shares, strict=True)
                )
            ]
            expected = style_targets(job.problem.network, at_scale, list(settings.layers))
            terms = {term.name: term for term in job.problem.objective(scale, layout).terms}
            for name, target in expected.items():
                assert torch.equal(terms[f"style {name}"].target, target)  # type: ignore[attr-defined]
    cpu = torch.device("cpu")
    for size in (16, 24):
        for picture in (other, read_picture(painting)):
            found = workshop.resized_pixels(picture, size, size, cpu)
            assert torch.equal(found, resized_pixels(picture, size, size, cpu))
            assert workshop.resized_pixels(picture, size, size, cpu) is found


def test_the_bar_waits_for_the_first_painting() -> None:
    """Until then the weights may still come down, under a bar of their own."""
    shown = Console(file=io.StringIO(), width=200)
    with RunBar(shown) as bar:
        for state in ("skipped", "failed"):
            bar.batch(BatchProgress(Pair("a.png", "b.png", "out/x.png"), 1, 1, 2, state))  # type: ignore[arg-type]
            assert bar.task is None


def test_what_has_changed_is_painted_again(quick: StylizeSettings, tmp_path: Path) -> None:
    photos, paintings = pictures("a", 2), pictures("b", 2, stripes)
    pairs = all_pairs(photos, paintings)

    def again(settings: StylizeSettings = quick) -> set[str]:
        found = states(iter_batch(pairs, "out", settings))
        return {name.removesuffix(".png") for name, state in found.items() if state == "painted"}

    everything = {"a0-b0", "a1-b0", "a0-b1", "a1-b1"}
    assert again() == everything
    assert again() == set()
    shutil.copy(quick.weights, "elsewhere.safetensors")
    assert again(replace(quick, device="cpu", threads=1, weights="elsewhere.safetensors")) == set()
    assert again(replace(quick, strength=0.4)) == everything
    assert again(replace(quick, strength=0.4)) == set()
    save(stripes(30, 30), Path(paintings[1]))
    assert again(replace(quick, strength=0.4)) == {"a0-b1", "a1-b1"}
    save(scene(30, 30), Path(photos[0]))
    assert again(replace(quick, strength=0.4)) == {"a0-b0", "a0-b1"}
    save_weights(small_layers(seed=1), tmp_path / "other.safetensors")
    assert again(replace(quick, strength=0.4, weights=str(tmp_path / "other.safetensors"))) == everything
    start = save(scene(24, 32, seed=5), tmp_path / "start.png")
    assert again(replace(quick, init=start)) == everything
    assert again(replace(quick, init=start)) == set()
    save(scene(24, 32, seed=6), tmp_path / "start.png")
    assert again(replace(quick, init=start)) == everything


def test_only_a_finished_picture_of_ours_is_skipped(
    photo: str, painting: str, quick: StylizeSettings
) -> None:
    job = plan_stylize(photo, painting, quick)
    first = next(iter_run(job))
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


def test_leaving_the_loop_keeps_what_is_finished(painting: str, quick: StylizeSettings) -> None:
    pairs = all_pairs(pictures("a", 3), [painting])
    for progress in iter_batch(pairs, "out", quick):
        if progress.number == 2:
            break
    assert [path.name for path in Path("out").iterdir()] == ["a0-painting.png"]
    found = states(iter_batch(pairs, "out", quick))
    assert list(found.values()) == ["skipped", "painted", "painted"]


def stopped_at(second: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second picture's run end after its first step with that."""
    count = iter(range(100))

    def stop(job: Any) -> Iterator[Any]:
        stream = iter_run(job)
        if next(count) == 1:
            yield next(stream)
            raise second
        yield from stream

    monkeypatch.setattr(batches, "iter_run", stop)


def test_ctrl_c(painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures("a", 3)
    stopped_at(KeyboardInterrupt(), monkeypatch)
    result = typed(small_file, "a", "--style", painting, "--contact-sheet", "sheet.png")
    assert result.exit_code == 130
    assert "1 painted, 0 skipped, 0 failed." in result.stderr
    assert list(marks()) == ["a0-painting.png"]
    assert not Path("sheet.png").exists()


def test_too_little_memory_for_one(
    painting: str, quick: StylizeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = all_pairs(pictures("a", 3), [painting])
    with monkeypatch.context() as patch:
        stopped_at(DeviceError("the memory does not suffice for a picture of 32×26."), patch)
        assert list(states(iter_batch(pairs, "out", quick)).values()) == ["painted", "failed", "painted"]

    def greedy(content: str, *arguments: Any, **more: Any) -> Any:
        if "a1" in content:
            raise MemoryError
        return plan_stylize(content, *arguments, **more)

    monkeypatch.setattr(batches, "plan_stylize", greedy)
    errors = [progress.error for progress in iter_batch(pairs, "out", quick)]
    assert [error for error in errors if error] == [
        "the memory does not suffice to read the pictures. Make them smaller first."
    ]


def test_what_concerns_all_ends_the_batch(
    painting: str, quick: StylizeSettings, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = pictures("a", 2)
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

    def full(*_: object, **__: object) -> None:
        raise ImageError("cannot write: No space left on device.")

    monkeypatch.setattr("impasto.results.painting.write_picture", full)
    result = typed(small_file, "a", "--style", painting)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: cannot write: No space left on device. ")


def test_a_protected_result_fails_alone(painting: str, quick: StylizeSettings) -> None:
    pairs = all_pairs(pictures("a", 2), [painting])
    Path("out").mkdir()
    save(scene(20, 20), Path("out/a0-painting.png"))
    Path("out/a0-painting.png").chmod(0o444)
    assert list(states(iter_batch(pairs, "out", quick)).values()) == ["failed", "painted"]


def test_the_folder_stands_for_its_pictures(quick: StylizeSettings) -> None:
    photos = pictures("a", 2)
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


def test_results_do_not_go_where_pictures_come_from(painting: str, small_file: str) -> None:
    photos = pictures("a", 2)
    with pytest.raises(SettingsError, match="results would go into 'a', where the pictures are"):
        all_pairs(["a"], [painting], written=["./a"])
    result = typed(small_file, "a", "--style", painting, "--contact-sheet", "a/sheet.png")
    assert result.exit_code == 2
    with pytest.raises(SettingsError, match=r"'a/a0\.png', would overwrite the content image"):
        with_outputs([(photos[0], painting, "a0.png")], "a", "png")


def test_two_results_of_one_name_are_refused(quick: StylizeSettings) -> None:
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


def test_a_list(painting: str, quick: StylizeSettings, small_file: str) -> None:
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
    result = typed(small_file, "--list", "lists/pairs.csv", "--format", "webp")
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
    result = typed(small_file, "--list", "pairs.csv")
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


def test_what_is_asked_must_be_whole(photo: str, painting: str, small_file: str) -> None:
    for arguments in ([photo], ["--style", painting], [photo, "--list", "l.csv"], []):
        result = typed(small_file, *arguments)
        assert result.exit_code == 2, arguments
        assert "batch needs either CONTENT... with --style, or --list alone" in result.stderr


def test_ranks_share_the_pairs(
    quick: StylizeSettings, painting: str, small_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = all_pairs(pictures("a", 3), pictures("b", 2, stripes))
    found = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        found.append(set(states(iter_batch(pairs, f"out{rank}", quick))))
    assert len(found[0]) == len(found[1]) == 3
    assert found[0] | found[1] == {f"a{i}-b{j}.png" for i in range(3) for j in range(2)}
    result = typed(small_file, "a", "--style", painting)
    assert "Rank 1 of 2: 1 painted" in result.stderr
    result = typed(small_file, "a", "--style", painting, "--contact-sheet", "sheet.png")
    assert result.exit_code == 2
    assert "Run again without torchrun afterwards" in result.stderr
    for bad in ("2", "-1", "one", ""):
        monkeypatch.setenv("RANK", bad)
        with pytest.raises(SettingsError, match=rf"RANK is '{bad}' of WORLD_SIZE '2'"):
            next(iter_batch(pairs, "out", quick))


def test_ranks_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads stand for two processes, a store of ours for torchrun's."""
    wait_for_ranks()  # without torchrun: at once
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


def field(sheet: torch.Tensor, top: int, left: int, shape: tuple[int, int]) -> torch.Tensor:
    """What the sheet shows in a field of that height and width."""
    return sheet[:, :, top : top + shape[0], left : left + shape[1]]


def thumbnails(*paths: str) -> list[torch.Tensor]:
    found = [thumbnail(path, CELL) for path in paths]
    assert all(one is not None and max(one.shape) == CELL for one in found)
    return [one for one in found if one is not None]


def test_contact_sheet_of_a_grid(small_file: str) -> None:
    photos, paintings = pictures("a", 3), pictures("b", 2, stripes)
    damage(photos[1])
    arguments = ("a", "--style", "b", "--contact-sheet", "sheet.png")
    assert typed(small_file, *arguments).exit_code == 1
    first = Path("sheet.png").read_bytes()
    sheet = read_picture("sheet.png").pixels
    rows = [thumbnails(*paintings)]
    rows += [thumbnails(photos[i], f"out/a{i}-b0.png", f"out/a{i}-b1.png") for i in (0, 2)]
    heights = [max(found.shape[2] for found in row) for row in rows]
    tallest = max(heights)  # of the row of the damaged photo, which has none of its own
    assert sheet.shape == (1, 3, sum(heights) + tallest + 5 * GAP, 3 * CELL + 4 * GAP)
    assert float(field(sheet, GAP, GAP, (heights[0], CELL)).min()) == 1  # the corner is empty

    tops = [GAP, 2 * GAP + heights[0], 4 * GAP + heights[0] + heights[1] + tallest]
    for row, top, height in zip(rows, tops, heights, strict=True):
        for across, found in enumerate(row, start=3 - len(row)):
            down = top + (height - found.shape[2]) // 2
            there = field(sheet, down, GAP + across * (CELL + GAP), (found.shape[2], CELL))
            assert float((there - found).abs().max()) < 0.51 / 255
    for across in range(3):
        top = tops[1] + heights[1] + GAP
        missing = field(sheet, top, GAP + across * (CELL + GAP), (tallest, CELL))
        assert float((missing - MISSING).abs().max()) < 1 / 255

    Path("sheet.png").unlink()
    again = typed(small_file, *arguments)
    assert "0 painted, 4 skipped, 2 failed." in again.stderr
    assert Path("sheet.png").read_bytes() == first


def test_contact_sheet_of_a_list_and_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = pictures("a", 4)
    clear = impasto.Picture(torch.zeros(1, 3, 16, 32), torch.zeros(1, 1, 16, 32))
    impasto.write_picture(clear, "clear.png")
    pairs = [Pair(photos[0], photos[1], photos[2]), Pair(photos[1], photos[3], "clear.png")]
    sheet = contact_sheet(pairs).pixels
    top = GAP
    for pair in pairs:
        row = thumbnails(*pair)
        height = max(found.shape[2] for found in row)
        for across, found in enumerate(row):
            down = top + (height - found.shape[2]) // 2
            there = field(sheet, down, GAP + across * (CELL + GAP), (found.shape[2], CELL))
            assert torch.equal(there, found)
        top += height + GAP
    assert sheet.shape[2:] == (top, GAP + 3 * (CELL + GAP))
    assert float(field(sheet, top - GAP - 128, 3 * GAP + 2 * CELL, (128, CELL)).min()) == 1  # seen through
    monkeypatch.setattr(sheets, "LONGEST", 200)
    many = contact_sheet([Pair(photos[0], photos[1], f"{index}.png") for index in range(11)]).pixels
    assert max(many.shape) <= 200
    assert many.shape[3] > many.shape[2] / 2
    assert contact_sheet([pairs[0]]).pixels.shape[2] <= 200
    nothing = contact_sheet([Pair("1.png", "2.png"), Pair("3.png", "4.png")]).pixels
    assert {round(float(value), 2) for value in nothing.unique()} == {MISSING, 1.0}


def test_a_digest_is_foretold(small_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert expected_digest(small_file) == load(small_file).sha256
    monkeypatch.setenv("IMPASTO_WEIGHTS", small_file)
    assert expected_digest() == load().sha256
    monkeypatch.delenv("IMPASTO_WEIGHTS")
    assert expected_digest().startswith("01c6b9f9")
