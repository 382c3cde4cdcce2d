// The shell: which page is shown, how the cluster stands, light and dark. Pages are beside it in pages/.
import { h, fill, update, say, ZONE } from "./dom.js";
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
  return { name: Object.hasOwn(pages, name) ? name : "", query: new URLSearchParams(query ?? "") };
}

function open() {
  leave();
  const { name, query } = route();
  const page = pages[name];
  const links = Object.entries(pages).map(([key, { title }]) => h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null }, title));
  update(tabs, links);
  // On a phone there is not room for all of them: the page's own is seen.
  const [mine] = tabs.querySelectorAll("[aria-current]");
  tabs.scrollLeft = Math.max(Math.min(tabs.scrollLeft, mine.offsetLeft - tabs.offsetLeft), mine.offsetLeft - tabs.offsetLeft + mine.offsetWidth - tabs.clientWidth);
  document.title = `${page.title} · Holdfast`;
  fill(main);
  leave = page.render(main, query, context) ?? (() => {});
}

/** How the cluster stands, read out only when it is another. */
function showStanding(overview) {
  const up = overview.nodes.filter((node) => node.up).length;
  const all = overview.nodes.length;
  const [kind, lost] = overview.serving ? (up === all ? ["good", `can lose ${overview.can_lose}`] : ["warn", `can lose ${overview.can_lose}`]) : ["bad", "no quorum"];
  pill(kind, `${up} of ${all} nodes, ${lost}`);
  say(document.getElementById("cluster-name"), `${overview.cluster_id} · node ${overview.node_id}`);
  warn(...(bannerOf(overview) ?? [""]));
}

function pill(kind, text) {
  const standing = document.getElementById("standing");
  standing.className = `pill ${kind}`;
  say(standing, text);
}

/** What is wrong, as an alert; how old the page is beside it changes each second, and is none. */
function warn(text, age = "") {
  const banner = document.getElementById("banner");
  say(document.getElementById("alert"), text);
  say(document.getElementById("age"), age);
  banner.hidden = !text;
}

/** Looks in a row at which some shard had no leader: while one is handed over there is none for a moment, which is no news. */
let leaderlessLooks = 0;

function bannerOf(overview) {
  const leaderless = overview.shards.filter((shard) => !shard.leader_node_id).length;
  leaderlessLooks = leaderless > 0 ? leaderlessLooks + 1 : 0;
  if (leaderlessLooks > 1) return [`${leaderless} of ${overview.shards.length} shards have no leader: nothing is sold there. What you see is this node's own copy.`, overview.age_ms === null ? "How old it is, is not known." : `It is as it was ${Math.round(overview.age_ms / 1000)} s ago.`];
  const halted = overview.shards.filter((shard) => shard.halted).map((shard) => shard.shard);
  if (halted.length > 0) return [`An audit has halted shard ${halted.join(", ")}: see Problems.`];
  return null;
}

function lost() {
  warn("This node does not answer. The page asks it again each second; another node's page may tell more.");
  pill("bad", "not reached");
}

const themes = ["auto", "light", "dark"];
/** The choice, kept where the browser keeps anything for this page. */
let chosen = "auto";
try {
  chosen = localStorage.getItem("holdfast-theme") ?? chosen;
} catch {
  // Storage is blocked: the choice lasts as long as the page.
}
function theme(choice) {
  chosen = choice;
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  try {
    localStorage.setItem("holdfast-theme", choice);
  } catch {
    // As above.
  }
  document.dispatchEvent(new Event("holdfast:theme"));
}
theme(themes.includes(chosen) ? chosen : "auto");
document.getElementById("theme").addEventListener("click", () => theme(themes[(themes.indexOf(chosen) + 1) % themes.length]));
document.querySelectorAll("[data-zone]").forEach((place) => say(place, ZONE));

addEventListener("hashchange", () => { open(); main.focus({ preventScroll: true }); });
open();
poll(1000, () => get("/ui/api/overview"), (overview) => {
  context.overview = overview;
  showStanding(overview);
  context.listeners.forEach((hear) => hear(overview));
}, lost);
