// What HTML and HTMX don't do by themselves. Everything works without this file, only less smoothly.
(() => {
  "use strict";

  const STATUS_SECONDS = 8;

  const byId = (id) => document.getElementById(id);

  // --- after a change, the focus goes where the form says, or to what must be mended ---

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    ctx.focusAfter = ctx.sourceElement.dataset.focus; // the form itself may be gone after the swap
  });

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx.focusAfter) {
      const changed = byId(ctx.target.id) ?? document;
      const next = changed.querySelector("[aria-invalid=true]") ?? byId(ctx.focusAfter);
      next?.focus({ preventScroll: true });
    }
    prepare();
  });

  // --- what happened, said and shown for a while ---

  const say = (text) => {
    const line = document.createElement("p");
    line.textContent = text;
    byId("apidevices-status").replaceChildren(line);
  };

  let failed = false; // what went wrong stays until something else is tried
  let clearing;
  const clearLater = () => {
    clearTimeout(clearing);
    if (failed) return;
    clearing = setTimeout(() => byId("apidevices-status").replaceChildren(), STATUS_SECONDS * 1000);
  };

  document.addEventListener("htmx:before:request", () => {
    failed = false;
  });

  document.addEventListener("htmx:response:error", () => {
    failed = true;
  });

  document.addEventListener("htmx:error", () => {
    failed = true;
    say("The server did not answer. Reload the page to see how things are.");
  });

  // --- renaming in a row: opening puts the cursor into the field, Escape closes ---

  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.matches("details.rename[open]")) {
        const field = event.target.querySelector("input[name=name]");
        field.focus();
        field.select();
      } else if (event.target.matches("details.rename")) {
        event.target.querySelector("form").reset();
      }
    },
    true,
  );

  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.("details.rename[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });

  // --- copying ---

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const source = byId(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      say("Copied.");
    } catch {
      // Browsers give no clipboard to pages that came without TLS: the text is ready for Ctrl+C.
      getSelection().selectAllChildren(source);
      say("Selected: copy it with Ctrl+C or ⌘C.");
    }
  });

  const prepare = () => {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };

  // --- in the page of a host, its HTMX is ours, too; a second one would send everything twice ---

  const { htmx: ownHtmx } = document.currentScript.dataset;
  const loadHtmx = () => {
    if (!ownHtmx || window.htmx) return;
    const script = document.createElement("script");
    script.src = ownHtmx;
    document.head.append(script);
  };

  document.addEventListener("DOMContentLoaded", () => {
    loadHtmx();
    new MutationObserver(clearLater).observe(byId("apidevices-status"), { childList: true });
    if (byId("apidevices-status").childElementCount) clearLater();
    prepare();
  });
})();
