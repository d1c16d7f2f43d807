// Shows the form that a link leads to in the modal dialog (data-dialog), or in an element of the page
// (data-inline, with its id). Without this file, the same form is a page of its own.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const dialog = () => byId("apidevices-dialog");

  let opened; // the link, the element that shows its form, and whether that is the dialog

  // --- open ---

  const open = async (link) => {
    close();
    const place = byId(link.dataset.inline ?? "apidevices-dialog");
    const mine = (opened = { link, place, isModal: place === dialog() });
    // The dialog is the source, so that a second request replaces the first one.
    await window.htmx.ajax("GET", link.href, { source: dialog(), target: place, swap: "innerHTML" });
    if (opened !== mine) {
      if (opened?.place !== place) place.replaceChildren(); // closed while it was loading
      return;
    }
    const form = place.querySelector("form");
    if (!form) {
      opened = undefined; // the status line says why
      return;
    }
    const menu = link.closest("details.menu");
    if (menu) menu.open = false;
    if (mine.isModal) {
      const title = form.querySelector(".dialog-title");
      title.id = "apidevices-dialog-title";
      place.setAttribute("aria-labelledby", title.id);
      place.showModal();
      mine.isShown = true;
    } else {
      const field = form.querySelector("[autofocus]");
      field.focus();
      field.select();
    }
  };

  // A host application may have loaded another version of HTMX, which doesn't process these forms.
  const canOpen = () => window.htmx?.version?.startsWith("4.") && dialog();

  document.addEventListener("click", (event) => {
    const { ctrlKey, metaKey, shiftKey, altKey, target } = event;
    const link = target.closest?.("a[data-dialog], a[data-inline]");
    if (link && !(ctrlKey || metaKey || shiftKey || altKey) && canOpen()) {
      event.preventDefault();
      open(link);
    } else if (target.closest?.("[data-close]")) {
      close();
    }
  });

  // --- suggested tags ---

  document.addEventListener("click", ({ target }) => {
    const tag = target.closest?.("[data-add-to]");
    if (!tag) return;
    const field = byId(tag.dataset.addTo);
    const tags = field.value.split(",").map((each) => each.trim());
    field.value = [...tags, tag.querySelector("bdi").textContent].filter(Boolean).join(", ");
    tag.remove();
    field.focus();
  });

  // --- close: empty the place, and return the focus to the link, its menu, or the page ---

  const close = () => {
    if (!opened) return;
    const { link, place } = opened;
    opened = undefined;
    dialog().close();
    place.replaceChildren();
    focusFirst(byId(link.id) ?? link, link.closest("details.menu")?.querySelector("summary"));
  };

  const focusFirst = (...elements) => {
    const isVisible = (element) => element?.isConnected && element.checkVisibility();
    (elements.find(isVisible) ?? byId("apidevices-main"))?.focus({ preventScroll: true });
  };

  document.addEventListener("close", (event) => {
    // The event comes after the focus has returned: another form may already be opening.
    if (event.target === dialog() && !dialog().open && opened?.isShown) close();
  }, true);

  document.addEventListener("keydown", (event) => {
    // The browser closes the dialog on Escape.
    if (event.key !== "Escape" || !opened || opened.isModal) return;
    if (event.target === opened.link || opened.place.contains(event.target)) close();
  });

  // --- send the form ---

  const isOpenForm = (element) => element?.matches?.("form") && opened?.place.contains(element);

  const showErrors = (form, ...content) => {
    const list = form.querySelector("[data-errors]");
    list.replaceChildren(...content);
    list.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    const isLeaving = ctx.hx.refresh || ctx.hx.redirect;
    if (isLeaving && ctx.response.status < 400 && isOpenForm(ctx.sourceElement)) {
      sessionStorage.setItem("apidevices-focus-next", opened.link.id); // see app.js
    }
    if (ctx.response.status !== 401 || !ctx.hx.redirect || !isOpenForm(ctx.sourceElement)) return;
    event.preventDefault(); // leaving the page would lose what was typed
    const link = document.createElement("a");
    link.href = ctx.hx.redirect;
    link.textContent = "Sign in";
    showErrors(ctx.sourceElement, "Your session has ended, and nothing was changed. ", link);
  });

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    if (ctx.response.status < 400 && isOpenForm(ctx.sourceElement)) {
      ctx.wasOpen = true;
      close();
    }
  });

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx.wasOpen && document.activeElement === document.body) focusFirst();
  });

  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    const messages = [...byId("apidevices-status").children];
    const failed = !(ctx.response?.status < 400);
    // The status line is behind the dialog.
    if (failed && messages.length && isOpenForm(ctx.sourceElement)) {
      showErrors(ctx.sourceElement, ...messages);
    }
  });
})();
