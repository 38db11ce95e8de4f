"""Being asked to stop, by Ctrl-C or by a queue.

The exception of a signal's handler is raised wherever the process happens to be, also below compiled code, which
answers it with an exception of its own (an import that fails, a class that cannot be made) or drops it. So what was
asked is kept: whoever ends the process goes by that and not by the exception that arrives, and one that was dropped
is raised again.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

_asked: list[int] = []
_MOMENT_S = 0.01


class Interrupt(KeyboardInterrupt):
    """Of Ctrl-C. Python ends by the signal itself once the plain one has passed an `exec`, whoever caught it after."""


def end_on(*numbers: int) -> None:
    """Let these signals end this process by an exception; one that is ignored stays so."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    signal.signal(signal.SIGALRM, lambda *_: _raise(_asked[0]))
    dropped = sys.unraisablehook

    def unraisable(what: Any) -> None:
        if not _asked:
            dropped(what)
        elif issubclass(what.exc_type, (KeyboardInterrupt, SystemExit)):
            signal.setitimer(signal.ITIMER_REAL, _MOMENT_S)
        # Else something that the interrupt left half made, which nobody has to hear of.

    sys.unraisablehook = unraisable


def asked() -> int | None:
    """The signal that first asked this process to end."""
    return _asked[0] if _asked else None


def listen_no_more() -> None:
    """The process ends by itself: who asks for it from here on is not answered, also while Python takes itself down."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, _: object) -> None:
    _asked.append(number)
    _raise(number)


def _raise(number: int) -> None:
    raise Interrupt if number == signal.SIGINT else SystemExit(128 + number)
