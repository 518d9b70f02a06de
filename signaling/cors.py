"""What lets pages of other, configured origins use an address (Fetch, section 3.2)."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from signaling.errors import ErrorCode
from signaling.origin import is_allowed_origin
from signaling.problem import problem

__all__ = ["CrossOrigin"]

_HEADERS: Final = "Authorization, Content-Digest, Content-Encoding, Content-Type"
_MAX_AGE_S: Final = "7200"


class CrossOrigin:
    """Answers browsers that ask before a page of another origin sends something, and lets the page
    read what it gets. Without cookies: a page has to have a token.

    Args:
        allowed: origins of the configuration, in lower case.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = tuple(allowed)
        self._methods: dict[web.AbstractResource | None, set[str]] = {}

    def open(self, routes: Iterable[web.AbstractRoute]) -> None:
        """Opens the addresses of these routes."""
        for route in list(routes):
            resource = route.resource
            if not isinstance(resource, web.Resource):
                raise TypeError(f"{route!r} has no address of its own")
            if resource not in self._methods:
                self._methods[resource] = set()
                resource.add_route("OPTIONS", self._ask)
            self._methods[resource].add(route.method)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """For ``Application.on_response_prepare``."""
        if request.match_info.route.resource not in self._methods:
            return
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin is not None and self._may_ask(request):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    async def _ask(self, request: web.Request) -> web.Response:
        if not self._may_ask(request):
            return problem(403, ErrorCode.FORBIDDEN, "pages of this origin may not ask")
        methods = self._methods.get(request.match_info.route.resource, set())
        headers = {
            "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _MAX_AGE_S,
        }
        return web.Response(status=204, headers=headers)

    def _may_ask(self, request: web.Request) -> bool:
        return is_allowed_origin(request.headers.get("Origin"), request.host, self._allowed)
