// A part of a page that is asked for again and again. What is shown stays when an answer does not come; one line says since when.
import { h, clock, say } from "./dom.js";
import { poll } from "./api.js";

/** The line, which has its place before it says anything. */
export const asOf = () => h("p", { class: "as-of warn-text", role: "status" });

/** Asks until the returned function is called; `line` is an [`asOf`]. */
export function renew(line, every, ask, show) {
  let shownAt = 0;
  return poll(every, ask, (answer) => {
    show(answer);
    shownAt = Date.now();
    say(line, "");
  }, (problem) => say(line, shownAt ? `Not renewed since ${clock(shownAt)}: ${problem.message}` : problem.message));
}
