"""A skipped image remains skipped while it is unchanged; a new image with its name is used."""

from pathlib import Path

import numpy as np

from ltray.data.beton.changes import digest_at, keys_of
from ltray.data.beton.left_out import _without
from ltray.data.sources.folder import FileOriginals


def test_new_image_under_the_name_of_a_skipped_one_is_used(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        path.write_bytes(path.name.encode())
    originals = FileOriginals(tuple(map(str, paths)), np.array([0, 1]))
    left_out = {(list(keys_of(originals, str(tmp_path)))[1], digest_at(originals, 1).tobytes())}
    assert _without(originals, left_out, str(tmp_path)).labels.tolist() == [0]
    paths[1].write_bytes(b"repaired")
    assert _without(originals, left_out, str(tmp_path)).labels.tolist() == [0, 1]
