"use strict";

// Theme: the system's until the reader chooses; the choice is kept where the browser allows it.
const root = document.documentElement;
const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
const keep = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* private window: not kept */ } };
const isDark = () => root.dataset.theme
  ? root.dataset.theme === "dark"
  : matchMedia("(prefers-color-scheme: dark)").matches;
if (stored()) root.dataset.theme = stored();
document.querySelector(".toggle").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  keep(root.dataset.theme);
});

// Sorting: numbers by size, names by alphabet, missing values last in either direction.
const valueIn = (row, column) => {
  const text = row.children[column].dataset.value;
  return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
};
const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
document.querySelectorAll(".race").forEach((table) => {
  const heads = [...table.querySelectorAll(".titles th")];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...body.rows].sort((left, right) => {
      const [a, b] = [valueIn(left, column), valueIn(right, column)];
      if (a === null || b === null) return (a === null) - (b === null);
      return rising ? compare(a, b) : compare(b, a);
    });
    body.append(...rows);
  }));
});

// Pointing at a contender anywhere lights it up everywhere.
const inSeries = [...document.querySelectorAll("[data-series]")];
const focus = (key) => {
  root.classList.toggle("focusing", key !== null);
  inSeries.forEach((element) => element.classList.toggle("focused", element.dataset.series === key));
};
inSeries.forEach((element) => {
  element.addEventListener("mouseenter", () => focus(element.dataset.series));
  element.addEventListener("mouseleave", () => focus(null));
});
