// Progressive enhancement. The pages work without this file.
(() => {
  "use strict";

  const STATUS_SECONDS = 8;

  const byId = (id) => document.getElementById(id);

  // --- focus after a swap: the first invalid field, or the element named by the form's data-focus ---

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    ctx.focusAfter = ctx.sourceElement.dataset.focus; // the swap may remove the form
  });

  const isVisible = (element) => element?.checkVisibility({ contentVisibilityAuto: true });
  const summaryOf = (element) => element?.closest("details.menu")?.querySelector("summary");

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx.focusAfter) {
      const changed = byId(ctx.target.id) ?? document;
      const next = changed.querySelector("[aria-invalid=true]") ?? byId(ctx.focusAfter);
      (isVisible(next) ? next : summaryOf(next))?.focus({ preventScroll: true });
    }
    showCopyButtons();
  });

  // --- focus after another page has been loaded: the first of the elements that were named ---

  const FOCUS_NEXT = "apidevices-focus-next";

  document.addEventListener("submit", ({ target: { dataset } }) => {
    if (dataset.focusNext !== undefined) sessionStorage.setItem(FOCUS_NEXT, dataset.focusNext);
  });

  const restoreFocus = () => {
    const ids = sessionStorage.getItem(FOCUS_NEXT);
    sessionStorage.removeItem(FOCUS_NEXT);
    if (ids === null || document.activeElement !== document.body) return;
    const next = ids.split(" ").map(byId).find(isVisible);
    if (next) next.focus();
    else byId("apidevices-main")?.focus({ preventScroll: true });
  };

  // --- tabs: the current one is in view ---

  const showCurrentTab = () => {
    const tab = document.querySelector(".frame > nav [aria-current]");
    if (!tab) return;
    const nav = tab.closest("nav");
    const beyond = tab.getBoundingClientRect().right - nav.getBoundingClientRect().right;
    if (beyond > 0) nav.scrollLeft += beyond;
  };

  // --- status messages ---

  const announce = (text) => {
    const line = document.createElement("p");
    line.textContent = text;
    byId("apidevices-status").replaceChildren(line);
  };

  let failed = false; // an error message stays until the next request
  let clearTimer;
  const scheduleClear = () => {
    clearTimeout(clearTimer);
    if (failed) return;
    clearTimer = setTimeout(() => byId("apidevices-status").replaceChildren(), STATUS_SECONDS * 1000);
  };

  // --- failed requests: show the message, and return the focus to where it was ---

  let focusBefore; // a button is disabled during its request, and so loses the focus

  document.addEventListener("htmx:before:request", () => {
    failed = false;
    focusBefore = document.activeElement;
  });

  document.addEventListener("htmx:response:error", () => {
    failed = true;
  });

  document.addEventListener("htmx:error", () => {
    failed = true;
    announce("The server did not respond. Reload the page to see the current state.");
  });

  document.addEventListener("htmx:finally:request", () => {
    if (!failed) return;
    // HTMX enables the button after this event.
    setTimeout(() => {
      if (document.activeElement === document.body) focusBefore?.focus({ preventScroll: true });
    });
  });

  // --- menus: one is open at a time. A click elsewhere and Escape close it ---

  document.addEventListener(
    "toggle",
    ({ target: menu }) => {
      if (!menu.matches("details.menu[open]")) return;
      closeMenus(menu);
      const { bottom, height } = menu.querySelector(".menu-panel").getBoundingClientRect();
      const top = menu.getBoundingClientRect().top;
      menu.classList.toggle("up", bottom > innerHeight && top > height);
    },
    true,
  );

  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu === except) continue;
      menu.open = false;
      menu.classList.remove("up");
    }
  };

  document.addEventListener("click", ({ target }) => closeMenus(target.closest("details.menu")));

  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (!menu || document.querySelector("dialog[open]")) return;
    const hadFocus = menu.contains(document.activeElement);
    menu.open = false;
    if (hadFocus) menu.querySelector("summary").focus();
  });

  // --- copy buttons ---

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const source = byId(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      announce("Copied to the clipboard.");
    } catch {
      // Without TLS, browsers provide no clipboard API. Select the text, so that Ctrl+C copies it.
      getSelection().selectAllChildren(source);
      announce("The text is selected. Press Ctrl+C or ⌘C to copy it.");
    }
  });

  const showCopyButtons = () => {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };

  // --- in a host's page, use the host's HTMX if it has one: a second one would send each request twice ---

  const { htmx: htmxUrl } = document.currentScript.dataset;
  const loadHtmx = () => {
    if (!htmxUrl) return;
    if (window.htmx) {
      showPlainButtons();
      return;
    }
    const script = document.createElement("script");
    script.src = htmxUrl;
    document.head.append(script);
  };

  // Older versions of HTMX are disabled in these pages. Forms then need the buttons that they have without scripts.
  const showPlainButtons = () => {
    if (window.htmx.version?.startsWith("4.")) return;
    for (const plain of document.querySelectorAll(".apidevices noscript")) {
      plain.replaceWith(document.createRange().createContextualFragment(plain.textContent));
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    loadHtmx();
    new MutationObserver(scheduleClear).observe(byId("apidevices-status"), { childList: true });
    if (byId("apidevices-status").childElementCount) scheduleClear();
    showCopyButtons();
    showCurrentTab();
  });
  addEventListener("load", restoreFocus); // when all files have shown and hidden what they must
})();
