"""Worker processes that end with the process that started them, however it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any

LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Workers(ProcessPoolExecutor):
    """A pool of fresh processes, one thread each; Ctrl-C is the parent's to hear."""

    def __init__(self, number: int) -> None:
        super().__init__(number, mp_context=get_context("spawn"), initializer=begin)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Give a call to a worker, starting one if none is free."""
        with _one_thread(), deaf():
            return super().submit(fn, *args, **kwargs)

    def stop(self) -> None:
        """End all workers now, whatever they do."""
        for process in list((self._processes or {}).values()):
            process.terminate()
        self.shutdown(wait=True, cancel_futures=True)  # its thread and the exit would race otherwise

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        """Wait for what runs; after an error, stop it."""
        if kind is not None:
            self.stop()
        return super().__exit__(kind, error, trace)


@dataclass
class Inline:
    """Stands for `Workers` where one is enough: runs each call at once in this process; None leaves its threads alone."""

    threads: int | None = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call; its future is done."""
        import torch
        from threadpoolctl import threadpool_limits

        future: Future[Any] = Future()
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads or threads)
        try:
            with threadpool_limits(self.threads):
                future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        finally:
            torch.set_num_threads(threads)
        return future

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """Do nothing: nothing runs."""

    stop = shutdown


def watch_parent() -> None:
    """End this process once the one that started it has ended: in a thread, so that whatever runs does not matter."""
    parent, began = parent_process(), os.getppid()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
        while parent is None and os.getppid() == began:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def loading() -> BaseContext:
    """Return how workers begin that read data: forked from a server that has loaded the library, or fresh."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["tuplet.data"])
    return context


def begin(*_: int) -> None:
    """Prepare a worker; one thread gives equal results on any machine."""
    watch_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    torch.set_num_threads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that start meanwhile use one thread in every numerical library, also those loaded later."""
    before = {name: os.environ[name] for name in LIBRARIES if name in os.environ}
    os.environ.update(dict.fromkeys(LIBRARIES, "1"))
    try:
        yield
    finally:
        for name in LIBRARIES:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def deaf() -> Iterator[None]:
    """Let processes that start meanwhile never hear Ctrl-C: while they import, they would answer it with a traceback."""
    can = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if can else set()
    try:
        yield
    finally:
        if can:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
