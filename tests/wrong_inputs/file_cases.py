"""Wrong files: invalid or too large YAML, paths that are not files, damaged or foreign contents."""

import io
import json
import pickle
import zipfile
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import strategies as st

from tests.wrong_inputs.case import Case, SpecialFile
from tests.wrong_inputs.valid_inputs import FOLDER, LISTS, PARQUET, image_bytes, weights

YAML, PLACE, CONTENT = "YAML", "place of a file", "content of a file"
BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
BROKEN_YAML: tuple[tuple[bytes | str, str], ...] = (
    ("", "empty"),
    ("# only a comment\n", "empty"),
    ("---\n", "empty"),
    ("null\n", "empty"),
    ("- a\n- b\n", "`key: value` lines"),
    ("just words\n", "`key: value` lines"),
    ("name: [1\n", "not valid YAML"),
    ("name: {a: 1\n", "not valid YAML"),
    ("name: 'a\n", "not valid YAML"),
    ("name: a: b\n", ":1:"),
    ("name: a\n\tsource: b\n", ":2:"),
    ("name:\n\t- a\n", ":2:"),
    ("name: a\n source: b\n", "not valid YAML"),
    ("name: a\nname: b\n", "duplicate key `name`"),
    ("fix: {a: 1, a: 2}\n", "duplicate key `a`"),
    ("name: a\n---\nname: b\n", "single document"),
    ("name: &a [*a]\n", "nested"),
    ("name: *a\n", "undefined alias"),
    (BILLION_LAUGHS, "50,000 values"),
    ("name: " + "[" * 50_000, "nested"),
    ("{" * 50_000, "nested"),
    ("name: " + "{a: " * 300 + "1" + "}" * 300, "nested"),
    ("".join(f"{' ' * level}a:\n" for level in range(400)), "nested"),
    ("name: !!python/object/apply:os.system ['true']\n", "tag"),
    ("name: !!python/name:os.system\n", "tag"),
    ("name: !!set {a, b}\n", "tag"),
    ("name: !!binary aGk=\n", "tag"),
    ("name: !own a\n", "tag"),
    ("!!map {name: !!int x}\n", "tag"),
    ("? [a]\n: b\n", "plain text"),
    ("? {a: b}\n: c\n", "plain word"),
    (": a\n", "not valid YAML"),
    ("<<: 3\n", "`<<`"),
    ("<<: [1, 2]\n", "`<<`"),
    ("name: \x00\n", "#x0000"),
    ("name: \x07\n", "#x0007"),
    ("name: \ufffe\n", "#xfffe"),
    (b"name: \xff\xfe\n", "not UTF-8"),
    ("name: a\n".encode("utf-16"), "not UTF-8"),
    ("name: a\n".encode("utf-32"), "not UTF-8"),
    ("name: ä\n".encode("latin-1"), "not UTF-8"),
    ("name: " + "x" * (11 << 20), "at most"),
    ("name: " + "x" * (2 << 20), "at most"),
    ("\n".join(f"k{n}: {n}" for n in range(60_000)), "values"),
    ("%YAML 9.9\n---\nname: a\n", "mine"),
    ("@name: a\n", "not valid YAML"),
    ("`name`: a\n", "not valid YAML"),
    ("{'name': 'a', 'source'\n", "not valid YAML"),
    (json.dumps({"names": "a"}), "mine.yaml:1"),
    (image_bytes(0), "not UTF-8"),
    (b"PK\x03\x04" + bytes(40), "#x"),
    ("<html><body>404</body></html>\n", "`key: value` lines"),
)
READERS = (
    ("train", ("--methods", "bcl", "--dataset", "mine.yaml")),
    ("convert", ("mine.yaml",)),
    ("views", ("mine.yaml", "bcl")),
    ("tune", ("mine.yaml",)),
    ("tune", ("ldam", "dataset=mine.yaml")),
    ("tune", ("cp", "mine.yaml", "copy.yaml")),
)
KINDS = ("fifo", "socket", "device", "folder", "loop", "dangling")
ADDRESSES = ("s3://bucket/x", "gs://bucket/x", "hdfs://host/x", "https://host/x", "file:///tmp/x", "S3://bucket/x")
INVALID_PATHS = (*ADDRESSES, "", " ", "a" * 300, "a/" * 2100 + "a", "\x00", "a\x00b")
DIGITS = ("--methods", "bcl", "--dataset", "digits-lt")
# Every option and argument that takes a path; "{}" stands for the path.
PLACES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("train", ("--methods", "bcl", "--dataset", "{}"), False),
    ("train", (*DIGITS, "--output", "{}"), True),
    ("train", ("--methods", "crt", "--dataset", "digits-lt", "--from", "{}"), False),
    ("tune", ("{}",), False),
    ("tune", ("ldam", "dataset={}"), False),
    ("tune", ("ldam", "dataset=digits-lt", "--output", "{}"), True),
    ("tune", ("crt", "dataset=digits-lt", "--from", "{}"), False),
    ("tune", ("cp", "{}", "copy.yaml"), False),
    ("tune", ("cp", "ldam", "{}/copy.yaml"), False),
    ("convert", ("{}",), False),
    ("convert", ("{inputs}/pets", "--output", "{}"), True),
    ("convert", ("mine.yaml", "folder={}"), False),
    ("convert", ("lists.yaml", "train_list={}"), False),
    ("convert", ("lists.yaml", "test_list={}", "test_per_class=0"), False),
    ("convert", ("lists.yaml", "class_names={}"), False),
    ("convert", ("parquet.yaml", "train_list={}"), False),
    ("views", ("{}", "bcl"), False),
    ("views", ("digits-lt", "bcl", "--output", "{}"), True),
    ("evaluate", ("{}",), False),
    ("report", ("{}",), False),
    ("report", ("{inputs}/run", "--output", "{}"), True),
    ("predict", ("{}", "{inputs}/pets/cat/0.png"), False),
    ("predict", ("{inputs}/run", "{inputs}/pets/cat/0.png", "--output", "{}"), True),
    ("train", ("--methods", "bcl", "--dataset", "{inputs}/large.yaml", "weights={}"), False),
)
DATA_SET_FILES = (
    ("mine.yaml", FOLDER),
    ("lists.yaml", LISTS.replace("train.txt", "all.txt")),
    ("parquet.yaml", PARQUET.replace("folder: .", "folder: '{inputs}'")),
)


