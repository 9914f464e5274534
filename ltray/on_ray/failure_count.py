"""The number of restarts of a failed run: consecutive failures without progress are counted."""

from dataclasses import dataclass

INTERRUPTED = "interrupted"  # the key under which a trial reports the failures of its workers


@dataclass
class FailureCount:
    """Counts a run's failures; a new epoch resets the count.

    Otherwise, a run of several days on machines that fail once a day would use up any number of retries.

    Attributes:
        allowed: Failures without progress after which the run restarts.
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
            The number of further failures without progress after which the run restarts; below 0: it must not restart.
        """
        self.failures = 1 if epoch > self.epoch else self.failures + 1
        self.epoch = max(epoch, self.epoch)
        return self.allowed - self.failures


def interruption(who: str, reason: str, *, epoch: int, left: int | None) -> str:
    """Return the message for the user about a failure after which a run restarts.

    Args:
        who: "the run", "trial 3".
        reason: The reason of the failure.
        epoch: The last epoch that it has finished; 0: none.
        left: Number of further failures without progress after which it restarts; None: this failure does not count.
    """
    start = f"continues from epoch {epoch}" if epoch > 0 else "restarts from the beginning"
    count = "does not count as a failure" if left is None else f"retries left: {left}"
    return f"{who} was interrupted: {reason}; it {start} ({count})"
