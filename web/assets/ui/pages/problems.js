// What somebody has to look at, and what to type.
import { h, fill, update, number, instant, card, table, span } from "../dom.js";
import { get } from "../api.js";
import { asOf, renew } from "../renew.js";
import { sentence } from "../events.js";

export default { title: "Problems", render };

function render(root) {
  const line = asOf();
  const place = h("div", null, h("p", { class: "empty" }, "…"));
  fill(root, h("h1", null, "Problems"), line, place);
  return renew(line, 3000, () => get("/ui/api/problems"), (it) => update(place, h("div", { class: "grid" },
    it.silent.length > 0 && h("p", { class: "card warn-text", "data-key": "silent" }, `Node ${it.silent.join(", ")} did not say everything in time: what it alone knows is not here.`),
    card("Halted shards", "half", table([["shard", (s) => s.shard], ["invariant", (s) => s.invariant], ["what", (s) => s.finding]], it.halted, it.silent.length > 0 ? "None that the others know of." : "None: every shard takes commands.", (s) => s.shard), it.halted.length > 0 && command("holdfast shard audit N", "holdfast shard resume N --reason …")),
    card("Warnings of nodes", "half", table([["node", (w) => w.node_id], ["what", (w) => w.what]], it.warnings, "None.", (w) => `${w.node_id} ${w.what}`)),
    card("Orders that are stuck", "half", known(it.stuck, (stuck) => table([
      ["reservation", (o) => h("a", { class: "mono", href: `#/reservations?id=${o.reservation_id}` }, o.reservation_id)], ["step", (o) => o.step || "–"], ["for", (o) => span(o.stuck_for_ms), "number"],
    ], stuck, "None: every payment has answered.", (o) => o.reservation_id)), it.stuck?.length > 0 && command("holdfast order resolve ID --confirm|--abort --reason …")),
    card("Abnormal corrections", "half", table([["when", (a) => instant(a.time_ms)], ["what", (a) => a.sentence]], it.alerts, "None within the last day.", (a) => `${a.time_ms} ${a.sentence}`), it.alerts.length > 0 && command("holdfast audit query --sku … --kind stock.adjusted")),
    card("Counts that are open", "half", known(it.counts, (counts) => table([["count", (c) => h("span", { class: "mono" }, c.count_id)], ["location", (c) => c.location_id], ["opened", (c) => instant(c.opened_at_ms)], ["counted", (c) => number(c.recorded), "number"]], counts, "None.", (c) => c.count_id))),
    card("Shortfalls and drift", "half", known(it.shortfalls, (events) => table([["when", (e) => instant(e.time_ms)], ["what", (e) => sentence(e)]], events, "None among the latest events.", (e) => `${e.shard} ${e.seq}`)), it.shortfalls?.length > 0 && command("holdfast audit query --kind stock.shortfall")))));
}

/** What could not be read just now is not "none". */
const known = (list, shown) => (list === null ? h("p", { class: "empty warn-text" }, "Not known just now: it could not be read in time.") : shown(list));

const command = (...lines) => h("p", { class: "soft" }, "To type: ", lines.map((line) => [h("code", null, line), " "]));
