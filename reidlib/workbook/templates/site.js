// Sorting, quoted rows, filters. Plain JavaScript; without it all that is visible stays readable.
"use strict";

function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = parseFloat(text);
  return text !== "" && !Number.isNaN(number) && /^[+-]?[\d.]/.test(text) ? number : text;
}

function compare(a, b) {
  const blank = (x) => x === "" || x === "–";
  if (blank(a) || blank(b)) return blank(a) - blank(b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const blank = (x) => x === "" || x === "–";
      rows.sort((one, two) => {
        const a = value(one, head.cellIndex), b = value(two, head.cellIndex);
        const order = compare(a, b);
        return blank(a) || blank(b) ? order : down ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  }
}

for (const button of document.querySelectorAll(".quoted-toggle")) {
  const words = button.textContent.replace(/^show/, "");
  button.addEventListener("click", () => {
    const table = button.closest("p").previousElementSibling.querySelector("table");
    const open = table.classList.toggle("with-quoted");
    button.setAttribute("aria-expanded", open);
    button.textContent = (open ? "hide" : "show") + words;
  });
}

for (const form of document.querySelectorAll("form.filters")) {
  const table = document.getElementById(form.dataset.table);
  const apply = () => {
    const want = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = (!want.paper || row.dataset.paper === want.paper)
        && (!want.verdict || row.dataset.verdicts.split("|").includes(want.verdict))
        && (!want.words || row.textContent.toLowerCase().includes(want.words.toLowerCase()));
      row.classList.toggle("hidden", !fits);
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${table.tBodies[0].rows.length} claims`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
