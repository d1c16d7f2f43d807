// Returns the layout faults of the page at its current size, each as one line of text. If a modal
// dialog is open, only the dialog is measured.
() => {
  const SLACK = 1; // pixels, for rounding
  const TARGET = 24; // smallest width and height of a target, see WCAG 2.2, 2.5.8
  const LONGEST_WORD = 24; // letters; only longer words may break
  const LONGEST_NUMBER = 12; // characters of a word with digits; longer ones are identifiers
  const NARROWEST_CUT = 64; // pixels that an ellipsis leaves of a text at least
  const MAY_BREAK = "code, pre, kbd, .identifier, [data-breakable]"; // identifiers and URLs
  const CONTROLS = "button, input, select, textarea, summary, .button";
  const TARGETS = `a[href], ${CONTROLS}`;

  const faults = new Set();
  const root = document.querySelector("dialog:modal, [popover]:popover-open") ?? document.body;

  // --- elements --------------------------------------------------------------------------------

  const styles = new Map();
  const style = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };

  const remembered = (find) => {
    const found = new Map();
    return (element) => {
      if (!element) return null;
      if (!found.has(element)) found.set(element, find(element));
      return found.get(element);
    };
  };

  /** Whether an element is shown, and not only to screen readers. */
  const isShown = remembered((element) => {
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return false;
    if (element.matches("svg, svg *, template, noscript")) return false;
    if (style(element).clipPath.startsWith("inset(50%")) return false;
    return element === document.body || isShown(element.parentElement);
  });

  /** The element that paints its content above the rest of the page, such as a sticky header. */
  const layer = remembered((element) => {
    const { position, zIndex } = style(element);
    const isRaised = /fixed|sticky/.test(position) || (position === "absolute" && zIndex !== "auto");
    return isRaised ? element : layer(element.parentElement);
  });

  /** The nearest ancestor that hides what overflows it, other than the page. */
  const clipping = remembered((element) => {
    if (element === document.body || element === document.documentElement) return null;
    return style(element).overflowX === "visible" ? clipping(element.parentElement) : element;
  });

  /** The nearest element that isn't inline, whose box the text must not leave. */
  const block = remembered((element) =>
    style(element).display.startsWith("inline") && !style(element).display.includes("-")
      ? block(element.parentElement)
      : element,
  );

  const shorten = (text) => text.trim().replace(/\s+/g, " ").slice(0, 40);
  const describe = (element) => {
    const classes = [...element.classList].map((name) => `.${name}`).join("");
    const text = element.getAttribute("aria-label") || element.textContent || element.name || "";
    return `<${element.localName}${classes}> “${shorten(text)}”`;
  };

  // --- texts -----------------------------------------------------------------------------------

  const range = document.createRange();
  const lines = (rects) => new Set([...rects].filter((r) => r.width).map((r) => Math.round(r.top))).size;

  const findBrokenWords = (node) => {
    if (node.parentElement.closest(MAY_BREAK)) return;
    for (const { 0: word, index } of node.data.matchAll(/\S+/g)) {
      if (word.length > (/\d/.test(word) ? LONGEST_NUMBER : LONGEST_WORD)) continue;
      for (const part of word.matchAll(/[\p{L}\p{M}\p{N}]+/gu)) {
        if (/\p{Lo}/u.test(part[0])) continue; // such as Chinese, which breaks anywhere
        range.setStart(node, index + part.index);
        range.setEnd(node, index + part.index + part[0].length);
        if (lines(range.getClientRects()) > 1)
          faults.add(`broken word: “${part[0]}” in ${describe(node.parentElement)}`);
      }
    }
  };

  const isEllipsized = (element) =>
    style(element).textOverflow === "ellipsis" || style(element).webkitLineClamp !== "none";

  const visible = (rect, box) => ({
    top: Math.max(rect.top, box.top),
    bottom: Math.min(rect.bottom, box.bottom),
    left: Math.max(rect.left, box.left),
    right: Math.min(rect.right, box.right),
  });

  /** Return the visible part of a line of text. Add a fault if the rest is cut or lies elsewhere. */
  const visiblePart = (rect, element, text) => {
    const box = clipping(element);
    if (box && /auto|scroll/.test(style(box).overflowX)) {
      return visible(rect, box.getBoundingClientRect());
    }
    if (!box) {
      const { left, right } = block(element).getBoundingClientRect();
      if (rect.right > right + SLACK || rect.left < left - SLACK)
        faults.add(`text leaves its box: “${text}” in ${describe(block(element))}`);
      return rect;
    }
    const { left, right, top, bottom } = box.getBoundingClientRect();
    const isCut = rect.right > right + SLACK || rect.left < left - SLACK;
    const isBelow = rect.bottom > bottom + SLACK && rect.top < bottom - SLACK;
    if ((isCut || isBelow) && !isEllipsized(box)) faults.add(`clipped text: “${text}” in ${describe(box)}`);
    else if (isCut && right - left < NARROWEST_CUT) faults.add(`less than ${NARROWEST_CUT} px left of “${text}”`);
    return visible(rect, { left, right, top, bottom });
  };

  const boxes = []; // of lines of text and of controls

  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!/\S/.test(node.data) || !isShown(element) || element.closest("select, textarea")) continue;
    range.selectNodeContents(node);
    const rects = [...range.getClientRects()].filter((rect) => rect.width && rect.height);
    if (lines(rects) > 1) findBrokenWords(node);
    for (const rect of rects) {
      const part = visiblePart(rect, element, shorten(node.data));
      if (part.right - part.left > 0 && part.bottom - part.top > 0) boxes.push({ element, part, text: node.data });
    }
  }

  // --- columns: a cell holds its content -------------------------------------------------------

  for (const cell of root.querySelectorAll("td, th")) {
    if (isShown(cell) && style(cell).overflowX === "visible" && cell.scrollWidth > cell.clientWidth + SLACK)
      faults.add(`column narrower than its content: ${describe(cell)}`);
  }

  // --- overlaps --------------------------------------------------------------------------------

  for (const element of root.querySelectorAll(CONTROLS)) {
    if (!isShown(element)) continue;
    const part = element.getBoundingClientRect();
    if (part.width && part.height) boxes.push({ element, part, text: "", isControl: true });
  }

  const overlap = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > SLACK * 2 &&
    // Line boxes of neighboring lines touch: fonts are higher than what they draw.
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) >
      Math.min(a.bottom - a.top, b.bottom - b.top) * 0.4;

  const name = ({ element, text }) => (text ? `“${shorten(text)}”` : describe(element));

  boxes.sort((a, b) => a.part.top - b.part.top);
  boxes.forEach((box, index) => {
    for (let next = index + 1; next < boxes.length; next += 1) {
      const other = boxes[next];
      if (other.part.top >= box.part.bottom) break;
      if (box.element.contains(other.element) || other.element.contains(box.element)) continue;
      if (layer(box.element) !== layer(other.element)) continue;
      // A decoration inside a field, such as the key that focuses it.
      if ([box, other].some((each) => !each.isControl && each.element.closest("[aria-hidden=true]"))) continue;
      if (overlap(box.part, other.part)) faults.add(`overlap: ${name(box)} and ${name(other)}`);
    }
  });

  // --- targets ---------------------------------------------------------------------------------

  const targets = [];
  for (const element of root.querySelectorAll(TARGETS)) {
    if (!isShown(element) || element.matches(":disabled, .button *")) continue;
    const label = element.labels?.[0];
    const area = element.matches("[type=checkbox], [type=radio]") && label ? label : element;
    targets.push({ element, part: area.getBoundingClientRect() });
  }

  const isInSentence = (element) => {
    const around = block(element);
    return around !== element && shorten(around.textContent).length > shorten(element.textContent).length + 3;
  };
  const isStretched = (element) =>
    ["::before", "::after"].some((part) => {
      const { content, position } = getComputedStyle(element, part);
      return content !== "none" && position === "absolute";
    });
  const isNear = (part, other) => {
    const x = (part.left + part.right) / 2;
    const y = (part.top + part.bottom) / 2;
    const dx = Math.max(other.left - x, x - other.right, 0);
    const dy = Math.max(other.top - y, y - other.bottom, 0);
    return Math.hypot(dx, dy) < TARGET / 2;
  };

  for (const { element, part } of targets) {
    if (part.width >= TARGET - 0.5 && part.height >= TARGET - 0.5) continue;
    if (!part.width || isInSentence(element) || isStretched(element)) continue;
    const close = targets.find((other) => other.element !== element && isNear(part, other.part));
    if (close)
      faults.add(
        `target of ${Math.round(part.width)} × ${Math.round(part.height)} px: ${describe(element)}, next to ${describe(close.element)}`,
      );
  }

  // --- the page --------------------------------------------------------------------------------

  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) faults.add(`the page scrolls horizontally by ${scrollWidth - clientWidth} px`);
  if (root !== document.body && root.scrollWidth > root.clientWidth + SLACK) faults.add("the dialog scrolls horizontally");
  return [...faults];
};
