"""Check of every image of a .beton."""

import hashlib
from collections.abc import Callable

from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.reader import BetonFile
from ltray.errors import UsageError


def verify(sidecar: Sidecar, advance: Callable[[int], None]) -> None:
    """Compare the complete file with its digest, then decode every image and compare the encoded bytes.

    Args:
        sidecar: The file's sidecar.
        advance: Called with the number of further images read.

    Raises:
        UsageError: The file, or an image in it, differs from what was written.
    """
    sidecar.check(whole=True)
    content = hashlib.sha256()
    try:
        file = BetonFile(sidecar)
        for index in range(len(file)):
            content.update(file.encoded(index).tobytes())
            file.decode(index)
            advance(1)
    except RuntimeError as error:
        raise UsageError(str(error)) from error
    if content.hexdigest() != sidecar.content:
        raise UsageError(
            f"{sidecar.beton}: its images differ from those that were written; delete the file and convert again."
        )
