"""Every error that Impasto raises on purpose, and the exit code each one means.

    ImpastoError          1
    ├── SettingsError     2   an option or argument that cannot be used (also a ValueError)
    ├── ImageError        1   a picture that cannot be read or written (also a ValueError)
    ├── WeightsError      1   network weights that cannot be had or trusted (also a RuntimeError)
    ├── CheckpointError   1   a saved run or manifest that cannot be used (also a RuntimeError)
    ├── BusyError         1   too much work at once (also a RuntimeError)
    └── DeviceError       1   a device that is missing or cannot do the work (also a RuntimeError)
        └── OutOfMemoryError  1   the memory ran out, or would

A run stopped with Ctrl-C saves its picture and exits with 130. A message is one or two sentences that name
the thing, its value, the value needed and the way out.
"""

INTERRUPTED = 130
"""Exit code of a run that was stopped with Ctrl-C (128 + SIGINT)."""


class ImpastoError(Exception):
    """The base class of every error that a user can cause or fix."""

    exit_code = 1


class SettingsError(ImpastoError, ValueError):
    """An option or argument that cannot be used."""

    exit_code = 2  # what typer exits with after a wrong option


class ImageError(ImpastoError, ValueError):
    """A picture that cannot be read, used or written."""


class WeightsError(ImpastoError, RuntimeError):
    """Network weights that cannot be fetched, read or trusted."""


class CheckpointError(ImpastoError, RuntimeError):
    """A saved run, or the manifest of one, that cannot be used."""


class BusyError(ImpastoError, RuntimeError):
    """More work than Impasto takes on at once."""


class DeviceError(ImpastoError, RuntimeError):
    """A device that does not exist or cannot do the work, or a process of the run that has gone."""


class OutOfMemoryError(DeviceError):
    """There is not enough memory for the job."""


class ImpastoWarning(UserWarning):
    """Something was changed or left out, and the result is still usable."""
