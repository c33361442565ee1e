"""Ports for servers that are told which one to listen on."""

import secrets
import socket

PORTS = range(20_000, 32_000)
"""Below those that a system gives to whoever asks for any port: Linux from 32,768 on, others from 49,152."""
_kept = []
"""A socket of UDP at each port that was given, which keeps the tests of all other processes from it."""


def free_port():
    """A port of the loopback address that nobody listens on, and that no other test gets as long as this process lives:
    who is to listen there may take its time."""
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            mark.close()
            continue
        _kept.append(mark)
        return port
    raise AssertionError("no port is free")
