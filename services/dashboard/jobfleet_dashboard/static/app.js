"use strict";
// All behaviour of the pages that HTML and htmx do not have; pages can be read without it.
(() => {
  const root = document.documentElement;
  const ROOT = root.dataset.root;
  root.classList.add("js");
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Theme: system, light or dark; set before the first paint.
  const THEMES = ["system", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const useTheme = (name) => {
    if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
    $$("[data-theme-name]").forEach((place) => { place.textContent = name; });
  };
  const theme = () => (THEMES.includes(stored()) ? stored() : "system");
  const nextTheme = () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    try { localStorage.setItem("theme", next); } catch { /* private mode: for this page only */ }
    useTheme(next);
  };
  useTheme(theme());

  // Times: local with UTC on hover; spans tick by the server's clock.
  let skew = 0;
  const now = () => Date.now() + skew;
  const pad = (number, length = 2) => String(number).padStart(length, "0");
  const ofDay = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
  // Local or UTC, as the reader chose for all pages; a shifted time tells its zone's fields as UTC's.
  const inUtc = () => { try { return localStorage.getItem("zone") === "utc"; } catch { return root.dataset.zone === "utc"; } };
  const shifted = (moment) => new Date(inUtc() ? moment : moment - moment.getTimezoneOffset() * 60000);
  const useZone = () => { root.dataset.zone = inUtc() ? "utc" : "local"; };
  const nextZone = () => {
    const next = inUtc() ? "local" : "utc";
    root.dataset.zone = next;
    try { localStorage.setItem("zone", next); } catch { /* private mode: for this page only */ }
    clocks(document);
    document.dispatchEvent(new Event("zone"));
  };
  useZone();
  const local = (moment, form) => {
    const [date, full] = shifted(moment).toISOString().slice(0, 23).split("T");
    if (form === "short") return full.slice(0, 5);
    if (form === "day") return `${ofDay.format(shifted(moment))} ${full.slice(0, 5)}`;
    const today = shifted(new Date(now())).toISOString().slice(0, 10);
    return date === today ? full : `${ofDay.format(shifted(moment))} ${full.slice(0, 8)}`;
  };
  const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const spell = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    for (const [size, unit, smaller, smallUnit] of UNITS) {
      if (whole < size) continue;
      const rest = Math.floor((whole % size) / smaller);
      return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
    }
    return `${whole} s`;
  };
  const OVERDUE_SECONDS = 10;
  const WORDS = {
    ago: (seconds) => (seconds < 1 ? "just now" : `${spell(seconds)} ago`),
    since: spell,
    in: (seconds) => {
      if (seconds < 0) return `in ${spell(Math.ceil(-seconds))}`;
      return seconds < OVERDUE_SECONDS ? "now" : `due ${spell(seconds)} ago`;
    },
  };
  // Without news a timer would go on as if nothing had happened meanwhile: it stands still instead.
  let asOf = new Date();
  const heard = () => { asOf = new Date(now()); };
  const stale = () => ["reconnecting", "paused"].includes($("#live")?.dataset.live);
  const seconds = (moment) => shifted(moment).toISOString().slice(11, 19);
  const put = (place, text) => { if (place.textContent !== text) place.textContent = text; };
  const tick = () => {
    if (document.hidden || stale()) return;
    for (const place of $$("time[data-tick]")) {
      put(place, WORDS[place.dataset.tick]((now() - Date.parse(place.dateTime)) / 1000));
    }
  };
  const localTitles = (from) => {
    for (const bar of $$("a[data-at] > title", from)) {
      const at = new Date(Date.parse(bar.parentNode.dataset.at));
      put(bar, bar.textContent.replace(/^.*?(?=: )/, local(at, bar.closest(".plot").dataset.clock)));
    }
  };
  const clocks = (from) => {
    localTitles(from);
    for (const place of $$("time[data-clock]", from)) {
      put(place, local(new Date(Date.parse(place.dateTime)), place.dataset.clock));
      place.title = `${place.dateTime.slice(0, 23).replace("T", " ")} UTC`;
    }
  };

  // Lists that grow: each id once, no more than the list keeps; arrivals are counted, not shown,
  // while that would move what the pointer is over or the keyboard is at.
  const busy = (list) => list.matches(":hover") || list.contains(document.activeElement);
  const admit = (all = false) => {
    for (const arriving of $$("[data-arriving]")) {
      const list = document.getElementById(arriving.dataset.arriving);
      const known = new Set([...list.children].map((item) => item.id));
      [...arriving.children].forEach((item) => { if (known.has(item.id)) item.remove(); });
      if (all || !busy(list)) list.prepend(...arriving.children);
      $("#held").hidden = arriving.childElementCount === 0;
      put($("#held .num"), String(arriving.childElementCount));
    }
  };
  const tidy = () => {
    for (const list of $$("[data-keep]")) {
      const seen = new Set();
      for (const item of [...list.children]) {
        if (seen.has(item.id)) item.remove(); else seen.add(item.id);
      }
      while (list.childElementCount > Number(list.dataset.keep)) list.lastElementChild.remove();
    }
  };
  const countArrivals = () => {
    const arrivals = $("#arrivals");
    if (!arrivals?.dataset.arrivals) return;
    const fresh = new Set();
    for (const item of arrivals.children) {
      if (!document.getElementById(`job-${item.dataset.job}`)) fresh.add(item.dataset.job);
    }
    const sign = $("#arrived");
    sign.hidden = fresh.size === 0;
    put($(".num", sign), String(fresh.size));
  };

  // Live sign.
  const SIGNS = { live: "live", reconnecting: "reconnecting", paused: "paused", ended: "ended", connecting: "connecting", polling: "every 3 s" };
  const sign = (state) => {
    const place = $("#live");
    if (!place || place.dataset.live === state) return;
    place.dataset.live = state;
    place.textContent = stale() ? `${SIGNS[state]}, as of ${seconds(asOf)}` : SIGNS[state];
  };
  let ended = false;
  let retry = 0;
  const isStream = (event) => event.target?.id === "stream";
  const reconnectLater = () => {
    clearTimeout(retry);
    sign("reconnecting");
    retry = setTimeout(() => $("#stream")?.dispatchEvent(new Event("reconnect")), 2000);
  };
  const onStream = (name, act) => document.addEventListener(name, (event) => { if (isStream(event)) act(event); });

  // A browser opens six connections to a host, for all its pages together. Four pages that are
  // looked at keep one open each; the others ask every three seconds, or nothing would load.
  const STREAMS = ["stream-1", "stream-2", "stream-3", "stream-4"];
  let release = null;
  const claim = async (name) => {
    await new Promise((decided) => {
      navigator.locks.request(name, { ifAvailable: true }, (lock) => {
        if (!lock || release || document.hidden) { decided(); return undefined; }
        return new Promise((free) => {
          release = () => { release = null; free(); };
          decided();
        });
      });
    });
  };
  const claimStream = async () => {
    for (const name of navigator.locks ? STREAMS : []) {
      if (release || document.hidden) return;
      await claim(name);
    }
  };
  const connect = async () => {
    const stream = $("#stream");
    if (!stream || stream.dataset.connected || ended || document.hidden) return;
    stream.dataset.connected = "yes";
    await claimStream();
    knock(stream);
  };
  const knock = (stream) => { // until htmx has processed the element and asks
    if (!stream.isConnected || stream.dataset.asked) return;
    stream.dispatchEvent(new Event("connect"));
    setTimeout(knock, 100, stream);
  };
  const polls = (address) => new URL(address, location.href).searchParams.has("once");
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement?.id !== "stream") return;
    ctx.sourceElement.dataset.asked = "yes";
    const { last } = ctx.sourceElement.dataset;
    if (last) ctx.request.headers["Last-Event-ID"] = last;
    if (release) return;
    const address = new URL(ctx.request.action, location.href);
    address.searchParams.set("once", "1");
    ctx.request.action = address.pathname + address.search;
  });
  onStream("htmx:sse:before:connection", (event) => {
    const { connection } = event.detail;
    if (document.hidden) return;
    if (connection.attempt > 0 && polls(connection.url) === Boolean(release)) {
      connection.cancelled = true; // this page may keep a stream now, or may no longer
      return;
    }
    if (polls(connection.url)) claimStream();
    const before = $("#live")?.dataset.live;
    if (before !== "connecting" && before !== "polling") sign("reconnecting");
  });
  onStream("htmx:sse:after:message", (event) => {
    heard();
    if (event.detail.message.id) event.target.dataset.last = event.detail.message.id;
  });
  onStream("htmx:sse:after:connection", (event) => heard() ?? sign(polls(event.detail.connection.url) ? "polling" : "live"));
  onStream("htmx:sse:error", () => sign("reconnecting"));
  onStream("htmx:sse:close", (event) => {
    const stream = event.target;
    ended = event.detail.reason === "message";
    if (ended) sign("ended");
    if (ended || event.detail.reason === "removed") return;
    delete stream.dataset.connected;
    delete stream.dataset.asked;
    setTimeout(connect, 0);
  });
  onStream("htmx:error", reconnectLater);
  onStream("htmx:response:error", reconnectLater);
  // A session that ended: the whole page leads to the login and back.
  for (const name of ["htmx:response:error", "htmx:sse:error"]) {
    document.addEventListener(name, (event) => {
      if ((event.detail.status ?? event.detail.ctx?.response?.status) === 401) location.reload();
    });
  }
  document.addEventListener("visibilitychange", () => {
    lookForNews();
    if (document.hidden) release?.();
    if (!$("#stream") || ended) return;
    if (document.hidden) { sign("paused"); return; }
    tick();
    connect();
  });

  // Selection.
  const boxes = (form) => $$('input[name="id"]', form);
  const showSelected = (form) => {
    const all = $('input[name="all"]', form)?.checked;
    const count = boxes(form).filter((box) => box.checked).length;
    const place = $("[data-selected]", form);
    if (place) put(place, all ? "all that match" : count ? `${count} selected` : "");
  };

  // An ended job may be redriven elsewhere: asked for now and then, while the page is visible.
  const NEWS_SECONDS = 10;
  const lookForNews = async () => {
    const head = $("[data-etag]");
    if (document.hidden || !head || $("#live").dataset.live !== "ended") return;
    const asked = { headers: { "If-None-Match": head.dataset.etag }, cache: "no-store" };
    try {
      if ((await fetch(`${ROOT}/api/jobs/${head.dataset.job}`, asked)).status === 200) location.reload();
    } catch { /* the dashboard is away: what has ended stays as it is */ }
  };

  // The title of every page says how many problems the fleet has: one reading serves all pages.
  const VERDICT_SECONDS = 30;
  const showTrouble = (count) => {
    const title = document.title.replace(/^\([0-9]+\) /, "");
    document.title = count ? `(${count}) ${title}` : title;
  };
  const lookForTrouble = async () => {
    const place = $("[data-problems]");
    if (place) { showTrouble(Number(place.dataset.problems)); return; }
    if (document.hidden || $("main").dataset.watched === undefined) return;
    try {
      const answer = await fetch(`${ROOT}/api/verdict?maxAgeSeconds=${VERDICT_SECONDS}`,
        { headers: { Accept: "application/json" } });
      if (answer.ok) showTrouble((await answer.json()).problems.length);
    } catch { /* the live sign tells that the dashboard is away */ }
  };

  // JSON while typing.
  const checkJson = (area) => {
    const place = document.getElementById(`${area.id}-json`);
    const text = area.value.trim();
    let problem = "";
    try { if (text) JSON.parse(text); } catch (error) { problem = error.message; }
    place.classList.toggle("bad", Boolean(problem));
    area.toggleAttribute("aria-invalid", Boolean(problem));
    if (problem) area.setAttribute("aria-invalid", "true");
    put(place, problem ? `Not JSON yet: ${problem}` : text ? "Valid JSON" : "");
  };

  const copy = async (button) => {
    const label = button.textContent;
    const text = button.dataset.copy.replace("{origin}", location.origin + ROOT);
    try { await navigator.clipboard.writeText(text); } catch { copyWithoutPermission(text); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1200);
  };
  const copyWithoutPermission = (text) => {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  // Keyboard.
  const GO = { o: "/", j: "/jobs", v: "/events", q: "/queues", t: "/types", r: "/schedules", w: "/workers", l: "/locks", e: "/errors", a: "/actions", d: "/dead-letters", s: "/submit" };
  let goUntil = 0;
  const rows = () => $$("[data-rows] > *");
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.hasAttribute("data-current"));
    const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
    all[at]?.removeAttribute("data-current");
    next.setAttribute("data-current", "");
    $("[data-open]", next)?.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const KEYS = {
    "/": () => ($("#q") ?? $("#search")).focus(),
    "?": () => $("#help").showModal(),
    j: () => step(1),
    k: () => step(-1),
    x: () => $("[data-current] input[name=id]")?.click(),
    t: nextTheme,
    u: nextZone,
    g: () => { goUntil = Date.now() + 1500; },
  };
  const typing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, dialog");
  const leave = (event) => {
    if (event.key !== "Escape" || event.target.closest("dialog, [popover]")) return;
    event.preventDefault(); // it would empty a search
    event.target.blur();
  };
  document.addEventListener("keydown", (event) => {
    if (typing(event.target)) leave(event);
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (goUntil > Date.now() && GO[event.key]) { goUntil = 0; location.assign(ROOT + GO[event.key]); return; }
    goUntil = 0;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button, a");
    if (target?.dataset.copy !== undefined) copy(target);
    if (target?.dataset.themeSwitch !== undefined) nextTheme();
    if (target?.dataset.zoneSwitch !== undefined) nextZone();
    if (target?.id === "held") { admit(true); tidy(); }
    if (target?.dataset.help !== undefined) $("#help").showModal();
    if (target?.dataset.close !== undefined && target.closest("dialog")) { event.preventDefault(); target.closest("dialog").close(); }
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-selection]");
    if (!form) return;
    if (event.target.dataset.selectAll !== undefined) boxes(form).forEach((box) => { box.checked = event.target.checked; });
    showSelected(form);
  });
  document.addEventListener("input", (event) => { if (event.target.dataset?.json !== undefined) checkJson(event.target); });
  document.addEventListener("htmx:after:swap", () => { connect(); if ($("[data-problems]")) lookForTrouble(); admit(); tidy(); countArrivals(); clocks(document); tick(); });
  const showProblem = () => {
    const problem = $("[data-problem]");
    if (!problem) return;
    ($("[aria-invalid=true]", problem.closest("form")) ?? problem).focus({ preventScroll: true });
    problem.scrollIntoView({ block: "center" });
  };
  document.addEventListener("htmx:after:settle", (event) => {
    if (event.target.id === "submit" || event.target.querySelector?.("[data-problem]")) showProblem();
    const dialog = $("#question");
    if (event.target === dialog && dialog.childElementCount && !dialog.open) dialog.showModal();
  });

  // What an action came to is told once, not again at a reload or to whom the address is sent.
  const forgetDone = () => {
    const address = new URL(location.href);
    if (!address.searchParams.has("done")) return;
    address.searchParams.delete("done");
    history.replaceState(history.state, "", address);
  };

  // On a phone the tabs are wider than the screen.
  const showCurrentTab = () => {
    const tab = $(".bar nav [aria-current]");
    if (tab) tab.parentNode.scrollLeft = tab.offsetLeft - (tab.parentNode.clientWidth - tab.offsetWidth) / 2;
  };

  const recover = () => {
    const trouble = $("[data-recover]");
    if (!trouble) return;
    let left = Number(trouble.dataset.recover);
    setInterval(() => {
      left -= 1;
      if (left <= 0) location.reload(); else put($("[data-countdown]", trouble), String(left));
    }, 1000);
  };

  document.addEventListener("DOMContentLoaded", () => {
    useTheme(theme());
    skew = Date.parse($("main").dataset.now) - Date.now();
    heard();
    clocks(document);
    tick();
    showCurrentTab();
    setInterval(tick, 1000);
    setTimeout(connect, 0); // once htmx knows the page
    setInterval(lookForNews, NEWS_SECONDS * 1000);
    setInterval(lookForTrouble, VERDICT_SECONDS * 1000);
    setTimeout(lookForTrouble, 1000);
    for (const arriving of $$("[data-arriving]")) {
      document.getElementById(arriving.dataset.arriving).addEventListener("pointerleave", () => { admit(); tidy(); });
    }
    $$("textarea[data-json]").forEach(checkJson);
    $$("form[data-selection]").forEach(showSelected);
    forgetDone();
    recover();
  });
})();
