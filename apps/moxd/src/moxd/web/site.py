"""Requests and responses: a Starlette application over a function that gives the configuration of now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

import mox_dns
import mox_mtasts
from moxd.config import Config
from moxd.web import autoconfig

MAX_NAME = 200
MAX_ADDRESSES = 20
BODY_SECONDS = 10.0
XML = "text/xml; charset=utf-8"
# Hosts under which a domain's programs ask, beside the domain itself.
PREFIXES = ("autoconfig.", "autodiscover.")


class Site:
    """What there is to answer."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        routes = [
            Route("/mail/config-v1.1.xml", self._thunderbird),
            Route("/.well-known/autoconfig/mail/config-v1.1.xml", self._thunderbird),
            Route("/autodiscover/autodiscover.xml", self._outlook, methods=["POST"]),
            Route("/Autodiscover/Autodiscover.xml", self._outlook, methods=["POST"]),
            Route("/autodiscover/autodiscover.json", self._outlook_json),
            Route("/autodiscover/autodiscover.json/v1.0/{address:path}", self._outlook_json),
            Route("/profile.mobileconfig", self._apple),
            Route(mox_mtasts.PATH, self._policy),
        ]
        self.app = Starlette(routes=routes, exception_handlers={404: _not_found})

    def _settings(self, address: str, host: str) -> autoconfig.Settings | None:
        """By the address when there is one, else by the host that was asked."""
        config = self._config()
        if "@" in address:
            return autoconfig.settings_of(config, _domain(address.rpartition("@")[2]))
        for prefix in (*PREFIXES, ""):
            if host.startswith(prefix) and (found := autoconfig.settings_of(config, host.removeprefix(prefix))):
                return found
        return None

    async def _thunderbird(self, request: Request) -> Response:
        address = _short(request.query_params.get("emailaddress", ""))
        settings = self._settings(address, _host(request))
        if settings is None:
            return _unknown()
        return Response(autoconfig.thunderbird(settings, address if "@" in address else ""), media_type=XML)

    async def _outlook(self, request: Request) -> Response:
        try:
            address = autoconfig.outlook_address(await asyncio.wait_for(_body(request), BODY_SECONDS))
        except autoconfig.RequestSyntaxError as error:
            # What is still to come of it is not waited for.
            text = f"this is no autodiscover request: it {error}\n"
            return PlainTextResponse(text, 400, {"Connection": "close"})
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("the request took too long\n", 408, {"Connection": "close"})
        settings = self._settings(_short(address), "")
        if settings is None:
            return _unknown()
        return Response(autoconfig.outlook(settings, _short(address)), media_type=XML)

    async def _outlook_json(self, request: Request) -> Response:
        address = _short(request.query_params.get("Email", "") or request.path_params.get("address", ""))
        settings = self._settings(address, _host(request))
        protocol = request.query_params.get("Protocol", "AutodiscoverV1")
        if settings is None or protocol.lower() != "autodiscoverv1":
            return _unknown()
        return Response(
            autoconfig.outlook_json("AutodiscoverV1", f"https://{_host(request)}"), media_type="application/json"
        )

    async def _apple(self, request: Request) -> Response:
        addresses = [one.strip() for one in _short(request.query_params.get("addresses", "")).split(",")]
        addresses = [one for one in addresses if "@" in one][:MAX_ADDRESSES]
        settings = self._settings(addresses[0], "") if addresses else None
        if settings is None:
            return _unknown() if addresses else PlainTextResponse("name an address: ?addresses=you@example.org\n", 400)
        profile = autoconfig.apple(settings, addresses, _short(request.query_params.get("name", "")))
        headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(addresses[0], safe='@')}.mobileconfig"}
        return Response(profile, media_type="application/x-apple-aspen-config", headers=headers)

    async def _policy(self, request: Request) -> Response:
        """RFC 8461 3.2; only under the policy host's own name."""
        host = _host(request)
        domain = self._config().domains.domains.get(host.removeprefix("mta-sts."))
        if not host.startswith("mta-sts.") or domain is None or domain.mta_sts is None:
            return _unknown()
        return Response(str(domain.mta_sts.policy()), media_type=mox_mtasts.CONTENT_TYPE)


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > autoconfig.MAX_REQUEST:
            raise autoconfig.RequestSyntaxError("is too long")
    return bytes(data)


def _host(request: Request) -> str:
    """The host that was asked, in A-form; "" when it is none."""
    host = request.headers.get("host", "")
    return _domain(host if host.startswith("[") else host.partition(":")[0])


def _domain(text: str) -> str:
    try:
        return mox_dns.Domain.parse(text.strip()).ascii
    except mox_dns.DomainSyntaxError:
        return ""


def _short(text: str) -> str:
    return text[:MAX_NAME].strip()


def _unknown() -> Response:
    return PlainTextResponse("there is no such domain here\n", 404)


async def _not_found(request: Request, error: Exception) -> Response:
    if request.url.path.lower() == "/autodiscover/autodiscover.xml" and request.url.path.islower() is False:
        return RedirectResponse("/autodiscover/autodiscover.xml", 308)
    return PlainTextResponse("there is nothing here\n", 404)
