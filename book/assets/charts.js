// Draws the slider charts of a page: loads the Vega bundle once, after the page, and embeds each chart.
// When the page turns dark or light the chart is drawn again, with the sliders where the reader left them.
(() => {
  "use strict";

  const script = document.currentScript.src;
  let bundle = null;

  function loadBundle() {
    bundle ??= new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = new URL("vega.js", script).href;
      tag.onload = resolve;
      tag.onerror = () => reject(new Error("vega.js did not load"));
      document.head.append(tag);
    });
    return bundle;
  }

  const isDark = () => document.documentElement.dataset.theme === "dark";
  const pageColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Break the axis titles that are longer than their axis: Vega cuts them off.
  function wrapTitles(part, width) {
    for (const unit of part.layer ?? []) wrapTitles(unit, width);
    for (const [channel, length] of [["x", width - 60], ["y", part.height ?? 280]]) {
      const encoding = part.encoding?.[channel];
      if (typeof encoding?.title !== "string") continue;
      const room = Math.max(12, Math.floor(length / 7));
      const lines = [""];
      for (const word of encoding.title.split(" ")) {
        if (lines.at(-1) && lines.at(-1).length + word.length >= room) lines.push("");
        lines.push(`${lines.pop()} ${word}`.trim());
      }
      encoding.title = lines;
    }
  }

  function themed(text, dark, width) {
    if (isDark()) {
      for (const [light, colour] of Object.entries(dark)) text = text.replaceAll(`"${light}"`, `"${colour}"`);
    }
    const spec = JSON.parse(text);
    const ink = pageColour("--pst-color-text-base");
    const muted = pageColour("--pst-color-text-muted");
    const line = pageColour("--pst-color-border");
    const config = (spec.config ??= {});
    config.font = getComputedStyle(document.body).fontFamily;
    wrapTitles(spec, width);
    spec.width = "container";
    delete spec.title; // the page shows it as text, which wraps
    config.axis = { labelColor: muted, titleColor: ink, domainColor: line, tickColor: line, gridColor: line, labelOverlap: "greedy", labelSeparation: 6, ...config.axis };
    config.legend = { labelColor: ink, titleColor: ink, ...config.legend };
    return spec;
  }

  class SliderChart {
    constructor(root) {
      const { spec, dark } = JSON.parse(root.querySelector(".slider-spec").textContent);
      this.view = root.querySelector(".slider-view");
      this.title = root.querySelector(".slider-title");
      this.text = JSON.stringify(spec);
      this.dark = dark;
      this.names = (spec.params ?? []).map((param) => param.name);
      this.drawing = Promise.resolve();
      // Vega looks at the window's size, and looks too early while the page still rearranges itself.
      new ResizeObserver(() => this.fit()).observe(this.view);
    }

    fit() {
      const width = this.view.clientWidth;
      if (this.current && width && !this.drawnAt) return void this.draw(); // it was behind a closed door
      if (this.current && width && this.current.signal("width") !== width) this.current.signal("width", width).runAsync();
    }

    // One drawing after another: a fast reader may press the theme switch twice.
    draw() {
      this.drawing = this.drawing.then(() => this.embed()).catch((error) => {
        this.view.textContent = `This chart could not be drawn: ${error.message}`;
      });
      return this.drawing;
    }

    async embed() {
      await loadBundle();
      const values = this.current ? this.names.map((name) => [name, this.current.signal(name)]) : [];
      this.drawnAt = this.view.clientWidth;
      const spec = themed(this.text, this.dark, this.drawnAt);
      for (const [name, value] of values) spec.params.find((param) => param.name === name).value = value;
      this.current?.finalize();
      const options = { mode: "vega-lite", actions: false, renderer: "svg", tooltip: false };
      this.current = (await vegaEmbed(this.view, spec, options)).view;
      this.describe();
    }

    // One picture with one description instead of a hundred unnamed marks. Vega names a mark anew whenever it moves.
    describe() {
      const svg = this.view.querySelector("svg");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-labelledby", this.title.id);
      svg.removeAttribute("aria-roledescription");
      const names = ["role", "aria-label", "aria-roledescription"];
      const clear = () => {
        for (const part of svg.querySelectorAll(names.map((name) => `[${name}]`).join())) {
          for (const name of names) part.removeAttribute(name);
        }
      };
      clear();
      new MutationObserver(clear).observe(svg, { subtree: true, childList: true, attributeFilter: names });
    }
  }

  const charts = [...document.querySelectorAll(".slider-chart")].map((root) => new SliderChart(root));
  const drawAll = () => charts.forEach((chart) => chart.draw());
  window.requestIdleCallback ? requestIdleCallback(drawAll, { timeout: 2000 }) : setTimeout(drawAll, 200);
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
