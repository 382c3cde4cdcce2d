// Events as they happen, and what they say in a sentence.
import { number } from "./dom.js";

/** After so long without a stream it begins with what happens from then on: nobody reads the replay of an hour. */
const TOO_LONG_AGO_MS = 60_000;
const PAUSES_MS = [1000, 2000, 5000, 10_000, 20_000];
/** The rest of what came between two pictures is not shown. */
const MOST = 100;

/**
 * Calls `hear` with the events that came since the last picture of the page, oldest first, and `told` with whether they can be heard,
 * until the returned function is called. The browser goes on from the last cursor by itself after a break; where it gives up, since a node
 * answered with a refusal, the stream is opened again here.
 */
export function watchEvents(hear, told) {
  let [source, cursor, heardAt, failures, timer, picture, waiting, stopped] = [null, "", Date.now(), 0, 0, 0, [], false];
  const show = () => {
    picture = 0;
    hear(waiting.splice(0));
  };
  const heard = ({ lastEventId }) => {
    if (lastEventId) cursor = lastEventId;
    heardAt = Date.now();
  };
  const open = () => {
    const goesOn = cursor && Date.now() - heardAt < TOO_LONG_AGO_MS;
    source = new EventSource(`/v1/events${goesOn ? `?cursor=${encodeURIComponent(cursor)}` : ""}`);
    source.onopen = () => {
      failures = 0;
      heardAt = Date.now();
      told(true);
    };
    for (const kind of ["cursor", "idle"]) source.addEventListener(kind, heard);
    source.addEventListener("event", (message) => {
      heard(message);
      waiting.push(JSON.parse(message.data));
      if (waiting.length > MOST) waiting.shift();
      // A page that nobody sees has no pictures: what comes meanwhile waits, the latest of it.
      picture ||= requestAnimationFrame(show);
    });
    source.onerror = () => {
      told(false);
      // Else the browser tries by itself: not when it was long away, though, for that would begin with what happened then.
      if (source.readyState !== EventSource.CLOSED && Date.now() - heardAt < TOO_LONG_AGO_MS) return;
      source.close();
      clearTimeout(timer);
      timer = setTimeout(() => stopped || open(), PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]);
      failures += 1;
    };
  };
  open();
  return () => {
    stopped = true;
    clearTimeout(timer);
    cancelAnimationFrame(picture);
    source.close();
  };
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
