// A shop front for the demo: what it shows comes over one WebSocket, what it does over REST. Two windows may race for the last unit.
// Every element is made once and only its text changes: a button that was replaced under a finger would not be pressed.
import { h, number, say } from "/ui/dom.js";
import { get, post, path, freshKey, isFinal } from "/ui/api.js";

const TTL_S = 120;
const part = (id) => document.getElementById(id);

/** By SKU: name, what is left, what is said of it, and the elements that show it. */
const products = new Map();
let most = 0;
let hold = null;
let isBusy = false;

/** By what is done: the key under which it is asked for, until there is an answer that stays. */
const keys = new Map();

/** Asks for a change once, however often somebody presses: what was not heard of is asked for under its first key. */
async function once(what, address, body) {
  const key = keys.get(what) ?? freshKey();
  keys.set(what, key);
  try {
    const done = await post(address, body, key);
    keys.delete(what);
    return done;
  } catch (problem) {
    if (isFinal(problem)) keys.delete(what);
    throw problem;
  }
}

function wordsOf(status, isBack) {
  switch (status) {
    case "out": return ["bad-text", "Sold out"];
    case "low": return ["warn-text", isBack ? "Restocked: last items remaining" : "Last items remaining"];
    case "in_stock": return isBack ? ["good-text", "Restocked"] : ["soft", "In stock"];
    default: return ["soft", "…"];
  }
}

function show(product) {
  const { name, quantity, status, message, shown } = product;
  const left = quantity ?? 0;
  say(shown.name, name);
  if (product.hot) {
    most = Math.max(most, left, product.stock ?? 0);
    say(shown.words, status === undefined ? "…" : status === "out" ? "Sold out. What is held and not paid comes back." : `${number(left)} left`);
    say(shown.note, message ?? "");
    shown.fill.style.width = `${most === 0 ? 0 : (100 * left) / most}%`;
    shown.bar.setAttribute("aria-label", `${left} of ${most} left`);
  } else {
    const [kind, words] = wordsOf(status, message === "Restocked");
    shown.note.className = `note ${kind}`;
    say(shown.note, words);
  }
  // Not `disabled`: that would take the focus from whoever is there by keyboard.
  shown.button.setAttribute("aria-disabled", String(status === "out" || hold !== null || isBusy));
}

function showBag() {
  const isHeld = hold !== null;
  part("bag-empty").hidden = isHeld;
  part("bag-held").hidden = !isHeld;
  part("bag-does").classList.toggle("away", !isHeld);
  for (const id of ["pay", "give-back"]) part(id).setAttribute("aria-disabled", String(isBusy));
  if (!isHeld) return;
  const left = Math.max(0, Math.ceil((hold.until - Date.now()) / 1000));
  say(part("bag-what"), products.get(hold.sku)?.name ?? hold.sku);
  say(part("bag-left"), `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`);
}

function showAll() {
  products.forEach(show);
  showBag();
}

const tell = (text) => say(part("said"), text);

/** Does one thing at a time. */
async function doing(work) {
  if (isBusy) return;
  isBusy = true;
  showAll();
  try {
    await work();
  } catch (problem) {
    tell(problem.message);
  } finally {
    isBusy = false;
    showAll();
  }
}

function take(sku) {
  if (hold) return tell("You hold one already: pay for it, or give it back.");
  const { name, status, shown } = products.get(sku);
  if (status === "out") return tell(`${name}: nothing of it is left.`);
  return doing(async () => {
    try {
      const done = await once(`hold ${sku}`, "/v1/reservations", { lines: [{ sku, units: 1 }], ttl_s: TTL_S, customer: customer() });
      hold = { id: done.reservation_id, sku, until: done.expires_at_ms };
      tell("It is yours for two minutes: pay within them.");
      showBag();
      // Whoever pressed by keyboard goes on there.
      if (document.activeElement === shown.button && shown.button.matches(":focus-visible")) part("pay").focus();
    } catch (problem) {
      if (problem.reason !== "INSUFFICIENT_STOCK") throw problem;
      tell(`${name}: somebody was faster. Nothing of it is left.`);
    }
  });
}

/** Pays or gives back. The hold stays in the bag until the cluster has said what became of it. */
function settle(verb, told) {
  if (!hold) return undefined;
  return doing(async () => {
    const { id } = hold;
    try {
      await once(`${verb} ${id}`, `${path("v1", "reservations", id)}:${verb}`, {});
      empty(told);
    } catch (problem) {
      if (isFinal(problem)) empty(problem.message);
      else tell(`It is not known yet whether that was done: press again. ${problem.message}`);
    }
  });
}

function empty(told) {
  const { sku } = hold;
  hold = null;
  tell(told);
  if (part("bag").contains(document.activeElement)) products.get(sku)?.shown.button.focus({ preventScroll: true });
}

part("pay").addEventListener("click", () => settle("commit", "Thank you: it is yours."));
part("give-back").addEventListener("click", () => settle("release", "Given back."));
setInterval(() => {
  // While an answer is waited for it may have been paid in time.
  if (hold && !isBusy && hold.until <= Date.now()) {
    empty("Your hold has ended: it is for others again.");
    showAll();
  }
  showBag();
}, 500);

/** One name a window, so that two windows are two customers. */
let named = null;
function customer() {
  try {
    named ??= sessionStorage.getItem("customer") ?? `window-${freshKey()}`;
    sessionStorage.setItem("customer", named);
  } catch {
    // Without storage it is another customer after each reload.
    named ??= `window-${freshKey()}`;
  }
  return named;
}

function listen() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/public/v1/ws`);
  socket.onopen = () => socket.send(JSON.stringify({ subscribe: { skus: [...products.keys()] } }));
  socket.onmessage = ({ data }) => {
    const told = JSON.parse(data);
    const product = told.type === "availability" ? products.get(told.sku) : undefined;
    if (!product) return;
    Object.assign(product, { quantity: told.quantity, status: told.status, message: told.message });
    show(product);
  };
  socket.onclose = () => setTimeout(listen, 1000);
}

function place(product, at) {
  const { sku } = product;
  if (product.hot) {
    const shown = { name: part("hot-name"), words: part("hot-left"), note: part("hot-note"), bar: part("hot-bar"), fill: part("hot-bar").firstElementChild, button: part("hot-take") };
    shown.button.addEventListener("click", () => take(sku));
    return shown;
  }
  const shade = h("div", { class: "shade" });
  shade.style.background = `hsl(${(at * 47) % 360} 62% 58%)`;
  const [name, note] = [h("strong", null), h("span", { class: "note" })];
  const button = h("button", { type: "button", onclick: () => take(sku) }, "Hold one", h("span", { class: "heard" }, `: ${product.name}`));
  part("shelf").append(h("li", { "data-sku": sku }, shade, name, note, button));
  return { name, note, button };
}

async function catalogue() {
  for (;;) {
    try {
      return (await get("/shop/api/products")).products;
    } catch (problem) {
      tell(problem.message);
      await new Promise((resume) => setTimeout(resume, 1000));
    }
  }
}

(await catalogue()).forEach((product, at) => products.set(product.sku, { ...product, shown: place(product, at) }));
tell("");
showAll();
listen();
