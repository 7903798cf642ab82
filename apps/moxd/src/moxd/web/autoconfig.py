"""How a mail program is to be set up, in the words of each kind of program.

An answer depends on the domain and on nothing before the @: who asks learns nothing about people."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as Tree
from xml.parsers import expat

from moxd.config import Config, Listener

_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MAX_REQUEST = 16 * 1024  # octets of a document that a program sends
OUTLOOK_REQUEST = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
OUTLOOK_RESPONSE = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
RESPONSE = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"


@dataclass(frozen=True, slots=True)
class Service:
    """Where one protocol is spoken.  `tls` from the first octet, or by STARTTLS; `alpn` when the port is HTTPS's."""

    protocol: str  # "imap" or "smtp"
    host: str
    port: int
    tls: bool
    alpn: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a domain's people enter, best first."""

    domain: str
    services: tuple[Service, ...]

    def of(self, protocol: str) -> list[Service]:
        """The places of one protocol, best first."""
        return [service for service in self.services if service.protocol == protocol]


def settings_of(config: Config, domain: str) -> Settings | None:
    """The settings of a domain (A-form); None when it is not ours."""
    known = config.domains.domains.get(domain)
    if known is None:
        return None
    services: list[Service] = []
    for listener in config.static.listeners.values():
        host = known.client_settings_host or listener.hostname or config.static.hostname
        services += _services(listener, host)
    # TLS from the first octet before STARTTLS (RFC 8314 3), the ports that everybody knows before 443.
    return Settings(domain, tuple(sorted(services, key=lambda one: (one.alpn != "", not one.tls))))


def _services(listener: Listener, host: str) -> list[Service]:
    found = [
        Service(protocol, host, port, tls)
        for protocol, port, tls in (
            ("imap", listener.imaps, True),
            ("imap", listener.imap, False),
            ("smtp", listener.submissions, True),
            ("smtp", listener.submission, False),
        )
        if port is not None
    ]
    if listener.https is not None:
        wanted = (("imap", listener.imaps_on_https), ("smtp", listener.submissions_on_https))
        found += [Service(name, host, listener.https, True, alpn=name) for name, switched_on in wanted if switched_on]
    return found


# -- Thunderbird, K-9, Evolution, KMail …


def thunderbird(settings: Settings, address: str = "") -> bytes:
    """clientConfig 1.1 (draft-ietf-mailmaint-autoconfig); without an address its placeholder, for programs to fill."""
    root = Tree.Element("clientConfig", version="1.1")
    provider = _in(root, "emailProvider", id=settings.domain)
    for name in ("domain", "displayName", "displayShortName"):
        _in(provider, name, settings.domain)
    for service in settings.services:
        incoming = service.protocol == "imap"
        server = _in(provider, "incomingServer" if incoming else "outgoingServer", type=service.protocol)
        _in(server, "hostname", service.host)
        _in(server, "port", str(service.port))
        _in(server, "socketType", "SSL" if service.tls else "STARTTLS")
        _in(server, "username", address or "%EMAILADDRESS%")
        _in(server, "authentication", "password-cleartext")
    return _written(root)


# -- Outlook


class RequestSyntaxError(ValueError):
    """This is no autodiscover request; the message says why."""


def outlook_address(document: bytes) -> str:
    """The EMailAddress of an autodiscover request.  Raises RequestSyntaxError; entities and document types are refused,
    so that a short document stays short."""
    if len(document) > MAX_REQUEST:
        raise RequestSyntaxError("too long")
    parser = expat.ParserCreate(namespace_separator=" ")
    path: list[str] = []
    found: list[str] = []

    def refuse(*_: object) -> None:
        raise RequestSyntaxError("has a document type")

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(name.rpartition(" ")[2])

    def end(name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        if path == ["Autodiscover", "Request", "EMailAddress"]:
            found.append(data)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise RequestSyntaxError(f"no XML: {error}") from None
    address = "".join(found).strip()
    if "@" not in address:
        raise RequestSyntaxError("names no EMailAddress")
    return address


def outlook(settings: Settings, address: str) -> bytes:
    """The answer to an autodiscover request of Outlook ("POX")."""
    root = Tree.Element("Autodiscover", xmlns=RESPONSE)
    account = _in(_in(root, "Response", xmlns=OUTLOOK_RESPONSE), "Account")
    _in(account, "AccountType", "email")
    _in(account, "Action", "settings")
    for service in settings.services:
        if service.alpn:
            continue
        protocol = _in(account, "Protocol")
        for name, value in (
            ("Type", service.protocol.upper()),
            ("Server", service.host),
            ("Port", str(service.port)),
            ("DomainRequired", "off"),
            ("LoginName", address),
            ("SPA", "off"),
            ("SSL", "on" if service.tls else "off"),
            ("Encryption", "SSL" if service.tls else "TLS"),
            ("AuthRequired", "on"),
        ):
            _in(protocol, name, value)
        if service.protocol == "smtp":
            _in(protocol, "UsePOPAuth", "off")
            _in(protocol, "SMTPLast", "off")
    return _written(root)


def outlook_json(protocol: str, base: str) -> bytes:
    """Autodiscover version 2: where version 1 is asked."""
    return json.dumps({"Protocol": protocol, "Url": f"{base}/autodiscover/autodiscover.xml"}).encode()


# -- Apple


def apple(settings: Settings, addresses: Sequence[str], name: str) -> bytes:
    """A profile (.mobileconfig) for an address; the first of several.  Unsigned, and without a password."""
    address = addresses[0]
    imap, smtp = (next((one for one in settings.of(protocol) if not one.alpn), None) for protocol in ("imap", "smtp"))
    mail = {
        "EmailAccountDescription": address,
        "EmailAccountName": name or address,
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAddress": ", ".join(addresses),
        "PayloadIdentifier": f"{settings.domain}.email.account",
        "PayloadType": "com.apple.mail.managed",
        "PayloadUUID": str(uuid5(NAMESPACE_URL, f"mailto:{address}#account")),
        "PayloadVersion": 1,
    }
    for way, service in (("Incoming", imap), ("Outgoing", smtp)):
        if service is not None:
            mail |= {
                f"{way}MailServerAuthentication": "EmailAuthPassword",
                f"{way}MailServerHostName": service.host,
                f"{way}MailServerPortNumber": service.port,
                f"{way}MailServerUseSSL": True,
                f"{way}MailServerUsername": address,
            }
    mail["OutgoingPasswordSameAsIncomingPassword"] = True
    profile = {
        "PayloadContent": [mail],
        "PayloadDisplayName": f"{address} email account",
        "PayloadIdentifier": f"{settings.domain}.email",
        "PayloadType": "Configuration",
        "PayloadUUID": str(uuid5(NAMESPACE_URL, f"mailto:{address}")),
        "PayloadVersion": 1,
    }
    return plistlib.dumps(profile)


def _in(parent: Tree.Element, name: str, text: str = "", **attributes: str) -> Tree.Element:
    element = Tree.SubElement(parent, name, attributes)
    if text:
        element.text = _xml_text(text)
    return element


def _xml_text(text: str) -> str:
    """What XML 1.0 cannot hold at all is not said (2.2)."""
    return _NO_XML.sub("", text)


def _written(root: Tree.Element) -> bytes:
    Tree.indent(root)
    written: bytes = Tree.tostring(root, "utf-8", xml_declaration=True)
    return written + b"\n"
