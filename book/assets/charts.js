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

  function themed(text, dark) {
    if (isDark()) {
      for (const [light, colour] of Object.entries(dark)) text = text.replaceAll(`"${light}"`, `"${colour}"`);
    }
    const spec = JSON.parse(text);
    const ink = pageColour("--pst-color-text-base");
    const muted = pageColour("--pst-color-text-muted");
    const line = pageColour("--pst-color-border");
    const config = (spec.config ??= {});
    config.font = getComputedStyle(document.body).fontFamily;
    config.axis = { labelColor: muted, titleColor: ink, domainColor: line, tickColor: line, gridColor: line, ...config.axis };
    config.legend = { labelColor: ink, titleColor: ink, ...config.legend };
    spec.title = { color: ink, ...spec.title };
    return spec;
  }

  class SliderChart {
    constructor(root) {
      const { spec, dark } = JSON.parse(root.querySelector(".slider-spec").textContent);
      this.view = root.querySelector(".slider-view");
      this.text = JSON.stringify(spec);
      this.dark = dark;
      this.names = (spec.params ?? []).map((param) => param.name);
      this.drawing = Promise.resolve();
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
      const values = this.current ? this.names.map((name) => [name, this.current.view.signal(name)]) : [];
      const spec = themed(this.text, this.dark);
      for (const [name, value] of values) spec.params.find((param) => param.name === name).value = value;
      this.current?.finalize();
      this.current = await vegaEmbed(this.view, spec, { actions: false, renderer: "svg", tooltip: false });
      this.describe(spec);
    }

    // One picture with one description instead of a hundred unnamed marks.
    describe(spec) {
      const svg = this.view.querySelector("svg");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", spec.title?.text ?? spec.description);
      for (const part of svg.querySelectorAll("[role], [aria-label], [aria-roledescription]")) {
        for (const name of ["role", "aria-label", "aria-roledescription"]) part.removeAttribute(name);
      }
      svg.removeAttribute("aria-roledescription");
    }
  }

  const charts = [...document.querySelectorAll(".slider-chart")].map((root) => new SliderChart(root));
  const drawAll = () => charts.forEach((chart) => chart.draw());
  window.requestIdleCallback ? requestIdleCallback(drawAll, { timeout: 2000 }) : setTimeout(drawAll, 200);
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
