"""Removal of credentials from text that is printed or recorded."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#'\"`<>]+@")


def without_credentials(text: str) -> str:
    """Return text with the user and password of each address as `***`: `s3://***@bucket/a`.

    Args:
        text: A message, a setting or an address.
    """
    return _CREDENTIALS.sub("***@", text)
