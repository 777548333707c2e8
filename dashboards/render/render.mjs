// Renders dashboards with Grafana's component libraries in Chromium, against a Prometheus:
//   PROMETHEUS=http://127.0.0.1:9090 OUT=folder [RANGE=300] node render.mjs dashboard.json...
// Fails when a page or panel fails, or when a panel is empty.
import { createReadStream, existsSync } from "node:fs";
import { createServer, request } from "node:http";
import { basename, extname, join } from "node:path";
import { chromium } from "playwright-core";

const TYPES = { ".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json" };
const ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const WITHIN_MS = 60_000;
const prometheus = new URL(process.env.PROMETHEUS);
// Every variable is at `All`, but where that is no sight that anybody has.
const CHOSEN = { "stagewatch-module": "&module=message_flow" };
let dashboard = "";

const server = createServer((asked, answer) => {
  const path = asked.url.split("?")[0];
  if (path.startsWith("/prometheus/")) {
    const to = { host: prometheus.hostname, port: prometheus.port, path: asked.url.slice("/prometheus".length), method: asked.method };
    const through = request(to, (from) => { answer.writeHead(from.statusCode, from.headers); from.pipe(answer); });
    through.on("error", (error) => { answer.writeHead(502); answer.end(String(error)); });
    asked.pipe(through);
    return;
  }
  const file = path === "/dashboard.json" ? dashboard : join("dist", path === "/" ? "index.html" : path);
  if (path.includes("..") || !existsSync(file)) {
    answer.writeHead(404);
    answer.end();
    return;
  }
  answer.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(answer);
});
await new Promise((done) => { server.listen(0, "127.0.0.1", done); });
const base = `http://127.0.0.1:${server.address().port}/?range=${process.env.RANGE ?? 300}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
let wrong = 0;

function complain(what) {
  wrong += 1;
  console.log(`  WRONG ${what}`);
}

for (const path of process.argv.slice(2)) {
  dashboard = path;
  const name = basename(path, ".json");
  const page = await browser.newPage({ viewport: { width: 1620, height: 1200 } });
  page.on("pageerror", (error) => complain(`${name}: ${error.message}`));
  await page.goto(base + (CHOSEN[name] ?? ""));
  const done = () => window.__failed || (window.__expected && window.__report.length >= window.__expected);
  await page.waitForFunction(done, null, { timeout: WITHIN_MS }).catch(() => complain(`${name}: not drawn in time`));
  await page.waitForTimeout(1500);
  const { report, failed } = await page.evaluate(() => ({ report: window.__report, failed: window.__failed }));
  if (failed) complain(`${name}: ${failed}`);
  for (const panel of report) {
    if (panel.error) complain(`${name}: ${panel.title}: ${panel.error}`);
    else if (!panel.series) complain(`${name}: ${panel.title} is empty`);
  }
  console.log(`${name}: ${report.length} panels, ${report.reduce((sum, panel) => sum + (panel.series ?? 0), 0)} series`);
  await page.screenshot({ path: join(process.env.OUT, `${name}.png`), fullPage: true });
  await page.close();
}
await browser.close();
server.close();
process.exit(wrong ? 1 : 0);
