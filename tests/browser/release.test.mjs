// One Canary, a real controller, and people with different rights.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before } from "node:test";
import { accessible, api, env, launch, story, until, watched } from "./browser.mjs";

const NAMESPACE = env("NAMESPACE");
const CANARY = `/apis/flagger.app/v1beta1/namespaces/${NAMESPACE}/canaries/podinfo`;
const TARGET = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/podinfo`;
const ODD = `<img src=x onerror="document.title='owned'"> & "quotes"`;

let browser;
let context;
let page;
let complaints;
let asked;
const base = new URL(env("BOB_URL")).origin;

const test = story();
const status = async () => (await api(CANARY)).status;
const row = () => page.getByRole("row", { name: /podinfo/ });
const badge = (text) => page.locator(".title .badge", { hasText: text }).waitFor();
const weight = (canary) => page.getByText(`primary ${100 - canary} %, canary ${canary} %`).waitFor();

async function setImage(version) {
  const container = { name: "podinfod", image: `stefanprodan/podinfo:${version}` };
  await api(TARGET, { method: "PATCH", type: "application/strategic-merge-patch+json", body: { spec: { template: { spec: { containers: [container] } } } } });
}

async function dialog(verb) {
  await page.getByRole("button", { name: verb, exact: true }).click();
  return page.getByRole("dialog");
}

// What came of the last wish, once it is known.
const outcome = () => page.locator('#notices .note:last-child:not([data-outcome="asked"])').innerText();

// Presses the button, gives the reason, and waits for what came of it.
async function act(verb, reason = "") {
  const question = await dialog(verb);
  await question.getByLabel("Reason").fill(reason);
  await question.getByRole("button", { name: verb, exact: true }).click();
  return outcome();
}

const themed = async (what) => {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${what}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
};

const widerThanTheScreen = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

before(async () => {
  browser = await launch();
  context = await browser.newContext();
  ({ page, complaints, asked } = await watched(context));
});
after(() => browser?.close());

test("without the token nothing is shown", async () => {
  const stranger = await browser.newContext();
  const other = await stranger.newPage();
  const answer = await other.goto(base);
  assert.equal(answer.status(), 403);
  assert.match(await other.locator("body").innerText(), /no session/);
  await stranger.close();
});

test("the token opens the list, and leaves the address", async () => {
  await page.goto(env("BOB_URL"));
  await row().getByText("Initialized").waitFor();
  assert.equal(page.url(), `${base}/`);
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
});

test("the token opens no second browser", async () => {
  const stranger = await browser.newContext();
  const answer = await (await stranger.newPage()).goto(env("BOB_URL"));
  assert.equal(answer.status(), 403);
  await stranger.close();
});

test("the list can be read by everybody, in both themes", async () => {
  await themed("list");
});

test("a release shows in the list by itself", async () => {
  await setImage("6.0.1");
  await row().getByText("Progressing").waitFor();
  await row().getByText("20 %").waitFor();
  await row().getByText("6.0.0 → 6.0.1").waitFor();
  const releasing = page.getByRole("button", { name: "1 Releasing" });
  await releasing.click();
  assert.equal(await releasing.getAttribute("aria-pressed"), "true");
  assert.equal(page.url(), `${base}/?state=releasing`);
});

test("filters are kept in the address", async () => {
  await page.getByRole("searchbox", { name: "Search" }).fill("nobody");
  await page.getByText("No Canary fits the filter.").waitFor();
  await page.reload();
  assert.equal(await page.getByRole("searchbox").inputValue(), "nobody");
  await page.getByText("No Canary fits the filter.").waitFor();
  await page.goto(`${base}/?state=failed`);
  await page.getByText("No Canary fits the filter.").waitFor();
  await page.goto(base);
  await row().waitFor();
});

test("the keyboard alone goes from the search to a Canary and back", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type("podi");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /podinfo/ }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/canaries/${NAMESPACE}/podinfo`);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
  await page.keyboard.press("Escape");
  await row().waitFor();
  assert.equal(page.url(), `${base}/?q=podi`);
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await row().getByRole("link").click();
});

test("a Canary's page shows weights, metrics, events and what may be done", async () => {
  await badge("Progressing");
  await weight(20);
  await page.getByRole("img", { name: /Weight of the canary over time: 0 % from .*, 20 % from/ }).waitFor();
  for (const metric of ["request-success-rate over time", "request-duration over time"]) {
    await page.getByRole("img", { name: new RegExp(metric) }).waitFor();
  }
  assert.equal(await page.locator(".plot canvas").count(), 3);
  await page.getByRole("region", { name: "Events" }).getByText(/Advance podinfo\..* canary weight 20/).waitFor();
  const offers = await page.locator("#part-actions button").allInnerTexts();
  assert.deepEqual(offers, ["Promote", "Promote fully", "Roll back", "Pause"]);
  await themed("detail");
});

test("the theme can be chosen, and is kept", async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  const button = page.getByRole("button", { name: /^Theme/ });
  await button.click();
  await button.click();
  assert.equal(await button.innerText(), "Theme: dark");
  assert.notEqual(await ground(), light);
  await page.reload();
  await badge("Progressing");
  assert.notEqual(await ground(), light);
  await button.click();
  assert.equal(await button.innerText(), "Theme: system");
});

