"""Workers: they end with their parent, and a pool in trouble does not wait for them."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from tuplet.processes import LIBRARIES, Inline, Workers


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        return file.read().rpartition(b")")[2].split()[0] != b"Z"


def gone(pids, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(alive, pids)):
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_a_stopped_pool_does_not_wait_for_what_runs():
    began = time.monotonic()
    pool = Workers(1)
    future = pool.submit(signal.pause)
    with pytest.raises(KeyboardInterrupt), pool:
        raise KeyboardInterrupt
    assert future.cancelled() or future.exception() is not None
    assert time.monotonic() - began < 20


def test_errors_come_back_as_errors():
    pool = Inline()
    assert isinstance(pool.submit(int, "x").exception(), ValueError)


PARENT = """
import os, sys, time
from tuplet.processes import Workers
if __name__ == "__main__":
    pool = Workers(2)
    for _ in range(2):
        pool.submit(time.sleep, 600)
    pool.submit(os.getpid)  # waits behind the others
    time.sleep(float(sys.argv[1]))
    print(*pool._processes, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 2.0])  # while the workers start, and while they work
def test_workers_end_when_their_parent_is_killed(tmp_path, wait):
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(wait)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        pids = [int(p) for p in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        parent.kill()
    assert gone(pids)


def test_threads_and_settings_are_one_in_workers_and_as_before_here(monkeypatch):
    for name in LIBRARIES:
        monkeypatch.setenv(name, "2")
    torch.set_num_threads(2)
    try:
        assert Inline().submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 2
        with Workers(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 1
            assert pool.submit(os.getenv, LIBRARIES[0]).result() == "1"
        assert [os.environ[name] for name in LIBRARIES] == ["2"] * len(LIBRARIES)
    finally:
        torch.set_num_threads(1)
