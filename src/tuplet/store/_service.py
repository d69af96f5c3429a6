"""The searches of `tuplet search` over HTTP, with a page: a request brings words, bytes and ids, never a path."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tuplet.data._media import PICTURES, opened_picture
from tuplet.store._ask import KINDS, Desk, Raw, said
from tuplet.types import InputError

PAGE = Path(__file__).with_name("search.html")
FIELDS, VALUES, SIDE = 100, 50, 256
"""Fields of a request; values of a column that the page offers as filters; pixels of a picture on the page."""
Fields = list[tuple[str, str | bytes]]


class TooLongError(MultiPartException):
    """A form that is larger than it may be; as an error of the form, so that its parser closes what it has read."""


def application(desk: Desk, *, largest: int, hosts: tuple[str, ...] = ("*",)) -> FastAPI:
    """Make the service; a request has at most ``largest`` bytes, and asks one of ``hosts``."""
    app, one_at_a_time = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Lock()
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    page, about, column = PAGE.read_text(), _about(desk), _pictured(desk)

    @app.exception_handler(InputError)
    async def refused(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(AnyHTTPException)
    async def failed(request: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code)

    @app.exception_handler(Exception)
    async def broke(request: Request, error: Exception) -> JSONResponse:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"tuplet: {request.url.path}: {what}", file=sys.stderr, flush=True)
        return JSONResponse({"error": f"the search broke ({what})"}, 500)

    @app.get("/")
    async def shown() -> Response:
        policy = "default-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; media-src blob:"
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    @app.get("/about")
    async def described() -> dict[str, Any]:
        return about

    @app.api_route("/search", methods=["GET", "POST"])
    async def search(request: Request) -> JSONResponse:
        fields: Fields = list(request.query_params.multi_items())
        fields += await _form(request, largest) if request.method == "POST" else []
        raw, how = _question(fields)

        def answered() -> dict[str, Any]:
            with one_at_a_time:  # memory holds one search, and the model is in one mode
                return desk.ask(raw, **how)

        answer = await run_in_threadpool(answered)
        return JSONResponse(answer | {"said": said(desk, answer, how["k"], bool(how["where"]))})

    @app.get("/picture/{row}")
    def picture(row: int) -> Response:
        if column is None or not 0 <= row < len(desk.index):
            raise HTTPException(404, "there is no picture of that row")
        return Response(_thumbnail(str(desk.index.stored.columns[column][row])), media_type="image/png")

    return app


async def _form(request: Request, largest: int) -> Fields:
    """Read a form of bounded size."""
    seen = 0
    kind = request.headers.get("content-type", "").partition(";")[0]

    async def counted() -> AsyncGenerator[bytes, None]:
        nonlocal seen
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > largest:
                raise TooLongError(f"the request has more than {largest} bytes; send less, or start with --largest")
            yield chunk

    if kind != "multipart/form-data":
        raise HTTPException(415, f"the request is {kind[:80] or 'of no type'}; send multipart/form-data, as curl -F does")
    limits = {"max_files": FIELDS, "max_fields": FIELDS, "max_part_size": largest}
    try:
        form = await MultiPartParser(request.headers, counted(), **limits).parse()
        fields = [(k, await v.read() if isinstance(v, UploadFile) else v) for k, v in form.multi_items()]
        await form.close()
    except TooLongError as error:
        raise HTTPException(413, error.message) from None
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from None
    return fields


def _question(fields: Fields) -> tuple[list[Raw], dict[str, Any]]:
    """Read the fields of a request as what `Desk.ask` takes."""
    raw: list[Raw] = []
    how: dict[str, Any] = {"k": 10, "modalities": [], "where": []}
    for key, value in fields:
        kind, _, name = key.partition(".")
        if kind in ("picture", "sound"):
            if isinstance(value, str):
                raise InputError(f"{key[:80]} is a text; send the file itself, as in curl -F {kind}=@FILE")
            raw.append(Raw(kind, value, name))
        elif not isinstance(value, str):
            raise InputError(f"{key[:80]} is a file; send pictures as picture and sounds as sound")
        elif kind == "text":
            raw.append(Raw(kind, value, name))
        elif key in ("modalities", "where"):
            how[key].append(value)
        elif key in ("like", "k"):
            how[key] = value
        else:
            raise InputError(f"the request names {key[:80]!r}, expected {', '.join((*KINDS, 'like', *how))}")
    if not (isinstance(how["k"], int) or (how["k"].isascii() and how["k"].isdigit() and len(how["k"]) < 10)):
        raise InputError(f"k is {how['k'][:80]!r}, expected a whole number")
    return raw, how | {"k": int(how["k"])}


def _about(desk: Desk) -> dict[str, Any]:
    """Describe the index for the page: what may be asked, and what filters there are."""
    stored = desk.index.stored
    asked = {}
    for kind in KINDS if desk.place else ():
        for name in desk.names(kind):
            how = desk.model.preprocessing.get(name)
            fixed = kind == "picture" and how is not None and how.tower is None  # towers take any size
            asked[name] = {"kind": kind, "size": how.modality.shape[-2:] if how and fixed else None}  # height, width
    values = {k: np.unique(v) for k, v in stored.columns.items() if v.ndim == 1 and v.dtype.kind in "biuU"}
    return {
        "index": repr(desk.index),
        "reads": asked,
        "modalities": list(stored.present),
        "filters": {k: v.tolist() for k, v in values.items() if 1 < len(v) <= VALUES},
        "picture": _pictured(desk),
        "example": str(stored.ids[0]),
    }


def _pictured(desk: Desk) -> str | None:
    """Name the first column that holds paths of pictures."""
    for name, column in desk.index.stored.columns.items():
        texts = column[column != ""][:100].tolist() if column.dtype.kind == "U" else []
        if texts and all(text.lower().endswith(PICTURES) for text in texts):
            return name
    return None


def _thumbnail(file: str) -> bytes:
    """Read a picture that the index names, made small."""
    if not Path(file).is_file():
        raise HTTPException(404, "the picture of that row is not there")
    picture, _ = opened_picture(Path(file), "the picture of that row")
    picture.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
