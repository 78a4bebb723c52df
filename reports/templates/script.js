(() => {
  "use strict";
  // Sorting: a click orders by the column, the next one turns the order round; empty values stay last.
  const key = (row, column) => {
    const cell = row.cells[column], raw = cell.dataset.sort;
    return raw === undefined ? cell.textContent.trim() : raw === "" ? null : Number(raw);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : down ? compare(b, a) : compare(a, b)));
    rows.forEach(([, row]) => body.append(row));
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending" && column > 0 || head.getAttribute("aria-sort") === "ascending";
        [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
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
