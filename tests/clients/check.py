"""Runs the clients of docs/events.md against an agent behind a line that breaks, and counts what was recorded.

Usage: check.py OUTPOST WORK_DIR, with the Python that has `cloudevents`, in a directory where node finds `cloudevents`.
Each client meets an answer 503, then an answer that is lost after the event was recorded: it must send the same event
again until it is answered, and that event must be one.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import urllib.request

OUTPOST, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = {"curl": ["bash", "-euo", "pipefail"], "python": [sys.executable], "node": ["node"]}
ENDS = {"curl": "sh", "python": "py", "node": "cjs"}


def clients() -> dict[str, str]:
    """The blocks of the page, by client."""
    page = (ROOT / "docs/events.md").read_text()
    return dict(re.findall(r"<!-- client: (\w+) -->\n```\w+\n(.*?)```", page, re.S))


def configuration() -> str:
    """The example configuration, with places of this test."""
    text = (ROOT / "agent.toml.example").read_text()
    for before, after in {
        "/var/lib/outpost": f"{WORK}/data",
        "127.0.0.1:7717": "127.0.0.1:0",
        "/run/outpost/intake.sock": f"{WORK}/intake.sock",
        'client_code = "acme"': 'client_code = "acme"\nendpoint = "http://127.0.0.1:9"',
        'min_free_disk = "200MiB"': 'min_free_disk = "0B"',
    }.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: *(\d+)", head, re.I).group(1))
    while len(body) < length:
        body += connection.recv(65536)
    # The answer ends with the connection, so that it is read whole.
    head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.I)
    return head + b"\r\nConnection: close\r\n\r\n" + body


def bad_line(agent: tuple[str, int]) -> int:
    """A line to the agent of whose requests the first is refused and the second loses its answer; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for number in range(1_000):
            connection, _ = listener.accept()
            with connection:
                request = read_request(connection)
                if number == 0:
                    connection.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    continue
                with socket.create_connection(agent) as through:
                    through.sendall(request)
                    answer = b"".join(iter(lambda: through.recv(65536), b""))
                if number != 1:
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def main() -> None:
    (WORK / "agent.toml").write_text(configuration())
    config = ["-c", str(WORK / "agent.toml")]
    agent = subprocess.Popen([OUTPOST, "run", *config], stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"(127\.0\.0\.1):(\d+)", agent.stdout.readline() + agent.stdout.readline())
        host, port = address.group(1), int(address.group(2))
        token = (WORK / "data/intake.token").read_text()
        found = clients()
        assert {"curl", "python", "node", "powershell"} == set(found), found.keys()
        for count, (name, command) in enumerate(RUN.items(), 1):
            file = WORK / f"client.{ENDS[name]}"
            file.write_text(found[name])
            url = f"http://127.0.0.1:{bad_line((host, port))}"
            environment = {**os.environ, "OUTPOST_URL": url, "OUTPOST_TOKEN": token}
            subprocess.run([*command, str(file)], env=environment, cwd=WORK, check=True, timeout=60)
            status = json.loads(subprocess.check_output([OUTPOST, "status", "--json", *config]))
            events = {name: status["events"][name] for name in ("recorded", "duplicate")}
            assert events == {"recorded": count, "duplicate": count}, (name, events)
    finally:
        agent.terminate()
        agent.wait()
    print("the clients of docs/events.md record each event once over a line that breaks")


main()
