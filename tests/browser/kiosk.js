// Web pages and the intake, in Chromium: a page of an allowed origin records with its own key; a page of any other origin, a
// name that was rebound to this device and a form get nothing.
// Usage: node kiosk.js OUTPOST
"use strict";

const assert = require("node:assert");
const { spawn, execFileSync } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [outpost] = process.argv.slice(2);
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "outpost-kiosk-"));
const children = [];

function start(args) {
  const child = spawn(outpost, args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return new Promise((resolve, reject) => {
    child.stdout.once("data", (data) => resolve(data.toString()));
    child.once("exit", () => reject(new Error(`outpost ${args[0]} ended`)));
  });
}

function command(...args) {
  return execFileSync(outpost, [...args, "-c", path.join(dir, "agent.toml")]).toString();
}

const recorded = () => JSON.parse(command("status", "--json")).events.recorded;

// In the page: what a kiosk's page does, with a retry by the same id.
async function post({ url, key, id }) {
  const event = { specversion: "1.0", id, source: "/kiosk/3", type: "com.acme.note", data: { card: "7", note: "x" } };
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/cloudevents+json" };
  try {
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(event) });
    return [answer.status, await answer.text()];
  } catch (error) {
    return [0, String(error)];
  }
}

async function main() {
  // The kiosk's pages, under any name.
  const site = http.createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>kiosk</title>"));
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  const port = site.address().port;
  const [kiosk, evil] = ["kiosk.acme.example", "evil.example"].map((name) => `http://${name}:${port}`);
  fs.writeFileSync(
    path.join(dir, "agent.toml"),
    `[agent]
data_dir = '${dir}/data'
[target]
client_code = "acme"
endpoint = "http://127.0.0.1:9"
[store]
min_free_disk = "0B"
[intake.http]
listen = "127.0.0.1:0"
allowed_origins = ["${kiosk}"]
[[mapping]]
name = "note"
event = "com.acme.note"
identity = { third_party_id = "data.card" }
set = { note = "data.note" }
`,
  );
  const greeting = await start(["run", "-c", path.join(dir, "agent.toml")]);
  const agent = greeting.match(/127\.0\.0\.1:\d+/)[0];
  const url = `http://${agent}/v1/events`;
  const key = command("token", "create", "page", "--right", "record", "--origin", kiosk).trim();
  const admin = fs.readFileSync(path.join(dir, "data", "intake.token"), "utf8");

  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--host-resolver-rules=MAP *.example 127.0.0.1",
      // The site plays one of the network: a browser asks before such a page reaches this device.
      `--ip-address-space-overrides=127.0.0.1:${port}=public`,
      `--unsafely-treat-insecure-origin-as-secure=${kiosk},${evil}`,
    ],
  });
  const open = async (origin, permissions) => {
    const context = await browser.newContext();
    if (permissions.length > 0) await context.grantPermissions(permissions, { origin });
    const page = await context.newPage();
    await page.goto(origin);
    return page;
  };
  const permissions = [process.env.LNA || "local-network-access"];

  const page = await open(kiosk, permissions);
  const [status, answer] = await page.evaluate(post, { url, key, id: "1" });
  assert.deepStrictEqual([status, recorded()], [200, 1], answer);
  const [again, second] = await page.evaluate(post, { url, key, id: "1" });
  assert.deepStrictEqual([again, JSON.parse(second).events[0].status], [200, "duplicate"]);
  // Without the permission of whoever runs the browser, nothing leaves it.
  const unasked = await open(kiosk, []);
  assert.strictEqual((await unasked.evaluate(post, { url, key, id: "2" }))[0], 0);
  // Another origin gets nothing, with whatever key.
  const foreign = await open(evil, permissions);
  for (const held of [key, admin]) {
    assert.strictEqual((await foreign.evaluate(post, { url, key: held, id: "3" }))[0], 0);
  }
  // A name that was rebound to this device still names itself.
  const rebound = `http://rebound.example:${agent.split(":")[1]}/v1/events`;
  const there = await open(evil, permissions);
  const told = await there.goto(rebound.replace("/v1/events", "/"));
  assert.strictEqual(told.status(), 403);
  assert.strictEqual((await there.evaluate(post, { url: rebound, key: admin, id: "4" }))[0], 403);
  // A form carries no key, and needs no preflight.
  for (const from of [page, foreign]) {
    const sent = from.waitForResponse((response) => response.url() === url, { timeout: 10_000 }).catch(() => null);
    await from.evaluate((action) => {
      const form = Object.assign(document.createElement("form"), { method: "post", enctype: "text/plain", action });
      form.append(Object.assign(document.createElement("input"), { name: '{"specversion":"1.0","id":"5","x":"', value: '"}' }));
      document.body.append(form);
      form.submit();
    }, url);
    const response = await sent;
    if (response) assert.ok([401, 403].includes(response.status()), String(response.status()));
  }
  assert.strictEqual(recorded(), 1);
  await browser.close();
  site.close();
  console.log("kiosk pages: one event of the allowed page recorded, everything else refused");
}

main()
  .then(() => 0, (error) => (console.error(error), 1))
  .then((code) => {
    for (const child of children) child.kill();
    fs.rmSync(dir, { recursive: true, force: true });
    process.exit(code);
  });
