// The form: what is picked, as the server reads it.

const form = document.getElementById("setup");
const field = (name) => form.elements[name];
const NUMBERS = ["seed", "rate", "momentum", "batch", "epochs"];
const MODEL = ["data", "hidden", "activation", "init", "loss", "seed"];
const SOON = 180; // milliseconds after the last key

// The address may say what is picked, as that of the playground's link does.
for (const [name, value] of new URLSearchParams(location.search)) {
  const known = field(name), options = known && [...(known.options ?? [])].map((each) => each.value);
  if (known && (!options.length || options.includes(value))) known.value = value;
}

export function picked() {
  const setup = Object.fromEntries(["data", "hidden", "activation", "init", "loss", "pace"]
    .map((name) => [name, field(name).value]));
  if (!setup.activation) setup.activation = field("formula").value;
  for (const name of NUMBERS) {
    const value = field(name).valueAsNumber;
    setup[name] = Number.isNaN(value) ? field(name).value : value;
  }
  return setup;
}

// On a phone the form is a sheet: it opens by its button, and for what is wrong in it.
const settings = document.getElementById("settings");
export const opened = (open) => settings.setAttribute("aria-expanded", open);
settings.addEventListener("click", () => opened(settings.getAttribute("aria-expanded") !== "true"));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") opened(false);
});

// changed(setup) is called at the start, and when something about the network is picked anew.
export function onPick(changed) {
  let before = "", waiting = 0;
  const look = () => {
    clearTimeout(waiting);
    document.getElementById("formula-field").hidden = field("activation").value !== "";
    const setup = picked();
    const now = JSON.stringify(MODEL.map((name) => setup[name]));
    if (now === before) return;
    before = now;
    changed(setup);
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, SOON);
  });
  form.addEventListener("change", look);
  const widths = () => field("hidden").value.split(",").map((each) => each.trim()).filter(Boolean);
  document.getElementById("more").addEventListener("click", () => {
    field("hidden").value = [...widths(), widths().at(-1) ?? "4"].join(", ");
    look();
  });
  document.getElementById("fewer").addEventListener("click", () => {
    field("hidden").value = widths().slice(0, -1).join(", ");
    look();
  });
  look();
}
