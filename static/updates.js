// Keeps the rows of the device list current. Nothing moves: rows change where they are, and new
// devices wait until somebody asks for them.
(() => {
  "use strict";

  const SECONDS = 10;
  const LONGEST_SECONDS = 300;

  let pause = SECONDS;
  let timer;

  const list = () => document.getElementById("devices");
  const rowsOf = (table) => [...table.querySelectorAll("tbody > tr")];

  const url = (section, rows) => {
    const shown = rows.map((row) => `${row.id.slice(7)}.${row.dataset.version}`);
    return `${section.dataset.updates}&list=${section.dataset.order}&shown=${shown.join(",")}`;
  };

  const isBusy = (cell) =>
    cell.querySelector("[open], form") || (cell.matches(".action") && cell.contains(document.activeElement));

  /** Put the new cells of a row in the place of the old ones, except for the selection. */
  const update = (row, changed) => {
    if (row.querySelector("[open], form")) return; // its version stays, so the next poll tries again
    const focused = row.contains(document.activeElement) ? document.activeElement.id : "";
    const cells = [...changed.cells];
    [...row.cells].forEach((cell, index) => {
      if (cell.matches(".select") || isBusy(cell)) return;
      if (cells[index].innerHTML !== cell.innerHTML) cell.replaceChildren(...cells[index].childNodes);
    });
    row.className = changed.className;
    row.dataset.version = changed.dataset.version;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const words = (number, one, many) => (number === 1 ? `1 ${one}` : `${number} ${many}`);

  const apply = (section, fresh) => {
    const { order, gone, arrived, registered, counts } = fresh.dataset;
    for (const changed of rowsOf(fresh)) {
      const row = document.getElementById(changed.id);
      if (row) update(row, changed);
    }
    for (const id of gone.split(" ").filter(Boolean)) {
      document.getElementById(`device-${id}`)?.classList.add("gone");
    }
    ["all", "active", "blocked"].forEach((status, index) => {
      const count = document.querySelector(`[data-count="${status}"]`);
      if (count) count.textContent = counts.split(" ")[index];
    });
    section.dataset.order = order;
    if (Number(arrived)) {
      const bar = section.querySelector(".arrivals");
      const text = Number(registered)
        ? words(Number(registered), "new device", "new devices")
        : words(Number(arrived), "device was active", "devices were active");
      bar.firstElementChild.textContent = text;
      bar.hidden = false;
    }
    document.dispatchEvent(new Event("apidevices:updated"));
  };

  const poll = async () => {
    clearTimeout(timer);
    const section = list();
    const table = section?.querySelector("table.devices");
    if (document.hidden || !table) return schedule();
    try {
      const response = await fetch(url(section, rowsOf(table)), { headers: { "HX-Request": "true" } });
      if (response.status === 401 || response.status === 403) return; // the session has ended
      if (!response.ok) throw new Error(response.statusText);
      pause = SECONDS;
      const text = await response.text();
      const parsed = new DOMParser().parseFromString(text, "text/html");
      const fresh = parsed.getElementById("updates");
      if (fresh && list() === section) apply(section, fresh);
    } catch {
      pause = Math.min(pause * 2, LONGEST_SECONDS); // the server is away; the page stays usable
    }
    schedule();
  };

  const schedule = () => {
    clearTimeout(timer);
    timer = setTimeout(poll, pause * 1000);
  };

  // A changed row may have changed the counts.
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx.target.matches?.("tr")) poll();
  });
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  document.addEventListener("DOMContentLoaded", schedule);
})();
