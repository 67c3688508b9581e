// A word of the glossary shows its sentence while the pointer or the focus is on it. Escape closes it; the
// pointer may move onto the sentence. A click leads to the glossary.
(() => {
  "use strict";
  const tip = document.createElement("span");
  tip.id = "term-sentence";
  tip.className = "term-sentence";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  let owner = null;
  let leaving = 0;

  function show(link) {
    clearTimeout(leaving);
    if (owner === link) return;
    hide();
    owner = link;
    tip.textContent = link.dataset.sentence;
    link.setAttribute("aria-describedby", tip.id);
    link.after(tip);
    tip.hidden = false;
    place(link);
  }

  // Below the word, inside the column.
  function place(link) {
    tip.style.left = tip.style.top = "0";
    const column = link.closest(".bd-article").getBoundingClientRect();
    const word = [...link.getClientRects()].at(-1);
    const own = tip.getBoundingClientRect();
    const left = Math.max(column.left, Math.min(word.left, column.right - own.width));
    tip.style.left = `${left - own.left}px`;
    tip.style.top = `${word.bottom + 4 - own.top}px`;
  }

  function hide() {
    clearTimeout(leaving);
    owner?.removeAttribute("aria-describedby");
    owner = null;
    tip.hidden = true;
  }

  const hideSoon = () => (leaving = setTimeout(hide, 200));
  tip.addEventListener("mouseenter", () => clearTimeout(leaving));
  tip.addEventListener("mouseleave", hideSoon);
  for (const link of document.querySelectorAll("a.term[data-sentence]")) {
    link.addEventListener("mouseenter", () => show(link));
    link.addEventListener("mouseleave", hideSoon);
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
})();
