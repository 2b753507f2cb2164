"use strict";
// Ranges of time: inputs in the zone of their reader, and a range that is dragged over a chart.
(() => {
  const root = document.documentElement;
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  const inUtc = () => root.dataset.zone === "utc";
  const zoneName = () => (inUtc() ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone || "local");

  // What is sent is UTC, in a hidden field; what is seen is the reader's zone.
  const inputValue = (moment) => {
    const shift = inUtc() ? 0 : new Date(moment).getTimezoneOffset() * 60000;
    return new Date(moment - shift).toISOString().slice(0, 19).replace(/:00$/, "");
  };
  const sent = (input) => {
    if (!input.value) return "";
    const moment = new Date(inUtc() ? `${input.value}Z` : input.value);
    return Number.isNaN(moment.getTime()) ? "" : moment.toISOString().replace(".000Z", "Z");
  };
  const inputs = () => $$("input[data-moment]");
  const hiddenOf = (input) => {
    if (input.name) {
      const hidden = Object.assign(document.createElement("input"), { type: "hidden", name: input.name, value: input.dataset.moment });
      input.removeAttribute("name");
      input.after(hidden);
    }
    return input.nextElementSibling;
  };
  const nameWindow = (form) => {
    const chosen = form?.elements.window;
    if (chosen) chosen.options[0].textContent = inputs().some((input) => input.value) ? "exact times" : "any time";
  };
  const showZone = () => {
    $$("[data-zone-name]").forEach((place) => { place.textContent = zoneName(); });
    for (const input of inputs()) {
      const { value } = hiddenOf(input);
      input.value = value ? inputValue(Date.parse(value)) : "";
    }
  };
  // Exact times and a window exclude each other: the one that was touched last stands.
  document.addEventListener("input", (event) => {
    const input = event.target;
    if (input.dataset?.moment !== undefined) {
      hiddenOf(input).value = sent(input);
      const chosen = input.form.elements.window;
      if (chosen) chosen.value = "";
      nameWindow(input.form);
    } else if (input.name === "window" && input.form.querySelector("[data-moment]")) {
      for (const other of inputs()) { other.value = ""; hiddenOf(other).value = ""; }
      nameWindow(input.form);
    }
  }, true);
  document.addEventListener("zone", showZone);
  document.addEventListener("DOMContentLoaded", showZone);

  // Dragging: from the bar where it began to the bar where it ends.
  const FEW_PIXELS = 6;
  let drag = null;
  const veil = document.createElement("div");
  veil.className = "veil";
  veil.hidden = true;
  const barAt = (plot, x) => {
    const bars = [...plot.querySelectorAll("a[data-at]")];
    const box = plot.getBoundingClientRect();
    const place = Math.floor(((x - box.left) / box.width) * bars.length);
    return bars[Math.min(bars.length - 1, Math.max(0, place))];
  };
  const clock = (moment, form) => {
    const shift = inUtc() ? 0 : new Date(moment).getTimezoneOffset() * 60000;
    const told = new Date(Date.parse(moment) - shift).toISOString();
    return form === "short" ? told.slice(11, 16) : told.slice(5, 16).replace("T", " ");
  };
  const chosen = () => {
    const plot = drag.plot.isConnected ? drag.plot : $$(".plot")[drag.index];
    const [first, last] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)].map((x) => barAt(plot, x));
    return { plot, since: first.dataset.at, until: last.dataset.end };
  };
  const showVeil = () => {
    const { plot, since, until } = chosen();
    const box = plot.getBoundingClientRect();
    const left = Math.max(box.left, Math.min(drag.from, drag.to));
    const right = Math.min(box.right, Math.max(drag.from, drag.to));
    Object.assign(veil.style, { left: `${left}px`, top: `${box.top}px`, width: `${right - left}px`, height: `${box.height}px` });
    const form = plot.dataset.clock;
    veil.textContent = `${clock(since, form)} to ${clock(until, form)}`;
    veil.hidden = false;
  };
  const stop = () => { drag = null; veil.hidden = true; };
  document.addEventListener("pointerdown", (event) => {
    const plot = event.target.closest?.(".plot[data-range]");
    if (!plot || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    drag = { plot, index: $$(".plot").indexOf(plot), from: event.clientX, to: event.clientX, moved: false };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.to = event.clientX;
    drag.moved ||= Math.abs(drag.to - drag.from) > FEW_PIXELS;
    if (drag.moved) showVeil();
  });
  document.addEventListener("pointerup", () => {
    if (!drag?.moved) { stop(); return; }
    const { plot, since, until } = chosen();
    stop();
    const address = new URL(plot.dataset.range, location.href);
    const short = (moment) => moment.replace(".000Z", "Z");
    address.searchParams.set("since", short(since));
    address.searchParams.set("until", short(until));
    document.addEventListener("click", (event) => event.preventDefault(), { capture: true, once: true });
    location.assign(address);
  });
  document.addEventListener("pointercancel", stop);
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.(".plot")) event.preventDefault(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  document.addEventListener("DOMContentLoaded", () => document.body.append(veil));
})();
