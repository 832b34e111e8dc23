"""Standard output: results and nothing else, whatever becomes of it and whoever else prints."""

import ast
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench import errors as failures
from bench.commands import output
from bench.commands.cli import main
from bench.errors import LONGEST, BadContestant, BadInput, RunFailed, line_of, printable
from tests.invoking import ROOT

LINE = "bench: the result cannot be printed, standard output {}; files that were written are whole\n"


def shell(command, **environment):
    """A command in a shell, which alone can close a stream or limit memory before Python begins."""
    command = command.replace("bench", f"{sys.executable} -m bench")
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, cwd=ROOT, env=os.environ | environment, timeout=300
    )


@pytest.mark.parametrize(
    ("redirection", "why"), [(">&-", "is closed"), (">/dev/full", "refuses it (No space left on device)")]
)
@pytest.mark.parametrize("form", ["", "--format json"])
def test_a_standard_output_that_takes_nothing_is_said_in_one_line(redirection, why, form):
    done = shell(f"bench table results/laptop {form} {redirection}")
    assert (done.returncode, done.stderr.decode()) == (1, LINE.format(why))


@pytest.mark.parametrize("command", ["table results/laptop", "--help"])
def test_what_an_encoding_lacks_is_escaped(command):
    done = shell(f"bench {command}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert (b"Fr\\xe9chet" in done.stdout) == (command != "--help")


def test_with_standard_error_closed_results_come_out_all_the_same():
    done = shell("bench table results/laptop --format csv 2>&-")
    assert done.returncode == 0
    assert done.stdout.startswith(b"measure,")


def test_whatever_else_prints_goes_to_standard_error():
    """Python and C, at once and when the process ends; the stream's old name is no way round."""
    program = """if True:
        import atexit, ctypes, os, sys
        from bench.commands import output
        output.claim()
        from bench.commands.output import emit
        atexit.register(print, "at the end")
        print("printed")
        print("by its old name", file=sys.__stdout__)
        os.write(1, b"written\\n")
        ctypes.CDLL(None).puts(b"put")
        emit("result")
        os.system("echo of a child")
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (done.returncode, done.stdout) == (0, "result\n")
    assert sorted(done.stderr.splitlines()) == sorted(
        ["at the end", "printed", "by its old name", "written", "put", "of a child"]
    )


def test_only_one_module_writes_to_standard_output():
    for path in (ROOT / "bench").rglob("*.py"):
        if path != Path(output.__file__):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                    assert "file" in {keyword.arg for keyword in node.keywords}, f"{path.name}, line {node.lineno}"
            assert "sys.stdout.write" not in path.read_text()


class Full(io.TextIOWrapper):
    def flush(self):
        raise OSError(28, "No space left on device")


def test_a_result_that_cannot_be_printed_is_a_failure(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full(io.BytesIO()))
    with pytest.raises(RunFailed, match=r"refuses it \(No space left on device\)"):
        output.emit("result")
    monkeypatch.setattr(sys, "stdout", None)
    for print_it in (output.emit, output.emit_rich):
        with pytest.raises(RunFailed, match="is closed"):
            print_it("result")


class Speechless(Exception):  # noqa: N818
    def __str__(self):
        raise ValueError


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (BadInput("no\x1b such"), 2, r"no\x1b such"),
        (BadContestant("it raises"), 2, "it raises"),
        (RunFailed("it failed"), 1, "it failed"),
        (ValueError("a\nb"), 1, "ValueError: a (test_output.py, line "),
        (Speechless(), 1, "Speechless (test_output.py, line "),
        (SystemExit(3), 1, "SystemExit: 3 ("),
        (MemoryError(), 1, "out of memory"),
        (OSError("x: failed to map segment from shared object"), 1, "out of memory"),
    ],
)
def test_every_error_is_one_line(error, status, words):
    found, line = failures.status_and_line(raised(error))
    assert found == status
    assert line.startswith(words)
    assert printable(line) == line


def test_an_error_does_not_fill_the_screen():
    assert len(line_of(ValueError("x" * 10_000))) == LONGEST


def test_an_unforeseen_error_ends_in_a_line_and_shows_its_traceback_if_asked(monkeypatch, capsys):
    def fail(_):
        raise LookupError("of all things")

    monkeypatch.setattr("bench.commands.table.run", fail)
    assert main(["table", "results/laptop"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bench: LookupError: of all things (test_output.py, line ")
    assert said.endswith("; UNET_BENCH_TRACEBACK=1 shows the traceback\n")
    assert said.count("\n") == 1
    monkeypatch.setenv(failures.TRACEBACK, "1")
    main(["table", "results/laptop"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is not kept elsewhere")
def test_fault_38_a_memory_limit_is_named(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**30, 2**30))
    assert "at this process' limit of 1.0 GiB (ulimit -v)" in failures.words_of(MemoryError())


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is not kept elsewhere")
def test_fault_38_a_process_that_cannot_load_its_libraries_says_so_in_a_line(tmp_path):
    done = shell(f"ulimit -v 300000; bench run --out {tmp_path} --cache {tmp_path}")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines()[-1].startswith("bench: out of memory at this process' limit of 0.3 GiB")
    assert b"Traceback" not in done.stderr
