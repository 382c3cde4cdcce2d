// Campaigns: what each has, held and sold, and who waits.
import { h, fill, update, number, instant, span, card, table } from "../dom.js";
import { get } from "../api.js";
import { plot } from "../plot.js";
import { asOf, renew } from "../renew.js";

/** Records that are older than that are said to be. */
const OLD_MS = 10_000;
/** As old as this they are where no leader was heard since the node started. */
const EVER_MS = 1e11;

export default { title: "Sales", render };

function render(root, _query, context) {
  const place = h("div", null, h("p", { class: "empty" }, "…"));
  const curve = plot([["sold", "--plot-a", "units"], ["commands/s", "--plot-c", "rate"]], "Units sold, and commands a second");
  const line = asOf();
  fill(root, h("h1", null, "Sales"), h("div", { class: "grid" }, card("Curve", "", curve.element)), line, place);
  const unfollow = context.follow(({ history, marks }) => curve.show(history.map((it) => it.at_ms), [history.map((it) => it.sold), history.map((it) => it.commands_per_s)], marks));
  const stop = renew(line, 1500, () => get("/ui/api/sales"), ({ campaigns, age_ms: age }) => update(place,
    age > OLD_MS && h("p", { class: "warn-text", "data-key": "age" }, `Campaigns as this node had them ${age < EVER_MS ? `${span(age)} ago` : "when it last heard of them"}: a newer one is not here.`),
    campaigns.length === 0
      ? card("Campaigns", "", h("p", { class: "empty" }, "None was ever opened. ", h("code", null, "holdfast sale plan FILE"), " begins one."))
      : h("div", { class: "grid" }, campaigns.map(campaign))));
  return () => { unfollow(); stop(); curve.close(); };
}

function campaign(it) {
  const [sold, granted] = [it.allocations.reduce((sum, a) => sum + a.sold, 0), it.allocations.reduce((sum, a) => sum + a.granted, 0)];
  const fillBar = h("div", { class: "bar-fill" });
  fillBar.style.width = `${granted === 0 ? 0 : Math.min(100, (100 * sold) / granted)}%`;
  const { room } = it;
  const shown = card(it.campaign_id, "half",
    h("p", null, h("span", { class: `pill ${it.phase === "running" ? "good" : ""}` }, it.phase), " ", h("span", { class: "soft" }, `${instant(it.starts_at_ms)} to ${instant(it.ends_at_ms)}`)),
    h("div", { class: "bar-track", role: "img", "aria-label": `${sold} of ${granted} sold` }, fillBar),
    h("p", { class: "soft" }, `${number(sold)} of ${number(granted)} units sold`),
    room && h("p", null, `Waiting room: ${number(room.waiting)} wait, ${number(room.admitted)} let in, ${number(room.spent)} have bought`),
    table([["SKU", (a) => a.sku], ["location", (a) => a.location_id], ["granted", (a) => number(a.granted), "number"], ["held", (a) => number(a.held), "number"], ["sold", (a) => number(a.sold), "number"]], it.allocations, "Nothing was granted to it.", (a) => `${a.sku} ${a.location_id}`));
  shown.dataset.key = it.campaign_id;
  return shown;
}
