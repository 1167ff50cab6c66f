// The little that a page does by itself: times that run, ticks that bring news, boxes that tick others. Pages work
// without it; only the news stop.
"use strict";

(() => {
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

  // As `amends_protocol::sentence::span` writes it: the two largest units.
  function span(seconds) {
    const first = units.findIndex(([, size]) => seconds >= size);
    if (first < 0) return "0s";
    const [unit, size] = units[first];
    const next = units[first + 1];
    const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
    return Math.floor(seconds / size) + unit + (rest ? " " + rest + next[0] : "");
  }

  function relative(at, now) {
    const seconds = Math.floor(Math.abs(at - now) / 1000);
    if (seconds < 1) return "now";
    return at > now ? "in " + span(seconds) : span(seconds) + " ago";
  }

  // The page says what time it is at the supervisor; this machine's clock may be off.
  function now() {
    const page = document.getElementById("live");
    const told = page ? Number(page.dataset.now) : NaN;
    if (Number.isNaN(told)) return Date.now();
    if (page.dataset.seen !== page.dataset.now) {
      page.dataset.seen = page.dataset.now;
      page.dataset.offset = String(told - Date.now());
    }
    return Date.now() + Number(page.dataset.offset);
  }

  function tell() {
    const present = now();
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const at = Date.parse(time.dateTime);
      // What should have come already comes now.
      const text = relative(time.dataset.relative === "upcoming" ? Math.max(at, present) : at, present);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function wire(state, word) {
    const sign = document.getElementById("wire-state");
    if (sign && sign.dataset.state !== state) {
      sign.dataset.state = state;
      sign.textContent = word;
    }
  }

  document.addEventListener("htmx:sse:after:connection", () => wire("live", "● live"));
  document.addEventListener("htmx:sse:error", () => wire("lost", "○ no connection, trying again"));
  document.addEventListener("htmx:sse:close", () => wire("lost", "○ not live"));
  document.addEventListener("htmx:after:swap", tell);

  // One box that ticks all boxes of its form.
  document.addEventListener("change", (event) => {
    const all = event.target;
    if (!(all instanceof HTMLInputElement) || !all.dataset.ticks) return;
    for (const box of document.querySelectorAll(`input[name="${all.dataset.ticks}"]`)) box.checked = all.checked;
  });

  // A place inside a closed fold is opened when a link leads to it.
  function unfold() {
    const name = decodeURIComponent(location.hash.slice(1));
    const place = name && document.getElementById(name);
    const fold = place && (place.closest("details") || place.querySelector("details"));
    if (fold) fold.open = true;
    if (place) place.scrollIntoView();
  }
  addEventListener("hashchange", unfold);

  tell();
  unfold();
  setInterval(tell, 1000);
})();
