// The forecast: its verdict, ‖δ‖ by layer, and the phases.

import { Chart } from "./chart.js";
import { Phases } from "./phases.js";
import { Question, tell } from "./server.js";

const element = (id) => document.getElementById(id);
const BADGES = { law: "exact", limit: "limit", approximation: "approximation", measured: "measured" };
const LOOKS = {
  independence: { name: "independence", css: "muted", dash: "2 3" },
  coupled: { name: "coupled", css: "backward" },
  exact: { name: "exact", css: "backward", dots: "square" },
  finite_width: { name: "finite width", css: "backward", dash: "7 4" },
  monte_carlo: { name: "drawn at random", css: "backward", dots: "circle" },
};

export class Forecast {
  #question = new Question();
  #depth = new Chart(element("depth-chart"), { label: "‖δ‖ by layer", x: "layer", y: "‖δ‖", log: true });
  #phases = new Phases(element("phase-chart"));

  async show(setup) {
    try {
      const found = await this.#question.ask("view", { view: "forecast", setup });
      if (!found) return;
      tell(element("forecast-fault"), null);
      this.#draw(found);
    } catch (fault) {
      tell(element("forecast-fault"), fault);
    }
  }

  #draw(found) {
    element("forecast-verdict").textContent = found.verdict;
    element("forecast").dataset.word = found.word;
    element("depth-chart").hidden = !found.layers;
    this.#phases.show(found.phases ?? null);
    element("assumptions").replaceChildren(...(found.assumptions ?? []).map(({ method, kind, text }) => {
      const item = document.createElement("li");
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = BADGES[kind];
      item.append(badge, ` ${method}: ${text}`);
      return item;
    }));
    if (!found.layers) return;
    const series = Object.entries(found.methods).map(([name, values]) => ({ ...LOOKS[name], values }));
    series.push({ name: "this start, measured", css: "data", dots: "cross", values: found.measured });
    const whole = found.band.length === found.layers.length;
    this.#depth.show({
      x: found.layers.map((_, at) => at), names: found.layers, series, band: whole ? found.band : null,
    });
  }
}
