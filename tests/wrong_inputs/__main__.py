"""`python -m tests.wrong_inputs [COUNT]`: try wrong inputs on every command; write the table of how they ended."""

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
from tests.wrong_inputs.running import OUTCOMES, REFUSED, Ended, no_cluster, run
from tests.wrong_inputs.world import build

PAGE = ROOT / "docs" / "wrong-inputs.md"


def main() -> int:
    """Draw, run, print what did not end as it should, write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.wrong_inputs", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1500, help="how many to draw (default: 1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/wrong-inputs.md")
    parser.add_argument("--verbose", action="store_true", help="print every case before it runs")
    parser.add_argument("--only", default="", help="a word that the area or the command holds")
    options = parser.parse_args()
    cases = [case for case in draw(options.count, number=options.seed) if options.only in f"{case.area} {case.command}"]
    with tempfile.TemporaryDirectory() as folder, no_cluster():
        os.environ["LTRAY_DATA"] = str(Path(folder) / "data")
        world = Path(folder) / "world"
        build(world)
        started = time.monotonic()
        ended = []
        for number, case in enumerate(cases):
            faulthandler.dump_traceback_later(120, exit=True)  # a hang in compiled code, which no signal ends
            began = time.monotonic()
            if options.verbose:
                print(number, case.command, str(case.words)[:200], flush=True)
            ended.append(run(case, world))
            if ended[-1].outcome != REFUSED or time.monotonic() - began > 10:
                _print(ended[-1], number, time.monotonic() - began)
        faulthandler.cancel_dump_traceback_later()
    print(table(ended))
    print(f"{len(ended)} cases in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.write:
        PAGE.write_text(page(ended, options.count, options.seed), encoding="utf-8")
    return int(any(one.outcome != REFUSED for one in ended))


def _print(one: Ended, number: int, seconds: float) -> None:
    words = " ".join(word if len(word) < 80 else f"{word[:80]}…" for word in one.case.words)
    print(f"--- {number}: {one.outcome} ({seconds:.1f} s): {one.case.command} {words!r}", flush=True)
    for name, content in one.case.files[-1:]:
        print(f"    {name}: {content[:150] if isinstance(content, bytes | str) else content!r}")
    print(f"    must say {one.case.says}; said: {one.printed[-700:]}", flush=True)


def table(ended: Sequence[Ended]) -> str:
    """Return counts by area and by command, as Markdown."""
    lines = []
    for title, key in (("what is wrong", "area"), ("command", "command")):
        lines += [f"| {title} | cases | {' | '.join(OUTCOMES)} |", f"| --- |{' ---: |' * (len(OUTCOMES) + 1)}"]
        kinds = Counter(getattr(one.case, key) for one in ended)
        for kind in [*sorted(kinds), "all"]:
            own = [one.outcome for one in ended if kind in ("all", getattr(one.case, key))]
            lines.append(f"| {kind} | {len(own):,} | {' | '.join(f'{own.count(o):,}' for o in OUTCOMES)} |")
        lines.append("")
    return "\n".join(lines)


def page(ended: Sequence[Ended], count: int, number: int) -> str:
    """Return docs/wrong-inputs.md."""
    return f"""# Wrong inputs

`python -m tests.wrong_inputs {count} --seed {number} --write` draws {len(ended):,} distinct wrong inputs over all
commands (hypothesis, with this seed), runs each command in one process as a shell would, up to where it would join
a Ray cluster, and writes this page. "Refused" means: exit code 2, no traceback, within 30 seconds and 1 GiB of
further memory, and a message that contains the place (file and line, option or setting) and, where it is one word,
the value. An image that cannot be read is different: `ltray.predict` prints the reason in the image's row and ends with
exit code 1.

{table(ended)}"""


if __name__ == "__main__":
    raise SystemExit(main())
