"""Content of script elements: JSON, and plotly.js in compressed form."""

import base64
import gzip
import json
from importlib.resources import files
from typing import Any

from markupsafe import Markup

UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Characters that could end a script element or begin a comment, and their escapes in JSON."""


def json_for_script(value: Any) -> Markup:
    """Return a value as JSON that an HTML parser reads as one script element, for any text in it.

    Raises:
        ValueError: It contains NaN or an infinite number, which JSON does not have.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: U+2028 and surrogates are escaped
    return Markup("".join(UNSAFE.get(character, character) for character in text))


def plotly_bundle() -> Markup:
    """Return plotly.js of the installed package, compressed with gzip, in base64: 2 MB instead of 4.8 MB."""
    source = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return Markup(base64.b64encode(gzip.compress(source, 6, mtime=0)).decode("ascii"))
