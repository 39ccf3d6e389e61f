"""Painting many pictures in one run. Finished pictures are skipped, and a failure does not stop the rest."""

import functools
import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from typing_extensions import Unpack

from impasto.errors import DeviceError, ImageError, ImpastoError
from impasto.image.folders import AnyPath
from impasto.image.read import read_picture
from impasto.image.write import check_output
from impasto.network.weights import expected_digest
from impasto.objective.custom import TermFactory
from impasto.recipes.inputs import settings_files
from impasto.recipes.pairs import Pair, process_share, style_by_style, with_outputs
from impasto.recipes.stylize import plan_stylize
from impasto.results import manifest as manifests
from impasto.results.painting import Painting
from impasto.run.loop import iter_run
from impasto.run.plan import RunPlan
from impasto.run.progress import Progress
from impasto.settings.keywords import StylizeOptions, with_options
from impasto.settings.options import from_json, to_json
from impasto.settings.stylize import BUILT_IN_STARTS, StylizeSettings
from impasto.storage.outputs import make_folder
from impasto.storage.rescue import save_or_rescue
from impasto.style.cache import Cache
from impasto.system.device import compute_for_settings

PARAMETERS = ("preset", "format", "extra_terms", "cache")
"""Keyword parameters of `iter_batch` that are no settings."""

State: TypeAlias = Literal["painting", "painted", "skipped", "failed"]

HOW = ("device", "threads", "tile", "memory", "weights")
"""Settings that say where and how to compute. They change a picture only by rounding. Weights are compared by
their digest, not by their path."""


@dataclass(frozen=True)
class BatchProgress:
    """The progress of a batch.

    Attributes:
        pair: the photograph, the painting, and the path of the result.
        number: number of the pair among all those given, from 1.
        done: pairs that this process has finished: painted, skipped or failed.
        pairs: pairs that this process works on: all, or its share under torchrun.
        state: "painting" at every step and "painted" at the end; or "skipped" (already finished) or
            "failed".
        step: the newest step of the painting; None before the first.
        error: what went wrong if it failed, otherwise "".
    """

    pair: Pair
    number: int
    done: int
    pairs: int
    state: State
    step: Progress | None = None
    error: str = ""


@dataclass(frozen=True)
class BatchResult:
    """The outcome of one pair.

    Attributes:
        pair: the photograph, the painting, and the path of the result.
        state: "painted", "skipped" (already finished) or "failed".
        error: what went wrong if it failed, otherwise "".
    """

    pair: Pair
    state: Literal["painted", "skipped", "failed"]
    error: str = ""


def batch(
    pairs: Iterable[tuple[AnyPath, ...]],
    folder: AnyPath,
    settings: StylizeSettings | None = None,
    *,
    preset: str = "",
    format: str = "png",
    extra_terms: Sequence[TermFactory] = (),
    cache: Cache | None = None,
    **options: Unpack[StylizeOptions],
) -> list[BatchResult]:
    """Repaint each photograph in the style of its painting, and wait for all.

    The network is loaded once. Pairs are painted style by style, so each painting is read and measured once.
    A picture is saved with its manifest as soon as it is finished. It is skipped if its file already holds
    the finished picture, painted from the same files with the same weights and settings on any machine. A
    pair that fails does not stop the others. Under torchrun, each process paints its share.

    Args:
        pairs: (content, style) or (content, style, output), all files: `Pair`, `all_pairs`, `read_pairs`.
        folder: for the results; it is created if it does not exist.
        settings, preset, options: as in `stylize`, for all pairs.
        format: file ending, without the dot, of results whose output has none.
        extra_terms: custom losses for all pairs, as in `stylize`. Finished pictures are recognised by the
            names, layers and weights of these losses. If you change only how a loss is computed, give it
            another name or choose another folder.
        cache: results of earlier jobs; if omitted, a new cache.
    Returns:
        A result for each pair of this process's share, in the order of the pairs.
    Raises:
        SettingsError: as `with_outputs` (for instance, an output is also an input), or a bad setting.
        ImageError: the folder cannot be created or written to; the initial image cannot be read.
        WeightsError, DeviceError: as `plan_stylize`, where they concern all pairs.
    Example:
        >>> for result in batch(all_pairs(["photos"], ["painting.jpg"]), "out", size=1024):  # doctest: +SKIP
        ...     print(result.pair, result.state, result.error)
    """
    stream = iter_batch(
        pairs, folder, settings, preset=preset, format=format, extra_terms=extra_terms, cache=cache, **options
    )
    ended = sorted((at for at in stream if at.state != "painting"), key=lambda at: at.number)
    return [BatchResult(at.pair, at.state, at.error) for at in ended if at.state != "painting"]


