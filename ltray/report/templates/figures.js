"use strict";
// Draws every figure with plotly.js from this page: nothing is loaded. Colours such as var(--blue) are replaced by
// those of the current theme; a printed page has the light theme and the width of the paper.
(async () => {
  const PAPER = { whole: 660, column: 322 }; // pixels on a printed page
  const palettes = JSON.parse(document.getElementById("palettes").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = [...document.querySelectorAll(".plot")];
  let printing = false;

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const coloured = (value, palette) => {
    if (typeof value === "string") return value.replace(/^var\(--(\w+)\)$/, (_, name) => palette[name]);
    if (Array.isArray(value)) return value.map((each) => coloured(each, palette));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, coloured(each, palette)]));
    return value;
  };

  const draw = (plot) => {
    const spec = JSON.parse(plot.nextElementSibling.textContent);
    const palette = palettes[dark.matches && !printing ? "dark" : "light"];
    const { data, layout } = coloured(spec, palette);
    const width = plot.closest(".grid2, .grid3") ? PAPER.column : PAPER.whole;
    const size = printing ? { width, autosize: false } : { autosize: true };
    return Plotly.react(plot, data, { ...layout, ...size, height: plot.clientHeight || layout.height }, {
      displayModeBar: false, responsive: !printing, scrollZoom: false, showTips: false,
    });
  };

  const visible = (plot) => plot.offsetParent !== null;
  const drawAll = () => Promise.all(plots.filter(visible).map(draw));

  const script = document.createElement("script");
  try {
    script.textContent = await unpack(document.getElementById("plotly").textContent);
  } catch (error) {
    for (const plot of plots)
      plot.textContent = "This browser is too old for the figures; the tables contain their values.";
    throw error;
  }
  document.head.append(script);

  for (const details of document.querySelectorAll("details"))
    details.addEventListener("toggle", () => details.querySelectorAll(".plot").forEach((plot) => visible(plot) && draw(plot)));
  dark.addEventListener("change", drawAll);
  let closed = [];
  const print = (now) => {
    if (printing === now) return;
    printing = now;
    if (now) closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = now;
    drawAll();
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  await drawAll();
  document.documentElement.dataset.drawn = "true";
})();
