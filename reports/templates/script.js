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

  // -- the answer: every question was answered when the page was made; the script only shows another one -------------
  const stored = document.getElementById("answer-data"), board = document.getElementById("answers");
  const asked = ["gap", "level", "task"].map((name) => document.getElementById(`ask-${name}`));
  const everyWay = document.getElementById("ask-ways");
  const data = stored && JSON.parse(stored.textContent);
  const node = (tag, content = "", kind = "") => {
    const made = document.createElement(tag);
    if (content) made.textContent = content;
    if (kind) made.className = kind;
    return made;
  };
  const choices = (select, pairs, wanted) => {
    select.replaceChildren(...pairs.map(([value, label]) => Object.assign(node("option", label), { value })));
    select.value = wanted;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  };
  // What a cell is sorted by: its first number, a share, or yes and no; nothing for a dash.
  const size = (shown) => {
    if (shown === "yes" || shown === "no") return shown === "yes" ? "1" : "0";
    const [, first, of] = shown.replace("≈ ", "").replaceAll("−", "-").match(/^([+-]?[\d.]+)(?:\/(\d+))?/) ?? [];
    return first === undefined ? "" : String(of ? first / of : Number(first));
  };
  const cellOf = (shown, small = "", broken = false) => {
    const cell = node("td", broken ? "✕ " : "", broken ? "num flag" : "num"), at = shown.indexOf(" [");
    cell.dataset.sort = size(shown);
    cell.append(node("span", at < 0 ? shown : shown.slice(0, at), "v"));
    if (at >= 0) cell.append(" ", node("span", shown.slice(at + 1), "pm"));
    if (small) cell.append(node("small", small));
    return cell;
  };
  const rowOf = ([who, flags, ...places], at) => {
    const [utility, against, verdict, gap, reasons, kept, most, rank, cost, group, note, mark] = places.map((i) => data.texts[i]);
    const [number, label, way] = data.who[who];
    const row = node("tr", "", mark), head = node("th"), link = node("a", label);
    head.scope = "row";
    head.dataset.sort = at + 1;
    link.href = `#method-${number}`;
    head.append(node("span", { best: "★", open: "○" }[mark] ?? "", "sign"), link, " ", node("span", way, "soft"));
    if (note) head.append(node("small", note));
    row.append(head, cellOf(utility), cellOf(against, verdict), cellOf(gap), cellOf(reasons), cellOf(kept, most, (flags & 2) > 0),
      cellOf(rank), cellOf(cost), cellOf(group));
    return row;
  };
  const question = () => asked.map((select) => select.value).join(" ");
  const opens = () => data.opens.join(" ");
  const levelsOf = (gap, level) => choices(asked[1], data.gaps[gap][1], level);
  const SAID = ["name", "asked", "reaches", "warning", "sure", "open", "costs"];
  const tell = () => {
    const { words: said, rows } = data.answers[question()] ?? { words: ["Nothing is known here.", "", "", "", "", "", "", ""], rows: [] };
    SAID.forEach((name, i) => { document.getElementById(`say-${name}`).textContent = said[i]; });
    const command = document.getElementById("say-command");
    command.replaceChildren(...(said[7] ? ["Take it, in the folder of this page: ", node("code", said[7])] : []));
    board.tBodies[0].replaceChildren(...rows.filter(([, flags]) => everyWay.checked || flags & 1).map(rowOf));
    const order = sorted.get(sortable.indexOf(board));
    if (order) sort(board, ...order);
    tellMatrix();
  };
  const ask = ([gap, level, task], every = false) => {
    choices(asked[0], Object.entries(data.gaps).map(([id, [label]]) => [id, label]), gap);
    levelsOf(asked[0].value, level);
    choices(asked[2], [["-1", "all tasks"], ...data.tasks.map((name, i) => [String(i), name])], String(task));
    everyWay.checked = every;
    tell();
  };
  // The matrix takes the same rows: its columns are the methods of the heads, its rows all tasks and each of them.
  const matrix = document.getElementById("grid");
  const columns = matrix ? all("thead a", matrix).map((link) => link.hash.slice("#method-".length)) : [];
  const SIGNS_OF = { best: "★", open: "○" };
  const squareOf = (found) => {
    if (!found) { const none = node("td", "–", "num none"); none.dataset.sort = ""; return none; }
    const [who, flags, ...places] = found, [utility, , , gap, , kept, , , , , , mark] = places.map((i) => data.texts[i]);
    const broken = (flags & 2) > 0, shown = utility.split(" [")[0];
    const cell = node("td", shown, `num ${mark}${broken ? " flag" : ""}`);
    cell.dataset.sort = size(shown);
    cell.title = `${data.who[who][2]}; gap ${gap}; kept ${kept}`;
    cell.append(node("small", (SIGNS_OF[mark] ?? "") + (broken ? "✕" : "")));
    return cell;
  };
  const tellMatrix = () => {
    if (!matrix) return;
    [...matrix.tBodies[0].rows].forEach((row, at) => {
      const found = data.answers[`${asked[0].value} ${asked[1].value} ${at - 1}`]?.rows.filter(([, flags]) => flags & 1) ?? [];
      const by = new Map(found.map((one) => [data.who[one[0]][0], one]));
      row.replaceChildren(row.cells[0], ...columns.map((number) => squareOf(by.get(number))));
    });
  };
  if (data) {
    document.getElementById("ask").hidden = document.getElementById("ask-more").hidden = false;
    document.getElementById("ask").addEventListener("submit", (event) => event.preventDefault());
    asked[0].addEventListener("change", () => levelsOf(asked[0].value, asked[1].value));
    [...asked, everyWay].forEach((control) => control.addEventListener("change", () => { tell(); remember(); }));
  }

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
    if (data && question() !== opens()) state.set("ask", question());
    if (everyWay?.checked) state.set("ways", "all");
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
    if (data) ask((state.get("ask") ?? opens()).split(" "), state.get("ways") === "all");
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
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    const target = document.getElementById(link.hash.slice(1));
    if (target?.closest("[data-task]")?.hidden) { filter.value = ""; apply(); }
    target?.closest("details")?.setAttribute("open", "");
    setTimeout(remember);
  });
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
