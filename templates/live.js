// Keeps the page live and asks for runs. Everything it shows was escaped by the server; it makes no markup of its own.
"use strict";

const EVENTS = "/events";
const RETRY_MS = 15000;

// Takes over the part that the server drew anew, and leaves the reader where they were.
function take(drawn) {
  const old = document.getElementById("live");
  const next = document.adoptNode(drawn.getElementById("live"));
  for (const details of next.querySelectorAll("details[id]")) {
    const before = document.getElementById(details.id);
    if (before) details.open = before.open;
  }
  const focused = old.contains(document.activeElement) ? path(old, document.activeElement) : null;
  const headline = (from) => from.querySelector("h1")?.textContent.trim();
  if (headline(old) !== headline(next)) document.getElementById("said").textContent = headline(next);
  document.title = drawn.title;
  old.replaceWith(next);
  if (focused) follow(next, focused)?.focus({ preventScroll: true });
  say("live");
}

// Places of the ancestors of an element, so that the same one is found in the new drawing.
function path(from, element) {
  const places = [];
  for (let at = element; at !== from; at = at.parentElement) {
    places.unshift(Array.prototype.indexOf.call(at.parentElement.children, at));
  }
  return places;
}

function follow(from, places) {
  return places.reduce((at, place) => at?.children[place], from);
}

function say(state) {
  const following = document.getElementById("following");
  if (following) following.textContent = state;
}

let loading = false;
let again = false;

async function refresh() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    say("not connected");
  } finally {
    loading = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

function listen() {
  const events = new EventSource(EVENTS);
  events.addEventListener("open", () => {
    say("live");
    refresh();
  });
  events.addEventListener("judged", refresh);
  events.addEventListener("error", () => {
    say("not connected");
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  });
}

// The token is typed by the reader, sent once, and kept nowhere.
async function ask(form) {
  const answer = document.getElementById("answer");
  const token = document.getElementById("token");
  answer.textContent = "asking …";
  try {
    const response = await fetch("/api/v1/run", {
      method: "POST",
      headers: { "Authorization": `Bearer ${token.value}`, "Content-Type": "application/json" },
      body: JSON.stringify({ check: form.dataset.check }),
    });
    const said = await response.json();
    answer.textContent = response.ok ? `will run: ${said.scenarios.join(", ")}` : said.detail;
  } catch {
    answer.textContent = "the daemon did not answer";
  }
}

const form = document.getElementById("run-now");
if (form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
}
listen();
