"""One kind of error for whatever the user gave or has: a single sentence that names the way out."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class ReidError(ValueError):
    """Bad input: a file, a value, a name. The command line prints it without a traceback."""


def nearest(name: object, choices: Iterable[str]) -> str:
    """The end of an error message about an unknown name.

    Returns ``', did you mean "x"?'`` if a choice looks alike (upper or lower case), else
    ``', choose from: a, b, c'``.
    """
    choices = sorted(choices)
    lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.6)
    if close:
        return f', did you mean "{lower[close[0]]}"?'
    return f", choose from: {', '.join(choices)}" if choices else ""


def how_it_ended(code: int) -> str:
    """The exit code of a process as part of a sentence: "with exit code 3", "by SIGKILL: ..."."""
    if code >= 0:
        return f"with exit code {code}"
    return f"by {signal.Signals(-code).name}: often the machine ran out of memory"
