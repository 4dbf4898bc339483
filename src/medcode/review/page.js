// The state of the page, and what its keys and buttons do.
import { ask, send } from "./server.js";
import { element, keyOf, markEvidence, markRow, showCodes, showFound, showList, showNote, showProgress } from "./view.js";

const ROWS = 50;
const FILTERS = ["open", "done", "all"];
const view = { filter: "open", query: "", note: null, selected: -1, place: 0, found: [], active: -1, opened: 0, seconds: [] };

// One thing after another, in the order of the keys.
let waiting = Promise.resolve();
function soon(work) {
  waiting = waiting.then(work).then(() => tell("", true), (error) => tell(error.message, true));
  return waiting;
}

function tell(text, isProblem = false) {
  element(isProblem ? "problem" : "message").textContent = text;
}

const current = () => view.note?.codes[view.selected];
const median = (values) => (values.length < 3 ? null : [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]);

function show(held) {
  Object.assign(view.note, held);
  showProgress(held, median(view.seconds));
  showCodes(view.note, view.selected, actions);
  view.place = markEvidence(current(), view.place);
}

async function refreshList(around = null, offset = 0) {
  const list = await ask("notes", { state: view.filter, query: view.query, offset, limit: ROWS, around });
  view.list = list;
  showProgress(list, median(view.seconds));
  showList(list, view.filter, view.note?.number ?? -1, (number) => soon(() => open(number)));
}

async function open(number) {
  element("reading").setAttribute("aria-busy", "true");
  try {
    const note = await ask(`notes/${number}`);
    view.note = note;
    view.opened = Date.now();
    history.replaceState(null, "", `#${number}`);
    showNote(note);
    view.selected = firstUndecided(0);
    view.place = -1; // the note begins at its top
    show(note);
    document.title = `${note.id}: Review`;
    reveal();
    element("note").focus({ preventScroll: true });
    markRow(number);
    toggleList(false);
    if (!view.list?.rows.some((row) => row.number === number)) await refreshList(number);
    else await refreshList(null, view.list.offset);
  } finally {
    element("reading").removeAttribute("aria-busy");
  }
}

// The first undecided code from a place on; without one, that place.
function firstUndecided(from) {
  const codes = view.note.codes;
  const order = [...codes.keys()].map((step) => (step + from) % codes.length);
  return order.find((index) => codes[index].verdict === null) ?? Math.min(from, codes.length - 1);
}

function reveal() {
  document.querySelector("#codes .selected")?.scrollIntoView({ block: "nearest" });
}

function select(index) {
  if (!view.note?.codes.length) return;
  view.selected = (index + view.note.codes.length) % view.note.codes.length;
  view.place = 0;
  show(view.note);
  reveal();
  const code = current();
  tell(`${code.code} ${code.description}`);
}

async function decide(action, codes) {
  const held = await send(`notes/${view.note.number}/decisions`, {
    action,
    codes: codes.map(({ system, code }) => ({ system, code })),
  });
  show(held);
  tell(codes.length === 1 ? `${codes[0].code} ${action}ed` : `${codes.length} codes ${action}ed`);
}

async function decideOne(action, code) {
  const index = view.note.codes.findIndex((other) => keyOf(other) === keyOf(code));
  view.selected = index;
  // An added code that is accepted stays an added one.
  if (!(action === "accept" && code.verdict === "add")) await decide(action, [code]);
  const left = view.note.codes.some((other) => other.verdict === null);
  view.selected = left ? firstUndecided(index) : index;
  view.place = 0;
  show(view.note);
  reveal();
}

async function decideRest(action) {
  const codes = view.note.codes.filter((code) => code.verdict === null);
  if (codes.length) await decide(action, codes);
}

async function done() {
  const { note } = view;
  if (note.done) {
    show(await send(`notes/${note.number}/decisions`, { action: "reopen" }));
    await refreshList(note.number);
    tell("The note is open again");
    return;
  }
  const undecided = note.codes.findIndex((code) => code.verdict === null);
  if (undecided >= 0) {
    select(undecided);
    throw new Error("Some codes are undecided: accept or reject each, or the rest at once.");
  }
  show(await send(`notes/${note.number}/decisions`, { action: "done" }));
  view.seconds.push((Date.now() - view.opened) / 1000);
  const { number } = await ask("neighbor", { number: note.number, state: "open" });
  if (number === null) {
    await refreshList(note.number);
    tell("All notes are done");
  } else {
    await open(number);
    tell(`${note.id} is done`);
  }
}

async function undo() {
  const held = await send("undo");
  if (held.id === null) return tell("There is nothing to undo");
  if (held.number === undefined || held.number === null) return tell(`Undone in ${held.id}, which is not in this list`);
  if (held.number !== view.note?.number) await open(held.number);
  show(held);
  view.selected = firstUndecided(0);
  show(view.note);
  reveal();
  await refreshList(held.number);
  tell(`Undone in ${held.id}`);
}

