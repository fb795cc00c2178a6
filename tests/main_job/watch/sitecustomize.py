"""Put on PYTHONPATH by a test: every Python process writes down whom it connects to or looks up, off loopback."""

import ipaddress
import os
import sys

_FILE = os.environ.get("LAH_TEST_CONNECTIONS")


def _is_local(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_local(host) and _FILE:
        with open(_FILE, "a", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not imported this early
            file.write(f"{event} {host!r} {sys.argv[:3]}\n")


if _FILE:
    sys.addaudithook(_note)
