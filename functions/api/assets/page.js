// Keeps the page up to date without reloading it: asks for the same address
// again, and changes what differs. Without this script the page says the same
// things, as of when it was loaded.
"use strict";

const main = document.getElementById("main");
const notice = document.getElementById("notice");
// Where nobody is signed in there is none.
const zone = document.getElementById("zone");
const HIDDEN_SECONDS = 30;
const RETRY_SECONDS_MAX = 30;
const TELL_SECONDS = 300;
let failures = 0;
let timer = 0;
let attended = true;
// Loading the page has told that somebody is there.
let told = Date.now();

/** Makes `now` like `wanted`, touching only what differs, so that focus, opened
 * parts and what was filled in stay. */
function become(now, wanted) {
  if (now.nodeType !== wanted.nodeType || now.nodeName !== wanted.nodeName || (now.id || "") !== (wanted.id || "")) {
    now.replaceWith(wanted.cloneNode(true));
    return;
  }
  if (now.nodeType === Node.TEXT_NODE) {
    if (now.data !== wanted.data) now.data = wanted.data;
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) return;
  for (const { name, value } of wanted.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  for (const { name } of [...now.attributes]) {
    const own = name === "open" || name === "disabled";
    if (!own && !wanted.hasAttribute(name)) now.removeAttribute(name);
  }
  const [present, coming] = [[...now.childNodes], [...wanted.childNodes]];
  coming.forEach((child, place) => {
    if (present[place]) become(present[place], child);
    else now.append(child.cloneNode(true));
  });
  present.slice(coming.length).forEach((child) => child.remove());
}

/** Has what had the focus keep it, wherever on the page the change has put it. */
function keepingFocus(change) {
  const held = document.activeElement;
  const href = held.getAttribute("href");
  const mark = held.id ? `#${CSS.escape(held.id)}` : href ? `a[href="${CSS.escape(href)}"]` : "";
  const isMain = main.contains(held);
  change();
  if (!isMain || !mark || (main.contains(held) && held.matches(mark))) return;
  const there = main.querySelector(mark);
  if (there) there.focus({ preventScroll: true });
}

/** Shows times in the reader's own zone. They come in UTC, and say so when they are
 * pointed at. */
function localise(root) {
  const two = (figure) => String(figure).padStart(2, "0");
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const day = "words" in time.dataset
      ? `${at.getDate()} ${at.toLocaleDateString("en", { month: "long" })}`
      : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    time.textContent = `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
  }
}

/** A button that needs a checkbox is dead without it. */
function guard() {
  for (const button of document.querySelectorAll("button[data-needs]")) {
    const box = document.getElementById(button.dataset.needs);
    button.disabled = !box || !box.checked;
  }
}

function say(text, link) {
  notice.textContent = text;
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = location.href;
    anchor.textContent = link;
    notice.append(" ", anchor);
  }
}

/** Asks for the same address again. A page that nobody touches keeps nobody signed in. */
async function ask() {
  const headers = { Accept: "text/html", "X-Refresh": attended ? "attended" : "unattended" };
  if (attended) told = Date.now();
  attended = false;
  return fetch(location.href, { redirect: "manual", headers });
}

/** Says so if nobody is signed in any more, and returns whether that is so. */
function hasEnded(answer) {
  const ended = answer.type === "opaqueredirect" || answer.status === 401;
  if (ended) say("Your session has ended.", "Sign in again");
  return ended;
}

/** Notes that somebody is there. A page that is not brought up to date tells so by itself,
 * now and then, so that their session does not end under them. */
async function attend() {
  attended = true;
  const isQuiet = zone && !Number(main.dataset.live);
  if (!isQuiet || Date.now() - told < 1000 * TELL_SECONDS) return;
  try {
    hasEnded(await ask());
  } catch {
    // It is told again in a while.
  }
}

async function refresh() {
  try {
    const answer = await ask();
    if (hasEnded(answer)) return;
    if (answer.status === 403) {
      say("You are no longer an admin.");
      return;
    }
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    localise(page);
    keepingFocus(() => become(main, page.getElementById("main")));
    guard();
    if (failures > 0) say("");
    failures = 0;
  } catch {
    failures += 1;
    say("The page cannot be brought up to date at the moment. It goes on trying.");
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  const seconds = Number(main.dataset.live);
  if (!seconds) return;
  const wait = failures > 0 ? Math.min(2 ** failures, RETRY_SECONDS_MAX) : seconds;
  timer = setTimeout(refresh, 1000 * (document.hidden ? Math.max(wait, HIDDEN_SECONDS) : wait));
}

for (const sign of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  document.addEventListener(sign, attend, { passive: true });
}
document.addEventListener("change", guard);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) schedule();
  else if (Number(main.dataset.live)) refresh();
});
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  clearTimeout(timer);
  // After the form has been read: a disabled button would not be sent.
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
    event.target.setAttribute("aria-busy", "true");
    say("Asking…");
  });
});
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone";
localise(document);
guard();
schedule();
