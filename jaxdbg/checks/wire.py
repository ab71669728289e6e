"""Direct connections between the processes of a job that have the same region.

A question to the coordination service takes a good part of a millisecond, a message by
a connection a tenth of that. Each process listens, and connects to the others to say
which call it begins. Where a connection cannot be had, the service is there.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import selectors
import socket
import struct
from dataclasses import dataclass, field

CONNECT_SECONDS = 0.5
"""How long to wait for a connection; a firewall may swallow the question."""

_HELLO = struct.Struct("<16sI")
_NUMBER = struct.Struct("<q")


@dataclass(slots=True)
class _Inbound:
    """What has arrived by a connection and is not read yet, and whose it is."""

    rest: bytearray = field(default_factory=bytearray)
    process: int | None = None


class Wire:
    """The connections of this process.

    Arguments:
        host: the address of this machine for the others.
        process: the number of this process.
    """

    def __init__(self, host: str, process: int):
        self._me = process
        self._key = secrets.token_hex(8).encode()
        self._listener = socket.create_server((host, 0))
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._outs: dict[int, socket.socket | None] = {}
        self._heard: set[int] = set()
        port = self._listener.getsockname()[1]
        self.address = f"{host} {port} {self._key.decode()}"

    def connect(self, process: int, address: str) -> None:
        """Connects to another process, once; it need not succeed."""
        if process in self._outs:
            return
        self._outs[process] = None
        host, port, key = address.split()
        with contextlib.suppress(OSError):
            out = socket.create_connection((host, int(port)), CONNECT_SECONDS)
            out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            out.sendall(_HELLO.pack(key.encode(), self._me))
            self._outs[process] = out

    def joins(self, process: int) -> bool:
        """Whether messages go both ways between this process and another."""
        return self._outs.get(process) is not None and process in self._heard

    def send(self, number: int) -> None:
        """Sends a number to all that are connected."""
        for process, out in self._outs.items():
            if out is not None:
                try:
                    out.sendall(_NUMBER.pack(number))
                except OSError:
                    out.close()
                    self._outs[process] = None

    def receive(self, seconds: float) -> list[tuple[int, int]]:
        """Processes and their numbers, in order; waits until there is something."""
        received: list[tuple[int, int]] = []
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._accept()
            else:
                received += self._read(key.fileobj, key.data)  # type: ignore[arg-type]
        return received

    def close(self) -> None:
        """Ends all connections."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        for out in self._outs.values():
            if out is not None:
                out.close()
        self._outs.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            inbound, _ = self._listener.accept()
            inbound.setblocking(False)
            self._selector.register(inbound, selectors.EVENT_READ, _Inbound())

    def _read(self, inbound: socket.socket, of: _Inbound) -> list[tuple[int, int]]:
        try:
            new = inbound.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            new = b""
        of.rest += new
        if not new or not self._is_known(of):
            self._selector.unregister(inbound)
            inbound.close()
            self._heard.discard(-1 if of.process is None else of.process)
            return []
        return [] if of.process is None else [(of.process, n) for n in _numbers(of)]

    def _is_known(self, of: _Inbound) -> bool:
        """Whether who is connected has the key, as far as it has said so."""
        if of.process is None and len(of.rest) >= _HELLO.size:
            key, process = _HELLO.unpack_from(of.rest)
            if not hmac.compare_digest(key, self._key):
                return False
            del of.rest[: _HELLO.size]
            of.process = process
            self._heard.add(process)
        return True


def _numbers(of: _Inbound) -> list[int]:
    whole = len(of.rest) // _NUMBER.size * _NUMBER.size
    numbers = [n for (n,) in _NUMBER.iter_unpack(bytes(of.rest[:whole]))]
    del of.rest[:whole]
    return numbers


def host_towards(other: str) -> str:
    """The address of this machine on the way to another, `host:port`."""
    name, _, port = other.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((name.strip("[]"), int(port)))  # sends nothing
        return str(way.getsockname()[0])
