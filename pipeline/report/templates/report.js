"use strict";
// Draws the figures in the reader's colours and at the width there is. Holds no words.
(() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  // A colour is replaced by its dark one wherever it stands as a whole value.
  const recoloured = (text) =>
    text.replace(/"(#[0-9a-f]{6})"/gi, (all, colour) => {
      const other = settings.dark[colour.toLowerCase()];
      return other ? `"${other}"` : all;
    });

  const named = (text) => text.replaceAll('"white"', '"#FFFFFF"').replaceAll('"black"', '"#1D2126"');

  // As many words to a line as fit in so many pixels.
  const wrapped = (text, room) => {
    const lines = [""];
    for (const word of text.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (lines.at(-1) && longer.length * 6.2 > room) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  };

  // On a narrow page the names beside bars leave the bars their half (the table has them whole), titles
  // break into lines, and the entries of a legend stand below each other.
  const narrowed = (part, width) => {
    for (const axis of part.axes ?? []) {
      if (axis.labelLimit) axis.labelLimit = Math.min(axis.labelLimit, 0.45 * width);
      if (typeof axis.title === "string" && axis.orient === "bottom") {
        axis.title = wrapped(axis.title, 0.5 * width);
      }
    }
    for (const legend of part.legends ?? []) legend.columns = 1;
    for (const mark of part.marks ?? []) narrowed(mark, width);
    return part;
  };

  const parsed = (chart, isDark, width) => {
    const { spec } = JSON.parse(isDark ? recoloured(named(chart.text)) : chart.text);
    if (width < 560) narrowed(spec, width);
    return window.vega.parse(spec, { locale: settings.vega });
  };

  // What a mark tells when pointed at: the same is in the table behind the figure.
  const bubble = document.createElement("div");
  bubble.className = "bubble";
  bubble.hidden = true;
  bubble.setAttribute("aria-hidden", "true");
  document.body.append(bubble);

  const tell = (handler, event, item, value) => {
    bubble.hidden = value === null || value === undefined || value === "";
    if (bubble.hidden) return;
    const lines = typeof value === "object" ? Object.entries(value) : [["", String(value)]];
    bubble.replaceChildren(
      ...lines.map(([name, text]) => {
        const line = document.createElement("div");
        const what = document.createElement("span");
        const how = document.createElement("b");
        what.textContent = name;
        how.textContent = text;
        line.append(what, how);
        return line;
      }),
    );
    const box = bubble.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - box.width - 8);
    const above = event.clientY - box.height - 14;
    bubble.style.left = `${Math.max(8, left)}px`;
    bubble.style.top = `${above < 8 ? event.clientY + 18 : above}px`;
  };

  const draw = (chart) => {
    const width = chart.element.clientWidth;
    if (!width) return; // inside something closed: drawn when it is opened
    chart.view?.finalize();
    chart.view = new window.vega.View(parsed(chart, dark.matches, width), {
      container: chart.live, renderer: "svg", hover: true, tooltip: tell, logLevel: 1,
    });
    if (chart.fluid) chart.view.width(width);
    for (const [name, value] of Object.entries(chart.held)) chart.view.signal(name, value);
    chart.view.run();
    chart.width = width;
    chart.element.classList.add("drawn");
  };

  const fit = (chart) => {
    const width = chart.element.clientWidth;
    if (width !== chart.width) draw(chart);
  };

  const add = (element) => {
    const text = document.querySelector(`script[data-spec="${element.dataset.chart}"]`).textContent;
    const live = document.createElement("div");
    live.className = "live";
    live.setAttribute("aria-hidden", "true");
    element.append(live);
    const chart = { element, live, text, fluid: JSON.parse(text).fluid, view: null, width: 0, held: {} };
    charts.push(chart);
    new ResizeObserver(() => window.requestAnimationFrame(() => fit(chart))).observe(element);
  };

  // Sets a signal of every chart that has one of this name, now and when it is drawn again.
  const signal = (name, value) => {
    for (const chart of charts) {
      if (!chart.text.includes(`"name":"${name}"`)) continue;
      chart.held[name] = value;
      if (chart.view) chart.view.signal(name, value).run();
    }
  };

  // Draws the pictures for paper again, where a signal has moved since they were made.
  const settle = async () => {
    for (const chart of charts.filter((one) => Object.keys(one.held).length)) {
      const view = new window.vega.View(parsed(chart, false, settings.width), { renderer: "none", logLevel: 1 });
      for (const [name, value] of Object.entries(chart.held)) view.signal(name, value);
      const picture = await view.toSVG();
      chart.element.querySelector(".still").src = `data:image/svg+xml,${encodeURIComponent(picture)}`;
      view.finalize();
    }
  };

  // A table that fits needs no stop on the way through the page by keyboard.
  const stops = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };

  // The contents show where the reader is.
  const follow = () => {
    const links = new Map(
      [...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]),
    );
    const watcher = new IntersectionObserver(
      (seen) => {
        for (const entry of seen) {
          if (!entry.isIntersecting) continue;
          for (const link of links.values()) link.removeAttribute("aria-current");
          links.get(entry.target.id)?.setAttribute("aria-current", "true");
        }
      },
      { rootMargin: "-20% 0px -75% 0px" },
    );
    for (const section of document.querySelectorAll(".part")) watcher.observe(section);
  };

  document.documentElement.classList.add("scripted");
  document.querySelectorAll("[data-chart]").forEach(add);
  dark.addEventListener("change", () => charts.forEach(draw));
  document.addEventListener("toggle", stops, true);
  window.addEventListener("resize", stops);
  stops();
  follow();
  window.propense = { settings, signal, settle };
})();
