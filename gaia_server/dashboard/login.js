// The login form: the token becomes a session cookie that scripts cannot read.

import * as api from "./api.js";
import { byId } from "./dom.js";

// Returns signIn(), which asks for the token unless it already does; done() follows a login.
export function makeLogin(done) {
  const dialog = byId("login");
  const form = dialog.querySelector("form");
  const problem = byId("login-problem");
  dialog.addEventListener("cancel", (event) => event.preventDefault());  // there is nothing to see behind it
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
