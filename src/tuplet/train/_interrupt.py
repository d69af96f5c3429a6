"""Ctrl-C ends training after the step at hand."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within it, the first Ctrl-C is noted and the second is raised; other handlers than Python's own are left alone."""

    def __init__(self, *, active: bool = True) -> None:
        here = threading.current_thread() is threading.main_thread()
        self.active = active and here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self.asked = False

    def __enter__(self) -> Interrupt:
        if self.active:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.active:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
