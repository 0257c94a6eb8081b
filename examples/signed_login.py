"""Log in without sending a secret: the node gives a nonce, and the client signs it. Run it as it is: the node is a test
server in this process. Services of clouds and Kerberos work like this, with more steps.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

import triocql
from triocql.testing.server import Challenge, CqlServer, Refused, Success, rows


class SignedLogin:
    """The client's side. The key is read for each connection, so that another one can take its place at any time."""

    blocking = True  # it reads a file: its methods are called in a worker thread
    sends_secret = False  # what it sends is of no use to those who listen: no warning without TLS

    def __init__(self, name: str, key_file: Path) -> None:
        self.name = name
        self.key_file = key_file

    def initial_response(self, server_class: str) -> bytes:
        return self.name.encode()

    def challenge(self, token: bytes | None) -> bytes:
        return hmac.digest(self.key_file.read_bytes(), token or b"", "sha256")

    def success(self, token: bytes | None) -> None:
        """The node has nothing more to say."""


class SignatureCheck:
    """The node's side: knows the key of each name."""

    class_name = "org.example.SignatureAuthenticator"

    def __init__(self, keys: dict[str, bytes]) -> None:
        self.keys = keys

    def converse(self) -> Callable[[bytes | None], Challenge | Success]:
        nonce = secrets.token_bytes(32)
        names: list[str] = []

        def answer(token: bytes | None) -> Challenge | Success:
            if not names:
                names.append((token or b"").decode())
                return Challenge(nonce)
            signature = hmac.new(self.keys.get(names[0], b""), nonce, hashlib.sha256).digest()
            if not hmac.compare_digest(signature, token or b""):
                raise Refused("the signature is wrong")
            return Success()

        return answer


async def log_in(server: CqlServer, auth: SignedLogin) -> None:
    try:
        async with triocql.connect(server.contact_points, auth=auth) as session:
            print((await session.execute("SELECT role FROM me")).scalar(), "is in")
    except triocql.errors.AuthenticationError as error:
        print(str(error).partition(": ")[2])


async def main(key_file: Path) -> None:
    auth = SignedLogin("ann", key_file)
    check = SignatureCheck({"ann": b"the first key"})
    async with CqlServer(authenticator=check) as server:
        server.when("SELECT role FROM me").then(rows({"role": "text"}, [["ann"]]))
        await log_in(server, auth)
        check.keys["ann"] = b"the second key"
        await log_in(server, auth)
        await trio.Path(key_file).write_bytes(b"the second key")
        await log_in(server, auth)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        key = Path(folder, "key")
        key.write_bytes(b"the first key")
        trio.run(main, key)
