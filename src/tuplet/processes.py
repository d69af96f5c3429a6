"""Where calls run: in this process, in worker processes that end with it, or on a cluster of Ray."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any, ClassVar

from tuplet.errors import InputError, one_of

LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Workers(ProcessPoolExecutor):
    """A pool of fresh processes, one thread each; Ctrl-C is the parent's to hear."""

    def __init__(self, number: int) -> None:
        self.size = number
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
    size: ClassVar[int] = 1

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


class WorkerLost(BrokenExecutor):
    """A worker of a cluster, or its machine, ended before its call did; the others go on."""


class Cluster:
    """Ray's workers, one core and one thread a call: of RAY_ADDRESS, of `ray start`, or else of this machine meanwhile."""

    def __init__(self, number: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # what Ray says of dead workers would go to stdout
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.ray: Any = import_module("ray")
            self.number, self.calls, self.over = number, dict[Future[Any], Any](), threading.Event()
            self.thread: threading.Thread | None = None
            if not self.ray.is_initialized():
                self._begin()
        self.remote = self.ray.remote(num_cpus=1, max_retries=0)(_alone)

    def _begin(self) -> None:
        """Start Ray or connect to it, in a thread of its own: in the main one it would answer SIGTERM in our place."""
        started: Future[None] = Future()

        def hold() -> None:  # Linux ends Ray's processes with the thread that started them
            try:
                host, _, port = os.environ.get("RAY_ADDRESS", "").rpartition("/")[2].rpartition(":")
                if port.isdigit():  # Ray would ask for ten minutes
                    socket.create_connection((host, int(port)), 10).close()
                self.ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
                started.set_result(None)
            except Exception as error:
                started.set_exception(error)
            self.over.wait()
            self.ray.shutdown()

        self.thread = threading.Thread(target=hold, daemon=True)
        self.thread.start()
        before = signal.getsignal(signal.SIGTERM)
        try:
            started.result()
        except BaseException as error:
            self.shutdown()
            if not isinstance(error, Exception):
                raise
            raise InputError(f"executor is 'ray', but Ray neither starts nor connects ({error}); see RAY_ADDRESS") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)

    @property
    def size(self) -> int:
        """Return how many calls may run at once; machines come and go."""
        return self.number or max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Give a call to the cluster."""
        future: Future[Any] = Future()
        self.calls[future] = call = self.remote.remote(fn, *args)
        call.future().add_done_callback(partial(self._settle, future))
        return future

    def _settle(self, future: Future[Any], done: Future[Any]) -> None:
        """Hand on a result, the error of a call, or the loss of its worker."""
        self.calls.pop(future, None)
        error = done.exception()
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, self.ray.exceptions.RayTaskError):
            future.set_exception(error.cause)
        else:
            future.set_exception(WorkerLost(str(error)))

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """End what runs, and leave the cluster."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for call in list(self.calls.values()):
                self.ray.cancel(call, force=True)
            self.calls.clear()
            self.over.set()
            if self.thread:
                self.thread.join()

    stop = shutdown


def _alone(fn: Callable[..., Any], *args: Any) -> Any:
    """Run a call in a worker of Ray as `Inline` does; libraries that load later use one thread too."""
    os.environ.update(dict.fromkeys(LIBRARIES, "1"))
    return Inline().submit(fn, *args).result()


def check_executor(executor: str | None) -> None:
    """Refuse an unknown executor, or one whose package is absent."""
    if executor is not None:
        one_of("executor", executor, ("ray",))
        if find_spec("ray") is None:
            raise InputError("executor is 'ray', which needs the package ray; run pip install 'tuplet[ray]'")


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