def _yaml_case(broken: tuple[bytes | str, str], reader: tuple[str, tuple[str, ...]]) -> Case:
    content, part = broken
    command, arguments = reader
    return Case(YAML, command, arguments, ("mine.yaml", part), (("mine.yaml", content),))


def _missing(path: str, place: tuple[str, tuple[str, ...], bool]) -> Case:
    """Return a case with an impossible or missing path."""
    command, arguments, _ = place
    filled = tuple(word.replace("{}", path) for word in arguments)
    contains = (path,) if path.isprintable() and path.strip() and len(path) < 100 else ()
    return Case(PLACE, command, filled, contains, DATA_SET_FILES)


def _odd(kind: str, place: tuple[str, tuple[str, ...], bool]) -> Case:
    """Return a case with a pipe, socket, device, folder or broken link instead of a file."""
    command, arguments, output = place
    filled = tuple(word.replace("{}", "odd.yaml") for word in arguments)
    return Case(PLACE, command, filled, ("odd.yaml",), (*DATA_SET_FILES, ("odd.yaml", SpecialFile(kind))))  # type: ignore[arg-type]


def _allowed(kind: str, place: tuple[str, tuple[str, ...], bool]) -> bool:
    """Return whether a special file is allowed at a path."""
    command, arguments, output = place
    folders = output and command in ("train", "tune", "convert")
    into = "{}/copy.yaml" in arguments
    return kind == "folder" and (folders or into)


# An address is not a path; "" and " " before a name are part of a valid path.
MISSING = [
    (path, place) for path in INVALID_PATHS for place in PLACES if path.strip() or "{}/copy.yaml" not in place[1]
]
ODD_PLACES = [(kind, place) for kind in KINDS for place in PLACES if not _allowed(kind, place)]


