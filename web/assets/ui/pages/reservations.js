// Who holds what: the latest reservations, and one of them whole.
import { h, fill, update, number, instant, card, table, span } from "../dom.js";
import { get, path } from "../api.js";
import { asOf, renew } from "../renew.js";
import { exported } from "../export.js";

export default { title: "Reservations", render };

const LINE = [
  ["SKU", (it) => h("a", { href: `#/stock?sku=${encodeURIComponent(it.sku)}` }, it.sku)], ["location", (it) => it.location_id || "–"],
  ["held", (it) => number(it.held), "number"], ["sold", (it) => number(it.committed), "number"], ["shipped", (it) => number(it.fulfilled), "number"],
  ["released", (it) => number(it.released), "number"], ["cancelled", (it) => number(it.cancelled), "number"], ["returned", (it) => number(it.returned), "number"],
  ["waits", (it) => number(it.backordered), "number"], ["short", (it) => (it.short > 0 ? h("span", { class: "bad-text" }, number(it.short)) : "0"), "number"],
];

function render(root, query) {
  const id = query.get("id") ?? "";
  const field = h("input", { type: "search", id: "id", value: id, placeholder: "its id", autocomplete: "off", spellcheck: "false", size: "40", class: "mono" });
  const form = h("form", { class: "line", role: "search", onsubmit: (event) => {
    event.preventDefault();
    location.hash = `#/reservations?id=${encodeURIComponent(field.value.trim())}`;
  } }, h("label", { for: "id" }, "Reservation", field), h("button", { type: "submit" }, "Show"));
  const place = h("div", null, h("p", { class: "empty" }, "…"));
  const files = h("p", { class: "soft" }, "For a spreadsheet: ", exported("all reservations", "/v1/reservations"));
  const line = asOf();
  fill(root, h("h1", null, "Reservations"), form, !id && files, line, place);
  if (id) return renew(line, 1500, () => get(path("ui", "api", "reservations", id)), (it) => update(place, detail(it)));
  return renew(line, 2000, () => get("/ui/api/reservations"), ({ reservations, more }) => update(place, card("Alive, the newest first", "", table([
    ["reservation", (it) => h("a", { class: "mono", href: `#/reservations?id=${it.reservation_id}` }, it.reservation_id)],
    ["state", (it) => it.state], ["order", (it) => it.order_ref || "–"], ["units", (it) => number(it.units), "number"], ["SKUs", (it) => number(it.lines.length), "number"],
    ["ends in", (it) => (it.expires_at_ms ? span(Math.max(0, it.expires_at_ms - it.now_ms)) : "–"), "number"],
  ], reservations, "Nobody holds anything.", (it) => it.reservation_id), more && h("p", { class: "soft" }, "There are more; the whole list is the file above."))));
}

function detail(it) {
  return [
    h("div", { class: "grid" },
      card("Lines", "", table(LINE, it.lines, "No lines.", (line) => `${line.sku} ${line.location_id}`)),
      card("Of the whole", "", h("p", null, h("span", { class: "pill" }, it.state)),
        h("p", { class: "soft" }, "order: ", it.order_ref || "none"), h("p", { class: "soft" }, "channel: ", it.channel_id || "none"), h("p", { class: "soft" }, "campaign: ", it.campaign_id || "none"),
        h("p", { class: "soft" }, "made: ", instant(it.created_at_ms)), it.expires_at_ms > 0 && h("p", { class: "soft" }, "ends: ", instant(it.expires_at_ms)))),
  ];
}
