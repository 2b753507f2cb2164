"use strict";
// Filters of the list of jobs, kept in this browser under names of their reader.
(() => {
  const KEY = "filters";
  const MOST = 30;
  const read = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      return Array.isArray(kept) ? kept.filter((one) => typeof one?.name === "string" && /^\?/.test(one?.query)) : [];
    } catch { return []; }
  };
  const write = (filters) => {
    try { localStorage.setItem(KEY, JSON.stringify(filters.slice(0, MOST))); } catch { /* private mode */ }
    show();
  };
  const item = (filter) => {
    const made = document.createElement("li");
    const link = Object.assign(document.createElement("a"), { href: `${document.documentElement.dataset.root}/jobs${filter.query}`, textContent: filter.name });
    const forget = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "Forget" });
    forget.setAttribute("aria-label", `Forget ${filter.name}`);
    forget.addEventListener("click", () => write(read().filter((one) => one.name !== filter.name)));
    made.append(link, forget);
    return made;
  };
  const show = () => document.getElementById("saved").replaceChildren(...read().map(item));
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("save").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = document.getElementById("save-name").value.trim();
      if (!name || !location.search) return;
      write([{ name, query: location.search }, ...read().filter((one) => one.name !== name)]);
      event.target.reset();
    });
  });
})();
