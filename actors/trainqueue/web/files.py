"""The page's files, kept in memory: there are thirty of them, small, and a page that opens asks for all at once.

Each is looked at again whenever it is asked for, and answered by its ETag: an upgrade shows at once.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from starlette.responses import Response

from trainqueue.web.answers import refused

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class File:
    changed: tuple[int, int]
    """When, in nanoseconds, and its size: then it is read anew."""
    body: bytes
    kind: str
    headers: dict[str, str]


class Files:
    """Those of a folder, by their names in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = self._scanned()
        self._known: dict[str, File] = {}

    def _scanned(self) -> dict[str, Path]:
        """Nothing else is ever opened, whatever is asked for."""
        return {str(path.relative_to(self.folder)): path for path in self.folder.rglob("*") if path.is_file()}

    async def page(self, request: Request) -> Response:
        return self._answer("index.html", request)

    async def __call__(self, request: Request) -> Response:
        return self._answer(request.path_params["name"], request)

    def _answer(self, name: str, request: Request) -> Response:
        try:
            file = self._file(name)
        except (KeyError, OSError):
            return refused("not-found", "there is no such file")
        if request.headers.get("if-none-match") == file.headers["etag"]:
            return Response(status_code=304, headers=file.headers)
        return Response(file.body, headers=file.headers, media_type=file.kind)

    def _file(self, name: str) -> File:
        """Raises KeyError or OSError."""
        if name not in self._names:  # of an upgrade
            self._names = self._scanned()
        path, known = self._names[name], self._known.get(name)
        found = path.stat()
        changed = found.st_mtime_ns, found.st_size
        if known is None or known.changed != changed:
            body = path.read_bytes()
            headers = {"etag": f'"{blake2b(body, digest_size=12).hexdigest()}"', "cache-control": "no-cache"}
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            known = self._known[name] = File(changed, body, kind, headers)
        return known
