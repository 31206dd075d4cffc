// Stories: each sets everything up, lets it run, and says what to look at.

const STORIES = {
  start: {
    name: "Two moons",
    set: {},
    told: "Two hidden layers bend a line around the moons. Press Train; add units with + until it fits at once.",
  },
  vanishing: {
    name: "Vanishing",
    set: { data: "circles", hidden: [4, 4, 4, 4, 4, 4], activation: "sigmoid", init: "lecun", rate: 0.3 },
    told: "Six sigmoid layers: each slope is at most ¼, so δ shrinks at every layer on its way back. Look at the arrows below: the first layers learn nothing.",
  },
  exploding: {
    name: "Exploding",
    set: { data: "circles", hidden: [6, 6, 6, 6, 6, 6], activation: "leakyrelu", init: "large", rate: 0.03 },
    told: "Weights that start too large multiply δ at every layer. The arrows grow towards the first layer, and the steps with them: the loss leaps or leaves the numbers.",
  },
  dead: {
    name: "Dead ReLU",
    set: { data: "xor", hidden: [6, 6], activation: "relu", init: "he", rate: 1.2, momentum: 0.9 },
    told: "The learning rate is so large that a few steps push units below 0 at every sample. Their slope is 0 there, so nothing brings them back: crossed out.",
  },
  he: {
    name: "Fixed by He",
    set: { data: "circles", hidden: [6, 6, 6, 6, 6, 6], activation: "relu", init: "he", rate: 0.03, momentum: 0.9 },
    told: "Six ReLU layers, and δ arrives at the first: He's variance 2/n makes up for the half of the units that a ReLU switches off.",
  },
  twice: {
    name: "Softmax twice",
    set: { data: "moons", ending: "softmax_twice", rate: 0.1 },
    told: "A softmax stands before a cross-entropy that takes one itself. The boundary is found, and the loss stays above 0.31: the network is never allowed to be sure. Choose cross-entropy alone and see it fall.",
  },
};
