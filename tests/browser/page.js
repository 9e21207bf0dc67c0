// The status page in Chromium: each state of the link, a retry, a lookup, without JavaScript, light and dark, and axe-core.
// Usage: node page.js OUTPOST SCREENSHOT_DIR
"use strict";

const assert = require("node:assert");
const { spawn, execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const axe = require("axe-core");
const { chromium } = require("playwright-core");

const [outpost, shots] = process.argv.slice(2);
const PATIENCE_MS = 60_000;
const STATES = [
  ["online", "", "well", "Everything that was recorded has reached Adobe Target"],
  ["offline", "outage", "waiting", "Adobe Target cannot be reached"],
  ["blocked", "portal", "attention", "Something else answers instead of Adobe Target"],
  ["paused", "401", "attention", "Adobe Target does not accept the token"],
];

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "outpost-page-"));
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

function record(id, data, type = "com.acme.note") {
  command("record", "--type", type, "--id", id, "--data", JSON.stringify(data));
}

async function check(page, name) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepStrictEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
}

async function main() {
  fs.mkdirSync(shots, { recursive: true });
  const greeting = await start(["sandbox", "--listen", "127.0.0.1:0", "--unknown", "accept"]);
  const sandbox = greeting.match(/127\.0\.0\.1:\d+/)[0];
  const tell = (setting, method, body) => fetch(`http://${sandbox}/sandbox/${setting}`, { method, body });
  fs.writeFileSync(
    path.join(dir, "agent.toml"),
    `[agent]
data_dir = '${dir}/data'
device_id = "store-42-kiosk-3"
[target]
client_code = "acme"
endpoint = "http://${sandbox}"
mode = "single"
shared_profiles = false
[intake.http]
listen = "127.0.0.1:0"
[store]
min_free_disk = "0B"
[[mapping]]
name = "noted"
event = "com.acme.note"
identity = { third_party_id = "data.card" }
set = { note = "data.note" }
`,
  );
  await start(["run", "-c", path.join(dir, "agent.toml")]);
  const link = () => command("status", "--open").split("\n")[0];

  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 1024, height: 768 } });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.setDefaultTimeout(PATIENCE_MS);

  const first = link();
  const home = new URL("/", first).href;
  await page.goto(home);
  assert.strictEqual(await page.locator("h1").textContent(), "This page is locked");
  await check(page, "locked");
  await page.screenshot({ path: path.join(shots, "locked.png"), fullPage: true });
  problems.length = 0; // The browser reports the 401.
  await page.goto(first);
  assert.strictEqual(page.url(), home);
  assert.strictEqual(await page.locator("h1").textContent(), "Ready: nothing has been recorded yet.");
  const again = await browser.newContext();
  const other = await again.newPage();
  await other.goto(first);
  assert.strictEqual(await other.locator("h1").textContent(), "This page is locked", "a link works once");
  await again.close();

  for (const [state, fault, level, title] of STATES) {
    await tell("faults", "PUT", fault);
    record(`${state}-1`, { card: "123456", note: state });
    // The page is live: nobody reloads it.
    await page.locator(`#link.${level} h1`, { hasText: title }).waitFor();
    await check(page, state);
    await page.screenshot({ path: path.join(shots, `${state}.png`), fullPage: true });
    // Back, so that the next failure is the first in a row.
    await tell("faults", "DELETE");
    await page.locator("#link.well").waitFor();
  }
  // From "the kiosk says blocked" to the cause, with the page alone.
  await tell("faults", "PUT", "portal");
  record("blocked-2", { card: "123456", note: "again" });
  await page.locator("#link.attention", { hasText: "login page" }).waitFor();
  await tell("faults", "DELETE");
  await page.locator("#link.well").waitFor();

  await tell("faults", "PUT", "refuse=note*1");
  record("refused", { card: "7", note: "refused once" });
  await page.getByRole("button", { name: /Retry number/ }).first().waitFor();
  assert.ok(!(await page.content()).includes("refused once"), "nobody's data is shown");
  await page.screenshot({ path: path.join(shots, "rejected.png"), fullPage: true });
  await check(page, "rejected");
  await page.getByRole("button", { name: /Retry number/ }).first().press("Enter");
  await page.getByText(/was retried, and is sent automatically/).waitFor();
  await page.locator("#rejected", { hasText: "Nothing is rejected" }).waitFor();

  await tell("faults", "PUT", "refuse=note*2");
  record("refused-2", { card: "8", note: "refused once" });
  record("refused-3", { card: "9", note: "refused once" });
  await page.locator("#rejected tbody tr").nth(1).waitFor();
  await page.getByRole("button", { name: "Retry all" }).click();
  await page.getByText("2 were tried again.").waitFor();
  await page.locator("#rejected", { hasText: "Nothing is rejected" }).waitFor();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download a file for support" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^outpost-.*\.zip$/);
  assert.match(await page.locator("main").textContent(), /Client code acme, sent to http:/);

  await page.goto(home);
  await page.getByLabel("Customer's identity").fill("third_party_id:7");
  await page.getByRole("button", { name: "Look up" }).click();
  await page.locator("#profile", { hasText: "refused once" }).waitFor();
  await page.locator("#profile", { hasText: "com.acme.note (refused)" }).waitFor();
  await check(page, "profile");
  await page.screenshot({ path: path.join(shots, "profile.png"), fullPage: true });

  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto(home);
  await check(page, "dark");
  await page.screenshot({ path: path.join(shots, "dark.png"), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  await check(page, "phone");
  // A table that is wider than the phone says so, and moves sideways.
  assert.ok(await page.locator("#requests .wide").isVisible(), "a phone shows that a table scrolls");
  const scrolls = await page.locator("#requests .scroll").evaluate((it) => it.scrollWidth > it.clientWidth);
  assert.ok(scrolls, "the table of the requests is wider than a phone");
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  assert.ok(!isWide, "a phone need not scroll sideways");
  await page.screenshot({ path: path.join(shots, "phone.png"), fullPage: true });
  assert.deepStrictEqual(problems, []);

  const plain = await browser.newContext({ javaScriptEnabled: false });
  const still = await plain.newPage();
  await still.goto(link());
  assert.match(await still.locator("#link").textContent(), /Connected to Adobe Target since/);

  for (const [locale, button] of [["de-DE", "Nachschlagen"], ["fr-FR", "Chercher"], ["es-ES", "Buscar"], ["sv-SE", "Slå upp"]]) {
    const abroad = await browser.newContext({ locale, viewport: { width: 390, height: 844 } });
    const theirs = await abroad.newPage();
    await theirs.goto(link());
    await theirs.getByRole("button", { name: button }).waitFor();
    // What is live stays in that language.
    assert.strictEqual(await theirs.locator("html").getAttribute("lang"), locale.slice(0, 2));
    await check(theirs, locale);
    await theirs.screenshot({ path: path.join(shots, `${locale}.png`), fullPage: true });
    await abroad.close();
  }

  // A page of another port of this device is the same site, and changes nothing all the same.
  const cookies = (await context.cookies(home)).map(({ name, value }) => `${name}=${value}`).join("; ");
  const forged = await fetch(new URL("/page/rejected/1/retry", home), {
    method: "POST",
    headers: { cookie: cookies, origin: `http://${sandbox}` },
  });
  assert.strictEqual(forged.status, 403);
  await browser.close();
  console.log("the status page works in a browser; axe-core finds nothing serious");
}

main()
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  })
  .finally(() => {
    children.forEach((child) => child.removeAllListeners("exit").kill("SIGTERM"));
    setTimeout(() => {
      fs.rmSync(dir, { recursive: true, force: true });
      process.exit();
    }, 1_000);
  });