test("nothing is cut off on a narrow screen", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await widerThanTheScreen(), 0);
  await accessible(page, "narrow detail");
  await page.getByRole("link", { name: /All Canaries/ }).click();
  await row().waitFor();
  assert.equal(await widerThanTheScreen(), 0);
  await accessible(page, "narrow list");
  await row().getByRole("link").click();
  await badge("Progressing");
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("the question says what it is about, and Escape takes it back", async () => {
  const question = await dialog("Roll back");
  const { release } = await status();
  await question.getByText(release.revision).waitFor();
  await themed("question");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal((await status()).phase, "Progressing");
});

test("a pause by keyboard alone; the reason is text wherever it is shown", async () => {
  await page.getByRole("button", { name: "Pause", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type(ODD);
  await page.keyboard.press("Enter");
  await badge("Paused");
  await page.getByText(`by bob: ${ODD};`).waitFor();
  assert.equal(await page.locator("main img").count(), 0);
  assert.match(await page.title(), /^podinfo/);
  assert.match(await act("Resume"), /✔/);
  await badge("Progressing");
});

test("promote takes the next step", async () => {
  assert.match(await act("Promote", "looks fine"), /^✔ podinfo\./);
  await weight(40);
  const { lastRequest } = await status();
  assert.deepEqual([lastRequest.verb, lastRequest.by, lastRequest.reason], ["promote", "bob", "looks fine"]);
});

test("a wish about another revision than the one that was shown is not written", async () => {
  const before = await status();
  const question = await dialog("Promote fully");
  await setImage("6.0.2");
  await until("the new revision", async () => (await status()).release.revision !== before.release.revision);
  await question.getByText(/Meanwhile/).waitFor();
  await question.getByRole("button", { name: "Promote fully", exact: true }).click();
  assert.match(await outcome(), /✖ .*was superseded/);
  assert.equal((await status()).phase, "Progressing");
  assert.equal((await api(CANARY)).metadata.annotations["kubectl-canary.dev/request"].split(" ")[0], "promote");
});

test("rollback gives everything back to the primary, and retry begins once more", async () => {
  await weight(20);
  assert.match(await act("Roll back", "errors"), /rolled back, all traffic goes to the primary/);
  await badge("Failed");
  await weight(0);
  assert.equal((await status()).phase, "Failed");
  await page.getByRole("region", { name: "Releases", exact: true }).getByText("superseded").waitFor();
  assert.match(await act("Retry"), /✔/);
  await badge("Progressing");
  await weight(20);
});

test("another site can neither read nor write, though the browser sends it the cookie", async () => {
  const evil = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<title>evil</title>")).listen(0, "127.0.0.1");
  after(() => evil.close());
  await until("the other site", () => evil.address());
  const other = await context.newPage();
  await other.goto(`http://127.0.0.1:${evil.address().port}/`);
  const tried = [];
  other.on("request", (request) => tried.push([request.method(), new URL(request.url()).origin]));
  const { release, lastRequest } = await status();
  const read = await other.evaluate(async ([path, body]) => {
    const read = (options) => fetch(options.path, { credentials: "include", ...options }).then((answer) => answer.text(), () => "refused");
    return [await read({ path: `${path}/rollback`, method: "POST", mode: "no-cors", body }), await read({ path })];
  }, [`${base}/api/canaries/${NAMESPACE}/podinfo`, JSON.stringify({ revision: release.revision })]);
  assert.deepEqual(read, ["refused", "refused"]);
  assert.deepEqual(tried, [["POST", base], ["GET", base]]);
  assert.deepEqual((await status()).lastRequest, lastRequest);
  await other.close();
});

test("who may not promote is told so in the policy's words", async () => {
  const others = await browser.newContext();
  const alice = await watched(others);
  const [bobs, bobsComplaints] = [page, complaints];
  page = alice.page;
  await page.goto(env("ALICE_URL"));
  await row().getByRole("link").click();
  await badge("Progressing");
  const said = await act("Promote");
  assert.match(said, /✖ .*alice.*promote/);
  assert.match(said, /hint: see `kubectl auth can-i promote/);
  page = bobs;
  complaints = bobsComplaints;
  await others.close();
});

test("a dashboard that only reads shows all and offers nothing", async () => {
  const others = await browser.newContext();
  const { page: reader } = await watched(others);
  await reader.goto(env("READER_URL"));
  await reader.getByText("read-only", { exact: true }).waitFor();
  await reader.getByRole("link", { name: "podinfo" }).click();
  await reader.getByText("primary 80 %, canary 20 %").waitFor();
  assert.equal(await reader.locator("#part-actions button").count(), 0);
  await others.close();
});

test("a Canary that is deleted meanwhile is said to be gone", async () => {
  await api(CANARY, { method: "DELETE" });
  await page.getByText(/does not exist \(any more\)/).waitFor();
});

test("all that was asked for came from the dashboard, and the browser had nothing to complain about", async () => {
  assert.deepEqual(asked.filter((url) => new URL(url).origin !== base), []);
  assert.ok(asked.length > 20);
  // The browser itself writes a line for each answer that is an error: the one superseded wish.
  assert.deepEqual(complaints.filter((text) => !/status of 409/.test(text)), []);
});

test("when the dashboard ends, the page says so", async () => {
  process.kill(Number(env("BOB_PID")), "SIGTERM");
  await page.getByText(/The dashboard does not answer/).waitFor();
});
