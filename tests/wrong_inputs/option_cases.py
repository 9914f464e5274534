"""Wrong options of the commands: unknown ones, missing values, values of a wrong kind, options given twice."""

from hypothesis import strategies as st

from tests.wrong_inputs.case import Case
from tests.wrong_inputs.settings_cases import INVALID_NUMBERS

AREA = "option"
DIGITS = ("--methods", "bcl", "--dataset", "digits-lt")
VALID = {
    "train": DIGITS,
    "tune": ("ldam", "dataset=digits-lt"),
    "convert": ("{inputs}/pets",),
    "views": ("digits-lt", "bcl"),
    "evaluate": ("{inputs}/run",),
    "report": ("{inputs}/run",),
    "predict": ("{inputs}/run", "{inputs}/pets/cat/0.png"),
    "methods": ("bcl",),
}
NUMBERS = (("train", "--workers"), ("train", "--cpus-per-worker"), ("predict", "--top"))
WRONG_NUMBERS = (*INVALID_NUMBERS, "0", "-1", "1.5", str(10**30), "", "9" * 5000)
BUDGETS = (
    "",
    "0h",
    "-1h",
    "x",
    "h",
    "1",
    "1d",
    "1.5trials",
    "0trials",
    "nanh",
    "infh",
    "1e999h",
    "1:30h",
    "2 h 3",
)
NAMED = {
    "--dataset": ("train", ("--methods", "bcl")),
    "--methods": ("train", ("--dataset", "digits-lt")),
}
SINGLE_USE = (
    ("train", "--output", "a"),
    ("train", "--workers", "1"),
    ("train", "--dataset", "digits-lt"),
    ("tune", "--output", "a"),
    ("tune", "--budget", "1h"),
    ("convert", "--output", "a"),
    ("convert", "--on-error", "skip"),
    ("views", "--output", "a.png"),
    ("report", "--output", "a.html"),
    ("predict", "--output", "a.csv"),
    ("predict", "--top", "2"),
    ("predict", "--format", "csv"),
)
WORDS = (
    "x",
    "=3",
    "=",
    "epochs",
    "nosuch=1",
    "bcl.nosuch=1",
    "epochs=[1",
    "epochs={",
    'epochs="',
    "epochs=1 2",
)


def _options() -> list[Case]:
    found = [
        Case(AREA, command, (*arguments, *extra), (extra[0],))
        for command, arguments in VALID.items()
        for extra in (("--nosuch",), ("--nosuch=3",), ("-z",), ("--outputs", "x"))
    ]
    found += [
        Case(AREA, command, (*arguments, option), (option,))
        for command, arguments in VALID.items()
        for option in ("--output", "--from", "--budget", "--top", "--format", "--on-error")
        if (command, option) in {(c, o) for c, o, _ in SINGLE_USE} | {("train", "--from"), ("tune", "--from")}
    ]
    found += [
        Case(AREA, command, (*VALID[command], option, value), (option.lstrip("-").replace("cpus-per-worker", "cpus"),))
        for command, option in NUMBERS
        for value in WRONG_NUMBERS
    ]
    found += [Case(AREA, "tune", (*VALID["tune"], "--budget", value), ("--budget",)) for value in BUDGETS]
    found += [
        Case(AREA, command, (*VALID[command], *2 * (option, value)), (option, "twice"))
        for command, option, value in SINGLE_USE
    ]
    found += [Case(AREA, command, arguments, (option,)) for option, (command, arguments) in NAMED.items()]
    found += [Case(AREA, command, (), ()) for command in VALID if command != "methods"]
    found += [
        Case(AREA, command, (*VALID[command], word), (word.strip()[:10].split("=")[0].rpartition(".")[2],))
        for command in ("train", "tune", "views", "convert")
        for word in WORDS
        if not (command == "convert" and word in ("epochs=1 2",))
    ]
    found += [
        Case(AREA, "predict", (*VALID["predict"], "--format", value), ("--format",))
        for value in ("xml", "", "CSV", "3")
    ]
    found += [
        Case(AREA, "convert", (*VALID["convert"], "--on-error", value), ("--on-error",)) for value in ("go", "", "Skip")
    ]
    for name in ("bcll", "BCL", "nosuch", "", "a" * 5000, "bcl,paco", "[bcl]", "*", "crt"):
        contains = (name[:20],)
        found.append(Case(AREA, "train", ("--dataset", "digits-lt", "--methods", name), contains))
        if name != "crt":
            found.append(Case(AREA, "views", ("digits-lt", name), contains))
            found.append(Case(AREA, "methods", (name,), contains))
            found.append(Case(AREA, "tune", (*VALID["tune"], f"methods=['{name}']"), contains))
    found.append(Case(AREA, "tune", (*VALID["tune"], "--resume"), ("resume",)))
    return found


def cases() -> st.SearchStrategy[Case]:
    """Return the strategy of all option cases."""
    return st.sampled_from(_options())
