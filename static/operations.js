// Offers to undo end after a minute, and times are entered in the zone of the viewer. The pages work
// without this file.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);

  // --- the offer to undo: gone when its time is over, but never while it has the focus ---

  let timer;

  const scheduleEnd = () => {
    clearTimeout(timer);
    const form = document.querySelector("#apidevices-offer [data-seconds]");
    if (form) timer = setTimeout(() => end(form), form.dataset.seconds * 1000);
  };

  const end = (form) => {
    if (form.contains(document.activeElement)) timer = setTimeout(() => end(form), 1000);
    else form.remove();
  };

  // --- fields for a time: send the offset of the viewer's zone at that time, and say so ---

  const pad = (number) => String(number).padStart(2, "0");

  const offsetOf = (moment) => {
    const minutes = -moment.getTimezoneOffset();
    const size = Math.abs(minutes);
    return `${minutes < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
  };

  const toLocal = (utc) => {
    const moment = new Date(`${utc}Z`);
    moment.setMinutes(moment.getMinutes() - moment.getTimezoneOffset());
    return moment.toISOString().slice(0, 16);
  };

  const fillZone = (zone) => {
    const field = byId(zone.dataset.zoneOf);
    if ("utc" in field.dataset) {
      field.value = toLocal(field.value); // the server doesn't know the zone yet
      delete field.dataset.utc;
    }
    const chosen = new Date(field.value);
    zone.value = offsetOf(Number.isNaN(chosen.getTime()) ? new Date() : chosen);
    const label = byId(`${field.id}-zone`);
    if (label) label.textContent = `your time, UTC${zone.value.replace("-", "\u2212")}`;
  };

  const fillZones = () => document.querySelectorAll("[data-zone-of]").forEach(fillZone);

  document.addEventListener("input", fillZones);
  document.addEventListener("htmx:after:swap", () => {
    fillZones();
    scheduleEnd();
  });
  document.addEventListener("DOMContentLoaded", () => {
    fillZones();
    scheduleEnd();
    const offer = byId("apidevices-offer");
    if (offer) new MutationObserver(scheduleEnd).observe(offer, { childList: true });
  });
})();
