"""python -m mox_dkim: what a script sees."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mox_dkim import load_key
from mox_dkim.__main__ import main
from mox_dkim.testing.signing import MESSAGE


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a key, the zone that publishes it, and a signed message with LF line ends."""
    (tmp_path / "m.eml").write_bytes(MESSAGE.replace(b"\r\n", b"\n"))
    key = str(tmp_path / "key.pem")
    assert main(["keygen", "--type", "ed25519", "--out", key]) == 0
    assert main(["txt", key]) == 0
    record = capsys.readouterr().out.strip()
    (tmp_path / "zone").write_text(f'sel._domainkey.example.org TXT "{record}"\n')
    named = ["--domain", "example.org", "--selector", "sel"]
    assert main(["sign", str(tmp_path / "m.eml"), "--key", key, *named, "--whole"]) == 0
    (tmp_path / "signed.eml").write_bytes(capsys.readouterr().out.encode())
    return tmp_path


def test_key_is_for_its_owner_only_and_never_overwritten(made: Path) -> None:
    path = made / "key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert main(["keygen", "--out", str(path)]) == 2
    assert path.read_bytes() == before
    assert load_key(before).bits == 256


def test_verify(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", str(made / "signed.eml"), "--zone", str(made / "zone")]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "dkim=pass example.org sel: signed by example.org\n"
    assert main([*arguments, "--explain"]) == 0
    assert "header: as signed" in capsys.readouterr().out
    assert main([*arguments, "--json", "--strict"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["status"] == "pass"


def test_verify_what_does_not_pass(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = ["--zone", str(made / "zone")]
    assert main(["verify", str(made / "m.eml"), *zone]) == 1
    assert capsys.readouterr().out == "dkim=none: no signature\n"
    (made / "slow").write_text("sel._domainkey.example.org TXT TIMEOUT\n")
    assert main(["verify", str(made / "signed.eml"), "--zone", str(made / "slow")]) == 75
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((made / "signed.eml").read_bytes() + b"more\n")))
    assert main(["verify", *zone]) == 1
    assert "the body was changed" in capsys.readouterr().out


def test_txt_as_a_zone_line(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--out", str(made / "rsa.pem")]) == 0
    assert main(["txt", str(made / "rsa.pem"), "--domain", "example.org", "--selector", "a", "--testing"]) == 0
    line = capsys.readouterr().out
    assert line.startswith('a._domainkey.example.org. IN TXT ( "v=DKIM1; t=y; p=')
    assert max(map(len, line.split('"'))) == 255
    assert main(["txt", str(made / "rsa.pem"), "--domain", "example.org"]) == 2


def test_lookup(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = ["--zone", str(made / "zone")]
    assert main(["lookup", "sel", "example.org", *zone]) == 0
    assert "bits=256" in capsys.readouterr().out
    assert main(["lookup", "other", "example.org", "--json", *zone]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "nxdomain"
    (made / "bad").write_text("sel._domainkey.example.org TXT p=YWFh\nx._domainkey.example.org TXT TIMEOUT\n")
    assert main(["lookup", "sel", "example.org", "--zone", str(made / "bad")]) == 1
    assert "problem=" in capsys.readouterr().out
    assert main(["lookup", "x", "example.org", "--zone", str(made / "bad")]) == 75


def test_arc(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = ["--zone", str(made / "zone")]
    assert main(["arc", str(made / "m.eml"), *zone]) == 0
    assert capsys.readouterr().out == "arc=none: no ARC set\n"
    (made / "odd.eml").write_bytes(b"ARC-Seal: i=1; cv=none\n" + MESSAGE)
    assert main(["arc", str(made / "odd.eml"), *zone]) == 1
    assert main(["arc", str(made / "odd.eml"), "--json", *zone]) == 1
    assert '"status": "fail"' in capsys.readouterr().out


def test_seal(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = [
        "--key",
        str(made / "key.pem"),
        "--domain",
        "example.org",
        "--selector",
        "sel",
        "--zone",
        str(made / "zone"),
    ]
    found = ["--results", "mx.example.org; spf=pass smtp.mailfrom=example.org"]
    assert main(["seal", str(made / "m.eml"), *named, *found, "--whole"]) == 0
    (made / "sealed.eml").write_bytes(capsys.readouterr().out.encode())
    assert main(["arc", str(made / "sealed.eml"), "--zone", str(made / "zone")]) == 0
    assert "last sealed by example.org" in capsys.readouterr().out
    (made / "slow").write_text("sel._domainkey.example.org TXT TIMEOUT\n")
    named[-1] = str(made / "slow")
    assert main(["seal", str(made / "sealed.eml"), *named, *found]) == 75
    assert "not sealed" in capsys.readouterr().err


def test_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "kind": "key record", "type": "ed25519", "testing": False, "revoked": False, "bits": 256,
    }  # fmt: skip
    assert main(["parse", "v=1; a=rsa-sha256; d=a.example; s=b; h=from; bh=eA==; b=eA=="]) == 0
    assert "d: a.example" in capsys.readouterr().out
    assert main(["parse", "v=DKIM1; p=*"]) == 1
    assert "p= is not base64" in capsys.readouterr().out
    assert main(["parse", "v=DKIM1; p=eA==", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problem"] == "p= is no RSA key"
    assert main(["parse", "p=; p=", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"problem": "a second p=", "at": 4}


def test_a_missing_file_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "/nonexistent/x.eml"]) == 2
    assert "No such file" in capsys.readouterr().err


def test_help_is_quick_and_needs_no_cryptography() -> None:
    code = (
        "import sys, mox_dkim.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "keygen" in done.stdout
