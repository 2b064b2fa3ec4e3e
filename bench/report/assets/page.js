// The page of a report: draws the charts from the data in it, by what the reader has chosen. Loads nothing.
"use strict";

const byId = (id) => document.getElementById(id);
const NARROW = 760; // below this width in pixels, legends stand under their chart
const MOST_ROWS = 2000; // a longer table would take the browser seconds

let data; // what bench/report/page.py wrote
let state; // the reader's choice
let drawing = 0; // the number of the newest drawing; an older one that is still under way gives up

async function unpack() {
  const packed = Uint8Array.from(atob(byId("data").textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// The choice, and its form in the fragment of the address: #metric=lines&slots=log&cost=linear&s=linear&s=rbtree

function initial() {
  return { metric: Object.keys(data.metrics)[0] ?? "", slots: "log", cost: "log", strategies: data.shown, at: "" };
}

function fromFragment() {
  const found = initial();
  const given = new URLSearchParams(location.hash.slice(1));
  const unknown = [];
  const take = (key, allowed) => {
    const value = given.get(key);
    if (value === null) return;
    if (allowed(value)) found[key] = value;
    else unknown.push(`${key}=${value}`);
  };
  take("metric", (value) => value in data.metrics);
  for (const axis of ["slots", "cost"]) take(axis, (value) => value === "log" || value === "linear");
  take("at", (value) => byId(value) !== null);
  if (given.has("s")) {
    const names = given.getAll("s").filter((name) => name !== "");
    unknown.push(...names.filter((name) => !(name in data.styles)));
    found.strategies = names.filter((name) => name in data.styles);
  }
  if (unknown.length) say(`This report does not have what the link asks for: ${unknown.join(", ")}.`);
  return found;
}

function toFragment() {
  const shown = new URLSearchParams({ metric: state.metric, slots: state.slots, cost: state.cost });
  for (const name of state.strategies.length ? state.strategies : [""]) shown.append("s", name);
  if (state.at) shown.set("at", state.at);
  history.replaceState(null, "", `#${shown}`);
}

function say(words) {
  byId("status").textContent = words;
}

// Controls

function showChoice() {
  if (byId("metric")) byId("metric").value = state.metric;
  for (const axis of ["slots", "cost"]) if (byId(`${axis}-axis`)) byId(`${axis}-axis`).value = state[axis];
  const chosen = new Set(state.strategies);
  for (const box of document.querySelectorAll("input[name=strategy]")) box.checked = chosen.has(box.value);
}

function choose(change) {
  state = { ...state, ...change };
  say("");
  toFragment();
  showChoice();
  return draw();
}

function listen() {
  const changed = (id, key) => byId(id)?.addEventListener("change", (event) => choose({ [key]: event.target.value }));
  changed("metric", "metric");
  changed("slots-axis", "slots");
  changed("cost-axis", "cost");
  byId("strategies")?.addEventListener("change", () => {
    const boxes = [...document.querySelectorAll("input[name=strategy]:checked")];
    choose({ strategies: boxes.map((box) => box.value) });
  });
  const named = { all: () => Object.keys(data.styles), none: () => [], first: () => data.shown };
  for (const [id, names] of Object.entries(named)) {
    byId(`choose-${id}`)?.addEventListener("click", () => choose({ strategies: names() }));
  }
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      state.at = link.getAttribute("href").slice(1);
      toFragment();
      goTo(state.at);
    });
  }
  window.addEventListener("hashchange", () => {
    say("");
    state = fromFragment();
    showChoice();
    draw();
    goTo(state.at);
  });
  for (const details of document.querySelectorAll("details[data-chart], details[data-rows]")) {
    details.addEventListener("toggle", () => fill(details));
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-source]");
    if (button) showJson(button.dataset.source, button.dataset.at);
  });
}

function goTo(id) {
  const place = id && byId(id);
  if (!place) return;
  place.scrollIntoView();
  place.focus({ preventScroll: true });
}

// Charts

