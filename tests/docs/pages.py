"""The pages of the documentation and the code blocks in them.

A comment just before a block says what is special about it: ``<!-- run: asyncio -->`` the loop of a fragment, with
``sync`` for a blocking session; ``<!-- run: process -->`` that it is a program for a process of its own;
``<!-- output -->`` that the text below is what the program above prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n+)?```(?P<language>[\w-]+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PROGRAM = re.compile(r"^(?:(?:trio|asyncio|anyio)\.run\(|with triocql\.sync\.connect\()", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block: the page, the line where its code begins, its language, the mark before it, and the code."""

    page: Path
    line: int
    language: str
    mark: str
    code: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Whether it connects by itself. Other Python blocks are fragments: they are given a session."""
        return self.loop == "process" or _PROGRAM.search(self.code) is not None

    @property
    def loop(self) -> str:
        return self.mark.removeprefix("run: ") if self.mark.startswith("run: ") else "trio"


@dataclass(frozen=True)
class Run:
    """What is run at once: a program, or all fragments of one loop that follow each other on a page."""

    blocks: list[Block]
    output: str | None = None


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order; directives of Sphinx are none."""
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, match.start("code")) + 1,
            match["language"],
            match["mark"] or "",
            match["code"],
        )
        for match in _BLOCK.finditer(text)
    ]


def runs_of(page: Path) -> list[Run]:
    """Return what is to be run on a page, in order."""
    blocks = [block for block in blocks_of(page) if block.language == "python" or block.mark == "output"]
    runs: list[Run] = []
    for key, group in groupby(blocks, key=_kind):
        members = list(group)
        if key == "output":
            runs[-1] = Run(runs[-1].blocks, members[0].code)
        elif key == "program":
            runs.extend(Run([block]) for block in members)
        else:
            runs.append(Run(members))
    return runs


def _kind(block: Block) -> str:
    if block.mark == "output":
        return "output"
    return "program" if block.is_program else block.loop
