"""Cells and shards on a cluster of Ray, one that starts here: the same digits, also where a worker is killed with a cell."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.study import toy
from tests.test_processes import gone
from tuplet import InputError, processes
from tuplet.cli import main
from tuplet.data import read
from tuplet.study.runner import run_suite
from tuplet.suites.rss import run_rss
from tuplet.suites.strategic import run_strategic
from tuplet.suites.sweep import Sweep, run_sweep

pytestmark = pytest.mark.whole


def children(parent):
    """List the processes that a process started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
    return found


def kill_one(seen, killed):
    """Kill the first worker that has a call."""
    while not killed:
        time.sleep(0.05)
        own = {pid: command for pid, command in children(os.getpid()).items() if b"ray" in command}
        seen |= own
        raylet = next((pid for pid, command in own.items() if b"raylet/raylet" in command), None)
        for pid, command in {} if raylet is None else children(raylet).items():
            seen[pid] = command
            if command.startswith(b"ray::_alone"):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                break


@pytest.mark.slow
def test_a_killed_worker_of_ray_loses_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
    for name in processes.LIBRARIES:  # workers would inherit them; Ray sets the first itself
        monkeypatch.delenv(name, raising=False)
    answer, seen, killed = signal.getsignal(signal.SIGTERM), {}, []
    here = run_suite(toy.suite(), out=tmp_path / "here", seeds=2, workers=1, only=["none"])
    run, data, local, ray = (str(tmp_path / name) for name in ("run", "my.npz", "local", "ray"))
    np.savez(data, a=np.eye(40), b=np.eye(40)[::-1])
    shards = ["embed", run, data, "--batch-size", "1", "--shards", "2"]
    assert main(["train", data, "--epochs", "1", "--dim", "8", "--out", run]) == 0
    assert main([*shards, "--workers", "1", "--out", local]) == 0
    capfd.readouterr()
    with TemporaryDirectory(dir="/tmp") as short:  # where Ray's sockets lie, whose paths must not be long
        monkeypatch.setenv("RAY_TMPDIR", short)
        killer = threading.Thread(target=kill_one, args=(seen, killed), daemon=True)
        killer.start()
        cluster = processes.Cluster()
        there = run_suite(toy.suite(), out=tmp_path / "there", seeds=2, only=["none"], executor="ray")
        killer.join(60)
        said = capfd.readouterr()
        assert not said.out
        assert all("network_util" in line for line in said.err.splitlines())  # where no network is, Ray says so
        assert main([*shards, "--executor", "ray", "--out", ray]) == 0
        assert processes.Cluster(2).size == 2
        assert isinstance(cluster.submit(int, "x").exception(60), ValueError)
        assert cluster.submit(os.getenv, "MKL_NUM_THREADS").result(60) == "1"
        once = str(tmp_path / "once")
        dies = cluster.submit(lambda: (os.write(os.open(once, os.O_CREAT | os.O_APPEND | os.O_WRONLY), b"x"), os._exit(1)))
        assert isinstance(dies.exception(60), processes.WorkerLost)
        assert Path(once).read_bytes() == b"x"  # repeated by the study alone
        cluster.submit(time.sleep, 600)
        cluster.shutdown()
        assert gone(seen, 60)
    assert len(killed) == 1
    assert [replace(r, seconds=0, memory=0) for r in there] == [replace(r, seconds=0, memory=0) for r in here]
    assert not list(tmp_path.rglob("*.error.json"))
    assert signal.getsignal(signal.SIGTERM) == answer
    assert capfd.readouterr().out == f"80 vectors in 2 shards -> {ray}\n"
    for name in ("part-00000-of-00002.parquet", "part-00001-of-00002.parquet"):
        assert Path(ray, name).read_bytes() == Path(local, name).read_bytes()


def test_executors_are_named_and_need_their_package(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="executor is 'dask', expected 'ray'"):
        run_suite(toy.suite(), out=tmp_path / "run", executor="dask")
    source = read({"a": np.eye(30), "b": np.eye(30), "label": np.arange(30) % 2})
    for call in (
        lambda: run_sweep(source, Sweep(pair=("a", "b")), out=tmp_path / "run", executor="dask"),
        lambda: run_rss(tmp_path / "run", executor="dask"),
        lambda: run_strategic(tmp_path / "run", executor="dask"),
    ):
        with pytest.raises(InputError, match="executor is 'dask', expected 'ray'"):
            call()
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"executor is 'ray', which needs the package ray; run pip install 'tuplet\[ray\]'"):
        run_suite(toy.suite(), out=tmp_path / "run", executor="ray")
    assert not list(tmp_path.iterdir())