function chosenRows(chart) {
  const chosen = new Set(state.strategies);
  return chart.rows.filter(
    (row) =>
      (!chart.byMetric || row.metric === state.metric) && (!chart.byStrategy || chosen.has(row.strategy)),
  );
}

function drawableRows(chart, rows) {
  const cost = chart.axes ? state.cost : "log";
  return cost === "log" ? rows.filter((row) => chart.positive.every((key) => row[key] > 0)) : rows;
}

// A copy of a specification for the chosen axes. Scales keep the names that are shown, so that legends have no others.
function specOf(chart, rows) {
  const names = new Set(rows.flatMap((row) => [row.strategy, row.cheapest]));
  const of = (part) => {
    if (Array.isArray(part)) return part.map(of);
    if (part === null || typeof part !== "object") return part;
    const copy = Object.fromEntries(Object.entries(part).map(([key, value]) => [key, of(value)]));
    if (copy.scale && Array.isArray(copy.scale.domain) && Array.isArray(copy.scale.range)) {
      const kept = [...copy.scale.domain.keys()].filter((i) => names.has(copy.scale.domain[i]));
      for (const key of ["domain", "range"]) copy.scale[key] = kept.map((i) => copy.scale[key][i]);
    }
    if (copy.scale && copy.scale.type === "log" && chart.axes) {
      if (state[copy.field === "slots" ? "slots" : "cost"] === "linear") copy.scale = { type: "linear", nice: false, padding: copy.scale.padding };
    }
    if (chart.byMetric && (copy.title === "cost" || copy.title === "cost of a gfn lookup")) {
      copy.title = copy.title.replace("cost", data.metrics[state.metric]);
    }
    return copy;
  };
  const spec = of(chart.spec);
  return { ...spec, width: "container", datasets: { rows }, config: configuration(), autosize: { type: "fit-x", contains: "padding" } };
}

// Colours are variables of the style sheet, so that light, dark and print need no other drawing.
function themed(spec) {
  const text = JSON.stringify(spec).replaceAll('"white"', '"var(--paper, white)"');
  return JSON.parse(text.replaceAll(/"#[0-9A-Fa-f]{6}"/g, (hex) => JSON.stringify(data.colours[JSON.parse(hex)] ?? JSON.parse(hex))));
}

function configuration() {
  const ink = "var(--ink, black)";
  const faint = "var(--faint, grey)";
  const narrow = byId("main").clientWidth < NARROW;
  return {
    background: "transparent",
    font: "sans-serif",
    view: { stroke: faint },
    axis: { labelColor: ink, titleColor: ink, gridColor: "var(--rule, lightgrey)", domainColor: faint, tickColor: faint },
    legend: { labelColor: ink, titleColor: ink, ...(narrow ? { orient: "bottom", columns: 2 } : { orient: "right" }) },
    text: { color: ink },
  };
}

async function draw() {
  const mine = ++drawing;
  document.body.dataset.state = "drawing";
  for (const chart of data.charts) {
    await drawOne(chart);
    if (mine !== drawing) return;
  }
  for (const details of document.querySelectorAll("details[data-chart][open]")) fill(details);
  document.body.dataset.state = "ready";
}

async function drawOne(chart) {
  const place = byId(`${chart.id}-chart`);
  const chosen = chosenRows(chart);
  const rows = drawableRows(chart, chosen);
  const gone = byId(`${chart.id}-gone`);
  const missing = chosen.length - rows.length;
  gone.textContent = !chosen.length
    ? "Nothing that is selected has figures by this metric."
    : missing
      ? `Not on the logarithmic axis: ${missing} of ${chosen.length} figures, at or below zero. The table has them.`
      : "";
  gone.hidden = gone.textContent === "";
  if (chart.view) chart.view.finalize();
  chart.view = undefined;
  place.replaceChildren();
  place.hidden = rows.length === 0;
  if (!rows.length) return;
  const result = await vegaEmbed(place, themed(specOf(chart, rows)), { renderer: "svg", actions: false, ast: true });
  chart.view = result;
  const drawn = place.querySelector("svg");
  drawn.setAttribute("aria-label", `${chart.title}. The table below has the same figures.`);
}

