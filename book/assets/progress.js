// What a reader has done, kept in this browser and nowhere else: chapters read, answers of the quizzes.
// One button forgets all of it. Without storage (a private window) the page works as before.
(() => {
  "use strict";
  const KEY = "mixed-models-course";
  const box = document.querySelector(".course-progress"); // on the front page and on every page with a quiz
  const page = box?.dataset.page;
  const texts = (element) => element.textContent.replace(/\s+/g, " ").trim();

  function recall() {
    try {
      const found = JSON.parse(localStorage.getItem(KEY));
      return { read: found?.read ?? {}, quiz: found?.quiz ?? {} };
    } catch {
      return { read: {}, quiz: {} };
    }
  }

  function remember(change) {
    const state = recall();
    change(state);
    try {
      localStorage.setItem(KEY, JSON.stringify(state));
    } catch {
      return; // no room, or not allowed
    }
    show();
  }

  // --- quizzes: by the words of question and option, so that a changed question is a new one ---------------

  function question(form) {
    const legend = form.querySelector("legend").cloneNode(true);
    legend.querySelector(".quiz-number")?.remove();
    return texts(legend);
  }
  const answer = (option) => texts(option.querySelector("label"));

  function restoreQuizzes() {
    const answers = recall().quiz[page] ?? {};
    for (const form of document.querySelectorAll("form.quiz")) {
      for (const option of form.querySelectorAll(".quiz-option")) {
        if (answers[question(form)] !== answer(option)) continue;
        const input = option.querySelector("input");
        input.checked = true;
        input.dispatchEvent(new Event("change", { bubbles: true }));
      }
      form.addEventListener("change", (event) => {
        const chosen = answer(event.target.closest(".quiz-option"));
        remember((state) => ((state.quiz[page] ??= {})[question(form)] = chosen));
      });
    }
  }

  // --- chapters --------------------------------------------------------------------------------------------

  const chapters = box ? JSON.parse(box.dataset.chapters) : [];
  const isChapter = chapters.includes(page);

  function button(words, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "sd-btn sd-btn-sm sd-btn-outline-primary";
    made.textContent = words;
    made.addEventListener("click", act);
    return made;
  }

  function forget() {
    localStorage.removeItem(KEY);
    location.reload();
  }

  function show() {
    const state = recall();
    markLinks(state.read);
    if (!box) return;
    const done = chapters.filter((name) => state.read[name]).length;
    const words = document.createElement("p");
    words.setAttribute("role", "status");
    words.textContent = `Read: ${done} of ${chapters.length} chapters. This stays in your browser; nothing is sent.`;
    const parts = [words];
    if (isChapter) {
      const isRead = Boolean(state.read[page]);
      const toggle = button(isRead ? "Read. Mark as unread" : "Mark this chapter as read", () => {
        remember((s) => (isRead ? delete s.read[page] : (s.read[page] = true)));
        box.querySelector("button").focus();
      });
      parts.push(toggle);
    }
    if (done || Object.keys(state.quiz).length) parts.push(button("Forget all my progress", forget));
    box.replaceChildren(...parts);
    box.hidden = !isChapter && parts.length === 1;
  }

  function markLinks(read) {
    const done = chapters.length ? chapters : Object.keys(read);
    const places = new Map(done.map((name) => [new URL(`${document.documentElement.dataset.content_root}${name}.html`, location.href).pathname, name]));
    for (const link of document.querySelectorAll(".bd-sidebar-primary a, .bd-article td a")) {
      const name = places.get(new URL(link.href, location.href).pathname);
      link.classList.toggle("is-read", Boolean(name && read[name]));
      if (name && read[name]) link.setAttribute("aria-description", "read");
      else link.removeAttribute("aria-description");
    }
  }

  if (page) restoreQuizzes();
  show();
})();
