"use strict";

// Sortable tables: a click on a heading sorts by what the cells begin with, numbers as numbers.
const LATER = 1e12;  // “> 400” was not reached by then, and comes after what was
function sortKey(row, column) {
  const text = row.cells[column].innerText.trim();
  const number = parseFloat(text.replace(/[,>≥\s]/g, ""));
  if (Number.isNaN(number)) return text;
  return text.startsWith(">") ? LATER + number : number;
}
function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;  // texts such as “—” come last
}
for (const heading of document.querySelectorAll("th")) {
  heading.querySelector("button").addEventListener("click", () => {
    const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const body = heading.closest("table").tBodies[0], sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) =>
      sign * compare(sortKey(a, heading.cellIndex), sortKey(b, heading.cellIndex)));
    body.append(...rows);
  });
}

// A figure that a link leads to may lie in a closed section.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  const section = target && target.closest("details");
  if (section) { section.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", openTarget);
openTarget();

// The chart: one experiment's replicas, accuracy or loss over the steps.
const CURVES = JSON.parse(document.getElementById("curves").textContent);
const NARROW = matchMedia("(max-width: 600px)").matches;  // where report.css has larger letters
const WIDTH = 1000, HEIGHT = 380, LEFT = NARROW ? 110 : 60, RIGHT = 15, TOP = 20, BOTTOM = NARROW ? 75 : 40;
const svg = document.querySelector("#chart svg"), reading = document.getElementById("reading");
const choice = document.getElementById("experiment");
const buttons = { log: document.getElementById("log"), loss: document.getElementById("loss") };
const shown = { log: true, loss: false };

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  svg.append(made);
  return made;
}
function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) ticks.push(10 ** power);
  return ticks;
}
function linearTicks(high) {
  const step = [1, 2, 5, 10].map(n => n * 10 ** Math.floor(Math.log10(high / 5))).find(s => high / s <= 6);
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, k) => k * step);
}
function scale(low, high, from, to, logarithmic) {  // values between low and high to pixels
  const f = logarithmic ? Math.log10 : v => v;
  return v => from + (to - from) * (f(Math.max(v, low)) - f(low)) / (f(high) - f(low));
}
function axes() {
  const replicas = CURVES[choice.value], kind = shown.loss ? "loss" : "accuracy";
  const last = Math.max(...replicas.map(r => r.step[r.step.length - 1]));
  const losses = replicas.flatMap(r => [...r.train_loss, ...r.validation_loss]).filter(v => v > 0);
  const [low, high] = shown.loss ? [Math.max(Math.min(...losses), 1e-9), Math.max(...losses)] : [0, 1];
  const x = scale(shown.log ? 1 : 0, last, LEFT, WIDTH - RIGHT, shown.log);
  const y = scale(low, high, HEIGHT - BOTTOM, TOP, shown.loss);
  return { replicas, kind, last, low, high, x, y };
}
function draw() {
  const { replicas, kind, last, low, high, x, y } = axes();
  svg.replaceChildren();
  for (const step of shown.log ? logTicks(1, last) : linearTicks(last)) {
    element("line", { class: "grid", x1: x(step), x2: x(step), y1: TOP, y2: HEIGHT - BOTTOM });
    element("text", { x: x(step), y: HEIGHT - BOTTOM + (NARROW ? 30 : 18), "text-anchor": "middle" }, step.toLocaleString("en"));
  }
  for (const value of shown.loss ? logTicks(low, high) : [0, .25, .5, .75, 1]) {
    element("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) });
    const label = shown.loss ? Number(value.toPrecision(1)) : `${100 * value} %`;
    element("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, label);
  }
  element("text", { x: WIDTH - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, "optimizer steps");
  element("text", { x: LEFT, y: HEIGHT - 5 }, shown.loss ? "loss" : "accuracy");
  for (const replica of replicas) for (const part of ["train", "validation"]) {
    const values = replica[`${part}_${kind}`];  // null where a replica has diverged
    const points = values.flatMap((v, k) => v === null ? [] : [`${x(replica.step[k]).toFixed(1)},${y(v).toFixed(1)}`]);
    if (points.length) element("path", { class: part, d: "M" + points.join("L") });
  }
  element("line", { class: "here", id: "here", x1: -9, x2: -9, y1: TOP, y2: HEIGHT - BOTTOM });
  reading.textContent = "Point at the chart to read it.";
}
function read(event) {
  const { replicas, kind, last, x } = axes(), box = svg.getBoundingClientRect();
  const at = (event.clientX - box.left) / box.width * WIDTH;
  const nearest = r => r.step.reduce((best, s, k) => Math.abs(x(s) - at) < Math.abs(x(r.step[best]) - at) ? k : best, 0);
  const k0 = nearest(replicas[0]), text = v => v === null ? "no number" : shown.loss ? v.toPrecision(3) : `${(100 * v).toFixed(1)} %`;
  const here = document.getElementById("here");
  here.setAttribute("x1", x(replicas[0].step[k0]));
  here.setAttribute("x2", x(replicas[0].step[k0]));
  const values = part => replicas.map(r => text(r[`${part}_${kind}`][nearest(r)])).join(", ");
  reading.innerText = `Step ${replicas[0].step[k0].toLocaleString("en")}, ${kind} of each replica:\n`
    + `training ${values("train")}\nvalidation ${values("validation")}`;
}
function toggle(name) {
  shown[name] = !shown[name];
  buttons[name].setAttribute("aria-pressed", shown[name]);
  draw();
}
choice.addEventListener("change", draw);
buttons.log.addEventListener("click", () => toggle("log"));
buttons.loss.addEventListener("click", () => toggle("loss"));
svg.addEventListener("pointermove", read);
svg.addEventListener("pointerdown", read);
draw();
