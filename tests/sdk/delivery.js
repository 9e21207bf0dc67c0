// Adobe's own Node.js SDK against the sandbox, unchanged: what a delivery call sets is there by fetch.
// Usage: node delivery.js HOST:PORT
"use strict";

const assert = require("node:assert");
const TargetClient = require("@adobe/target-nodejs-sdk");

const sandbox = process.argv[2];
const client = TargetClient.create({
  client: "acme",
  organizationId: "ABC@AdobeOrg",
  serverDomain: sandbox,
  secure: false,
});

async function deliver(visits, cookies) {
  const profileParameters = { visits, lastStore: "Malmö C" };
  const request = {
    id: { thirdPartyId: "sdk-node" },
    context: { channel: "web" },
    execute: { mboxes: [{ index: 1, name: "kiosk", profileParameters }] },
  };
  const response = await client.getOffers({ request, sessionId: "session-1", ...cookies });
  assert.strictEqual(response.response.status, 200);
  return response;
}

async function fetched() {
  const answer = await fetch(`http://${sandbox}/rest/v1/profiles/thirdPartyId/sdk-node?client=acme`);
  const { profileAttributes } = await answer.json();
  return Object.fromEntries(Object.entries(profileAttributes).map(([name, { value }]) => [name, value]));
}

async function main() {
  const first = await deliver("7", {});
  assert.deepStrictEqual(await fetched(), { visits: "7", lastStore: "Malmö C" });
  // The same visitor comes back, with the cookie that the SDK gave.
  await deliver("8", { targetCookie: first.targetCookie.value });
  assert.strictEqual((await fetched()).visits, "8");
  console.log("the Node.js SDK of Target works against the sandbox");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
