// Lists as files for a spreadsheet. A node gives a table page by page: the pages are put together here, as far as a spreadsheet opens them.
import { h, number } from "./dom.js";
import { Problem } from "./api.js";

const PAGES = 2000;
const ROWS = 1_000_000;

/** A link that saves a whole list: `exported("quantities", "/v1/stock")`. Without a script it is the first page. */
export function exported(name, path) {
  const said = h("span", { class: "soft", role: "status" });
  const address = `${path}${path.includes("?") ? "&" : "?"}format=csv&limit=500`;
  let stop = null;
  const link = h("a", { href: address, download: "", onclick: async (event) => {
    event.preventDefault();
    if (stop) return stop.abort();
    stop = new AbortController();
    try {
      const { file, text, rest } = await whole(address, stop.signal, (rows) => { said.textContent = ` ${number(rows)} rows; press again to stop`; });
      save(file, text);
      said.textContent = rest ? " the rest is more than a spreadsheet opens: ask for less, or page by page over /v1" : "";
    } catch (problem) {
      said.textContent = problem.name === "AbortError" ? " stopped" : ` ${problem.message}`;
    } finally {
      stop = null;
    }
  } }, name);
  return [link, said];
}

/** All pages as one table. */
async function whole(address, signal, told) {
  const text = [];
  let [file, rows, next] = ["holdfast.csv", 0, address];
  for (let page = 0; next && page < PAGES && rows < ROWS; page += 1) {
    const answer = await fetch(next, { headers: { Accept: "text/csv" }, signal });
    const table = await answer.text();
    if (!answer.ok) throw new Problem(answer.status, table.startsWith("{") ? JSON.parse(table) : null);
    file = answer.headers.get("Content-Disposition")?.match(/filename="([^"]+)"/)?.[1] ?? file;
    // Names of columns have no line ends: behind the first one the rows begin.
    text.push(page === 0 ? table : table.slice(table.indexOf("\n") + 1));
    rows += table.split("\n").length - 2;
    next = answer.headers.get("Link")?.match(/^<([^>]+)>; rel="next"$/)?.[1];
    told(rows);
  }
  return { file, text, rest: next };
}

function save(file, text) {
  const address = URL.createObjectURL(new Blob(text, { type: "text/csv" }));
  h("a", { href: address, download: file }).click();
  // The browser reads it after this.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
