"""What goes out to the open pages: each page has a mailbox that cannot grow.

A mailbox keeps the latest message of each kind only, so that a slow page gets fewer of them and
never older ones. Pictures wait, in addition, until the page has drawn the ones before.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

FRAMES_IN_FLIGHT = 2
"""Pictures that may be on their way to a page before it says that it has drawn one."""


def frame_message(head: Mapping[str, Any], jpeg: bytes, field: bytes = b"") -> bytes:
    """Pack a picture: length of the head (4 bytes, big-endian), head as JSON, field, JPEG."""
    text = json.dumps(head, allow_nan=False).encode()
    return len(text).to_bytes(4, "big") + text + field + jpeg


class Mailbox:
    """What one page has still to be sent. Every method may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.workspace: str | None = None
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: dict[str, str | bytes] = {}
        self._filled = asyncio.Event()
        self._credit = FRAMES_IN_FLIGHT
        self._closed = False

    def put(self, kind: str, message: str | bytes) -> None:
        """Leave a message; an unsent one of the same kind is dropped."""
        with self._lock:
            if self._closed:
                return
            self._waiting[kind] = message
        self._wake()

    def close(self) -> None:
        """Take no more messages; `take` returns an empty list from now on."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
        self._wake()

    def drawn(self) -> None:
        """Take note that the page has drawn a picture."""
        with self._lock:
            self._credit = min(self._credit + 1, FRAMES_IN_FLIGHT)
        self._wake()

    def watch(self, workspace: str | None) -> None:
        """Send what concerns this workspace from now on; None for the list only."""
        with self._lock:
            self.workspace = workspace
            self._waiting.pop("frame", None)
            self._credit = FRAMES_IN_FLIGHT

    @property
    def wants_frame(self) -> bool:
        """Whether a picture put in now would be sent at once."""
        with self._lock:
            return not self._closed and self._credit > 0 and "frame" not in self._waiting

    async def take(self) -> list[str | bytes]:
        """Wait for messages that may be sent, oldest kind first; empty when closed."""
        while True:
            self._filled.clear()
            with self._lock:
                if self._closed:
                    return []
                ready = [kind for kind in self._waiting if kind != "frame" or self._credit > 0]
                if "frame" in ready:
                    self._credit -= 1
                messages = [self._waiting.pop(kind) for kind in ready]
            if messages:
                return messages
            await self._filled.wait()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._filled.set)


class Hub:
    """All open pages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: list[Mailbox] = []

    def join(self, mailbox: Mailbox) -> None:
        """Let a page take part."""
        with self._lock:
            self._mailboxes.append(mailbox)

    def leave(self, mailbox: Mailbox) -> None:
        """Forget a page."""
        with self._lock:
            self._mailboxes.remove(mailbox)
        mailbox.close()

    def close(self) -> None:
        """Let every page go."""
        for mailbox in self._all():
            mailbox.close()

    def tell(self, workspace: str, kind: str, message: Mapping[str, Any]) -> None:
        """Send JSON to the pages that show a workspace."""
        text = json.dumps({"type": kind, **message}, allow_nan=False)
        # Two notices that say different things are both worth reading, and there are few.
        # The same goes for two jobs of one workspace.
        slot = text if kind == "notice" else kind
        if kind == "job":
            slot = f"job-{message['job']['kind']}"
        for mailbox in self._watching(workspace):
            mailbox.put(slot, text)

    def tell_all(self, kind: str, message: Mapping[str, Any]) -> None:
        """Send JSON to every page."""
        text = json.dumps({"type": kind, **message}, allow_nan=False)
        for mailbox in self._all():
            mailbox.put(kind, text)

    def wants_frame(self, workspace: str) -> bool:
        """Whether any page would take a picture of this workspace now."""
        return any(mailbox.wants_frame for mailbox in self._watching(workspace))

    def frame(self, workspace: str, message: bytes) -> None:
        """Send a picture to the pages that show a workspace."""
        for mailbox in self._watching(workspace):
            mailbox.put("frame", message)

    def _all(self) -> list[Mailbox]:
        with self._lock:
            return list(self._mailboxes)

    def _watching(self, workspace: str) -> list[Mailbox]:
        return [mailbox for mailbox in self._all() if mailbox.workspace == workspace]
