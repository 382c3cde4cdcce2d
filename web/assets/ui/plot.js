// Curves over time. uPlot draws; the colours are the page's own, and marks say what happened to nodes.
import uPlot from "/ui/vendor/uplot.js";
import { h, clock, number } from "./dom.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A plot of lines over one time axis. `lines`: `[label, css colour, axis]` each, axis "units" or "rate".
 * Returns `{ element, show(times_ms, values, marks) }`; values: one array a line; marks: `{ at_ms, what }`.
 */
export function plot(lines, description) {
  const box = h("div", { class: "plot", role: "img", "aria-label": description });
  let drawn = null;
  let marks = [];
  const build = () => {
    drawn?.destroy();
    const axis = (scale, side) => ({
      scale, side, stroke: colour("--soft"), grid: { stroke: side === 3 ? colour("--line") : "transparent", width: 1 }, ticks: { show: false }, size: 58,
      values: (_, ticks) => ticks.map(number),
    });
    const time = { stroke: colour("--soft"), grid: { show: false }, ticks: { show: false }, values: (_, ticks) => ticks.map((s) => clock(s * 1000)), space: 90, size: 34 };
    const options = {
      width: Math.max(box.clientWidth, 200), height: box.clientHeight || 260, padding: [12, 8, 0, 0],
      cursor: { points: { size: 6 } }, legend: { show: false },
      scales: { x: { time: true }, units: { range: (_, least, most) => [0, Math.max(most * 1.08, 10)] }, rate: { range: (_, least, most) => [0, Math.max(most * 1.2, 10)] } },
      axes: [time, axis("units", 3), ...(lines.some(([, , scale]) => scale === "rate") ? [axis("rate", 1)] : [])],
      series: [{}, ...lines.map(([label, css, scale]) => ({ label, scale, stroke: colour(css), width: 2, points: { show: false }, spanGaps: false }))],
      hooks: { draw: [(u) => drawMarks(u, marks)] },
    };
    drawn = new uPlot(options, [[], ...lines.map(() => [])], box);
  };
  const redraw = () => {
    const data = drawn?.data;
    build();
    if (data) drawn.setData(data);
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const sized = new ResizeObserver(() => (drawn ? drawn.setSize({ width: Math.max(box.clientWidth, 200), height: box.clientHeight }) : build()));
  sized.observe(box);
  document.addEventListener("holdfast:theme", redraw);
  scheme.addEventListener("change", redraw);
  return {
    element: box,
    show(times, values, happened) {
      marks = happened ?? [];
      if (!drawn && box.clientWidth) build();
      drawn?.setData([times.map((ms) => ms / 1000), ...values]);
    },
    close() {
      sized.disconnect();
      document.removeEventListener("holdfast:theme", redraw);
      scheme.removeEventListener("change", redraw);
      drawn?.destroy();
    },
  };
}

function drawMarks(u, marks) {
  const { ctx } = u;
  const [least, most] = [u.scales.x.min, u.scales.x.max];
  ctx.save();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  for (const [nth, { at_ms, what, kind }] of marks.entries()) {
    const at = at_ms / 1000;
    if (at < least || at > most) continue;
    const x = Math.round(u.valToPos(at, "x", true));
    ctx.strokeStyle = ctx.fillStyle = colour(kind === "good" ? "--good" : "--bad");
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, u.bbox.top);
    ctx.lineTo(x, u.bbox.top + u.bbox.height);
    ctx.stroke();
    // Beside its line: behind it, or before it where that would be beyond the plot.
    const width = ctx.measureText(what).width;
    const beside = x + 5 * devicePixelRatio;
    const text = beside + width <= u.bbox.left + u.bbox.width ? beside : Math.max(u.bbox.left, x - (beside - x) - width);
    // A phone has room for the lines alone.
    if (u.width < 480) continue;
    ctx.textAlign = "left";
    ctx.fillText(what, text, u.bbox.top + (13 + (nth % 3) * 15) * devicePixelRatio);
  }
  ctx.restore();
}
