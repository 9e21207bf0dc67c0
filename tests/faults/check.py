"""Injects faults that need root into a running agent: full disks, failing syncs, read-only disks, jumping clocks.

Usage: check.py OUTPOST, as root on Linux, with strace, faketime and e2fsprogs installed. Fails unless everything that was
acknowledged is there afterwards, counted once.
"""

import contextlib
import datetime
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OUTPOST = Path(sys.argv[1]).resolve()
PATIENCE_SECONDS = 60
CONFIG = """
[agent]
data_dir = "{data}"
[target]
client_code = "acme"
mode = "single"
shared_profiles = false
endpoint = "{endpoint}"
[target.quota]
updates_per_day = {quota}
[intake.http]
listen = "127.0.0.1:0"
[store]
min_free_disk = "0B"
[[mapping]]
name = "card used"
event = "com.acme.loyalty.used"
identity = {{ third_party_id = "data.card" }}
set = {{ lastStore = "data.store" }}
add = {{ visits = "1" }}
"""
NOWHERE = "http://127.0.0.1:9"


class Agent:
    """An agent in a process of its own, perhaps under another program."""

    def __init__(self, data: Path, config: Path, wrapper: list[str] = (), env: dict[str, str] | None = None):
        self.data = data
        environment = {**os.environ, **(env or {})}
        command = [*wrapper, OUTPOST, "run", "-c", config]
        said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, env=environment, start_new_session=True
        )
        if not self.process.stdout.readline():
            said.seek(0)
            sys.exit(f"the agent did not start: {command}\n{said.read().decode()}")
        self.host = json.loads((data / "agent.json").read_text())["http"]
        self.token = (data / "intake.token").read_text().strip()

    def request(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict, dict]:
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/cloudevents+json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read() or b"{}")

    def record(self, event_id: str, **data: str) -> tuple[int, dict, dict]:
        event = {"specversion": "1.0", "id": event_id, "source": "/till", "type": "com.acme.loyalty.used"}
        if "time" in data:
            event["time"] = data.pop("time")
        return self.request("POST", "/v1/events", {**event, "data": {"card": "7", "store": "Lund", **data}})

    def status(self) -> dict:
        return self.request("GET", "/v1/status")[2]

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def write_config(directory: Path, data: Path, endpoint: str = NOWHERE, quota: int = 10_000) -> Path:
    path = directory / "agent.toml"
    path.write_text(CONFIG.format(data=data, endpoint=endpoint, quota=quota))
    return path


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        sys.exit(f"{what}: expected {expected}, found {found}")


def until(what: str, condition) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.05)


def expect_all_known(agent: Agent, ids: list[str]) -> None:
    """Every acknowledged event is a duplicate now, and they are all that was recorded."""
    for event_id in ids:
        expect(f"event {event_id} again", agent.record(event_id)[2]["events"][0]["status"], "duplicate")
    expect("events recorded", agent.status()["events"]["recorded"], len(ids))


@contextlib.contextmanager
def small_disk(directory: Path, mebibytes: int):
    """A loop-mounted ext4 of that size."""
    image, disk = directory / "disk.img", directory / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(agent: Agent, ids: list[str]) -> tuple[int, dict]:
    """Records until an event is refused; gives that answer."""
    for number in range(100_000):
        status, headers, _ = agent.record(f"f{len(ids)}-{number}", filler="x" * 20_000)
        if status != 200:
            return status, headers
        ids.append(f"f{len(ids)}-{number}")
    sys.exit("the disk did not become full")


def disk_full(directory: Path) -> None:
    """Something fills the disk and goes away again, three times; then the agent is killed and started anew."""
    with small_disk(directory, 24) as disk:
        data, ballast = disk / "data", disk / "ballast"
        config = write_config(directory, data)
        agent, ids = Agent(data, config), []
        for _ in range(3):
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(b"x" * 4_096):
                    pass
            status, headers = fill(agent, ids)
            has_retry_after = "retry-after" in {name.lower() for name in headers}
            expect("the answer of a full disk", (status, has_retry_after), (507, True))
            ballast.unlink()
            # It goes on by itself.
            until("room", lambda: agent.record(f"room-{len(ids)}")[0] == 200)
            ids.append(f"room-{len(ids)}")
        expect_all_known(agent, ids)
        agent.kill()
        agent = Agent(data, config)
        expect_all_known(agent, ids)
        agent.kill()


def failing_sync(directory: Path) -> None:
    """A sync that fails is never followed by an acknowledgement."""
    failing(directory, "fdatasync,fsync", "20+3")


def failing_write(directory: Path) -> None:
    failing(directory, "pwrite64", "40+7")


def failing(directory: Path, calls: str, when: str) -> None:
    data, config = directory / "data", write_config(directory, directory / "data")
    first = Agent(data, config)
    expect("an event", first.record("before")[0], 200)
    first.kill()
    wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when={when}"]
    agent, ids, refused = Agent(data, config, wrapper), ["before"], 0
    for number in range(60):
        status, _, _ = agent.record(f"e{number}")
        if status == 200:
            ids.append(f"e{number}")
        else:
            expect("the answer when the disk fails", status, 503)
            refused += 1
    agent.kill()
    if refused < 5 or len(ids) < 5:
        sys.exit(f"the fault did not strike as it should: {refused} refused, {len(ids)} taken")
    agent = Agent(data, config)
    for event_id in ids:
        expect(f"event {event_id} again", agent.record(event_id)[2]["events"][0]["status"], "duplicate")
    # What was refused may be there or not: its sender sends it again, and it counts once.
    for number in range(60):
        agent.record(f"e{number}")
    expect("events recorded once each", agent.status()["events"]["recorded"], 61)
    agent.kill()


def read_only(directory: Path) -> None:
    with small_disk(directory, 48) as disk:
        data = disk / "data"
        config = write_config(directory, data)
        agent = Agent(data, config)
        ids = [f"a{number}" for number in range(20)]
        for event_id in ids:
            expect("an event", agent.record(event_id)[0], 200)
        agent.kill()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = subprocess.run([OUTPOST, "run", "-c", config], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        expect("a start on a read-only disk", (ended.returncode, "Read-only file system" in ended.stderr), (1, True))
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        agent = Agent(data, config)
        expect_all_known(agent, ids)
        agent.kill()


def jumping_clock(directory: Path) -> None:
    """Ten years back and forth, across restarts: what happened last wins, time does not run back, the quota holds."""
    data = directory / "data"
    sandbox = subprocess.Popen(
        [OUTPOST, "sandbox", "--listen", "127.0.0.1:0", "--unknown", "accept"], stdout=subprocess.PIPE, text=True
    )
    sandbox.stdout.readline()
    endpoint = sandbox.stdout.readline().split()[2].rsplit("/m2/", 1)[0]
    config = write_config(directory, data, endpoint, quota=7)
    times, visits = [], 0
    try:
        for step, offset in enumerate(["+0", "-10y", "+10y", "-10y", "+0", "-10y"]):
            agent = Agent(data, config, ["faketime", "-m", "-f", offset], {"FAKETIME_DONT_FAKE_MONOTONIC": "1"})
            expect("an event without a time", agent.record(f"c{step}", store=f"Store {step}")[0], 200)
            visits += 1
            status, _, answer = agent.record(f"future{step}", card="9", time="2999-01-01T00:00:00Z")
            expect("an event of the future", "taken as now" in answer["events"][0]["reason"], True)
            profile = agent.request("GET", "/v1/profiles/third_party_id/7")[2]
            attributes = {attribute["name"]: attribute for attribute in profile["attributes"]}
            expect("the newest event wins", attributes["lastStore"]["value"], f"Store {step}")
            expect("each counts once", attributes["visits"]["value"], str(visits))
            times.append(datetime.datetime.fromisoformat(attributes["lastStore"]["event_time"]))
            until("the quota or the delivery", lambda: settled(agent))
            agent.kill()
        expect("time never runs back", times, sorted(times))
        agent = Agent(data, config)
        used = agent.status()["quota"]["used"]
        if used > 7:
            sys.exit(f"the quota of 7 was not kept: {used}")
        agent.kill()
    finally:
        sandbox.kill()


def settled(agent: Agent) -> bool:
    status = agent.status()
    return status["pending"]["profiles"] == 0 or status["quota"]["remaining"] == 0


def main() -> None:
    for fault in [disk_full, failing_sync, failing_write, read_only, jumping_clock]:
        with tempfile.TemporaryDirectory() as directory:
            fault(Path(directory))
        print(f"faults: {fault.__name__.replace('_', ' ')}: nothing lost", flush=True)


main()
