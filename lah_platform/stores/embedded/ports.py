"""Loopback ports: the wanted one when it is free, the next free one otherwise."""

import random
import socket

from lah_platform.errors import ConfigurationError

__all__ = ["free_port", "is_free", "unused_port"]

_TRIES = 200
_UNUSED = (20_000, 32_768)  # Linux gives outgoing connections ports from 32768 on, others from 49152 on
_DRAWN = random.SystemRandom()  # no seed has two processes draw the same


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(wanted: int, taken: frozenset[int] = frozenset()) -> int:
    """`wanted`, or the next free port above it. Raises ConfigurationError when 200 in a row are taken."""
    for port in range(wanted, min(wanted + _TRIES, 65536)):
        if port not in taken and is_free(port):
            return port
    last = wanted + _TRIES - 1
    raise ConfigurationError(f"Ports {wanted} to {last} are all taken", "Name another port by LAH_*_PORT")


def unused_port() -> int:
    """A port that is free now, below those that systems give outgoing connections, which might take it before a server.

    Raises ConfigurationError when 200 drawn at random are taken.
    """
    for _ in range(_TRIES):
        if is_free(port := _DRAWN.randrange(*_UNUSED)):
            return port
    raise ConfigurationError("No port is free", "Stop what listens on ports 20000 to 32767")
