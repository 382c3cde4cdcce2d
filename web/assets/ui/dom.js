// Elements from code. Text goes in as text, never as markup: whatever a shop wrote into a name stays a name.

/** An element: `h("td", { class: "number" }, "5")`. Attributes that are null or false are left out; `on…` are listeners. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table. Columns are `[title, cell, class]`; a cell gives text or an element. `key` names a row, so that it stays itself when others come before it. */
export function table(columns, rows, none, key) {
  if (rows.length === 0) return h("p", { class: "empty" }, none);
  const head = h("tr", null, columns.map(([title, , kind]) => h("th", { class: kind, scope: "col" }, title)));
  const body = rows.map((row) => h("tr", { "data-key": key?.(row) }, columns.map(([, cell, kind]) => h("td", { class: kind }, cell(row) ?? ""))));
  return h("div", { class: "scroll" }, h("table", null, h("thead", null, head), h("tbody", null, body)));
}

const shown = (children) => children.flat(9).filter((child) => child !== null && child !== undefined && child !== false);

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
}

/** Changes a text where it is another: what is unchanged is not read out again, nor does a selection in it go. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Has an element hold that, touching only what differs: focus, selection and how far something is scrolled stay. Elements with a `data-key`
 * stay themselves wherever they go; listeners of the new ones come along only where there was nothing alike.
 */
export function update(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  settle(element, shown(children).map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  // To be moved takes the focus away.
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);

function settle(element, wanted) {
  const known = new Map();
  const stays = new Set(wanted.map(keyOf));
  for (const child of [...element.childNodes]) {
    const key = keyOf(child);
    if (key === undefined) continue;
    if (stays.has(key)) known.set(key, child);
    else child.remove();
  }
  let at = element.firstChild;
  for (const next of wanted) {
    const key = keyOf(next);
    const alike = at && at.nodeName === next.nodeName && keyOf(at) === undefined ? at : null;
    const same = key === undefined ? alike : known.get(key);
    known.delete(key);
    if (!same) {
      element.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else element.insertBefore(same, at);
    amend(same, next);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

/** Makes an element be as another one of its kind. */
function amend(element, next) {
  if (element.nodeType !== Node.ELEMENT_NODE) {
    if (element.nodeValue !== next.nodeValue) element.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...element.attributes]) if (!next.hasAttribute(name)) element.removeAttribute(name);
  for (const { name, value } of next.attributes) if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  settle(element, [...next.childNodes]);
}

const units = new Intl.NumberFormat("en");
/** A number with its thousands apart. */
export const number = (value) => (value === null || value === undefined ? "–" : units.format(value));

const zone = new Intl.DateTimeFormat("en").resolvedOptions().timeZone || "this machine's zone";
/** In which zone times are told, everywhere on the page. */
export const ZONE = `Times: ${zone}`;

const two = (value) => String(value).padStart(2, "0");

/** Time of day of an instant in milliseconds. */
export const clock = (ms) => (ms ? new Date(ms).toLocaleTimeString("en-GB") : "–");

/** Day and time of an instant in milliseconds. */
export function instant(ms) {
  if (!ms) return "–";
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** When something happened: of today the time of day, else the day and the time. */
export const when = (ms) => (new Date(ms).toDateString() === new Date().toDateString() ? clock(ms) : instant(ms));

/** The day of a lot, as it was written down: dates of lots are days in UTC, whoever looks at them from where. */
export const day = (ms) => (ms ? new Date(ms).toISOString().slice(0, 10) : "–");

/** How long something takes or took. */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** A card with a heading. */
export const card = (title, kind, ...children) => h("section", { class: `card ${kind}` }, title && h("h2", null, title), ...children);
