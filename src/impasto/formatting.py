"""Numbers as people write them. Standard library only."""


def format_bytes(count: float) -> str:
    """Format a number of bytes in kB, MB or GB (powers of 1000); a negative number counts as 0.

    >>> format_bytes(1_530_000_000)
    '1.5 GB'
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{max(0, round(count / 1000))} kB"


def format_duration(seconds: float) -> str:
    """Format seconds as minutes:seconds, or as hours:minutes:seconds from an hour on.

    >>> format_duration(75.4)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
