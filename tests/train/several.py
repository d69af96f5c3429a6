"""Calls a function in several processes that know each other, as torchrun starts them; PyTorch is loaded once."""

import multiprocessing
import os
import socket
import sys

import torch

from tests.train.toys import model, source
from tuplet import TrainConfig, fit
from tuplet.objectives import Pairwise, Temperature

STARTER = multiprocessing.get_context("forkserver")  # a fresh process that forks: nothing of this one is inherited
STARTER.set_forkserver_preload(["torch._dynamo", "lightning_fabric", "tuplet.train"])


def together(world, function, *arguments, timeout=120):
    """Call a function as rank 0 to world - 1; each must end without an error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [STARTER.Process(target=_ranked, args=(r, world, port, function, arguments)) for r in range(world)]
    for process in ranks:
        process.start()
    try:
        for process in ranks:
            process.join(timeout)
        assert [process.exitcode for process in ranks] == [0] * world
    finally:
        for process in ranks:
            process.kill()


def _ranked(rank, world, port, function, arguments):
    torch.set_num_threads(1)
    said = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0}
    said |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "none"}
    os.environ |= {name: str(value) for name, value in said.items()}
    function(*arguments)


class Stopping(Pairwise):
    """Ends the process at its ``stop``-th step."""

    def __init__(self, stop=None, **options):
        super().__init__(**options)
        self._stop, self._calls = stop, 0

    def forward(self, emb):
        self._calls += self.training
        if self._calls == self._stop:
            sys.exit(0)
        return super().forward(emb)


def train(devices, step, out, strategy="auto", stop=None):
    """Train on a number of processes."""
    config = TrainConfig(epochs=2, batch_size=12, devices=devices, step=step, chunk=4, out=out, strategy=strategy)
    fit(model(), Stopping(stop, tau=Temperature(0.2)), train=source().train, val=source().val, config=config)
