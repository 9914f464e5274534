"""Settings on the command line and in files."""

import pytest

from ltray.errors import UsageError
from ltray.settings import full_key, parse_assignments
from ltray.settings_file import SettingsFile

OWNERS = {"": ["seed", "dataset"], "bcl": ["temperature", "epochs"], "rescom": ["temperature", "queue_size"]}


def test_values_are_yaml():
    words = ["a=1", "b=1e-3", "c=[160, 180]", "d=true", "e=cosine", "f=0.5"]
    assert parse_assignments(words) == {"a": 1, "b": 1e-3, "c": [160, 180], "d": True, "e": "cosine", "f": 0.5}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["epochs"], "must have the form key=value"),
        (["=3"], "must have the form key=value"),
        (["epochs=1", "epochs=2"], "`epochs` is given twice: 1 and 2"),
        (["epochs=[1"], "not valid YAML"),
    ],
)
def test_malformed_words_are_refused(words, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_assignments(words)


def test_a_bare_name_finds_its_one_owner():
    assert full_key("epochs", OWNERS) == "bcl.epochs"
    assert full_key("seed", OWNERS) == "seed"
    assert full_key("rescom.temperature", OWNERS) == "rescom.temperature"


def test_a_bare_name_with_two_owners_is_refused():
    with pytest.raises(UsageError, match="any of `bcl.temperature`, `rescom.temperature`"):
        full_key("temperature", OWNERS)


@pytest.mark.parametrize(
    ("key", "nearest"), [("epoch", "epochs"), ("bcl.temprature", "bcl.temperature"), ("sed", "seed")]
)
def test_an_unknown_name_gets_the_nearest(key, nearest):
    with pytest.raises(UsageError, match=f"`{key}` is not a setting. Did you mean `{nearest}`"):
        full_key(key, OWNERS)


def test_every_key_knows_its_line(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("# comment\ndataset: x\nexplore:\n  bcl.temperature: {from: 1, to: 2}\n")
    file = SettingsFile.read(path)
    assert file.where("explore.bcl.temperature") == f"{path}:4: "
    assert file.where("explore.bcl.temperature.from") == f"{path}:4: "
    assert file.where("unknown") == f"{path}: "


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", r"space.yaml:3: `a` stands twice; first in line 1"),
        ("- 1\n- 2\n", "must hold `key: value` lines, but holds list"),
        ("a: [1\n", "not valid YAML"),
        ("", "must hold `key: value` lines"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, sentence):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        SettingsFile.read(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        SettingsFile.read(tmp_path / "none.yaml")
