// The page: what is picked goes to the server, and what comes back is shown where it belongs.

import { Derivation } from "./derivation.js";
import { Forecast } from "./forecast.js";
import { Neurons } from "./neurons.js";
import { Picture } from "./picture.js";
import { Question, tell } from "./server.js";
import { onPick, opened, picked } from "./setup.js";
import { Training } from "./training.js";

const element = (id) => document.getElementById(id);
const question = new Question();
const picture = new Picture(element("data-picture"), element("data-caption"));
const derivation = new Derivation();
const forecast = new Forecast();
const neurons = new Neurons();
const training = new Training(picture, (params) => neurons.learnt(params), picked);

let picks = 0;

onPick(async (setup) => {
  const pick = ++picks;
  document.body.dataset.shown = "old";
  training.reset();
  let found;
  try {
    found = await question.ask("view", { view: "network", setup });
  } catch (fault) {
    tell(element("setup-fault"), fault);
    opened(true);
    document.body.dataset.shown = "fault";
    document.body.classList.add("filled");
    return;
  }
  if (!found) return;
  tell(element("setup-fault"), null);
  document.body.dataset.shown = "network";
  element("title").textContent = `${found.heading}, forward and back`;
  element("network-verdict").textContent = found.verdict;
  element("drawing").innerHTML = found.svg;
  element("facts").textContent = `${found.parameters}; ${found.samples}.`;
  picture.show(found.data);
  await Promise.all([forecast.show(setup), derivation.show(setup), neurons.show(setup)]);
  if (pick !== picks) return; // what a later pick asks for is still on its way
  frames();
  document.body.dataset.shown = "all";
  document.body.classList.add("filled");
});

// On a phone Train stands below whatever one reads: what it changes comes into view.
element("train").addEventListener("click", () => {
  opened(false);
  if (getComputedStyle(element("settings")).display !== "none") element("training").scrollIntoView();
});

// The contents say where one is.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  const entered = entries.find((each) => each.isIntersecting);
  if (!entered) return;
  for (const [name, link] of links) {
    if (name === entered.target.id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
for (const section of document.querySelectorAll("section")) seen.observe(section);

// What scrolls can be scrolled by keyboard; what does not is no stop on the way.
function frames() {
  for (const each of document.querySelectorAll(".scroll")) {
    const wide = each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight;
    if (wide) each.tabIndex = 0;
    else each.removeAttribute("tabindex");
  }
}
addEventListener("resize", frames);
