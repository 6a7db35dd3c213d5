"""Errors as answers: one sentence for people, one word for programs, and nothing else."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from sfumato.errors import InputError, MissingExtraError, OutputError, QualityError, SfumatoError, UsageError
from sfumato.studio.schemas import Problem

log = logging.getLogger("sfumato.studio")

_CODES = {
    400: "bad_request",
    401: "not_logged_in",
    403: "forbidden",
    404: "not_found",
    405: "wrong_method",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "wrong_type",
    422: "invalid",
    429: "too_many",
    500: "error",
    501: "missing_extra",
    503: "unavailable",
    507: "full",
}
_SENTENCES = {
    400: "the request cannot be read; check its form",
    404: "there is no such address",
    405: "this address does not take that method",
    413: "the request is larger than allowed; send less at a time",
    415: "the request has another content type; send JSON, or a form for files",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "json_invalid": "is not JSON",
}


class RefusedError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        sentence: what is wrong, and what to do.
        retry: seconds after which to try again.
    """

    def __init__(self, status: int, sentence: str, retry: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry = retry


def not_found(what: str) -> NoReturn:
    """Refuse a request for something that does not exist, or belongs to somebody else.

    Raises:
        RefusedError: always.
    """
    raise RefusedError(404, f"there is no such {what}; it may have been deleted")


def answer(status: int, sentence: str, retry: int | None = None) -> JSONResponse:
    """Return the answer of an error."""
    headers = {} if retry is None else {"Retry-After": str(retry)}
    return JSONResponse({"detail": sentence, "code": _CODES.get(status, "error")}, status, headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error answers for OpenAPI: those of every route, and ``statuses``."""
    return {
        status: {"model": Problem, "description": _CODES[status]} for status in sorted({400, 422, 429, 503, *statuses})
    }


#: Error answers of all routes that need a login.
PRIVATE = documented(401, 403)


def handle_errors(app: FastAPI) -> None:
    """Answer every expected error of the app with one sentence."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(SfumatoError, _sfumato)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(OSError, _system)


def status_of(problem: SfumatoError) -> int:
    """Return the HTTP status of an error of Sfumato."""
    if isinstance(problem, MissingExtraError):
        return 501
    if isinstance(problem, UsageError | InputError | QualityError):
        return 422
    return 507 if isinstance(problem, OutputError) else 500


def _refused(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RefusedError)
    return answer(problem.status, problem.sentence, problem.retry)


def _sfumato(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, SfumatoError)
    return answer(status_of(problem), str(problem))


def _http(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    return answer(problem.status_code, _SENTENCES.get(problem.status_code) or str(problem.detail))


def _invalid(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    errors: Sequence[Mapping[str, Any]] = problem.errors()
    if all(each["loc"][:1] == ("path",) for each in errors):
        return answer(404, "there is nothing of that name; check the address")
    return answer(422, _sentence(errors[0]))


#: Kinds of jobs, which the place of an error begins with; a field may have the same name, but not there.
_TAGS = ("paint", "video", "finish", "explain", "learn", "question", "answer", "taste_sheet")


def _sentence(error: Mapping[str, Any]) -> str:
    """Return the sentence of one validation error. The value itself is not repeated: it may be long or private."""
    kind, place = str(error["type"]), [str(each) for each in error["loc"]]
    if kind == "json_invalid":
        return "the request is not JSON; check its quotes and commas"
    if kind.startswith("union_tag"):
        tags = str(error["ctx"].get("expected_tags", "")).replace("'", "")
        return f"kind must be one of {tags}" if tags else "kind is missing"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    known = place[2:] if len(place) > 1 and place[1] in _TAGS else place[1:]
    name = ".".join(known) or "the request"
    if kind in ("model_attributes_type", "dict_type"):
        return f"{name} must be a JSON object; send it with the header Content-Type: application/json"
    if kind == "string_pattern_mismatch":
        is_id = error.get("ctx", {}).get("pattern") == "^[0-9a-f]{32}$"
        return f"{name} must be an id" if is_id else f"{name} has a form that is not allowed; check it for mistakes"
    words = _WORDS.get(kind) or str(error["msg"]).replace("Input should be", "must be").replace("'", "")
    words = words[0].lower() + words[1:]
    return f"{name} {words}" if not words.startswith(("unable", "string", "list")) else f"{name}: {words}"


def _database(_: Request, problem: Exception) -> JSONResponse:
    text = str(getattr(problem, "orig", "")).lower()
    if "disk is full" in text or "no space left" in text:
        return answer(507, "the server's disk is full; delete pictures, or ask whoever runs it for more room")
    log.error("database.lost", extra={"fields": {"kind": type(problem).__name__}})
    return answer(503, "the database does not answer; nothing was lost, try again in a few seconds", retry=5)


def _unstorable(_: Request, problem: Exception) -> JSONResponse:  # noqa: ARG001
    return answer(422, "a text has a character that cannot be stored; remove control characters")


def _system(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, OSError)
    if problem.errno in _FULL:
        return answer(507, "the server's disk is full; delete pictures, or ask whoever runs it for more room")
    raise problem
