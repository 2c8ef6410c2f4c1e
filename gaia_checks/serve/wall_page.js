// Shows the page anew every few seconds, and says so when the server no longer answers.
"use strict";

const EVERY_MS = 5000;
const PATIENCE_MS = 15000; // the server itself waits for a slow remote
const PARTS = ["read", "notice", "board"];
let answered = new Date();

function show(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const id of PARTS) {
    const here = document.getElementById(id);
    const there = page.getElementById(id);
    if (here.innerHTML !== there.innerHTML) here.replaceWith(document.adoptNode(there)); // what did not change stays selected
  }
  document.body.classList.remove("gone");
}

function lost(why) {
  const since = `${answered.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  document.getElementById("notice").textContent = `${why} What stands below is of ${since}.`;
  document.body.classList.add("gone");
}

async function refresh() {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) {
      show(await answer.text());
      answered = new Date();
    } else if (answer.status === 401) {
      lost("The token is no longer accepted: open this page once with ?token=.");
    } else {
      lost(`gaia serve answers ${answer.status}.`);
    }
  } catch {
    lost("gaia serve does not answer.");
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);