// Tables

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...(Array.isArray(content) ? content : [content]));
  return made;
}

function words(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }) : String(value);
}

function jsonButton(source, at, of) {
  return element("button", "JSON", { type: "button", "data-source": source, "data-at": at, "aria-label": `JSON of ${of}` });
}

function table(titles, lines, caption) {
  const head = element("tr", titles.map((title) => element("th", title, { scope: "col" })));
  const made = element("table", [element("caption", caption), element("thead", head), element("tbody", lines)]);
  return element("div", made, { class: "scroll", tabindex: "0", role: "region", "aria-label": caption });
}

function cells(values) {
  return values.map((value, i) =>
    i === 0
      ? element("th", words(value), { scope: "row" })
      : element("td", value instanceof Node ? value : words(value), typeof value === "number" ? { class: "number" } : {}),
  );
}

function fill(details) {
  if (!details.open) return;
  const made = details.dataset.chart ? chartTable(details.dataset.chart) : rowsTable(details.dataset.rows, details.dataset.at);
  details.querySelector(".content").replaceChildren(...made);
}

function chartTable(id) {
  const chart = data.charts.find((one) => one.id === id);
  const rows = chosenRows(chart);
  const shown = rows.slice(0, MOST_ROWS);
  const lines = shown.map((row) =>
    element("tr", cells([
      ...chart.columns.map(([key]) => row[key]),
      row.at === undefined ? "" : jsonButton(row.source, row.at, `${row.strategy ?? row.workload}`),
    ])),
  );
  const made = [table([...chart.columns.map(([, title]) => title), "raw"], lines, `${chart.title}: figures`)];
  if (shown.length < rows.length) made.push(element("p", `The first ${shown.length} of ${rows.length} rows.`));
  return made;
}

function rowsTable(source, at) {
  const run = follow(source, at);
  const prefix = at ? `${at}/` : "";
  const made = [];
  for (const [role, rows] of [...Object.entries(run.roles), ["setup", run.setup]]) {
    const lines = rows.map((row, i) => {
      const figures = row.figures;
      const time = role === "setup" ? figures?.ns : figures?.ns?.[data.ranked];
      const path = role === "setup" ? `${prefix}setup/${i}` : `${prefix}roles/${role}/${i}`;
      const values = [
        row.name,
        row.reason ? `${row.state}: ${row.reason}` : row.state,
        figures?.lines,
        figures?.slots_examined,
        time?.median,
        figures?.slot_stride,
        jsonButton(source, path, row.name),
      ];
      return element("tr", cells(values), row.state === "verified" ? {} : { class: "gone" });
    });
    const titles = ["strategy", "state", "lines", "slots examined", "ns", "slot stride, bytes", "raw"];
    made.push(table(titles, lines, `${role}: all rows`));
  }
  return made;
}

function follow(source, at) {
  return at.split("/").filter((key) => key !== "").reduce((found, key) => found[key], data.documents[source]);
}

function showJson(source, at) {
  byId("json-title").textContent = `${source}: ${at || "whole"}`;
  byId("json-text").textContent = JSON.stringify(follow(source, at), null, 2);
  byId("json").showModal();
}

async function start() {
  data = await unpack();
  state = fromFragment();
  showChoice();
  listen();
  await draw();
  goTo(state.at);
  let width = byId("main").clientWidth;
  new ResizeObserver(() => {
    const crossed = byId("main").clientWidth < NARROW !== width < NARROW;
    width = byId("main").clientWidth;
    if (crossed) draw();
  }).observe(byId("main"));
}

start().catch((error) => {
  document.body.dataset.state = "failed";
  say(`The charts cannot be drawn in this browser: ${error.message}. The text of the report is whole.`);
  throw error;
});