def _table(**columns: object) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def _good_rows(count: int = 8) -> list[dict[str, object]]:
    return [{"bytes": image_bytes(number), "path": None} for number in range(count)]


PARQUETS: tuple[tuple[bytes, str], ...] = (
    (b"", "train.parquet"),
    (b"PAR1", "train.parquet"),
    (b"PAR1" + bytes(100) + b"PAR1", "train.parquet"),
    (b"PARE" + bytes(100) + b"PARE", "train.parquet"),
    (_table(image=_good_rows(), label=[0, 1] * 4)[:-40], "train.parquet"),
    (_table(image=_good_rows(), label=[0, 1] * 4)[40:], "train.parquet"),
    (image_bytes(0), "train.parquet"),
    (b"image,label\n1,2\n", "train.parquet"),
    (b"<html>", "train.parquet"),
    (_table(image=_good_rows(), label=[0.5] * 8), "label"),
    (_table(image=_good_rows(), label=[True, False] * 4), "label"),
    (_table(image=_good_rows(), label=[[0], [1]] * 4), "label"),
    (_table(image=_good_rows(), label=[-1] * 8), "label"),
    (_table(image=_good_rows(), label=[0, 3_000_000_000] * 4), "label"),
    (_table(image=_good_rows(), label=[None] * 8), "label"),
    (_table(image=_good_rows(), label=[{"a": 1}] * 8), "label"),
    (_table(image=_good_rows(), label=[0] * 8), "class"),
    (_table(image=["x"] * 8, label=[0, 1] * 4), "image"),
    (_table(image=[1] * 8, label=[0, 1] * 4), "image"),
    (_table(image=[None] * 8, label=[0, 1] * 4), "image"),
    (_table(other=["x"] * 8, label=[0, 1] * 4), "column"),
    (_table(image=_good_rows(), kind=[0, 1] * 4), "column"),
    (_table(image=[], label=[]), "train.parquet"),
    (_table(), "train.parquet"),
)
LINES: tuple[tuple[bytes | str, str], ...] = (
    ("", "train.txt"),
    ("\n\n", "train.txt"),
    ("cat/0.png\n", "train.txt:1"),
    ("cat/0.png x\n", "train.txt:1"),
    ("cat/0.png 0.5\n", "train.txt:1"),
    ("cat/0.png -1\n", "train.txt:1"),
    ("cat/0.png true\n", "train.txt:1"),
    ("cat/0.png 1e3\n", "train.txt:1"),
    ("cat/0.png 3000000000\n", "train.txt"),
    ("cat/0.png " + "9" * 400 + "\n", "train.txt"),
    ("cat/0.png " + "9" * 5000 + "\n", "train.txt"),
    ("cat/none.png 0\ndog/0.png 1\n", "cat/none.png"),
    ("cat/0.png 0\ncat/1.png 0\n", "class"),
    (b"cat/\xff.png 0\ndog/0.png 1\n", "\\xff.png"),
    ("cat/0.png 0\n".encode("utf-16"), "train.txt"),
    (image_bytes(0), "train.txt"),
    ("cat/\x000.png 0\ndog/0.png 1\n", "train.txt"),
    ("a" * 400 + ".png 0\ndog/0.png 1\n", "too long"),
    ("cat/0.png 0\n" * 3 + "x" * 100_000, "train.txt:4"),
    ("s3://bucket/0.png 0\ndog/0.png 1\n", "s3://bucket/0.png"),
)
GOOD_JSON = {
    "images": [{"id": n, "file_name": f"{('cat', 'dog')[n % 2]}/{n // 2}.png"} for n in range(8)],
    "annotations": [{"image_id": n, "category_id": n % 2} for n in range(8)],
    "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
}


def _json(**changed: object) -> str:
    return json.dumps({key: value for key, value in (GOOD_JSON | changed).items() if value is not None})


