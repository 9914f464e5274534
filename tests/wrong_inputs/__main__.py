"""`python -m tests.wrong_inputs [COUNT]`: run wrong inputs with every command; write the table of results."""

import argparse
import faulthandler
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.paths import ROOT
from tests.wrong_inputs.drawing import draw
from tests.wrong_inputs.running import OUTCOMES, REFUSED, Result, no_cluster, run
from tests.wrong_inputs.valid_inputs import write_valid_inputs

PAGE = ROOT / "docs" / "wrong-inputs.md"


def main() -> int:
    """Draw and run the cases, print those with an unexpected end, write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.wrong_inputs", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1500, help="how many to draw (default: 1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/wrong-inputs.md")
    parser.add_argument("--verbose", action="store_true", help="print every case before it runs")
    parser.add_argument("--only", default="", help="run only cases whose area or command contains this text")
    options = parser.parse_args()
    cases = [case for case in draw(options.count, number=options.seed) if options.only in f"{case.area} {case.command}"]
    with tempfile.TemporaryDirectory() as folder, no_cluster():
        os.environ["LTRAY_DATA"] = str(Path(folder) / "data")
        inputs = Path(folder) / "inputs"
        write_valid_inputs(inputs)
        started = time.monotonic()
        results = []
        for number, case in enumerate(cases):
            faulthandler.dump_traceback_later(120, exit=True)  # for a hang in compiled code, which signals cannot end
            began = time.monotonic()
            if options.verbose:
                print(number, case.command, str(case.arguments)[:200], flush=True)
            results.append(run(case, inputs))
            if results[-1].outcome != REFUSED or time.monotonic() - began > 10:
                _print(results[-1], number, time.monotonic() - began)
        faulthandler.cancel_dump_traceback_later()
    print(table(results))
    print(f"{len(results)} cases in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.write:
        PAGE.write_text(page(results, options.count, options.seed), encoding="utf-8")
    return int(any(one.outcome != REFUSED for one in results))


def _print(one: Result, number: int, seconds: float) -> None:
    arguments = " ".join(word if len(word) < 80 else f"{word[:80]}…" for word in one.case.arguments)
    print(f"--- {number}: {one.outcome} ({seconds:.1f} s): {one.case.command} {arguments!r}", flush=True)
    for name, content in one.case.files[-1:]:
        print(f"    {name}: {content[:150] if isinstance(content, bytes | str) else content!r}")
    print(f"    must contain {one.case.contains}; printed: {one.printed[-700:]}", flush=True)


def table(results: Sequence[Result]) -> str:
    """Return counts by area and by command, as Markdown."""
    lines = []
    for title, key in (("what is wrong", "area"), ("command", "command")):
        lines += [f"| {title} | cases | {' | '.join(OUTCOMES)} |", f"| --- |{' ---: |' * (len(OUTCOMES) + 1)}"]
        kinds = Counter(getattr(one.case, key) for one in results)
        for kind in [*sorted(kinds), "all"]:
            own = [one.outcome for one in results if kind in ("all", getattr(one.case, key))]
            lines.append(f"| {kind} | {len(own):,} | {' | '.join(f'{own.count(o):,}' for o in OUTCOMES)} |")
        lines.append("")
    return "\n".join(lines)


def page(results: Sequence[Result], count: int, number: int) -> str:
    """Return docs/wrong-inputs.md."""
    return f"""# Wrong inputs

`python -m tests.wrong_inputs {count} --seed {number} --write` draws {len(results):,} distinct wrong inputs over all
commands (hypothesis, with this seed), runs each command in one process as a shell would, up to where it would join
a Ray cluster, and writes this page. "Refused" means: exit code 2, no traceback, within 30 seconds and 1 GiB of
further memory, and a message that contains the place (file and line, option or setting) and, where it is one word,
the value. An image that cannot be read is different: `ltray.predict` prints the reason in the image's row and ends with
exit code 1.

{table(results)}"""


if __name__ == "__main__":
    raise SystemExit(main())
