"""Every error that Impasto raises on purpose, and the exit code each one means.

    ImpastoError          1
    ├── SettingsError     2   an option or argument that cannot be used (also a ValueError)
    ├── ImageError        1   a picture that cannot be read or written (also a ValueError)
    ├── WeightsError      1   network weights that cannot be had or trusted (also a RuntimeError)
    ├── CheckpointError   1   a saved run or manifest that cannot be used (also a RuntimeError)
    ├── BusyError         1   more work than is taken on at once (also a RuntimeError)
    └── DeviceError       1   a processor or a memory that is not there (also a RuntimeError)
        └── OutOfMemoryError  1   the memory ran out, or would

A run stopped with Ctrl-C exits with 130 after saving what there is. A message is one or two sentences that
name the thing, the value found, the value needed and the way out.
"""

INTERRUPTED = 130
"""Exit code of a run that was stopped with Ctrl-C (128 + SIGINT)."""


class ImpastoError(Exception):
    """Base of all errors that a user can cause or mend."""

    exit_code = 1


class SettingsError(ImpastoError, ValueError):
    """An option or argument that cannot be used."""

    exit_code = 2


class ImageError(ImpastoError, ValueError):
    """A picture that cannot be read, used or written."""


class WeightsError(ImpastoError, RuntimeError):
    """Network weights that cannot be fetched, read or trusted."""


class CheckpointError(ImpastoError, RuntimeError):
    """A saved run, or the manifest of one, that cannot be used."""


class BusyError(ImpastoError, RuntimeError):
    """More work than is taken on at once."""


class DeviceError(ImpastoError, RuntimeError):
    """A device that is not there, or has too little memory."""


class OutOfMemoryError(DeviceError):
    """The memory does not suffice for what was asked."""


class ImpastoWarning(UserWarning):
    """Something was changed or left out on the way; the result is still what was asked for."""
