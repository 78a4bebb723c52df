(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const SIGNS = new Map(Object.entries({{ latex_signs | tojson }}));

  // -- sorting: a click orders by the column, the next one turns the order round; empty values stay last -------------
  const key = (row, column) => {
    const cell = row.cells[column], raw = cell?.dataset.sort;
    return raw === undefined ? (cell ? words(cell) : "") : raw === "" ? null : Number(raw);
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
    all("tr.section", table).forEach((row) => { row.hidden = column > 0; });
    const heads = [...[...table.tHead.rows].at(-1).cells];
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  const sortable = all("table.sortable");
  const sorted = new Map();  // place of a table on the page → [column, down]
  sortable.forEach((table, place) => {
    [...[...table.tHead.rows].at(-1).cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending" && column > 0 || head.getAttribute("aria-sort") === "ascending";
        sort(table, column, down);
        sorted.set(place, [column, down]);
        remember();
      });
    });
  });

  // -- filters: families and kinds are done by the style alone; a name and a task need this script -------------------
  const search = document.getElementById("search"), filter = document.getElementById("filter");
  const shown = document.getElementById("shown"), boxes = all("#filters input[type=checkbox]");
  document.querySelector("#filters .tools").hidden = false;
  const plain = new Map(boxes.map((box) => [box.id, box.defaultChecked]));
  const legend = all('ol[aria-label="Methods"] > li');
  const apply = () => {
    const wanted = search.value.trim().toLowerCase();
    const number = /^\d+$/.test(wanted);
    const fits = (place) => {
      if (!wanted) return true;
      const method = place.querySelector(".method");
      return number ? words(method.querySelector(".no")) === wanted : words(method).toLowerCase().includes(wanted);
    };
    all("tbody tr").forEach((row) => {
      if (row.querySelector("th .method")) row.classList.toggle("unwanted", !fits(row));
    });
    legend.forEach((row) => row.classList.toggle("unwanted", !fits(row)));
    all("[data-task]").forEach((part) => { part.hidden = filter.value !== "" && part.dataset.task !== filter.value; });
    const seen = legend.filter((row) => getComputedStyle(row).display !== "none").length;
    shown.textContent = `${seen} of ${legend.length} methods shown`;
  };

  // -- the state lives behind a ~ in the address, so that a link or a reload brings it back --------------------------
  const parts = () => { const [anchor, state = ""] = location.hash.slice(1).split("~"); return [anchor, new URLSearchParams(state)]; };
  const remember = () => {
    const state = new URLSearchParams();
    boxes.filter((box) => box.checked !== plain.get(box.id)).forEach((box) => state.append(box.checked ? "on" : "off", box.id));
    if (search.value.trim()) state.set("q", search.value.trim());
    if (filter.value) state.set("task", filter.value);
    sorted.forEach(([column, down], place) => state.append("sort", `${place}.${column}.${down ? "down" : "up"}`));
    const text = state.toString();
    history.replaceState(null, "", `#${parts()[0]}${text ? "~" + text : ""}`);
  };
  const recall = () => {
    const [anchor, state] = parts();
    boxes.forEach((box) => { box.checked = plain.get(box.id); });
    state.getAll("on").forEach((id) => { const box = boxes.find((b) => b.id === id); if (box) box.checked = true; });
    state.getAll("off").forEach((id) => { const box = boxes.find((b) => b.id === id); if (box) box.checked = false; });
    search.value = state.get("q") ?? "";
    filter.value = state.get("task") ?? "";
    if (filter.selectedIndex < 0) filter.value = "";
    state.getAll("sort").forEach((text) => {
      const [place, column, way] = text.split("."), table = sortable[Number(place)];
      const head = table && [...table.tHead.rows].at(-1).cells[Number(column)];
      if (head) { sort(table, Number(column), way === "down"); sorted.set(Number(place), [Number(column), way === "down"]); }
    });
    apply();
    if (state.size && anchor) document.getElementById(anchor)?.scrollIntoView();
  };
  const changed = () => { apply(); remember(); };
  boxes.forEach((box) => box.addEventListener("change", changed));
  search.addEventListener("input", changed);
  filter.addEventListener("change", () => { changed(); if (filter.value) document.getElementById(filter.value).scrollIntoView(); });
  document.getElementById("reset").addEventListener("click", () => {
    boxes.forEach((box) => { box.checked = true; });
    search.value = filter.value = "";
    changed();
  });
  // A link to a part of the page keeps the state; one to a hidden task shows it; one into a fold opens it.
  all('a[href^="#"]').forEach((link) => link.addEventListener("click", () => {
    const target = document.getElementById(link.hash.slice(1));
    if (target?.closest("[data-task]")?.hidden) { filter.value = ""; apply(); }
    target?.closest("details")?.setAttribute("open", "");
    setTimeout(remember);
  }));
  addEventListener("hashchange", () => { if (location.hash.includes("~")) recall(); });

  // -- downloads: every table as CSV and as LaTeX, made here -------------------------------------------------------------
  // Cells as a grid: a cell over several rows or columns stands in each of them.
  const grid = (rows) => {
    const found = rows.map(() => []);
    rows.forEach((row, i) => {
      let j = 0;
      [...row.cells].forEach((cell) => {
        while (found[i][j]) j += 1;
        for (let down = 0; down < cell.rowSpan && i + down < rows.length; down += 1) {
          for (let right = 0; right < cell.colSpan; right += 1) found[i + down][j + right] = cell;
        }
        j += cell.colSpan;
      });
    });
    return found;
  };
  // Text of a cell: parts in small print stay apart from the value.
  const text = (cell) => {
    if (!cell) return "";
    const copy = cell.cloneNode(true);
    all("svg, button > svg", copy).forEach((node) => node.remove());
    all("small, .pm, .badge", copy).forEach((node) => node.before(" "));
    return words(copy);
  };
  const head = (table, column) => [...new Set(grid([...table.tHead.rows]).map((row) => text(row[column])).filter(Boolean))].join(": ");
  const content = (table) => {
    const width = Math.max(...grid([...table.tHead.rows]).map((row) => row.length));
    const columns = Array.from({ length: width }, (_, j) => head(table, j));
    let part = "", lines = [];
    [...table.tBodies].forEach((body) => {
      const rows = [...body.rows], cells = grid(rows);
      rows.forEach((row, i) => {
        if (row.matches(".section")) part = text(row.cells[0]);
        else lines.push([(row.home?.querySelector(".section") ? text(row.home.querySelector(".section").cells[0]) : part), Array.from({ length: width }, (_, j) => cells[i][j])]);
      });
    });
    return { columns, lines };
  };
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const csv = (table) => {
    const { columns, lines } = content(table), parted = lines.some(([part]) => part);
    const exact = columns.map((_, j) => lines.some(([, row]) => row[j]?.tagName === "TD" && row[j].dataset.sort !== undefined));
    const heads = columns.flatMap((name, j) => (exact[j] ? [name, `${name} (as shown)`] : [name]));
    const rows = lines.map(([part, row]) => [
      ...(parted ? [part] : []), ...row.flatMap((cell, j) => (exact[j] ? [cell?.dataset.sort ?? "", text(cell)] : [text(cell)])),
    ]);
    return [[...(parted ? ["part"] : []), ...heads], ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
  };
  const escaped = (value) => [...value].map((c) => SIGNS.get(c) ?? (c.codePointAt(0) < 0x250 ? c : "?")).join("");
  const latex = (table, caption, label) => {
    const { columns, lines } = content(table);
    const row = (cells) => `${cells.map(escaped).join(" & ")} \\\\`;
    return [
      "\\begin{table}[tb]", "\\centering", `\\caption{${escaped(caption)}}`, `\\label{tab:${label}}`,
      `\\begin{tabular}{l${"r".repeat(columns.length - 1)}}`, "\\toprule", row(columns), "\\midrule",
      ...lines.map(([, cells]) => row(cells.map(text))), "\\bottomrule", "\\end{tabular}", "\\end{table}", "",
    ].join("\n");
  };
  const save = (name, type, made) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([made], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const plainName = (value) => value.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "").toLowerCase().slice(0, 60);
  all("table").filter((table) => table.tHead).forEach((table, place) => {
    const frame = table.closest(".scroll") ?? table;
    const title = frame.getAttribute("aria-label") || (table.caption ? words(table.caption) : `table ${place + 1}`);
    const name = `${plainName(document.body.dataset.suite)}-${String(place + 1).padStart(2, "0")}-${plainName(title)}`;
    const line = document.createElement("p");
    line.className = "take";
    const button = (label, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = label;
      made.setAttribute("aria-label", `Download “${title}” as ${label}`);
      made.addEventListener("click", act);
      line.append(made);
    };
    button("CSV", () => save(`${name}.csv`, "text/csv", csv(table)));
    button("LaTeX", () => {
      const caption = `${table.caption ? words(table.caption) : title}. ${document.body.dataset.stamp}`;
      save(`${name}.tex`, "text/x-tex", latex(table, caption, plainName(title)));
    });
    frame.after(line);
    if (frame.dataset.family) line.dataset.family = frame.dataset.family;
  });

  // -- paper: everything that is folded opens, but for provenance, and closes again ------------------------------------
  addEventListener("beforeprint", () => all("details:not([open])").filter((d) => !d.closest("#provenance")).forEach((d) => { d.open = true; d.dataset.printed = ""; }));
  addEventListener("afterprint", () => all("details[data-printed]").forEach((d) => { d.open = false; delete d.dataset.printed; }));
  recall();
})();
