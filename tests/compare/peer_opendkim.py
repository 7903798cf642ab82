"""opendkim-testmsg as a peer: JSON lines in, JSON lines out.  Asks the name server of /etc/resolv.conf, so this runs in a
network and mount namespace of its own, where that is us:

    unshare --net --mount python peer_opendkim.py        as root; else  unshare --map-root-user --net --mount …"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from compare.nameserver import NameServer  # noqa: E402

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def own_network() -> None:
    """Loopback up, and ourselves as the name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)


def main() -> None:
    """Answers until the end of input."""
    program = sys.argv[1] if len(sys.argv) > 1 else "opendkim-testmsg"
    own_network()
    server = NameServer(53)
    for line in sys.stdin:
        case = json.loads(line)
        server.serve(case["records"])
        done = subprocess.run([program], input=case["message"].encode("latin-1"), capture_output=True, check=False)
        said = done.stderr.decode("latin-1").strip()
        verdict = "pass" if done.returncode == 0 and not said else "none" if "o signature" in said else "other"
        print(json.dumps({"id": case["id"], "verdict": verdict, "said": f"{done.returncode} {said}"}), flush=True)


if __name__ == "__main__":
    main()
