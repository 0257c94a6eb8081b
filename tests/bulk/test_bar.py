"""A progress bar: a line of a terminal that is drawn again, lines elsewhere, a bar in a notebook; and nothing where
nobody asks for it, or nothing can be written.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, TextIO

import pytest

import triocql
from triocql.bulk import bar as bars
from triocql.bulk.bar import REDRAWN, REPEATED, ProgressBar
from triocql.bulk.progress import Progress


class Scan:
    """What comes a tenth further with each look, and counts the looks."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def progress(self) -> Progress:
        self.looks += 1
        done = self.looks / 10
        return Progress(done, 1_000 * self.looks, 10_000 * self.looks, 4.0, 250.0, 10_000, 40 * (1 - done))


class Screen(io.StringIO):
    """What is written to a terminal, of which only the size is real."""

    def __init__(self, number: int, encoding: str) -> None:
        super().__init__()
        self._number = number
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number


class Terminal:
    """A terminal of so many columns, and what a program writes to it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._ends = pty.openpty()
        self.file = Screen(self._ends[1], encoding)
        self.resize(100)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._ends[1], termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self) -> str:
        """Return what was written since the last time."""
        text = self.file.getvalue()
        self.file.seek(0)
        self.file.truncate()
        return text

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def made(file: TextIO | None, label: str = "shop.events") -> tuple[ProgressBar, list[float]]:
    """Return a bar and its clock."""
    clock = [0.0]
    bar = ProgressBar(label, file=file)
    bar._now = lambda: clock[0]
    return bar, clock


def test_a_terminal_has_one_line_that_is_drawn_again(terminal: Terminal) -> None:
    bar, clock = made(terminal.file)
    scan = Scan()
    with bar:
        for _ in range(3):
            bar.show(scan)
            clock[0] += REDRAWN
    shown = terminal.read()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    lines = shown.rstrip().split("\r")[1:]
    assert [line[:18].rstrip() for line in lines] == [f"shop.events {tenth}0.0 %" for tenth in (1, 2, 3, 4)]
    assert lines[0].rstrip().endswith("─ 1,000 rows, 10.0 kB, 250 rows/s, 36 s left")
    assert lines[-1].rstrip().endswith("4,000 rows, 40.0 kB, 250 rows/s, 24 s left, in 4 s")
    assert all(len(line) <= 99 for line in lines)
    assert [line.count("━") / (line.count("━") + line.count("─")) for line in lines] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4], abs=0.04
    )


def test_the_line_has_as_much_as_there_is_room_for(terminal: Terminal) -> None:
    for columns in range(1, 130):
        terminal.resize(columns)
        bar, _ = made(terminal.file)
        bar.show(Scan())
        (line,) = terminal.read().split("\r")[1:]
        assert len(line) <= columns - 1
        assert ("━" in line or "─" in line) == (columns >= 28)
        assert ("left" in line) == (columns >= 71)


def test_a_shorter_line_hides_a_longer_one(terminal: Terminal) -> None:
    bar, clock = made(terminal.file)
    bar.show(Scan())
    longer = terminal.read()
    terminal.resize(30)
    clock[0] += REDRAWN
    bar.show(Scan())
    shorter = terminal.read()
    assert len(longer.strip()) > 60
    assert len(shorter) <= 30
    terminal.resize(100)
    bar, clock = made(terminal.file)
    bar.show(SimpleNamespace(progress=Progress(0.5, 10**9, 10**9, 4.0, 250.0, 10_000, 40.0)))
    first = terminal.read()
    clock[0] += REDRAWN
    bar.show(SimpleNamespace(progress=Progress(0.5, 1, 1, 4.0, 1.0, 10_000, None)))
    assert len(terminal.read()) == len(first)


def test_letters_that_a_terminal_does_not_have_are_replaced() -> None:
    terminal = Terminal("ascii")
    try:
        bar, _ = made(terminal.file)
        bar.show(Scan())
        assert "###" in terminal.read()
    finally:
        terminal.close()


def test_between_two_drawings_not_even_the_progress_is_asked_for(terminal: Terminal) -> None:
    bar, clock = made(terminal.file)
    scan = Scan()
    for _ in range(1_000):
        bar.show(scan)
    assert scan.looks == 1
    clock[0] += REDRAWN
    bar.show(scan)
    assert scan.looks == 2


@pytest.mark.parametrize("kind", ["file", "dumb"])
def test_elsewhere_it_is_a_line_now_and_then(
    kind: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    file: Any = io.StringIO()
    if kind == "dumb":
        monkeypatch.setenv("TERM", "dumb")
        file = terminal.file
    bar, clock = made(file)
    scan = Scan()
    with bar:
        for _ in range(21):
            bar.show(scan)
            clock[0] += REPEATED / 10
    lines = (terminal.read() if kind == "dumb" else file.getvalue()).splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"shop.events: {tenth}0.0 %" for tenth in (1, 2, 3, 4)
    ]
    assert lines[-1].endswith("in 4 s")


class Beginning:
    """A scan that has done this much of the ring, in these seconds."""

    def __init__(self) -> None:
        self.fraction = self.seconds = 0.0

    @property
    def progress(self) -> Progress:
        return Progress(self.fraction, 500, 5_000, self.seconds, 250.0, None, None)


def test_the_first_line_comes_when_something_is_done() -> None:
    file = io.StringIO()
    bar, clock = made(file)
    scan = Beginning()
    bar.show(scan)
    scan.fraction = 0.0009
    clock[0] += REDRAWN
    bar.show(scan)
    assert file.getvalue() == ""
    scan.fraction = 0.02
    clock[0] += REDRAWN
    bar.show(scan)
    assert file.getvalue().startswith("shop.events: 2.0 %, 500 rows")


def test_the_first_line_comes_after_a_while_too_when_nothing_can_be_said_to_be_done() -> None:
    file = io.StringIO()
    bar, clock = made(file)
    scan = Beginning()
    bar.show(scan)
    scan.seconds = REPEATED
    clock[0] += REPEATED
    bar.show(scan)
    assert file.getvalue().startswith("shop.events: 0.0 %, 500 rows")


def test_a_scan_that_ended_before_anything_was_told_has_its_last_line() -> None:
    file = io.StringIO()
    bar, _ = made(file)
    with bar:
        bar.show(Beginning())
    assert file.getvalue().count("\n") == 1


def test_without_a_label(terminal: Terminal) -> None:
    bar, _ = made(terminal.file, "")
    bar.show(Scan())
    assert terminal.read().startswith("\r10.0 %")
    file = io.StringIO()
    bar, _ = made(file, "")
    bar.show(Scan())
    assert file.getvalue().startswith("10.0 %, ")


def test_a_label_is_one_line() -> None:
    file = io.StringIO()
    bar, _ = made(file, "a\n\tb\r")
    bar.show(Scan())
    assert file.getvalue().startswith("a b: ")


def test_stderr_is_where_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    bar, _ = made(None)
    bar.show(Scan())
    bar.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("shop.events: ") == 2


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("kind", ["none", "closed", "broken", "closed later"])
def test_a_stderr_that_cannot_be_written_to_lets_the_scan_go_on(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = None if kind == "none" else Broken() if kind == "broken" else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    if kind == "closed" and stream is not None:
        stream.close()
    bar, clock = made(None)
    with bar:
        bar.show(Scan())
        if kind == "closed later" and stream is not None:
            stream.close()
        clock[0] += REPEATED
        bar.show(Scan())


def test_an_error_leaves_the_line_and_goes_on(terminal: Terminal) -> None:
    bar, _ = made(terminal.file)
    bar.show(Scan())
    with pytest.raises(KeyError), bar:
        raise KeyError
    assert terminal.read().endswith("\n")


def test_a_bar_that_was_never_shown_writes_nothing() -> None:
    file = io.StringIO()
    with ProgressBar(file=file):
        pass
    assert file.getvalue() == ""


def test_a_bar_may_be_used_again() -> None:
    file = io.StringIO()
    bar, _ = made(file)
    for _ in range(2):
        with bar:
            bar.show(Scan())
    assert file.getvalue().count("\n") == 4


# --- Notebooks ------------------------------------------------------------------------------------------------------


class Notebook:
    """What IPython is in a kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, kernel: object = object()) -> None:
        self.shown: list[tuple[str, dict[str, str]]] = []
        package, display = ModuleType("IPython"), ModuleType("IPython.display")
        package.get_ipython = lambda: SimpleNamespace(kernel=kernel)  # type: ignore[attr-defined]
        display.display = self.display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", package)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.shown.append(("display", data))
        return SimpleNamespace(update=lambda data, raw: self.shown.append(("update", data)))


