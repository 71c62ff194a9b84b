"""Answers to what went wrong: a failure of the one table, a bad request, a bug."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline.failures import BUG, REPORT, failure_of, to_json

CLIENT_GONE = 499


class FailureRoute(APIRoute):
    """Answers a failure of the one table with its status and message."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def answering(request: Request) -> Response:
            try:
                return await handle(request)
            except (HTTPException, RequestValidationError):
                raise
            except ClientDisconnect:
                return Response(status_code=CLIENT_GONE)
            except Exception as error:
                failure = failure_of(error)
                if failure.exit_code == BUG:
                    raise
                return JSONResponse(to_json(error), failure.http_status)

        return answering


def answer_errors(app: FastAPI) -> None:
    """Let an app answer every error in the words and the form of the one table."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _bug)


def _error(kind: str, message: str, status: int) -> JSONResponse:
    return JSONResponse({"event": "error", "kind": kind, "message": message}, status)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _error("RequestInvalid", f"{place}: {first['msg']}", 422)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error("Refused", str(error.detail), error.status_code)


async def _bug(request: Request, error: Exception) -> Response:
    return _error("Bug", f"{type(error).__name__}: {error}. {REPORT}", 500)
