"""Where a painting goes and what is written on the way: one class, and the options made of it."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Annotated, Any

import typer

from impasto.settings.options import option
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

    path: str = option("", "")  # each command says what the file is called by default
    bits: int = option(8, "Bits per channel: 8, or 16 for PNG and TIFF.")
    quality: int = option(92, "1 to 100, of JPEG, WebP and AVIF.", low=1, high=100)
    preview_every: int = option(0, "Save a preview every N steps; 0: never.", low=0)
    checkpoint: str = option("", "A file from which the run can go on after a stop (impasto resume FILE).")
    checkpoint_every: int = option(10, "Steps between two checkpoints.", low=1)
    trace: str = option("", "A file that gets a line of JSON for every step: losses, seconds, memory.")

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
        options = [_parameter(field, help) for field in fields(Output)]
        kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        signature = inspect.Signature([*kept, *options])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return wrapper

    return decorate


def _option(field: str) -> str:
    return "output" if field == "path" else field


def _parameter(field: "Field[Any]", help: str) -> inspect.Parameter:
    facts, default = field.metadata, field.default
    flags = ("-o", "--output") if field.name == "path" else (f"--{field.name.replace('_', '-')}",)
    info = typer.Option(
        *flags,
        help=facts["help"] or help,
        min=facts["low"],
        max=facts["high"],
        show_default=default not in ("", 0),
    )
    return inspect.Parameter(
        _option(field.name),
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[field.type, info],
    )
