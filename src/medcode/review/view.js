// What the page shows. All text comes into it as text, never as HTML.
export const element = (id) => document.getElementById(id);

const VERDICTS = { accept: "accepted", add: "added", reject: "rejected" };

export function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

function button(text, className, label, action) {
  const made = make("button", className, text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
}

export const keyOf = (code) => `${code.system} ${code.code}`;
const shown = (probability) => (probability === null ? "" : probability > 0.995 ? ">0.99" : probability.toFixed(2));

export function showProgress(held, seconds) {
  const pace = seconds === null ? "" : `, ${seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(1)} min`} a note`;
  element("progress").textContent = `${held.done_notes.toLocaleString("en")} of ${held.notes.toLocaleString("en")} done${pace}`;
  Object.assign(element("bar"), { max: held.notes, value: held.done_notes });
}

export function showList(list, filter, current, open) {
  const rows = list.rows.map((row) => {
    const made = make("tr", row.done ? "is-done" : "");
    const name = make("td");
    const choose = button(row.id, "row", "", () => open(row.number));
    choose.dataset.number = row.number;
    choose.title = row.id;
    choose.append(make("span", "hidden", row.done ? ", done" : ", open"));
    name.append(choose);
    made.append(name, make("td", "", row.codes ?? "–"), make("td", "", row.lowest === null ? "–" : shown(row.lowest)));
    return made;
  });
  element("rows").replaceChildren(...rows);
  element("empty").hidden = rows.length > 0;
  const last = list.offset + rows.length;
  element("part").textContent = rows.length ? `${list.offset + 1}–${last} of ${list.found.toLocaleString("en")}` : "";
  element("earlier").disabled = list.offset === 0;
  element("later").disabled = last >= list.found;
  for (const other of document.querySelectorAll("[data-filter]"))
    other.setAttribute("aria-pressed", other.dataset.filter === filter);
  markRow(current);
}

export function markRow(current) {
  for (const row of document.querySelectorAll("[data-number]")) {
    const isCurrent = Number(row.dataset.number) === current;
    if (isCurrent) {
      row.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    } else row.removeAttribute("aria-current");
  }
}

export function showNote(note) {
  const parts = note.segments.map(([text, codes]) => {
    if (!codes.length) return document.createTextNode(text);
    const mark = make("mark", "", text);
    mark.dataset.codes = ` ${codes.join(" ")} `;
    return mark;
  });
  element("note").replaceChildren(...parts);
  element("note").scrollTop = 0;
  const isCut = note.words_read < note.words;
  const cut = isCut ? `The model read the first ${note.words_read.toLocaleString("en")} of ${note.words.toLocaleString("en")} ${note.unit}.` : "";
  element("about").textContent = note.reason ? `The model cannot read this note: ${note.reason}` : cut;
}

function codeItem(code, actions) {
  const item = make("li", "code");
  item.dataset.key = keyOf(code);
  const choose = button("", "choose", "", () => actions.select(item.dataset.key));
  choose.title = code.system;
  const about = make("span", "what");
  about.append(make("b", "", code.code), ` ${code.description}`);
  choose.append(about, make("span", "hidden verdict"));
  const phrases = code.phrases.map((phrase) => `“${phrase}”`).join(" ") || (code.evidence === null ? "" : "no words stand out");
  const why = make("span", "why");
  why.append(make("span", "probability", shown(code.probability)), " ", make("span", "phrases", phrases));
  choose.append(why);
  const verdicts = make("div", "verdicts");
  for (const [action, sign, name, key] of [["accept", "✓", "Accept", "a"], ["reject", "✗", "Reject", "r"]]) {
    const decide = button(sign, action, `${name} ${code.code}`, () => actions.decide(action, code));
    decide.append(make("span", "word", ` ${name} `), make("kbd", "", key));
    verdicts.append(decide);
  }
  item.append(choose, verdicts);
  return item;
}

export function showCodes(note, selected, actions) {
  const list = element("codes");
  const keys = note.codes.map(keyOf);
  const old = [...list.children].map((item) => item.dataset.key);
  if (list.dataset.note !== String(note.number) || keys.join() !== old.join()) {
    list.dataset.note = note.number;
    list.replaceChildren(...note.codes.map((code) => codeItem(code, actions)));
  }
  [...list.children].forEach((item, index) => {
    const { verdict } = note.codes[index];
    item.dataset.verdict = verdict ?? "";
    item.querySelector(".verdict").textContent = `, ${VERDICTS[verdict] ?? "undecided"}`;
    item.classList.toggle("selected", index === selected);
    item.querySelector(".choose").setAttribute("aria-pressed", index === selected);
    for (const [name, wanted] of [["accept", ["accept", "add"]], ["reject", ["reject"]]])
      item.querySelector(`.${name}`).setAttribute("aria-pressed", wanted.includes(verdict));
  });
  const undecided = note.codes.filter((code) => code.verdict === null).length;
  element("undecided").textContent = note.codes.length ? (undecided ? `${undecided} undecided` : "all decided") : "";
  element("none").hidden = note.codes.length > 0;
  element("note-id").textContent = note.id;
  element("note-state").textContent = note.done ? "✓ done" : "";
  element("done").firstChild.textContent = note.done ? "Open again " : "Note done ";
  for (const name of ["accept-rest", "reject-rest"]) element(name).disabled = !undecided;
}

// Marks the evidence of a code alone, and brings one place of it into view, unless it is -1; returns the place's number.
export function markEvidence(code, place) {
  const note = element("note");
  const chosen = [];
  note.classList.toggle("choosing", code !== undefined);
  for (const mark of note.querySelectorAll("mark")) {
    const isOfCode = code !== undefined && code.evidence !== null && mark.dataset.codes.includes(` ${code.evidence} `);
    mark.classList.toggle("chosen", isOfCode);
    mark.classList.remove("current");
    if (isOfCode) chosen.push(mark);
  }
  if (!chosen.length || place < 0) return -1;
  const index = place % chosen.length;
  chosen[index].classList.add("current");
  const [box, frame] = [chosen[index].getBoundingClientRect(), note.getBoundingClientRect()];
  if (box.top < frame.top || box.bottom > frame.bottom) note.scrollTop += box.top - frame.top - frame.height / 3;
  return index;
}

export function showFound(found, active, add) {
  const options = found.map((code, index) => {
    const option = make("li");
    option.id = `found-${index}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", index === active);
    option.append(make("b", "", code.code), ` ${code.description}`);
    if (code.synonym) option.append(make("span", "synonym", code.synonym));
    if (code.is_label) option.append(make("span", "label", "label of the model"));
    option.addEventListener("mousedown", (event) => {
      event.preventDefault();
      add(code);
    });
    return option;
  });
  element("found").replaceChildren(...options);
  element("found").hidden = !options.length;
  const search = element("search");
  search.setAttribute("aria-expanded", options.length > 0);
  if (options[active]) {
    search.setAttribute("aria-activedescendant", options[active].id);
    options[active].scrollIntoView({ block: "nearest" });
  } else search.removeAttribute("aria-activedescendant");
}