JSONS: tuple[tuple[bytes | str, str], ...] = (
    ("", "train.json"),
    ("{", "train.json"),
    ("[]", "train.json"),
    ("null", "train.json"),
    ("3", "train.json"),
    ('"x"', "train.json"),
    ("{}", "train.json"),
    ("[" * 100_000, "train.json"),
    ('{"a":' * 100_000, "train.json"),
    ("[" * 5000 + "]" * 5000, "train.json"),
    ('{"images": ' + "9" * 5000 + "}", "train.json"),
    (_json(images=None), "train.json"),
    (_json(annotations=None), "train.json"),
    (_json(images=[]), "train.json"),
    (_json(annotations=[]), "train.json"),
    (_json(images=3), "train.json"),
    (_json(annotations={"a": 1}), "train.json"),
    (_json(annotations=[{"image_id": 99, "category_id": 0}]), "train.json"),
    (_json(annotations=[{"image_id": 0, "category_id": 99}]), "train.json"),
    (_json(annotations=[{"image_id": 0}]), "train.json"),
    (_json(annotations=[{"image_id": [0], "category_id": 0}]), "train.json"),
    (_json(categories=[{"id": 0, "name": "cat"}, {"id": 1, "name": "cat"}]), "cat"),
    (_json(categories=[{"id": 0, "name": "cat"}, {"id": 0, "name": "dog"}]), "train.json"),
    (_json(categories=[{"id": 0}, {"id": 1}]), "train.json"),
    (json.dumps(GOOD_JSON)[:-30], "train.json"),
    (json.dumps(GOOD_JSON).encode("utf-16"), "train.json"),
    (image_bytes(0), "train.json"),
    (json.dumps({"annotations": [{"fpath": "cat/0.png", "category_id": 0.5}]}), "train.json"),
    (json.dumps({"annotations": [{"fpath": "cat/0.png", "category_id": True}]}), "train.json"),
    (json.dumps({"annotations": [{"fpath": "cat/0.png", "category_id": -1}]}), "train.json"),
    (json.dumps({"annotations": [{"fpath": "cat/0.png", "category_id": 3_000_000_000}]}), "train.json"),
    (json.dumps({"annotations": [{"fpath": 3, "category_id": 1}]}), "train.json"),
    (json.dumps({"annotations": [{"fpath": "cat/0.png", "category_id": [1]}]}), "train.json"),
)


