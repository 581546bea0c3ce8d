"use strict";
// The browser of prompts: shows one at a time. All text reaches the page through textContent, so nothing that a model
// wrote can become markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, given = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name === "text") element.textContent = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const unpacked = async () => {
    const bytes = Uint8Array.from(atob($("packed").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };
  const right = (row, place) => (row.truth && place !== undefined ? row.truth[place] > 0 : null);
  const answer = (row, place) => row.candidates[place].answer ?? row.candidates[place].text;
  const tests = {
    all: () => true,
    disagree: (row) => new Set(Object.values(row.picks).map((place) => answer(row, place))).size > 1,
    wrong: (row, way) => right(row, row.picks[way]) === false,
    none: (row) => row.truth !== null && row.truth.length > 0 && row.truth.every((value) => value === 0),
    saved: (row, way) => right(row, row.picks[way]) === true && row.truth.filter((value) => value > 0).length * 2 < row.truth.length,
    labelled: (row) => row.candidates.some((candidate) => labels.has(key(row, candidate.index))),
  };
  const labels = new Map();
  const key = (row, index) => JSON.stringify([row.pools, row.id, index]);
  let rows = [], shown = [], at = 0, current = 0;

  const signed = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(5))));
  const shade = (value) => {
    const share = Math.min(1, Math.max(0, value));
    return `color-mix(in srgb, ${share < 0.5 ? colour("--wrong") : colour("--right")} ${Math.round(Math.abs(share - 0.5) * 70 + 4)}%, transparent)`;
  };
  const text = (candidate) => {
    const block = make("div", { class: "text" });
    const scored = Object.values(candidate.scores).find((score) => score.steps);
    if (candidate.steps && scored) {
      candidate.steps.forEach((step, place) => {
        const mark = make("span", { class: "step", title: `step ${place + 1}: ${scored.steps[place]}`, text: step });
        mark.style.background = shade(scored.steps[place]);
        mark.append(make("sup", { text: String(scored.steps[place]) }));
        block.append(mark);
      });
    } else block.textContent = candidate.text;
    return block;
  };
  const scores = (candidate) => make("dl", { class: "scores" }, ...Object.entries(candidate.scores).flatMap(([name, score]) => [
    make("dt", { text: name }),
    make("dd", { text: signed(score.value) }),
    make("dd", { class: "why" }, why(score)),
  ]));
  const why = (score) => {
    const parts = Object.entries(score.parts ?? {}).map(([name, part]) => `${name} ${signed(part)}`).join(" · ");
    const words = [score.reason, parts].filter(Boolean).join(" — ");
    if (words.length <= 160) return document.createTextNode(words);
    return make("details", {}, make("summary", { text: `${words.slice(0, 120)} …` }), make("span", { text: words }));
  };
  const label = (row, candidate, value) => {
    const of = key(row, candidate.index);
    if (labels.get(of)?.label === value) labels.delete(of);
    else {
      if (value === "better") for (const other of row.candidates) if (labels.get(key(row, other.index))?.label === "better") labels.delete(key(row, other.index));
      labels.set(of, { pools: row.pools, id: row.id, index: candidate.index, label: value });
    }
    $("download").disabled = labels.size === 0;
    $("download").textContent = labels.size ? `Download ${labels.size} label${labels.size > 1 ? "s" : ""}` : "Download labels";
    show(false);
  };
  const card = (row, place) => {
    const candidate = row.candidates[place];
    const picks = Object.entries(row.picks).filter(([, chosen]) => chosen === place).map(([name]) => name);
    const truth = row.truth ? row.truth[place] : null;
    const facts = [candidate.answer !== undefined ? `answer ${candidate.answer}` : null, candidate.generator, candidate.variation,
      candidate.tokens !== undefined ? `${candidate.tokens} tokens` : null, candidate.seconds !== undefined ? `${candidate.seconds} s` : null];
    const element = make("article", { class: `candidate${place === current ? " current" : ""}${row.picks[$("way").value] === place ? " winner" : ""}`,
      tabindex: "0", "aria-label": `candidate ${place + 1}`, onfocusin: () => choose(place) },
      make("div", {},
        make("strong", { text: `${place + 1} ` }),
        truth === null ? null : make("span", { class: `badge ${truth > 0 ? "right" : "wrong"}`, text: truth === 1 ? "right" : truth === 0 ? "wrong" : signed(truth) }),
        ...picks.map((name) => make("span", { class: "badge pick", text: name })),
        candidate.finish ? make("span", { class: "badge cut", text: candidate.finish }) : null),
      make("div", { class: "meta", text: facts.filter(Boolean).join(" · ") }),
      candidate.reasoning ? make("details", {}, make("summary", { text: "reasoning" }), make("div", { class: "text", text: candidate.reasoning })) : null,
      text(candidate),
      candidate.calls ? make("pre", { class: "scroll", text: JSON.stringify(candidate.calls, null, 1) }) : null,
      scores(candidate),
      make("div", { class: "labels", role: "group", "aria-label": "label" }, ...["right", "wrong", "better"].flatMap((value) => [
        make("button", { type: "button", class: value, text: value, "aria-pressed": String(labels.get(key(row, candidate.index))?.label === value),
          onclick: () => label(row, candidate, value) }), " "])));
    return element;
  };
  const choose = (place) => {
    if (place === current) return;
    current = place;
    document.querySelectorAll(".candidate").forEach((element, index) => element.classList.toggle("current", index === current));
  };
  const show = (jump) => {
    $("count").textContent = shown.length ? `${at + 1} of ${shown.length}${shown.length < rows.length ? ` (of ${rows.length})` : ""}` : `none of ${rows.length}`;
    $("previous").disabled = at <= 0;
    $("next").disabled = at >= shown.length - 1;
    const row = shown[at];
    if (!row) { $("prompt").replaceChildren(make("p", { class: "quiet", text: "No prompt is like that." })); return; }
    $("prompt").replaceChildren(
      make("h3", { text: [row.id, ...[row.subset, row.pools].filter(Boolean).map((each) => `(${each})`)].join(" ") }),
      ...row.asked.map(([role, said]) => make("div", { class: "said" }, make("span", { class: "role", text: role }), document.createTextNode(said))),
      row.reference === null ? "" : make("p", { class: "meta", text: `reference: ${row.reference}` }),
      row.failures.length ? make("details", {}, make("summary", { text: `${row.failures.length} failures` }), ...row.failures.map((each) => make("p", { class: "meta", text: each }))) : "",
      make("div", { class: "candidates" }, ...row.candidates.map((_, place) => card(row, place))));
    if (jump) $("prompts").scrollIntoView({ block: "start" });
  };
  const filter = () => {
    const test = tests[$("filter").value], way = $("way").value, wanted = $("find").value.toLowerCase();
    const holds = (row) => !wanted || row.id.toLowerCase().includes(wanted)
      || row.asked.some(([, said]) => said.toLowerCase().includes(wanted)) || row.candidates.some((candidate) => candidate.text.toLowerCase().includes(wanted));
    shown = rows.filter((row) => test(row, way) && holds(row));
    at = 0; current = 0;
    show(false);
  };
  const go = (step) => {
    const to = Math.min(shown.length - 1, Math.max(0, at + step));
    if (to !== at) { at = to; current = 0; show(true); }
  };
  const download = () => {
    // A file of labels for each file of pools: ids are told apart within one alone.
    for (const pools of new Set([...labels.values()].map((each) => each.pools))) {
      const lines = [...labels.values()].filter((each) => each.pools === pools)
        .map(({ id, index, label }) => `${JSON.stringify({ id, index, label })}\n`).join("");
      const name = pools.replace(/\.gz$/, "").replace(/\.jsonl$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "-");
      const link = make("a", { href: URL.createObjectURL(new Blob([lines], { type: "application/jsonl" })), download: name ? `labels-${name}.jsonl` : "labels.jsonl" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  };
  const keys = {
    j: () => go(1), ArrowRight: () => go(1), k: () => go(-1), ArrowLeft: () => go(-1),
    r: () => mark("right"), w: () => mark("wrong"), b: () => mark("better"),
    f: () => { const box = $("filter"); box.selectedIndex = (box.selectedIndex + 1) % box.options.length; filter(); },
    "/": () => $("find").focus(),
  };
  const mark = (value) => { const row = shown[at]; if (row?.candidates[current]) label(row, row.candidates[current], value); };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
  window.addEventListener("beforeunload", (event) => { if (labels.size) event.preventDefault(); });

  (async () => {
    rows = await unpacked();
    const ways = [...new Set(rows.flatMap((row) => Object.keys(row.picks)))];
    $("way").replaceChildren(...ways.map((name) => make("option", { value: name, text: name })));
    $("way").closest("label").hidden = ways.length === 0;
    for (const id of ["filter", "way"]) $(id).addEventListener("change", filter);
    $("find").addEventListener("input", filter);
    $("previous").addEventListener("click", () => go(-1));
    $("next").addEventListener("click", () => go(1));
    $("download").addEventListener("click", download);
    filter();
    document.body.dataset.ready = "yes";
  })();
})();
