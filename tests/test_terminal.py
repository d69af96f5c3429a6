"""The command line in places and ways that nobody plans for: encodings, closed pipes, signals, sizes, no home."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest

from tests.test_processes import alive, gone
from tuplet.cli import _Stop, main
from tuplet.cli.commands import NAMES
from tuplet.cli.terminal import internal, one_line, out_of_memory

PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8", "TUPLET_DEBUG"))}
ASCII = PLAIN | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def tuplet(*arguments, cwd=None, env=PLAIN, **options):
    command = [sys.executable, "-m", "tuplet", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, timeout=200, check=False, **options)


def one(done):
    """Return the one line on standard error."""
    lines = done.stderr.decode(errors="replace").splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("tuplet: ")
    return lines[0]


def test_mistakes_are_one_short_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, message in {
        "benhc quickstart": "the command is 'benhc', did you mean 'bench'?",
        "zzz": "the command is 'zzz', expected one of ",
        "bench quickstart --foo 3": "unrecognized options: --foo, 3; see `tuplet bench --help`",
        "bench": "missing from tuplet bench:",
        "bench quickstart --seeds x": "--seeds",
        "bench quickstart --preset foo": "invalid choice 'foo' for argument '--preset'",
        "data": "expected one of {list, info, show, verify, convert, films, simulate}; see `tuplet data --help`",
        "data simulate push": "--episodes",
        "data info a\0b": "has a NUL character",
        "data info a\udcffb": "is no text in",
        "data info blocks?rows=100000000000": "rows is 1e+11, expected at most",
        "data info blocks?seed=-1": "seed is -1, expected a whole number from 0",
        "bench quickstart --workers 100000": "workers is 100000, expected at most 512",
        "bench quickstart --seeds 1000000000": "seeds is 1000000000, expected at most",
        "data simulate push --episodes 100000000000": "episodes is 100000000000, expected at most",
        "data simulate push --episodes 2 --size 1000000": "size is 1000000, expected at most",
        "train digits --seed -1": "seed is -1, expected a whole number from 0",
    }.items():
        assert main(words.split(" ")) == 2, words
        seen = capsys.readouterr().err
        assert message in seen, (words, seen)
        assert seen.count("\n") == 1
        assert len(seen) < 300
    assert list(tmp_path.iterdir()) == []


def test_errors_that_nobody_foresaw_are_one_line_without_the_switch(capsys, monkeypatch):
    errors = []

    def broken(command):
        raise errors[-1]

    monkeypatch.setitem(sys.modules["tuplet.cli.commands"].RUN, type(_parsed()), broken)
    monkeypatch.setenv("TUPLET_DEBUG", "0")
    for error, code, message in (
        (KeyError("x"), 1, "KeyError: 'x' (test_terminal.py, line"),
        (MemoryError(), 2, "not enough memory"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: 9 bytes"), 2, "not enough memory"),
        (OSError(28, "No space left on device", "a/b"), 2, "a/b: No space left on device"),
        (PermissionError(13, "Permission denied", "a"), 2, "a: Permission denied"),
    ):
        errors.append(error)
        assert main(["data", "list"]) == code
        seen = capsys.readouterr().err
        assert message in seen
        assert seen.count("\n") == 1
    monkeypatch.setenv("TUPLET_DEBUG", "1")
    errors.append(KeyError("x"))
    with pytest.raises(KeyError):
        main(["data", "list"])
    assert out_of_memory(ValueError("a")) is None
    assert "TUPLET_DEBUG=1" in internal(ValueError("a\nb"))
    assert one_line(ValueError()) == "ValueError"


def test_help_says_nothing_that_helps_nobody(capsys):
    for name in (*NAMES, *(f"data {k}" for k in ("list", "info", "show", "verify", "convert", "simulate"))):
        assert main([*name.split(), "--help"]) == 0
        said = capsys.readouterr().out
        for noise in ("default: )", "default: ]", "None", "False", "--no-", "(default"):
            assert noise not in said, (name, noise)
        assert "--align auto, whose audit begins so" in " ".join(said.split()) or name != "train"


def _parsed():
    from tuplet.cli.terminal import parsed

    return parsed(["data", "list"])


@pytest.mark.slow
def test_the_command_answers_before_pytorch_is_there():
    code = """if True:
        import sys
        from tuplet.cli import main
        for arguments in (["--version"], ["--help"], [], ["bench", "--help"], ["data", "simulate", "--help"]):
            assert main(arguments) == 0, arguments
            assert "torch" not in sys.modules, arguments
            print("end of", arguments)"""
    done = subprocess.run([sys.executable, "-c", code], env=PLAIN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [len(said) > 10 for said in re.split(r"end of \[.*\]\n", done.stdout)] == [True] * 5 + [False]
    assert re.fullmatch(rb"tuplet \d+\.\d+\.\d+\S*\n", tuplet("--version").stdout)


@pytest.mark.whole
def test_terminals_pipes_and_places(tmp_path, monkeypatch, capsys):
    x = np.random.default_rng(0).normal(size=(100, 5)).astype("f4")
    np.savez(tmp_path / "my.npz", force=x, sound=x[:, :3], label=(x[:, 0] > 0).astype(int))
    sweep = ["sweep", "my.npz", "--pair", "force", "sound", "--lambdas", "0", "1", "--seeds", "1", "--steps", "2"]
    done = tuplet(*sweep, cwd=tmp_path, env=ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "λ" in (tmp_path / "runs/sweep/my-force-sound/report.html").read_text(encoding="utf-8")
    assert "触".encode() not in done.stdout
    (tmp_path / "触.npz").write_bytes((tmp_path / "my.npz").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["data", "info", "触.npz"]) == 0
    assert "is no text in ascii" in one(tuplet("data", "info", "触.npz", cwd=tmp_path, env=ASCII))
    assert "is no text in utf-8" in one(tuplet("data", "info", b"\xff.npz", cwd=tmp_path, env=PLAIN | {"LC_ALL": "C.UTF-8"}))
    closed = subprocess.run(
        f"{sys.executable} -m tuplet data --help | true", shell=True, env=PLAIN, capture_output=True, check=False
    )
    assert closed.stderr == b""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "tuplet", "data", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=PLAIN,
            check=False,
        )
    assert done.returncode == 2
    assert "No space left" in one(done)
    monkeypatch.setenv("HOME", "/proc")
    monkeypatch.setenv("TUPLET_CACHE", "")
    capsys.readouterr()
    assert main(["data", "simulate", "push", "--episodes", "1", "--size", "8"]) == 2
    assert re.fullmatch("tuplet: .*set TUPLET_CACHE.*\n", capsys.readouterr().err)


def workers_of(pid):
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "stat").read_text().rpartition(")")[2].split()[3] == str(pid):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def until_listening(process):
    """Wait until a process has its own handler of SIGTERM: what comes before is the start of Python."""
    for _ in range(3000):
        caught = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
        if int(caught[0], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("the process never listened")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("words", "waits"),
    [
        ("data simulate push --episodes 5000 --workers 2 --out x.safetensors", [("", 0.3), ("", 1.5)]),
        ("bench quickstart --workers 2 --only raw none pairwise", [("runs/quickstart/suite.json", 0.5), ("", 0.5)]),
        ("train digits --objective pairwise --epochs 2000 --out run", [("", 0), ("run/train.jsonl", 0.2)]),
    ],
)
def test_signals_end_a_command_and_its_workers(words, waits, tmp_path):
    for (sent, code), (file, wait) in zip(((signal.SIGINT, 130), (signal.SIGTERM, 143)), waits, strict=True):
        with subprocess.Popen(
            [sys.executable, "-m", "tuplet", *words.split()],
            cwd=tmp_path,
            env=PLAIN,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a session of its own: Ctrl-C reaches the workers too
        ) as process:
            until_listening(process.pid)
            while file and process.poll() is None and not list(tmp_path.glob(file)):
                time.sleep(0.05)
            time.sleep(wait)
            members = workers_of(process.pid)
            began = time.monotonic()
            (os.killpg if sent == signal.SIGINT else os.kill)(process.pid, sent)
            said = process.communicate(timeout=60)[1].decode()
        assert process.returncode == code, said
        assert time.monotonic() - began < 15
        lines = [s for s in said.splitlines() if not re.search(r" -> | left: |^modalities: ", s)]
        assert lines == ["tuplet: stopped; run the same command again to continue"], (sent, file, wait, said)
        assert process.pid in members
        assert gone(members), [p for p in members if alive(p)]
    assert not list(tmp_path.rglob("*.part"))


def test_a_signal_is_said_also_where_it_breaks_into_a_line_or_stderr_is_held_back(capsys, monkeypatch):
    """Python refuses to print while it prints: the line is said once that is over. Parsing collects stderr."""
    stop, refusals = _Stop(), [RuntimeError("reentrant call inside <_io.BufferedWriter>")]
    stop.signal, plain = signal.SIGTERM, sys.stderr.write

    def write(text):
        if refusals:
            raise refusals.pop()
        return plain(text)

    monkeypatch.setattr(sys.stderr, "write", write)
    with pytest.raises(RuntimeError, match="reentrant"):
        stop.said()
    with redirect_stderr(io.StringIO()) as held:
        assert [stop.said(), stop.said()] == [143, 143]
    assert held.getvalue() == ""
    assert capsys.readouterr().err == "tuplet: stopped; run the same command again to continue\n"
