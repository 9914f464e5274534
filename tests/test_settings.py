"""Settings on the command line and in files."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.settings import full_key, full_keys, parse_assignments
from ltray.settings_file import SettingsFile
from ltray.typed import as_type
from ltray.yaml_scalars import NotPlainYaml
from ltray.yaml_text import parse

OWNERS = {"": ["seed", "dataset"], "bcl": ["temperature", "epochs"], "rescom": ["temperature", "queue_size"]}


def test_assignments_have_yaml_values():
    arguments = ["a=1", "b=1e-3", "c=[160, 180]", "d=true", "e=cosine", "f=0.5"]
    assert parse_assignments(arguments) == {"a": 1, "b": 1e-3, "c": [160, 180], "d": True, "e": "cosine", "f": 0.5}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["epochs"], "must have the form key=value"),
        (["=3"], "must have the form key=value"),
        (["epochs=1", "epochs=2"], "`epochs` is given twice: 1 and '2'; keep one"),
        (["epochs=[1"], "not valid YAML"),
    ],
)
def test_malformed_assignments_are_refused(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_assignments(arguments)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("name=1e3", "1e3"),
        ("name=infinity", "infinity"),
        ("name=nan", "nan"),
        ("name=1_000", "1_000"),
        ("name=007", "007"),
        ("name=2024", "2024"),
        ("name=0.10", "0.10"),
        ("name=no", "no"),
        ("name=2024-01-01", "2024-01-01"),
        ("folder=/data/my #1 photos", "/data/my #1 photos"),
        ("folder=C: x", "C: x"),
        ("folder=*.png", "*.png"),
        ("folder=a ", "a "),
        ("folder='true'", "true"),
    ],
)
def test_text_values_are_not_changed(word, value):
    (found,) = parse_assignments([word]).values()
    assert as_type("name", str, found) == value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(float, "1e-3", 1e-3), (int, "1e3", 1000), (float, ".5", 0.5), (bool, "no", False), (bool, "ON", True)],
)
def test_declared_type_converts_text_to_numbers_and_booleans(kind, text, value):
    (found,) = parse_assignments([f"x={text}"]).values()
    assert as_type("x", kind, found) == value and type(as_type("x", kind, found)) is kind


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize(
    "text",
    ["010", "0x10", "0o17", "1_000", "1:30", "nan", ".nan", "inf", "-.inf", "infinity", "1e999", "two", "true", "", "~"]
    + ["2024-01-01", "9" * 500, "[1]", "{a: 1}", "E5", ".", "1e", "٣", "²"],
)
def test_value_that_is_not_a_finite_decimal_number_is_refused(kind, text):
    (found,) = parse_assignments([f"x={text}"]).values()
    if kind is int and text.startswith("999"):
        assert as_type("x", kind, found) == int(text)
        return
    with pytest.raises(UsageError, match="`x` must be"):
        as_type("x", kind, found)


def test_short_and_full_key_of_one_setting_are_refused():
    with pytest.raises(UsageError, match="`bcl.epochs` is given twice, as `epochs` and as `bcl.epochs`"):
        full_keys({"epochs": 1, "bcl.epochs": 1}, OWNERS)
    assert full_keys({"epochs": 1, "bcl.temperature": 2}, OWNERS) == {"bcl.epochs": 1, "bcl.temperature": 2}


def test_short_name_with_one_owner_is_completed():
    assert full_key("epochs", OWNERS) == "bcl.epochs"
    assert full_key("seed", OWNERS) == "seed"
    assert full_key("rescom.temperature", OWNERS) == "rescom.temperature"


def test_short_name_with_two_owners_is_refused():
    with pytest.raises(UsageError, match="any of `bcl.temperature`, `rescom.temperature`"):
        full_key("temperature", OWNERS)


@pytest.mark.parametrize(
    ("key", "nearest"), [("epoch", "epochs"), ("bcl.temprature", "bcl.temperature"), ("sed", "seed")]
)
def test_unknown_setting_is_refused_with_the_nearest_name(key, nearest):
    with pytest.raises(UsageError, match=f"`{key}` is not a setting. Did you mean `{nearest}`"):
        full_key(key, OWNERS)


def test_every_key_has_its_line_number(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("# comment\ndataset: x\nexplore:\n  bcl.temperature: {from: 1, to: 2}\n")
    file = SettingsFile.read(path)
    assert file.where("explore.bcl.temperature") == f"{path}:4: "
    assert file.where("explore.bcl.temperature.from") == f"{path}:4: "
    assert file.where("unknown") == f"{path}: "


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", r"space.yaml:3: .*duplicate key `a`; first in line 1"),
        ("- 1\n- 2\n", "must contain `key: value` lines, but contains a list"),
        ("a: [1\n", "not valid YAML"),
        ("a:\n\t- 1\n", r"space.yaml:2: not valid YAML.*'.t' that cannot start"),
        ("a: &a [*a]\n", "nested more than 24 levels deep"),
        ("[" * 100_000, "nested more than 24 levels deep"),
        ("a: 1\n---\na: 2\n", r"space.yaml:2: .*expected a single document"),
        ("? [a]\n: 1\n", "a key must be plain text"),
        ("a: !!set {x}\n", "tag tag:yaml.org,2002:set is not supported"),
        ("a: *b\n", "undefined alias 'b'"),
        ("<<: 3\n", "`<<` must be a mapping"),
        ("a: {b: 1, b: 2}\n", "duplicate key `b`"),
        ("# nothing\n", "must contain `key: value` lines, but is empty"),
        ("a: " + "x" * (1 << 20), "characters; settings have at most 1,048,576"),
        ("a: \x00\n", "#x0000"),
        ("", "must contain `key: value` lines"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_invalid_settings_file_is_refused(tmp_path, text, sentence):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        SettingsFile.read(path)


def test_exponentially_expanding_aliases_are_refused(tmp_path):
    rows = [f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]" for before, key in pairwise("abcdefghijklm")]
    path = tmp_path / "space.yaml"
    path.write_text("a: &a [x, x, x]\n" + "\n".join(rows))
    with pytest.raises(UsageError, match="contains more than 50,000 values"):
        SettingsFile.read(path)


def test_anchors_and_merge_keys_are_read(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("a: &a {p: 1, q: no}\nb:\n  <<: *a\n  p: 010\n")
    file = SettingsFile.read(path)
    assert file.values == {"a": {"p": 1, "q": "no"}, "b": {"p": "010", "q": "no"}}
    assert file.where("b.p") == f"{path}:4: "


@pytest.mark.parametrize("content", ["a: 1\n".encode("utf-16"), b"a: \xff\n"])
def test_other_encoding_is_refused(tmp_path, content):
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"space.yaml: cannot be read: byte \d is not UTF-8"):
        SettingsFile.read(path)


def test_byte_order_mark_is_not_part_of_the_first_key(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert SettingsFile.read(path).values == {"a": 1}


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.from_regex(r"[-\[{&*!|>%@`#:,?'\"\w ]{0,30}")
)
def test_any_text_is_parsed_or_refused(text):
    try:
        parse(text)
    except NotPlainYaml:
        pass
    try:
        parse_assignments([f"key={text}"])
    except UsageError:
        pass


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        SettingsFile.read(tmp_path / "none.yaml")
