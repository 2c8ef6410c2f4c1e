// Runs work that queries the server. Errors are shown in one place; after a 429 nothing is sent until Retry-After.

import { Refusal, explain } from "./api.js";

const LONGEST_WAIT_S = 60;  // a rule may change meanwhile

// notify(text), "" for no error; signIn(): a token is required; retry(): called when requests are allowed again.
export function makeGuard({ notify, signIn, retry }) {
  let waiting = null;
  let signedOut = false;

  async function guard(work) {
    if (!waiting && !signedOut) await attempt(work);
  }

  async function attempt(work) {
    try {
      await work();
      notify("");
    } catch (error) {
      refused(error);
    }
  }

  function refused(error) {
    if (error instanceof Refusal && error.status === 401) {
      signedOut = true;
      signIn();
    } else if (error instanceof Refusal && error.status === 429) {
      wait(error);
    } else {
      notify(explain(error));
      if (!(error instanceof Refusal || error instanceof TypeError)) throw error;  // a bug of the page: let the console show it
    }
  }

  function wait(error) {
    const seconds = Math.min(error.retryAfter, LONGEST_WAIT_S);
    notify(`This page is rate limited as well: ${error.message}. Retrying in ${seconds} s.`);
    waiting ??= setTimeout(() => { waiting = null; retry(); }, seconds * 1000);
  }

  guard.now = attempt;  // for a person's own request: it may lift the rule that refuses this page
  guard.signedIn = () => { signedOut = false; };
  return guard;
}
