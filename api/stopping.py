"""Hearing that the server is to stop before it does: it waits for open answers, and a live stream would never end."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["told_to_stop"]


@contextmanager
def told_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Inside a running loop: call `stop` there on SIGTERM and SIGINT, beside whoever handles them; at the end, too."""
    loop = asyncio.get_running_loop()
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)
        handler = handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in handlers.items():
        if callable(handler):  # else the process ends at once anyway
            signal.signal(number, heard)
    try:
        yield
    finally:
        stop()
        for number, handler in handlers.items():
            if signal.getsignal(number) is heard:
                signal.signal(number, handler)
