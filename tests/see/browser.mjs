// The page in a real Chromium: one command after the other, as JSON lines on standard input; each is answered with a line
// on standard output. Every page reports what its console said, what the policy refused and whether anything ran that was not ours.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.env.SEE_MODULES}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
const open = new Map();

// A page whose complaints are kept. `bypass` lets axe in, which the policy would keep out.
async function page(name, { size = "desktop", scheme = "light", script = true, bypass = false } = {}) {
  if (open.has(name)) return open.get(name);
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme, javaScriptEnabled: script, bypassCSP: bypass,
    deviceScaleFactor: 1 });
  const made = await context.newPage();
  const complaints = [];
  made.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  made.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  made.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  made.on("request", (request) => {
    if (!request.url().startsWith("http://127.0.0.1:")) complaints.push(`request: ${request.url()}`);
  });
  if (script && !bypass) {
    await made.addInitScript(() => {
      window.__refused = [];
      document.addEventListener("securitypolicyviolation", (event) => window.__refused.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
  }
  open.set(name, { page: made, complaints, script });
  return open.get(name);
}

const commands = {
  async visit({ name, url, ...options }) {
    const { page: at, complaints, script } = await page(name, options);
    const answer = await at.goto(url, { waitUntil: "load" });
    await at.waitForTimeout(300);
    const text = script ? await at.evaluate(() => document.body.innerText) : await at.textContent("body");
    const seen = script
      ? await at.evaluate(() => ({
          ran: window.__xss !== undefined,
          refused: window.__refused ?? [],
          strange: document.querySelectorAll("img, iframe, object, embed, base, style, form:not(#run-now), script:not([src='/live.js']), [onerror], [onload], [style], a[href^='javascript' i], marquee, video, audio, math, template").length,
        }))
      : { ran: false, refused: [], strange: 0 };
    return { status: answer.status(), text, complaints: complaints.splice(0), ...seen };
  },
  // Waits until the page, left alone, shows what fits a pattern.
  async shows({ name, selector, pattern, within }) {
    const { page: at } = open.get(name);
    await at.waitForFunction(([where, what]) => new RegExp(what).test(document.querySelector(where)?.innerText), [selector, pattern], { timeout: within });
    return { complaints: open.get(name).complaints.splice(0) };
  },
  // Waits until the page, left alone, shows something no longer.
  async gone({ name, selector, within }) {
    const { page: at } = open.get(name);
    await at.waitForFunction((where) => !document.querySelector(where), selector, { timeout: within });
    return { complaints: open.get(name).complaints.splice(0) };
  },
  async runNow({ name, token, within }) {
    const { page: at } = open.get(name);
    await at.fill("#token", token);
    await at.keyboard.press("Enter");
    await at.waitForFunction(() => !["", "asking …"].includes(document.getElementById("answer").textContent), null, { timeout: within });
    return { answer: await at.textContent("#answer") };
  },
  // Reached by keyboard alone: the number of things that Tab comes by, and whether each shows where it is.
  async tabs({ name, times }) {
    const { page: at } = open.get(name);
    const stops = new Set();
    for (let time = 0; time < times; time += 1) {
      await at.keyboard.press("Tab");
      stops.add(await at.evaluate(() => {
        const on = document.activeElement;
        return `${on.tagName} ${on.getAttribute("href") ?? on.id} ${getComputedStyle(on).outlineStyle}`;
      }));
    }
    return { stops: [...stops] };
  },
  async axe({ name, url, ...options }) {
    const { page: at } = await page(name, { ...options, bypass: true });
    await at.goto(url, { waitUntil: "load" });
    await at.evaluate(AXE);
    const found = await at.evaluate(() => window.axe.run());
    const rules = found.violations.map((rule) => ({ id: rule.id, impact: rule.impact, where: rule.nodes.slice(0, 3).map((node) => node.target.join(" ")) }));
    return { rules, passes: found.passes.length };
  },
  // Whether the page is wider than the screen.
  async width({ name }) {
    const { page: at } = open.get(name);
    return at.evaluate(() => ({ screen: window.innerWidth, page: document.documentElement.scrollWidth }));
  },
  async shot({ name, path, full = false }) {
    await open.get(name).page.screenshot({ path, fullPage: full });
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  try {
    console.log(JSON.stringify(await commands[command](given)));
  } catch (error) {
    console.log(JSON.stringify({ failed: `${command}: ${error.message}` }));
  }
}
await browser.close();
