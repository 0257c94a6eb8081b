"""The tasks of ``examples/celery_tasks.py`` in a worker of Celery that forks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from triocql.testing.server import CqlServer, ErrorCode, error

ROOT = Path(__file__).resolve().parents[2]
WORKER = "worker --pool prefork --concurrency 2 --without-gossip --without-mingle --without-heartbeat --loglevel INFO"
SCHEMA = "CREATE KEYSPACE library; CREATE TABLE library.books (isbn text PRIMARY KEY, title text, pages int)"
CLIENT = """
import sys, celery_tasks
while True:
    sent = [celery_tasks.write.delay(str(number), "Kassandra", 160) for number in range(8)]
    pids = {each.get(timeout=120, interval=0.02) for each in sent}
    print(*pids, flush=True)
    if len(pids) == 2:
        break
"""


def test_each_process_of_a_worker_that_forks_has_its_own_session_and_closes_it(tmp_path: Path) -> None:
    insert = "INSERT INTO books (isbn, title, pages) VALUES (?, ?, ?)"
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        server.when(insert, times=1).then(error(ErrorCode.IS_BOOTSTRAPPING, "not yet"))
        environment = {
            **os.environ,
            "CASSANDRA": server.contact_points[0],
            "QUEUE": str(tmp_path),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'examples'}",
        }
        log = tmp_path / "worker.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", "celery_tasks", *WORKER.split()],
                env=environment,
                stdout=output,
                stderr=output,
            ) as worker,
        ):
            try:
                client = subprocess.run(
                    [sys.executable, "-c", CLIENT],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                assert client.returncode == 0, client.stderr + log.read_text()
                pids = set(map(int, client.stdout.split()))
                assert len(pids) == 2
                assert worker.pid not in pids
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(120) == 0, log.read_text()
            finally:
                worker.kill()
    text = log.read_text()
    assert len(re.findall("opened a session", text)) == len(re.findall("closing a session", text)) == 2, text
    assert "Traceback" not in text, text
