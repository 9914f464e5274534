"""Sidecars: a damaged file is refused before FFCV could open it."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltray.data.beton.manifest import ENDS, Sidecar, digest_of_ends, sidecar_path
from ltray.errors import UsageError
from ltray.files import digest_of


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


def test_sidecar_is_read_as_written(sidecar: Sidecar) -> None:
    assert Sidecar.read(sidecar.beton) == sidecar
    sidecar.check(whole=True)


@pytest.mark.parametrize("place", [0, ENDS - 1, 2048 * 256 - 1])
def test_damage_at_either_end_is_always_detected(sidecar: Sidecar, place: int) -> None:
    content = bytearray(sidecar.beton.read_bytes())
    content[place] ^= 1
    sidecar.beton.write_bytes(content)
    with pytest.raises(UsageError, match=r"train.beton: damaged.*convert the data set again"):
        sidecar.check()


def test_damage_in_the_middle_is_detected_by_the_complete_digest(sidecar: Sidecar) -> None:
    content = bytearray(sidecar.beton.read_bytes())
    content[len(content) // 2] ^= 1
    sidecar.beton.write_bytes(content)
    sidecar.check()
    with pytest.raises(UsageError, match="damaged"):
        sidecar.check(whole=True)


def test_truncated_file_is_refused(sidecar: Sidecar) -> None:
    sidecar.beton.write_bytes(sidecar.beton.read_bytes()[:-100])
    with pytest.raises(UsageError, match="has 524,188 bytes instead of 524,288"):
        sidecar.check()


def test_missing_beton_is_refused(sidecar: Sidecar) -> None:
    sidecar.beton.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        sidecar.check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "pool": "train"}', "{", '{"format": 0}'])
def test_damaged_sidecar_is_refused(sidecar: Sidecar, text: str) -> None:
    sidecar_path(sidecar.beton).write_text(text)
    with pytest.raises(UsageError, match="convert the data set again"):
        Sidecar.read(sidecar.beton)


places = st.floats(0.0, 1.0, exclude_max=True)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quickly
@given(place=places, change=st.integers(1, 255))
def test_changed_byte_is_detected_at_any_position(sidecar: Sidecar, place: float, change: int) -> None:
    beton = sidecar.beton
    at = int(place * sidecar.bytes)
    with beton.open("r+b") as file:
        file.seek(at)
        before = file.read(1)
        try:
            file.seek(at)
            file.write(bytes([before[0] ^ change]))
            file.flush()
            with pytest.raises(UsageError, match="damaged"):
                sidecar.check(whole=True)
        finally:
            file.seek(at)
            file.write(before)
    sidecar.check(whole=True)


@quickly
@given(place=places)
def test_file_truncated_at_any_position_is_refused_immediately(sidecar: Sidecar, place: float) -> None:
    original = sidecar.beton.read_bytes()
    try:
        sidecar.beton.write_bytes(original[: int(place * len(original))])
        with pytest.raises(UsageError, match="bytes instead of"):
            sidecar.check()
    finally:
        sidecar.beton.write_bytes(original)


@quickly
@given(place=places, letters=st.text(min_size=1, max_size=8))
def test_damaged_sidecar_raises_nothing_but_a_usage_error(sidecar: Sidecar, place: float, letters: str) -> None:
    path = sidecar.beton.with_suffix(".json")
    original = path.read_text(encoding="utf-8")
    at = int(place * len(original))
    try:
        path.write_text(original[:at] + letters + original[at + len(letters) :], encoding="utf-8")
        with suppress(UsageError):  # anything else would be a traceback for the user
            Sidecar.read(sidecar.beton).check(whole=True)
    finally:
        path.write_text(original, encoding="utf-8")
