// A shop front for the demo: what it shows comes over one WebSocket, what it does over REST. Two windows may race for the last unit.
import { h, fill, number } from "/ui/dom.js";
import { get, post, path } from "/ui/api.js";

const TTL_S = 120;
const hot = document.getElementById("hot");
const shelf = document.getElementById("shelf");
const bag = document.getElementById("bag");
const banner = document.getElementById("banner");

/** By SKU: name, what is left, what is said of it, and how to draw it. */
const products = new Map();
let most = 0;
let hold = null;

function say(text) {
  banner.hidden = !text;
  fill(banner, text ?? "");
}

function drawHot(product) {
  const left = product.quantity ?? 0;
  most = Math.max(most, left, product.stock ?? 0);
  const bar = h("div", { class: "bar-fill" });
  bar.style.width = `${most === 0 ? 0 : (100 * left) / most}%`;
  fill(hot,
    h("div", null, h("h1", null, product.name), h("p", null, product.status === "out" ? "Sold out. What is held and not paid comes back." : `${number(left)} left`), h("p", { class: "note" }, product.message ?? "")),
    h("button", { type: "button", disabled: product.status === "out" || hold !== null, onclick: () => take(product.sku) }, "Hold one for me"),
    h("div", { class: "bar-track", role: "img", "aria-label": `${left} of ${most} left` }, bar));
}

function drawShelf(product) {
  const shade = h("div", { class: "shade" });
  shade.style.background = `hsl(${product.hue} 62% 58%)`;
  const words = product.status === "out" ? ["bad-text", "Sold out"] : product.status === "low" ? ["warn-text", "Last items remaining"] : ["soft", "In stock"];
  const note = product.message === "Restocked" ? ["good-text", "Restocked"] : words;
  fill(product.place, shade, h("strong", null, product.name), h("span", { class: `note ${note[0]}` }, note[1]),
    h("button", { type: "button", disabled: product.status === "out" || hold !== null, onclick: () => take(product.sku) }, "Hold one"));
}

const draw = (product) => (product.hot ? drawHot(product) : drawShelf(product));
const drawAll = () => products.forEach(draw);

async function take(sku) {
  try {
    const done = await post("/v1/reservations", { lines: [{ sku, units: 1 }], ttl_s: TTL_S, customer: customer() });
    hold = { id: done.reservation_id, sku, until: Date.now() + TTL_S * 1000 };
    say("");
  } catch (problem) {
    say(problem.reason === "INSUFFICIENT_STOCK" ? `${products.get(sku).name}: somebody was faster. Nothing of it is left.` : problem.message);
  }
  drawAll();
  drawBag();
}

async function settle(verb, told) {
  const { id } = hold;
  hold = null;
  try {
    await post(`${path("v1", "reservations", id)}:${verb}`, {});
    say(told);
  } catch (problem) {
    say(problem.message);
  }
  drawAll();
  drawBag();
}

function drawBag() {
  bag.hidden = hold === null;
  if (!hold) return;
  const left = Math.max(0, Math.ceil((hold.until - Date.now()) / 1000));
  if (left === 0) {
    hold = null;
    say("Your hold has ended: it is for others again.");
    drawAll();
    drawBag();
    return;
  }
  fill(bag, h("span", null, "Held for you: ", h("strong", null, products.get(hold.sku)?.name ?? hold.sku), ` for ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`),
    h("span", { class: "row-links" }, h("button", { type: "button", onclick: () => settle("commit", "Thank you: it is yours.") }, "Pay"), h("button", { type: "button", class: "ghost", onclick: () => settle("release", "Given back.") }, "Give back")));
}
setInterval(drawBag, 500);

/** One name a window, so that two windows are two customers. */
function customer() {
  const known = sessionStorage.getItem("customer") ?? `window-${crypto.randomUUID()}`;
  sessionStorage.setItem("customer", known);
  return known;
}

function listen() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/public/v1/ws`);
  socket.onopen = () => socket.send(JSON.stringify({ subscribe: { skus: [...products.keys()] } }));
  socket.onmessage = ({ data }) => {
    const told = JSON.parse(data);
    const product = told.type === "availability" ? products.get(told.sku) : undefined;
    if (!product) return;
    Object.assign(product, { quantity: told.quantity, status: told.status, message: told.message });
    draw(product);
  };
  socket.onclose = () => setTimeout(listen, 1000);
}

const { products: sold } = await get("/shop/api/products");
sold.forEach((it, at) => {
  const product = { ...it, hue: (at * 47) % 360, place: h("li") };
  products.set(it.sku, product);
  if (!it.hot) shelf.append(product.place);
});
drawAll();
listen();
