// Training: its buttons, its charts, and what is said of it.

import { Chart } from "./chart.js";
import { listen, page } from "./live.js";
import { Fault, post, tell } from "./server.js";
import { percent, short } from "./svg.js";

const element = (id) => document.getElementById(id);
const DASHES = [undefined, "7 4", "2 3", "8 3 2 3", "12 4", "12 3 2 3"];
const COLUMNS = 5; // epoch, loss and unseen loss, share right and unseen share right; then ‖δ‖
const MOST_LINES = 6;

export class Training {
  #picture; #learnt; #browser = null; #state = "idle"; #rows = []; #layers = []; #epochs = 1; #diverged = null; #waiting = false;
  #loss = new Chart(element("loss-chart"), { label: "Loss by epoch", x: "epoch", y: "loss", log: true, height: 220 });
  #delta = new Chart(element("delta-chart"), { label: "‖δ‖ by layer and epoch", x: "epoch", y: "‖δ‖", log: true, height: 220 });

  // picture shows what is decided; learnt(params) gets parameters as they come
  constructor(picture, learnt, setup) {
    this.#picture = picture;
    this.#learnt = learnt;
    this.#browser = listen((event) => this.#hear(event));
    this.#browser.catch((problem) => tell(element("training-fault"), problem));
    element("train").addEventListener("click", () => this.#begin(setup()));
    element("pause").addEventListener("click", () => this.#control(this.#state === "paused" ? "resume" : "pause"));
    element("stop").addEventListener("click", () => this.#control("stop"));
  }

  // The network is another one: what was learnt is no longer of it.
  async reset() {
    const was = this.#state;
    this.#become("idle");
    this.#rows = [];
    this.#chart();
    element("progress").value = 0;
    tell(element("training-fault"), null);
    this.#say(was === "idle" ? "Nothing has been learnt yet." : "The network has changed; nothing has been learnt yet.");
    this.#learnt(null);
    if (was !== "idle" && was !== "ended") await post("leave", { page }).catch(() => {});
  }

  async #begin(setup) {
    this.#become("starting");
    tell(element("training-fault"), null);
    this.#rows = [];
    this.#say("Training starts …");
    try {
      await post("train", { page, browser: await this.#browser, setup });
    } catch (fault) {
      this.#fail(fault);
    }
  }

  async #control(what) {
    element("pause").disabled = element("stop").disabled = true;
    try {
      await post("control", { page, do: what });
    } catch (fault) {
      if (this.#state !== "ended") this.#fail(fault);
    }
  }

  #hear(event) {
    if (this.#state === "idle") return; // of a training that was left
    if (event.event === "again") {
      this.#rows = [];
      for (const each of event.told) this.#hear(each);
      return;
    }
    if (event.event === "lost") {
      if (this.#state === "ended") return;
      tell(element("training-fault"), new Fault({ message: "The connection is lost; trying again", kind: "Lost" }));
      return;
    }
    tell(element("training-fault"), null);
    if (event.event === "start") {
      this.#layers = event.layers;
      this.#epochs = event.epochs;
      this.#become("running");
    }
    if (event.rows) this.#rows.push(...event.rows);
    this.#picture.learn(event);
    if (event.params) this.#learnt(event.params);
    if (event.event === "paused") this.#become("paused");
    if (event.event === "resumed") this.#become("running");
    if (event.event === "end") this.#become("ended");
    if (event.event === "start" || event.event === "end") this.#diverged = event.diverged ?? null;
    if (event.event === "error") return this.#fail(new Fault(event.error));
    this.#soon(event.event === "end" && event.why);
  }

  #soon(why) {
    this.#verdict(why);
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#chart();
    });
  }

  #verdict(why) {
    const last = this.#rows.at(-1);
    if (!last) return;
    const [epoch, loss, , , unseen] = last;
    const state = { paused: "Paused after", ended: why === "stopped" ? "Stopped after" : "Done:" }[this.#state];
    const when = epoch ? `epoch ${epoch} of ${this.#epochs}` : "no epoch yet";
    const told = `loss ${short(loss)}${unseen === null ? "" : `, ${percent(unseen)} of test samples are right`}`;
    element("progress").value = epoch / this.#epochs;
    if (this.#diverged) return this.#say(`${this.#diverged} After ${when}: ${told}.`);
    this.#say(`${state ? `${state} ${when}` : when[0].toUpperCase() + when.slice(1)}: ${told}.`.replace("Done: epoch", "Done, epoch"));
  }

  #chart() {
    const x = this.#rows.map(([epoch]) => epoch);
    const column = (at) => this.#rows.map((row) => row[at]);
    this.#loss.show({ x, series: x.length ? [
      { name: "training", css: "loss", values: column(1) },
      { name: "test", css: "data", dash: "7 4", values: column(2) },
    ] : [] });
    const shown = evenly(this.#layers.length);
    this.#delta.show({ x, series: x.length ? shown.map((at, k) => ({
      name: `‖${this.#layers[at]}‖`, css: "backward", dash: DASHES[k], values: column(COLUMNS + at),
    })) : [] });
  }

  #fail(fault) {
    this.#become("ended");
    tell(element("training-fault"), fault);
    this.#say("Training stopped; the reason stands beside the buttons.");
    this.#chart();
  }

  #become(state) {
    this.#state = state;
    const on = state === "running" || state === "paused";
    element("train").disabled = on || state === "starting";
    element("train").textContent = state === "ended" ? "Train again" : "Train";
    element("pause").disabled = !on;
    element("pause").textContent = state === "paused" ? "Resume" : "Pause";
    element("stop").disabled = !on;
    document.body.dataset.training = state;
  }

  #say(text) {
    element("training-verdict").textContent = text;
    if (this.#state !== "running") element("said").textContent = text;
  }
}

// All layers, or some of many, the first and the last among them.
function evenly(count) {
  if (count <= MOST_LINES) return [...Array(count).keys()];
  return [...Array(MOST_LINES).keys()].map((k) => Math.round(k * (count - 1) / (MOST_LINES - 1)));
}
