"use strict";
// Draws what the board sends, which is all that is shown, at each change. What it sends is written by many people: it is
// shown as text, never read as markup, and only these words become names of classes.
const INKS = new Set(["Plain", "Bold", "Dim", "Good", "Warn", "Bad"]);
const LEGEND = [["Good", "runs"], ["Plain", "scheduled"], ["Warn", "pending, closing"], ["Bad", "needs somebody"], ["Dim", "over"]];
const SILENCE = 60000;
const byId = (id) => document.getElementById(id);
const panels = new Map();
let heard = Date.now();
let lastNotes = "";

// An element with these classes (or attributes) and children: elements and texts.
function make(tag, about, ...children) {
  const element = document.createElement(tag);
  const attributes = typeof about === "string" ? { class: about } : about || {};
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
const ink = (name) => (INKS.has(name) ? name : "Plain");
const cell = (tag, [colour, text]) => make(tag, ink(colour), text);
const percent = (part) => `${(part * 100).toFixed(4)}%`;
const lasts = (from, to) => percent(to - from);

function at(element, from, width) {
  element.style.left = percent(from);
  if (width) element.style.width = width;
  return element;
}

function note(of) {
  return make("div", `note ${ink(of.ink)}`, make("p", "", of.text), of.remedy ? make("p", "do", `Do: ${of.remedy}`) : null);
}

function ticket(of) {
  return make("li", `ticket ${ink(of.ink)}`,
    make("p", "", make("strong", ink(of.ink), of.word), ` ${of.headline}`),
    of.message ? make("p", "", of.message) : null,
    of.remedy ? make("p", "do", `Do: ${of.remedy}`) : null);
}

function tickets(all) {
  if (!all.length) return make("p", "Good", "No tickets");
  return make("ul", { class: "tickets", role: "list" }, ...all.map(ticket));
}

function table(head, rows, caption) {
  return make("table", "", make("caption", "hidden", caption),
    make("thead", "", make("tr", "", ...head.map((title) => make("th", { scope: "col" }, title)))),
    make("tbody", "", ...rows.map((row) => make("tr", "", ...row.map((each) => cell("td", each))))));
}

// The same as the timeline, for whoever reads rather than looks.
function bookings(bars, name) {
  const row = (bar) => [["Plain", bar.when], ["Plain", bar.slot === null ? "no slot" : String(bar.slot)], [bar.ink, bar.phase],
    ["Plain", bar.count === null ? "-" : String(bar.count)], ["Plain", bar.meeting], ["Plain", bar.title]];
  return table(["When", "Slot", "Phase", "In", "Meeting", "Title"], bars.map(row), `Bookings of ${name}`);
}

const words = (bar) => `${bar.title}: ${bar.phase}, ${bar.when}, slot ${bar.slot}, ${bar.meeting}`;

function barOf(bar, panel, said) {
  const width = bar.to - bar.from;
  const door = bar.start > bar.from && width > 0
    ? at(make("span", { class: "door" }), 0, percent(Math.min(1, (bar.start - bar.from) / width))) : null;
  const button = make("button", { type: "button", class: `bar ${ink(bar.ink)}`, tabindex: "-1", title: words(bar),
    "aria-label": words(bar), "data-key": `${panel} bar ${bar.meeting}` }, door, make("span", "name", bar.title));
  const say = () => { said.textContent = words(bar); };
  button.addEventListener("focus", say);
  button.addEventListener("click", say);
  button.addEventListener("mouseenter", say);
  return at(button, bar.from, lasts(bar.from, bar.to));
}

// One stop for the Tab key; the arrows go from meeting to meeting, and from slot to slot.
function arrows(track) {
  const all = () => [...track.querySelectorAll(".bar")];
  const go = (from, to) => { from.tabIndex = -1; to.tabIndex = 0; to.focus(); };
  track.addEventListener("keydown", (event) => {
    const from = event.target.closest(".bar");
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!from || !step) return;
    event.preventDefault();
    const there = all();
    let to = there[there.indexOf(from) + step];
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const rows = [...track.querySelectorAll(".row")];
      const row = rows[rows.indexOf(from.parentElement) + step];
      const far = (bar) => Math.abs(parseFloat(bar.style.left) - parseFloat(from.style.left));
      to = row && [...row.querySelectorAll(".bar")].sort((a, b) => far(a) - far(b))[0];
    }
    if (to) go(from, to);
  });
}

