(() => {
  "use strict";
  // Sorting: a click orders by the column, the next one turns the order round; empty values stay last.
  const key = (row, column) => {
    const cell = row.cells[column], raw = cell.dataset.sort;
    return raw === undefined ? cell.textContent.trim() : raw === "" ? null : Number(raw);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  // By a column: all parts of a table as one, without their headings; by method: every row back in its part.
  const sort = (table, column, down) => {
    const bodies = [...table.tBodies];
    const rows = bodies.flatMap((body) => [...body.rows].filter((row) => !row.matches(".section")));
    rows.forEach((row) => { row.home ??= row.parentElement; });
    const keyed = rows.map((row) => [key(row, column), row]);
    keyed.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : down ? compare(b, a) : compare(a, b)));
    keyed.forEach(([, row]) => (column > 0 ? bodies[0] : row.home).append(row));
    table.querySelectorAll("tr.section").forEach((row) => { row.hidden = column > 0; });
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...[...table.tHead.rows].at(-1).cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending" && column > 0 || head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
    });
  });
  // Filter: one task at a time.
  const filter = document.getElementById("filter");
  filter.parentElement.hidden = false;
  filter.addEventListener("change", () => {
    document.querySelectorAll("[data-task]").forEach((part) => { part.hidden = filter.value !== "" && part.dataset.task !== filter.value; });
    if (filter.value) document.getElementById(filter.value).scrollIntoView();
  });
  // A link to a hidden task shows it; details open on paper.
  document.querySelectorAll("nav a.task, .levels a").forEach((link) => link.addEventListener("click", () => {
    if (filter.value) { filter.value = ""; filter.dispatchEvent(new Event("change")); }
  }));
  addEventListener("beforeprint", () => document.querySelectorAll("section:not(#provenance) details").forEach((d) => { d.open = true; }));
})();
