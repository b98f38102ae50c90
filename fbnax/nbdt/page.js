"use strict";
// The tree of fbnax/nbdt/page.py: state, layout, drawing, input. Names are put
// into the document as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { names, parents, children, images, samples } = data;
  const listed = new Set(data.listed);
  const classes = names.length - children.length;
  const root = parents.indexOf(-1);
  const below = (node) => (node < classes ? [] : children[node - classes]);

  const WIDTH = 172, HEIGHT = 36, GAP = 46, BESIDE = 8;
  const state = {
    open: new Set(data.open), sample: -1, search: "", matches: [], match: -1,
    scale: 1, x: 0, y: 0,
  };
  let places = new Map();

  // What is known of nodes.
  const counts = new Array(names.length).fill(1);
  const depths = new Array(names.length).fill(0);
  const order = [];
  for (const waiting = [root]; waiting.length;) {
    const node = waiting.pop();
    order.push(node);
    for (const child of below(node)) depths[child] = depths[node] + 1;
    waiting.push(...[...below(node)].reverse());
  }
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i];
    if (node >= classes) {
      counts[node] = below(node).reduce((sum, c) => sum + counts[c], 0);
    }
  }
  const pathTo = (node) => {
    const path = [];
    for (; node >= 0; node = parents[node]) path.push(node);
    return path.reverse();
  };
  const percent = (p) => {
    if (p >= 0.9995) return ">99.9%";
    if (p < 0.0005) return "<0.1%";
    const digits = p >= 0.995 || p < 0.095 ? 1 : 0;
    return (100 * p).toFixed(digits) + "%";
  };

  // Elements.
  const element = (tag, attributes = {}, text = "") => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      made.setAttribute(key, value);
    }
    if (text) made.textContent = text;
    return made;
  };
  const drawn = (tag, attributes = {}, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) {
      made.setAttribute(key, value);
    }
    if (text) made.textContent = text;
    return made;
  };
  const canvas = document.getElementById("canvas");
  const scene = drawn("g", { id: "scene" });
  const edges = drawn("g"), cards = drawn("g");
  scene.append(edges, cards);
  canvas.append(scene);

  // Layout: the root on the left, a row for each leaf and each closed node.
  const layout = () => {
    places = new Map();
    let row = 0;
    const waiting = [[root, false]];
    while (waiting.length) {
      const [node, done] = waiting.pop();
      if (!state.open.has(node) || node < classes) {
        places.set(node, row++);
      } else if (done) {
        const kids = below(node);
        const ends = [kids[0], kids[kids.length - 1]];
        places.set(node, (places.get(ends[0]) + places.get(ends[1])) / 2);
      } else {
        waiting.push([node, true]);
        for (const child of [...below(node)].reverse()) {
          waiting.push([child, false]);
        }
      }
    }
  };
  const corner = (node) => [
    depths[node] * (WIDTH + GAP), places.get(node) * (HEIGHT + BESIDE),
  ];
  // From top to bottom and from the root down, as one reads it.
  const shown = () => order.filter((node) => places.has(node));

  // Text is cut by the width that the browser measures.
  const pen = document.createElement("canvas").getContext("2d");
  const family = getComputedStyle(document.body).fontFamily;
  const cut = (text, width, size) => {
    pen.font = size + "px " + family;
    if (pen.measureText(text).width <= width) return text;
    let low = 0, high = text.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const part = text.slice(0, middle).trimEnd() + "…";
      if (pen.measureText(part).width <= width) low = middle;
      else high = middle - 1;
    }
    return text.slice(0, low).trimEnd() + "…";
  };

  // A node's meaning, and after a colon some of its classes.
  const halves = (node) => {
    const colon = node < classes ? -1 : names[node].indexOf(": ");
    if (colon < 1) return [names[node], ""];
    return [names[node].slice(0, colon), names[node].slice(colon + 2)];
  };
  const facts = (node) => {
    const parts = [];
    const accuracy = data.accuracy && data.accuracy[node];
    if (accuracy !== null && accuracy !== undefined) {
      // A count can be perfect, a probability cannot.
      parts.push((accuracy === 1 ? "100%" : percent(accuracy)) + " right");
    }
    if (node >= classes) parts.push(counts[node] + " classes");
    const visits = data.visits && data.visits[node];
    if (visits !== null && visits !== undefined) {
      const whole = Number.isInteger(visits);
      const text = whole ? visits.toLocaleString("en") : visits.toPrecision(3);
      parts.push(text + (visits === 1 ? " visit" : " visits"));
    }
    return parts;
  };
  // As many whole facts as there is room for, then what fits of the classes.
  const note = (node, some, width, size) => {
    pen.font = size + "px " + family;
    let text = "";
    for (const fact of facts(node)) {
      const longer = text ? text + " · " + fact : fact;
      if (text && pen.measureText(longer).width > width) break;
      text = longer;
    }
    return cut(some ? text + " · " + some : text, width, size);
  };

  const drawCard = (node, marks) => {
    const [x, y] = corner(node);
    const inner = node >= classes, opened = state.open.has(node);
    const kinds = ["card", inner ? "inner" : "leaf"];
    if (marks.path.has(node)) kinds.push("path");
    else if (marks.true.has(node)) kinds.push("true");
    if (marks.matches.has(node)) kinds.push("match");
    if (state.matches[state.match] === node) kinds.push("current");
    const group = drawn("g", {
      class: kinds.join(" "), transform: `translate(${x} ${y})`,
      tabindex: node === marks.focus ? 0 : -1, role: "treeitem",
      "aria-level": depths[node] + 1, "data-node": node,
    });
    const share = marks.share.get(node);
    const said = share === undefined ? "" : percent(share);
    const label = [names[node], ...facts(node)].concat(said || []).join(", ");
    if (inner) group.setAttribute("aria-expanded", opened);
    group.setAttribute("aria-label", label);
    group.append(drawn("title", {}, label));
    const size = { width: WIDTH, height: HEIGHT, rx: 6 };
    if (inner && !opened) {
      group.append(drawn("rect", { class: "behind", x: 3, y: 3, ...size }));
    }
    group.append(drawn("rect", { class: "box", ...size }));
    if (share !== undefined) {
      const width = Math.max(share * (WIDTH - 2), 0);
      group.append(drawn("rect", {
        class: "fill", x: 1, y: 1, width, height: HEIGHT - 2, rx: 5,
      }));
    }
    group.append(drawn("rect", { class: "frame", ...size }));
    let left = 9, right = WIDTH - 8;
    if (!inner && images[node]) {
      const side = HEIGHT - 8;
      group.append(drawn("image", {
        href: images[node], x: 4, y: 4, width: side, height: side,
        preserveAspectRatio: "xMidYMid slice",
        style: "image-rendering:pixelated",
      }));
      left = HEIGHT + 3;
    }
    if (inner) {
      const sign = opened ? "◂" : "▸";
      group.append(drawn("text", {
        class: "sign", x: WIDTH - 9, y: HEIGHT / 2 + 3.5,
      }, sign));
      right -= 10;
    }
    if (said) {
      group.append(drawn("text", {
        class: "share", x: right, y: HEIGHT / 2 + 4,
      }, said));
      right -= 8 * said.length + 2;
    }
    const [name, some] = halves(node);
    const under = note(node, some, right - left, 10.5);
    const base = HEIGHT / 2 + (under ? -1.5 : 4.5);
    group.append(drawn("text", { class: "name", x: left, y: base },
      cut(name, right - left, 12.5)));
    if (under) {
      group.append(drawn("text", { class: "note", x: left, y: base + 13.5 },
        under));
    }
    cards.append(group);
  };

  const drawEdge = (node, child, marks) => {
    const [x, y] = corner(node), [toX, toY] = corner(child);
    const from = x + WIDTH, middle = (from + toX) / 2;
    const [a, b] = [y + HEIGHT / 2, toY + HEIGHT / 2];
    const edge = drawn("path", {
      class: "edge", d: `M${from} ${a}C${middle} ${a} ${middle} ${b} ${toX} ${b}`,
    });
    if (marks.path.has(child)) {
      edge.classList.add("path");
      edge.style.strokeWidth = 1.6 + 4 * (marks.reach.get(child) ?? 1);
      edges.append(edge);
    } else {
      if (marks.true.has(child)) {
        edge.classList.add("true");
      } else if (data.visits && state.sample < 0 && data.visits[root] > 0) {
        const flow = (data.visits[child] ?? 0) / data.visits[root];
        edge.style.strokeWidth = 1 + 9 * flow;
      }
      edges.prepend(edge);
    }
  };

  let focus = root;
  const draw = () => {
    layout();
    const marks = {
      path: new Set(), true: new Set(), share: new Map(), reach: new Map(),
      matches: new Set(state.matches), focus,
    };
    while (!places.has(marks.focus)) marks.focus = parents[marks.focus];
    const sample = samples[state.sample];
    if (sample) {
      marks.path = new Set(pathTo(sample.soft));
      if (sample.label !== null && sample.label !== sample.soft) {
        marks.true = new Set(pathTo(sample.label));
      }
      let reach = 1;
      for (const node of pathTo(sample.soft)) {
        reach *= sample.steps[node];
        marks.reach.set(node, reach);
      }
      for (const node of [...marks.path, ...marks.true]) {
        for (const child of below(node)) {
          marks.share.set(child, sample.steps[child]);
        }
      }
    }
    const active = document.activeElement;
    const held = canvas.contains(active);
    edges.replaceChildren();
    cards.replaceChildren();
    for (const node of shown()) {
      if (node >= classes && state.open.has(node)) {
        for (const child of below(node)) drawEdge(node, child, marks);
      }
      drawCard(node, marks);
    }
    if (held) card(marks.focus)?.focus({ preventScroll: true });
  };
  const card = (node) => cards.querySelector(`[data-node="${node}"]`);

  // The view: pixels of the stage = scale * scene + (x, y).
  const view = () => {
    const { scale, x, y } = state;
    scene.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  };
  const extent = () => {
    let [right, bottom] = [0, 0];
    for (const node of places.keys()) {
      const [x, y] = corner(node);
      right = Math.max(right, x + WIDTH + 4);
      bottom = Math.max(bottom, y + HEIGHT + 4);
    }
    return [right, bottom];
  };
  const fit = (least = 0.02) => {
    const box = canvas.getBoundingClientRect(), margin = 26;
    const [width, height] = extent();
    const across = (box.width - 2 * margin) / width;
    const down = (box.height - 2 * margin - 14) / height;
    state.scale = Math.max(Math.min(across, down, 1.15), least);
    state.x = Math.max((box.width - width * state.scale) / 2, margin);
    state.y = Math.max((box.height - 14 - height * state.scale) / 2, margin);
    if (height * state.scale > box.height) {
      // The root in the middle, where all of it does not fit.
      const [, y] = corner(root);
      state.y = box.height / 2 - (y + HEIGHT / 2) * state.scale;
    }
    view();
  };
  const zoom = (factor, x, y) => {
    const box = canvas.getBoundingClientRect();
    const [cx, cy] = [x ?? box.width / 2, y ?? box.height / 2];
    const scale = Math.min(Math.max(state.scale * factor, 0.02), 4);
    state.x = cx - (cx - state.x) * (scale / state.scale);
    state.y = cy - (cy - state.y) * (scale / state.scale);
    state.scale = scale;
    view();
  };
  // Brings a node into the stage, moving no more than needed.
  const show = (node) => {
    const box = canvas.getBoundingClientRect(), margin = 40;
    const [x, y] = corner(node), { scale } = state;
    const [left, top] = [x * scale + state.x, y * scale + state.y];
    const within = (at, size, room) => {
      if (at < margin) return margin - at;
      return Math.min(room - margin - size - at, 0);
    };
    state.x += within(left, WIDTH * scale, box.width);
    state.y += within(top, HEIGHT * scale, box.height);
    view();
  };

  // What one can do.
  const toggle = (node) => {
    if (node < classes) return;
    const [, before] = corner(node);
    if (!state.open.delete(node)) state.open.add(node);
    focus = node;
    draw();
    // The node that was clicked stays where it is.
    state.y += (before - corner(node)[1]) * state.scale;
    view();
  };
  const reveal = (node) => {
    for (const above of pathTo(node).slice(0, -1)) state.open.add(above);
  };
  const goTo = (node) => {
    reveal(node);
    focus = node;
    draw();
    if (state.scale < 0.5) zoom(0.8 / state.scale);
    show(node);
  };
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "")
    .toLowerCase();
  const output = document.getElementById("matches");
  const search = (text) => {
    state.search = text;
    const wanted = plain(text.trim());
    state.match = -1;
    state.matches = order.filter((node) => wanted && !listed.has(node)
      && plain(halves(node)[0]).includes(wanted));
    // Classes first.
    state.matches.sort((a, b) => (a >= classes) - (b >= classes));
    const found = state.matches.length;
    output.textContent = wanted ? found + (found === 1 ? " match" : " matches")
      : "";
    if (found) next(1);
    else draw();
  };
  const next = (step) => {
    const found = state.matches.length;
    if (!found) return;
    state.match = (state.match + step + found) % found;
    output.textContent = `${state.match + 1} of ${found}`;
    goTo(state.matches[state.match]);
  };
  const openAll = () => {
    for (let node = classes; node < names.length; node++) state.open.add(node);
    draw();
    fit(0.3);
  };
  const closeAll = () => {
    state.open = new Set([root]);
    focus = root;
    draw();
    fit();
  };
  const choose = (index) => {
    state.sample = index === state.sample ? -1 : index;
    const sample = samples[state.sample];
    if (sample) {
      if (classes > 64) state.open = new Set([root]);
      reveal(sample.soft);
      if (sample.label !== null) reveal(sample.label);
    }
    draw();
    fit(0.6);
    if (sample) show(sample.soft);
    describe();
  };

  // The samples, and why the chosen one got its class.
  const side = document.getElementById("side");
  const strip = element("div", { class: "strip" });
  const panel = element("div", { id: "why", "aria-live": "polite" });
  const named = (tag, node) => {
    const [name, some] = halves(node);
    const made = element(tag, { class: "name" }, name);
    if (some) made.append(" ", element("small", {}, some));
    return made;
  };
  const describe = () => {
    [...strip.children].forEach((button, i) => {
      button.setAttribute("aria-pressed", i === state.sample);
    });
    panel.replaceChildren();
    const sample = samples[state.sample];
    if (!sample) {
      panel.append(element("p", { class: "more" },
        "Choose a sample to see the decisions on its way to a class."));
      return;
    }
    const path = pathTo(sample.soft);
    const total = path.reduce((p, node) => p * sample.steps[node], 1);
    const head = element("div", { class: "sample" });
    if (sample.image) head.append(element("img", { src: sample.image, alt: "" }));
    const words = element("div");
    words.append(element("div", { class: "verdict" },
      `${names[sample.soft]} ${percent(total)}`));
    const facts = element("p", { class: "facts" });
    if (sample.label !== null) {
      const right = sample.label === sample.soft;
      facts.append(element("span", right ? {} : { class: "off" },
        right ? "Right." : `True class: ${names[sample.label]}.`));
    }
    if (sample.hard !== sample.soft) {
      facts.append(` Step by step: ${names[sample.hard]}.`);
    }
    if (sample.plain !== sample.soft) {
      facts.append(` The network alone: ${names[sample.plain]}.`);
    }
    words.append(facts);
    head.append(words);
    const list = element("ol", { class: "path" });
    for (const node of path) {
      const options = [...below(node)];
      if (options.length < 2) continue;
      options.sort((a, b) => sample.steps[b] - sample.steps[a]);
      const item = element("li");
      const step = element("button", { class: "step", type: "button" });
      step.append(named("span", node));
      step.addEventListener("click", () => goTo(node));
      item.append(step);
      const truth = sample.label === null || sample.label === sample.soft
        ? [] : pathTo(sample.label);
      const kept = options.filter((option, i) => i < 6
        || path.includes(option) || truth.includes(option));
      for (const option of kept) {
        const kinds = ["bar"];
        if (path.includes(option)) kinds.push("taken");
        else if (truth.includes(option)) kinds.push("true");
        const bar = element("div", { class: kinds.join(" ") });
        const length = element("i");
        length.style.width = 100 * sample.steps[option] + "%";
        bar.append(length, named("span", option),
          element("span", { class: "share" }, percent(sample.steps[option])));
        item.append(bar);
      }
      if (kept.length < options.length) {
        item.append(element("p", { class: "more" },
          `and ${options.length - kept.length} less likely`));
      }
      list.append(item);
    }
    panel.append(head, list);
  };
  if (samples.length) {
    side.append(element("h2", {}, samples.length === 1 ? "Sample" : "Samples"));
    samples.forEach((sample, i) => {
      const right = sample.label === null || sample.label === sample.soft;
      let said = `Sample ${i + 1}: ${names[sample.soft]}`;
      if (!right) said += `, true class ${names[sample.label]}`;
      const button = element("button", {
        type: "button", "aria-label": said, title: said, "aria-pressed": false,
        class: (right ? "" : "wrong ") + (sample.image ? "" : "plain"),
      });
      if (sample.image) {
        button.append(element("img", { src: sample.image, alt: "" }));
      } else {
        button.textContent = i + 1;
      }
      button.addEventListener("click", () => { choose(i); remember(); });
      strip.append(button);
    });
    side.append(strip, panel);
  }

  // The state in the address, so that a view can be kept and passed on.
  const remember = () => {
    const parts = new URLSearchParams();
    if (state.sample >= 0) parts.set("sample", state.sample + 1);
    if (state.search) parts.set("search", state.search);
    const hash = parts.toString();
    // Not as a new page: going back should leave the tree.
    history.replaceState(null, "", hash ? "#" + hash : location.pathname);
  };
  // A number below `count` that an address gives, else -1: lists have more
  // properties than their places.
  const place = (text, count) => {
    const index = /^\d+$/.test(text ?? "") ? Number(text) : -1;
    return index < count ? index : -1;
  };
  const recall = () => {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (parts.get("open") === "all") openAll();
    if (parts.get("open") === "none") closeAll();
    const index = place(parts.get("sample"), samples.length + 1) - 1;
    if (index >= 0 && index !== state.sample) choose(index);
    const text = parts.get("search") ?? "";
    if (text !== state.search) {
      document.getElementById("search").value = text;
      search(text);
    }
    const node = place(parts.get("node"), names.length);
    if (node >= 0) goTo(node);
  };

  // Input.
  const nodeOf = (event) => {
    const found = event.target.closest?.(".card");
    return found ? Number(found.dataset.node) : -1;
  };
  const pointers = new Map();
  let moved = 0, pinch = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
    pinch = 0;
  });
  window.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 1) {
      state.x += dx;
      state.y += dy;
      canvas.classList.toggle("moving", moved > 4);
      view();
    } else if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const length = Math.hypot(a[0] - b[0], a[1] - b[1]);
      const box = canvas.getBoundingClientRect();
      const [x, y] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      if (pinch) zoom(length / pinch, x - box.left, y - box.top);
      pinch = length;
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    window.addEventListener(kind, (event) => {
      pointers.delete(event.pointerId);
      pinch = 0;
      canvas.classList.remove("moving");
    });
  }
  canvas.addEventListener("click", (event) => {
    const node = nodeOf(event);
    // The end of a drag is no click.
    if (node < 0 || moved > 4) return;
    focus = node;
    toggle(node);
    card(node)?.focus({ preventScroll: true });
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? 30 : 1;
    const factor = Math.exp(-event.deltaY * lines * 0.0016);
    zoom(factor, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });

  const walk = (key, node) => {
    const row = shown().filter((n) => depths[n] === depths[node]);
    const place = row.indexOf(node);
    if (key === "ArrowDown") return row[place + 1];
    if (key === "ArrowUp") return row[place - 1];
    if (key === "Home") return root;
    if (key === "ArrowLeft") return parents[node] < 0 ? node : parents[node];
    if (key === "ArrowRight" && node >= classes) {
      if (!state.open.has(node)) toggle(node);
      return below(node)[0];
    }
    return undefined;
  };
  canvas.addEventListener("keydown", (event) => {
    const node = nodeOf(event);
    if (node < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      toggle(node);
      return;
    }
    if (!event.key.startsWith("Arrow") && event.key !== "Home") return;
    event.preventDefault();
    const to = walk(event.key, node);
    if (to === undefined) return;
    focus = to;
    draw();
    card(to)?.focus({ preventScroll: true });
    show(to);
  });
  const input = document.getElementById("search");
  document.addEventListener("keydown", (event) => {
    if (event.target === input || event.ctrlKey || event.metaKey) return;
    if (event.key === "/") {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
  });
  input.addEventListener("input", () => { search(input.value); remember(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      next(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      input.value = "";
      search("");
      remember();
    }
  });
  document.getElementById("finder").addEventListener("submit",
    (event) => event.preventDefault());
  const press = (id, act) => {
    document.getElementById(id).addEventListener("click", act);
  };
  press("open-all", openAll);
  press("close-all", closeAll);
  press("zoom-in", () => zoom(1.25));
  press("zoom-out", () => zoom(0.8));
  press("fit", () => fit());
  window.addEventListener("hashchange", recall);

  describe();
  draw();
  fit(0.6);
  if (samples.length && !location.hash) choose(0);
  recall();
})();
