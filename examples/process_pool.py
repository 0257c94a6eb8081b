"""A pool of processes for work that keeps CPUs busy. Each process connects once, and reads its parts of a table."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import triocql

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS archive WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS archive.documents (id int PRIMARY KEY, text text)",
    "USE archive",
)
INSERT = "INSERT INTO documents (id, text) VALUES (?, ?)"
SELECT = "SELECT text FROM documents WHERE token(id) >= ? AND token(id) <= ?"
QUOTE = "some books are to be tasted others to be swallowed and some few to be chewed"
PARTS = 8

session: triocql.sync.Session


def connect(address: str) -> None:
    """Begin a process: a session cannot be handed to another process, so that each makes its own."""
    global session
    session = triocql.sync.connect(address, keyspace="archive")
    atexit.register(session.close)
    print(f"process {os.getpid()} has its own session", flush=True)


def count_words(part: int) -> Counter[str]:
    """Count the words of the documents in a part of the ring of tokens."""
    step = 2**64 // PARTS
    first = part * step - 2**63
    with session.stream(SELECT, [first, first + step - 1], page_size=500) as documents:
        return sum((Counter(document.text.split()) for document in documents), Counter())


def load(address: str) -> None:
    """Store documents that each end somewhere in the quotation."""
    words = QUOTE.split()
    documents = ((n, " ".join(words[: 1 + n % len(words)])) for n in range(2000))
    with triocql.sync.connect(address) as session:
        for statement in SCHEMA:
            session.execute(statement)
        session.execute_concurrent_with_args(INSERT, documents)


def main(address: str) -> None:
    load(address)
    # "spawn" starts afresh; "fork" would copy this process, with locks that its threads may hold.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, initializer=connect, initargs=(address,)) as processes:
        words: Counter[str] = sum(processes.map(count_words, range(PARTS)), Counter())
    for word, count in words.most_common(3):
        print(f"{word}: {count:,}")


if __name__ == "__main__":
    main(sys.argv[1])
