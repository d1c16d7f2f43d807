// Keeps relative times current, and shows exact times in the viewer's time zone.
(() => {
  "use strict";

  const TICK_SECONDS = 10;
  const UNITS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30]];

  const seen = new WeakMap(); // element -> its age in seconds minus the time on this page's clock
  const now = () => performance.now() / 1000; // unlike the date, nobody sets it

  const format = (options) => new Intl.DateTimeFormat(undefined, options);
  const formats = {
    full: format({ dateStyle: "medium", timeStyle: "long" }),
    date: format({ dateStyle: "medium" }),
    time: format({ hour: "numeric", minute: "2-digit", timeZoneName: "short" }),
    day: format({ day: "numeric", month: "short" }),
    clock: format({ hour: "numeric", minute: "2-digit" }),
  };
  const localized = new WeakSet();

  /** Return the text for an age in seconds, as the server words it; undefined if it is old. */
  const worded = (age) => {
    let number = Math.floor(age);
    if (number < 1) return "just now";
    for (const [unit, size] of UNITS) {
      if (number < size) {
        const one = unit === "hour" ? "an hour ago" : `a ${unit} ago`;
        return number === 1 ? one : `${number} ${unit}s ago`;
      }
      number = Math.floor(number / size);
    }
    return undefined;
  };

  /** Show a time in the viewer's zone: in its tooltip, and where the page has it in UTC. */
  const localize = (time) => {
    if (localized.has(time)) return;
    localized.add(time);
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) return;
    time.title = formats.full.format(moment);
    const [date, clock] = time.querySelectorAll("span > span");
    if (date) date.textContent = formats.date.format(moment);
    if (clock) clock.textContent = formats.time.format(moment);
    if (time.dataset.short) time.textContent = formats[time.dataset.short].format(moment);
  };

  const tick = () => {
    document.querySelectorAll(".apidevices time[datetime*=T]").forEach(localize);
    for (const time of document.querySelectorAll("time[data-age]")) {
      if (!seen.has(time)) {
        seen.set(time, Number(time.dataset.age) - now());
      }
      const text = worded(seen.get(time) + now());
      if (text && time.firstChild.data !== text) time.firstChild.data = text;
    }
  };

  document.addEventListener("DOMContentLoaded", tick);
  document.addEventListener("htmx:after:swap", tick);
  document.addEventListener("apidevices:updated", tick);
  document.addEventListener("visibilitychange", () => document.hidden || tick());
  setInterval(() => document.hidden || tick(), TICK_SECONDS * 1000);
})();
