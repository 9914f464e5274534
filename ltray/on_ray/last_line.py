"""Why a run or a trial failed, in one line, out of Ray's words: a whole traceback with the exception at its end."""

GUESSES = " Some common causes"  # after these words Ray lists possible reasons, in a paragraph
NOTHING = "the process exited without an error message"


def last_line(words: str) -> str:
    """Return the exception and its message, the last line of what Ray has of it.

    Args:
        words: Ray's words; may be empty.
    """
    lines = words.strip().splitlines()
    return lines[-1].partition(GUESSES)[0].strip() if lines else NOTHING
