"""Digests: a file is read as it was written, or an error names it."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltray import seal
from ltray.errors import UsageError
from ltray.seal import append_sealed, check_listed, read_lines, read_sealed, write_listed, write_sealed
from tests.damage import Damage, damages

CONTENT = {"metrics": {"val/acc_all": 0.1 + 0.2, "lost": float("nan")}, "items": ["ä", "\udce4", None, True], "n": 3}
LINES = [{"total_epochs": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
own_keys = st.text().filter(lambda key: key not in (seal.FORMAT, seal.DIGEST))


@in_one_folder
@given(content=st.dictionaries(own_keys, values))
def test_sealed_object_is_read_unchanged(tmp_path: Path, content: dict) -> None:
    write_sealed(tmp_path / "a.json", content)
    assert read_sealed(tmp_path / "a.json") == content


@in_one_folder
@given(damage=damages)
def test_damaged_object_reads_equal_or_is_named(tmp_path: Path, damage: Damage) -> None:
    file = tmp_path / "a.json"
    write_sealed(file, CONTENT)
    damage.apply(file)
    try:
        assert json.dumps(read_sealed(file)) == json.dumps(CONTENT)
    except UsageError as error:
        assert str(file) in str(error)


@in_one_folder
@given(damage=damages)
def test_damaged_lines_read_equal_or_are_named_except_a_cut_end(tmp_path: Path, damage: Damage) -> None:
    file = tmp_path / "a.jsonl"
    file.unlink(missing_ok=True)
    for line in LINES:
        append_sealed(file, line)
    damage.apply(file)
    try:
        found = read_lines(file)
    except UsageError as error:
        assert str(file) in str(error)
    else:
        assert found == LINES[: len(found)]
        # A file cut between two lines is equal to that of a run killed between two epochs.
        assert len(found) == 3 or damage.kind in ("cut", "empty") or not file.read_bytes().endswith(b"\n")


@in_one_folder
@given(damage=damages, listed=st.booleans())
def test_damaged_file_reads_equal_or_is_named(tmp_path: Path, damage: Damage, listed: bool) -> None:
    file = tmp_path / "config.yaml"
    for left in (file, tmp_path / seal.LIST):
        left.unlink(missing_ok=True)
    write_listed(file, "settings: {seed: 0}\n")
    damaged = tmp_path / seal.LIST if listed else file
    if not damage.apply(damaged):
        check_listed(file)
        return
    try:
        check_listed(file)
        assert file.read_text() == "settings: {seed: 0}\n"
    except UsageError as error:
        assert str(damaged) in str(error)


def test_incomplete_last_line_is_removed_by_the_next_append(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for line in LINES:
        append_sealed(file, line)
    file.write_bytes(file.read_bytes()[:-7])
    assert read_lines(file) == LINES[:2]
    append_sealed(file, LINES[2])
    assert read_lines(file) == LINES
    file.write_bytes(b'{"total_')
    append_sealed(file, LINES[0])
    assert read_lines(file) == LINES[:1]


def test_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for line in LINES:
        append_sealed(file, line)
    file.write_text(file.read_text().replace('"loss": 0.5', '"loss": 0.6'))
    with pytest.raises(UsageError, match=r"a\.jsonl:2: the content differs from its digest: .* remove this line"):
        read_lines(file)


def test_files_without_digest_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seconds": 2.5}')
    assert read_sealed(tmp_path / "a.json") == {"seconds": 2.5}
    (tmp_path / "a.jsonl").write_text('{"total_epochs": 1}\n{"total_epochs": 2}\n')
    assert read_lines(tmp_path / "a.jsonl") == [{"total_epochs": 1}, {"total_epochs": 2}]
    (tmp_path / "b.yaml").write_text("a: 1")
    check_listed(tmp_path / "b.yaml")


def test_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"format": 3, "whatever": 1}')
    with pytest.raises(UsageError, match="has the format 3, but this version of ltray reads 1 to 2: update ltray"):
        read_sealed(tmp_path / "a.json")


def test_removed_digest_is_detected(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a.json", {"seconds": 2.5})
    for lost in (seal.DIGEST, seal.FORMAT):
        content = json.loads((tmp_path / "a.json").read_text())
        del content[lost]
        (tmp_path / "b.json").write_text(json.dumps(content))
        with pytest.raises(UsageError, match="differs from its digest"):
            read_sealed(tmp_path / "b.json")


@pytest.mark.parametrize("until", [1, 2, 3])
def test_process_killed_between_list_and_file_leaves_a_readable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: int
) -> None:
    file, replaced = tmp_path / "config.yaml", os.replace
    write_listed(file, "old")
    renames = 0

    def killed(*paths: Path) -> None:
        nonlocal renames
        renames += 1
        if renames == until:
            raise KeyboardInterrupt
        replaced(*paths)

    monkeypatch.setattr(os, "replace", killed)
    for content in ("newer", "newest"):  # each write renames two files
        try:
            write_listed(file, content)
        except KeyboardInterrupt:
            check_listed(file)
    monkeypatch.undo()
    write_listed(file, "last")
    check_listed(file)
    assert file.read_text() == "last"
