"""Charts as SVG text: axes, lines, dots, intervals. Colours are classes of the page's style sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 38


@dataclass(frozen=True)
class Axis:
    """A range of values, its scale and its label.

    Attributes:
        low: Lower end.
        high: Upper end, above `low`.
        label: Its label.
        log: Whether it is logarithmic.
        names: Names at the positions 0, 1, … instead of numbers.
    """

    low: float
    high: float
    label: str = ""
    log: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def around(cls, values: Iterable[float], label: str = "", *, log: bool = False) -> "Axis":
        """Return an axis that covers the finite values, with a margin."""
        known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
        low, high = min(known), max(known)
        if log and low > 0:
            room = (high / low) ** 0.05 if high > low else 1.5
            return cls(low / room, high * room, label, log=True)
        room = 0.05 * (high - low) or 0.5 * (abs(high) or 1.0)
        return cls(low - room, high + room, label)

    @classmethod
    def of_names(cls, names: Sequence[str], label: str = "") -> "Axis":
        """Return an axis with one position for each name."""
        return cls(-0.5, len(names) - 0.5, label, names=tuple(names))

    def share(self, value: float) -> float:
        """Return the position of a value: 0 at the lower end, 1 at the upper end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return the positions of at most `most` + 1 ticks, or of every name, with their labels."""
        if self.names:
            return [(float(place), name) for place, name in enumerate(self.names)]
        if self.log and self.high / self.low >= 10:
            return self._decades(most)
        step = _nice((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        places = [first * step + i * step for i in range(most + 2)]
        return [(v, f"{round(v, 10):g}") for v in places if v <= self.high + 1e-9 * step and (v > 0 or not self.log)]

    def _decades(self, most: int) -> list[tuple[float, str]]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(exponents) <= 3 else (1,)
        places = [m * 10.0**e for e in exponents for m in steps if self.low <= m * 10.0**e <= self.high]
        return [(v, f"{v:g}") for v in places[:: max(1, math.ceil(len(places) / (most + 1)))]]


def _nice(step: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten at or above a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(m for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


@dataclass
class Chart:
    """A drawing area with two axes; marks are added in the order of drawing.

    Attributes:
        x: Horizontal axis.
        y: Vertical axis; its lower end is at the bottom.
        title: Title, for screen readers.
        width: In units of the drawing; it is scaled with the page.
        height: In the same units.
        left: Width of the labels of the vertical axis.
    """

    x: Axis
    y: Axis
    title: str
    width: int = 420
    height: int = 240
    left: int = LEFT
    _marks: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Return the position of a point in the drawing."""
        wide, tall = self.width - self.left - RIGHT, self.height - TOP - BOTTOM
        return round(self.left + wide * self.x.share(x), 2), round(TOP + tall * (1 - self.y.share(y)), 2)

    def line(self, points: Iterable[Point], kind: str, hint: str = "") -> None:
        """Add a line through points."""
        path = " ".join(f"{px:g},{py:g}" for px, py in (self.at(*p) for p in points))
        self._marks.append(f'<polyline class="line {kind}" points="{path}">{_hint(hint)}</polyline>')

    def dot(self, x: float, y: float, *, kind: str, hint: str = "", size: float = 3.5) -> None:
        """Add a dot."""
        px, py = self.at(x, y)
        self._marks.append(f'<circle class="dot {kind}" cx="{px:g}" cy="{py:g}" r="{size:g}">{_hint(hint)}</circle>')

    def rule(self, *, x: float | None = None, y: float | None = None, kind: str = "rule") -> None:
        """Add a line across the complete area at a value of one axis."""
        (x1, y1), (x2, y2) = (
            (self.at(x, self.y.low), self.at(x, self.y.high))
            if x is not None
            else (self.at(self.x.low, y or 0.0), self.at(self.x.high, y or 0.0))
        )
        self._marks.append(f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')

    def bar(self, low: Point, high: Point, *, kind: str, hint: str = "") -> None:
        """Add a straight line between two points: an interval, a bar."""
        (x1, y1), (x2, y2) = self.at(*low), self.at(*high)
        self._marks.append(f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}">{_hint(hint)}</line>')

    def svg(self) -> str:
        """Return the drawing."""
        head = f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">'
        return "".join([head, *self._grid(), *self._marks, "</svg>"])

    def _grid(self) -> Iterable[str]:
        bottom = self.height - BOTTOM
        for value, word in self.x.ticks(4 if self.width < 360 else 6):
            px, _ = self.at(value, self.y.low)
            yield f'<line class="tick" x1="{px:g}" y1="{bottom}" x2="{px:g}" y2="{bottom + 4}"/>'
            yield f'<text x="{px:g}" y="{bottom + 16}" text-anchor="middle">{escape(word)}</text>'
        for value, word in self.y.ticks(4 if self.height < 200 else 5):
            _, py = self.at(self.x.low, value)
            yield f'<line class="grid" x1="{self.left}" y1="{py:g}" x2="{self.width - RIGHT}" y2="{py:g}"/>'
            yield f'<text x="{self.left - 6}" y="{py + 4:g}" text-anchor="end">{escape(word)}</text>'
        yield f'<line class="axis" x1="{self.left}" y1="{bottom}" x2="{self.width - RIGHT}" y2="{bottom}"/>'
        middle = (self.left + self.width - RIGHT) / 2
        yield f'<text x="{middle:g}" y="{self.height - 5}" text-anchor="middle">{escape(self.x.label)}</text>'
        if self.y.label:
            place = f'transform="translate(11 {(TOP + bottom) / 2:g}) rotate(-90)"'
            yield f'<text {place} text-anchor="middle">{escape(self.y.label)}</text>'


def _hint(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
