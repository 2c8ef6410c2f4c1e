// The login form: exchanges the token for a session cookie that scripts cannot read.

import * as api from "./api.js";
import { byId } from "./dom.js";

// Returns signIn(), which opens the form unless it is open; calls done() after a login.
export function makeLogin(done) {
  const dialog = byId("login");
  const form = dialog.querySelector("form");
  const problem = byId("login-problem");
  dialog.addEventListener("cancel", (event) => event.preventDefault());  // there is no data behind the form
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await api.login(form.elements.token.value);
      form.reset();
      dialog.close();
      done();
    } catch (error) {
      problem.textContent = api.explain(error);
      form.elements.token.select();
    }
  });
  return () => { if (!dialog.open) dialog.showModal(); };
}
