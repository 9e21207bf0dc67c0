"""Adobe's own Python SDK against the sandbox, unchanged: what a delivery call sets is there by fetch.

Usage: delivery.py HOST:PORT
"""

import json
import sys
import urllib.request

from delivery_api_client import ChannelType, Context, DeliveryRequest, ExecuteRequest, MboxRequest, VisitorId
from target_python_sdk import TargetClient

sandbox = sys.argv[1]
client = TargetClient.create({"client": "acme", "organization_id": "ABC@AdobeOrg", "server_domain": sandbox, "secure": False})


def deliver(visits, cookies):
    mbox = MboxRequest(index=1, name="kiosk", profile_parameters={"visits": visits, "lastStore": "Malmö C"})
    request = DeliveryRequest(
        id=VisitorId(third_party_id="sdk-python"),
        context=Context(channel=ChannelType.WEB),
        execute=ExecuteRequest(mboxes=[mbox]),
    )
    response = client.get_offers({"request": request, "session_id": "session-1", **cookies})
    assert response["response"].status == 200, response
    return response


def fetched():
    url = f"http://{sandbox}/rest/v1/profiles/thirdPartyId/sdk-python?client=acme"
    with urllib.request.urlopen(url) as answer:
        attributes = json.load(answer)["profileAttributes"]
    return {name: attribute["value"] for name, attribute in attributes.items()}


first = deliver("7", {})
assert fetched() == {"visits": "7", "lastStore": "Malmö C"}, fetched()
# The same visitor comes back, with the cookie that the SDK gave.
deliver("8", {"target_cookie": first["target_cookie"]["value"]})
assert fetched()["visits"] == "8", fetched()
print("the Python SDK of Target works against the sandbox")
