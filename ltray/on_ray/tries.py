"""How often a run that fails starts again: failures count as long as there is no progress in between."""

from dataclasses import dataclass

INTERRUPTED = "interrupted"  # the key under which a trial reports what its workers survived


@dataclass
class Tries:
    """Counts a run's failures; each new epoch between two of them forgives the earlier ones.

    A run of days on machines that fail once a day would otherwise use up any number of tries.

    Attributes:
        allowed: Failures without progress after which the run starts again.
        failures: Failures since the last progress.
        epoch: The last epoch known at the last failure.
    """

    allowed: int
    failures: int = 0
    epoch: int = -1

    def fail(self, epoch: int) -> int:
        """Count a failure.

        Args:
            epoch: The last epoch that the run has finished.

        Returns:
            How many more failures without progress the run survives; below 0 it must not start again.
        """
        self.failures = 1 if epoch > self.epoch else self.failures + 1
        self.epoch = max(epoch, self.epoch)
        return self.allowed - self.failures


def interruption(who: str, reason: str, *, epoch: int, left: int | None) -> str:
    """Return what to tell the user of a failure that a run survives.

    Args:
        who: "the run", "trial 3".
        reason: Why it failed.
        epoch: The last epoch it has finished; 0: none.
        left: Failures without progress that it survives from here on; None: this one does not count.
    """
    start = f"continues from epoch {epoch}" if epoch > 0 else "restarts from the beginning"
    count = "does not count as a failure" if left is None else f"retries left: {left}"
    return f"{who} was interrupted: {reason}; it {start} ({count})"
