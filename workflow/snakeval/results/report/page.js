"use strict";
// The helpers of the page's scripts, and what has no part of its own. Text from a model becomes a
// text node, never markup.
const data = JSON.parse(document.getElementById("data").textContent);

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
};
const number = (value, sign = false) => {
  if (value === null) return "–";
  const size = Math.abs(value);
  const text = size === 0 || (size >= 1e-3 && size < 100) ? value.toFixed(3)
    : size >= 100 && size < 1e5 ? value.toFixed(1) : value.toPrecision(3);
  return (sign && value > 0 ? "+" : "") + text.replace("-", "−");
};
const chance = (p) => (p === null ? "–" : p < 0.001 ? "< 0.001" : p.toFixed(3));

// A difference between two models on a benchmark, as *model* − *base*; undefined without one.
const FIELDS = ["a", "b", "value", "low", "high", "p", "n", "left", "right", "higher", "lower",
  "detectable", "note", "sure"];
const named = (row) => Object.fromEntries(FIELDS.map((name, index) => [name, row[index]]));
const minus = (value) => (value === null ? null : -value);
const turned = (d) => ({ ...d, a: d.b, b: d.a, value: minus(d.value), low: minus(d.high),
  high: minus(d.low), left: d.right, right: d.left, higher: d.lower, lower: d.higher });
const pairs = new Map();
for (const [benchmark, rows] of Object.entries(data.differences)) {
  for (const row of rows) {
    const found = named(row);
    for (const each of [found, turned(found)]) {
      pairs.set(JSON.stringify([benchmark, each.a, each.b]), each);
    }
  }
}
const difference = (benchmark, model, base) => pairs.get(JSON.stringify([benchmark, model, base]));

// The model to which the page shows differences, or nothing.
const baseline = { model: "", listeners: [] };
baseline.choose = (model) => {
  baseline.model = model;
  for (const listener of baseline.listeners) listener(model);
};

// --- differences of a benchmark ---------------------------------------------------------------

for (const place of document.querySelectorAll("[data-differences]")) {
  const rows = (data.differences[place.dataset.differences] || []).map(named);
  if (!rows.length) continue;
  const inside = place.querySelector(".scroll");
  const update = () => {
    const base = baseline.model;
    const found = base ? rows.filter((d) => d.a === base || d.b === base)
      .map((d) => (d.b === base ? d : turned(d))) : rows;
    place.hidden = !found.length;
    const sure = found.filter((d) => d.sure).length;
    place.querySelector("summary").textContent =
      `${found.length} ${found.length === 1 ? "difference" : "differences"}, ${sure} significant`;
    inside.replaceChildren(...(place.open ? [differences(found)] : []));
  };
  place.addEventListener("toggle", update);
  baseline.listeners.push(update);
  update();
}

function differences(rows) {
  const head = ["models", "difference", "95 % interval", "p", "detectable", "samples"];
  const body = rows.map((d) => {
    const samples = d.n === d.left && d.n === d.right ? `${d.n}` : `${d.n} of ${d.left} and ${d.right}`;
    const ends = d.low === null ? d.note : `${number(d.low, true)} to ${number(d.high, true)}`;
    return make("tr", { title: d.note, className: d.sure ? "sure" : "" },
      make("th", { scope: "row", textContent: `${d.a} − ${d.b}` }),
      ...[number(d.value, true), ends, chance(d.p), number(d.detectable), d.n ? samples : "–"]
        .map((text) => make("td", { className: "number", textContent: text })));
  });
  return make("table", { className: "plain differences" },
    make("thead", {}, make("tr", {}, ...head.map((text, index) =>
      make("th", { scope: "col", textContent: text, className: index ? "number" : "" })))),
    make("tbody", {}, ...body));
}

// --- tables of scores: the column of gaps follows the baseline ---------------------------------

for (const table of document.querySelectorAll(".forest")) {
  const rows = [...table.tBodies[0].rows].filter((row) => row.querySelector("td.gap"));
  const title = table.querySelector("th.gap");
  if (!title) continue;
  const before = rows.map((row) => {
    const gap = row.querySelector("td.gap");
    return [gap.textContent, gap.className];
  });
  baseline.listeners.push((base) => {
    const own = rows.find((row) => row.dataset.model === base);
    title.textContent = own ? `to ${base}` : "to best";
    rows.forEach((row, index) => {
      const gap = row.querySelector("td.gap");
      const p = row.querySelector("td.p");
      if (p) p.hidden = Boolean(own); // it is that of the difference to the best model
      if (!own) {
        [gap.textContent, gap.className] = before[index];
        return;
      }
      const benchmark = table.dataset.benchmark;
      const found = benchmark && difference(benchmark, row.dataset.model, base);
      const comparable = benchmark || !(row.classList.contains("partial") || own.classList.contains("partial"));
      const value = found ? found.value : row.dataset.value - own.dataset.value;
      gap.textContent = row === own ? "baseline" : comparable ? number(value, true) : "";
      gap.className = `number gap${found && found.sure ? " sure" : ""}`;
    });
    if (title.parentElement.querySelector("th.p")) title.parentElement.querySelector("th.p").hidden = Boolean(own);
  });
}

// --- commands to copy -------------------------------------------------------------------------

function copies(text, label = "Copy") {
  const button = make("button", { type: "button", className: "small", textContent: label });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch { // a page from a disk may lack the permission
      const area = make("textarea", { value: text() });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
for (const place of document.querySelectorAll(".copy")) {
  const code = place.querySelector("code");
  const button = copies(() => code.textContent);
  button.setAttribute("aria-label", `Copy ${code.textContent}`);
  place.append(button);
}
