// Events as they happen, and what they say in a sentence.
import { number } from "./dom.js";

/** Calls `hear` with each event from now on, until the returned function is called. The browser goes on from the last cursor by itself. */
export function watchEvents(hear, query = "") {
  const source = new EventSource(`/v1/events${query}`);
  source.addEventListener("event", (message) => hear(JSON.parse(message.data)));
  return () => source.close();
}

const WORDS = {
  "stock.received": "received", "stock.adjusted": "corrected", "stock.moved": "moved", "stock.returned": "came back", "stock.shortfall": "is missing for orders",
  "reservation.held": "held", "reservation.committed": "sold", "reservation.fulfilled": "shipped", "reservation.released": "released", "reservation.expired": "hold expired",
  "reservation.amended": "amended", "reservation.extended": "hold extended", "reservation.cancelled": "cancelled", "reservation.short": "is short",
};

/** `LIP-01: 2 sold`. */
export function sentence(event) {
  const word = WORDS[event.kind] ?? event.kind;
  const changes = event.changes ?? [];
  if (changes.length === 0) return word;
  const first = changes[0];
  const delta = ["on_hand", "reserved", "committed"].map((name) => first.delta?.[name] ?? 0).find((units) => units !== 0);
  const more = changes.length > 1 ? ` and ${changes.length - 1} more` : "";
  return `${first.sku}: ${delta === undefined ? "" : `${number(Math.abs(delta))} `}${word}${more}`;
}
