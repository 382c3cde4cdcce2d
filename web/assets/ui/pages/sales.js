// Campaigns: what each has, held and sold, and who waits.
import { h, fill, number, instant, card, table } from "../dom.js";
import { get, poll } from "../api.js";
import { plot } from "../plot.js";

export default { title: "Sales", render };

function render(root, _query, context) {
  const place = h("div", null, h("p", { class: "empty" }, "…"));
  const curve = plot([["sold", "--plot-a", "units"], ["commands/s", "--plot-c", "rate"]], "Units sold, and commands a second");
  fill(root, h("h1", null, "Sales"), h("div", { class: "grid" }, card("Curve", "", curve.element)), place);
  const unfollow = context.follow(({ history, marks }) => curve.show(history.map((it) => it.at_ms), [history.map((it) => it.sold), history.map((it) => it.commands_per_s)], marks));
  const stop = poll(1500, () => get("/ui/api/sales"), ({ campaigns }) => fill(place, campaigns.length === 0
    ? card("Campaigns", "", h("p", { class: "empty" }, "None was ever opened. ", h("code", null, "holdfast sale plan FILE"), " begins one."))
    : h("div", { class: "grid" }, campaigns.map(campaign))), (problem) => fill(place, problem.message));
  return () => { unfollow(); stop(); curve.close(); };
}

function campaign(it) {
  const [sold, granted] = [it.allocations.reduce((sum, a) => sum + a.sold, 0), it.allocations.reduce((sum, a) => sum + a.granted, 0)];
  const fillBar = h("div", { class: "bar-fill" });
  fillBar.style.width = `${granted === 0 ? 0 : Math.min(100, (100 * sold) / granted)}%`;
  const { room } = it;
  return card(it.campaign_id, "half",
    h("p", null, h("span", { class: `pill ${it.phase === "running" ? "good" : ""}` }, it.phase), " ", h("span", { class: "soft" }, `${instant(it.starts_at_ms)} to ${instant(it.ends_at_ms)}`)),
    h("div", { class: "bar-track", role: "img", "aria-label": `${sold} of ${granted} sold` }, fillBar),
    h("p", { class: "soft" }, `${number(sold)} of ${number(granted)} units sold`),
    room && h("p", null, `Waiting room: ${number(room.waiting)} wait, ${number(room.admitted)} let in, ${number(room.spent)} have bought`),
    table([["SKU", (a) => a.sku], ["location", (a) => a.location_id], ["granted", (a) => number(a.granted), "number"], ["held", (a) => number(a.held), "number"], ["sold", (a) => number(a.sold), "number"]], it.allocations, "Nothing was granted to it."));
}
