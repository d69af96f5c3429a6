"""Starts functions in fresh processes that fork from one with PyTorch loaded; nothing of this process is inherited."""

import multiprocessing
import os
import socket
from contextlib import contextmanager
from multiprocessing.forkserver import ensure_running
from unittest.mock import patch

import torch

from tuplet import processes

STARTER = multiprocessing.get_context("forkserver")
STARTER.set_forkserver_preload(["tests.preload", "tuplet.study.runner"])


def started(function, *arguments):
    """Start a function in another process."""
    process = STARTER.Process(target=_alone, args=(function, arguments))
    process.start()
    return process


@contextmanager
def forking():
    """Let the library's workers fork too: fresh ones, which load PyTorch anew, cost seconds each."""
    ensure_running()  # with what is preloaded above
    with patch.object(processes, "get_context", lambda kind: STARTER):
        yield


def together(world, function, *arguments, timeout=120):
    """Call a function as rank 0 to world - 1, as torchrun does; each must end without an error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [started(_ranked, r, world, port, function, arguments) for r in range(world)]
    try:
        for process in ranks:
            process.join(timeout)
        assert [process.exitcode for process in ranks] == [0] * world
    finally:
        for process in ranks:
            process.kill()


def _alone(function, arguments):
    torch.set_num_threads(1)
    function(*arguments)


def _ranked(rank, world, port, function, arguments):
    said = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0}
    said |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "none"}
    os.environ |= {name: str(value) for name, value in said.items()}
    function(*arguments)
