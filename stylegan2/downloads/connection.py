"""A server that answers in time, or an error in time, the look-up of its name included."""

from __future__ import annotations

import http.client
import queue
import threading
import urllib.error
import urllib.request

CONNECT_SECONDS = 6.0
"""Limit for look-up, connection, redirects and the first answer together."""

READ_SECONDS = 20.0
"""Limit for each wait for more of a body."""


def connect(request: urllib.request.Request) -> http.client.HTTPResponse:
    """Open an address; the response's reads time out after READ_SECONDS.

    urlopen's own limit does not hold for the look-up of a name, which can take minutes where
    there is no network, so another thread waits for it. Raises HTTPError, OSError (TimeoutError
    after CONNECT_SECONDS) or HTTPException.
    """
    outcome: queue.Queue[http.client.HTTPResponse | Exception] = queue.Queue()
    handing_over = threading.Lock()
    waiting = True

    def ask() -> None:
        try:
            answer = urllib.request.urlopen(request, timeout=READ_SECONDS)
        except Exception as error:  # handed to the caller, who raises it
            answer = error
        with handing_over:
            if waiting:
                outcome.put(answer)
            elif not isinstance(answer, Exception) or isinstance(answer, urllib.error.HTTPError):
                answer.close()

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = outcome.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        with handing_over:
            waiting = False
        if outcome.empty():
            raise TimeoutError(f"no answer within {CONNECT_SECONDS:.0f} s") from None
        answer = outcome.get()
    if isinstance(answer, Exception):
        raise answer
    return answer