def test_a_notebook_has_a_bar_in_its_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = Notebook(monkeypatch)
    bar, clock = made(None, "<shop>")
    scan = Scan()
    with bar:
        bar.show(scan)
        clock[0] += REDRAWN
        bar.show(scan)
    assert [what for what, _ in notebook.shown] == ["display", "update", "update"]
    data = notebook.shown[0][1]
    assert data["text/plain"].startswith("<shop> 10.0 %, 1,000 rows")
    assert data["text/html"].startswith('&lt;shop&gt; <progress value="0.1000" max="1"></progress> 10.0 %')
    assert notebook.shown[-1][1]["text/plain"].endswith("in 4 s")
    assert capsys.readouterr().err == ""


def test_ipython_at_a_terminal_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = Notebook(monkeypatch, kernel=None)
    bar, _ = made(None)
    bar.show(Scan())
    assert not notebook.shown
    assert capsys.readouterr().err


def test_a_file_is_a_file_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, file = Notebook(monkeypatch), io.StringIO()
    bar, _ = made(file)
    bar.show(Scan())
    assert not notebook.shown
    assert file.getvalue()


def test_a_real_kernel_shows_it() -> None:
    """Without a front end: what it would be sent is taken from IPython's own publisher."""
    pytest.importorskip("IPython")
    code = """
import IPython
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
shell.kernel = object()
from tests.bulk.test_bar import Scan
from triocql.bulk.bar import ProgressBar
with capture_output() as captured:
    with ProgressBar("shop.events") as bar:
        bar.show(Scan())
print([sorted(each.data) for each in captured.outputs])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[['text/html', 'text/plain'], ['text/html', 'text/plain']]\n"


def test_who_has_no_bar_loads_none_of_it() -> None:
    code = "import sys, triocql; print({'triocql.bulk.bar', 'IPython'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"
    assert triocql.ProgressBar is bars.ProgressBar
