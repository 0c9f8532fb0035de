// The matrix: it sorts, filters, transposes, groups, and shows differences to a baseline.
(() => {
  const table = document.querySelector(".matrix");
  const bar = document.getElementById("matrix-bar");
  if (!bar) return;
  bar.hidden = false;

  const heads = [...table.tHead.rows[0].cells].slice(1);
  const benchmarks = heads.map((head, index) => ({
    name: head.dataset.name, suite: head.dataset.suite, lower: head.dataset.lower === "1",
    content: [...head.childNodes], index,
  }));
  const models = [...table.tBodies[0].rows].map((row, index) => ({
    name: row.cells[0].dataset.name, average: Number(row.cells[0].dataset.average || NaN), index,
    content: [...row.cells[0].childNodes],
  }));
  const cells = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1).map((cell) => {
    const shown = cell.querySelector("b");
    return { cell, shown, text: shown && shown.textContent, shade: cell.style.getPropertyValue("--shade") };
  }));
  const state = { by: "", down: false, turned: false };

  // The better score is the higher number, also if lower scores are better.
  const goodness = (model, benchmark) => {
    const value = cells[model.index][benchmark.index].cell.dataset.value;
    return value === undefined ? NaN : benchmark.lower ? -value : Number(value);
  };
  const order = (list, key) => {
    const known = list.filter((each) => !Number.isNaN(key(each)));
    known.sort((a, b) => (key(b) - key(a)) * (state.down ? -1 : 1));
    return [...known, ...list.filter((each) => Number.isNaN(key(each)))];
  };

  function sorted(rows, columns) {
    const column = columns.find((each) => each.name === state.by);
    if (column) {
      return order(rows, (row) => (state.turned ? goodness(column, row) : goodness(row, column)));
    }
    const by = bar.elements.rows.value;
    if (by === "name") return [...rows].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    if (by === "average" && !state.turned) return order(rows, (row) => row.average);
    return rows;
  }

  const fits = (list, input) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    return list.filter((each) => words.every((word) => each.name.toLowerCase().includes(word)));
  };
  const bySuite = (list) => [...Map.groupBy(list, (each) => each.suite).entries()]
    .sort(([a], [b]) => (a === "") - (b === "")).map(([suite, found]) => [suite || "others", found]);

  function head(each) {
    const active = state.by === each.name;
    const button = make("button", {
      type: "button", className: "sort", textContent: active ? (state.down ? "↑" : "↓") : "↕",
      title: `Sort by ${each.name}`,
    });
    button.setAttribute("aria-label", `Sort by ${each.name}`);
    button.addEventListener("click", () => {
      if (active && state.down) Object.assign(state, { by: "", down: false });
      else Object.assign(state, { by: each.name, down: active });
      render();
      const again = [...table.tHead.querySelectorAll("button")].find((one) => one.title === button.title);
      if (again) again.focus();
    });
    const name = make("span", { className: "name" }, ...each.content);
    const cell = make("th", { scope: "col", title: each.name }, name, button);
    if (active) cell.setAttribute("aria-sort", state.down ? "ascending" : "descending");
    return cell;
  }

  function render() {
    const chosen = { models: fits(models, bar.elements.models), benchmarks: fits(benchmarks, bar.elements.benchmarks) };
    const grouped = bar.elements.grouped.checked;
    const suites = grouped ? bySuite(chosen.benchmarks) : [["", chosen.benchmarks]];
    const top = make("thead"), body = make("tbody");
    if (!state.turned) {
      const columns = suites.flatMap(([, found]) => found);
      if (grouped) {
        top.append(make("tr", { className: "suites" }, make("td"), ...suites.map(([suite, found]) =>
          make("th", { scope: "colgroup", colSpan: found.length, textContent: suite }))));
      }
      top.append(make("tr", {}, make("td"), ...columns.map(head)));
      for (const row of sorted(chosen.models, columns)) {
        body.append(make("tr", {}, make("th", { scope: "row", title: row.name }, ...row.content),
          ...columns.map((column) => cells[row.index][column.index].cell)));
      }
    } else {
      const columns = chosen.models;
      top.append(make("tr", {}, make("td"), ...columns.map(head)));
      for (const [suite, found] of suites) {
        if (grouped) {
          body.append(make("tr", { className: "suites" },
            make("th", { scope: "rowgroup", colSpan: columns.length + 1, textContent: suite })));
        }
        for (const row of sorted(found, columns)) {
          body.append(make("tr", {}, make("th", { scope: "row", title: row.name }, ...row.content),
            ...columns.map((column) => cells[column.index][row.index].cell)));
        }
      }
    }
    table.replaceChildren(top, body);
    const names = [...top.lastChild.cells].map((each) => each.title);
    table.classList.toggle("dense", names.length > 9);
    table.classList.toggle("long", names.some((name) => name.length > 8));
    bar.querySelector("output").textContent =
      `${chosen.models.length} models, ${chosen.benchmarks.length} benchmarks`;
  }

  baseline.listeners.push((base) => {
    const own = models.find((model) => model.name === base);
    for (const model of models) {
      for (const benchmark of benchmarks) {
        const { cell, shown, text, shade } = cells[model.index][benchmark.index];
        if (!shown) continue;
        cell.classList.remove("up", "down", "sure");
        cell.style.setProperty("--shade", shade || 0);
        shown.textContent = text;
        if (!own || own === model) continue;
        const there = cells[own.index][benchmark.index].cell.dataset.value;
        const found = difference(benchmark.name, model.name, base);
        if (!found && there === undefined) { // the baseline has no score here
          shown.textContent = "–";
          cell.style.setProperty("--shade", 0);
          continue;
        }
        const value = found && found.value !== null ? found.value : cell.dataset.value - there;
        const gain = benchmark.lower ? -value : value;
        shown.textContent = number(value, true);
        if (gain) cell.classList.add(gain > 0 ? "up" : "down");
        if (found && found.sure) cell.classList.add("sure");
        cell.style.setProperty("--shade", Math.min(1, Math.abs(gain) * 3).toFixed(3));
      }
    }
    table.classList.toggle("compared", Boolean(own));
  });

  bar.addEventListener("submit", (event) => event.preventDefault());
  bar.addEventListener("input", (event) => {
    if (event.target.name === "baseline") baseline.choose(event.target.value);
    if (event.target.name === "rows") Object.assign(state, { by: "", down: false });
    if (event.target.name === "turned") {
      Object.assign(state, { by: "", down: false, turned: event.target.checked });
    }
    render();
  });
  if (new Set(benchmarks.map((each) => each.suite)).size < 2) bar.elements.grouped.closest("label").hidden = true;
  render();
})();
