"use strict";
// Draws the charts of a page in its colours, each when it comes into view: [data-chart] names the specification.
(() => {
  const $ = (id) => document.getElementById(id);
  const specs = JSON.parse($("specs").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = () => ({
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: { labelColor: colour("--quiet"), titleColor: colour("--quiet"), gridColor: colour("--line"),
      domainColor: colour("--line"), tickColor: colour("--line"), titleFontWeight: "normal" },
    legend: { labelColor: colour("--ink"), titleColor: colour("--quiet"), orient: "bottom", columns: 2, labelLimit: 320,
      symbolOpacity: 1 },
    header: { labelColor: colour("--ink"), labelLimit: 300 },
    range: { category: dark.matches
      ? ["#7fb0ff", "#f0a35e", "#57c78b", "#f08a80", "#b89cf0", "#9aa5b5", "#e6cf6a", "#6fd3d3",
          "#f29ad1", "#c9a184", "#a5d65a", "#e8edf5"]
      : ["#1f5fbf", "#c05f0a", "#1a7f4b", "#b3372e", "#6b3fb5", "#5c6675", "#8a6d00", "#0f7c86",
          "#b0307d", "#7a4a2b", "#3d7d00", "#2b2f36"] },
  });
  let ready = null;
  const vega = () => {
    ready ??= new Promise((resolve) => {
      const script = document.createElement("script");
      script.textContent = $("vega").textContent;
      document.body.append(script);
      resolve(window.vegaEmbed);
    });
    return ready;
  };
  const draw = async (place) => {
    const embed = await vega();
    place.replaceChildren();
    const shown = await embed(place, specs[place.dataset.chart], { actions: false, renderer: "svg", config: config() });
    place.dataset.drawn = "yes";
    return shown;
  };
  const places = [...document.querySelectorAll("[data-chart]")];
  const near = new IntersectionObserver((seen) => {
    for (const each of seen) if (each.isIntersecting) { near.unobserve(each.target); draw(each.target); }
  }, { rootMargin: "600px" });
  for (const place of places) near.observe(place);
  dark.addEventListener("change", () => places.filter((place) => place.dataset.drawn).forEach(draw));
  window.addEventListener("beforeprint", () => places.filter((place) => !place.dataset.drawn).forEach(draw));
})();
