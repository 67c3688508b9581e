// A quiz answers at once: choosing an option shows whether it is right, and why. progress.js remembers the choice.
(() => {
  "use strict";
  for (const form of document.querySelectorAll("form.quiz")) {
    const answer = form.querySelector(".quiz-answer");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => {
      const option = event.target.closest(".quiz-option");
      const right = option.dataset.correct === "true";
      for (const other of form.querySelectorAll(".quiz-option")) delete other.dataset.chosen;
      option.dataset.chosen = right ? "right" : "wrong";
      const verdict = document.createElement("strong");
      verdict.textContent = right ? "Right. " : "Not this one. ";
      const reason = option.querySelector(".quiz-reason").cloneNode(true);
      reason.hidden = false;
      reason.querySelector("p")?.prepend(verdict);
      answer.replaceChildren(reason);
      answer.dataset.verdict = right ? "right" : "wrong";
    });
  }
})();
