"""The parser of all commands: options, operands and settings in any order, an option at most once."""

import argparse
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from ltray.errors import did_you_mean, shown
from ltray.program import as_called, called

SETTING = re.compile(r"[^/=]*=")  # `key=value`; `./a=b` and `runs/lr=0.1` are paths
MANY = ("+", "*")


class Parser(argparse.ArgumentParser):
    """The arguments of a command, declared with `add_argument` and `add_settings`, read with `parse`.

    An argument of the form `key=value` is a setting at any position, also after an option that takes several
    arguments (`--methods bcl epochs=2`). If an operand would otherwise be missing, an argument that is the path of an
    existing file is an operand. Arguments after `--` are never options.

    Args:
        command: The name of the command, see `ltray.program.called`; "": the program itself.
        description: What the command does; commands in it are shown as `as_called` does.
        epilog: Text below the help; commands in it are shown in the same way.
        options: As for `argparse.ArgumentParser`.
    """

    def __init__(self, command: str, *, description: str | None = None, epilog: str = "", **options: Any) -> None:
        self._flags, self._operands = _Part(self), _Part(self)
        self._needed, self._takes_settings = 0, False
        super().__init__(
            prog=called(command), description=as_called(description or ""), epilog=as_called(epilog), **options
        )

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Declare an option (`--output`) or an operand (`dataset`)."""
        if names[0].startswith("-"):
            self._flags.add_argument(*names, **options)
        else:
            self._operands.add_argument(*names, **options)
            self._needed += options.get("nargs", "+") == "+"
        return super().add_argument(*names, **options)

    def add_settings(self, help: str) -> None:
        """Declare that the command accepts settings; they are read as the list `settings`."""
        super().add_argument("settings", nargs="*", metavar="key=value", help=help)
        self._takes_settings = True

    def declared(self) -> list[argparse.Action]:
        """Return all declared arguments."""
        return self._actions

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the values of a command's arguments.

        Args:
            arguments: The arguments after the command's name.

        Raises:
            SystemExit: With code 2 after a sentence for an unknown option, a missing word or a wrong value; with
                code 0 after `--help`.
        """
        end = arguments.index("--") if "--" in arguments else len(arguments)
        found, rest = self._flags.parse_known_args(arguments[:end])
        for word in rest:
            if word.startswith("-") and word != "-":
                self._refuse_option(word)
        rest += arguments[end + 1 :]
        settings = self._settings_in(rest, found) if self._takes_settings else []
        rest = [word for word in rest if word not in settings]
        behind = ["--"] if any(word.startswith("-") for word in rest) else []
        operands, surplus = self._operands.parse_known_args([*behind, *rest])
        if self._takes_settings:
            found.settings = [*surplus, *settings]  # `parse_assignments` checks their form
        elif surplus:
            self.error(f"unexpected argument {shown(surplus[0])}")
        return argparse.Namespace(**vars(found), **vars(operands))

    def _settings_in(self, rest: list[str], found: argparse.Namespace) -> list[str]:
        """Return the settings among the arguments, and remove them from the options with several values."""
        settings = [word for word in rest if SETTING.match(word)]
        if len(rest) - len(settings) < self._needed:
            settings = [word for word in settings if not os.path.exists(word)]
        for action in self._flags.lists():
            taken = getattr(found, action.dest) or []
            settings += [word for word in taken if SETTING.match(word)]
            setattr(found, action.dest, [word for word in taken if not SETTING.match(word)])
            if action.required and not getattr(found, action.dest):
                self.error(f"argument {action.option_strings[0]}: expected at least one argument")
        return settings

    def _refuse_option(self, word: str) -> NoReturn:
        known = [name for name in self._option_string_actions if name.startswith("--")]
        self.error(f"unknown option {shown(word)}.{did_you_mean(word.partition('=')[0], known)}")


class _Part(argparse.ArgumentParser):
    """The options or the operands of a parser; its help and errors are those of the complete parser."""

    def __init__(self, whole: Parser) -> None:
        super().__init__(add_help=False)
        self.whole = whole
        self.seen: set[str] = set()
        for action in (None, "store"):
            self.register("action", action, _Once)

    def lists(self) -> list[argparse.Action]:
        """Return the options that take several values."""
        return [action for action in self._actions if action.nargs in MANY]

    def parse_known_args(self, *arguments: Any, **namespace: Any) -> Any:
        """Read arguments; options of an earlier call do not count as given."""
        self.seen.clear()
        return super().parse_known_args(*arguments, **namespace)

    def format_help(self) -> str:
        """Return the help of the complete parser."""
        return self.whole.format_help()

    def error(self, message: str) -> NoReturn:
        """End the process with the error of the complete parser."""
        self.whole.error(message)


class _Once(argparse.Action):
    """Store a value; an option that is given twice is an error."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        assert isinstance(parser, _Part)
        if option and self.dest in parser.seen:
            parser.error(f"argument {option}: given twice, the second time as {shown(str(values))}; keep one of them")
        if option:
            parser.seen.add(self.dest)
        setattr(namespace, self.dest, values)
