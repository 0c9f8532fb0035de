// The samples of the page.
(() => {
  const PAGE = 10;

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
      document.head.append(script);
    }
    return loaded.get(name).promise;
  }

  const SHOW = { all: "all samples", wrong: "wrong", right: "right" };
  const BOTH = { lost: "right here, wrong there", won: "wrong here, right there" };

  // The address holds the choice, so that links and the "back" button work.
  function chosen() {
    const [, ...parts] = location.hash.slice(1).split("/").map(decodeURIComponent);
    const [first] = Object.keys(data.samples);
    const benchmark = parts[0] in data.samples ? parts[0] : first;
    const models = data.samples[benchmark];
    const model = parts[1] in models ? parts[1] : Object.keys(models)[0];
    const other = parts[3] in models && parts[3] !== model ? parts[3] : "";
    const show = parts[2] in SHOW || (other && parts[2] in BOTH) ? parts[2] : "all";
    return { benchmark, model, show, other, page: Math.max(0, parseInt(parts[4] || "1", 10) - 1 || 0) };
  }

  function go(choice) {
    const { benchmark, model, show, other, page } = choice;
    const parts = [benchmark, model, show, other, page + 1];
    location.hash = `samples/${parts.map(encodeURIComponent).join("/")}`;
  }

  function options(select, names, value) {
    select.replaceChildren(...names.map(([name, text]) =>
      make("option", { value: name, textContent: text, selected: name === value })));
  }

  let turn = 0;
  async function show() {
    const mine = ++turn;
    const choice = chosen();
    const models = data.samples[choice.benchmark];
    options(form.benchmark, Object.keys(data.samples).map((name) => [name, name]), choice.benchmark);
    options(form.model, Object.keys(models).map((name) => [name, name]), choice.model);
    options(form.other, [["", "nothing"], ...Object.keys(models)
      .filter((name) => name !== choice.model).map((name) => [name, name])], choice.other);
    options(form.show, Object.entries(choice.other ? { ...SHOW, ...BOTH } : SHOW), choice.show);
    const count = document.getElementById("count");
    try {
      const here = await load(models[choice.model][0]);
      const beside = choice.other ? await load(models[choice.other][0]) : null;
      const partner = new Map((beside ? beside.ids : []).map((id, index) => [id, index]));
      const fits = {
        all: () => true,
        wrong: (index) => here.right[index] === 0,
        right: (index) => here.right[index] === 1,
        lost: (index) => here.right[index] === 1 && beside.right[partner.get(here.ids[index])] === 0,
        won: (index) => here.right[index] === 0 && beside.right[partner.get(here.ids[index])] === 1,
      }[choice.show];
      const found = [...here.ids.keys()].filter(fits);
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      const page = Math.min(choice.page, pages - 1);
      const part = found.slice(page * PAGE, (page + 1) * PAGE);
      const items = await Promise.all(part.map(async (index) => {
        const other = beside ? partner.get(here.ids[index]) : undefined;
        return item(choice, here.ids[index],
          await sample(here, index), other === undefined ? null : await sample(beside, other));
      }));
      if (mine !== turn) return;
      document.getElementById("items").replaceChildren(...items);
      const [, total, shown] = models[choice.model];
      count.textContent = `${found.length.toLocaleString("en")} of ${shown.toLocaleString("en")} samples` +
        (shown < total ? ` (of ${total.toLocaleString("en")} in all)` : "") +
        (here.right.every((right) => right === null)
          ? ". Their scores are not from 0 to 1, so none is right or wrong." : "");
      const pager = document.getElementById("pager");
      pager.hidden = pages === 1;
      pager.querySelector("span").textContent = `${page + 1} of ${pages}`;
      for (const button of pager.querySelectorAll("button")) {
        const next = page + Number(button.dataset.step);
        button.disabled = next < 0 || next >= pages;
        button.onclick = () => go({ ...choice, page: next });
      }
    } catch (error) {
      if (mine === turn) {
        document.getElementById("items").replaceChildren();
        count.textContent = error.message;
      }
    }
  }

  async function sample(index, position) {
    const chunk = await load(index.chunks[Math.floor(position / data.chunk)]);
    const [question, answer, reference, group, scores] = chunk[position % data.chunk];
    return { question, answer, reference, group, scores, right: index.right[position] };
  }

  const text = (content) => make("div", { className: "text", dir: "auto", textContent: content, tabIndex: -1 });

  function item(choice, id, here, beside) {
    const answer = (model, one) => make("div",
      { className: one === null || one.right === null ? "" : one.right ? "right" : "wrong" },
      make("h4", {}, `${model} `, make("span", { className: "mark", textContent: one === null
        ? "did not answer this one"
        : Object.entries(one.scores).map(([name, score]) => `${name} ${score}`).join(", ") })),
      one === null ? null : text(one.answer));
    return make("article", { className: "item" },
      make("h4", { textContent: here.group ? `${id} · group ${here.group}` : id }),
      text(here.question),
      make("h4", { textContent: "reference" }), text(here.reference),
      make("div", { className: "answers" }, answer(choice.model, here),
        choice.other ? answer(choice.other, beside) : null));
  }

  form.addEventListener("change", () => go({
    benchmark: form.benchmark.value, model: form.model.value, show: form.show.value,
    other: form.other.value, page: 0,
  }));
  window.addEventListener("hashchange", () => {
    if (!location.hash.startsWith("#samples")) return;
    show();
    document.getElementById("samples").scrollIntoView();
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
