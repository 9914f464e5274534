"""The reason of a failure in one line, from Ray's text: a traceback with the exception at its end."""

GUESSES = " Some common causes"  # after this text, Ray lists possible reasons in a paragraph
NOTHING = "the process exited without an error message"


def last_line(text: str) -> str:
    """Return the exception and its message, which is the last line of Ray's text.

    Args:
        text: Ray's text; may be empty.
    """
    lines = text.strip().splitlines()
    return lines[-1].partition(GUESSES)[0].strip() if lines else NOTHING
