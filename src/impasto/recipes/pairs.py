"""The pairs of a batch: a photograph and a painting each, and the path of the result."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from impasto.errors import SettingsError
from impasto.image.folders import AnyPath, picture_files
from impasto.image.formats import WRITABLE, by_suffix
from impasto.storage.outputs import InputFile, OutputFile, check_outputs


class Pair(NamedTuple):
    """One picture to paint.

    Attributes:
        content: the photograph's file.
        style: the painting's file.
        output: file of the result in the batch's folder; if empty, CONTENT-STYLE.
    """

    content: str
    style: str
    output: str = ""

    def __str__(self) -> str:
        return f"{self.content} × {self.style}"


def all_pairs(
    contents: Sequence[AnyPath], styles: Sequence[AnyPath], *, written: Sequence[AnyPath] = ()
) -> list[Pair]:
    """Pair every photograph with every painting, style by style.

    Args:
        contents, styles: files or folders. A folder stands for the pictures in it (not in its subfolders), in
            the order of their names.
        written: folders that will receive results.
    Raises:
        ImageError: a folder cannot be read, or has no pictures.
        SettingsError: results would go into a folder of inputs.
    """
    written_paths = {_real_path(folder) for folder in written}
    for given in (*contents, *styles):
        if Path(given).is_dir() and _real_path(given) in written_paths:
            raise SettingsError(
                f"results would go into '{given}', where the pictures are, and the next batch would paint "
                "them as well. Choose another folder for the results."
            )
    photos, paintings = picture_files(contents), picture_files(styles)
    return [Pair(photo, painting) for painting in paintings for photo in photos]


def read_pairs(path: AnyPath) -> list[Pair]:
    """Read pairs from a list: a text file with a line `content,style` or `content,style,output` for each.

    Paths are relative to the folder of the list, and outputs to the folder of results. Fields are separated
    by commas or tabs, and quoted as in CSV. Empty lines, lines that start with # and a heading
    `content,style` are ignored.

    Args:
        path: the list.
    Raises:
        SettingsError: the list cannot be read or names no pair, or lines are malformed. The message names the
            first three of them by number.
    """
    name = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise SettingsError(f"the list '{name}' cannot be read: {reason}.") from error
    pairs: list[Pair] = []
    bad: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        # A line with a tab is separated by tabs, so that file names may contain commas. Each line has its own
        # reader, so that an error names its line, and a stray quote spoils no other.
        cells = csv.reader(
            [line], delimiter="\t" if "\t" in line else ",", skipinitialspace=True, strict=True
        )
        try:
            pair = _pair([cell.strip() for cell in next(cells)])
        except (csv.Error, SettingsError) as error:
            bad.append(f"{name}:{number}: {str(error).rstrip('.')}")
            continue
        # Only the first line can be a heading.
        if pairs or (pair.content.lower(), pair.style.lower()) != ("content", "style"):
            pairs.append(pair)
    if bad:
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise SettingsError(f"{'; '.join(bad[:3])}{more}. A line is content,style or content,style,output.")
    if not pairs:
        raise SettingsError(f"the list '{name}' names no pair. A line is content,style.")
    beside = Path(path).parent
    return [Pair(str(beside / pair.content), str(beside / pair.style), pair.output) for pair in pairs]


def with_outputs(
    pairs: Iterable[tuple[AnyPath, ...]],
    folder: AnyPath,
    format: str,
    *,
    inputs: Sequence[InputFile] = (),
    also: Sequence[OutputFile] = (),
) -> list[Pair]:
    """Give each pair the full path of its output.

    Args:
        pairs: (content, style) or (content, style, output).
        folder: for the results.
        format: file ending of outputs that have none, without the dot.
        inputs: other files that are read.
        also: other files that are written.
    Raises:
        SettingsError: there are no pairs; an unknown format; an output is outside the folder, is shared by
            two pairs, or is also an input.
        ImageError: as `check_outputs`.
    """
    if by_suffix(f".{format}") is None:
        raise SettingsError(f"format is {format!r}; results are written as one of {WRITABLE}.")
    pairs_with_outputs = []
    for given in pairs:
        pair = _pair([os.fspath(part) for part in given])
        name = pair.output or f"{Path(pair.content).stem}-{Path(pair.style).stem}"
        if not (pair.output and Path(name).suffix):
            name += f".{format}"
        pairs_with_outputs.append(pair._replace(output=str(Path(folder, name))))
    if not pairs_with_outputs:
        raise SettingsError("there are no pairs to paint. Name photographs and paintings.")
    # Each file once, because all photographs may share one painting.
    photos, paintings = (dict.fromkeys(pair[i] for pair in pairs_with_outputs) for i in (0, 1))
    check_outputs(
        [*(OutputFile(f"the result of {pair}", pair.output) for pair in pairs_with_outputs), *also],
        [
            *(InputFile("the content image", path) for path in photos),
            *(InputFile("the style image", path) for path in paintings),
            *inputs,
        ],
        advice="Rename one of the pictures, choose another folder with -o, or name the outputs in a --list.",
    )
    return pairs_with_outputs


def process_share() -> tuple[int, int]:
    """Return the number of this process, from 0, and the number of processes.

    torchrun sets them as RANK and WORLD_SIZE. Without torchrun they are 0 and 1.

    Raises:
        SettingsError: the variables are no such numbers.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    # With WORLD_SIZE but without RANK, every process would paint the same share, so it is refused.
    rank = os.environ.get("RANK", "0" if count == "1" else "")
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise SettingsError(
            f"RANK is {rank!r} of WORLD_SIZE {count!r}; let torchrun set them, or set neither."
        )
    return int(rank), int(count)


def style_by_style(pairs: Sequence[Pair]) -> list[int]:
    """Return the indices of the pairs, sorted so that pairs with the same painting stand together.

    Paintings keep the order in which they first appear.
    """
    first: dict[str, int] = {}
    for pair in pairs:
        first.setdefault(pair.style, len(first))
    return sorted(range(len(pairs)), key=lambda index: first[pairs[index].style])


def _pair(fields: Sequence[str]) -> Pair:
    """Make a pair of the fields of a line, and check that its output stays in the folder of results."""
    if len(fields) not in (2, 3):
        raise SettingsError(f"{len(fields)} field{'s' * (len(fields) != 1)} instead of 2 or 3.")
    pair = Pair(*fields)
    if not (pair.content and pair.style):
        raise SettingsError(f"no {'style' if pair.content else 'content'} is named.")
    output = Path(pair.output)
    if output.is_absolute() or ".." in output.parts:
        raise SettingsError(f"the output '{output}' leads out of the folder of results.")
    if output.suffix and by_suffix(output.suffix) is None:
        raise SettingsError(f"the output '{output}' has no known ending; use one of {WRITABLE}.")
    return pair


def _real_path(path: AnyPath) -> str:
    """Return a path that is the same for every way of writing it."""
    return os.path.normcase(os.path.realpath(path))
