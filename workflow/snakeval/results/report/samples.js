// The samples of the page.
(() => {
  const PAGE = 25;
  // A search loads so many chunks at once.
  const BATCH = 40;

  // --- samples -----------------------------------------------------------------------------

  const form = document.getElementById("choose");
  if (!form) return;
  const loaded = new Map();
  window.snakeval = (name, content) => loaded.get(name)?.resolve(content);

  function load(name) {
    if (!loaded.has(name)) {
      const waits = {};
      waits.promise = new Promise((resolve, reject) => Object.assign(waits, { resolve, reject }));
      loaded.set(name, waits);
      const script = make("script", { src: `${data.directory}/${name}.js` });
      script.onerror = () => {
        loaded.delete(name);
        waits.reject(new Error(`The directory ${data.directory} next to this page is missing, ` +
          "or belongs to another report. Open the page in the run's directory."));
      };
      script.onload = () => script.remove();
      document.head.append(script);
    }
    return loaded.get(name).promise;
  }

  const SHOW = { all: "all samples", wrong: "wrong", right: "right", unscored: "without a score" };
  const BOTH = { lost: "right here, wrong there", won: "wrong here, right there" };
  const HEALTH = { unhealthy: "unhealthy answers", cut: "cut answers" };
  const ORDER = { "": "as the harness", id: "name", low: "lowest score", high: "highest score",
    long: "longest answer" };

  // The address holds the choice, so that links and the "back" button work.
  function chosen() {
    const [, ...parts] = location.hash.slice(1).split("/").map(decodeURIComponent);
    const [first] = Object.keys(data.samples);
    const benchmark = parts[0] in data.samples ? parts[0] : first;
    const models = data.samples[benchmark];
    const model = parts[1] in models ? parts[1] : Object.keys(models)[0];
    const other = parts[3] in models && parts[3] !== model ? parts[3] : "";
    const known = parts[2] in SHOW || parts[2] in HEALTH || (other && parts[2] in BOTH);
    return { benchmark, model, show: known ? parts[2] : "all", other,
      page: Math.max(0, parseInt(parts[4] || "1", 10) - 1 || 0),
      order: parts[5] in ORDER ? parts[5] : "", query: parts[6] || "", open: parts[7] || "" };
  }

  function address({ benchmark, model, show, other, page, order, query, open }) {
    const parts = [benchmark, model, show, other, page + 1, order, query, open];
    while (parts.length > 5 && !parts.at(-1)) parts.pop();
    return `#samples/${parts.map(encodeURIComponent).join("/")}`;
  }
  const go = (choice) => { location.hash = address(choice); };

  function options(select, names, value) {
    select.replaceChildren(...names.map(([name, text]) =>
      make("option", { value: name, textContent: text, selected: name === value })));
  }

  function offer(choice, models, here) {
    const names = Object.keys(models);
    options(form.benchmark, Object.keys(data.samples).map((name) => [name, name]), choice.benchmark);
    options(form.model, names.map((name) => [name, name]), choice.model);
    options(form.other, [["", "nothing"], ...names.filter((name) => name !== choice.model)
      .map((name) => [name, name])], choice.other);
    const health = here && here.health ? HEALTH : {};
    options(form.show, Object.entries({ ...SHOW, ...(choice.other ? BOTH : {}), ...health }), choice.show);
    options(form.order, Object.entries(ORDER), choice.order);
    if (document.activeElement !== form.query) form.query.value = choice.query;
  }

  const FITS = {
    all: () => true,
    wrong: (right) => right === 0,
    right: (right) => right === 1,
    unscored: (right, there, score) => score === null,
    lost: (right, there) => right === 1 && there === 0,
    won: (right, there) => right === 0 && there === 1,
    cut: (right, there, score, health) => health.includes("c"),
    unhealthy: (right, there, score, health) => health.includes("u"),
  };

  // Reads the samples at *indexes* by their chunks, and ends if the reader chooses something else.
  async function read(here, indexes, mine, visit) {
    const chunks = [...Map.groupBy(indexes, (index) => Math.floor(index / data.chunk))];
    let done = 0;
    for (let start = 0; start < chunks.length; start += BATCH) {
      const part = chunks.slice(start, start + BATCH);
      await Promise.all(part.map(([number]) => load(here.chunks[number])));
      for (const [number, members] of part) {
        const chunk = await load(here.chunks[number]);
        if (mine !== turn) return;
        for (const index of members) visit(index, opened(here, chunk, index));
        done += members.length;
      }
      document.getElementById("count").textContent =
        `${done.toLocaleString("en")} of ${indexes.length.toLocaleString("en")} samples read …`;
    }
  }

  async function select(choice, here, beside, partner, mine) {
    const fits = FITS[choice.show];
    let found = [...here.ids.keys()].filter((index) => fits(here.right[index],
      beside ? beside.right[partner.get(here.ids[index])] : undefined, here.scores[index],
      (here.health && here.health[index]) || ""));
    const words = choice.query.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) {
      const kept = [];
      await read(here, found, mine, (index, one) => {
        const all = [here.ids[index], one.question, one.answer, one.reference].join("\n").toLowerCase();
        if (words.every((word) => all.includes(word))) kept.push(index);
      });
      found = kept;
    }
    const by = { id: (a, b) => here.ids[a].localeCompare(here.ids[b], "en", { numeric: true }),
      low: (a, b) => here.scores[a] - here.scores[b], high: (a, b) => here.scores[b] - here.scores[a] };
    if (choice.order === "long") {
      const length = new Map();
      await read(here, found, mine, (index, one) => length.set(index, size(one)));
      found.sort((a, b) => length.get(b) - length.get(a));
    } else if (choice.order) found.sort(by[choice.order]);
    return found;
  }
  const size = (one) => (one.request ? one.request.tokens[1] ?? 0 : one.answer.length);

  let turn = 0;
  async function show() {
    const mine = ++turn;
    const choice = chosen();
    const models = data.samples[choice.benchmark];
    offer(choice, models, null);
    const count = document.getElementById("count");
    try {
      const here = await load(models[choice.model][0]);
      const beside = choice.other ? await load(models[choice.other][0]) : null;
      const partner = new Map((beside ? beside.ids : []).map((id, index) => [id, index]));
      if (mine !== turn) return;
      offer(choice, models, here);
      const found = await select(choice, here, beside, partner, mine);
      if (mine !== turn) return;
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      const page = Math.min(choice.page, pages - 1);
      const part = found.slice(page * PAGE, (page + 1) * PAGE);
      const rows = await Promise.all(part.map(async (index) => {
        const other = beside ? partner.get(here.ids[index]) : undefined;
        return row(choice, here.ids[index],
          await sample(here, index), other === undefined ? null : await sample(beside, other));
      }));
      if (mine !== turn) return;
      document.getElementById("items").replaceChildren(list(choice, rows));
      const [, total, shown] = models[choice.model];
      count.textContent = `${found.length.toLocaleString("en")} of ${shown.toLocaleString("en")} samples` +
        (shown < total ? ` (of ${total.toLocaleString("en")} in all)` : "") +
        (here.right.every((right) => right === null)
          ? ". Their scores are not from 0 to 1, so none is right or wrong." : "") +
        (choice.show in HEALTH && here.health
          ? `. The requests of ${here.health.filter((each) => each !== null).length.toLocaleString("en")} samples are known.` : "");
      const pager = document.getElementById("pager");
      pager.hidden = pages === 1;
      pager.querySelector("span").textContent = `${page + 1} of ${pages}`;
      for (const button of pager.querySelectorAll("button")) {
        const next = page + Number(button.dataset.step);
        button.disabled = next < 0 || next >= pages;
        button.onclick = () => go({ ...choice, page: next, open: "" });
      }
    } catch (error) {
      if (mine === turn) {
        document.getElementById("items").replaceChildren();
        count.textContent = error.message;
      }
    }
  }

  async function sample(index, position) {
    return opened(index, await load(index.chunks[Math.floor(position / data.chunk)]), position);
  }

  function opened(index, chunk, position) {
    const [question, answer, reference, group, scores, request] = chunk[position % data.chunk];
    return { question, answer, reference, group, scores, request, right: index.right[position] };
  }

  // --- the table, whose rows open --------------------------------------------------------------

  const text = (content) => make("div", { className: "text", dir: "auto", textContent: content, tabIndex: -1 });
  const excerpt = (content, kind = "") => make("td", { className: `excerpt ${kind}`, dir: "auto",
    textContent: content.slice(0, 240).replace(/\s+/g, " ").trim() });
  const kind = (one) => (one === null || one.right === null ? "" : one.right ? "right" : "wrong");
  const scored = (one) => (one === null ? "no answer"
    : Object.entries(one.scores).map(([name, score]) => `${name} ${score}`).join(", "));
  const score = (one) => {
    const values = one ? Object.values(one.scores) : [];
    return make("td", { className: `number ${kind(one)}`, title: scored(one) }, make("span",
      { className: "mark", textContent: values.length === 1 ? values[0] : scored(one) }));
  };

  function list(choice, rows) {
    const models = [choice.model, ...(choice.other ? [choice.other] : [])];
    const head = [["sample", ""], ["question", ""],
      ...models.flatMap((name) => [[name, "reply"], ["score", "number"]]),
      ...(rows.some((each) => each.one.request) ? [["tokens", "number tokens"]] : [])];
    const table = make("table", { className: "plain samples" },
      make("thead", {}, make("tr", {}, ...head.map(([textContent, className]) =>
        make("th", { scope: "col", textContent, className })))),
      make("tbody", {}, ...rows.flatMap((each) => each.rows(head.length))));
    return make("div", { className: "scroll" }, table);
  }

  // A narrow screen has no columns of replies and tokens.
  const narrow = matchMedia("(max-width: 40rem)");
  const columns = (line) => [...line.cells]
    .filter((cell) => !narrow.matches || !cell.matches(".reply, .tokens")).length;
  narrow.addEventListener("change", () => {
    for (const cell of document.querySelectorAll(".samples .detail > td")) {
      cell.colSpan = columns(cell.parentElement.previousElementSibling);
    }
  });

  function row(choice, id, here, beside) {
    const button = make("button", { type: "button", className: "opens", textContent: id });
    button.setAttribute("aria-expanded", "false");
    const line = make("tr", { className: "item" }, make("th", { scope: "row" }, button),
      excerpt(here.question), excerpt(here.answer, "reply"), score(here),
      ...(choice.other ? [excerpt(beside ? beside.answer : "", "reply"), score(beside)] : []));
    const all = make("tr", { className: "detail", hidden: true });
    const toggle = (open) => {
      all.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
      if (open && !all.firstChild) {
        all.append(make("td", { colSpan: columns(line) }, detail(choice, id, here, beside)));
      }
    };
    button.addEventListener("click", () => toggle(all.hidden));
    line.addEventListener("click", (event) => {
      if (!event.target.closest("button") && !getSelection().toString()) toggle(all.hidden);
    });
    const rows = (wanted) => {
      if (wanted > line.cells.length) {
        const tokens = here.request ? here.request.tokens.map((n) => n ?? "–").join(" + ") : "–";
        line.append(make("td", { className: "number tokens", textContent: tokens }));
      }
      if (choice.open === id) toggle(true);
      return [line, all];
    };
    return { one: here, rows };
  }

  function detail(choice, id, here, beside) {
    const answer = (model, one) => make("div", { className: kind(one) },
      make("h4", {}, `${model} `, make("span", { className: "mark",
        textContent: one === null ? "did not answer this one" : scored(one) }),
      one && one.request ? ` · ${facts(one.request)}` : ""),
      one === null ? null : text(one.answer));
    const link = () => location.href.split("#")[0] + address({ ...choice, open: id });
    const asked = here.request ? here.request.messages.flatMap(([role, content]) =>
      [make("h4", { textContent: role }), text(content)]) : [make("h4", { textContent: "question" }), text(here.question)];
    return make("div", { className: "inside" },
      make("p", { className: "quiet" }, here.group ? `group ${here.group} ` : "", copies(link, "Copy link")),
      ...asked,
      ...(here.reference ? [make("h4", { textContent: "reference" }), text(here.reference)] : []),
      make("div", { className: "answers" }, answer(choice.model, here),
        choice.other ? answer(choice.other, beside) : null));
  }
  const facts = (request) => [`request ${request.id}`,
    `${request.tokens[0] ?? "–"} + ${request.tokens[1] ?? "–"} tokens`, ...request.marks].join(", ");

  const change = () => go({
    benchmark: form.benchmark.value, model: form.model.value, show: form.show.value,
    other: form.other.value, page: 0, order: form.order.value, query: form.query.value.trim(), open: "",
  });
  form.addEventListener("change", change);
  form.addEventListener("submit", (event) => { event.preventDefault(); change(); });
  window.addEventListener("hashchange", () => {
    if (!location.hash.startsWith("#samples")) return;
    show();
    if (!form.contains(document.activeElement)) document.getElementById("samples").scrollIntoView();
  });
  if (location.hash.startsWith("#samples/")) {
    show();
    document.getElementById("samples").scrollIntoView();
  } else {
    const near = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        near.disconnect();
        show();
      }
    }, { rootMargin: "300px" });
    near.observe(document.getElementById("samples"));
  }
})();
