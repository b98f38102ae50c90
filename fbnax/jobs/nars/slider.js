"use strict";
// The slider of fbnax/jobs/nars/slider.py: which budget is chosen, and what is
// shown of its network. Texts come from the page's data as text; of markup
// there are the drawings alone, which the same program has written.
(() => {
  const data = JSON.parse(document.getElementById("slider-data").textContent);
  const section = document.getElementById("slider");
  const one = (selector, from = section) => from.querySelector(selector);
  const all = (selector, from = section) => [
    ...from.querySelectorAll(selector),
  ];
  const parts = all("[data-cost]");
  const choice = one(".choice");
  let cost = parts[0].dataset.cost;
  let packed = { drawings: [], commands: {} };

  // The directory of the run is that of this page, if it is a file.
  const folder = () => {
    if (location.protocol !== "file:") return "RUN";
    const path = decodeURIComponent(location.pathname)
      .replace(/\/[^/]*$/, "").replace(/^\/(?=[A-Za-z]:)/, "");
    if (/^[\w@%+=:,./-]+$/.test(path)) return path;
    return "'" + path.replaceAll("'", "'\"'\"'") + "'";
  };
  const run = folder();
  const command = (text) => text.replaceAll("\u0001", run);

  const element = (tag, text = "", ...children) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
  };
  const recipe = (pairs) => {
    if (!pairs.length) return [];
    const table = element("table");
    for (const [tag, place] of [["th", 0], ["td", 1]]) {
      table.append(
        element("tr", "", ...pairs.map((pair) => element(tag, pair[place]))),
      );
    }
    const box = element("div", "", table);
    box.className = "scroll";
    return [element("h4", "Its training recipe"), box];
  };
  const trained = (member) => {
    if (!member) return [];
    const lines = element("pre", command(member.command));
    return [
      element("p", "Trained already, and within the budget: " + member.words +
        ". To export it:"),
      lines,
    ];
  };
  // The next budget at which another network is the best.
  const next = (stops, place) =>
    stops.slice(place).find((stop) => stop.network !== stops[place].network);

  const show = () => {
    const part = parts.find((other) => other.dataset.cost === cost);
    const { chart, moves, stops } = data.lines[cost];
    const input = one("input", part);
    const stop = stops[input.value];
    const network = data.networks[stop.network];
    for (const other of parts) other.hidden = other !== part;
    input.setAttribute("aria-valuetext", stop.spoken);
    one("output", part).textContent = stop.words;
    const [along, right, down] = moves[input.value];
    const move = (name, x, y) => document.getElementById(chart + name)
      ?.setAttribute("transform", `translate(${x} ${y})`);
    move("-budget", along, 0);
    move("-network", right, down);
    // Where the chart is wider than the window, the budget stays in view.
    const box = one(".scroll", part);
    const share = input.value / input.max;
    box.scrollLeft = share * (box.scrollWidth - box.clientWidth);

    one("h3", choice).textContent =
      "The network for at most " + stop.words + ": " + network.shape;
    const better = next(stops, Number(input.value));
    one(".note", choice).textContent = "The best that is known from " +
      stop.paid + (better ? " up to " + better.paid : " upwards") + "." +
      (network.same
        ? " Its architecture is that of the member " + network.same + "." : "");
    one(".tiles", choice).replaceChildren(
      ...network.tiles.map(([value, meaning]) => {
        const tile = element("div", "", element("b", value),
          element("span", meaning));
        tile.className = "tile";
        return tile;
      }),
    );
    one(".drawing", choice).innerHTML =
      packed.drawings[stop.network] || "";
    one(".recipe", choice).replaceChildren(...recipe(network.recipe));
    const commands = packed.commands[cost];
    one(".commands", choice).textContent =
      commands ? command(commands[input.value]) : "";
    one(".trained", choice).replaceChildren(
      ...trained(data.members[stop.member]),
    );
  };

  // Another cost keeps the network, or comes as near to it as there is one.
  const change = (next) => {
    const place = one(`[data-cost="${cost}"] input`).value;
    const { costs } = data.networks[data.lines[cost].stops[place].network];
    const { stops } = data.lines[next];
    const limit = stops.findIndex((stop) => stop.cost >= costs[next]);
    cost = next;
    one(`[data-cost="${cost}"] input`).value =
      limit < 0 ? stops.length - 1 : limit;
    show();
  };

  for (const radio of all(".costs input")) {
    radio.checked = radio.value === cost;
    radio.addEventListener("change", () => change(radio.value));
  }
  for (const part of parts) one("input", part).addEventListener("input", show);
  for (const hidden of all(".costs, .bar, .choice")) hidden.hidden = false;
  section.classList.add("choosing");
  show();

  const unpack = async () => {
    const bytes = Uint8Array.from(atob(data.packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream()
      .pipeThrough(new DecompressionStream("gzip"));
    packed = JSON.parse(await new Response(stream).text());
    show();
  };
  if ("DecompressionStream" in window) unpack();
})();
