// The device list: keyboard shortcuts, the selection, and clean URLs. Without this file, the list
// consists of links and forms.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const list = () => byId("devices");
  const rows = () => [...document.querySelectorAll("#devices tbody tr:not(.gone)")];
  const linkOf = (row) => row?.querySelector(".naming > a");

  // --- the row is a link, also where something is above it ---

  document.addEventListener("click", (event) => {
    const row = event.target.closest?.("#devices tbody tr");
    if (!row || event.target.closest("a, button, input, label, summary, details, form")) return;
    if (String(getSelection())) return; // somebody selects text to copy it
    linkOf(row)?.dispatchEvent(new MouseEvent("click", event));
  });

  // --- keyboard shortcuts ---

  const current = () => {
    const row = document.activeElement?.closest?.("#devices tbody tr");
    return row ?? undefined;
  };

  const move = (step) => {
    const all = rows();
    const at = all.indexOf(current());
    linkOf(all[at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1)])?.focus();
  };

  const shortcuts = {
    j: () => move(1),
    k: () => move(-1),
    b: () => current()?.querySelector("td.action a")?.click(),
    x: () => current()?.querySelector("td.select input")?.click(),
    "/": () => {
      byId("filter-name").focus();
      byId("filter-name").select();
    },
    u: () => byId("apidevices-undo")?.focus(),
    "?": () => byId("shortcuts").showModal(),
  };

  const isTyping = (target) =>
    target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey, isComposing, defaultPrevented } = event;
    if (ctrlKey || metaKey || altKey || isComposing || defaultPrevented || isTyping(target)) return;
    if (list()?.dataset.shortcuts !== "on" || document.querySelector("dialog[open]")) return;
    const act = Object.hasOwn(shortcuts, key) && shortcuts[key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // --- the selection ---

  const boxes = () => [...document.querySelectorAll("#devices td.select input")];
  let lastBox;

  const showSelection = () => {
    const chosen = boxes().filter((box) => box.checked);
    const page = byId("select-page");
    if (page) {
      page.hidden = false;
      page.checked = chosen.length > 0 && chosen.length === boxes().length;
      page.indeterminate = chosen.length > 0 && !page.checked;
    }
    if (byId("bulk")) showBulk(chosen.length);
  };

  const showBulk = (number) => {
    const form = byId("bulk");
    const all = byId("select-all");
    form.hidden = !number;
    list().classList.toggle("selecting", number > 0);
    if (!number && all) all.checked = false;
    byId("select-none").hidden = false;
    byId("selected").textContent = `${number} selected`;
    for (const button of form.querySelectorAll("button[name=action]")) button.replaceWith(linkFor(button));
    const query = new URLSearchParams(new FormData(form));
    for (const link of form.querySelectorAll("a[data-action]")) {
      link.href = `${form.action}?${query}&action=${link.dataset.action}`;
    }
  };

  /** Return a link that opens the confirmation in the dialog. */
  const linkFor = (button) => {
    const link = document.createElement("a");
    link.id = button.id;
    link.className = button.className;
    link.textContent = button.textContent;
    link.dataset.action = button.value;
    link.dataset.dialog = "";
    return link;
  };

  document.addEventListener("click", ({ target }) => {
    const start = target.closest?.("[data-select]");
    if (target.id !== "select-none" && !start) return;
    for (const box of boxes()) box.checked = start ? box.checked || box.value === start.dataset.select : false;
    if (start) start.closest("details").open = false;
    showSelection();
    (start ? byId(`device-${start.dataset.select}-link`) : byId("add-filter")).focus();
  });

  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!box.matches?.("#devices td.select input")) return;
    const all = boxes();
    if (event.shiftKey && all.includes(lastBox)) {
      const [from, to] = [all.indexOf(lastBox), all.indexOf(box)].sort((one, other) => one - other);
      for (const between of all.slice(from, to + 1)) between.checked = box.checked;
    }
    lastBox = box;
  });

  document.addEventListener("change", ({ target }) => {
    if (target.id === "select-page") for (const box of boxes()) box.checked = target.checked;
    if (target.closest?.("#devices :is(th.select, td.select, .bulk)")) showSelection();
  });

  // --- swaps ---

  let after; // the row that follows one that is about to leave the list

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    const row = ctx.target.closest?.("#devices tbody tr");
    after = row && (row.nextElementSibling ?? row.previousElementSibling ?? byId("status-all"));
  });

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (after && !byId(ctx.target.id)) {
      (linkOf(after) ?? after).focus({ preventScroll: true });
      if (!rows().length) window.htmx.ajax("GET", location.href, { target: "#devices", swap: "outerHTML" });
    }
    after = undefined;
    const results = document.querySelectorAll("#apidevices-status > .visually-hidden");
    for (const outdated of [...results].slice(0, -1)) outdated.remove();
    showSelection();
  });

  // --- forms that are sent by GET leave out what is empty ---

  document.addEventListener("formdata", ({ target, formData }) => {
    if (target.method !== "get") return;
    if (formData.has("all")) formData.delete("id");
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });

  // --- the table head is below the toolbar, whose height depends on the width ---

  const follow = () => {
    const toolbar = document.querySelector(".list-toolbar");
    if (!toolbar) return;
    new ResizeObserver(() => {
      const page = toolbar.closest(".apidevices");
      page.style.setProperty("--list-toolbar", `${toolbar.offsetHeight}px`);
    }).observe(toolbar);
  };

  document.addEventListener("DOMContentLoaded", () => {
    follow();
    showSelection();
  });
  document.addEventListener("apidevices:updated", showSelection);
})();
