// What somebody has to look at, and what to type.
import { h, fill, number, instant, card, table, span } from "../dom.js";
import { get, poll } from "../api.js";
import { sentence } from "../events.js";

export default { title: "Problems", render };

function render(root) {
  const place = h("div", null, h("p", { class: "empty" }, "…"));
  fill(root, h("h1", null, "Problems"), place);
  return poll(3000, () => get("/ui/api/problems"), (it) => fill(place, h("div", { class: "grid" },
    card("Halted shards", "half", table([["shard", (s) => s.shard], ["invariant", (s) => s.invariant], ["what", (s) => s.finding]], it.halted, "None: every shard takes commands."), it.halted.length > 0 && command("holdfast shard audit N", "holdfast shard resume N --reason …")),
    card("Warnings of nodes", "half", table([["node", (w) => w.node_id], ["what", (w) => w.what]], it.warnings, "None.")),
    card("Orders that are stuck", "half", table([
      ["reservation", (o) => h("a", { class: "mono", href: `#/reservations?id=${o.reservation_id}` }, o.reservation_id)], ["step", (o) => o.step || "–"], ["for", (o) => span(o.stuck_for_ms), "number"],
    ], it.stuck, "None: every payment has answered."), it.stuck.length > 0 && command("holdfast order resolve ID --confirm|--abort --reason …")),
    card("Abnormal corrections", "half", table([["when", (a) => instant(a.time_ms)], ["what", (a) => a.sentence]], it.alerts, "None within the last day."), it.alerts.length > 0 && command("holdfast audit query --sku … --kind stock.adjusted")),
    card("Counts that are open", "half", table([["count", (c) => h("span", { class: "mono" }, c.count_id)], ["location", (c) => c.location_id], ["opened", (c) => instant(c.opened_at_ms)], ["counted", (c) => number(c.recorded), "number"]], it.counts, "None.")),
    card("Shortfalls and drift", "half", table([["when", (e) => instant(e.time_ms)], ["what", (e) => sentence(e)]], it.shortfalls, "None among the latest events."), it.shortfalls.length > 0 && command("holdfast audit query --kind stock.shortfall")))),
  (problem) => fill(place, problem.message));
}

const command = (...lines) => h("p", { class: "soft" }, "To type: ", lines.map((line) => [h("code", null, line), " "]));
