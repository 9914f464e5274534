"""All commands parse options, operands and settings in any order and by the same rules."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray import convert, evaluate, predict, train, tune, views
from ltray.methods import __main__ as methods
from ltray.parser import Parser
from ltray.report import __main__ as report
from tests.paths import ROOT


class Read(Exception):
    """Raised when a command has parsed its arguments, to end it there."""


@dataclass(frozen=True)
class Command:
    """A command, its operands in order, options that are allowed at any position, and settings."""

    main: Callable[[list[str]], int]
    operands: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    settings: tuple[str, ...] = ()


SETTINGS = ("epochs=2", "dataset.imbalance_factor=50", "start=runs/a=b", "x=")
COMMANDS = {
    "train": Command(
        train.main, (), (("--methods", "bcl", "tau_norm"), ("--dataset", "a=b"), ("--workers=2",)), SETTINGS
    ),
    "tune": Command(tune.main, ("rescom",), (("--from", "runs/x=1"), ("--dry-run",), ("--budget", "2h")), SETTINGS),
    "tune cp": Command(lambda arguments: tune.main(["cp", *arguments]), ("rescom", "mine=1.yaml"), (("--overwrite",),)),
    "convert": Command(convert.main, ("./a=b",), (("--deep",), ("--on-error", "skip"), ("--output", "c=d")), SETTINGS),
    "views": Command(views.main, ("digits-lt", "bcl"), (("--output", "a=b.png"),), SETTINGS),
    "evaluate": Command(evaluate.main, ("runs/lr=0.1",), (("--test",), ("--classes",), ("--json",))),
    "report": Command(report.main, ("a=1", "b", "c"), (("--output", "d.html"),)),
    "predict": Command(predict.main, ("run", "a=1.png", "b.png"), (("--top", "3"), ("--format", "csv"))),
    "methods": Command(methods.main, ("bcl",), (("--markdown",),)),
}


def values_of(command: Command, arguments: list[str]) -> dict[str, object]:
    """Return the values that a command parses from its arguments."""
    read: list[dict[str, object]] = []
    original_parse = Parser.parse

    def parse(self: Parser, arguments: list[str]) -> None:
        read.append(vars(original_parse(self, arguments)))
        raise Read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parser, "parse", parse)
        with pytest.raises(Read):
            command.main(arguments)
    (values,) = read
    return {name: sorted(value) if name == "settings" else value for name, value in values.items()}  # type: ignore[type-var]


@st.composite
def in_any_order(draw: st.DrawFn, command: Command) -> list[str]:
    """Draw a command's arguments: the operands keep their order, all others are at any position."""
    free = draw(st.permutations([*command.options, *((word,) for word in command.settings)]))
    groups = [*free]
    places = sorted(draw(st.lists(st.integers(0, len(free)), min_size=1, max_size=len(command.operands) or 1)))
    places += places[-1:] * (len(command.operands) - len(places))
    for place, operand in reversed(list(zip(places, command.operands, strict=False))):
        groups.insert(place, (operand,))
    return [word for group in groups for word in group]


@pytest.mark.parametrize("name", COMMANDS)
@given(data=st.data())
def test_order_of_arguments_does_not_change_the_values(name: str, data: st.DataObject) -> None:
    command = COMMANDS[name]
    plain = [*command.operands, *command.settings, *(word for option in command.options for word in option)]
    expected = values_of(command, plain)
    assert set(expected.get("settings", ())) == set(command.settings)  # type: ignore[call-overload]
    assert values_of(command, data.draw(in_any_order(command))) == expected


def test_every_command_parses_its_arguments_with_parse() -> None:
    reads = {
        path.relative_to(ROOT / "ltray").as_posix(): re.findall(r"\w*Parser\(|\.parse\w*_args\(|\.parse\(", text)
        for path in sorted((ROOT / "ltray").rglob("*.py"))
        if "import Parser" in (text := path.read_text()) or "argparse" in text
    }
    assert len(reads) > len(COMMANDS) - 1
    for path, calls in reads.items():
        if path not in ("parser.py", "completion.py"):  # `completion` declares arguments for the shell
            assert set(calls) <= {"Parser(", ".parse("}, path


@pytest.fixture
def parser() -> Iterator[Parser]:
    one = Parser("tune")
    one.add_argument("space")
    one.add_argument("--methods", nargs="+", required=True)
    one.add_argument("--output")
    one.add_settings("such as epochs=2")
    yield one


def test_path_with_an_equals_sign_fills_a_missing_operand(
    parser: Parser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lr=1").mkdir()
    found = parser.parse(["lr=1", "--methods", "bcl", "a=2"])
    assert (found.space, found.settings, found.methods) == ("lr=1", ["a=2"], ["bcl"])
    found = parser.parse(["lr=1", "rescom", "--methods", "bcl"])
    assert (found.space, found.settings) == ("rescom", ["lr=1"])


def test_no_argument_after_two_dashes_is_an_option(parser: Parser) -> None:
    found = parser.parse(["--methods", "bcl", "--", "--output", "a=1"])
    assert (found.space, found.settings, found.output) == ("--output", ["a=1"], None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--methods", "bcl", "--outptu", "y"], "unknown option '--outptu'. Did you mean `--output`?"),
        (["x", "--methods", "bcl", "-z"], "unknown option '-z'."),
        (["x", "--methods", "epochs=2"], "argument --methods: expected at least one argument"),
        (["--methods", "bcl", "--", "a=1"], "required: space"),
        (["x", "a=1"], "required: --methods"),
        (["x", "--methods", "a", "--methods", "b"], "argument --methods: given twice"),
    ],
)
def test_wrong_arguments_print_a_sentence_and_exit_with_2(
    parser: Parser, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parse(arguments)
    assert message in capsys.readouterr().err


def test_parser_can_parse_repeatedly(parser: Parser) -> None:
    arguments = ["x", "--output", "y", "--methods", "bcl"]
    assert parser.parse(arguments) == parser.parse(arguments)
