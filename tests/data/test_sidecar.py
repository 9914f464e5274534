"""Sidecars: a damaged file is refused before FFCV could open it."""

from pathlib import Path

import pytest

from ltray.data.sidecar import ENDS, Sidecar, digest_of, digest_of_ends, sidecar_path
from ltray.errors import UsageError


@pytest.fixture
def sidecar(tmp_path: Path) -> Sidecar:
    beton = tmp_path / "train.beton"
    beton.write_bytes(bytes(range(256)) * 2048)  # 512 KiB
    made = Sidecar(
        beton=beton,
        pool="train",
        class_names=("a", "b"),
        counts=(2, 1),
        labels=(0, 1, 0),
        image_sizes=((8, 8), (8, 8)),
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        origin="here",
        fingerprint="f",
        options={"square": 8},
        skipped=0,
        content="c",
        versions={"ltray": "1"},
        bytes=beton.stat().st_size,
        ends=digest_of_ends(beton),
        sha256=digest_of(beton),
    )
    made.write()
    return made


def test_what_is_written_is_read(sidecar: Sidecar) -> None:
    assert Sidecar.read(sidecar.beton) == sidecar
    sidecar.check(whole=True)


@pytest.mark.parametrize("place", [0, ENDS - 1, 2048 * 256 - 1])
def test_damage_at_either_end_is_always_seen(sidecar: Sidecar, place: int) -> None:
    content = bytearray(sidecar.beton.read_bytes())
    content[place] ^= 1
    sidecar.beton.write_bytes(content)
    with pytest.raises(UsageError, match=r"train.beton: damaged.*convert the data set again"):
        sidecar.check()


def test_damage_in_the_middle_is_seen_by_the_whole_digest(sidecar: Sidecar) -> None:
    content = bytearray(sidecar.beton.read_bytes())
    content[len(content) // 2] ^= 1
    sidecar.beton.write_bytes(content)
    sidecar.check()
    with pytest.raises(UsageError, match="damaged"):
        sidecar.check(whole=True)


def test_a_cut_file_is_refused(sidecar: Sidecar) -> None:
    sidecar.beton.write_bytes(sidecar.beton.read_bytes()[:-100])
    with pytest.raises(UsageError, match="has 524,188 bytes instead of 524,288"):
        sidecar.check()


def test_a_missing_file_is_refused(sidecar: Sidecar) -> None:
    sidecar.beton.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        sidecar.check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "pool": "train"}', "{", '{"format": 0}'])
def test_a_damaged_sidecar_is_refused(sidecar: Sidecar, text: str) -> None:
    sidecar_path(sidecar.beton).write_text(text)
    with pytest.raises(UsageError, match="convert the data set again"):
        Sidecar.read(sidecar.beton)
