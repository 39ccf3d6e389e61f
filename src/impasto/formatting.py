"""Numbers as a person says them. Standard library only."""


def format_bytes(count: float) -> str:
    """Bytes as a person says them.

    >>> in_words(1_530_000_000)
    '1.5 GB'
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{max(0, round(count / 1000))} kB"


def format_duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> clock(75.4)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
