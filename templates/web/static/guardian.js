// What makes the pages nicer where scripts may run. Everything works without it.
//   data-live        on main or a part with an id: fetched again every 10 s; focus, scroll and open details stay
//   data-swap="id …" on a GET form: while a slider or a search field changes, the parts with these ids are fetched again
//   data-key="1"     on a link or button: this key follows it; "/" goes to [data-search], "?" opens dialog[data-help]
//   .spots rect      in a chart: a click follows the link of the same row of the table behind it
//   data-pause       on a hidden button: shown where there is something live, and stops or starts it (key x)
"use strict";
(() => {
  const EVERY = 10000;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const said = document.getElementById("said");
  let paused = false, busy = null;

  const say = (text) => { if (said) said.textContent = text; };

  async function fetched(address) {
    if (busy) busy.abort();
    const mine = busy = new AbortController();
    const answer = await fetch(address, { signal: mine.signal, credentials: "same-origin", headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 401) { location.reload(); return null; }
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  const path = (element) => {
    // Where an element without an id stands, so that it is found again after an exchange.
    if (!element || element === document.body) return "";
    if (element.id) return "#" + CSS.escape(element.id);
    const place = [...element.parentElement.children].indexOf(element) + 1;
    return path(element.parentElement) + ">" + element.localName + ":nth-child(" + place + ")";
  };

  function exchange(old, fresh) {
    if (!fresh || old.innerHTML === fresh.innerHTML) return;
    const within = old.contains(document.activeElement) && document.activeElement !== old ? document.activeElement : null;
    const focus = within ? path(within) : "";
    const caret = within && "selectionStart" in within ? [within.value, within.selectionStart, within.selectionEnd] : null;
    const open = all("details[open]", old).map(path);
    const shut = all("details:not([open])", old).map(path);
    const scrolled = all("*", old).filter((e) => e.scrollLeft || e.scrollTop).map((e) => [path(e), e.scrollLeft, e.scrollTop]);
    const [left, top] = [scrollX, scrollY];
    old.replaceChildren(...document.importNode(fresh, true).childNodes);
    open.forEach((where) => { const e = one(where); if (e) e.open = true; });
    shut.forEach((where) => { const e = one(where); if (e && e.localName === "details") e.open = false; });
    scrolled.forEach(([where, x, y]) => { const e = one(where); if (e) { e.scrollLeft = x; e.scrollTop = y; } });
    const again = focus && one(focus);
    if (again) {
      again.focus({ preventScroll: true });
      if (caret && "value" in again) {
        again.value = caret[0];
        try { again.setSelectionRange(caret[1], caret[2]); } catch { /* this kind of field has none */ }
      }
    }
    scrollTo({ left, top, behavior: "instant" });
  }

  const typing = (element) => element && (element.isContentEditable || /^(input|select|textarea)$/.test(element.localName));

  async function refresh() {
    // Whoever types, or has selected something to copy, is left alone.
    const selection = String(getSelection() || "");
    if (paused || document.hidden || selection || typing(document.activeElement)) return;
    try {
      const fresh = await fetched(location.href);
      if (fresh) all("[data-live][id]").forEach((old) => exchange(old, fresh.getElementById(old.id)));
    } catch { /* the next time, perhaps */ }
  }

  function pause(button) {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    say(button.dataset[paused ? "paused" : "running"] || "");
    if (!paused) refresh();
  }

  function live() {
    if (!one("[data-live][id]")) return;
    const button = one("[data-pause]");
    if (button) {
      button.hidden = false;
      button.setAttribute("aria-pressed", "false");
      document.addEventListener("click", (event) => {
        const found = event.target.closest("[data-pause]");
        if (found) pause(found);
      });
    }
    setInterval(refresh, EVERY);
  }

  function swaps() {
    let waiting = 0;
    document.addEventListener("input", (event) => {
      const form = event.target.form;
      if (!form || !form.dataset.swap || form.method !== "get") return;
      clearTimeout(waiting);
      waiting = setTimeout(async () => {
        const address = new URL(form.action);
        address.search = new URLSearchParams(new FormData(form));
        try {
          const fresh = await fetched(address);
          if (!fresh) return;
          form.dataset.swap.split(" ").forEach((id) => {
            const old = document.getElementById(id);
            if (old) exchange(old, fresh.getElementById(id));
          });
          history.replaceState(null, "", address);
        } catch { /* a newer one is under way */ }
      }, 150);
    });
  }

  function spots() {
    document.addEventListener("click", (event) => {
      const spot = event.target.closest(".spots rect");
      if (!spot) return;
      const place = [...spot.parentElement.children].indexOf(spot);
      const link = one("tbody tr:nth-child(" + (place + 1) + ") th a", spot.closest(".chart").parentElement);
      if (link) link.click();
    });
  }

  function help() {
    const dialog = one("dialog[data-help]");
    if (dialog && !dialog.open) dialog.showModal();
  }

  function keys() {
    document.addEventListener("keydown", (event) => {
      // Never with modifiers: those belong to the browser. Shift is part of typing "?" or "/", and digits on AZERTY.
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
      if (event.getModifierState("AltGraph")) return;
      if (typing(event.target)) return;
      if (event.key === "?") { event.preventDefault(); help(); return; }
      if (event.key === "/") {
        const field = one("[data-search]");
        if (field) { event.preventDefault(); field.focus(); field.select(); }
        return;
      }
      if (event.shiftKey && !/^[0-9]$/.test(event.key)) return;
      if (event.key === "x") { const button = one("[data-pause]"); if (button) pause(button); return; }
      const target = /^[a-z0-9]$/.test(event.key) && one("[data-key='" + event.key + "']");
      if (target) { event.preventDefault(); target.click(); }
    });
  }

  function zone() {
    // The page is in the zone of whoever reads it: told to the server with the next request.
    const known = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const base = document.documentElement.dataset.base;
    if (known && /^[A-Za-z0-9_+\/-]{1,64}$/.test(known) && base !== undefined) {
      document.cookie = "guardian-zone=" + known + ";path=" + (base || "/") + ";max-age=31536000;samesite=lax";
    }
  }

  live(); swaps(); spots(); keys(); zone();
})();