def _zip(**entries: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return content.getvalue()


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never be printed",))


def _saved(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


GOOD_WEIGHTS = weights(**{"conv1.weight": torch.zeros(64, 3, 7, 7)})
SAFETENSORS = (2).to_bytes(8, "little") + b"{}" + bytes(64)
WEIGHTS: tuple[bytes, ...] = (
    b"",
    b"x",
    b"<html><body>Not found</body></html>",
    b"\x80\x02}q\x00.",
    pickle.dumps({"conv1.weight": _Code()}),
    pickle.dumps([1, 2]),
    SAFETENSORS,
    (1 << 62).to_bytes(8, "little") + b"{}",
    GOOD_WEIGHTS[:-100],
    GOOD_WEIGHTS[:200],
    GOOD_WEIGHTS[100:],
    GOOD_WEIGHTS,  # of another network
    _zip(**{"archive/data.pkl": b"\x80\x02}q\x00."}),
    _saved(3),
    _saved([torch.zeros(1)]),
    _saved({"state_dict": 3}),
    _saved({"a": 1}),
    _saved({1: torch.zeros(1)}),
    _saved({}),
    image_bytes(0),
    bytes(1 << 20),
)


def _sequence(kind: str, broken: Sequence[object], index: int) -> Case:
    entry = broken[index % len(broken)]
    if kind == "weights":
        arguments = ("--methods", "bcl", "--dataset", "{inputs}/large.yaml", "weights=own.pt")
        return Case(CONTENT, "train", arguments, ("own.pt",), (("own.pt", entry),))  # type: ignore[arg-type]
    content, part = entry  # type: ignore[misc]
    name = {"parquet": "train.parquet", "lines": "train.txt", "json": "train.json"}[kind]
    text = PARQUET if kind == "parquet" else LISTS.replace("train.txt", name)
    command, arguments = (("convert", ("mine.yaml",)), ("views", ("mine.yaml", "bcl")))[index // len(broken) % 2]
    return Case(CONTENT, command, arguments, (part,), (("mine.yaml", text), (name, content)))


CONTENTS = {"weights": WEIGHTS, "parquet": PARQUETS, "lines": LINES, "json": JSONS}
DAMAGES: tuple[bytes | SpecialFile, ...] = (
    b"",
    b"x",
    b"{",
    b"[" * 5000,
    b"null",
    b"<html>Not found</html>",
    b"\xff\xfe\x00",
    b"SQLite format 3\x00" + bytes(100),
    b"PAR1" + bytes(60) + b"PAR1",
    b"PK\x03\x04" + bytes(60),
    pickle.dumps({"position": _Code()}),
    SpecialFile("fifo"),
    SpecialFile("folder"),
    SpecialFile("device"),
    SpecialFile("loop"),
)
# The files of a run that a command needs, with the command; the others may be absent.
NEEDED = (
    ("evaluate", ("run",), "best/checkpoint.pt"),
    ("predict", ("run", "{inputs}/pets/cat/0.png"), "best/checkpoint.pt"),
    ("train", ("--methods", "crt", "--dataset", "digits-lt", "--from", "run"), "best/checkpoint.pt"),
    ("report", ("run",), "config.yaml"),
    ("report", ("run",), "history.parquet"),
    ("report", ("run",), "results.parquet"),
    ("report", ("run",), "finalists.parquet"),
    ("report", ("run",), "env.json"),
    ("report", ("run",), "best/evaluation.json"),
    ("evaluate", ("run",), "best/evaluation.json"),
    ("train", (*DIGITS, "--output", "run"), "config.yaml"),
    ("predict", ("run", "{inputs}/pets/cat/0.png"), "best/selection.npz"),
    ("tune", ("ldam", "dataset=digits-lt", "search.warm_start=[run]"), "config.yaml"),
)


def _damaged(damage: bytes | SpecialFile, needed: tuple[str, tuple[str, ...], str]) -> Case:
    command, arguments, name = needed
    files = ((f"run/{name}", damage),)
    return Case("file of a run", command, arguments, ("run",), files, (("run", "run"),))


IMAGES: tuple[bytes | SpecialFile, ...] = (
    b"",
    b"x",
    b"\x89PNG\r\n\x1a\n",
    image_bytes(0)[:60],
    image_bytes(0, "jpeg")[:60],
    b"GIF89a",
    b"<svg/>",
    bytes(1000),
    SpecialFile("fifo"),
    SpecialFile("device"),
    SpecialFile("socket"),
    SpecialFile("loop"),
    SpecialFile("folder"),
    SpecialFile("dangling"),
)


def _image(content: bytes | SpecialFile, form: str) -> Case:
    """Return a case with an invalid image to predict: an error in its row, and exit code 1."""
    arguments = ("{inputs}/run", "odd.png", "--format", form)
    return Case("image to predict", "predict", arguments, ("odd.png",), (("odd.png", content),), row=True)


def cases() -> st.SearchStrategy[Case]:
    """Return the strategy of all file cases."""
    return st.one_of(
        st.builds(_yaml_case, st.sampled_from(BROKEN_YAML), st.sampled_from(READERS)),
        st.builds(lambda pair: _missing(*pair), st.sampled_from(MISSING)),
        st.builds(lambda pair: _odd(*pair), st.sampled_from(ODD_PLACES)),
        st.sampled_from(sorted(CONTENTS)).flatmap(
            lambda kind: st.builds(
                _sequence, st.just(kind), st.just(CONTENTS[kind]), st.integers(0, 2 * len(CONTENTS[kind]) - 1)
            )
        ),
        st.builds(_damaged, st.sampled_from(DAMAGES), st.sampled_from(NEEDED)),
        st.builds(_image, st.sampled_from(IMAGES), st.sampled_from(("table", "csv", "json"))),
    )
