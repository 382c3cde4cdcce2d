// Nodes, shards, and what audits say.
import { h, fill, number, clock, card, span, table } from "../dom.js";
import { get } from "../api.js";

export default { title: "Cluster and audit", render };

function render(root, _query, context) {
  const nodes = h("div");
  const shards = h("div");
  const heads = h("div", null, h("p", { class: "empty" }, "…"));
  fill(root, h("h1", null, "Cluster and audit"),
    h("div", { class: "grid" }, card("Nodes", "", nodes)),
    h("div", { class: "grid" }, card("Shards", "wide", shards), card("Heads of the change logs", "third", heads)));
  const unfollow = context.follow((overview) => {
    fill(nodes, table([
      ["node", (it) => it.node_id],
      ["state", state],
      ["for clients", (it) => h("span", { class: "mono" }, it.client_address)],
      ["leads", (it) => (it.up ? it.leads.join(", ") || "none" : "–")],
      ["up for", (it) => (it.up ? span(it.uptime_ms) : "–"), "number"],
      ["version", (it) => it.version || "–"],
      ["to look at", (it) => (it.warnings.length === 0 ? h("span", { class: "soft" }, "nothing") : h("span", { class: "warn-text" }, it.warnings.join("; ")))],
    ], overview.nodes, "No node is known."));
    fill(shards, table([
      ["shard", (it) => it.shard],
      ["leader", (it) => it.leader_node_id || h("span", { class: "bad-text" }, "none")],
      ["applied", (it) => number(it.applied_index), "number"],
      ["units sold", (it) => number(it.totals.sold), "number"],
      ["held", (it) => number(it.totals.reserved), "number"],
      ["last audit here", (it) => (it.audited_at_ms ? `✓ ${clock(it.audited_at_ms)}` : "–")],
      ["state", (it) => (it.halted ? h("span", { class: "bad-text" }, `halted: ${it.halted}`) : h("span", { class: "good-text" }, "open"))],
    ], overview.shards, "The cluster is not founded yet."));
  });
  get("/ui/api/heads").then(({ heads: all }) => fill(heads,
    h("p", { class: "soft" }, "Signed roots over every event of a shard. Keep them outside of the cluster: ", h("code", null, "holdfast audit head"), "."),
    table([["shard", (it) => it.shard], ["events", (it) => number(it.size), "number"], ["root", (it) => h("span", { class: "mono" }, `${it.root.slice(0, 16)}…`)]], all, "None."),
  ), (problem) => fill(heads, problem.message));
  return unfollow;
}

function state(node) {
  if (!node.up) return h("span", { class: "bad-text" }, "● down");
  return node.ready ? h("span", { class: "good-text" }, "● ready") : h("span", { class: "warn-text" }, "● not ready");
}
