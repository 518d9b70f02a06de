"""The call page and the SDK: a fixed set of files, read from disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from signaling.problem import problem

__all__ = ["PAGE_HEADERS", "Pages", "find_pages"]

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob: mediastream:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_COMPRESSED: Final = frozenset({".html", ".js", ".mjs", ".css", ".json", ".svg"})
_SKIPPED: Final = frozenset({"node_modules", "tests", "test", "types"})


def find_pages(root: Path) -> dict[str, Path]:
    """Files that may be served, by URL path.

    ``sdk/`` is served under ``/sdk/``, everything in ``app/`` under ``/`` and ``/app/``. Hidden
    files, tests and tooling are left out, as is whatever links lead out of ``root`` to.
    """
    root = root.resolve()
    found: dict[str, Path] = {}
    for folder, prefixes in (("sdk", ("/sdk/",)), ("app", ("/", "/app/"))):
        base = root / folder
        for path in sorted(base.rglob("*")):
            relative = path.relative_to(base)
            if not _is_servable(path, relative) or not path.resolve().is_relative_to(root):
                continue
            for prefix in prefixes:
                found[prefix + relative.as_posix()] = path
    if "/index.html" in found:
        found["/"] = found["/app/"] = found["/index.html"]
    if "/playback.html" in found:
        found["/playback"] = found["/playback.html"]
    return found


class Pages:
    """Serves the files found when it was made; changed content is noticed, new files are not."""

    def __init__(self, root: Path) -> None:
        self._files = find_pages(root)

    @property
    def paths(self) -> list[str]:
        """URL paths of all files."""
        return list(self._files)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One file, with conditional requests by ``ETag``; texts are compressed where asked."""
        path = self._files.get(request.path)
        if path is None:
            return problem(404)
        headers = {**PAGE_HEADERS, "Content-Type": _TYPES[path.suffix]}
        if path.suffix not in _COMPRESSED:
            return web.FileResponse(path, headers=headers)
        response = web.FileResponse(path, headers=headers | {"Vary": "Accept-Encoding"})
        if _sends_all(request, path):
            response.enable_compression()
        return response


def _sends_all(request: web.Request, path: Path) -> bool:
    """Whether the answer is the whole file.

    Compressed, a 304 would get a body, and a range counts bytes of the file as it is.
    """
    if any(name in request.headers for name in ("Range", "If-Match", "If-Unmodified-Since")):
        return False
    if request.if_none_match is None:
        return "If-Modified-Since" not in request.headers
    known = path.stat()
    present = f"{known.st_mtime_ns:x}-{known.st_size:x}"  # as FileResponse has it
    return all(tag.value not in {present, "*"} for tag in request.if_none_match)


def _is_servable(path: Path, relative: Path) -> bool:
    hidden = any(part.startswith(".") or part in _SKIPPED for part in relative.parts)
    return not hidden and path.suffix in _TYPES and path.is_file()
