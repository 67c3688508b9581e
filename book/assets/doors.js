// A link to a place behind a closed door opens the door; paper has no doors.
(() => {
  "use strict";
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target?.closest("details.door:not([open])");
    if (!closed) return;
    closed.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  addEventListener("load", open);
  addEventListener("beforeprint", () => document.querySelectorAll("details.door").forEach((d) => (d.open = true)));
})();
