"""Damage to files, drawn by hypothesis."""

from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st


@dataclass(frozen=True)
class Damage:
    """A change of a file's bytes.

    Attributes:
        kind: "flip" a bit, "zero" up to 64 bytes, "cut" off the end, or "empty" the file.
        position: Position of the damage, as a fraction of the file's length in [0, 1).
        bit: Index of the bit in this byte; for "zero", it determines the number of bytes.
    """

    kind: str
    position: float
    bit: int

    def applied(self, content: bytes) -> bytes:
        """Return the damaged bytes."""
        at = int(self.position * len(content))
        if self.kind == "flip" and content:
            return content[:at] + bytes([content[at] ^ (1 << self.bit)]) + content[at + 1 :]
        if self.kind == "zero":
            zeros = min(8 * self.bit + 1, len(content) - at)
            return content[:at] + bytes(zeros) + content[at + zeros :]
        return content[:at] if self.kind == "cut" else b""

    def apply(self, file: Path) -> bool:
        """Damage a file; return whether it changed."""
        before = file.read_bytes()
        after = self.applied(before)
        file.write_bytes(after)
        return before != after


damages = st.builds(
    Damage,
    kind=st.sampled_from(["flip", "flip", "zero", "cut", "empty"]),
    position=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
