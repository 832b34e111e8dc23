"use strict";
// Sorting, hiding, the guidance slider, downloads. Without this script everything is shown, and nothing is lost.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Columns: a checkbox hides the cells of its number in the table of its block.
function hideColumns(block) {
  for (const box of all("[data-hides]", block)) {
    const cells = all(`[data-column="${box.dataset.hides}"]`, block);
    const apply = () => cells.forEach((cell) => { cell.hidden = !box.checked; });
    box.addEventListener("change", apply);
    apply(); // a browser that comes back to the page may remember the boxes
  }
}

// Rows of the comparison: every group but the first opens by a button in its heading.
function groupRows(block) {
  const table = block.querySelector(".comparison");
  if (!table) return;
  const groups = all("tbody", table).map((body) => {
    const first = body.dataset.first === "yes";
    const heading = body.querySelector(".group th");
    const button = element("button", { type: "button" }, ...heading.childNodes);
    heading.append(button, element("span", { className: "quiet" }, ` ${heading.dataset.lines} rows`));
    const open = (wanted) => {
      button.setAttribute("aria-expanded", String(wanted || first));
      body.classList.toggle("collapsed", !wanted && !first);
      all("tr:not(.group)", body).forEach((row) => { row.hidden = !wanted && !first; });
    };
    const isOpen = () => button.getAttribute("aria-expanded") === "true";
    button.addEventListener("click", () => open(!isOpen()));
    return { open, isOpen };
  });
  const everything = block.querySelector(".all-rows");
  const explain = block.querySelector(".explain");
  const openAll = () => groups.forEach((group) => group.open(everything.checked));
  const brief = () => table.classList.toggle("brief", !explain.checked);
  everything.addEventListener("change", openAll);
  explain.addEventListener("change", brief);
  openAll();
  brief();
  printWhole(groups);
}

// Paper shows every row; afterwards the groups are as they were.
function printWhole(groups) {
  let before = [];
  addEventListener("beforeprint", () => {
    before = groups.map((group) => group.isOpen());
    groups.forEach((group) => group.open(true));
  });
  addEventListener("afterprint", () => groups.forEach((group, i) => group.open(before[i])));
}

// Sorting: numbers by value, texts by the alphabet; what was not measured comes last either way.
function compare(a, b, numeric, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  return direction * (numeric ? Number(a) - Number(b) : a.localeCompare(b));
}

function sortRows(block) {
  const table = block.querySelector(".runs");
  if (!table) return;
  const headers = all("th[data-sort]", table);
  const status = block.querySelector("[role=status]");
  const body = table.tBodies[0];
  headers.forEach((header) => {
    const order = element("span", { className: "order", ariaHidden: "true" });
    const button = element("button", { type: "button" }, ...header.childNodes);
    button.querySelector(".label").after(order);
    header.append(button);
    button.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      headers.forEach((other) => {
        other.removeAttribute("aria-sort");
        other.querySelector(".order").textContent = "";
      });
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      order.textContent = up ? "\u00a0▲" : "\u00a0▼";
      const key = (row) => row.querySelector(`[data-column="${header.dataset.column}"]`).dataset.key;
      const numeric = header.dataset.sort === "number";
      body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b), numeric, up ? 1 : -1)));
      status.textContent = `sorted by ${header.querySelector(".label").textContent}, ${up ? "ascending" : "descending"}`;
    });
  });
}

// One slider switches the strips of all contestants.
function slideGuidance(sweep) {
  const slider = sweep.querySelector("input[type=range]");
  const shown = sweep.querySelector("output");
  const scales = slider.dataset.scales.split(" ");
  const apply = () => {
    const scale = scales[Number(slider.value)];
    shown.textContent = scale;
    slider.setAttribute("aria-valuetext", `guidance ${scale}`);
    all("[data-scale]", sweep).forEach((figure) => { figure.hidden = figure.dataset.scale !== scale; });
  };
  // A strip that was scrolled to the side stays there when the next one takes its place.
  all(".scroller", sweep).forEach((region) => region.addEventListener("scroll", () => {
    all(".scroller", region.closest(".contestant")).forEach((other) => { other.scrollLeft = region.scrollLeft; });
  }));
  slider.addEventListener("input", apply);
  apply();
}

function pauseAnimation(button) {
  const source = button.closest("figure").querySelector("source");
  const what = button.closest("figcaption").firstChild.textContent.trim();
  const stillWanted = matchMedia(source.media);
  let still = stillWanted.matches;
  const apply = () => {
    source.media = still ? "all" : "not all";
    button.textContent = still ? "Play" : "Pause";
    button.ariaLabel = `${button.textContent}: ${what}`;
  };
  button.addEventListener("click", () => { still = !still; apply(); });
  stillWanted.addEventListener("change", (event) => { still = event.matches; apply(); });
  apply();
}

function download(button) {
  const text = button.closest(".record").querySelector("pre").textContent;
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = element("a", { href: address, download: button.dataset.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Only what really scrolls is a stop for the tabulator key.
function stopWhereItScrolls() {
  const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const scrolls = target.scrollWidth > target.clientWidth + 1;
    if (scrolls) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }));
  all(".scroller").forEach((region) => watch.observe(region));
}

all(".needs-script").forEach((control) => { control.hidden = false; });
all(".table-block").forEach((block) => { groupRows(block); sortRows(block); hideColumns(block); });
all(".sweep").forEach(slideGuidance);
all(".motion").forEach(pauseAnimation);
all(".download").forEach((button) => button.addEventListener("click", () => download(button)));
stopWhereItScrolls();
