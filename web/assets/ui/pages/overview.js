// The first screen: does it sell, is anything wrong, what happens just now.
import { h, fill, update, say, number, clock, card, span } from "../dom.js";
import { plot } from "../plot.js";
import { sentence, watchEvents } from "../events.js";
import { post } from "../api.js";

const SHOWN = 40;

export default { title: "Overview", render };

function render(root, _query, context) {
  // Places for what is not known yet: nothing below them moves when it comes.
  const tiles = h("dl", { class: "tiles" }, tilesOf(NOTHING_YET));
  const curve = plot([["sold", "--plot-a", "units"], ["held", "--plot-b", "units"], ["commands/s", "--plot-c", "rate"]], "Units sold and held, and commands a second, over the last minutes");
  const legend = h("ul", { class: "legend" },
    h("li", null, h("span", { class: "swatch a" }), "units sold"),
    h("li", null, h("span", { class: "swatch b" }), "units held"),
    h("li", null, h("span", { class: "swatch c" }), "commands a second (right)"));
  const list = h("ol", { class: "events tall", "aria-label": "Events as they happen", tabindex: "0" });
  const hears = h("p", { class: "as-of warn-text", role: "status" });
  const audit = h("p", { class: "soft" }, "…");
  const nodes = h("div");
  // Its place is kept until it is known whether this is a demo; only a node's page gives it back.
  const demo = h("div", { class: "row-links demo" });
  fill(root, h("h1", null, "Overview"), tiles,
    h("div", { class: "grid" },
      card("Sell-through", "wide", curve.element, legend, demo),
      card("What happens", "third", list, hears)),
    h("div", { class: "grid" }, card("Nodes", "wide", nodes), card("Audit", "third", audit)));

  const show = (overview) => {
    update(tiles, tilesOf(overview));
    const { history } = overview;
    curve.show(history.map((it) => it.at_ms), [history.map((it) => it.sold), history.map((it) => it.reserved), history.map((it) => it.commands_per_s)], overview.marks);
    update(nodes, overview.nodes.map(nodeRow));
    say(audit, auditOf(overview));
    demo.hidden = !overview.demo;
    if (overview.demo) offer(demo);
  };
  const unfollow = context.follow(show);
  const stop = watchEvents((events) => {
    list.prepend(...events.slice(-SHOWN).reverse().map((event) => h("li", null, h("span", { class: "soft" }, clock(event.time_ms)), h("span", null, sentence(event)))));
    while (list.childElementCount > SHOWN) list.lastElementChild.remove();
  }, (isHeard) => say(hears, isHeard ? "" : "Not heard just now: the page asks again."));
  return () => { unfollow(); stop(); curve.close(); };
}

const NOTHING_YET = { totals: null, rates: { refused: null, commands_per_s: null, p99_ms: null }, oversold: null };

function tilesOf({ totals, rates, oversold }) {
  const tile = (name, value, small, kind) => h("div", { class: `tile ${kind ?? ""}` }, h("dt", null, name), h("dd", null, value), h("small", null, small));
  return [
    tile("Sold", number(totals?.sold), "units, all time"),
    tile("Held", number(totals?.reserved), "units, not paid yet"),
    tile("Refused", number(rates.refused), rates.refused === null ? " " : "since the nodes started"),
    tile("Oversold", number(oversold), oversold === null ? "not known just now" : "by sums and audits", oversold === null ? "" : oversold === 0 ? "good" : "bad"),
    tile("Commands/s", rates.commands_per_s === null ? "–" : number(Math.round(rates.commands_per_s)), "decided, all shards"),
    tile("p99", rates.p99_ms === null ? "–" : span(rates.p99_ms), "of the last answers"),
  ];
}

function nodeRow(node) {
  const state = node.up ? (node.ready ? ["good-text", "ready"] : ["warn-text", "not ready"]) : ["bad-text", "down"];
  return h("p", null, h("span", { class: state[0] }, `● node ${node.node_id}: ${state[1]}`), " ",
    h("span", { class: "soft" }, node.up ? `leads ${node.leads.length} shards, up ${span(node.uptime_ms)}` : node.client_address));
}

function auditOf({ audit }) {
  if (!audit.last_at_ms) return "No audit of this node's replicas yet: the first comes soon after its start.";
  const found = audit.breaches === 0 ? "nothing broken" : `${audit.breaches} invariants broken`;
  return `✓ ${number(audit.audits)} audits of this node's replicas, the last at ${clock(audit.last_at_ms)}: ${found}. Each recomputes every invariant.`;
}

function offer(place) {
  if (place.childElementCount > 0) return;
  const said = h("span", { class: "soft", role: "status" });
  const button = (label, path) => {
    let isBusy = false;
    const it = h("button", { type: "button", onclick: async () => {
      if (isBusy) return;
      isBusy = true;
      it.setAttribute("aria-disabled", "true");
      try {
        say(said, (await post(path, {})).told);
      } catch (problem) {
        say(said, problem.message);
      }
      isBusy = false;
      it.removeAttribute("aria-disabled");
    } }, label);
    return it;
  };
  fill(place, button("Start a sale", "/ui/api/demo/sale"), button("Kill a node", "/ui/api/demo/kill"), h("a", { href: "/shop" }, "Open the shop"), said);
}
