"""A file server that misbehaves on request."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = random.Random(1).randbytes(700_000)
OTHER = random.Random(2).randbytes(700_000)


@dataclass
class Site:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    files: dict[str, bytes] = field(default_factory=dict)  # by name, where content is not for all
    statuses: list[int] = field(default_factory=list)  # answers for the first requests; 0: normal
    cuts: list[int] = field(default_factory=list)  # bytes after which the first answers break off
    stalls: list[int] = field(default_factory=list)  # bytes after which the first answers stop
    ranges: bool = True
    etag: str | None = '"v1"'
    content_type: str = "application/octet-stream"
    silent: bool = False  # takes the request, and never answers
    requests: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a Site on 127.0.0.1; its url is a folder's."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.requests.append({key.lower(): value for key, value in self.headers.items()})
            site.asked.append(self.path.rsplit("/", 1)[-1])
            self.close_connection = True
            if site.silent:
                site.over.wait(20)
                return
            if (status := site.statuses.pop(0) if site.statuses else 0) != 0:
                self.send_error(status)
                return
            content = site.files.get(site.asked[-1], site.content)
            start, status = 0, 200
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range") in (None, site.etag)
            if asked and same and site.ranges:
                start, status = int(asked[1]), 206
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            body = content[start:]
            self.send_response(status)
            self.send_header("Content-Type", site.content_type)
            self.send_header("Content-Length", str(len(body)))
            if status == 206:
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
            if site.etag is not None:
                self.send_header("ETag", site.etag)
            self.end_headers()
            if site.stalls:
                self.wfile.write(body[: site.stalls.pop(0)])
                self.wfile.flush()
                site.over.wait(20)
                return
            body = body[: site.cuts.pop(0)] if site.cuts else body
            self.wfile.write(body)
            site.sent += len(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
