"""The command line: answer signals, then parse, call one function, print. Bad input ends with one line and exit code 2.

This file imports nothing large before `main` has begun: until then Ctrl-C would end in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TextIO


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    stop = _Stop()
    before = stop.listen()
    try:
        code = _guarded(sys.argv[1:] if arguments is None else arguments, stop)
        return stop.said() or code
    except KeyboardInterrupt:
        return stop.said() or _end("stopped; run the same command again to continue", 130)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StopError(KeyboardInterrupt):
    """A signal asked for the end. Python ends oddly if KeyboardInterrupt itself passes through an ``exec``."""


class _Stop:
    """What a signal asks for: the first one unwinds, the second one ends at once."""

    def __init__(self) -> None:
        self.signal, self.told, self.stderr = 0, False, sys.stderr  # what parses a line holds stderr back for a while

    def listen(self) -> dict[int, Any]:
        """Answer Ctrl-C and SIGTERM; return what answered before."""
        heard: Any = self.hear
        if "LOCAL_RANK" in os.environ:  # one of several training processes: it ends with the one that started it
            from tuplet.processes import watch_parent

            watch_parent()
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
            if int(os.environ.get("RANK", os.environ["LOCAL_RANK"])) > 0:  # the first process speaks for all
                own = "TORCHELASTIC_RUN_ID" in os.environ
                heard = (lambda number, frame: os._exit(128 + number)) if own else signal.SIG_IGN
        try:
            return {n: signal.signal(n, heard) for n in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: whoever owns that one answers
            return {}

    def hear(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            self.leave()
        places = []
        while frame is not None:
            places.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        if any(file.endswith("processes.py") and name == "Workers.submit" for file, name in places):
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()  # a worker that half began would complain
            return
        self.signal = number
        # other training processes wait for this one; packages that load turn one error into others
        if "WORLD_SIZE" in os.environ or any(file.startswith("<frozen importlib") for file, _ in places):
            self.leave()
        raise _StopError

    def said(self) -> int:
        """Say that a signal ended the command, if one did, however far the command went after it."""
        if self.signal and not self.told:
            _end("stopped; run the same command again to continue", 0, self.stderr)
            self.told = True  # only now: what a signal breaks into may be a line that is being printed
        return self.signal and 128 + self.signal

    def leave(self) -> NoReturn:
        """End without unwinding: what is on disk is whole at any moment, and workers end with this process."""
        code = self.said()
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def _guarded(arguments: list[str], stop: _Stop) -> int:
    """Run a command; each error is one line."""
    from tuplet.cli.terminal import one_line, speak
    from tuplet.errors import InputError

    try:
        speak()
        return _run(arguments)
    except InputError as error:
        return _end(one_line(error), 2)
    except BrokenPipeError:  # as in `tuplet data list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else one_line(error)
        return _end(f"{what}; choose another --out, or free the disk", 2)
    except Exception as error:
        from tuplet.cli.terminal import internal, out_of_memory

        if stop.signal:  # what broke is what was stopped
            return 0
        if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) > 0:
            time.sleep(2)  # if this one broke because the first process ended, it ends here, in silence
        if os.environ.get("TUPLET_DEBUG", "0") != "0":
            raise
        if (asked := out_of_memory(error)) is not None:
            return _end(asked, 2)
        return _end(internal(error), 1)


def _run(arguments: list[str]) -> int:
    from tuplet.cli.terminal import check, parsed

    check(arguments)
    if arguments[:1] == ["--version"]:
        from tuplet import __version__

        print(f"tuplet {__version__}")
        return 0
    command = parsed(arguments)
    if isinstance(command, int):
        return command
    from tuplet.cli import limits
    from tuplet.cli.commands import RUN

    limits.check(command)
    RUN[type(command)](command)
    sys.stdout.flush()
    return 0


def _end(text: str, code: int, file: TextIO | None = None) -> int:
    print(f"tuplet: {text}", file=file or sys.stderr, flush=True)
    return code