async function step(back) {
  const from = view.note?.number ?? -1;
  const { number } = await ask("neighbor", { number: from, state: view.filter, query: view.query, back });
  if (number === null) tell("There is no other note in the list");
  else await open(number);
}

async function setFilter(filter) {
  view.filter = filter;
  await refreshList(view.note?.number ?? null);
  tell(`${filter} notes: ${view.list.found}`);
}

function toggleList(isOpen = element("show-list").getAttribute("aria-expanded") !== "true") {
  element("show-list").setAttribute("aria-expanded", isOpen);
  element("list").classList.toggle("open", isOpen);
}

// Search for a code to add.
let searches = 0;
async function search() {
  const number = ++searches;
  const query = element("search").value;
  const found = query.trim() ? await ask("codes", { query }) : [];
  if (number !== searches) return; // a later one is on its way
  view.found = found;
  view.active = found.length ? 0 : -1;
  showFound(found, view.active, add);
  if (query.trim()) tell(found.length ? `${found.length} ${found.length === 1 ? "code" : "codes"} found` : "No code has these words");
}

function leaveSearch() {
  element("search").value = "";
  searches++;
  view.found = [];
  showFound([], -1, add);
  element("note").focus({ preventScroll: true });
}

function add(code) {
  soon(async () => {
    const known = view.note.codes.find((other) => keyOf(other) === keyOf(code));
    if (known && known.evidence !== null) await decide("accept", [known]);
    else await decide("add", [code]);
    view.selected = view.note.codes.findIndex((other) => keyOf(other) === keyOf(code));
    show(view.note);
    leaveSearch();
    reveal();
    tell(`${code.code} added`);
  });
}

function searchKey(event) {
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in moves && view.found.length) {
    view.active = (view.active + moves[event.key] + view.found.length) % view.found.length;
    showFound(view.found, view.active, add);
  } else if (event.key === "Enter" && view.found[view.active]) add(view.found[view.active]);
  else if (event.key === "Escape") leaveSearch();
  else return;
  event.preventDefault();
}

const actions = {
  select: (key) => select(view.note.codes.findIndex((code) => keyOf(code) === key)),
  decide: (action, code) => soon(() => decideOne(action, view.note.codes.find((other) => keyOf(other) === keyOf(code)))),
};

function focusOn(id) {
  if (id === "query") toggleList(true);
  element(id).focus();
}

const withNote = (work) => soon(() => (view.note ? work() : undefined));
const withCode = (action) => withNote(() => (current() ? decideOne(action, current()) : undefined));
const KEYS = {
  j: () => withNote(() => select(view.selected + 1)),
  k: () => withNote(() => select(view.selected - 1)),
  a: () => withCode("accept"),
  r: () => withCode("reject"),
  A: () => withNote(() => decideRest("accept")),
  R: () => withNote(() => decideRest("reject")),
  e: () => withNote(() => {
    view.place = markEvidence(current(), view.place + 1);
  }),
  "+": () => focusOn("search"),
  s: () => focusOn("search"),
  d: () => withNote(done),
  u: () => soon(undo),
  n: () => soon(() => step(false)),
  p: () => soon(() => step(true)),
  f: () => soon(() => setFilter(FILTERS[(FILTERS.indexOf(view.filter) + 1) % FILTERS.length])),
  "/": () => focusOn("query"),
  "?": () => element("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=checkbox])") || element("keys").open;
  if (isTyping || event.ctrlKey || event.altKey || event.metaKey || !element("single").checked) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

const BUTTONS = {
  done: KEYS.d, "accept-rest": KEYS.A, "reject-rest": KEYS.R, undo: KEYS.u, next: KEYS.n, previous: KEYS.p,
  "show-keys": KEYS["?"], "show-list": () => toggleList(),
  earlier: () => soon(() => refreshList(null, Math.max(0, view.list.offset - ROWS))),
  later: () => soon(() => refreshList(null, view.list.offset + ROWS)),
};
for (const [id, action] of Object.entries(BUTTONS)) element(id).addEventListener("click", action);
for (const button of document.querySelectorAll("[data-filter]"))
  button.addEventListener("click", () => soon(() => setFilter(button.dataset.filter)));
element("search").addEventListener("input", () => search().catch((error) => tell(error.message, true)));
element("search").addEventListener("keydown", searchKey);
element("search").addEventListener("blur", () => showFound([], -1, add));
element("query").addEventListener("input", () => {
  view.query = element("query").value;
  soon(() => refreshList());
});
element("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && view.list?.rows.length) soon(() => open(view.list.rows[0].number));
  else if (event.key === "Escape") {
    element("query").value = view.query = "";
    soon(() => refreshList(view.note?.number ?? null));
    toggleList(false);
    element("note").focus({ preventScroll: true });
  } else return;
  event.preventDefault();
});

soon(async () => {
  const named = Number.parseInt(location.hash.slice(1), 10);
  const { number } = Number.isNaN(named) ? await ask("neighbor", { number: -1, state: "open" }) : { number: named };
  if (number !== null) return open(number);
  view.filter = "all";
  await refreshList();
  tell("All notes are done");
});
