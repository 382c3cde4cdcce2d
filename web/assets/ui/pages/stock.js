// What there is: a table of SKUs, and of one SKU its quantities, lots and what happened to it.
import { h, fill, update, number, when, day, card, table } from "../dom.js";
import { get, path } from "../api.js";
import { asOf, renew } from "../renew.js";
import { sentence } from "../events.js";
import { exported } from "../export.js";

export default { title: "Stock", render };

function render(root, query) {
  const sku = query.get("sku");
  return sku ? one(root, sku) : all(root, query.get("find") ?? "");
}

function all(root, find) {
  const field = h("input", { type: "search", id: "find", value: find, placeholder: "part of a SKU", autocomplete: "off", spellcheck: "false" });
  const form = h("form", { class: "line", role: "search", onsubmit: (event) => {
    event.preventDefault();
    location.hash = `#/stock?find=${encodeURIComponent(field.value)}`;
  } }, h("label", { for: "find" }, "SKU", field), h("button", { type: "submit" }, "Find"));
  const list = h("div");
  const risk = h("div");
  const both = h("div", { class: "grid" }, card("Quantities", "wide", list), card("Leaves sale within 30 days", "third", risk));
  const waits = h("p", { class: "empty" }, "…");
  const files = h("p", { class: "soft" }, "For a spreadsheet: ", exported("quantities", "/v1/stock"), ", ", exported("items", "/v1/items"), ", ",
    exported("lots", "/v1/lots"), ", ", exported("counts", "/v1/counts"), ", ", exported("events", "/v1/events"));
  const line = asOf();
  fill(root, h("h1", null, "Stock"), form, files, line, waits);
  let atRisk = null;
  // Both cards come at once: on a phone the one that is filled later would push the other away.
  const ask = async () => {
    // Asked for once; the quantities are shown without it, too.
    const lots = atRisk?.lots ? atRisk : get("/ui/api/at-risk").catch((problem) => ({ problem }));
    const found = await get(`/ui/api/stock?find=${encodeURIComponent(find)}`);
    atRisk = await lots;
    return found;
  };
  return renew(line, 2000, ask, ({ levels, more }) => {
    update(list, table([
      ["SKU", (it) => link(it.sku)],
      ["location", (it) => it.location_id],
      ["on hand", (it) => number(it.on_hand), "number"],
      ["held", (it) => number(it.reserved), "number"],
      ["sold", (it) => number(it.committed), "number"],
      ["available", (it) => level(it), "number"],
    ], levels, "No SKU has that in its name.", (it) => `${it.sku} ${it.location_id}`),
    more && h("p", { class: "soft" }, "There are more: say more of the SKU."));
    update(risk, atRisk.problem ? atRisk.problem.message : table([
      ["SKU", (it) => link(it.sku)], ["lot", (it) => it.lot_id], ["leaves", (it) => day(it.removal_at_ms)], ["units", (it) => number(it.on_hand), "number"],
    ], atRisk.lots, "Nothing does.", (it) => `${it.sku} ${it.lot_id}`), atRisk.more === true && h("p", { class: "soft" }, "There are more; the list of lots is the file above."));
    if (waits.isConnected) waits.replaceWith(both);
  });
}

const link = (sku) => h("a", { href: `#/stock?sku=${encodeURIComponent(sku)}` }, sku);

function level({ atp, low_stock_threshold: low }) {
  if (atp === 0) return h("span", { class: "bad-text" }, "0");
  return atp <= low ? h("span", { class: "warn-text" }, `low ${number(atp)}`) : number(atp);
}

function one(root, sku) {
  const place = h("div", null, h("p", { class: "empty" }, "…"));
  const files = h("p", { class: "soft" }, "For a spreadsheet: ", exported("lots", `${path("v1", "items", sku)}/lots`), ", ",
    exported("what happened", `/v1/events?sku=${encodeURIComponent(sku)}`), ", ", exported("counts", `/v1/counts?sku=${encodeURIComponent(sku)}`));
  const line = asOf();
  fill(root, h("p", null, h("a", { href: "#/stock" }, "← all SKUs")), files, line, place);
  return renew(line, 1500, () => get(path("ui", "api", "stock", sku)), ({ item, levels, lots, events }) => update(place,
    h("h1", null, item.name ? `${sku} · ${item.name}` : sku, " ", item.status !== "active" && h("span", { class: "pill warn" }, item.status)),
    h("div", { class: "grid" },
      card("Quantities", "", table([
        ["location", (it) => it.location_id], ["on hand", (it) => number(it.on_hand), "number"], ["held", (it) => number(it.reserved), "number"], ["sold", (it) => number(it.committed), "number"],
        ["damaged", (it) => number(it.damaged), "number"], ["quality control", (it) => number(it.quality_control), "number"], ["on its way", (it) => number(it.in_transit), "number"],
        ["short", (it) => (it.short > 0 ? h("span", { class: "bad-text" }, number(it.short)) : "0"), "number"], ["available", (it) => level(it), "number"],
      ], levels, item.kit ? "A kit: nothing of it is stocked." : "Nothing was ever here.", (it) => it.location_id)),
      card("Lots", "half", table([
        ["lot", (it) => it.lot_id], ["status", (it) => (it.status === "approved" ? it.status : h("span", { class: "bad-text" }, it.status))],
        ["leaves sale", (it) => day(it.removal_at_ms)], ["on hand", (it) => number(it.on_hand), "number"],
      ], lots, "None: it is not kept by lot.", (it) => it.lot_id)),
      card("What happened", "half", events.length === 0 ? h("p", { class: "empty" }, "Nothing yet.") : h("ol", { class: "events dated" }, events.map((event) => h("li", { "data-key": `${event.shard} ${event.seq}` },
        h("span", { class: "soft" }, when(event.time_ms)),
        h("span", null, sentence(event), event.actor && h("span", { class: "soft" }, ` by ${event.actor}`), event.reservation_id && [" ", h("a", { class: "mono", href: `#/reservations?id=${event.reservation_id}` }, event.reservation_id.slice(0, 8))])))))),
  ));
}
