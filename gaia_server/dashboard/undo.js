// For some seconds, what was deleted can be restored. Only the newest deletion can.

import { byId } from "./dom.js";

const UNDO_MS = 10_000;
let expiry = null;

export function offerUndo(name, restore) {
  const offer = byId("deleted");
  const hide = () => { offer.hidden = true; };
  offer.querySelector("span").textContent = `“${name}” is deleted.`;
  offer.querySelector("button").onclick = () => { hide(); restore(); };
  offer.hidden = false;
  clearTimeout(expiry);
  expiry = setTimeout(hide, UNDO_MS);
}
