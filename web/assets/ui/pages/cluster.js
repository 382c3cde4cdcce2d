// Nodes, shards, and what audits say.
import { h, fill, update, number, clock, card, span, table } from "../dom.js";
import { get } from "../api.js";
import { asOf, renew } from "../renew.js";

/** They are signed one by one. */
const HEADS_EVERY_MS = 15_000;

export default { title: "Cluster and audit", render };

function render(root, _query, context) {
  const nodes = h("div");
  const shards = h("div");
  const line = asOf();
  const heads = h("div", null, h("p", { class: "empty" }, "…"));
  const waits = h("p", { class: "empty" }, "…");
  fill(root, h("h1", null, "Cluster and audit"), waits);
  const unfollow = context.follow((overview) => {
    // All at once: what comes later would push the other away.
    if (waits.isConnected) {
      waits.replaceWith(
        h("div", { class: "grid" }, card("Nodes", "", nodes)),
        h("div", { class: "grid" }, card("Shards", "wide", shards), card("Heads of the change logs", "third", line, heads)));
    }
    update(nodes, table([
      ["node", (it) => it.node_id],
      ["state", state],
      ["for clients", (it) => h("span", { class: "mono" }, it.client_address)],
      ["leads", (it) => (it.up ? it.leads.join(", ") || "none" : "–")],
      ["up for", (it) => (it.up ? span(it.uptime_ms) : "–"), "number"],
      ["version", (it) => it.version || "–"],
      ["to look at", (it) => (it.warnings.length === 0 ? h("span", { class: "soft" }, "nothing") : h("span", { class: "warn-text" }, it.warnings.join("; ")))],
    ], overview.nodes, "No node is known.", (it) => it.node_id));
    update(shards, table([
      ["shard", (it) => it.shard],
      ["leader", (it) => it.leader_node_id || h("span", { class: "bad-text" }, "none")],
      ["applied", (it) => number(it.applied_index), "number"],
      ["units sold", (it) => number(it.totals?.sold), "number"],
      ["held", (it) => number(it.totals?.reserved), "number"],
      ["last audit here", (it) => (it.audited_at_ms ? `✓ ${clock(it.audited_at_ms)}` : "–")],
      ["state", (it) => (it.halted === null ? h("span", { class: "warn-text" }, "not known") : it.halted ? h("span", { class: "bad-text" }, `halted: ${it.halted}`) : h("span", { class: "good-text" }, "open"))],
    ], overview.shards, "The cluster is not founded yet.", (it) => it.shard));
  });
  const stop = renew(line, HEADS_EVERY_MS, () => get("/ui/api/heads"), ({ heads: all }) => update(heads,
    h("p", { class: "soft" }, "Signed roots over every event of a shard. Keep them outside of the cluster: ", h("code", null, "holdfast audit head"), "."),
    table([["shard", (it) => it.shard], ["events", (it) => number(it.size), "number"], ["root", (it) => h("span", { class: "mono" }, `${it.root.slice(0, 16)}…`)]], all, "None.", (it) => it.shard)));
  return () => { unfollow(); stop(); };
}

function state(node) {
  if (!node.up) return h("span", { class: "bad-text" }, "● down");
  return node.ready ? h("span", { class: "good-text" }, "● ready") : h("span", { class: "warn-text" }, "● not ready");
}
