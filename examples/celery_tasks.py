"""Tasks of Celery: each process of a worker has a session of its own, made when its first task asks for it.

Start a worker with ``CASSANDRA=127.19.1.1 celery --workdir examples --app celery_tasks worker --concurrency 2``, and
send it a task by ``celery_tasks.write.delay("1", "Kassandra", 160)``. The broker here is a folder, QUEUE, to try it
out: name yours in its place.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from celery import Celery

import triocql

QUEUE = Path(os.environ.get("QUEUE", f"{tempfile.gettempdir()}/celery_tasks"))
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS library WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS library.books (isbn text PRIMARY KEY, title text, pages int)",
    "USE library",
)
INSERT = "INSERT INTO books (isbn, title, pages) VALUES (?, ?, ?)"

for name in ("messages", "control", "results"):
    (QUEUE / name).mkdir(parents=True, exist_ok=True)
app = Celery("celery_tasks", broker="filesystem://", backend=f"file://{QUEUE}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{QUEUE}/messages",
    "data_folder_out": f"{QUEUE}/messages",
    "control_folder": f"{QUEUE}/control",
}


def connect() -> triocql.sync.Session:
    session = triocql.sync.connect(os.environ.get("CASSANDRA", "127.0.0.1"))
    for statement in SCHEMA:
        session.execute(statement)
    return session


the_session = triocql.sync.per_process(connect)


@app.task(bind=True, max_retries=5)  # type: ignore[untyped-decorator]
def write(self: Any, isbn: str, title: str, pages: int) -> int:
    """Write a book; return which process has. What will pass is tried again: to write the same twice does no harm."""
    try:
        the_session().execute(INSERT, [isbn, title, pages])
    except triocql.Error as error:
        if error.is_transient:
            raise self.retry(exc=error, countdown=1.0) from error
        raise
    return os.getpid()