function timeline(week, name) {
  const said = make("p", { class: "said dim", role: "status" }, "Choose a meeting to read about it. Arrow keys go from one to the next.");
  const row = (slot) => make("div", "row", ...week.bars.filter((bar) => bar.slot === slot).map((bar) => barOf(bar, name, said)));
  const hour = (kind, mark, index) => at(make("span", `${kind} hour${index % 6 ? "" : " sixth"}`, kind ? "" : mark.label), mark.at);
  const track = make("div", "track",
    make("div", { class: "axis", "aria-hidden": "true" },
      ...week.hours.map((mark, index) => hour("", mark, index)),
      ...week.days.map((mark) => at(make("span", "day", make("span", "", mark.label)), mark.at))),
    ...week.hours.map((mark, index) => hour("grid", mark, index)),
    ...week.days.map((mark) => at(make("span", "grid day"), mark.at)),
    ...week.slots.map(row),
    make("div", { class: "now", "aria-hidden": "true" }));
  arrows(track);
  const first = track.querySelector(".bar");
  if (first) first.tabIndex = 0;
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Timeline of ${name}, this week`,
    "data-key": `${name} scroll` }, track);
  const legend = LEGEND.map(([colour, text]) => make("span", "", make("span", `bar ${colour}`), text));
  const names = week.slots.map((slot) => make("div", "", `slot ${slot}`));
  return [make("div", "timeline", make("div", { class: "names", "aria-hidden": "true" }, make("div", "corner"), ...names), scroll),
    make("p", "legend", ...legend), said];
}

function drawWeek(week, name) {
  if (!week) return [];
  const bare = week.slots.length ? timeline(week, name) : [make("p", "dim", "No slot is booked this week.")];
  const list = make("details", "", make("summary", { "data-key": `${name} table` }, `As a table (${week.bars.length})`), bookings(week.bars, name));
  return [...bare, week.bars.length ? list : null];
}

function drawPanel(of) {
  const id = `panel-${of.bridge}`;
  const rows = of.system.map(([title, value]) => [make("dt", "", title), cell("dd", value)]);
  const head = of.clusterHead.map((title) => title.toLowerCase());
  const cluster = of.cluster.length ? table(head, of.cluster, "Call bridges") : make("p", "dim", "A lone call bridge.");
  return make("section", { class: "card", "aria-labelledby": id },
    make("div", "title", make("h2", { id }, of.displayName || of.bridge), make("span", "dim", of.bridge),
      make("span", `chip ${ink(of.state[0])}`, of.state[1])),
    tickets(of.tickets),
    make("div", "columns",
      make("div", "", make("h3", "", "System"), make("dl", "", ...rows.flat())),
      make("div", "", make("h3", "", "Call bridges"), cluster)),
    make("div", "title", make("h3", "", "This week, slot by slot"), make("span", "dim", of.bookings || "")),
    ...drawWeek(of.week, of.bridge));
}

function drawElsewhere(of) {
  return make("section", "card", make("div", "title", make("h2", "", "On no bridge of this page")),
    of.tickets.length ? tickets(of.tickets) : null, bookings(of.bars, "no bridge"));
}

const scrollOf = (element) => element.querySelector(".scroll");

function toNow(element, week) {
  const scroll = scrollOf(element);
  if (scroll && week && week.now !== null) scroll.scrollLeft = week.now * scroll.scrollWidth - scroll.clientWidth / 3;
}

// Draws a panel anew if it changed, and keeps what its reader did: where it is scrolled to, what is open, what has the focus.
function update(key, of, draw, before) {
  const week = of.week || null;
  const text = JSON.stringify({ ...of, week: week && { ...week, now: null } });
  let panel = panels.get(key);
  if (!panel || panel.text !== text) {
    const element = draw(of);
    const old = panel && panel.element;
    if (old) {
      const focused = old.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      const details = element.querySelector("details");
      if (details) details.open = Boolean(old.querySelector("details[open]"));
      const left = scrollOf(old) ? scrollOf(old).scrollLeft : null;
      old.replaceWith(element);
      if (left !== null && scrollOf(element)) scrollOf(element).scrollLeft = left;
      const again = focused && [...element.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused);
      if (again) again.focus({ preventScroll: true });
    }
    panel = { element, text, isNew: !old };
    panels.set(key, panel);
  }
  panel.week = week;
  if (before ? before.nextSibling !== panel.element : byId("panels").firstChild !== panel.element) {
    if (before) before.after(panel.element); else byId("panels").prepend(panel.element);
  }
  const line = panel.element.querySelector(".now");
  if (line) {
    line.hidden = week.now === null;
    if (week.now !== null) at(line, week.now);
  }
  if (panel.isNew) toNow(panel.element, week);
  panel.isNew = false;
  return panel.element;
}

function show(board) {
  byId("scope").textContent = board.scope;
  byId("clock").textContent = `${board.now} (${board.timeZone})`;
  // Told again only if it changed: a screen reader reads it out.
  const notes = JSON.stringify(board.notes);
  if (notes !== lastNotes) byId("notes").replaceChildren(...board.notes.map(note));
  lastNotes = notes;
  const wanted = board.panels.map((of) => [`bridge ${of.bridge}`, of, drawPanel]);
  if (board.elsewhere.bars.length) wanted.push(["elsewhere", board.elsewhere, drawElsewhere]);
  if (!wanted.length && !board.notes.length) wanted.push(["none", {}, () => make("p", "card dim", `No MeetingBridge in ${board.scope}.`)]);
  const keys = new Set(wanted.map(([key]) => key));
  for (const [key, panel] of panels) {
    if (keys.has(key)) continue;
    panel.element.remove();
    panels.delete(key);
  }
  let before = null;
  for (const [key, of, draw] of wanted) before = update(key, of, draw, before);
  const fresh = board.notes.every((each) => each.ink === "Dim");
  link(fresh ? "Good" : "Warn", fresh ? "live" : "not all is live");
}

function link(colour, text) {
  const place = byId("link");
  if (place.textContent !== text) place.textContent = text;
  place.className = colour;
  document.body.classList.toggle("old", colour === "Bad");
}

function lost() {
  const since = new Date(heard).toLocaleTimeString();
  link("Bad", `stale since ${since}: does kubectl meetings board still run?`);
}

function zoom() {
  const chosen = document.querySelector("input[name=zoom]:checked").value;
  document.body.dataset.zoom = chosen;
  document.body.style.setProperty("--zoom", chosen);
  for (const panel of panels.values()) toNow(panel.element, panel.week);
}

byId("zoom").addEventListener("change", zoom);
byId("to-now").addEventListener("click", zoom);
zoom();
const source = new EventSource("events");
source.addEventListener("message", (event) => {
  heard = Date.now();
  show(JSON.parse(event.data));
});
source.addEventListener("error", lost);
setInterval(() => { if (Date.now() - heard > SILENCE) lost(); }, 5000);
