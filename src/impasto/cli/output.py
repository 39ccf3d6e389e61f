"""Where a painting goes and what is written on the way: one class, and the options made of it."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import typer

from impasto.storage.outputs import InputFile, OutputFile, check_outputs


@dataclass(frozen=True)
class Output:
    """Where a painting goes, and what is written on the way.

    Attributes:
        path: the picture's file; "": what the command calls it by itself.
        bits: per channel.
        quality: 1..100, of formats that lose something.
        preview_every: write the picture so far every so many steps; 0: never.
        checkpoint: a file to go on from after a stop; "": none.
        checkpoint_every: steps between two of them.
        trace: a file that gets a line of JSON for every step; "": none.
    """

    path: str = ""
    bits: int = 8
    quality: int = 92
    preview_every: int = 0
    checkpoint: str = ""
    checkpoint_every: int = 10
    trace: str = ""

    def named(self, default: str) -> "Output":
        """The same, under that name if it has none."""
        return self if self.path else replace(self, path=default)

    def files(self) -> list[OutputFile]:
        """Every file that may be written."""
        return [
            OutputFile("-o", self.path),
            OutputFile("--checkpoint", self.checkpoint, "checkpoint"),
            OutputFile("--trace", self.trace, "trace"),
        ]

    def check(self, inputs: Sequence[InputFile], longest: int | None = None) -> None:
        """Refuse, before anything is computed, outputs that would destroy something or cannot be written.

        Args:
            inputs: every file that is read.
            longest: side of the picture in pixels, if it is known.
        Raises:
            ImageError, SettingsError, CheckpointError: naming the way out.
        """
        from impasto.storage.paths import check_writable

        check_outputs(self.files(), inputs)
        self.check_format(longest)
        if self.checkpoint:
            from impasto.run import checkpoint

            checkpoint.check(self.checkpoint)
        if self.trace:
            check_writable(self.trace)

    def check_format(self, longest: int | None) -> None:
        """Refuse a picture file that could not be written, or not at this size.

        Raises:
            ImageError, SettingsError: naming the way out.
        """
        from impasto.image.write import check_output

        check_output(self.path, bits=self.bits, longest=longest)


HELP = {
    "bits": "Bits per channel: 8, or 16 for PNG and TIFF.",
    "quality": "1 to 100, of JPEG, WebP and AVIF.",
    "preview_every": "Write the picture so far every so many steps; 0: never.",
    "checkpoint": "A file from which the run can go on after a stop (impasto resume FILE).",
    "checkpoint_every": "Steps between two checkpoints.",
    "trace": "A file that gets a line of JSON for every step: losses, seconds, memory.",
}
BOUNDS = {"quality": (1, 100), "preview_every": (0, None), "checkpoint_every": (1, None)}


def with_output(help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's `output` parameter by the options `-o`, `--bits` and so on.

    Args:
        help: of `-o`: what the file is called if nothing is said.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(*arguments: Any, **values: Any) -> None:
            chosen = {field.name: values.pop(_option(field.name)) for field in fields(Output)}
            command(*arguments, output=Output(**chosen), **values)

        parameters = [p for p in inspect.signature(command).parameters.values() if p.name != "output"]
        options = [_parameter(field.name, field.default, field.type, help) for field in fields(Output)]
        kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        signature = inspect.Signature([*kept, *options])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return wrapper

    return decorate


def _option(field: str) -> str:
    return "output" if field == "path" else field


def _parameter(name: str, default: Any, kind: Any, help: str) -> inspect.Parameter:
    low, high = BOUNDS.get(name, (None, None))
    flags = ("-o", "--output") if name == "path" else (f"--{name.replace('_', '-')}",)
    info = typer.Option(
        *flags, help=HELP.get(name, help), min=low, max=high, show_default=default not in ("", 0)
    )
    return inspect.Parameter(
        _option(name), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )
