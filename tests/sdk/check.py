"""Posts events with the CloudEvents SDK for Python, in every mode, to a running agent.

Usage: check.py EVENTS_URL TOKEN SANDBOX_URL, as `outpost run --sandbox` prints them.
Fails unless each event is recorded, and its profile arrives in the sandbox.
"""

import json
import sys
import time
import urllib.request
import uuid

from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

EVENTS_URL, TOKEN, SANDBOX_URL = sys.argv[1:]
CARD = "123457"  # The sandbox knows it when it starts.
PATIENCE_SECONDS = 10


def used(store: str, **attributes: str) -> CloudEvent:
    """One use of the card; the SDK adds id and time."""
    head = {"type": "com.example.loyalty.used", "source": "/kiosk/3", "datacontenttype": "application/json"}
    return CloudEvent(attributes={**head, **attributes}, data={"card": CARD, "store": store, "total": 10})


def post(message: HTTPMessage) -> list[str]:
    """Sends a message of the SDK, and gives what became of each event."""
    headers = {**message.headers, "Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(EVENTS_URL, data=message.body, headers=headers)
    with urllib.request.urlopen(request) as response:
        return [event["status"] for event in json.load(response)["events"]]


def batch(events: list[CloudEvent]) -> HTTPMessage:
    """The SDK has no batches; a batch is the array of its JSON events."""
    body = b"[" + b",".join(JSONFormat().write(event) for event in events) + b"]"
    return HTTPMessage(headers={"content-type": "application/cloudevents-batch+json"}, body=body)


def expect(found: object, expected: object) -> None:
    if found != expected:
        sys.exit(f"expected {expected}, found {found}")


def wait_held(attributes: dict[str, str]) -> None:
    """Waits until the sandbox's profile holds these attributes."""
    url = f"{SANDBOX_URL}/sandbox/profiles/third_party_id/{CARD}"
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        with urllib.request.urlopen(url) as response:
            profile = json.load(response)["attributes"]
        held = {name: profile.get(name, {}).get("value") for name in attributes}
        if held == attributes:
            return
        if time.monotonic() > until:
            sys.exit(f"expected {attributes} in the sandbox, found {held}")
        time.sleep(0.05)


def main() -> None:
    structured = used("Lund", id=str(uuid.uuid4()))
    expect(post(to_structured_event(structured)), ["recorded"])
    expect(post(to_structured_event(structured)), ["duplicate"])
    expect(post(to_binary_event(used("Malmö", subject="kassa nr 3 – överst"))), ["recorded"])
    expect(post(batch([used("Ystad"), structured, used("Kiruna")])), ["recorded", "duplicate", "recorded"])
    text = CloudEvent({"type": "com.example.note", "source": "/kiosk/3", "datacontenttype": "text/plain"}, "hello")
    expect(post(to_binary_event(text)), ["unmapped"])
    wait_held({"visits": "4", "spend": "40", "lastStore": "Kiruna"})
    print("structured, binary and batch events of the CloudEvents SDK arrived")


main()
