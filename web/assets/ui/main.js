// The shell: which page is shown, how the cluster stands, light and dark. Pages are beside it in pages/.
import { h, fill } from "./dom.js";
import { get, poll } from "./api.js";
import overview from "./pages/overview.js";
import stock from "./pages/stock.js";
import reservations from "./pages/reservations.js";
import sales from "./pages/sales.js";
import problems from "./pages/problems.js";
import cluster from "./pages/cluster.js";

const pages = { "": overview, stock, reservations, sales, problems, cluster };
const main = document.getElementById("main");
const tabs = document.getElementById("tabs");
let leave = () => {};

/** What every page gets: the last overview, and who wants to hear of the next. */
const context = {
  overview: null,
  listeners: new Set(),
  /** Calls `hear` with each overview until the returned function is called. */
  follow(hear) {
    this.listeners.add(hear);
    if (this.overview) hear(this.overview);
    return () => this.listeners.delete(hear);
  },
};

/** The page and its parameters, as the address has them: `#/stock?sku=LIP-01`. */
function route() {
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: name in pages ? name : "", query: new URLSearchParams(query ?? "") };
}

function open() {
  leave();
  const { name, query } = route();
  const page = pages[name];
  const links = Object.entries(pages).map(([key, { title }]) => h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null }, title));
  fill(tabs, links);
  document.title = `${page.title} · Holdfast`;
  fill(main);
  leave = page.render(main, query, context) ?? (() => {});
}

function showStanding(overview) {
  const pill = document.getElementById("standing");
  const up = overview.nodes.filter((node) => node.up).length;
  const all = overview.nodes.length;
  const [kind, lost] = overview.serving ? (up === all ? ["good", `can lose ${overview.can_lose}`] : ["warn", `can lose ${overview.can_lose}`]) : ["bad", "no quorum"];
  pill.className = `pill ${kind}`;
  fill(pill, `${up} of ${all} nodes, ${lost}`);
  fill(document.getElementById("cluster-name"), `${overview.cluster_id} · node ${overview.node_id}`);
  const banner = document.getElementById("banner");
  const said = bannerOf(overview);
  banner.hidden = !said;
  fill(banner, said ?? "");
}

/** Looks in a row at which some shard had no leader: while one is handed over there is none for a moment, which is no news. */
let leaderlessLooks = 0;

function bannerOf(overview) {
  const leaderless = overview.shards.filter((shard) => !shard.leader_node_id).length;
  leaderlessLooks = leaderless > 0 ? leaderlessLooks + 1 : 0;
  if (leaderlessLooks > 1) return `${leaderless} of ${overview.shards.length} shards have no leader: nothing is sold there. What you see is this node's own copy, as it was ${Math.round(overview.age_ms / 1000)} s ago.`;
  const halted = overview.shards.filter((shard) => shard.halted).map((shard) => shard.shard);
  if (halted.length > 0) return `An audit has halted shard ${halted.join(", ")}: see Problems.`;
  return null;
}

function lost() {
  const banner = document.getElementById("banner");
  banner.hidden = false;
  fill(banner, "This node does not answer. The page asks it again each second; another node's page may tell more.");
  const pill = document.getElementById("standing");
  pill.className = "pill bad";
  fill(pill, "not reached");
}

const themes = ["auto", "light", "dark"];
function theme(choice) {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  localStorage.setItem("holdfast-theme", choice);
  document.dispatchEvent(new Event("holdfast:theme"));
}
theme(themes.includes(localStorage.getItem("holdfast-theme")) ? localStorage.getItem("holdfast-theme") : "auto");
document.getElementById("theme").addEventListener("click", () => {
  const now = localStorage.getItem("holdfast-theme") ?? "auto";
  theme(themes[(themes.indexOf(now) + 1) % themes.length]);
});

addEventListener("hashchange", () => { open(); main.focus({ preventScroll: true }); });
open();
poll(1000, () => get("/ui/api/overview"), (overview) => {
  context.overview = overview;
  showStanding(overview);
  context.listeners.forEach((hear) => hear(overview));
}, lost);
