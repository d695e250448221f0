"use strict";
// The cutoff, moved: what each level would have done, from the numbers that the page holds. No words here:
// they come from the template, numbers are written as in the page's language.
(() => {
  const data = document.getElementById("cutoff-data");
  if (!data) return;
  const { found, currency } = JSON.parse(data.textContent);
  const phrases = JSON.parse(document.getElementById("cutoff-phrases").textContent);
  const { locale } = window.propense.settings;
  const language = document.documentElement.lang;
  const at = (id) => document.getElementById(id);
  const [slider, typed, copy] = ["cutoff-slider", "cutoff-typed", "cutoff-copy"].map(at);
  const inputs = { contact_cost: at("contact-cost"), won_value: at("won-value") };

  // As the report's text writes them, to the last rounding.
  const written = (options) => new Intl.NumberFormat(locale, { roundingMode: "halfEven", ...options });
  const whole = written({ maximumFractionDigits: 0 });
  const tenth = written({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const typing = written({ maximumFractionDigits: 1, useGrouping: false });
  const cash = currency
    ? written({ style: "currency", currency, minimumFractionDigits: 0, maximumFractionDigits: 0 })
    : whole;
  const amount = { format: (value) => cash.format(value).replace("-", "\u2212") };
  const fill = (phrase, values) => phrase.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  const known = (value, write) =>
    value === null || value === undefined ? phrases.unknown : write(value);
  const digits = (share) =>
    written({ style: "percent" })
      .formatToParts(share)
      .filter((part) => part.type !== "percentSign" && part.type !== "literal")
      .map((part) => part.value)
      .join("");
  const percent = (share) => fill(phrases.percent, { n: digits(share) });

  // What a person typed as a number, with a comma or a point; NaN where it is none.
  const read = (text) => {
    const plain = text.replace(/[\s%\u00a0\u202f]/g, "").replace(",", ".");
    return /^\d*\.?\d+$|^\d+\.$/.test(plain) ? Number(plain) : NaN;
  };

  const money = (counts) => {
    const [cost, worth] = [inputs.contact_cost, inputs.won_value].map((input) => read(input.value));
    const spent = counts && !Number.isNaN(cost) ? counts.mqls * cost : null;
    const earned = counts && !Number.isNaN(worth) ? counts.converted * worth : null;
    return { spent, earned, left: spent === null || earned === null ? null : earned - spent };
  };

  // Everything that is shown of a level (or of the points), written.
  const shown = (counts, label, open) => {
    const { spent, earned, left } = money(counts);
    const share = counts?.share;
    return {
      label,
      open: known(open, whole.format),
      mqls: known(counts?.mqls, whole.format),
      per_week: known(counts?.per_week, tenth.format),
      share: known(share?.value, percent),
      interval:
        share && share.value !== null
          ? fill(phrases.interval, {
              confidence: percent(share.confidence), low: percent(share.low), high: percent(share.high),
            })
          : "",
      converted: known(counts?.converted, whole.format),
      missed: known(counts?.missed, whole.format),
      caught: known(counts?.caught, percent),
      caught_of: counts
        ? fill(phrases.caught_of, {
            caught: whole.format(counts.converted),
            all: whole.format(counts.conversions),
            missed: whole.format(counts.missed),
          })
        : "",
      contacts_per_customer: known(counts?.contacts_per_customer, tenth.format),
      cost: known(spent, amount.format),
      value: known(earned, amount.format),
      left: known(left, amount.format),
    };
  };

  const said = (text) => (text ? text[language] : "");
  const ofRung = (rung) => shown(rung[found.judged_on], said(rung.label), rung.open);
  const ofPoints = () => {
    const mark = found.marks.find((one) => one.kind === "points");
    return mark ? shown(mark.counts, said(mark.label), null) : null;
  };

  // What a policy promised of this very level before anybody saw the others.
  const fixed = (rung) => {
    const mark = found.marks.find((one) => one.promise && one.level === rung.level);
    return mark ? fill(phrases.fixed, { policy: said(mark.label), promise: said(mark.promise) }) : "";
  };

  // A policy's own promise comes first, then what holds for who picks the level from all that are shown.
  const promised = (rung) => ({
    fixed: fixed(rung),
    after: fixed(rung) ? phrases.after : "",
    promise: rung.promise ? said(rung.promise.words) : said(rung.no_promise) || phrases.no_promise,
    held: rung.held ? said(rung.held.words) : rung.promise ? phrases.not_judged : phrases.not_held,
  });

  const cells = (column, values) => {
    for (const [row, text] of Object.entries(values)) {
      const cell = document.querySelector(`[data-cell="${column}.${row}"]`);
      if (cell) cell.textContent = text;
    }
  };

  // A reader who listens is told once the slider rests; the pictures for paper follow then, too.
  let resting = 0;
  const rest = (sentence) => {
    window.clearTimeout(resting);
    resting = window.setTimeout(() => {
      at("cutoff-status").textContent = sentence;
      window.propense.settle();
    }, 400);
  };

  const show = ({ tell = true } = {}) => {
    const rung = found.rungs[Number(slider.value)];
    const values = { ...ofRung(rung), ...promised(rung) };
    const counts = rung[found.judged_on];
    for (const place of document.querySelectorAll("[data-show]")) {
      place.textContent = values[place.dataset.show] ?? "";
    }
    cells("chosen", values);
    const force = found.in_force.rung === null ? null : found.rungs[found.in_force.rung];
    cells("in_force", force ? ofRung(force) : shown(null, phrases.unknown, null));
    const points = ofPoints();
    if (points) cells("points", points);
    for (const row of ["cost", "value", "left"]) {
      const cell = document.querySelector(`[data-cell="chosen.${row}"]`);
      cell.closest("tr").hidden = values[row] === phrases.unknown;
    }
    at("cutoff-paste").textContent = `[[cutoffs]]\npolicy = "manual"\nlevel = ${rung.level}\n`;
    const sentence = fill(found.timed ? phrases.weekly : phrases.untimed, {
      ...values, caught: values.converted, all: known(counts?.conversions, whole.format),
      promise: [values.fixed, values.after, values.promise].filter(Boolean).join(" "),
    });
    slider.setAttribute("aria-valuetext", sentence);
    slider.style.setProperty("--done", `${(100 * slider.value) / Math.max(1, slider.max)}%`);
    for (const button of document.querySelectorAll("[data-jump]")) {
      button.setAttribute("aria-pressed", String(button.dataset.jump === slider.value));
    }
    window.propense.signal("chosen", rung.level);
    copy.textContent = phrases.copy;
    if (tell) rest(sentence);
  };

  const retype = () => {
    typed.value = typing.format(100 * found.rungs[Number(slider.value)].level);
    typed.removeAttribute("aria-invalid");
  };

  const take = () => {
    const level = read(typed.value) / 100;
    if (!(level >= 0 && level <= 1)) {
      typed.setAttribute("aria-invalid", "true");
      at("cutoff-status").textContent = phrases.not_read;
      return;
    }
    const away = found.rungs.map((rung) => Math.abs(rung.level - level));
    slider.value = away.indexOf(Math.min(...away));
    retype();
    show();
  };

  const selected = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  // A page opened from a file may not be let near the clipboard: then the lines are selected instead.
  const copied = async () => {
    const lines = at("cutoff-paste");
    let done = true;
    try {
      await navigator.clipboard.writeText(lines.textContent);
    } catch {
      selected(lines);
      done = document.execCommand("copy");
    }
    copy.textContent = done ? phrases.copied : phrases.not_copied;
    at("cutoff-status").textContent = copy.textContent;
  };

  // Marks that would cover each other stand in rows.
  const place = () => {
    const ends = [];
    const ticks = [...document.querySelectorAll(".tick")].sort((a, b) => a.dataset.place - b.dataset.place);
    const { clientWidth } = slider;
    for (const tick of ticks) {
      const share = tick.dataset.place / Math.max(1, slider.max);
      const row = [...ends, -Infinity].findIndex((end) => share * clientWidth - end >= 24);
      ends[row] = share * clientWidth;
      tick.style.setProperty("--share", share);
      tick.style.setProperty("--row", row);
    }
    document.querySelector(".ticks").style.setProperty("--rows", Math.max(1, ends.length));
  };

  for (const [name, input] of Object.entries(inputs)) {
    const given = found.money[name] ?? (name === "won_value" ? found.money.mean_amount : null);
    input.value = given === null || given === undefined ? "" : typing.format(given);
    input.addEventListener("input", () => show());
  }
  slider.addEventListener("input", () => { retype(); show(); });
  typed.addEventListener("change", take);
  typed.addEventListener("keydown", (event) => { if (event.key === "Enter") take(); });
  for (const button of document.querySelectorAll("[data-jump]")) {
    button.addEventListener("click", () => { slider.value = button.dataset.jump; retype(); show(); });
  }
  copy.addEventListener("click", copied);
  window.addEventListener("resize", place);
  place();
  retype();
  show({ tell: false });
})();
