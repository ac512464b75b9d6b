// What every report page shares: elements, numbers, sortable tables, line charts. Nothing is fetched.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const shown = (value, digits) => (isNumber(value) ? value.toFixed(digits) : "–");
const bytesText = (value) =>
  !isNumber(value) ? "–" : value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GiB` : `${(value / 2 ** 20).toFixed(0)} MiB`;

// columns: {title, value(row), text(row), kind: "text" for words}. A click on a heading sorts, a second one turns round.
function sortableTable(table, columns, rows) {
  const head = element("tr"), body = element("tbody");
  const fill = (ordered) =>
    body.replaceChildren(...ordered.map((row) => element("tr", {}, ...columns.map((column) => {
      const cell = element("td", column.kind ? { class: column.kind } : {});
      cell.append(column.text ? column.text(row) : String(column.value(row)));
      return cell;
    }))));
  columns.forEach((column) => {
    const button = element("button", { type: "button" }, column.title);
    const heading = element("th", column.kind ? { class: column.kind, scope: "col" } : { scope: "col" }, button);
    button.addEventListener("click", () => {
      const falls = heading.getAttribute("aria-sort") === "ascending";
      for (const other of head.children) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const compare = (a, b) => {
        const x = column.value(a), y = column.value(b);
        if (isNumber(x) && isNumber(y)) return x - y;
        if (isNumber(x) !== isNumber(y)) return isNumber(x) ? -1 : 1;  // what is missing goes last
        return String(x).localeCompare(String(y));
      };
      fill([...rows].sort((a, b) => (falls ? -compare(a, b) : compare(a, b))));
    });
    head.append(heading);
  });
  table.replaceChildren(element("thead", {}, head), body);
  fill(rows);
}

function roundTicks(least, most, count) {
  const span = most - least || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const spacing = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= count);
  const ticks = [];
  for (let i = Math.ceil(least / spacing - 1e-9); i * spacing <= most + spacing * 1e-9; ++i) ticks.push(i * spacing);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(spacing) + 1e-9)) };
}

// A line chart. series: {name, colour, values}; gaps where a value is no number. Returns {svg, cursor(index)}.
function lineChart({ title, across, series, least }) {
  const width = 480, height = 220, left = 52, right = 10, top = 24, bottom = 34;
  const values = series.flatMap((line) => line.values).filter(isNumber);
  let low = least ?? Math.min(...values), high = Math.max(...values);
  if (!values.length) [low, high] = [0, 1];
  if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
  const count = Math.max(2, ...series.map((line) => line.values.length));
  const x = (index) => left + ((width - left - right) * index) / (count - 1);
  const y = (value) => height - bottom - ((height - top - bottom) * (value - low)) / (high - low);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  svg.append(drawn("text", { x: left, y: 14 }, title));
  const up = roundTicks(low, high, 5);
  for (const tick of up.ticks) {
    svg.append(drawn("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), stroke: "var(--line)" }));
    svg.append(drawn("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(up.digits)));
  }
  for (const tick of roundTicks(0, count - 1, 8).ticks) {
    if (Number.isInteger(tick)) svg.append(drawn("text", { x: x(tick), y: height - bottom + 15, "text-anchor": "middle" }, String(tick)));
  }
  svg.append(drawn("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, across));
  for (const line of series) {
    let path = "", draws = false;
    line.values.forEach((value, index) => {
      if (isNumber(value)) path += `${draws ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      draws = isNumber(value);
    });
    svg.append(drawn("path", { d: path, fill: "none", stroke: line.colour, "stroke-width": 2 }));
  }
  const mark = drawn("line", { class: "cursor", y1: top, y2: height - bottom, x1: x(0), x2: x(0) });
  svg.append(mark);
  return {
    svg,
    cursor(index) {
      mark.setAttribute("x1", x(index));
      mark.setAttribute("x2", x(index));
    },
  };
}
