"""Where a painting goes and which files its run writes: one class, and the options generated from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from impasto.cli.options import Command, parameter, replace_parameter
from impasto.settings.options import check, option, options_of
from impasto.storage.outputs import InputFile, OutputFile, check_outputs


@dataclass(frozen=True)
class Output:
    """Where a painting goes, and which files its run writes.

    Attributes:
        path: the picture's file; "": the command chooses the name.
        bits: per channel.
        quality: 1..100, of lossy formats.
        preview_every: steps between two previews, written to `path`; 0: none.
        checkpoint: a file from which a stopped run can resume; "": none.
        checkpoint_every: steps between two checkpoints.
        trace: a file that gets a line of JSON for every step; "": none.
    Raises:
        SettingsError: a number out of range.
    """

    path: str = option("", "")  # each command's own help gives the default name
    bits: int = option(8, "bits per channel: 8, or 16 for PNG and TIFF")
    quality: int = option(92, "quality of JPEG, WebP and AVIF, 1 to 100", low=1, high=100)
    preview_every: int = option(0, "save a preview every N steps; 0: never", low=0)
    checkpoint: str = option("", "a file from which to resume a stopped run (impasto resume FILE)")
    checkpoint_every: int = option(10, "steps between two checkpoints", low=1)
    trace: str = option("", "a file that gets a line of JSON for every step: losses, seconds, memory")

    def __post_init__(self) -> None:
        check(self)

    def named(self, default: str) -> "Output":
        """Return a copy with this path, unless it has one already."""
        return self if self.path else replace(self, path=default)

    def check(self, inputs: Sequence[InputFile], longest: int | None = None) -> None:
        """Refuse, before the computation, outputs that would overwrite an input or cannot be written.

        Args:
            inputs: every file that the command reads.
            longest: longest side of the picture in pixels, if known.
        Raises:
            ImageError, SettingsError, CheckpointError: which file, why, and what to do.
        """
        from impasto.storage.paths import check_writable

        files = [
            OutputFile("-o", self.path),
            OutputFile("--checkpoint", self.checkpoint, "checkpoint"),
            OutputFile("--trace", self.trace, "trace"),
        ]
        check_outputs(files, inputs)
        self.check_format(longest)
        if self.checkpoint:
            from impasto.run import checkpoint  # loads torch, and importing this module must not

            checkpoint.check(self.checkpoint)
        if self.trace:
            check_writable(self.trace)

    def check_format(self, longest: int | None) -> None:
        """Refuse a picture file that cannot be written, or not at this size.

        Args:
            longest: longest side of the picture in pixels, if known.
        Raises:
            ImageError, SettingsError: which file, why, and what to do.
        """
        from impasto.image.write import check_output

        check_output(self.path, bits=self.bits, longest=longest)


def with_output(help: str, fields: Sequence[str] | None = None) -> Callable[[Command], Command]:
    """Replace a command's `output` parameter by the options `-o`, `--bits` and so on.

    Args:
        help: the help of `-o`, with the file's default name.
        fields: the fields of `Output` besides the path that become options; None: all of them.
    """
    path, *others = options_of(Output)
    chosen = [option for option in others if fields is None or option.name in fields]

    def decorate(command: Command) -> Command:
        def wrapper(**values: Any) -> None:
            names = ("path", *(option.name for option in chosen))
            command(output=Output(**{name: values.pop(name) for name in names}), **values)

        generated = [parameter(replace(path, help=help), "-o", "--output"), *map(parameter, chosen)]
        return replace_parameter(command, "output", generated, wrapper)

    return decorate
