// The arrow keys lead to the page before and after, as long as nothing else on the page has the focus.
(() => {
  "use strict";
  const LINKS = { ArrowLeft: "a.left-prev", ArrowRight: "a.right-next" };
  for (const [key, selector] of Object.entries(LINKS)) {
    document.querySelector(selector)?.setAttribute("aria-keyshortcuts", key);
  }
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (![null, document.body, document.documentElement].includes(document.activeElement)) return;
    document.querySelector(LINKS[event.key] ?? "#no-such-link")?.click();
  });
})();
