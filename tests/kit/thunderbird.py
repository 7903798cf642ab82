"""A Thunderbird on a virtual screen, driven by Marionette (Mozilla's remote control) in its own chrome."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit.processes import Running, answers, free_port, program

_PREFS = {
    "marionette.port": 0,
    "network.dns.localDomains": "",
    "mailnews.auto_config_url": "",
    "mailnews.auto_config.fetchFromExchange.enabled": False,
    "mailnews.start_page.enabled": False,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.accounthub.enabled": False,
    "mail.imap.use_status_for_biff": False,
    "mailnews.send_default_charset": "UTF-8",
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "datareporting.healthreport.uploadEnabled": False,
    "toolkit.telemetry.enabled": False,
    "browser.safebrowsing.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "mail.warn_on_send_accel_key": False,
}


class ScriptError(Exception):
    """A script failed inside of Thunderbird."""


class Marionette:
    """The remote control: https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html"""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 60)
        self._data = b""
        self._number = 0
        self._read()  # its greeting
        self.ask("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"timeouts": {"script": 60_000}}}})
        self.ask("Marionette:SetContext", {"value": "chrome"})

    def _read(self) -> Any:
        while b":" not in self._data:
            self._data += self._some()
        size, _, rest = self._data.partition(b":")
        while len(rest) < int(size):
            rest += self._some()
        self._data = rest[int(size) :]
        return json.loads(rest[: int(size)])

    def _some(self) -> bytes:
        data = self._sock.recv(65536)
        if not data:
            raise ScriptError("Thunderbird is gone")
        return data

    def ask(self, name: str, parameters: dict[str, Any]) -> Any:
        """A command; its answer.  Raises ScriptError."""
        self._number += 1
        text = json.dumps([0, self._number, name, parameters]).encode()
        self._sock.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self._read()
        if error is not None:
            raise ScriptError(f"{error['message']}\n{error.get('stacktrace', '')}"[:2000])
        return result

    def run(self, script: str, *arguments: object) -> Any:
        """Runs an async function's body; what it returns."""
        text = f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then("
        text += "v => done({v}), e => done({e: String(e) + '\\n' + (e && e.stack)}));"
        found = self.ask("WebDriver:ExecuteAsyncScript", {"script": text, "args": [*arguments], "newSandbox": True})
        value = found["value"]
        if "e" in value:
            raise ScriptError(value["e"])
        return value.get("v")

    def close(self) -> None:
        """Lets go."""
        self._sock.close()


@contextmanager
def thunderbird(folder: Path, ca: Path, local_domains: str) -> Iterator[tuple[Marionette, str]]:
    """Runs it with a fresh profile that trusts `ca` and finds `local_domains` (separated by commas) on this machine; yields
    the remote control and the display's name."""
    screen = program("Xvfb", "xvfb")
    display = next(number for number in range(90, 200) if not Path(f"/tmp/.X11-unix/X{number}").exists())
    profile = folder / "profile"
    profile.mkdir(parents=True)
    port = free_port()
    values = _PREFS | {"marionette.port": port, "network.dns.localDomains": local_domains}
    (profile / "user.js").write_text(
        "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in values.items())
    )
    xvfb = Running([screen, f":{display}", "-screen", "0", "1280x900x24", "-nolisten", "tcp"], folder, "xvfb")
    environment = {
        **os.environ, "DISPLAY": f":{display}", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder),
        "MOZ_CRASHREPORTER_DISABLE": "1", "GDK_BACKEND": "x11", "LIBGL_ALWAYS_SOFTWARE": "1",
    }  # fmt: skip
    command = [
        program("thunderbird", "thunderbird"),
        "--marionette",
        "-remote-allow-system-access",
        "--no-remote",
        "--profile",
        str(profile),
    ]
    running: Running | None = None
    control: Marionette | None = None
    try:
        xvfb.wait_until(lambda: Path(f"/tmp/.X11-unix/X{display}").exists())
        running = Running(command, folder, "thunderbird", environment)
        running.wait_until(lambda: answers(port), 60)
        control = Marionette(port)
        pem = re.sub(r"-----.*?-----|\s", "", ca.read_text())
        assert base64.b64decode(pem)
        control.run(
            'Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)'
            '.addCertFromBase64(arguments_[0], "CT,C,C");'.replace("arguments_[0]", json.dumps(pem))
        )
        yield control, f":{display}"
    finally:
        if control is not None:
            control.close()
        if running is not None:
            running.kill()
        xvfb.kill()


def screenshot(display: str, path: Path) -> None:
    """What is on the screen, as PNG."""
    time.sleep(1)
    subprocess.run(
        [program("import", "imagemagick"), "-display", display, "-window", "root", str(path)], check=True, timeout=30
    )
