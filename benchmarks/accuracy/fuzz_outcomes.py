"""What a trial can end in, and a clock that stops it."""

import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from glmmlib.errors import GlmmlibError

BAD = ("foreign", "late", "swallowed", "broken")
WAITING = 20  # seconds of the wall's clock for one of the processor's, before a trial counts as stuck


@dataclass(frozen=True)
class Outcome:
    """One trial: what was tried and how it ended.

    ``ending`` is "answered", "refused" (by one of glmmlib's errors), "foreign" (another exception), "late" (stopped by
    the clock), "swallowed" (nonsense was accepted) or "broken" (a law does not hold).
    """

    part: str
    what: str
    ending: str
    message: str = ""
    place: str = ""


class NotHereError(Exception):
    """The trial has nothing to say of this case, or needs a package that is not installed; it is not counted."""


class Late(BaseException):
    """The clock has run down; no ``except Exception`` may catch it."""


@contextmanager
def clock(seconds):
    """Stop after so many seconds of processor time (a busy machine is no fault), or much longer waiting."""

    def ring(*_):
        raise Late

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, WAITING * seconds),
    )
    before = [signal.signal(number, ring) for number, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit, 1.0)  # again, where the first ring falls into a callback that drops it
    try:
        yield
    finally:
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)
        for (number, _, _), handler in zip(timers, before, strict=True):
            signal.signal(number, handler)


@dataclass(frozen=True)
class Task:
    """Something to try: nonsense must be refused, and ``allowed`` are exceptions that refuse as well."""

    part: str
    what: str
    action: Callable[[], object]
    seconds: float = 20.0
    is_nonsense: bool = False
    allowed: tuple = ()

    def attempt(self):
        """Do it and say how it ended (None: nothing to try); an ``AssertionError`` is a broken law."""
        part, what = self.part, self.what
        try:
            with clock(self.seconds), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.action()
        except NotHereError:
            return None
        except GlmmlibError as error:
            return Outcome(part, what, "refused", str(error))
        except Late:
            return Outcome(part, what, "late", f"no answer in {self.seconds:g} s")
        except AssertionError as error:
            return Outcome(part, what, "broken", _line(error), place(error))
        except self.allowed as error:
            return Outcome(part, what, "refused", f"{type(error).__name__}: {error}")
        except BaseException as error:  # SystemExit and KeyboardInterrupt included: no model may raise them
            return Outcome(part, what, "foreign", f"{type(error).__name__}: {_line(error)}", place(error))
        return Outcome(part, what, "swallowed" if self.is_nonsense else "answered")


def _line(error):
    return " ".join(str(error).split())[:200]


def place(error):
    """The last line of glmmlib on the way to the error."""
    ours = [
        f for f in traceback.extract_tb(error.__traceback__) if "/glmmlib/" in f.filename.replace("\\", "/")
    ]
    return f"{ours[-1].filename.split('glmmlib/')[-1]}: {ours[-1].name}" if ours else ""