def iter_batch(
    pairs: Iterable[tuple[AnyPath, ...]],
    folder: AnyPath,
    settings: StylizeSettings | None = None,
    *,
    preset: str = "",
    format: str = "png",
    extra_terms: Sequence[TermFactory] = (),
    cache: Cache | None = None,
    **options: Unpack[StylizeOptions],
) -> Iterator[BatchProgress]:
    """Repaint pairs as `batch` does, and yield after every step and every picture.

    Whatever concerns all pairs is checked at the call. Painting begins with the first `next`.

    Args:
        pairs, folder, settings, preset, format, extra_terms, cache, options: as in `batch`.
    Raises:
        ImpastoError: as `batch`.
    """
    settings = with_options(StylizeSettings, settings, options, preset=preset, parameters=PARAMETERS)
    whole = with_outputs(pairs, folder, format, inputs=settings_files(settings))
    _check_all(Path(folder), settings, format)
    plan = functools.partial(plan_stylize, settings=settings, extra_terms=extra_terms, cache=cache or Cache())
    return _steps(whole, settings, [factory.manifest_entry for factory in extra_terms], plan)


def _steps(
    whole: Sequence[Pair],
    settings: StylizeSettings,
    extra_entries: Sequence[Mapping[str, Any]],
    plan: Callable[..., RunPlan],
) -> Iterator[BatchProgress]:
    """Paint this process's share of the pairs.

    Args:
        whole: all pairs.
        settings: for all pairs.
        extra_entries: the manifest's entries of the custom losses.
        plan: makes the plan of a pair from its content and style.
    """
    rank, count = process_share()
    share = style_by_style(whole)[rank::count]
    # A painting with many photographs is hashed once.
    sha256 = functools.cache(_sha256)
    weights = functools.cache(lambda: expected_digest(settings.weights or None))
    for before, index in enumerate(share):
        pair, step, error = whole[index], None, ""
        tell = functools.partial(BatchProgress, pair, index + 1, pairs=len(share))
        if _is_there(pair, settings, extra_entries, sha256, weights):
            yield tell(before + 1, state="skipped")
            continue
        try:
            painting, step = yield from _paint(
                pair, settings.size, plan, functools.partial(tell, before, state="painting")
            )
        except (ImageError, DeviceError) as failure:
            error = str(failure)
        except MemoryError:  # raised while reading; within the run, it becomes a DeviceError
            error = "the memory does not suffice to read the pictures. Make them smaller first."
        else:
            # An error in saving ends the batch, because a full disk would fail every pair.
            save_or_rescue(painting.save, pair.output, what="painting", other_ending=".png")
        yield tell(before + 1, state="failed" if error else "painted", step=step, error=error)


def _paint(
    pair: Pair,
    longest: int,
    plan: Callable[..., RunPlan],
    tell: Callable[..., BatchProgress],
) -> Generator[BatchProgress, None, tuple[Painting, Progress]]:
    """Paint a pair, and return the painting and its last step.

    In a function of its own, the pictures that were read for it are freed at its end.
    """
    make_folder(Path(pair.output).parent)  # an output may name a subfolder
    check_output(pair.output, longest=longest)
    steps = iter_run(plan(pair.content, pair.style))
    last = next(steps)  # every run has a first step
    yield tell(step=last)
    for last in steps:
        yield tell(step=last)
    return last.painting(), last


def _check_all(folder: Path, settings: StylizeSettings, format: str) -> None:
    """Check at once whatever would fail every pair."""
    compute_for_settings(settings)
    if settings.init not in BUILT_IN_STARTS:
        read_picture(settings.init, role="init image")
    make_folder(folder)
    # Any name will do: what is checked is the folder, and the longest side of the format.
    check_output(folder / f"CONTENT-STYLE.{format}", longest=settings.size)


def _is_there(
    pair: Pair,
    settings: StylizeSettings,
    extra_entries: Sequence[Mapping[str, Any]],
    sha256: Callable[[str], str | None],
    weights: Callable[[], str],
) -> bool:
    """Return whether the pair's output is its finished picture. No picture is decoded to find out.

    Args:
        pair: with its output.
        settings: of the batch.
        extra_entries: the manifest's entries of the custom losses.
        sha256: returns the digest of a file, or None if it cannot be read.
        weights: returns the digest of the network's weights.
    """
    if not Path(pair.output).is_file():
        return False
    files = {"content": pair.content, "style": pair.style}
    if settings.init not in BUILT_IN_STARTS:
        files["init"] = settings.init
    try:
        manifest = manifests.read(pair.output)
        hashes = {role: entry["sha256"] for role, entry in manifest["inputs"].items()}
        same = (
            manifest["command"] == "stylize"
            and manifest.get("extra_terms", []) == list(extra_entries)
            and manifest["result"]["complete"] is True
            and _what(from_json(StylizeSettings, manifest["settings"])) == _what(settings)
            and hashes == {role: sha256(path) for role, path in files.items()}
        )
        recorded = manifest["weights"]["sha256"]
    except (ImpastoError, KeyError, TypeError, AttributeError):  # no manifest of `stylize`
        return False
    # Last, because the digest of a file of weights takes longest.
    return same and recorded == weights()


def _what(settings: StylizeSettings) -> dict[str, Any]:
    """Return the settings that determine the picture."""
    return {name: value for name, value in to_json(settings.resolved()).items() if name not in HOW}


def _sha256(path: str) -> str | None:
    """Return the digest of a file, or None if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
