"use strict";
// JSON that folds. Without scripts the same text stands there as it is.
(() => {
  const MANY = 30; // entries of a list or object that is folded at first, below the top
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const line = (label, text) => {
    const made = element("div");
    made.append(label, element("span", "leaf", text));
    return made;
  };
  const tree = (value, label, depth) => {
    if (value === null || typeof value !== "object") return line(label, JSON.stringify(value));
    const [open, close] = Array.isArray(value) ? "[]" : "{}";
    const entries = Object.entries(value);
    if (!entries.length) return line(label, open + close);
    const fold = element("details");
    fold.open = depth === 0 || entries.length <= MANY;
    const head = element("summary");
    head.append(label, open, element("span", "dim", ` ${entries.length} `), close);
    const inner = element("div", "inner");
    inner.append(...entries.map(([name, item]) => tree(item, Array.isArray(value) ? "" : `${JSON.stringify(name)}: `, depth + 1)));
    fold.append(head, inner);
    return fold;
  };
  const show = () => {
    for (const plain of document.querySelectorAll("pre[data-fold]")) {
      if (plain.hidden && plain.nextElementSibling?.matches(".tree")) continue;
      let value;
      try { value = JSON.parse(plain.textContent); } catch { continue; } // cut, or no JSON
      if (value === null || typeof value !== "object") continue;
      const folding = element("div", "json tree");
      folding.append(tree(value, "", 0));
      plain.hidden = true;
      plain.after(folding);
    }
  };
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("htmx:after:swap", show);
})();
