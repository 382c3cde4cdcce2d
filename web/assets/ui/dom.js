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

/** A table. Columns are `[title, cell, class]`; a cell gives text or an element. */
export function table(columns, rows, none) {
  if (rows.length === 0) return h("p", { class: "empty" }, none);
  const head = h("tr", null, columns.map(([title, , kind]) => h("th", { class: kind, scope: "col" }, title)));
  const body = rows.map((row) => h("tr", null, columns.map(([, cell, kind]) => h("td", { class: kind }, cell(row) ?? ""))));
  return h("div", { class: "scroll" }, h("table", null, h("thead", null, head), h("tbody", null, body)));
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
}

const units = new Intl.NumberFormat("en");
/** A number with its thousands apart. */
export const number = (value) => (value === null || value === undefined ? "–" : units.format(value));

/** Time of day of an instant in milliseconds. */
export const clock = (ms) => (ms ? new Date(ms).toLocaleTimeString("en-GB") : "–");

/** Day and time of an instant in milliseconds. */
export const instant = (ms) => (ms ? new Date(ms).toISOString().slice(0, 16).replace("T", " ") : "–");

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
