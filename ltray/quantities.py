"""Sizes, times and counts as text, in the units that people use."""

import math

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def file_size(count: float) -> str:
    """Return a number of bytes with three significant digits: "512 B", "605 MiB", "72.5 GiB".

    Args:
        count: Bytes, at least 0.
    """
    power = 0
    while float(f"{count:.3g}") >= 1000 and power < len(_UNITS) - 1:
        count, power = count / 1024, power + 1
    return f"{number(count)} {_UNITS[power]}"


def hours(count: float, device: str) -> str:
    """Return hours of a device's time: "1,160 CPU hours"; below an hour in minutes, below a minute in seconds.

    Args:
        count: Hours, at least 0.
        device: "CPU" or "GPU".
    """
    value, unit = count, "hours"
    if count < 1:
        value, unit = 60 * count, "minutes"
    if 60 * count < 1:
        value, unit = 3600 * count, "seconds"
    return f"{number(value)} {device} {unit}"


def duration(seconds: float) -> str:
    """Return a time in two units: "45 s", "12 min", "1 h 5 min", "3 d 4 h".

    Args:
        seconds: At least 0.
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    whole_hours, minutes = divmod(minutes, 60)
    if whole_hours < 24:
        return f"{whole_hours} h {minutes} min"
    days, whole_hours = divmod(whole_hours, 24)
    return f"{days} d {whole_hours} h"


def number(value: float) -> str:
    """Return a number with three significant digits, thousands separated and without an exponent: "1,160", "0.0123"."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")
    places = max(2 - math.floor(math.log10(abs(rounded))), 0)
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def plural(count: int, thing: str) -> str:
    """Return "1 image", "1,200 images"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
