"""A network between a program and its database, which fails when a test says so."""

import socket
import threading
from contextlib import contextmanager, suppress


class Wire:
    """A way to the emulator, whose address is `place`.

    It can be cut: what is connected breaks, and nobody answers until it is mended. It can be still: it takes what is
    said, and hands none of it on.
    """

    def __init__(self, place):
        self._to = tuple(place.rsplit(":", 1))
        self._pairs, self._cut, self._flows = [], threading.Event(), threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                mine, _ = self._listener.accept()
            except OSError:
                return
            if self._cut.is_set():
                mine.close()
                continue
            theirs = socket.create_connection((self._to[0], int(self._to[1])))
            self._pairs.append((mine, theirs))
            for source, target in ((mine, theirs), (theirs, mine)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source, target):
        try:
            while data := source.recv(65_536):
                self._flows.wait()
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            each.close()

    def cut(self):
        self._cut.set()
        for pair in self._pairs:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def mend(self):
        self._cut.clear()

    @contextmanager
    def still(self):
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def close(self):
        self.cut()
        self._listener.close()
