"use strict";
// The page is whole without this. It adds: sorting and filtering of tables, and the runs behind the points of a figure.
(() => {
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const UNITS = { k: 1e3, M: 1e6, B: 1e9 };

  // What a cell is sorted by: its first number where it begins with one, else its text.
  const value = (cell) => {
    const text = (cell?.firstChild?.textContent || cell?.textContent || "").trim().replace("\u2212", "-");
    const found = text.match(/^[<±]?([+-]?\d*\.?\d+(?:e-?\d+)?)([kMB]?)(?=$|[^\w.])/);
    if (found) return parseFloat(found[1]) * (UNITS[found[2]] || 1);
    return text === "–" || text === "" ? null : text.toLowerCase();
  };
  const order = (one, other, way) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === typeof other) return (one < other ? -1 : one > other ? 1 : 0) * way;
    return typeof one === "number" ? -1 : 1;
  };

  // A table in groups becomes one of whole rows: a name that spans rows is written in each.
  const flatten = (table) => {
    const [first, ...rest] = table.tBodies;
    for (const body of [first, ...rest]) {
      for (const cell of body.querySelectorAll("th[rowspan]")) {
        const rows = [...body.rows], at = rows.indexOf(cell.parentNode);
        const span = cell.rowSpan;
        cell.removeAttribute("rowspan");
        cell.scope = "row";
        for (const row of rows.slice(at + 1, at + span)) row.prepend(cell.cloneNode(true));
      }
    }
    for (const body of rest) { first.append(...body.rows); body.remove(); }
    table.classList.add("flat");
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        flatten(table);
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
        rows.sort((one, other) => order(one[0], other[0], way));
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  };

  let fields = 0;
  const filterable = (table) => {
    const id = `filter-${++fields}`;
    const told = make("output", { htmlFor: id });
    const field = make("input", { id, type: "search", autocomplete: "off" });
    const name = table.caption ? table.caption.textContent.trim() : "the table";
    field.setAttribute("aria-label", `Show only rows of “${name}” that hold`);
    field.placeholder = "Filter rows";
    field.addEventListener("input", () => {
      flatten(table);
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...table.tBodies[0].rows];
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      told.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
    });
    (table.closest(".scroll") || table).before(make("div", { className: "filter" }, field, told));
  };

  for (const table of document.querySelectorAll("main table")) {
    const rows = table.querySelectorAll("tbody tr").length;
    if (!table.tHead || rows < 3) continue;
    sortable(table);
    if (rows > 8) filterable(table);
  }

  // Points of the curves: those of a mean can be reached by keyboard, those of a seed by pointer as well.
  const data = JSON.parse(document.getElementById("runs").textContent);
  const SHOWN = 200;
  const behind = ([panel, family, model, seed]) => data.runs.filter(([m, a, t, , unit]) =>
    data.models[m] === model && (data.families[a] === family || a === data.arms.indexOf("none")) &&
    (panel === "all" || data.targets[t] === panel) && (seed === null || unit === seed));
  const link = (key) => {
    if (!key) return "–";
    const to = data.addresses[key];
    return to ? make("a", { href: to, textContent: "open in MLflow" }) : make("code", { textContent: key });
  };
  const listing = (mark) => {
    const [panel, family, model, seed] = mark, runs = behind(mark);
    const where = [family.toUpperCase(), model, panel === "all" ? "all targets" : panel];
    if (seed !== null) where.push(`${data.unit} ${seed}`);
    const heads = ["Arm", "Target", "Seed", "Score", "Ended", "Run"];
    const body = runs.slice(0, SHOWN).map(([, a, t, s, , score, status, key]) => make("tr", {},
      ...[data.arms[a], data.targets[t], s, score === null ? "–" : score.toFixed(1), status].map((text) => make("td", {}, text)),
      make("td", {}, link(key))));
    const table = make("table", {},
      make("caption", {}, `Runs behind ${where.join(", ")}: ${runs.length}` +
        (runs.length > SHOWN ? `, the first ${SHOWN} shown` : "")),
      make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))),
      make("tbody", {}, ...body));
    const region = make("div", { className: "scroll" }, table);
    region.tabIndex = 0;
    region.setAttribute("role", "region");
    region.setAttribute("aria-label", "Runs behind the point");
    return region;
  };

  for (const [figure, ways] of Object.entries(data.marks)) {
    const root = document.getElementById(`figure-${figure}`);
    const place = make("div", { className: "runs" });
    place.setAttribute("aria-live", "polite");
    root.append(make("p", { className: "quiet hint", textContent: "Choose a point to see its runs." }), place);
    for (const [way, marks] of Object.entries(ways)) {
      const holder = root.querySelector(`.${way}`), drawing = holder.querySelector("svg");
      const layer = document.createElementNS(drawing.namespaceURI, "svg");
      layer.setAttribute("viewBox", drawing.getAttribute("viewBox"));
      layer.setAttribute("role", "group");
      layer.setAttribute("aria-label", "Points of the figure");
      layer.classList.add("marks");
      for (const mark of marks) {
        const [panel, family, model, seed, x, y] = mark;
        const dot = document.createElementNS(drawing.namespaceURI, "circle");
        for (const [name, text] of Object.entries({ cx: x, cy: y, r: seed === null ? 7 : 4 })) dot.setAttribute(name, text);
        const label = `${family} at ${model}${panel === "all" ? "" : `, ${panel}`}${seed === null ? "" : `, ${data.unit} ${seed}`}: runs`;
        dot.setAttribute("role", "button");
        dot.setAttribute("aria-label", label);
        if (seed === null) dot.setAttribute("tabindex", "0");
        else dot.setAttribute("aria-hidden", "true");
        const show = () => {
          for (const old of root.querySelectorAll(".marks .on")) old.classList.remove("on");
          dot.classList.add("on");
          place.replaceChildren(listing(mark));
        };
        dot.addEventListener("click", show);
        dot.addEventListener("keydown", (event) => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(); }
        });
        layer.append(dot);
      }
      holder.append(layer);
    }
  }

  // Paper shows everything.
  addEventListener("beforeprint", () => { for (const closed of document.querySelectorAll("details:not([open])")) { closed.open = true; closed.dataset.shut = ""; } });
  addEventListener("afterprint", () => { for (const opened of document.querySelectorAll("details[data-shut]")) { opened.open = false; delete opened.dataset.shut; } });
})();
